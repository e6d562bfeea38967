/**
 * TCP options of a session that `node:net` cannot set: MD5 keys (RFC 2385), TTL and GTSM (RFC 5082), binding to an
 * interface; and sending past its streams. The only file of this folder that knows the `netlink` package.
 *
 * RFC 4271 is silent about TTL, but the usual rule holds: an external peer is directly connected (TTL 1) unless
 * `multihop` or `ttlSecurity` say otherwise; internal peers keep the system's default.
 */
import {
  SystemError,
  acceptedInterface,
  bindSocket,
  bindToDevice,
  clearTcpMd5,
  closeSocket,
  createTcpSocket,
  interfaceIndex,
  masterIndex,
  saveSyn,
  savedSynTtl,
  setIpv6Only,
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

/** A bound socket that does not listen yet: its guards are set first, so that nobody gets in before them. */
export function prepareListener(address: AddressBytes, port: number, interfaceName: string | undefined): number {
  const family = familyOf(address);
  const fd = createTcpSocket(family);
  try {
    // "0.0.0.0" and "::" stand side by side in `listen`.
    if (family === 6) setIpv6Only(fd, true);
    // Accepted connections have it from here, also those that are refused with a NOTIFICATION.
    setTrafficClass(fd, family, TRAFFIC_CLASS);
    bindSocket(fd, address, port, interfaceName === undefined ? 0 : interfaceIndex(interfaceName));
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}

export { closeSocket };

/**
 * RFC 5082 §3: a peer that guards itself drops our SYN-ACK unless it is sent with 255, and that is the listener's. The
 * least TTL cannot be: other peers come by the same listener. So the TTL of each SYN is kept for `applyToAccepted`.
 */
export function guardListenerTtl(fd: number, listenerFamily: SocketFamily): void {
  setTtl(fd, listenerFamily, 255);
  saveSyn(fd);
}

/**
 * Options of an accepted connection. Throws when it must not go on: what arrived before the least TTL was set is in the
 * socket's buffer already, so it counts with what TTL the connection was opened.
 */
export function applyToAccepted(
  fd: number,
  listenerFamily: SocketFamily,
  address: AddressBytes,
  options: SocketOptions,
): void {
  const { minTtl, password } = options;
  setTtls(fd, listenerFamily, { ...options, ttl: options.ttl ?? SYSTEM_TTL });
  // A link-local peer has been found by its interface.
  if (options.interface !== undefined && !isLinkLocal(address)) checkInterface(fd, listenerFamily, options.interface);
  if (minTtl !== undefined) {
    const ttl = savedSynTtl(fd);
    if (ttl === undefined) throw new Error('ttlSecurity: the TTL it came with is not known (SYN flood?)');
    if (ttl < minTtl) throw new Error(`ttlSecurity: it came with TTL ${ttl}, the least is ${minTtl}`);
  }
  // The listener's key is on it, unless it was opened before there was one, or with another.
  if (password !== undefined) signAccepted(fd, listenerFamily, address, password);
}

/** It must have come by the peer's interface, and goes on by that alone, as what we dial does. */
function checkInterface(fd: number, family: SocketFamily, name: string): void {
  const index = acceptedInterface(fd, family);
  const isThere = index !== undefined && (index === interfaceIndex(name) || index === masterIndex(name));
  if (!isThere) throw new Error(`interface: it did not come in by ${name}`);
  attempt('interface', () => bindToDevice(fd, name));
}

function signAccepted(fd: number, family: SocketFamily, address: AddressBytes, password: string): void {
  try {
    attempt('password', () => setTcpMd5(fd, family, { address }, password));
  } catch (error) {
    // Before Linux 5.8 a connected socket takes no key.
    if (!(error instanceof Error && error.cause instanceof SystemError && error.cause.code === 'EINVAL')) throw error;
  }
}

/** Sets (or with undefined clears) the key of a peer on a listener. */
export function setListenerPassword(
  fd: number,
  listenerFamily: SocketFamily,
  target: { readonly address: AddressBytes; readonly prefixLength?: number | undefined },
  password: string | undefined,
): void {
  if (password === undefined) clearTcpMd5(fd, listenerFamily, target);
  else attempt('password', () => setTcpMd5(fd, listenerFamily, target, password), KEY_MEMORY);
}

/** A socket may hold about 150 keys where this is 20480, and 960 where it is 131072. */
const KEY_MEMORY = 'the keys of a listener take their memory from net.core.optmem_max: raise it, or use a listen range';

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
function attempt(key: string, run: () => void, onNoMemory = ''): void {
  try {
    run();
  } catch (error) {
    const advice =
      onNoMemory !== '' && error instanceof SystemError && error.code === 'ENOMEM' ? `; ${onNoMemory}` : '';
    throw new Error(`${key}: ${error instanceof Error ? error.message : String(error)}${advice}`, { cause: error });
  }
}
