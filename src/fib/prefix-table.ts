/**
 * One row per prefix of a family, with what is wanted, what the kernel has, and who else has a route there.
 *
 * Columns are typed arrays indexed by row; rows are found by a chained hash of address and length, and recycled.
 * Per row about 36 octets (IPv4) or 48 (IPv6), for every prefix that we or anybody else has a route to.
 */
// HOT: guarded by the scenarios S7 and S7M.

/** `prefixId` of a row that the speaker has not named. */
export const NO_ID = 0xffffffff;

export const RowFlag = {
  /** In the list of rows to look at. */
  dirty: 1,
  /** Left by a previous run and not asked for yet. */
  adopted: 2,
  /** The kernel lost or changed it without us. */
  repair: 4,
  /** The next write removes ours first: the kernel says EEXIST although we know of nothing there. */
  removeFirst: 8,
  /** The speaker waits for the answer to a submission. */
  answerDue: 16,
  /** Seen by the whole reading that is under way. */
  seen: 32,
  /** Marked dirty, or given to a prefix, since a comparison with the kernel began. */
  changed: 64,
} as const;

export class PrefixTable {
  /** 32-bit words of an address: 1 or 4. */
  readonly words: number;
  /** Rows in use are below this. */
  rowLimit = 0;
  used = 0;
  address: Uint32Array;
  length = new Uint8Array(64);
  prefixId = new Uint32Array(64);
  /** Next hop id wanted; 0 = none. */
  nextHop = new Uint32Array(64);
  /** Gateway id in the kernel; 0 = not there. */
  installed = new Uint32Array(64);
  /** First of the foreign routes to this prefix; -1 = none. */
  foreign = new Int32Array(64);
  status = new Uint8Array(64);
  reason = new Uint8Array(64);
  errno = new Uint16Array(64);
  flags = new Uint8Array(64);
  #next = new Int32Array(64);
  #buckets = new Int32Array(64).fill(-1);
  #free = -1;

  constructor(words: number) {
    this.words = words;
    this.address = new Uint32Array(64 * words);
  }

  /** Row of a prefix whose address words stand at `at`; -1 = none. */
  find(source: Uint32Array, at: number, length: number): number {
    const { words, address } = this;
    let row = this.#buckets[this.#hash(source, at, length)]!;
    outer: for (; row >= 0; row = this.#next[row]!) {
      if (this.length[row] !== length) continue;
      for (let i = 0; i < words; i++) if (address[row * words + i] !== source[at + i]) continue outer;
      return row;
    }
    return -1;
  }

  findOrAdd(source: Uint32Array, at: number, length: number): number {
    const found = this.find(source, at, length);
    if (found >= 0) return found;
    if (this.#free < 0 && this.rowLimit === this.length.length) this.#grow();
    let row = this.#free;
    if (row >= 0) this.#free = this.#next[row]!;
    else row = this.rowLimit++;
    this.used++;
    for (let i = 0; i < this.words; i++) this.address[row * this.words + i] = source[at + i]!;
    this.length[row] = length;
    this.prefixId[row] = NO_ID;
    this.nextHop[row] = 0;
    this.installed[row] = 0;
    this.foreign[row] = -1;
    this.status[row] = 0;
    this.reason[row] = 0;
    this.errno[row] = 0;
    this.flags[row] = RowFlag.changed;
    const bucket = this.#hash(this.address, row * this.words, length);
    this.#next[row] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
    return row;
  }

  /** Gives the row back when nothing is wanted, there, or waiting. */
  releaseIfIdle(row: number): void {
    if (this.nextHop[row] !== 0 || this.installed[row] !== 0 || this.foreign[row]! >= 0) return;
    if (this.flags[row]! & ~RowFlag.changed) return;
    if (this.prefixId[row] !== NO_ID) return;
    const bucket = this.#hash(this.address, row * this.words, this.length[row]!);
    let at = this.#buckets[bucket]!;
    if (at === row) this.#buckets[bucket] = this.#next[row]!;
    else {
      while (this.#next[at] !== row) at = this.#next[at]!;
      this.#next[at] = this.#next[row]!;
    }
    this.#next[row] = this.#free;
    this.#free = row;
    this.used--;
    // A free row looks idle to every scan.
    this.length[row] = 255;
  }

  isFree(row: number): boolean {
    return this.length[row] === 255;
  }

  #hash(source: Uint32Array, at: number, length: number): number {
    let hash = Math.imul(length + 1, 0x9e3779b1);
    for (let i = 0; i < this.words; i++) {
      hash = Math.imul(hash ^ source[at + i]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & (this.#buckets.length - 1);
  }

  #grow(): void {
    const size = this.length.length * 2;
    this.address = grown(this.address, size * this.words);
    this.length = grown(this.length, size);
    this.prefixId = grown(this.prefixId, size);
    this.nextHop = grown(this.nextHop, size);
    this.installed = grown(this.installed, size);
    this.foreign = grown(this.foreign, size);
    this.status = grown(this.status, size);
    this.reason = grown(this.reason, size);
    this.errno = grown(this.errno, size);
    this.flags = grown(this.flags, size);
    this.#next = grown(this.#next, size);
    this.#buckets = new Int32Array(size).fill(-1);
    for (let row = 0; row < this.rowLimit; row++) {
      const bucket = this.#hash(this.address, row * this.words, this.length[row]!);
      this.#next[row] = this.#buckets[bucket]!;
      this.#buckets[bucket] = row;
    }
  }
}

type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** A copy with room for `size` elements. */
export function grown<T extends Column>(column: T, size: number): T {
  const larger = new (column.constructor as new (size: number) => T)(size);
  larger.set(column);
  return larger;
}
