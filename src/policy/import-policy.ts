// HOT: guarded by bench S1 with a policy.
/**
 * Import policy over the attribute pool. Most verdicts are looked up (`Program.rowOf`); where policy changes a set, what
 * it makes of it, an attribute set of its own, is remembered by class of prefix and received set, and kept alive as long
 * as the received one lives.
 */
import { LOOP_FLAGS } from '../rib/columns/attribute-pool.js';
import type { AttributeMemo, AttributePool } from '../rib/columns/attribute-pool.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { ImportFilter } from '../rib/import-filter.js';
import { ORDINARY_OCTETS } from '../rib/update-parts.js';
import { ClassMemos } from './class-memos.js';
import { readNlri } from './prefix-classes.js';
import { PrefixAt, Settled } from './program.js';
import type { Program } from './program.js';
import { Subject } from './subject.js';

/** In memos; 0 = not known. */
const REJECTED = -1;

export class ImportPolicy implements ImportFilter, AttributeMemo {
  readonly #programs: readonly [Program, Program];
  readonly #pool: AttributePool;
  readonly #subject = new Subject();
  readonly #place = new PrefixAt();
  /** Room for an address. */
  readonly #address = new Uint32Array(4);
  octets = ORDINARY_OCTETS[0];
  octetClass = -1;
  /** By family: the set that stands for a received one, or `REJECTED`. */
  readonly #memos: readonly [ClassMemos, ClassMemos] = [new ClassMemos(), new ClassMemos()];

  constructor(programs: readonly [Program, Program], pool: AttributePool) {
    this.#programs = programs;
    this.#pool = pool;
  }

  judge(rib: FamilyRib, prefixId: number, received: number): number {
    const program = this.#programs[rib.index];
    const { prefixes } = rib;
    const id = program.classes.classAt(prefixes, prefixId);
    const verdict = program.settled(program.rowOf(received), id);
    if (verdict === Settled.asIs) return received;
    if (verdict === Settled.rejected) return 0;
    const { address, words, length } = prefixes;
    return this.#open(rib, program, this.#place.set(address, prefixId * words, words, length[prefixId]!), received, id);
  }

  judgeNlri(rib: FamilyRib, bytes: Uint8Array, at: number, received: number): number {
    const program = this.#programs[rib.index];
    const row = program.rowOf(received);
    this.octets = ORDINARY_OCTETS[rib.index];
    this.octetClass = 1;
    switch (row.uniform) {
      case Settled.asIs:
        return received;
      case Settled.rejected:
        return 0;
      case Settled.open:
        if (!program.seesPrefix) return this.#open(rib, program, this.#place, received, 0);
    }
    const { classes } = program;
    const { words } = rib.prefixes;
    const id = classes.classOfNlri(bytes, at, words, this.#address);
    this.octets = classes.octetsOf(rib.index);
    // A function may say something else of the next one.
    this.octetClass = program.isMemoisable ? id + 1 : -1;
    const settled = program.settled(row, id);
    if (settled === Settled.asIs) return received;
    if (settled === Settled.rejected) return 0;
    readNlri(bytes, at, words, this.#address);
    return this.#open(rib, program, this.#place.set(this.#address, 0, words, bytes[at]!), received, id);
  }

  /** The policy has to be run, or has been. */
  #open(rib: FamilyRib, program: Program, place: PrefixAt, received: number, id: number): number {
    if (!program.isMemoisable) return Math.max(0, this.#run(rib, program, place, received, id));
    const memos = this.#memos[rib.index];
    const known = memos.get(id, received);
    if (known !== 0) return Math.max(0, known);
    const verdict = this.#run(rib, program, place, received, id);
    const pool = this.#pool;
    pool.addMemo(this);
    if (memos.set(id, received, verdict, pool.references.length) && verdict > 0 && verdict !== received) {
      pool.retain(verdict);
    }
    return Math.max(0, verdict);
  }

  forget(received: number): void {
    for (let family = 0; family < 2; family++) {
      this.#memos[family]!.forget(received, (verdict) => {
        if (verdict > 0 && verdict !== received) this.#pool.release(verdict);
      });
    }
  }

  /** Different sets may have become the same one. */
  forEachHeld(visit: (id: number) => void): void {
    for (const memos of this.#memos) {
      memos.forEach((received, verdict) => {
        if (verdict > 0 && verdict !== received) visit(verdict);
      });
    }
  }

  /** Nobody asks any more. */
  dispose(): void {
    this.#pool.dropMemo(this);
    this.forEachHeld((id) => this.#pool.release(id));
    for (const memos of this.#memos) memos.clear();
  }

  #run(rib: FamilyRib, program: Program, place: PrefixAt, received: number, id: number): number {
    const pool = this.#pool;
    const subject = this.#subject;
    const start = pool.start(received);
    subject.load(pool.bytes(received), start, start + pool.length(received), rib.index);
    if (!program.run(subject, id, place)) return REJECTED;
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
