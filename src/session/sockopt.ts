/**
 * TCP options of a session that `node:net` cannot set: MD5 keys (RFC 2385), TTL and GTSM (RFC 5082), binding to an
 * interface; and sending past its streams. The only file of this folder that knows the `netlink` package.
 *
 * RFC 4271 is silent about TTL, but the usual rule holds: an external peer is directly connected (TTL 1) unless
 * `multihop` or `ttlSecurity` say otherwise; internal peers keep the system's default.
 */
import {
  bindSocket,
  bindToDevice,
  clearTcpMd5,
  closeSocket,
  createTcpSocket,
  interfaceIndex,
  setMinTtl,
  setTcpMd5,
  setTrafficClass,
  setTtl,
} from 'netlink';
import type { SocketFamily } from 'netlink';
import type { AddressBytes } from 'bgp-parse';
import { isLinkLocal } from './address.js';

export { sendNow } from 'netlink';

export interface SocketOptions {
  /** TTL to send; undefined = the system's. */
  readonly ttl: number | undefined;
  /** Least TTL to take, 1..255; undefined = any. */
  readonly minTtl: number | undefined;
  /** TCP MD5 password. Never in an error text. */
  readonly password: string | undefined;
  readonly interface: string | undefined;
}

export interface SocketTarget {
  readonly address: AddressBytes;
  readonly localAddress: AddressBytes | undefined;
}

/** RFC 4271 Appendix E: BGP travels with IP precedence 110 (CS6). */
const TRAFFIC_CLASS = 0xc0;

/** TTL options of a peer. `external`: of another AS, as far as the configuration tells. */
export function ttlOptions(
  peer: { readonly multihop: number | undefined; readonly ttlSecurityHops: number | undefined },
  external: boolean,
): Pick<SocketOptions, 'ttl' | 'minTtl'> {
  // RFC 5082 §3: both send 255, and take what has lost no more than the hops between.
  if (peer.ttlSecurityHops !== undefined) return { ttl: 255, minTtl: 256 - peer.ttlSecurityHops };
  if (peer.multihop !== undefined) return { ttl: peer.multihop, minTtl: undefined };
  return { ttl: external ? 1 : undefined, minTtl: undefined };
}

/**
 * A TCP socket with the options set and bound, to dial with. The descriptor is the caller's until `node:net` takes it.
 * Throws with the option that failed.
 */
export function prepareDial(target: SocketTarget, options: SocketOptions): number {
  const { password } = options;
  const family = familyOf(target.address);
  const fd = createTcpSocket(family);
  try {
    if (options.interface !== undefined) attempt('interface', () => bindToDevice(fd, options.interface!));
    setTtls(fd, family, options);
    if (password !== undefined) {
      attempt('password', () => setTcpMd5(fd, family, { address: target.address }, password));
    }
    const { localAddress } = target;
    if (localAddress) {
      const scope = isLinkLocal(localAddress) && options.interface ? interfaceIndex(options.interface) : 0;
      attempt('localAddress', () => bindSocket(fd, localAddress, 0, scope));
    }
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}

/** For `ttl`: what the system sends by itself. */
const SYSTEM_TTL = -1;

/** RFC 5082 §3: a peer that guards itself drops our SYN-ACK unless it is sent with 255, and that is the listener's. */
export function raiseListenerTtl(fd: number, listenerFamily: SocketFamily): void {
  setTtl(fd, listenerFamily, 255);
}

/** Options of an accepted connection; its MD5 key is the listener's, its TTL may be (see `raiseListenerTtl`). */
export function applyToAccepted(fd: number, listenerFamily: SocketFamily, options: SocketOptions): void {
  setTtls(fd, listenerFamily, { ...options, ttl: options.ttl ?? SYSTEM_TTL });
}

/** Sets (or with undefined clears) the key of a peer on a listener. */
export function setListenerPassword(
  fd: number,
  listenerFamily: SocketFamily,
  target: { readonly address: AddressBytes; readonly prefixLength?: number | undefined },
  password: string | undefined,
): void {
  if (password === undefined) clearTcpMd5(fd, listenerFamily, target);
  else attempt('password', () => setTcpMd5(fd, listenerFamily, target, password));
}

export function familyOf(address: AddressBytes): SocketFamily {
  return address.length === 4 ? 4 : 6;
}

function setTtls(fd: number, family: SocketFamily, options: SocketOptions): void {
  setTrafficClass(fd, family, TRAFFIC_CLASS);
  const { ttl, minTtl } = options;
  if (ttl !== undefined) attempt('ttl', () => setTtl(fd, family, ttl));
  if (minTtl !== undefined) attempt('ttlSecurity', () => setMinTtl(fd, family, minTtl));
}

/** Errors name the configuration key: "localAddress: EADDRNOTAVAIL …". */
function attempt(key: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    throw new Error(`${key}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
