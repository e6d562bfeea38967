/**
 * Router solicitations and advertisements of one interface (RFC 4861 §4.1, §4.2) over a raw ICMPv6 socket: how routers on
 * a link find each other's link-local addresses. Never waits; needs CAP_NET_RAW.
 */
import * as libc from './libc.js';
import { hopLimit } from './icmp.js';
import { bindToDevice, parseSocketAddress, socketAddress } from './sockopt.js';

const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const IPV6_MULTICAST_LOOP = 19;
const IPV6_ADD_MEMBERSHIP = 20;
const IPV6_RECVHOPLIMIT = 51;
const ICMP6_FILTER = 1;
const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const ADVERTISEMENT_LENGTH = 16;
const SOLICITATION_LENGTH = 8;
/** RFC 4861 §6.1: what has crossed a router is not of this link. */
const HOP_LIMIT = 255;
const ALL_NODES = linkLocalGroup(1);
const ALL_ROUTERS = linkLocalGroup(2);

export interface RouterMessage {
  readonly kind: 'solicitation' | 'advertisement';
  /** Link-local address of the sender, 16 octets. */
  readonly from: Uint8Array;
}

export class RouterDiscoverySocket {
  readonly #fd: number;
  readonly #interface: string;
  readonly #index: number;
  readonly #buffer = new Uint8Array(2048);

  /** Throws `SystemError` when there is no such interface, or no permission. */
  static open(interfaceName: string): RouterDiscoverySocket {
    const index = libc.interfaceIndex(interfaceName);
    if (index === undefined) throw new libc.SystemError('if_nametoindex', libc.Errno.ENODEV, interfaceName);
    const fd = libc.socket(libc.AF_INET6, libc.SOCK_RAW | libc.SOCK_NONBLOCK, IPPROTO_ICMPV6);
    try {
      bindToDevice(fd, interfaceName);
      libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
      libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOP_LIMIT);
      libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
      libc.setIntegerOption(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
      libc.setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, onlyRouterMessages());
      // A host that does not forward is no member of it.
      libc.setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, membership(ALL_ROUTERS, index));
      return new RouterDiscoverySocket(fd, interfaceName, index);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  private constructor(fd: number, interfaceName: string, index: number) {
    this.#fd = fd;
    this.#interface = interfaceName;
    this.#index = index;
  }

  /** Another interface has the name now, or none: this socket hears nothing any more. */
  get orphaned(): boolean {
    return libc.interfaceIndex(this.#interface) !== this.#index;
  }

  /** "Who is there?" False = it could not be sent now. */
  solicit(): boolean {
    const message = new Uint8Array(SOLICITATION_LENGTH);
    message[0] = ROUTER_SOLICITATION;
    return this.#send(message, ALL_ROUTERS);
  }

  /** "I am", and nobody's default router: the lifetime is 0 (RFC 4861 §4.2). */
  advertise(): boolean {
    const message = new Uint8Array(ADVERTISEMENT_LENGTH);
    message[0] = ROUTER_ADVERTISEMENT;
    return this.#send(message, ALL_NODES);
  }

  /** The next valid message; undefined = there is none now. Throws `SystemError` when the interface has gone. */
  receive(): RouterMessage | undefined {
    for (;;) {
      const message = libc.recvmsg(this.#fd, this.#buffer);
      if (typeof message === 'number') {
        if (message === -libc.Errno.EAGAIN || message === -libc.Errno.EINTR) return undefined;
        throw new libc.SystemError('recvmsg', -message);
      }
      const from = parseSocketAddress(message.name)?.address;
      const kind = this.#buffer[0] === ROUTER_ADVERTISEMENT ? 'advertisement' : 'solicitation';
      const least = kind === 'advertisement' ? ADVERTISEMENT_LENGTH : SOLICITATION_LENGTH;
      // RFC 4861 §6.1: code 0, long enough, not forwarded, and from a link-local address.
      const valid = message.length >= least && this.#buffer[1] === 0 && hopLimit(message.control) === HOP_LIMIT;
      if (valid && from && isLinkLocal(from)) return { kind, from };
    }
  }

  close(): void {
    libc.close(this.#fd);
  }

  #send(message: Uint8Array, group: Uint8Array): boolean {
    // RFC 3542 §3.1: the kernel computes the checksum of ICMPv6 sockets.
    return libc.sendto(this.#fd, message, socketAddress(group, 0, this.#index)) >= 0;
  }
}

function linkLocalGroup(last: number): Uint8Array {
  const address = new Uint8Array(16);
  address[0] = 0xff;
  address[1] = 0x02;
  address[15] = last;
  return address;
}

function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

/** struct icmp6_filter: a bit that is set keeps the type out. */
function onlyRouterMessages(): Uint8Array {
  const words = new Uint32Array(8).fill(0xffffffff);
  for (const type of [ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT]) words[type >> 5]! &= ~(1 << (type & 31));
  return new Uint8Array(words.buffer);
}

/** struct ipv6_mreq. */
function membership(group: Uint8Array, index: number): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes.set(group);
  new DataView(bytes.buffer).setUint32(16, index, libc.littleEndian);
  return bytes;
}
