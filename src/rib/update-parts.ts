// HOT: guarded by bench S1.
/** Parts of UPDATE messages as Adj-RIB-In takes them: addresses in place, attributes without MP ones, errors of prefixes. */
import { AttributeCode, AttributeFlag as WireFlag, BgpError, NotificationCode, UpdateSubcode } from 'bgp-parse';
import type { FamilyRib } from './family-rib.js';
import type { RibPeer } from './rib-peers.js';

/** Up to 32 bits of an address from `at`, zero past `bits`. */
export function readMasked(bytes: Uint8Array, at: number, bits: number): number {
  if (bits === 24) return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8);
  if (bits > 24) {
    const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return bits === 32 ? value : value & (-1 << (32 - bits));
  }
  if (bits === 0) return 0;
  let value = bytes[at]! << 24;
  if (bits > 8) value |= bytes[at + 1]! << 16;
  if (bits > 16) value |= bytes[at + 2]! << 8;
  return value & (-1 << (32 - bits));
}

/** By family and first octet of a prefix of 8 bits or more: 0 = it may be no destination, 1 = it is one. */
export const ORDINARY_OCTETS: readonly [Uint16Array, Uint16Array] = [
  Uint16Array.from({ length: 256 }, (_, octet) => (octet < 0xe0 ? 1 : 0)),
  Uint16Array.from({ length: 256 }, (_, octet) => (octet < 0xfe ? 1 : 0)),
];

/** Multicast (224.0.0.0/4, ff00::/8) or link-local (fe80::/10), the whole prefix. */
export function isNoDestination(bytes: Uint8Array, at: number, length: number, isV4: boolean): boolean {
  const first = bytes[at]!;
  if (isV4) return first < 0xf0;
  return length >= 8 && (first === 0xff || (first === 0xfe && length >= 10 && (bytes[at + 1]! & 0xc0) === 0x80));
}

export function isOnlyAttribute(
  bytes: Uint8Array,
  start: number,
  end: number,
  valueStart: number,
  valueEnd: number,
): boolean {
  return valueEnd === end && valueStart - start === ((bytes[start]! & WireFlag.extendedLength) !== 0 ? 4 : 3);
}

/** RFC 7606 §5.3: prefixes that cannot be parsed end the session (RFC 4271 §6.3: Invalid Network Field). */
export function invalidNlri(peer: RibPeer, rib: FamilyRib): BgpError {
  peer.malformedUpdates++;
  peer.lastMalformed = `${rib.family} prefixes cannot be parsed`;
  return new BgpError(
    `UPDATE: ${rib.family} prefixes cannot be parsed`,
    NotificationCode.update,
    UpdateSubcode.invalidNetworkField,
  );
}

/** RFC 4760 §7: prefixes in an MP attribute: Optional Attribute Error, with the attribute as data (RFC 4271 §6.3). */
export function mpNlriError(error: BgpError, bytes: Uint8Array, valueStart: number, valueEnd: number): BgpError {
  if (error.subcode !== UpdateSubcode.invalidNetworkField) return error;
  // Two octets in front of a short value stands its code; of one with an extended length below 256, a zero.
  const code = bytes[valueStart - 2];
  const short = valueEnd - valueStart < 256 && (code === AttributeCode.mpReach || code === AttributeCode.mpUnreach);
  const data = bytes.slice(valueStart - (short ? 3 : 4), valueEnd);
  return new BgpError(error.message, NotificationCode.update, UpdateSubcode.optionalAttribute, data);
}

/** Attributes of bytes[start, end) but MP_REACH_NLRI and MP_UNREACH_NLRI; an overrun at the end stays one. */
export function copyWithoutMp(bytes: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let at = start;
  let to = 0;
  while (at < end) {
    let next = end;
    let code = -1;
    if (end - at >= 3) {
      const extended = (bytes[at]! & WireFlag.extendedLength) !== 0;
      const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
      next = Math.min(end, at + (extended ? 4 : 3) + length);
      code = bytes[at + 1]!;
    }
    if (code !== AttributeCode.mpReach && code !== AttributeCode.mpUnreach) {
      for (let i = at; i < next; i++) target[to++] = bytes[i]!;
    }
    at = next;
  }
  return to;
}
