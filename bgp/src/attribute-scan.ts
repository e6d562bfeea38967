// HOT: one pass per new attribute block (< 0.5 µs for 50 octets), no allocation. Guarded by bench S1.
/**
 * Validates a block of path attributes and reads what ranking needs, without making objects.
 *
 * The verdicts are those of RFC 7606 (and of the RFC of each attribute); the strongest one wins and is the one described
 * by the error fields. A block scanned with a verdict below treatAsWithdraw can be written in canonical form, the form
 * that is interned, compared and sent on; what is malformed or not for us is not in it (canonical-attributes.ts).
 *
 * MP_REACH_NLRI and MP_UNREACH_NLRI are stepped over: update-layout.ts has judged them.
 */
import { Disposition } from './errors.js';
import { AS_TRANS, AttributeCode, AttributeFlag, UpdateSubcode } from './constants.js';
import { type PathSummary, countHops, hasConfedSegments, mergePaths, summarizePath } from './as-path.js';

export interface ScanContext {
  /** The peer is in another AS. */
  readonly external: boolean;
  /** Four-octet AS numbers were negotiated (RFC 6793). */
  readonly fourOctetAs: boolean;
  /** NEXT_HOP may be 16 or 32 octets long: stripMp put it there. */
  readonly mpNextHop: boolean;
  /** There is no prefix that the attributes are for (RFC 7606 §5.2): none of them is missing. Default: false. */
  readonly withoutRoutes?: boolean;
}

const OPTIONAL_TRANSITIVE = AttributeFlag.optional | AttributeFlag.transitive;

/** RFC 4271 §9.1.1 leaves it open; 100 is what every implementation takes. */
const DEFAULT_LOCAL_PREF = 100;

/** Longest value of an attribute, and longest block of attributes. */
const MAX_VALUE_LENGTH = 65535;

/** The result of a scan; reused. Offsets point into the scanned bytes. */
export class AttributeScan implements PathSummary {
  disposition: Disposition = Disposition.none;
  /** Subcode of "UPDATE Message Error" of the strongest error; 0 without error. */
  errorSubcode = 0;
  /** Code of the offending (or missing) attribute; -1 none. */
  errorAttribute = -1;
  /** Range of the offending attribute, header included; empty when it is missing. */
  errorStart = 0;
  errorEnd = 0;

  hasMed = false;
  hasLocalPref = false;
  hasOriginatorId = false;
  hasAtomicAggregate = false;
  hasOtc = false;
  origin = 0;
  /** 0 when absent. */
  med = 0;
  /** 100 when absent. */
  localPref = DEFAULT_LOCAL_PREF;

  asPathHops = 0;
  neighborAs = 0;
  originAs = 0;
  hasAsSet = false;
  hasConfedSegments = false;
  /** The same of the AS_PATH as it came: a merge with AS4_PATH may have cut them off. */
  confedReceived = false;
  /** Where the four-octet AS_PATH value lies: the scanned bytes, or our own buffer after a merge with AS4_PATH. */
  asPathBytes: Uint8Array = new Uint8Array(0);
  asPathStart = 0;
  asPathEnd = 0;

  nextHopStart = 0;
  /** 0 when absent. */
  nextHopLength = 0;
  /** 0 when absent. */
  originatorId = 0;
  clusterListStart = 0;
  clusterCount = 0;
  communitiesStart = 0;
  communitiesCount = 0;
  largeCommunitiesStart = 0;
  largeCommunitiesCount = 0;
  extendedCommunitiesStart = 0;
  extendedCommunitiesCount = 0;
  otc = 0;

  /** The bytes are in canonical form already: canonicalizeAttributes would write the same ones. */
  canonical = false;

  /** Bit per attribute code: met; and to be kept in the canonical form. */
  readonly seen = new Int32Array(8);
  readonly keep = new Int32Array(8);
  /** Where each kept attribute starts, by code. */
  readonly offsets = new Int32Array(256);
  /** Buffer of merged paths. */
  merged = new Uint8Array(0);
}

/**
 * One pass over the attributes bytes[start, end): flags, lengths, duplicates, values, mandatory attributes. Never throws,
 * whatever the input. Returns `out.disposition`.
 *
 * RFC 7606 §5.2 is left to the caller, who knows the prefixes: treatAsWithdraw in an UPDATE *without* any reachable
 * prefix means that prefixes may have been overlooked: session reset.
 */
export function scanAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: ScanContext,
  out: AttributeScan,
): Disposition {
  const external = context.external;
  const fourOctetAs = context.fourOctetAs;
  reset(out);
  const { seen, keep, offsets } = out;
  let canonical = true;
  let previousCode = -1;
  let at = start;
  while (at < end) {
    // RFC 7606 §4: an attribute that does not fit: treatAsWithdraw.
    if (end - at < 3) {
      fail(out, Disposition.treatAsWithdraw, UpdateSubcode.malformedAttributeList, -1, at, end);
      break;
    }
    const flags = bytes[at]!;
    const code = bytes[at + 1]!;
    let value = at + 3;
    let length = bytes[at + 2]!;
    if (flags & AttributeFlag.extendedLength) {
      length = end - at > 3 ? (length << 8) | bytes[at + 3]! : MAX_VALUE_LENGTH;
      value = at + 4;
      if (length <= 255) canonical = false;
    }
    const next = value + length;
    if (next > end) {
      fail(out, Disposition.treatAsWithdraw, UpdateSubcode.attributeLength, code, at, end);
      break;
    }
    const word = code >> 5;
    const bit = 1 << (code & 31);
    // RFC 7606 §3 g: only the first of several counts.
    if (seen[word]! & bit) {
      canonical = false;
      fail(out, Disposition.attributeDiscard, UpdateSubcode.malformedAttributeList, code, at, next);
      at = next;
      continue;
    }
    seen[word]! |= bit;
    if (code <= previousCode) canonical = false;
    previousCode = code;

    let expected = AttributeFlag.optional | AttributeFlag.transitive;
    /** Verdict on this attribute's length or value, and its subcode. */
    let verdict: Disposition = Disposition.none;
    let subcode: number = UpdateSubcode.attributeLength;
    let kept = true;
    /** Not wanted on this session: discarded unread, whatever its flags. */
    let unwanted = false;
    switch (code) {
      case AttributeCode.origin:
        expected = AttributeFlag.transitive;
        if (length !== 1) verdict = Disposition.treatAsWithdraw;
        else if (bytes[value]! > 2) {
          verdict = Disposition.treatAsWithdraw;
          subcode = UpdateSubcode.invalidOrigin;
        } else out.origin = bytes[value]!;
        break;
      case AttributeCode.asPath:
        expected = AttributeFlag.transitive;
        // A two-octet path is read after the pass, with its AS4_PATH.
        out.asPathBytes = bytes;
        out.asPathStart = value;
        out.asPathEnd = next;
        if (fourOctetAs ? !summarizePath(bytes, value, next, out) : countHops(bytes, value, next, 2) < 0) {
          verdict = Disposition.treatAsWithdraw;
          subcode = UpdateSubcode.malformedAsPath;
        }
        if (!fourOctetAs && length > 0) canonical = false;
        break;
      case AttributeCode.nextHop:
        expected = AttributeFlag.transitive;
        if (length === 4 || (context.mpNextHop && (length === 16 || length === 32))) {
          out.nextHopStart = value;
          out.nextHopLength = length;
          if (!(length === 4 ? isUsableIpv4(bytes, value) : isUsableIpv6(bytes, value))) {
            verdict = Disposition.treatAsWithdraw;
            subcode = UpdateSubcode.invalidNextHop;
          }
        } else verdict = Disposition.treatAsWithdraw;
        break;
      case AttributeCode.med:
        expected = AttributeFlag.optional;
        if (length !== 4) verdict = Disposition.treatAsWithdraw;
        else {
          out.hasMed = true;
          out.med = readU32(bytes, value);
        }
        break;
      case AttributeCode.localPref:
        expected = AttributeFlag.transitive;
        // RFC 7606 §7.5
        if (external) unwanted = true;
        else if (length !== 4) verdict = Disposition.treatAsWithdraw;
        else {
          out.hasLocalPref = true;
          out.localPref = readU32(bytes, value);
        }
        break;
      case AttributeCode.atomicAggregate:
        expected = AttributeFlag.transitive;
        // RFC 7606 §7.6
        if (length !== 0) verdict = Disposition.attributeDiscard;
        else out.hasAtomicAggregate = true;
        break;
      case AttributeCode.aggregator:
        // RFC 7606 §7.7; RFC 7607 §2 for AS 0.
        if (length !== (fourOctetAs ? 8 : 6) || isZeroAs(bytes, value, fourOctetAs)) {
          verdict = Disposition.attributeDiscard;
          if (length === (fourOctetAs ? 8 : 6)) subcode = UpdateSubcode.optionalAttribute;
        }
        if (!fourOctetAs) canonical = false;
        break;
      case AttributeCode.communities:
        // RFC 7606 §7.8
        if (length === 0 || (length & 3) !== 0) verdict = Disposition.treatAsWithdraw;
        else {
          out.communitiesStart = value;
          out.communitiesCount = length >> 2;
        }
        break;
      case AttributeCode.originatorId:
        expected = AttributeFlag.optional;
        // RFC 7606 §7.9
        if (external) unwanted = true;
        else if (length !== 4) verdict = Disposition.treatAsWithdraw;
        else {
          out.hasOriginatorId = true;
          out.originatorId = readU32(bytes, value);
        }
        break;
      case AttributeCode.clusterList:
        expected = AttributeFlag.optional;
        // RFC 7606 §7.10
        if (external) unwanted = true;
        else if (length === 0 || (length & 3) !== 0) verdict = Disposition.treatAsWithdraw;
        else {
          out.clusterListStart = value;
          out.clusterCount = length >> 2;
        }
        break;
      case AttributeCode.mpReach:
      case AttributeCode.mpUnreach:
        expected = flags & OPTIONAL_TRANSITIVE;
        kept = false;
        break;
      case AttributeCode.extendedCommunities:
        // RFC 7606 §7.14
        if (length === 0 || (length & 7) !== 0) verdict = Disposition.treatAsWithdraw;
        else {
          out.extendedCommunitiesStart = value;
          out.extendedCommunitiesCount = length >> 3;
        }
        break;
      case AttributeCode.as4Path:
        // RFC 6793 §4.1: not between speakers that both have four-octet AS numbers; §6: malformed: discard.
        if (fourOctetAs) unwanted = true;
        else if (length < 6 || countHops(bytes, value, next, 4) < 0) verdict = Disposition.attributeDiscard;
        canonical = false;
        break;
      case AttributeCode.as4Aggregator:
        if (fourOctetAs) unwanted = true;
        else if (length !== 8 || isZeroAs(bytes, value, true)) verdict = Disposition.attributeDiscard;
        canonical = false;
        break;
      case AttributeCode.ipv6ExtendedCommunities:
        // RFC 7606 §7.15
        if (length === 0 || length % 20 !== 0) verdict = Disposition.treatAsWithdraw;
        break;
      case AttributeCode.largeCommunities:
        // RFC 8092 §6
        if (length === 0 || length % 12 !== 0) verdict = Disposition.treatAsWithdraw;
        else {
          out.largeCommunitiesStart = value;
          out.largeCommunitiesCount = length / 12;
        }
        break;
      case AttributeCode.otc:
        // RFC 9234 §5
        if (length !== 4) verdict = Disposition.treatAsWithdraw;
        else {
          out.hasOtc = true;
          out.otc = readU32(bytes, value);
        }
        break;
      default:
        expected = flags & OPTIONAL_TRANSITIVE;
        if (!(flags & AttributeFlag.optional)) {
          // All well-known attributes stand above, so this one is none: where its code is assigned, the flag conflicts
          // with it (RFC 7606 §3 c); and RFC 4271 §6.3 resets for *mandatory* ones only. The prefixes are there to be
          // withdrawn, and a session must not hang on what a far-away speaker has made up.
          verdict = Disposition.treatAsWithdraw;
          subcode = UpdateSubcode.unrecognizedWellKnown;
        } else if (flags & AttributeFlag.transitive) {
          // RFC 4271 §5: passed on with the Partial bit set.
          if (!(flags & AttributeFlag.partial)) canonical = false;
        } else kept = false;
    }
    // RFC 7606 §3 c, and §3 h: stronger than a value that is to be discarded.
    if (unwanted) verdict = Disposition.attributeDiscard;
    else if ((flags & OPTIONAL_TRANSITIVE) !== expected) {
      verdict = Disposition.treatAsWithdraw;
      subcode = UpdateSubcode.attributeFlags;
    }
    if (verdict !== Disposition.none) {
      fail(out, verdict, subcode, code, at, next);
      kept = false;
    }
    if (kept) {
      keep[word]! |= bit;
      offsets[code] = at;
      // Unused bits are clear; the Partial bit means something on optional transitive attributes only.
      const clear = expected === OPTIONAL_TRANSITIVE ? 0x0f : 0x0f | AttributeFlag.partial;
      if (flags & clear) canonical = false;
    } else canonical = false;
    at = next;
  }

  if (!fourOctetAs && seen[0]! & (1 << AttributeCode.asPath)) mergeTwoOctetPath(bytes, start, end - start, out);
  if (fourOctetAs) out.confedReceived = out.hasConfedSegments;
  // RFC 7606 §7.2 with RFC 5065 §5: confederation segments have no business outside the confederation.
  if (external && out.confedReceived) {
    const tlv = offsets[AttributeCode.asPath]!;
    fail(out, Disposition.treatAsWithdraw, UpdateSubcode.malformedAsPath, AttributeCode.asPath, tlv, tlv);
  }
  // RFC 7606 §3 d: a mandatory attribute is missing. (One that was there but malformed has its own verdict.)
  const mandatory = context.withoutRoutes ? 0 : external ? 0b1110 : 0b101110;
  const missing = mandatory & ~seen[0]!;
  if (missing !== 0) {
    const code = 31 - Math.clz32(missing & -missing);
    fail(out, Disposition.treatAsWithdraw, UpdateSubcode.missingWellKnown, code, start, start);
  }
  out.canonical = canonical;
  return out.disposition;
}

const CANONICAL: ScanContext = { external: false, fourOctetAs: true, mpNextHop: true };

/**
 * Reads the ranking fields of canonical bytes (of canonicalizeAttributes or encodeAttributes). The verdict is always
 * none: canonical bytes have been judged, and locally originated sets need no LOCAL_PREF.
 */
export function scanCanonical(bytes: Uint8Array, start: number, end: number, out: AttributeScan): void {
  scanAttributes(bytes, start, end, CANONICAL, out);
  out.disposition = Disposition.none;
  out.errorSubcode = 0;
  out.errorAttribute = -1;
  out.errorStart = out.errorEnd = 0;
}

/** RFC 6793 §4.2.3. The AS_PATH of `out` is the two-octet one when this is called, the four-octet one afterwards. */
function mergeTwoOctetPath(bytes: Uint8Array, start: number, blockLength: number, out: AttributeScan): void {
  const pathStart = out.asPathStart;
  const pathEnd = out.asPathEnd;
  const kept = out.keep[0]!;
  if (!(kept & (1 << AttributeCode.asPath))) {
    out.asPathEnd = pathStart;
    return;
  }
  let start4 = 0;
  let end4 = 0;
  if (kept & (1 << AttributeCode.as4Path) && !ignoresAs4(bytes, out)) {
    const tlv = out.offsets[AttributeCode.as4Path]!;
    const extended = (bytes[tlv]! & AttributeFlag.extendedLength) !== 0;
    start4 = tlv + (extended ? 4 : 3);
    end4 = start4 + (extended ? (bytes[tlv + 2]! << 8) | bytes[tlv + 3]! : bytes[tlv + 2]!);
  }
  const room = 2 * (pathEnd - pathStart) + (end4 - start4);
  if (out.merged.length < room) out.merged = new Uint8Array(Math.max(512, room));
  const length = mergePaths(bytes, pathStart, pathEnd, start4, end4, out.merged);
  out.asPathBytes = out.merged;
  out.asPathStart = 0;
  out.asPathEnd = length;
  summarizePath(out.merged, 0, length, out);
  out.confedReceived = hasConfedSegments(bytes, pathStart, pathEnd, 2);
  // Three more octets: a four-octet AGGREGATOR, and the extended length of the path.
  if (blockLength + length - (pathEnd - pathStart) + 3 > MAX_VALUE_LENGTH) {
    // Only with extended messages: thousands of AS numbers that no UPDATE can hold once they are four octets long.
    out.keep[0]! &= ~(1 << AttributeCode.asPath);
    const tlv = out.offsets[AttributeCode.asPath]! || start;
    fail(out, Disposition.treatAsWithdraw, UpdateSubcode.malformedAsPath, AttributeCode.asPath, tlv, pathEnd);
  }
}

/** RFC 6793 §4.2.3: an AGGREGATOR that is not AS_TRANS was written after the AS4_ attributes, which are then stale. */
export function ignoresAs4(bytes: Uint8Array, scan: AttributeScan): boolean {
  if (!(scan.keep[0]! & (1 << AttributeCode.aggregator))) return false;
  if (!(scan.keep[0]! & (1 << AttributeCode.as4Aggregator))) return false;
  const tlv = scan.offsets[AttributeCode.aggregator]!;
  const value = tlv + (bytes[tlv]! & AttributeFlag.extendedLength ? 4 : 3);
  return ((bytes[value]! << 8) | bytes[value + 1]!) !== AS_TRANS;
}

function reset(out: AttributeScan): void {
  out.disposition = Disposition.none;
  out.errorSubcode = 0;
  out.errorAttribute = -1;
  out.errorStart = out.errorEnd = 0;
  out.hasMed = out.hasLocalPref = out.hasOriginatorId = out.hasAtomicAggregate = out.hasOtc = false;
  out.origin = out.med = 0;
  out.localPref = DEFAULT_LOCAL_PREF;
  out.asPathHops = out.neighborAs = out.originAs = 0;
  out.hasAsSet = out.hasConfedSegments = out.confedReceived = false;
  out.asPathStart = out.asPathEnd = 0;
  out.nextHopStart = out.nextHopLength = 0;
  out.originatorId = 0;
  out.clusterListStart = out.clusterCount = 0;
  out.communitiesStart = out.communitiesCount = 0;
  out.largeCommunitiesStart = out.largeCommunitiesCount = 0;
  out.extendedCommunitiesStart = out.extendedCommunitiesCount = 0;
  out.otc = 0;
  for (let i = 0; i < 8; i++) out.seen[i] = out.keep[i] = 0;
}

function fail(
  out: AttributeScan,
  disposition: Disposition,
  subcode: number,
  code: number,
  start: number,
  end: number,
): void {
  // RFC 7606 §3 h: the strongest wins; of equals, the first.
  if (disposition <= out.disposition) return;
  out.disposition = disposition;
  out.errorSubcode = subcode;
  out.errorAttribute = code;
  out.errorStart = start;
  out.errorEnd = end;
}

/** RFC 4271 §6.3: a valid host address: not "this network", loopback, multicast or reserved. */
function isUsableIpv4(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at]!;
  return first !== 0 && first !== 127 && first < 224;
}

/** The same for the (first) IPv6 next hop: not ::, ::1 or multicast. */
function isUsableIpv6(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff) return false;
  for (let i = at; i < at + 15; i++) if (bytes[i] !== 0) return true;
  return bytes[at + 15]! > 1;
}

function isZeroAs(bytes: Uint8Array, at: number, fourOctetAs: boolean): boolean {
  const high = bytes[at]! | bytes[at + 1]!;
  return (fourOctetAs ? high | bytes[at + 2]! | bytes[at + 3]! : high) === 0;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
