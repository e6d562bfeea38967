/**
 * Addresses as Node's sockets spell them: `::ffff:192.0.2.1` for IPv4 on a dual-stack socket, `fe80::1%eth0` for
 * link-local ones. Inside, an address is octets and the interface stands beside it.
 */
import { formatAddress, parseAddress } from 'bgp-parse';
import type { AddressBytes } from 'bgp-parse';

const MAPPED_PREFIX = '::ffff:';

/** Without the scope, and without the IPv4-mapped prefix. */
export function bareAddress(text: string): string {
  const scope = text.indexOf('%');
  const address = scope < 0 ? text : text.slice(0, scope);
  return address.startsWith(MAPPED_PREFIX) && address.includes('.') ? address.slice(MAPPED_PREFIX.length) : address;
}

/** The interface of a link-local address; undefined when there is none. */
export function scopeOf(text: string): string | undefined {
  const scope = text.indexOf('%');
  return scope < 0 ? undefined : text.slice(scope + 1);
}

/** RFC 4291 §2.5.6: fe80::/10. */
export function isLinkLocal(address: AddressBytes): boolean {
  return address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}

/** The key under which a peer is found: its address, with the interface when it is link-local. */
export function peerKey(address: AddressBytes, interfaceName: string | undefined): string {
  const text = formatAddress(address);
  return isLinkLocal(address) && interfaceName !== undefined ? `${text}%${interfaceName}` : text;
}

/** Octets of an address as a socket spells it; undefined when it is none. */
export function parseSocketAddress(text: string): AddressBytes | undefined {
  return parseAddress(bareAddress(text));
}
