// HOT: once per attribute set and match.
/** Sets of communities of all three kinds, with wildcards: which of a route's are in it. */
import type { CommunityKind, CommunityPattern } from './patterns.js';
import { readU32 } from './subject.js';
import type { Subject } from './subject.js';

const WIDTH: Readonly<Record<CommunityKind, number>> = { standard: 4, large: 12, extended: 8 };
/** Up to this many patterns of a kind are compared one by one. */
const FEW = 8;

export class CommunitySet {
  /** Standard communities without wildcards, when there are many. */
  readonly #exact: ReadonlySet<number> | undefined;
  readonly #standard: readonly CommunityPattern[];
  /** Of `#standard`, as 32-bit words. */
  readonly #values: Int32Array;
  readonly #masks: Int32Array;
  readonly #large: readonly CommunityPattern[];
  readonly #extended: readonly CommunityPattern[];

  constructor(patterns: readonly CommunityPattern[]) {
    const standard = patterns.filter(({ kind }) => kind === 'standard');
    const isExact = ({ mask }: CommunityPattern): boolean => mask.every((octet) => octet === 255);
    const exact = standard.filter(isExact);
    this.#exact = exact.length > FEW ? new Set(exact.map(({ octets }) => readU32(octets, 0))) : undefined;
    this.#standard = this.#exact ? standard.filter((pattern) => !isExact(pattern)) : standard;
    this.#values = Int32Array.from(this.#standard, ({ octets }) => readU32(octets, 0) | 0);
    this.#masks = Int32Array.from(this.#standard, ({ mask }) => readU32(mask, 0) | 0);
    this.#large = patterns.filter(({ kind }) => kind === 'large');
    this.#extended = patterns.filter(({ kind }) => kind === 'extended');
  }

  /** Whether a community of the route is in the set. */
  matches(subject: Subject): boolean {
    const { bytes, communitiesStart, communitiesEnd } = subject;
    if (this.#exact !== undefined) {
      for (let at = communitiesStart; at < communitiesEnd; at += 4)
        if (this.#exact.has(readU32(bytes, at))) return true;
    }
    const { length } = this.#standard;
    for (let at = length > 0 ? communitiesStart : communitiesEnd; at < communitiesEnd; at += 4) {
      const community = readU32(bytes, at) | 0;
      for (let i = 0; i < length; i++) if ((community & this.#masks[i]!) === this.#values[i]!) return true;
    }
    if (this.#large.length > 0) {
      for (let at = subject.largeStart; at < subject.largeEnd; at += 12) if (this.has('large', bytes, at)) return true;
    }
    if (this.#extended.length > 0) {
      for (let at = subject.extendedStart; at < subject.extendedEnd; at += 8) {
        if (this.has('extended', bytes, at)) return true;
      }
    }
    return false;
  }

  has(kind: CommunityKind, bytes: Uint8Array, at: number): boolean {
    if (kind === 'standard' && this.#exact?.has(readU32(bytes, at))) return true;
    const patterns = kind === 'standard' ? this.#standard : kind === 'large' ? this.#large : this.#extended;
    for (let i = 0; i < patterns.length; i++) if (fits(patterns[i]!, bytes, at, WIDTH[kind])) return true;
    return false;
  }
}

function fits(pattern: CommunityPattern, bytes: Uint8Array, at: number, width: number): boolean {
  const { octets, mask } = pattern;
  for (let i = 0; i < width; i++) if ((bytes[at + i]! & mask[i]!) !== octets[i]) return false;
  return true;
}
