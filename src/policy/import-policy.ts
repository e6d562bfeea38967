// HOT: guarded by bench S1 with a policy.
/**
 * Import policy over the attribute pool: verdicts memoised by class of prefix and received attribute set. What policy
 * changes becomes an attribute set of its own, which the memo keeps alive as long as the received one lives.
 */
import { LOOP_FLAGS } from '../rib/columns/attribute-pool.js';
import type { AttributeMemo, AttributePool } from '../rib/columns/attribute-pool.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { ImportFilter } from '../rib/import-filter.js';
import { PrefixAt } from './program.js';
import type { Program } from './program.js';
import { Subject } from './subject.js';

/** Classes with a memo: 4 octets an attribute set each. Policies with more are run anew for the others. */
const MOST_CLASSES = 64;
const REJECTED = -1;

export class ImportPolicy implements ImportFilter, AttributeMemo {
  readonly #programs: readonly [Program, Program];
  readonly #pool: AttributePool;
  readonly #subject = new Subject();
  readonly #place = new PrefixAt();
  /** By family and class, then by attribute set: 0 = not known, else the set that stands for it, or `REJECTED`. */
  readonly #memos: readonly [Map<number, Int32Array>, Map<number, Int32Array>] = [new Map(), new Map()];
  /** The memo of the last class: mostly that of the next. */
  #lastFamily = -1;
  #lastBits = -1;
  #last: Int32Array = new Int32Array(0);

  constructor(programs: readonly [Program, Program], pool: AttributePool) {
    this.#programs = programs;
    this.#pool = pool;
    pool.memos.add(this);
  }

  judge(rib: FamilyRib, prefixId: number, received: number): number {
    const program = this.#programs[rib.index];
    let bits = 0;
    if (program.seesPrefix) {
      bits = program.classAt(rib, prefixId);
      if (!program.isMemoisable) return Math.max(0, this.#evaluate(rib, program, prefixId, received, bits));
    }
    let memo: Int32Array = this.#last;
    if (bits !== this.#lastBits || rib.index !== this.#lastFamily || received >= memo.length) {
      const found = this.#memoOf(rib.index, bits, received);
      if (!found) return Math.max(0, this.#evaluate(rib, program, prefixId, received, bits));
      memo = found;
    }
    const known = memo[received]!;
    if (known !== 0) return known === REJECTED ? 0 : known;
    const verdict = this.#evaluate(rib, program, prefixId, received, bits);
    memo[received] = verdict;
    if (verdict > 0 && verdict !== received) this.#pool.retain(verdict);
    return verdict === REJECTED ? 0 : verdict;
  }

  forget(id: number): void {
    for (const memos of this.#memos) {
      for (const memo of memos.values()) {
        const verdict = id < memo.length ? memo[id]! : 0;
        if (verdict === 0) continue;
        memo[id] = 0;
        if (verdict > 0 && verdict !== id) this.#pool.release(verdict);
      }
    }
  }

  /** Nobody asks any more. */
  dispose(): void {
    this.#pool.memos.delete(this);
    for (const memos of this.#memos) {
      for (const memo of memos.values()) {
        for (let id = 0; id < memo.length; id++) {
          const verdict = memo[id]!;
          if (verdict > 0 && verdict !== id) this.#pool.release(verdict);
        }
      }
      memos.clear();
    }
    this.#lastBits = -1;
  }

  #memoOf(family: 0 | 1, bits: number, received: number): Int32Array | undefined {
    const memos = this.#memos[family];
    let memo = memos.get(bits);
    if (!memo && memos.size >= MOST_CLASSES) return undefined;
    if (!memo || received >= memo.length) {
      const capacity = Math.max(this.#pool.references.length, grownCapacity(1024, received + 1));
      memo = memo ? grow(memo, capacity) : new Int32Array(capacity);
      memos.set(bits, memo);
    }
    this.#lastFamily = family;
    this.#lastBits = bits;
    this.#last = memo;
    return memo;
  }

  #evaluate(rib: FamilyRib, program: Program, prefixId: number, received: number, bits: number): number {
    const pool = this.#pool;
    const subject = this.#subject;
    const { address, words, length } = rib.prefixes;
    const place = this.#place.set(address, prefixId * words, words, length[prefixId]!);
    const start = pool.start(received);
    subject.load(pool.bytes(received), start, start + pool.length(received), rib.index);
    if (!program.run(subject, bits, place)) return REJECTED;
    // A looped route is used by nobody: it keeps its attributes, so that the reason can be seen.
    if (!subject.isEdited || (pool.flags[received]! & LOOP_FLAGS) !== 0) return received;
    if (sameOctets(subject, pool, received)) return received;
    return pool.internPoliced(subject.bytes, subject.start, subject.end, received);
  }
}

export function sameOctets(subject: Subject, pool: AttributePool, attribute: number): boolean {
  const length = pool.length(attribute);
  if (subject.end - subject.start !== length) return false;
  const bytes = pool.bytes(attribute);
  const start = pool.start(attribute);
  for (let i = 0; i < length; i++) if (bytes[start + i] !== subject.bytes[subject.start + i]) return false;
  return true;
}
