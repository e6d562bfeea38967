/**
 * One peer's place in an update group: in the shared stream, or lagging behind it.
 *
 * A lagging member (it has just joined, asked for a refresh, or does not read fast enough) is not written to; every
 * prefix that changes meanwhile gets a bit. When it can take more, prefixes with bits are sent as they are *then*, and
 * without any bit left it is back in the stream. So a slow peer costs one bit per prefix, never a queue.
 */
import type { ChunkMemory } from './chunk-memory.js';
import type { SessionSink } from '../session/types.js';
import type { PolicyWalk } from './policy-walk.js';
import type { SentPaths } from './sent-paths.js';
import type { UpdateGroup } from './update-group.js';

/** Whole messages around the table of an enhanced refresh (RFC 7313 §4). */
export interface RefreshOptions {
  readonly opening?: Uint8Array | undefined;
  readonly closing?: Uint8Array | undefined;
}

export class Member {
  readonly peerId: number;
  readonly sink: SessionSink;
  readonly group: UpdateGroup;
  /** In the shared stream. */
  inStream = false;
  /** Messages to send when the walk has passed `walkEnd`: End-of-RIB, or the end of an enhanced refresh. */
  closing: Uint8Array | undefined;
  /** The first table of the session is not complete yet: `closing` is its End-of-RIB. */
  isInitial = true;
  walkEnd = 0;
  /** The table is being said again at the peer's request. */
  isRefreshing = false;
  /** It has asked once more meanwhile. */
  refreshAgain: RefreshOptions | undefined;
  /** Its export policy has changed, and not all has been compared yet: so long it is told nothing. */
  walk: PolicyWalk | undefined;
  /** With ADD-PATH: what it was told in groups that it has left since it was in the stream; shared, and never changed. */
  toldBefore: readonly SentPaths[] = [];
  /** With ADD-PATH: it has been told something in this group. */
  wasTold = false;
  /** Next word of the bitmap to look at. */
  cursor = 0;
  pending = 0;
  /** Memory that the session may still read from. */
  #held: ChunkMemory[] = [];
  #bits = new Uint32Array(0);

  constructor(peerId: number, sink: SessionSink, group: UpdateGroup) {
    this.peerId = peerId;
    this.sink = sink;
    this.group = group;
  }

  /** The session was handed this memory and has not sent all of it. */
  hold(memory: ChunkMemory): void {
    if (this.#held.at(-1) === memory) return;
    memory.holders++;
    this.#held.push(memory);
  }

  /** What was held, once; the caller decides what becomes of it. */
  takeHeld(): ChunkMemory[] {
    const held = this.#held;
    this.#held = [];
    return held;
  }

  /** The prefix has changed, or is to be said again. */
  mark(id: number): void {
    const word = id >>> 5;
    if (word >= this.#bits.length) {
      const larger = new Uint32Array(Math.max(64, word + 1 + (word >> 1)));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (id & 31);
    const old = this.#bits[word]!;
    if ((old & bit) !== 0) return;
    this.#bits[word] = old | bit;
    this.pending++;
  }

  /** Takes over what another has still to be told. */
  markAll(other: Member): void {
    this.#bits = other.#bits.slice();
    this.pending = other.pending;
  }

  isMarked(id: number): boolean {
    const word = id >>> 5;
    return word < this.#bits.length && (this.#bits[word]! & (1 << (id & 31))) !== 0;
  }

  /** Takes up to `limit` marked ids into `out` from the cursor on, wrapping once; returns how many. */
  takeMarked(out: Int32Array, limit: number): number {
    const bits = this.#bits;
    let count = 0;
    let word = this.cursor;
    for (let looked = 0; looked <= bits.length && this.pending > 0; looked++) {
      if (word >= bits.length) word = 0;
      let value = bits[word]!;
      while (value !== 0 && count < limit) {
        const low = value & -value;
        value ^= low;
        out[count++] = word * 32 + (31 - Math.clz32(low));
        this.pending--;
      }
      bits[word] = value;
      if (count === limit) break;
      word++;
    }
    this.cursor = word;
    return count;
  }

  /** Ends of the bitmap's memory once nothing is marked. */
  forgetBits(): void {
    this.#bits = new Uint32Array(0);
    this.pending = 0;
    this.cursor = 0;
  }
}
