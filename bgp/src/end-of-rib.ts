/**
 * End-of-RIB (RFC 4724 §2): an UPDATE without anything for IPv4 unicast, one with only an empty MP_UNREACH_NLRI for
 * other families.
 */
import { AttributeCode, AttributeFlag, MessageType } from './constants.js';
import { type Family, Safi, afiOf, familyOf } from './family.js';
import { buildMessage } from './message/header.js';

/** The whole message, header included. */
export function endOfRib(family: Family): Uint8Array {
  if (family === 'ipv4-unicast') return buildMessage(MessageType.update, [0, 0, 0, 0]);
  const unreach = [AttributeFlag.optional, AttributeCode.mpUnreach, 3, 0, afiOf(family), Safi.unicast];
  return buildMessage(MessageType.update, [0, 0, 0, unreach.length, ...unreach]);
}

/**
 * The family whose End-of-RIB the UPDATE body bytes[start, end) is; undefined: an ordinary UPDATE (or another family).
 * The MP_UNREACH_NLRI form is known for IPv4 too, and with an extended length.
 */
export function endOfRibFamily(bytes: Uint8Array, start: number, end: number): Family | undefined {
  const length = end - start;
  if (length === 4) return isZero(bytes, start, 4) ? 'ipv4-unicast' : undefined;
  if (length !== 10 && length !== 11) return undefined;
  const extended = length === 11;
  // No withdrawn routes; the attributes reach to the end; their one value is AFI and SAFI alone.
  if (!isZero(bytes, start, 3) || bytes[start + 3] !== length - 4) return undefined;
  if (bytes[start + 5] !== AttributeCode.mpUnreach) return undefined;
  if (((bytes[start + 4]! & AttributeFlag.extendedLength) !== 0) !== extended) return undefined;
  if (extended && bytes[start + 6] !== 0) return undefined;
  if (bytes[end - 4] !== 3) return undefined;
  return familyOf((bytes[end - 3]! << 8) | bytes[end - 2]!, bytes[end - 1]!);
}

function isZero(bytes: Uint8Array, start: number, count: number): boolean {
  for (let i = start; i < start + count; i++) if (bytes[i] !== 0) return false;
  return true;
}
