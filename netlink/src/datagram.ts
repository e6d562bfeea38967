/**
 * UDP sockets by descriptor: with the TTL, source and interface of each datagram received, which `node:dgram` does not
 * tell. Non-blocking; receiving and sending allocate nothing.
 *
 * (IP_MINTTL, which TCP sockets use, is not enforced for UDP: who must check the TTL has to see it.)
 */
import * as libc from './libc.js';
import { bindToDevice, socketAddress, type SocketFamily } from './sockopt.js';

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IP_RECVTTL = 12;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_PKTINFO = 50;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;

const DATA_LENGTH = 2048;
const NAME_LENGTH = 128;
const CONTROL_LENGTH = 256;
const CMSG_HEADER_LENGTH = 16;
// struct msghdr where pointers have 64 bits.
const MSGHDR_LENGTH = 56;
const IOV_LENGTH = 16;

/** A non-blocking UDP socket. */
export function createUdpSocket(family: SocketFamily): number {
  const fd = libc.socket(family === 4 ? libc.AF_INET : libc.AF_INET6, libc.SOCK_DGRAM | libc.SOCK_NONBLOCK, 0);
  // Otherwise a socket bound to :: takes the IPv4 port as well.
  if (family === 6) libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return fd;
}

/** Binds to one address and port, alone: EADDRINUSE when somebody has it. */
export function bindDatagram(fd: number, address: Uint8Array, port: number, scopeId = 0): void {
  libc.bind(fd, socketAddress(address, port, scopeId));
}

/** From now on `sendDatagram` sends there; the kernel chooses the local address unless it is bound. */
export function connectDatagram(fd: number, address: Uint8Array, port: number, scopeId = 0): void {
  libc.connect(fd, socketAddress(address, port, scopeId));
}

/** Over this interface alone, both ways. */
export function bindDatagramToDevice(fd: number, name: string): void {
  bindToDevice(fd, name);
}

/** Sends `bytes` to where the socket is connected; 0, or the positive errno. */
export function sendDatagram(fd: number, bytes: Uint8Array): number {
  const sent = libc.send(fd, bytes, bytes.length, libc.MSG_DONTWAIT);
  return sent < 0 ? -sent : 0;
}

/** Asks the kernel to tell TTL and interface of what arrives, and for a buffer of `octets`. */
export function prepareReceiver(fd: number, family: SocketFamily, octets: number): void {
  if (family === 4) {
    libc.setIntegerOption(fd, IPPROTO_IP, IP_RECVTTL, 1);
    libc.setIntegerOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
  try {
    libc.setIntegerOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, octets);
  } catch {
    // Without CAP_NET_ADMIN the system's limit holds.
    libc.setIntegerOption(fd, SOL_SOCKET, SO_RCVBUF, octets);
  }
}

/** Receives datagrams into itself, one after the other; what it holds is valid until the next. */
export class DatagramReceiver {
  readonly data = allocate(DATA_LENGTH);
  /** Octets of `data`. */
  length = 0;
  /** The sender's address: 4 or 16 octets of `source`. */
  readonly source = allocate(16);
  sourceLength = 0;
  /** TTL or hop limit it arrived with; 0 = the kernel has not told. */
  ttl = 0;
  /** Interface it arrived by; 0 = the kernel has not told. */
  interfaceIndex = 0;
  readonly #name = allocate(NAME_LENGTH);
  readonly #control = allocate(CONTROL_LENGTH);
  readonly #header = allocate(MSGHDR_LENGTH);
  readonly #iov = allocate(IOV_LENGTH);
  readonly #headerView = view(this.#header);
  readonly #nameView = view(this.#name);
  readonly #controlView = view(this.#control);

  constructor() {
    const iov = view(this.#iov);
    iov.setBigUint64(0, libc.addressOf(this.data), libc.littleEndian);
    iov.setBigUint64(8, BigInt(DATA_LENGTH), libc.littleEndian);
    const header = this.#headerView;
    header.setBigUint64(0, libc.addressOf(this.#name), libc.littleEndian);
    header.setBigUint64(16, libc.addressOf(this.#iov), libc.littleEndian);
    header.setBigUint64(24, 1n, libc.littleEndian);
    header.setBigUint64(32, libc.addressOf(this.#control), libc.littleEndian);
  }

  /** The next datagram waiting at `fd`; false = none, or the kernel reports an error of an earlier one. */
  receive(fd: number): boolean {
    const header = this.#headerView;
    header.setUint32(8, NAME_LENGTH, libc.littleEndian);
    // The upper half stays 0.
    header.setUint32(40, CONTROL_LENGTH, libc.littleEndian);
    const received = libc.recvmsgRaw(fd, this.#header, libc.MSG_DONTWAIT);
    if (received < 0) return false;
    this.length = received;
    this.#readSource();
    this.#readControl(header.getUint32(40, libc.littleEndian));
    return true;
  }

  #readSource(): void {
    const family = this.#nameView.getUint16(0, libc.littleEndian);
    const at = family === libc.AF_INET ? 4 : 8;
    const length = family === libc.AF_INET ? 4 : 16;
    for (let i = 0; i < length; i++) this.source[i] = this.#name[at + i]!;
    this.sourceLength = length;
  }

  #readControl(length: number): void {
    this.ttl = 0;
    this.interfaceIndex = 0;
    const control = this.#controlView;
    for (let at = 0; at + CMSG_HEADER_LENGTH <= length;) {
      const messageLength = control.getUint32(at, libc.littleEndian);
      if (messageLength < CMSG_HEADER_LENGTH) return;
      const level = control.getInt32(at + 8, libc.littleEndian);
      const type = control.getInt32(at + 12, libc.littleEndian);
      const data = at + CMSG_HEADER_LENGTH;
      if (level === IPPROTO_IP) {
        if (type === IP_TTL) this.ttl = control.getInt32(data, libc.littleEndian);
        else if (type === IP_PKTINFO) this.interfaceIndex = control.getInt32(data, libc.littleEndian);
      } else if (level === IPPROTO_IPV6) {
        if (type === IPV6_HOPLIMIT) this.ttl = control.getInt32(data, libc.littleEndian);
        else if (type === IPV6_PKTINFO) this.interfaceIndex = control.getInt32(data + 16, libc.littleEndian);
      }
      at += (messageLength + 7) & ~7;
    }
  }
}

/** Small typed arrays may live, and move, on V8's heap; the kernel needs one that stays. */
function allocate(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
