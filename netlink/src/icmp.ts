/**
 * ICMP echo for IPv4 (RFC 792) and IPv6 (RFC 4443 §4) over raw sockets, with the TTL of the reply, for hosts that have
 * no `ping`. Works in the network namespace of the calling thread; needs CAP_NET_RAW.
 *
 * Replies are polled for with short timers, so no thread waits in a system call.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import * as libc from './libc.js';
import { parseSocketAddress, socketAddress } from './sockopt.js';

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_IPV6 = 41;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;
const ICMP_ECHO = 8;
const ICMP_ECHO_REPLY = 0;
const ICMPV6_ECHO = 128;
const ICMPV6_ECHO_REPLY = 129;
const ECHO_LENGTH = 64;
const POLL_MS = 1;

export interface PingReply {
  /** Who answered, as text. */
  readonly from: string;
  readonly sequence: number;
  /** TTL (hop limit) with which the reply arrived. */
  readonly ttl: number;
  readonly rttMs: number;
}

export interface PingOptions {
  /** Echo requests to send; default 3. */
  readonly count?: number;
  /** How long to wait for each reply; default 1000. */
  readonly timeoutMs?: number;
  /** From one request to the next; default 200. */
  readonly intervalMs?: number;
  /** Source address; default the kernel's choice. */
  readonly source?: string;
}

/**
 * Sends `count` echo requests to an IPv4 or IPv6 address (`fe80::1%eth0` for link-local) and gives the replies that
 * came in time, one per request at most. No route, or a host that does not answer, gives fewer replies, no error;
 * EPERM (no CAP_NET_RAW) and a malformed address throw.
 */
export async function ping(address: string, options: PingOptions = {}): Promise<PingReply[]> {
  const { count = 3, timeoutMs = 1000, intervalMs = 200 } = options;
  const echo = isIPv4(address) ? new Echo4(address, options.source) : new Echo6(address, options.source);
  const replies: PingReply[] = [];
  try {
    for (let sequence = 1; sequence <= count; sequence++) {
      const sentMs = performance.now();
      echo.send(sequence);
      let reply: PingReply | undefined;
      while (!(reply = echo.receive(sequence, sentMs)) && performance.now() - sentMs < timeoutMs) await delay(POLL_MS);
      if (reply) replies.push(reply);
      const restMs = intervalMs - (performance.now() - sentMs);
      if (sequence < count && restMs > 0) await delay(restMs);
    }
  } finally {
    echo.close();
  }
  return replies;
}

/** An echo message without checksum: type, code, checksum, identifier, sequence, padding. */
export function encodeEcho(type: number, identifier: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(ECHO_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  for (let i = 8; i < ECHO_LENGTH; i++) bytes[i] = i;
  return bytes;
}

/** RFC 1071. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Random, so that pings of several processes of a namespace do not take each other's replies. */
function newIdentifier(): number {
  return 1 + Math.floor(Math.random() * 0xfffe);
}

/** Errors of `send` that mean "unreachable now", which for a ping is just silence. */
const unreachable = new Set<number>([
  libc.Errno.ENETUNREACH,
  libc.Errno.EHOSTUNREACH,
  libc.Errno.ENETDOWN,
  libc.Errno.EAGAIN,
  libc.Errno.ENOBUFS,
]);

abstract class Echo {
  protected readonly fd: number;
  protected readonly identifier = newIdentifier();
  protected readonly buffer = new Uint8Array(2048);
  protected readonly view = new DataView(this.buffer.buffer);
  readonly #target: Uint8Array;

  constructor(family: number, protocol: number, target: Uint8Array, source: Uint8Array | undefined) {
    this.fd = libc.socket(family, libc.SOCK_RAW | libc.SOCK_NONBLOCK, protocol);
    this.#target = target;
    if (!source) return;
    try {
      libc.bind(this.fd, source);
    } catch (error) {
      libc.close(this.fd);
      throw error;
    }
  }

  protected sendMessage(message: Uint8Array): void {
    const sent = libc.sendto(this.fd, message, this.#target);
    if (sent < 0 && !unreachable.has(-sent)) throw new libc.SystemError('sendto', -sent);
  }

  close(): void {
    libc.close(this.fd);
  }
}

class Echo4 extends Echo {
  constructor(address: string, source: string | undefined) {
    super(
      libc.AF_INET,
      IPPROTO_ICMP,
      socketAddress(ipv4Octets(address), 0),
      source === undefined ? undefined : socketAddress(ipv4Octets(source), 0),
    );
  }

  send(sequence: number): void {
    const message = encodeEcho(ICMP_ECHO, this.identifier, sequence);
    new DataView(message.buffer).setUint16(2, internetChecksum(message));
    this.sendMessage(message);
  }

  receive(sequence: number, sentMs: number): PingReply | undefined {
    for (;;) {
      const length = libc.recv(this.fd, this.buffer);
      if (length < 0) return undefined;
      // A raw IPv4 socket hands over the IP header too, which holds the TTL.
      const header = (this.buffer[0]! & 15) * 4;
      if (length < header + 8 || this.buffer[header] !== ICMP_ECHO_REPLY) continue;
      if (this.view.getUint16(header + 4) !== this.identifier || this.view.getUint16(header + 6) !== sequence) continue;
      const from = this.buffer.subarray(12, 16).join('.');
      return { from, sequence, ttl: this.buffer[8]!, rttMs: performance.now() - sentMs };
    }
  }
}

class Echo6 extends Echo {
  constructor(address: string, source: string | undefined) {
    super(libc.AF_INET6, IPPROTO_ICMPV6, ipv6Address(address), source === undefined ? undefined : ipv6Address(source));
    libc.setIntegerOption(this.fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  }

  send(sequence: number): void {
    // RFC 3542 §3.1: the kernel computes the checksum of ICMPv6 sockets.
    this.sendMessage(encodeEcho(ICMPV6_ECHO, this.identifier, sequence));
  }

  receive(sequence: number, sentMs: number): PingReply | undefined {
    for (;;) {
      const message = libc.recvmsg(this.fd, this.buffer);
      if (typeof message === 'number') return undefined;
      if (message.length < 8 || this.buffer[0] !== ICMPV6_ECHO_REPLY) continue;
      if (this.view.getUint16(4) !== this.identifier || this.view.getUint16(6) !== sequence) continue;
      const sender = parseSocketAddress(message.name)?.address;
      const from = sender ? ipv6Text(sender) : '';
      return { from, sequence, ttl: hopLimit(message.control) ?? 0, rttMs: performance.now() - sentMs };
    }
  }
}

/** The IPV6_HOPLIMIT item of a cmsghdr list. */
export function hopLimit(control: Uint8Array): number | undefined {
  const view = new DataView(control.buffer, control.byteOffset, control.length);
  for (let at = 0; at + 16 <= control.length;) {
    const length = Number(view.getBigUint64(at, libc.littleEndian));
    const level = view.getInt32(at + 8, libc.littleEndian);
    const type = view.getInt32(at + 12, libc.littleEndian);
    if (length < 16 || at + length > control.length) return undefined;
    if (level === IPPROTO_IPV6 && type === IPV6_HOPLIMIT && length >= 20)
      return view.getInt32(at + 16, libc.littleEndian);
    at += (length + 7) & ~7;
  }
  return undefined;
}

function ipv4Octets(text: string): Uint8Array {
  if (!isIPv4(text)) throw new RangeError(`not an IPv4 address: ${text}`);
  return Uint8Array.from(text.split('.'), Number);
}

function ipv6Address(text: string): Uint8Array {
  const [address = '', zone] = text.split('%');
  if (!isIPv6(address)) throw new RangeError(`not an IPv4 or IPv6 address: ${text}`);
  const index = zone === undefined ? 0 : libc.interfaceIndex(zone);
  if (index === undefined) throw new RangeError(`no interface named ${zone ?? ''}`);
  return socketAddress(ipv6Octets(address), 0, index);
}

function ipv6Octets(text: string): Uint8Array {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const hex = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16);
  const plain = dotted ? `${dotted[1]!}${hex(dotted[2]!, dotted[3]!)}:${hex(dotted[4]!, dotted[5]!)}` : text;
  const [head = '', tail] = plain.split('::');
  const groups = (part: string | undefined) => (part ? part.split(':').map((group) => parseInt(group, 16)) : []);
  const before = groups(head);
  const after = groups(tail);
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}

/** RFC 5952 text, by way of the URL parser's canonical form. */
function ipv6Text(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
