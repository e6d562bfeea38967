/**
 * TCP sockets with what `node:net` cannot do (`sendNow`) or set: MD5 keys (RFC 2385), TTL and minimum TTL (GTSM, RFC 5082), device
 * binding, IPv6-only. A socket is made and prepared here as a file descriptor, then given to
 * `new net.Socket({ fd })` or `server.listen({ fd })`, which owns it from then on: never close it here after that.
 *
 * Addresses are 4 or 16 octets in network order.
 */
import { readFileSync } from 'node:fs';
import * as libc from './libc.js';

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IP_PKTOPTIONS = 9;
const IP_MINTTL = 21;
const IPPROTO_IPV6 = 41;
const IPV6_2292PKTOPTIONS = 6;
const IPV6_UNICAST_HOPS = 16;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_TCLASS = 67;
const IPV6_MINHOPCOUNT = 73;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_SAVE_SYN = 27;
const TCP_SAVED_SYN = 28;
const TCP_MD5SIG_EXT = 32;
const TCP_MD5SIG_FLAG_PREFIX = 1;

const SOCKADDR_STORAGE_LENGTH = 128;
const MD5_KEY_MAX = 80;
const TCP_MD5SIG_LENGTH = SOCKADDR_STORAGE_LENGTH + 8 + MD5_KEY_MAX;

/** Which kind of address a socket was made for. */
export type SocketFamily = 4 | 6;

/** A raw sockaddr_in or sockaddr_in6; `scopeId` is the interface index of a link-local address. */
export function socketAddress(address: Uint8Array, port: number, scopeId = 0): Uint8Array {
  if (address.length !== 4 && address.length !== 16) {
    throw new RangeError(`an address has 4 or 16 octets, not ${address.length}`);
  }
  const bytes = new Uint8Array(address.length === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, address.length === 4 ? libc.AF_INET : libc.AF_INET6, libc.littleEndian);
  view.setUint16(2, port);
  bytes.set(address, address.length === 4 ? 4 : 8);
  if (address.length === 16) view.setUint32(24, scopeId, libc.littleEndian);
  return bytes;
}

/** Address and port of a raw sockaddr; undefined when it is neither IPv4 nor IPv6. */
export function parseSocketAddress(raw: Uint8Array): { address: Uint8Array; port: number } | undefined {
  if (raw.length < 16) return undefined;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const family = view.getUint16(0, libc.littleEndian);
  if (family === libc.AF_INET) return { address: raw.slice(4, 8), port: view.getUint16(2) };
  if (family === libc.AF_INET6 && raw.length >= 28) return { address: raw.slice(8, 24), port: view.getUint16(2) };
  return undefined;
}

/** A non-blocking TCP socket; the caller owns the descriptor until `node:net` takes it. */
export function createTcpSocket(family: SocketFamily): number {
  return libc.socket(family === 4 ? libc.AF_INET : libc.AF_INET6, libc.SOCK_STREAM | libc.SOCK_NONBLOCK, 0);
}

/** Binds to a local address and port (0 = any port), with SO_REUSEADDR so that a restart may bind at once. */
export function bindSocket(fd: number, address: Uint8Array, port: number, scopeId = 0): void {
  libc.setIntegerOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  libc.bind(fd, socketAddress(address, port, scopeId));
}

export function listenSocket(fd: number, backlog = 511): void {
  libc.listen(fd, backlog);
}

/** Only for a descriptor that no `net.Socket` or server has taken. */
export function closeSocket(fd: number): void {
  libc.close(fd);
}

/** The socket's own address and port. */
export function socketName(fd: number): { address: Uint8Array; port: number } {
  const name = parseSocketAddress(libc.getsockname(fd));
  if (!name) throw new Error('getsockname: neither an IPv4 nor an IPv6 socket');
  return name;
}

/** An IPv6 socket that takes no IPv4-mapped traffic, so that both families may listen on one port. */
export function setIpv6Only(fd: number, only: boolean): void {
  libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, only ? 1 : 0);
}

/** TTL (hop limit) of what is sent, 1..255. `family` is the socket's. */
export function setTtl(fd: number, family: SocketFamily, ttl: number): void {
  if (family === 4) libc.setIntegerOption(fd, IPPROTO_IP, IP_TTL, ttl);
  else {
    libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
    setIfMapped(fd, IP_TTL, ttl);
  }
}

/**
 * RFC 5082 §3: the kernel drops what arrives with a lower TTL (hop limit). 0 = accept all. Accepted connections
 * inherit it from the listener.
 */
export function setMinTtl(fd: number, family: SocketFamily, ttl: number): void {
  if (family === 4) libc.setIntegerOption(fd, IPPROTO_IP, IP_MINTTL, ttl);
  else {
    libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl);
    setIfMapped(fd, IP_MINTTL, ttl);
  }
}

/** On a listener: the kernel keeps the headers of the SYN of each connection, for `savedSynTtl` (Linux 4.2). */
export function saveSyn(fd: number): void {
  libc.setIntegerOption(fd, IPPROTO_TCP, TCP_SAVE_SYN, 1);
}

/**
 * TTL (hop limit) with which the SYN of an accepted connection arrived; undefined when the kernel has not kept it (the
 * listener was not told `saveSyn`, or it was answered with a SYN cookie). Can be asked once.
 */
export function savedSynTtl(fd: number): number | undefined {
  // An IPv6 header with extensions, and the largest TCP header.
  const headers = libc.getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, 512);
  if (headers.length < 20) return undefined;
  return headers[headers[0]! >> 4 === 4 ? 8 : 7];
}

/** A control message of 64-bit systems: length, level and type. */
const CMSG_HEADER_LENGTH = 16;

/**
 * Index of the interface that an accepted connection came in by (of a VRF's interface, that of the VRF); undefined when
 * the kernel does not say.
 */
export function acceptedInterface(fd: number, family: SocketFamily): number | undefined {
  const [level, asks, options] =
    family === 4 ? [IPPROTO_IP, IP_PKTINFO, IP_PKTOPTIONS] : [IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_2292PKTOPTIONS];
  libc.setIntegerOption(fd, level, asks, 1);
  const control = libc.getsockopt(fd, level, options, 64);
  libc.setIntegerOption(fd, level, asks, 0);
  // struct in_pktinfo begins with the index, struct in6_pktinfo ends with it.
  const at = CMSG_HEADER_LENGTH + (family === 4 ? 0 : 16);
  if (control.length < at + 4) return undefined;
  const index = new DataView(control.buffer, control.byteOffset).getInt32(at, libc.littleEndian);
  return index > 0 ? index : undefined;
}

/** Index of the device that an interface belongs to, a VRF say; undefined when it belongs to none. */
export function masterIndex(name: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/master/ifindex`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** RFC 4271 Appendix E: BGP is sent with IP precedence 110 (DSCP CS6, 0xc0). */
export function setTrafficClass(fd: number, family: SocketFamily, value: number): void {
  if (family === 4) libc.setIntegerOption(fd, IPPROTO_IP, IP_TOS, value);
  else {
    libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_TCLASS, value);
    setIfMapped(fd, IP_TOS, value);
  }
}

/**
 * Hands octets of a connected socket to the kernel without waiting: how many it took, 0 when its buffer is full, or the
 * negative errno. For a socket that `node:net` owns: only while nothing that was written to it there is waiting.
 */
export function sendNow(fd: number, bytes: Uint8Array): number {
  const sent = libc.send(fd, bytes, bytes.length, libc.MSG_DONTWAIT | libc.MSG_NOSIGNAL);
  return sent === -libc.Errno.EAGAIN ? 0 : sent;
}

/** Traffic of this socket uses only the named interface (or VRF device). Empty name = any again. */
export function bindToDevice(fd: number, name: string): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(`${name}\0`));
}

export interface TcpMd5Target {
  /** The peer, 4 or 16 octets; with `prefixLength` the network of the peers. */
  readonly address: Uint8Array;
  /** One key for all addresses of the prefix (listen ranges); undefined = this address alone. */
  readonly prefixLength?: number | undefined;
}

/**
 * RFC 2385: signs and checks segments from and to the target. Works before `connect`, and on a listener at any time;
 * accepted sockets inherit the key. A peer without the right key is ignored silently by the kernel.
 * On an IPv6 socket an IPv4 target is given as its IPv4-mapped address by this function.
 */
export function setTcpMd5(fd: number, family: SocketFamily, target: TcpMd5Target, password: string): void {
  const key = new TextEncoder().encode(password);
  if (key.length === 0 || key.length > MD5_KEY_MAX) {
    throw new RangeError(`a TCP MD5 password has 1 to ${MD5_KEY_MAX} octets, not ${key.length}`);
  }
  libc.setsockopt(fd, IPPROTO_TCP, md5Option(target), encodeTcpMd5(family, target, key));
}

/** Removes the key of a target; that there is none (ENOENT) is no error. */
export function clearTcpMd5(fd: number, family: SocketFamily, target: TcpMd5Target): void {
  try {
    libc.setsockopt(fd, IPPROTO_TCP, md5Option(target), encodeTcpMd5(family, target, new Uint8Array(0)));
  } catch (error) {
    if (!(error instanceof libc.SystemError && error.errno === libc.Errno.ENOENT)) throw error;
  }
}

/** struct tcp_md5sig of <linux/tcp.h>: an empty key deletes. */
export function encodeTcpMd5(family: SocketFamily, target: TcpMd5Target, key: Uint8Array): Uint8Array {
  const mapped = family === 6 && target.address.length === 4;
  const bytes = new Uint8Array(TCP_MD5SIG_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes.set(socketAddress(mapped ? mapToIpv6(target.address) : target.address, 0));
  if (target.prefixLength !== undefined) {
    view.setUint8(SOCKADDR_STORAGE_LENGTH, TCP_MD5SIG_FLAG_PREFIX);
    // The kernel counts the bits of an IPv4-mapped prefix as IPv4: at most 32, else EINVAL.
    view.setUint8(SOCKADDR_STORAGE_LENGTH + 1, target.prefixLength);
  }
  view.setUint16(SOCKADDR_STORAGE_LENGTH + 2, key.length, libc.littleEndian);
  bytes.set(key, SOCKADDR_STORAGE_LENGTH + 8);
  return bytes;
}

/** RFC 4291 §2.5.5.2: ::ffff:a.b.c.d. */
export function mapToIpv6(address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(address, 12);
  return bytes;
}

function md5Option(target: TcpMd5Target): number {
  return target.prefixLength === undefined ? TCP_MD5SIG : TCP_MD5SIG_EXT;
}

/** IPv4-mapped connections of a dual-stack socket go by the IPv4 options. */
function setIfMapped(fd: number, option: number, value: number): void {
  if (libc.getIntegerOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0) libc.setIntegerOption(fd, IPPROTO_IP, option, value);
}
