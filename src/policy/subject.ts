// HOT: once per attribute set and policy.
/**
 * The attributes of a route while policy looks at them and changes them: canonical octets and where in them the parts
 * lie that policies ask for. Changes write new canonical octets, so that what stands later sees them.
 */
import { AttributeCode, AttributeFlag, SegmentType } from 'bgp-parse';
import type { AttributeScan } from 'bgp-parse';

export type NextHopRule = 'default' | 'self' | 'unchanged' | 'given';

export class Subject {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  /** 0 = IPv4, 1 = IPv6. */
  familyIndex: 0 | 1 = 0;

  /** Of values; -1 = the attribute is absent. */
  originAt = -1;
  medAt = -1;
  localPrefAt = -1;
  /** Ranges of values, empty when absent. */
  asPathStart = 0;
  asPathEnd = 0;
  nextHopStart = 0;
  nextHopEnd = 0;
  communitiesStart = 0;
  communitiesEnd = 0;
  extendedStart = 0;
  extendedEnd = 0;
  largeStart = 0;
  largeEnd = 0;

  /** A statement has changed something since `load`. */
  isEdited = false;
  /** Policy has said what the MED is. */
  keepMed = false;
  nextHop: NextHopRule = 'default';

  /** Takes the canonical octets bytes[start, end). */
  load(bytes: Uint8Array, start: number, end: number, familyIndex: 0 | 1): void {
    this.familyIndex = familyIndex;
    this.isEdited = this.keepMed = false;
    this.nextHop = 'default';
    this.locate(bytes, start, end);
  }

  /** The same of octets that have just been scanned: what `scan` calls n stands at n + `shift`. */
  loadScanned(scan: AttributeScan, bytes: Uint8Array, start: number, end: number, shift: number): void {
    this.familyIndex = 0;
    this.isEdited = this.keepMed = false;
    this.nextHop = 'default';
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    const { offsets, keep } = scan;
    // All three are short: their values follow three octets of header.
    this.originAt = (keep[0]! & (1 << AttributeCode.origin)) !== 0 ? offsets[AttributeCode.origin]! + 3 + shift : -1;
    this.medAt = scan.hasMed ? offsets[AttributeCode.med]! + 3 + shift : -1;
    this.localPrefAt = scan.hasLocalPref ? offsets[AttributeCode.localPref]! + 3 + shift : -1;
    this.asPathStart = scan.asPathStart + shift;
    this.asPathEnd = scan.asPathEnd + shift;
    this.nextHopStart = scan.nextHopStart + shift;
    this.nextHopEnd = this.nextHopStart + scan.nextHopLength;
    this.communitiesStart = scan.communitiesStart + shift;
    this.communitiesEnd = this.communitiesStart + scan.communitiesCount * 4;
    this.extendedStart = scan.extendedCommunitiesStart + shift;
    this.extendedEnd = this.extendedStart + scan.extendedCommunitiesCount * 8;
    this.largeStart = scan.largeCommunitiesStart + shift;
    this.largeEnd = this.largeStart + scan.largeCommunitiesCount * 12;
  }

  /** The same route with other octets. */
  locate(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.originAt = this.medAt = this.localPrefAt = -1;
    this.asPathStart = this.asPathEnd = this.nextHopStart = this.nextHopEnd = 0;
    this.communitiesStart = this.communitiesEnd = this.extendedStart = this.extendedEnd = 0;
    this.largeStart = this.largeEnd = 0;
    for (let at = start; at < end;) {
      const extended = (bytes[at]! & AttributeFlag.extendedLength) !== 0;
      const value = at + (extended ? 4 : 3);
      const next = value + (extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!);
      switch (bytes[at + 1]!) {
        case AttributeCode.origin:
          this.originAt = value;
          break;
        case AttributeCode.asPath:
          this.asPathStart = value;
          this.asPathEnd = next;
          break;
        case AttributeCode.nextHop:
          this.nextHopStart = value;
          this.nextHopEnd = next;
          break;
        case AttributeCode.med:
          this.medAt = value;
          break;
        case AttributeCode.localPref:
          this.localPrefAt = value;
          break;
        case AttributeCode.communities:
          this.communitiesStart = value;
          this.communitiesEnd = next;
          break;
        case AttributeCode.extendedCommunities:
          this.extendedStart = value;
          this.extendedEnd = next;
          break;
        case AttributeCode.largeCommunities:
          this.largeStart = value;
          this.largeEnd = next;
          break;
      }
      at = next;
    }
  }

  get origin(): number {
    return this.originAt < 0 ? 0 : this.bytes[this.originAt]!;
  }

  /** 0 when absent. */
  get med(): number {
    return this.medAt < 0 ? 0 : readU32(this.bytes, this.medAt);
  }

  /** 100 when absent (RFC 4271 §9.1.1 leaves it to us). */
  get localPref(): number {
    return this.localPrefAt < 0 ? 100 : readU32(this.bytes, this.localPrefAt);
  }

  /** RFC 4271 §9.1.2.2 a: a set counts as one. */
  get asPathLength(): number {
    let hops = 0;
    for (let at = this.asPathStart; at < this.asPathEnd; at += 2 + this.bytes[at + 1]! * 4) {
      const type = this.bytes[at];
      if (type === SegmentType.sequence) hops += this.bytes[at + 1]!;
      else if (type === SegmentType.set) hops++;
    }
    return hops;
  }

  /** The first AS of the path; 0 when there is none or a set stands there. */
  get neighborAs(): number {
    const at = this.asPathStart;
    return this.asPathEnd > at && this.bytes[at] === SegmentType.sequence ? readU32(this.bytes, at + 2) : 0;
  }

  /** The last AS of the path; 0 when there is none or a set stands there. */
  get originAs(): number {
    let last = 0;
    for (let at = this.asPathStart; at < this.asPathEnd;) {
      const next = at + 2 + this.bytes[at + 1]! * 4;
      last = this.bytes[at] === SegmentType.sequence ? readU32(this.bytes, next - 4) : 0;
      at = next;
    }
    return last;
  }
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
