// HOT: `indexOf` is asked for every prefix that arrives.
/**
 * The prefixes of a run, and the way back from a prefix to its index without a table to search: the index is computed
 * from the address. Two kinds:
 *
 * - `table`: lengths as in a public table. Sixteen prefixes share one /20: the /20, a /21, two /22, two /23 and ten /24
 *   (62 %), so aggregates stand over more-specifics. The /20s are strewn over the address space by a multiplication.
 * - `blocks`: /26 container blocks side by side, of one size for every client.
 *
 *   index (table) = | number of the /20 in strewn order, 20 bits | position in it, 4 bits |
 *
 * Some /20s are never used (0/8, 10/8, 127/8, private and multicast space): their indexes are holes.
 */

export type PrefixKind = 'table' | 'blocks';

/** Indexes are below this in any run: they fit the tag. */
export const INDEX_LIMIT = 1 << 24;

/** Odd, so that multiplication modulo 2^20 is a permutation; the second undoes the first. */
const STREW = 0x9e375;
const MASK_20 = 0xfffff;
const GATHER = inverse(STREW);

/** Lengths and the /24 they begin at inside the /20, by position. */
const LAYOUT: readonly (readonly [length: number, at: number])[] = [
  [20, 0],
  [21, 0],
  [22, 0],
  [22, 8],
  [23, 0],
  [23, 6],
  ...[1, 2, 4, 5, 7, 9, 10, 12, 13, 15].map((at) => [24, at] as const),
];

/** Position by (length - 20) * 16 + number of the /24; 255 = no such prefix. */
const POSITIONS = new Uint8Array(5 * 16).fill(255);
LAYOUT.forEach(([length, at], position) => (POSITIONS[(length - 20) * 16 + at] = position));

/** First octets that speakers treat apart or that the run itself uses. */
const UNUSED_OCTETS: ReadonlySet<number> = new Set([0, 10, 100, 127, 169, 172, 192, 198, 203]);

const BLOCK_LENGTH = 26;
const FIRST_BLOCK = 0x14000000; // 20.0.0.0

export class Prefixes {
  readonly kind: PrefixKind;
  readonly count: number;
  /** Indexes in use, ascending. */
  readonly indexes: Int32Array;
  /** All indexes are below. */
  readonly indexEnd: number;
  readonly #inUse: Uint8Array;

  constructor(kind: PrefixKind, count: number) {
    this.kind = kind;
    this.count = count;
    this.indexes = new Int32Array(count);
    let index = 0;
    for (let n = 0; n < count; index++) {
      if (index >= INDEX_LIMIT) throw new RangeError(`${count} prefixes are more than there is room for`);
      if (kind === 'table' && !isUsable(address(kind, index) >>> 24)) continue;
      this.indexes[n++] = index;
    }
    this.indexEnd = index;
    this.#inUse = new Uint8Array(index);
    for (const used of this.indexes) this.#inUse[used] = 1;
  }

  /** Index of a prefix, or -1 when it is none of this run. */
  indexOf(bits: number, length: number): number {
    let index: number;
    if (this.kind === 'table') {
      if (length < 20 || length > 24) return -1;
      const position = POSITIONS[(length - 20) * 16 + ((bits >>> 8) & 15)]!;
      if (position === 255) return -1;
      index = (Math.imul(bits >>> 12, GATHER) & MASK_20) * 16 + position;
    } else {
      if (length !== BLOCK_LENGTH) return -1;
      index = (bits - FIRST_BLOCK) >>> 6;
    }
    return index < this.indexEnd && this.#inUse[index] === 1 ? index : -1;
  }

  /** The address as an unsigned 32-bit number. */
  address(index: number): number {
    return address(this.kind, index);
  }

  length(index: number): number {
    return this.kind === 'table' ? LAYOUT[index & 15]![0] : BLOCK_LENGTH;
  }
}

function address(kind: PrefixKind, index: number): number {
  if (kind === 'blocks') return FIRST_BLOCK + index * 64;
  const slot = Math.imul(index >>> 4, STREW) & MASK_20;
  return ((slot << 12) | (LAYOUT[index & 15]![1] << 8)) >>> 0;
}

function isUsable(firstOctet: number): boolean {
  return firstOctet < 224 && !UNUSED_OCTETS.has(firstOctet);
}

/** The number that undoes a multiplication by an odd one, modulo 2^20 (Newton's steps double the bits that fit). */
function inverse(odd: number): number {
  let x = odd;
  for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x & MASK_20;
}
