// HOT: guarded by bench S1 (1,000,000 prefixes) and S3.
/**
 * The prefixes of one family, addressed by `PrefixId` (> 0), with the Loc-RIB columns.
 *
 * Cost: 4 (IPv4) or 16 (IPv6) octets of address + 13 octets of columns + 4 octets per hash slot (two to four slots
 * per prefix). A prefix without paths stays in the table ("empty") until `reclaim`, so that a withdrawn route which
 * comes back finds its place; ids of reclaimed prefixes are used again.
 *
 * Hash: 16 numerically neighbouring prefixes of one length share one cache line of slots, because updates arrive in
 * runs of neighbours; which line is decided by a seeded mix, because the sender chooses the prefixes.
 */
import { grow, grownCapacity } from './grow.js';

export const PrefixFlag = {
  /** In the dirty queue: decision must look at it. */
  dirty: 1,
  /** In the FIB queue: the kernel side has not been told the last word. */
  fibDirty: 2,
  /** The kernel side knows this prefix (pending, installed or failed): the id may not be reused. */
  inFib: 4,
  /** Told to nobody until the kernel has it (`export/hold-back.ts`). */
  held: 128,
} as const;

const INITIAL_CAPACITY = 1024;

export class PrefixTable {
  /** 32-bit words per address: 1 or 4. */
  readonly words: 1 | 4;
  readonly maxLength: 32 | 128;
  /** Ids in use or free: 1..end-1. */
  end = 1;
  /** Prefixes that are not on the free list. */
  size = 0;
  /** Ids given out since the start. */
  made = 0;
  /** Goes up when ids may become those of other prefixes: what is kept by id elsewhere is void then. */
  generation = 0;

  address: Uint32Array;
  length: Uint8Array;
  /** Head of the path chain; the best path stands first once decided. 0 = empty. */
  firstPath: Int32Array;
  /** Loc-RIB as last decided: attribute set of the best path, 0 = no best path. */
  bestAttribute: Int32Array;
  /** Loc-RIB as last decided: peer of the best path. */
  bestPeer: Uint16Array;
  /** DecisionReason of the best path, or why there is none. */
  reason: Uint8Array;
  flags: Uint8Array;

  #slots: Int32Array;
  #mask: number;
  readonly #seed: number;
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;

  constructor(words: 1 | 4, seed: number) {
    this.words = words;
    this.maxLength = words === 1 ? 32 : 128;
    this.#seed = seed | 0;
    const capacity = INITIAL_CAPACITY;
    this.address = new Uint32Array(capacity * words);
    this.length = new Uint8Array(capacity);
    this.firstPath = new Int32Array(capacity);
    this.bestAttribute = new Int32Array(capacity);
    this.bestPeer = new Uint16Array(capacity);
    this.reason = new Uint8Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.#slots = new Int32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
  }

  /** The id of an IPv4 prefix, 0 when absent. `address` is masked to `length`, any 32-bit number. */
  find4(address: number, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    address >>>= 0;
    let slot = this.#slot4(address, length);
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) return 0;
      if (this.address[id] === address && this.length[id] === length) return id;
      slot = (slot + 1) & mask;
    }
  }

  /** The id of an IPv4 prefix, made when absent. */
  findOrAdd4(address: number, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    address >>>= 0;
    let slot = this.#slot4(address, length);
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) break;
      if (this.address[id] === address && this.length[id] === length) return id;
      slot = (slot + 1) & mask;
    }
    const id = this.#take();
    this.address[id] = address;
    this.length[id] = length;
    this.#link(id, slot);
    return id;
  }

  find6(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = this.#slot6(w0, w1, w2, w3, length);
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) return 0;
      if (this.#equal6(id, w0, w1, w2, w3, length)) return id;
      slot = (slot + 1) & mask;
    }
  }

  findOrAdd6(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = this.#slot6(w0, w1, w2, w3, length);
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) break;
      if (this.#equal6(id, w0, w1, w2, w3, length)) return id;
      slot = (slot + 1) & mask;
    }
    const id = this.#take();
    const at = id * 4;
    this.address[at] = w0;
    this.address[at + 1] = w1;
    this.address[at + 2] = w2;
    this.address[at + 3] = w3;
    this.length[id] = length;
    this.#link(id, slot);
    return id;
  }

  /**
   * Gives back the ids of prefixes that nothing refers to: no path, no best path, no flag, and `held` does not claim
   * them. Walks the whole table; worth it when most prefixes are empty. Returns how many were freed.
   */
  reclaim(held: (id: number) => boolean): number {
    let freed = 0;
    for (let id = 1; id < this.end; id++) {
      if (this.length[id] === 255 || this.firstPath[id] !== 0 || this.bestAttribute[id] !== 0) continue;
      if (this.flags[id] !== 0 || held(id)) continue;
      this.length[id] = 255;
      if (this.#freeCount === this.#free.length) {
        this.#free = grow(this.#free, grownCapacity(this.#free.length, this.#freeCount + 1));
      }
      this.#free[this.#freeCount++] = id;
      freed++;
    }
    this.size -= freed;
    if (freed > 0) this.generation++;
    if (this.size === 0) this.#startOver();
    else if (freed > 0) this.#rehash(this.#slots.length);
    return freed;
  }

  /** Few more prefixes and the hash grows: the moment to `reclaim` instead, if many are empty. */
  get isCrowded(): boolean {
    return this.size * 8 > this.#slots.length * 4.5;
  }

  /** True for ids on the free list. */
  isFree(id: number): boolean {
    return this.length[id] === 255;
  }

  /** Nothing is left: the memory of a large table goes back to the system. */
  #startOver(): void {
    const capacity = INITIAL_CAPACITY;
    this.address = new Uint32Array(capacity * this.words);
    this.length = new Uint8Array(capacity);
    this.firstPath = new Int32Array(capacity);
    this.bestAttribute = new Int32Array(capacity);
    this.bestPeer = new Uint16Array(capacity);
    this.reason = new Uint8Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.#slots = new Int32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
    this.#free = new Int32Array(0);
    this.#freeCount = 0;
    this.end = 1;
  }

  #take(): number {
    this.size++;
    this.made++;
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    const id = this.end++;
    if (id >= this.length.length) this.#growColumns(id + 1);
    return id;
  }

  /** Puts a new id into the empty slot found for it; grows the hash when it gets crowded. */
  #link(id: number, slot: number): void {
    this.#slots[slot] = id;
    this.reason[id] = 0;
    if (this.size * 8 > this.#slots.length * 5) this.#rehash(this.#slots.length * 2);
  }

  #growColumns(needed: number): void {
    const capacity = grownCapacity(this.length.length, needed);
    this.address = grow(this.address, capacity * this.words);
    this.length = grow(this.length, capacity);
    this.firstPath = grow(this.firstPath, capacity);
    this.bestAttribute = grow(this.bestAttribute, capacity);
    this.bestPeer = grow(this.bestPeer, capacity);
    this.reason = grow(this.reason, capacity);
    this.flags = grow(this.flags, capacity);
  }

  #rehash(slotCount: number): void {
    const slots = slotCount === this.#slots.length ? this.#slots.fill(0) : new Int32Array(slotCount);
    this.#slots = slots;
    this.#mask = slotCount - 1;
    const mask = this.#mask;
    const address = this.address;
    for (let id = 1; id < this.end; id++) {
      const length = this.length[id]!;
      if (length === 255) continue;
      const at = id * this.words;
      let slot =
        this.words === 1
          ? this.#slot4(address[at]!, length)
          : this.#slot6(address[at]!, address[at + 1]!, address[at + 2]!, address[at + 3]!, length);
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
  }

  #slot4(address: number, length: number): number {
    const number = length === 0 ? 0 : address >>> (32 - length);
    let mix = Math.imul((number >>> 4) ^ this.#seed, 0x9e3779b1) + Math.imul(length, 0x85ebca6b);
    mix ^= mix >>> 15;
    mix = Math.imul(mix, 0x2c1b3c6d);
    mix ^= mix >>> 13;
    return ((mix << 4) | (number & 15)) & this.#mask;
  }

  #slot6(w0: number, w1: number, w2: number, w3: number, length: number): number {
    // The last four bits of the prefix choose the place in the line, the others choose the line.
    let low = 0;
    if (length >= 4) {
      const shift = 128 - length;
      const word = shift >>> 5;
      const bit = shift & 31;
      const here = word === 0 ? w3 : word === 1 ? w2 : word === 2 ? w1 : w0;
      const above = word === 0 ? w2 : word === 1 ? w1 : word === 2 ? w0 : 0;
      low = ((here >>> bit) | (bit > 28 ? above << (32 - bit) : 0)) & 15;
      if (bit <= 28) {
        const clear = ~(15 << bit);
        if (word === 0) w3 &= clear;
        else if (word === 1) w2 &= clear;
        else if (word === 2) w1 &= clear;
        else w0 &= clear;
      }
    }
    let mix = Math.imul(w0 ^ this.#seed, 0x9e3779b1);
    mix = Math.imul((mix ^ (mix >>> 15)) + w1, 0x85ebca6b);
    mix = Math.imul((mix ^ (mix >>> 13)) + w2, 0xc2b2ae35);
    mix = Math.imul((mix ^ (mix >>> 16)) + w3, 0x27d4eb2f);
    mix = Math.imul((mix ^ (mix >>> 15)) + length, 0x2c1b3c6d);
    mix ^= mix >>> 13;
    return ((mix << 4) | low) & this.#mask;
  }

  #equal6(id: number, w0: number, w1: number, w2: number, w3: number, length: number): boolean {
    const at = id * 4;
    const address = this.address;
    return (
      address[at] === w0 >>> 0 &&
      address[at + 1] === w1 >>> 0 &&
      address[at + 2] === w2 >>> 0 &&
      address[at + 3] === w3 >>> 0 &&
      this.length[id] === length
    );
  }
}
