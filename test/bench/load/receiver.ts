// HOT: reads every octet that a speaker sends; one octet of state per prefix, nothing allocated.
/**
 * What one receiver holds, prefix by prefix, and whether it is what it should be. Reads UPDATE bodies in place.
 *
 * State of a prefix: 0 = not held, 1..200 = held with the right attributes of that generation, 254 = held with
 * attributes of a sender that must not win. A prefix with a tag that does not cover it, or without a tag, is wrong.
 */
import { LARGE_COMMUNITIES, MARK, winnerOf } from './tag.js';
import type { Prefixes } from './prefixes.js';

const OTHER = 254;
const MARK_SIGNED = MARK | 0;

export class Receiver {
  /** Distinct prefixes held now, and how many of them in the generation looked for. */
  held = 0;
  atTarget = 0;
  /** Messages and prefixes seen in this phase; own routes that came back; prefixes that must not be as they are. */
  updates = 0;
  announced = 0;
  ownRoutes = 0;
  wrong = 0;
  /** What was wrong first, for people. */
  wrongText = '';
  /** While a refresh is answered: prefixes seen again. */
  seenAgain = 0;
  /** Latencies of the churn phase, milliseconds, and when each prefix was sent. */
  latencies = new Float64Array(0);
  latencyCount = 0;

  readonly #prefixes: Prefixes;
  readonly #competitors: number;
  readonly #state: Uint8Array;
  /** Own prefixes of a peer that both sends and receives: [first, end). */
  readonly #ownFirst: number;
  readonly #ownEnd: number;
  #target = 0;
  #seen: Uint8Array | undefined;
  #sentAt: Float64Array | undefined;

  constructor(prefixes: Prefixes, competitors: number, ownFirst: number, ownEnd: number) {
    this.#prefixes = prefixes;
    this.#competitors = competitors;
    this.#state = new Uint8Array(prefixes.indexEnd);
    this.#ownFirst = ownFirst;
    this.#ownEnd = ownEnd;
  }

  /** A phase begins. */
  expect(generation: number): void {
    this.updates = this.announced = this.ownRoutes = this.seenAgain = this.latencyCount = 0;
    this.#seen = undefined;
    this.#sentAt = undefined;
    if (generation === this.#target) return;
    this.#target = generation;
    this.atTarget = 0;
    for (const state of this.#state) if (state === generation) this.atTarget++;
  }

  expectAgain(): void {
    this.#seen = new Uint8Array(this.#prefixes.indexEnd);
  }

  /** `sentAt` by prefix index, milliseconds. */
  expectChurn(sentAt: Float64Array, updates: number): void {
    this.#sentAt = sentAt;
    this.latencies = new Float64Array(updates);
  }

  /** One UPDATE body. `nowMs`: when its octets were read. */
  update(bytes: Uint8Array, start: number, end: number, nowMs: number): void {
    this.updates++;
    const attributes = start + 4 + ((bytes[start]! << 8) | bytes[start + 1]!);
    const nlri = attributes + ((bytes[attributes - 2]! << 8) | bytes[attributes - 1]!);
    if (nlri > end) return this.#fail('an UPDATE with lengths that do not fit');
    this.#withdraw(bytes, start + 2, attributes - 2);
    if (nlri === end) return;

    let first = -1;
    let word = 0;
    for (let at = attributes; at < nlri;) {
      const long = (bytes[at]! & 0x10) !== 0;
      const length = long ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
      const value = at + (long ? 4 : 3);
      if (bytes[at + 1] === LARGE_COMMUNITIES && length === 12 && readI32(bytes, value) === MARK_SIGNED) {
        first = readI32(bytes, value + 4);
        word = readI32(bytes, value + 8);
      }
      at = value + length;
    }
    if (first < 0) return this.#fail('an announcement without the tag');
    this.#announce(bytes, nlri, end, first, word, nowMs);
  }

  #announce(bytes: Uint8Array, start: number, end: number, first: number, word: number, nowMs: number): void {
    const prefixes = this.#prefixes;
    const states = this.#state;
    const target = this.#target;
    const seen = this.#seen;
    const sentAt = this.#sentAt;
    const generation = word >>> 24;
    const last = first + (word & 0xfff);
    const competitors = this.#competitors;
    const wins = competitors === 1 || winnerOf(first, competitors) === ((word >>> 12) & 0xfff);
    const next = wins ? generation : OTHER;
    for (let at = start; at < end;) {
      const length = bytes[at]!;
      const bits =
        (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | (length > 24 ? bytes[at + 4]! : 0);
      at += 1 + ((length + 7) >> 3);
      const index = prefixes.indexOf(bits, length);
      if (index < first || index > last) return this.#fail('a prefix with the attributes of another');
      if (index >= this.#ownFirst && index < this.#ownEnd) {
        this.ownRoutes++;
        continue;
      }
      this.announced++;
      const before = states[index]!;
      if (before === 0) this.held++;
      if (before !== next) {
        if (next === target) {
          this.atTarget++;
          if (sentAt !== undefined && this.latencyCount < this.latencies.length) {
            this.latencies[this.latencyCount++] = nowMs - sentAt[index]!;
          }
        } else if (before === target) {
          this.atTarget--;
        }
        states[index] = next;
      }
      if (seen !== undefined && seen[index] === 0) {
        seen[index] = 1;
        this.seenAgain++;
      }
    }
  }

  #withdraw(bytes: Uint8Array, start: number, end: number): void {
    const states = this.#state;
    for (let at = start; at < end;) {
      const length = bytes[at]!;
      const bits =
        (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | (length > 24 ? bytes[at + 4]! : 0);
      at += 1 + ((length + 7) >> 3);
      const index = this.#prefixes.indexOf(bits, length);
      if (index < 0) return this.#fail('a withdrawal of a prefix that nobody has announced');
      const before = states[index]!;
      if (before === 0) continue;
      this.held--;
      if (before === this.#target) this.atTarget--;
      states[index] = 0;
    }
  }

  #fail(text: string): void {
    this.wrong++;
    this.wrongText ||= text;
  }
}

/** Signed: an unsigned one may not fit V8's small integers, and would be allocated. */
function readI32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
