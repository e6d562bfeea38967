// HOT: once per new attribute block that is not canonical yet, no allocation. Guarded by bench S1.
/**
 * The canonical form of a block of path attributes: what is interned, compared, shown and sent on.
 *
 * - ascending attribute code, each once; no MP_REACH_NLRI / MP_UNREACH_NLRI (NEXT_HOP holds 4, 16 or 32 octets);
 * - four-octet AS numbers: AS4_PATH and AS4_AGGREGATOR merged (RFC 6793 §4.2.3) and gone;
 * - what RFC 7606 discards is gone, and so are unknown optional non-transitive attributes (RFC 4271 §5);
 * - the extended length bit only where the value is longer than 255 octets, unused flag bits clear;
 * - unknown optional transitive attributes byte for byte, with the Partial bit set.
 *
 * Idempotent: canonical bytes, scanned again by scanCanonical, are canonical.
 */
import { AttributeCode, AttributeFlag } from './constants.js';
import { type AttributeScan, type ScanContext, ignoresAs4 } from './attribute-scan.js';

/**
 * Writes the canonical form of bytes[start, end) to `target`; `scan` and `context` are those of the scanAttributes call
 * just made on the same bytes. `target` needs 2 × (end - start) + 16 octets. Returns the length written: at most 65535
 * where the verdict is below treatAsWithdraw.
 */
export function canonicalizeAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: ScanContext,
  scan: AttributeScan,
  target: Uint8Array,
): number {
  if (scan.canonical) return copy(bytes, start, end, target, 0);
  let to = 0;
  for (let word = 0; word < 8; word++) {
    // Lowest set bit first: ascending attribute code.
    for (let bits = scan.keep[word]!; bits !== 0; bits &= bits - 1) {
      const code = (word << 5) + 31 - Math.clz32(bits & -bits);
      const at = scan.offsets[code]!;
      const received = bytes[at]!;
      const extended = (received & AttributeFlag.extendedLength) !== 0;
      const value = at + (extended ? 4 : 3);
      const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
      const flags = canonicalFlags(received, code);
      if (code === AttributeCode.as4Path || code === AttributeCode.as4Aggregator) continue;
      if (code === AttributeCode.asPath) {
        to = writeHeader(target, to, flags, code, scan.asPathEnd - scan.asPathStart);
        to = copy(scan.asPathBytes, scan.asPathStart, scan.asPathEnd, target, to);
      } else if (code === AttributeCode.aggregator && !context.fourOctetAs) {
        to = writeHeader(target, to, flags, code, 8);
        to = writeAggregator(bytes, value, scan, target, to);
      } else {
        to = writeHeader(target, to, flags, code, length);
        to = copy(bytes, value, value + length, target, to);
      }
    }
  }
  return to;
}

/** RFC 4271 §5: a speaker that passes on an unrecognised optional transitive attribute sets Partial; none clears it. */
function canonicalFlags(received: number, code: number): number {
  const flags = received & (AttributeFlag.optional | AttributeFlag.transitive);
  if (flags !== (AttributeFlag.optional | AttributeFlag.transitive)) return flags;
  return flags | (isRecognized(code) ? received & AttributeFlag.partial : AttributeFlag.partial);
}

/** Whether scanAttributes judges the value of this optional transitive attribute. */
function isRecognized(code: number): boolean {
  switch (code) {
    case AttributeCode.aggregator:
    case AttributeCode.communities:
    case AttributeCode.extendedCommunities:
    case AttributeCode.ipv6ExtendedCommunities:
    case AttributeCode.largeCommunities:
    case AttributeCode.otc:
      return true;
    default:
      return false;
  }
}

function writeAggregator(
  bytes: Uint8Array,
  value: number,
  scan: AttributeScan,
  target: Uint8Array,
  to: number,
): number {
  if (scan.keep[0]! & (1 << AttributeCode.as4Aggregator) && !ignoresAs4(bytes, scan)) {
    const at = scan.offsets[AttributeCode.as4Aggregator]!;
    const from = at + (bytes[at]! & AttributeFlag.extendedLength ? 4 : 3);
    return copy(bytes, from, from + 8, target, to);
  }
  target[to++] = 0;
  target[to++] = 0;
  return copy(bytes, value, value + 6, target, to);
}

function writeHeader(target: Uint8Array, to: number, flags: number, code: number, length: number): number {
  if (length > 255) {
    target[to++] = flags | AttributeFlag.extendedLength;
    target[to++] = code;
    target[to++] = length >> 8;
  } else {
    target[to++] = flags;
    target[to++] = code;
  }
  target[to++] = length & 255;
  return to;
}

/** A loop for the usual few octets: a view of the source would be an allocation. */
function copy(bytes: Uint8Array, start: number, end: number, target: Uint8Array, to: number): number {
  if (end - start > 256) {
    target.set(bytes.subarray(start, end), to);
    return to + end - start;
  }
  while (start < end) target[to++] = bytes[start++]!;
  return to;
}
