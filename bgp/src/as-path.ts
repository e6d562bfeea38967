// HOT: one pass per new attribute block, no allocation. Guarded by bench S1.
/**
 * AS_PATH values: structure, what ranking needs of them, and the merge with AS4_PATH.
 *
 *   segment | type 1 | count 1 | AS number (2 or 4 octets) × count |      RFC 4271 §4.3, RFC 6793 §3, RFC 5065 §3
 *
 * A value is four-octet when its session negotiated that, and always in canonical form.
 */
import { SegmentType } from './constants.js';

/** What one pass over a four-octet AS_PATH value finds. */
export interface PathSummary {
  /** RFC 4271 §9.1.2.2 a: an AS_SET counts as one; RFC 5065 §5.3: confederation segments count nothing. */
  asPathHops: number;
  /** First AS of the path when it starts (confederation segments apart) with an AS_SEQUENCE, else 0. */
  neighborAs: number;
  /** Last AS of the path when it ends (confederation segments apart) with an AS_SEQUENCE, else 0. */
  originAs: number;
  hasAsSet: boolean;
  hasConfedSegments: boolean;
}

/** Fills the summary of the four-octet path bytes[start, end). False: malformed (RFC 7606 §7.2) or AS 0 (RFC 7607 §2). */
export function summarizePath(bytes: Uint8Array, start: number, end: number, out: PathSummary): boolean {
  let hops = 0;
  let neighborAs = -1;
  let originAs = 0;
  let at = start;
  out.hasAsSet = false;
  out.hasConfedSegments = false;
  out.asPathHops = 0;
  out.neighborAs = 0;
  out.originAs = 0;
  while (at < end) {
    if (end - at < 2) return false;
    const type = bytes[at]!;
    const count = bytes[at + 1]!;
    const first = at + 2;
    const next = first + count * 4;
    if (count === 0 || next > end) return false;
    for (let i = first; i < next; i += 4) {
      if ((bytes[i]! | bytes[i + 1]! | bytes[i + 2]! | bytes[i + 3]!) === 0) return false;
    }
    if (type === SegmentType.sequence) {
      hops += count;
      if (neighborAs < 0) neighborAs = readAs(bytes, first);
      originAs = readAs(bytes, next - 4);
    } else if (type === SegmentType.set) {
      hops += 1;
      if (neighborAs < 0) neighborAs = 0;
      originAs = 0;
      out.hasAsSet = true;
    } else if (type === SegmentType.confedSequence || type === SegmentType.confedSet) {
      out.hasConfedSegments = true;
    } else {
      return false;
    }
    at = next;
  }
  out.asPathHops = hops;
  out.neighborAs = neighborAs < 0 ? 0 : neighborAs;
  out.originAs = originAs;
  return true;
}

/** How often an AS number stands in the four-octet AS_PATH value bytes[start, end), in segments of any kind. */
export function countAs(bytes: Uint8Array, start: number, end: number, asn: number): number {
  const wanted = asn | 0;
  let found = 0;
  let at = start;
  while (end - at >= 2) {
    const next = Math.min(at + 2 + bytes[at + 1]! * 4, end);
    for (at += 2; next - at >= 4; at += 4) {
      const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (value === wanted) found++;
    }
    at = next;
  }
  return found;
}

/** Whether a well-formed path has AS_CONFED_SEQUENCE or AS_CONFED_SET segments. `width` is 2 or 4 octets. */
export function hasConfedSegments(bytes: Uint8Array, start: number, end: number, width: number): boolean {
  for (let at = start; at < end; at += 2 + bytes[at + 1]! * width) {
    if (bytes[at]! >= SegmentType.confedSequence) return true;
  }
  return false;
}

/**
 * Number of AS numbers of a path as AS4_PATH rules count them (RFC 6793 §4.2.3: like route selection), or -1 when it is
 * malformed or holds AS 0. `width` is 2 or 4 octets.
 */
export function countHops(bytes: Uint8Array, start: number, end: number, width: number): number {
  let hops = 0;
  let at = start;
  while (at < end) {
    if (end - at < 2) return -1;
    const type = bytes[at]!;
    const count = bytes[at + 1]!;
    const next = at + 2 + count * width;
    if (type < SegmentType.set || type > SegmentType.confedSet || count === 0 || next > end) return -1;
    for (let i = at + 2; i < next; i += width) {
      let octets = bytes[i]! | bytes[i + 1]!;
      if (width === 4) octets |= bytes[i + 2]! | bytes[i + 3]!;
      if (octets === 0) return -1;
    }
    if (type === SegmentType.sequence) hops += count;
    else if (type === SegmentType.set) hops += 1;
    at = next;
  }
  return hops;
}

/**
 * RFC 6793 §4.2.3: the path of a two-octet AS_PATH bytes[start, end) and an AS4_PATH bytes[start4, end4) (empty range:
 * none, or to be ignored), as a four-octet value in `target`. Both must be well-formed (countHops >= 0). `target` needs
 * 2 × (end - start) + (end4 - start4) octets. Returns the length written.
 */
export function mergePaths(
  bytes: Uint8Array,
  start: number,
  end: number,
  start4: number,
  end4: number,
  target: Uint8Array,
): number {
  const hops = countHops(bytes, start, end, 2);
  const hops4 = start4 < end4 ? countHops(bytes, start4, end4, 4) : 0;
  // "If the number of AS numbers in the AS_PATH attribute is less than [that] in the AS4_PATH ... shall be ignored".
  const ignore4 = start4 >= end4 || hops < hops4;
  let missing = ignore4 ? Infinity : hops - hops4;
  let to = 0;
  let at = start;
  let lastSequence = -1;
  while (at < end) {
    const type = bytes[at]!;
    const count = bytes[at + 1]!;
    let take = count;
    if (type === SegmentType.sequence) {
      take = Math.min(count, missing);
      missing -= take;
    } else if (type === SegmentType.set) {
      if (missing === 0) take = 0;
      else missing -= 1;
    }
    // A confederation segment is taken while it leads or follows a segment that was taken: we have not stopped yet.
    if (take === 0) break;
    lastSequence = type === SegmentType.sequence ? to : -1;
    target[to++] = type;
    target[to++] = take;
    for (let i = 0; i < take; i++) {
      target[to++] = 0;
      target[to++] = 0;
      target[to++] = bytes[at + 2 + i * 2]!;
      target[to++] = bytes[at + 3 + i * 2]!;
    }
    if (take < count) break;
    at += 2 + count * 2;
  }
  if (ignore4) return to;
  at = start4;
  while (at < end4) {
    const type = bytes[at]!;
    const count = bytes[at + 1]!;
    const next = at + 2 + count * 4;
    // RFC 6793 §3: confederation segments in an AS4_PATH are dropped.
    if (type === SegmentType.sequence || type === SegmentType.set) {
      // One AS_SEQUENCE again, where the cut went through one.
      if (lastSequence >= 0 && type === SegmentType.sequence && target[lastSequence + 1]! + count <= 255) {
        target[lastSequence + 1] = target[lastSequence + 1]! + count;
      } else {
        target[to++] = type;
        target[to++] = count;
      }
      for (let i = at + 2; i < next; i++) target[to++] = bytes[i]!;
      lastSequence = -1;
    }
    at = next;
  }
  return to;
}

function readAs(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
