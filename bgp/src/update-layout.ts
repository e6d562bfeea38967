// HOT: runs for every UPDATE; no allocation unless there is an error. Guarded by bench S1.
/**
 * Where the parts of an UPDATE lie, as offsets into the receive buffer.
 *
 * Everything here decides whether the *prefixes* of a message can be found at all. When they cannot, RFC 7606 leaves only
 * a session reset; when they can, whatever else is wrong with the attributes is left to attribute-scan.ts.
 *
 *   | withdrawn length 2 | withdrawn … | attributes length 2 | attributes … | NLRI … |          RFC 4271 §4.3
 *   MP_REACH_NLRI   | AFI 2 | SAFI 1 | next-hop length 1 | next hop … | reserved 1 | NLRI … |   RFC 4760 §3
 *   MP_UNREACH_NLRI | AFI 2 | SAFI 1 | withdrawn NLRI … |                                       RFC 4760 §4
 */
import { BgpError } from './errors.js';
import { AttributeCode, AttributeFlag, NotificationCode, UpdateSubcode, attributeName } from './constants.js';
import { Afi, Safi } from './family.js';

/** Ranges of the three parts of an UPDATE body. */
export class UpdateLayout {
  withdrawnStart = 0;
  withdrawnEnd = 0;
  attributesStart = 0;
  attributesEnd = 0;
  nlriStart = 0;
  nlriEnd = 0;
}

/** Finds the three parts of the UPDATE body bytes[start, end). Lengths that lie end the session (3/1). */
export function locateUpdate(bytes: Uint8Array, start: number, end: number, out: UpdateLayout): BgpError | undefined {
  // RFC 4271 §6.3: "If the Withdrawn Routes Length or Total Attribute Length is too large ... Malformed Attribute List".
  if (end - start < 4) return malformedList('UPDATE: shorter than its two length fields');
  const withdrawnStart = start + 2;
  const withdrawnEnd = withdrawnStart + ((bytes[start]! << 8) | bytes[start + 1]!);
  if (withdrawnEnd + 2 > end) return malformedList('UPDATE: Withdrawn Routes Length is too large');
  const attributesStart = withdrawnEnd + 2;
  const attributesEnd = attributesStart + ((bytes[withdrawnEnd]! << 8) | bytes[withdrawnEnd + 1]!);
  if (attributesEnd > end) return malformedList('UPDATE: Total Path Attribute Length is too large');
  out.withdrawnStart = withdrawnStart;
  out.withdrawnEnd = withdrawnEnd;
  out.attributesStart = attributesStart;
  out.attributesEnd = attributesEnd;
  out.nlriStart = attributesEnd;
  out.nlriEnd = end;
  return undefined;
}

/** Where MP_REACH_NLRI and MP_UNREACH_NLRI lie. `reachStart` / `unreachStart` = -1: absent, the rest is then 0. */
export class MpLayout {
  /** Value range of MP_REACH_NLRI. */
  reachStart = -1;
  reachEnd = -1;
  reachAfi = 0;
  reachSafi = 0;
  reachNextHopStart = 0;
  /** Octets: 4, 16 or 32 for the unicast families; anything for others. */
  reachNextHopLength = 0;
  reachNlriStart = 0;
  reachNlriEnd = 0;
  /** Value range of MP_UNREACH_NLRI. */
  unreachStart = -1;
  unreachEnd = -1;
  unreachAfi = 0;
  unreachSafi = 0;
  unreachNlriStart = 0;
  unreachNlriEnd = 0;
}

/**
 * Finds MP_REACH_NLRI and MP_UNREACH_NLRI among the attributes bytes[start, end) and splits them; all other attributes
 * are only stepped over. An attribute that overruns the end stops the walk without an error unless it is one of the two
 * (RFC 7606 §4; scanAttributes finds it again).
 *
 * An error means that the prefixes cannot be trusted to have been found: session reset (3/9, RFC 4760 §7).
 */
export function locateMp(bytes: Uint8Array, start: number, end: number, out: MpLayout): BgpError | undefined {
  out.reachStart = out.reachEnd = out.unreachStart = out.unreachEnd = -1;
  out.reachNlriStart = out.reachNlriEnd = out.unreachNlriStart = out.unreachNlriEnd = 0;
  out.reachAfi = out.reachSafi = out.unreachAfi = out.unreachSafi = 0;
  out.reachNextHopStart = out.reachNextHopLength = 0;
  let at = start;
  while (end - at >= 3) {
    const flags = bytes[at]!;
    const code = bytes[at + 1]!;
    let valueStart = at + 3;
    let length = bytes[at + 2]!;
    const isMp = code === AttributeCode.mpReach || code === AttributeCode.mpUnreach;
    if (flags & AttributeFlag.extendedLength) {
      valueStart = at + 4;
      if (valueStart > end) {
        if (isMp) return mpError(bytes, at, end, 'length field cut off');
        break;
      }
      length = (length << 8) | bytes[at + 3]!;
    }
    const valueEnd = valueStart + length;
    if (valueEnd > end) {
      // RFC 7606 §3 j: prefixes that cannot be located cannot be withdrawn.
      if (isMp) return mpError(bytes, at, end, 'overruns the attributes');
      break;
    }
    if (isMp) {
      // RFC 7606 §5.3: other flags than those of RFC 4760 make the whole attribute incorrect, prefixes included.
      if ((flags & 0xc0) !== AttributeFlag.optional) return mpError(bytes, at, end, 'flags');
      // RFC 7606 §3 g: twice.
      if (code === AttributeCode.mpReach) {
        if (out.reachStart >= 0) return malformedList('UPDATE: MP_REACH_NLRI twice');
        const error = splitReach(bytes, at, valueStart, valueEnd, out);
        if (error) return error;
      } else {
        if (out.unreachStart >= 0) return malformedList('UPDATE: MP_UNREACH_NLRI twice');
        if (length < 3) return mpError(bytes, at, valueEnd, `length ${length}`);
        out.unreachStart = valueStart;
        out.unreachEnd = valueEnd;
        out.unreachAfi = (bytes[valueStart]! << 8) | bytes[valueStart + 1]!;
        out.unreachSafi = bytes[valueStart + 2]!;
        out.unreachNlriStart = valueStart + 3;
        out.unreachNlriEnd = valueEnd;
      }
    }
    at = valueEnd;
  }
  return undefined;
}

function splitReach(bytes: Uint8Array, tlv: number, start: number, end: number, out: MpLayout): BgpError | undefined {
  if (end - start < 5) return mpError(bytes, tlv, end, `length ${end - start}`);
  const afi = (bytes[start]! << 8) | bytes[start + 1]!;
  const safi = bytes[start + 2]!;
  const nextHopLength = bytes[start + 3]!;
  const nlriStart = start + 5 + nextHopLength;
  // RFC 7606 §7.11: a wrong next-hop length hides where the NLRI begins: session reset.
  if (nlriStart > end || !nextHopLengthAllowed(afi, safi, nextHopLength)) {
    return mpError(bytes, tlv, end, `next-hop length ${nextHopLength} for AFI ${afi} SAFI ${safi}`);
  }
  out.reachStart = start;
  out.reachEnd = end;
  out.reachAfi = afi;
  out.reachSafi = safi;
  out.reachNextHopStart = start + 4;
  out.reachNextHopLength = nextHopLength;
  out.reachNlriStart = nlriStart;
  out.reachNlriEnd = end;
  return undefined;
}

/** RFC 2545 §3 (16, 32), RFC 8950 §3 (IPv4 NLRI with an IPv6 next hop). Families that are not ours are not judged. */
function nextHopLengthAllowed(afi: number, safi: number, length: number): boolean {
  if (safi !== Safi.unicast) return true;
  if (afi === Afi.ipv6) return length === 16 || length === 32;
  if (afi === Afi.ipv4) return length === 4 || length === 16 || length === 32;
  return true;
}

/**
 * Writes the attributes of bytes[start, end) to `target` without MP_REACH_NLRI, MP_UNREACH_NLRI and NEXT_HOP, and with
 * the next hop of `mp` as a NEXT_HOP attribute (code 3) of 4, 16 or 32 octets (a pair of :: and a link-local address is the
 * latter alone). It stands where its code belongs, so that
 * a block sent in order stays canonical, and never behind an attribute that overruns (the overrun must stay one).
 * `target` needs end - start + 35 octets. Returns the length written.
 */
export function stripMp(bytes: Uint8Array, start: number, end: number, mp: MpLayout, target: Uint8Array): number {
  let at = start;
  let to = 0;
  let pending = mp.reachStart >= 0;
  while (at < end) {
    let code = -1;
    let next = end;
    if (end - at >= 3) {
      const extended = (bytes[at]! & AttributeFlag.extendedLength) !== 0;
      const headerEnd = at + (extended ? 4 : 3);
      if (headerEnd <= end) {
        const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
        if (headerEnd + length <= end) {
          code = bytes[at + 1]!;
          next = headerEnd + length;
        }
      }
    }
    // code -1: the rest overruns and is copied as it is.
    if (code === AttributeCode.mpReach || code === AttributeCode.mpUnreach || code === AttributeCode.nextHop) {
      at = next;
      continue;
    }
    if (pending && (code < 0 || code > AttributeCode.nextHop)) {
      to = writeNextHop(bytes, mp, target, to);
      pending = false;
    }
    while (at < next) target[to++] = bytes[at++]!;
  }
  return pending ? writeNextHop(bytes, mp, target, to) : to;
}

function writeNextHop(bytes: Uint8Array, mp: MpLayout, target: Uint8Array, to: number): number {
  let length = mp.reachNextHopLength;
  let from = mp.reachNextHopStart;
  if (length === 32 && isLinkLocalAlone(bytes, from)) {
    length = 16;
    from += 16;
  }
  target[to++] = AttributeFlag.transitive;
  target[to++] = AttributeCode.nextHop;
  target[to++] = length;
  for (let i = 0; i < length; i++) target[to++] = bytes[from + i]!;
  return to;
}

/** On a link without global addresses BIRD sends the pair of RFC 2545 §3 with :: in the place of the global one. */
function isLinkLocalAlone(bytes: Uint8Array, at: number): boolean {
  for (let i = at; i < at + 16; i++) if (bytes[i] !== 0) return false;
  return bytes[at + 16] === 0xfe && (bytes[at + 17]! & 0xc0) === 0x80;
}

function malformedList(text: string): BgpError {
  return new BgpError(text, NotificationCode.update, UpdateSubcode.malformedAttributeList);
}

/** The data of the NOTIFICATION is the erroneous attribute (RFC 4271 §6.3), cut where the message ends. */
function mpError(bytes: Uint8Array, tlv: number, end: number, text: string): BgpError {
  const name = attributeName(bytes[tlv + 1]!);
  const extended = (bytes[tlv]! & AttributeFlag.extendedLength) !== 0;
  const length = extended ? (bytes[tlv + 2]! << 8) | (tlv + 3 < end ? bytes[tlv + 3]! : 0) : bytes[tlv + 2]!;
  const data = bytes.slice(tlv, Math.min(end, tlv + (extended ? 4 : 3) + length));
  return new BgpError(`${name}: ${text}`, NotificationCode.update, UpdateSubcode.optionalAttribute, data);
}
