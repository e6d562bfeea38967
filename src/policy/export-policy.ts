// HOT: guarded by bench S1, S4 with a policy.
/**
 * Export policy of an update group: most verdicts are looked up (`Program.rowOf`); where policy changes attributes, only
 * that it does is remembered, by class of prefix and attribute set. What is changed is written anew each time it is
 * told: once per attribute set, batch and group, for all members.
 */
import { MIXED, Verdict } from './export-filter.js';
import type { EditedAttributes, ExportFilter } from './export-filter.js';
import type { AttributeMemo } from '../rib/columns/attribute-pool.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';
import type { RibPeer } from '../rib/rib-peers.js';
import { ClassMemos } from './class-memos.js';
import { sameOctets } from './import-policy.js';
import { PrefixAt, Settled } from './program.js';
import type { Program, VerdictRow } from './program.js';
import { Subject } from './subject.js';

interface Bound {
  readonly program: Program;
  readonly familyIndex: 0 | 1;
  /** Verdicts and one more. */
  readonly memos: ClassMemos;
}

interface BoundTo {
  readonly source: RibPeer;
  readonly bound: Bound;
}

/** Equal verdicts of one set and source stand for equal octets: those of a class, or of one prefix without memo. */
function edited(verdict: number, part: number): number {
  return verdict < Verdict.edited ? verdict : Verdict.edited + part;
}

export interface ExportPolicyOptions {
  readonly id: number;
  readonly rib: Rib;
  readonly seesPrefix: boolean;
  readonly isUnsure: boolean;
  /** All sources are alike to it. */
  readonly ignoresSource: boolean;
  /** The program for routes of a source. */
  readonly programFor: (family: FamilyRib, source: RibPeer) => Program;
}

export class ExportPolicy implements ExportFilter, AttributeMemo {
  readonly id: number;
  readonly seesPrefix: boolean;
  readonly isUnsure: boolean;
  hasRejected = false;
  readonly #options: ExportPolicyOptions;
  readonly #subject = new Subject();
  readonly #place = new PrefixAt();
  /** One for each program and family. */
  readonly #bounds: Bound[] = [];
  /** By family, where all sources are alike. */
  readonly #everywhere: readonly [Bound, Bound] | undefined;
  /** By family and source, where they are not; good as long as the id is that of the same peer. */
  readonly #bySource: readonly [BoundTo[], BoundTo[]] = [[], []];

  constructor(options: ExportPolicyOptions) {
    this.#options = options;
    this.id = options.id;
    this.seesPrefix = options.seesPrefix;
    this.isUnsure = options.isUnsure;
    const { families, peers } = options.rib;
    // Before anybody asks: what is met for the first time costs compiled code.
    if (options.ignoresSource) {
      this.#everywhere = [this.#bind(families[0], peers.get(0)!), this.#bind(families[1], peers.get(0)!)];
    }
  }

  judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number {
    const verdict = this.#judge(rib, prefixId, attribute, source);
    if (verdict === Verdict.rejected) this.hasRejected = true;
    return verdict;
  }

  #judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number {
    const bound = this.#boundOf(rib, source);
    const { program } = bound;
    const row = program.rowOf(attribute);
    const { uniform } = row;
    // The values are the same.
    if (uniform === Settled.asIs || uniform === Settled.rejected) return uniform - 1;
    const id = program.classes.classAt(rib.prefixes, prefixId);
    const verdict = program.settled(row, id);
    return verdict === Settled.open ? this.#open(rib, bound, prefixId, attribute, id) : verdict - 1;
  }

  judgeChain(
    rib: FamilyRib,
    ids: Int32Array,
    next: Int32Array,
    head: number,
    attribute: number,
    source: number,
    verdicts: Int32Array,
  ): number {
    const verdict = this.#judgeChain(rib, ids, next, head, attribute, source, verdicts);
    // Of several one may be that.
    if (verdict === Verdict.rejected || verdict === MIXED) this.hasRejected = true;
    return verdict;
  }

  #judgeChain(
    rib: FamilyRib,
    ids: Int32Array,
    next: Int32Array,
    head: number,
    attribute: number,
    source: number,
    verdicts: Int32Array,
  ): number {
    const bound = this.#boundOf(rib, source);
    const { program } = bound;
    const row = program.rowOf(attribute);
    const { uniform } = row;
    if (uniform === Settled.asIs || uniform === Settled.rejected) return uniform - 1;
    if (uniform === Settled.open && !program.seesPrefix) return this.#open(rib, bound, ids[head]!, attribute, 0);
    if (!program.isMemoisable) return this.#judgeEach(rib, bound, row, ids, next, head, attribute, verdicts);
    const { classes } = program;
    const { prefixes } = rib;
    const id = classes.classAt(prefixes, ids[head]!);
    for (let at = next[head]!; at >= 0; at = next[at]!) {
      if (classes.classAt(prefixes, ids[at]!) === id) continue;
      return this.#judgeEach(rib, bound, row, ids, next, head, attribute, verdicts);
    }
    const settled = program.settled(row, id);
    return settled === Settled.open ? this.#open(rib, bound, ids[head]!, attribute, id) : settled - 1;
  }

  /** The same where prefixes are of several classes. */
  #judgeEach(
    rib: FamilyRib,
    bound: Bound,
    row: VerdictRow,
    ids: Int32Array,
    next: Int32Array,
    head: number,
    attribute: number,
    verdicts: Int32Array,
  ): number {
    const { program } = bound;
    const { classes } = program;
    let isSame = true;
    for (let at = head; at >= 0; at = next[at]!) {
      const prefixId = ids[at]!;
      const id = classes.classAt(rib.prefixes, prefixId);
      const settled = program.settled(row, id);
      verdicts[at] = settled === Settled.open ? this.#open(rib, bound, prefixId, attribute, id) : settled - 1;
      if (verdicts[at] !== verdicts[head]) isSame = false;
    }
    return isSame ? verdicts[head]! : MIXED;
  }

  keepTold(rib: FamilyRib, ids: Int32Array, attributes: Int32Array, count: number, source: number): number {
    const bound = this.#boundOf(rib, source);
    const { program } = bound;
    const { classes } = program;
    const { prefixes } = rib;
    let kept = 0;
    let last = 0;
    let row = program.rowOf(attributes[0]!);
    for (let i = 0; i < count; i++) {
      const attribute = attributes[i]!;
      if (attribute !== last) {
        row = program.rowOf(attribute);
        last = attribute;
      }
      const prefixId = ids[i]!;
      let settled = row.uniform;
      if (settled === Settled.unknown || settled === Settled.open) {
        const id = classes.classAt(prefixes, prefixId);
        settled = program.settled(row, id);
        if (settled === Settled.open && this.#open(rib, bound, prefixId, attribute, id) === Verdict.rejected) continue;
      }
      if (settled !== Settled.rejected) ids[kept++] = prefixId;
    }
    return kept;
  }

  /** The policy has to be run, or has been. */
  #open(rib: FamilyRib, { program, memos }: Bound, prefixId: number, attribute: number, id: number): number {
    if (!program.isMemoisable) return edited(this.#evaluate(rib, program, prefixId, attribute, id), prefixId);
    const known = memos.get(id, attribute);
    if (known !== 0) return edited(known - 1, id);
    const verdict = this.#evaluate(rib, program, prefixId, attribute, id);
    const { attributes } = this.#options.rib;
    attributes.addMemo(this);
    memos.set(id, attribute, verdict + 1, attributes.references.length);
    return edited(verdict, id);
  }

  edit(rib: FamilyRib, prefixId: number, attribute: number, source: number): EditedAttributes {
    const { program } = this.#boundOf(rib, source);
    this.#evaluate(rib, program, prefixId, attribute, program.classes.classAt(rib.prefixes, prefixId));
    return this.#subject;
  }

  forget(attribute: number): void {
    for (let i = 0; i < this.#bounds.length; i++) this.#bounds[i]!.memos.forget(attribute);
  }

  /** Nobody asks any more. */
  dispose(): void {
    this.#options.rib.attributes.dropMemo(this);
  }

  #boundOf(rib: FamilyRib, sourceId: number): Bound {
    if (this.#everywhere !== undefined) return this.#everywhere[rib.index];
    const source = this.#options.rib.peers.get(sourceId)!;
    const known = this.#bySource[rib.index][sourceId];
    if (known?.source === source) return known.bound;
    const bound = this.#bind(rib, source);
    this.#bySource[rib.index][sourceId] = { source, bound };
    return bound;
  }

  #bind(rib: FamilyRib, source: RibPeer): Bound {
    const program = this.#options.programFor(rib, source);
    const { index } = rib;
    let bound = this.#bounds.find((one) => one.program === program && one.familyIndex === index);
    if (!bound) this.#bounds.push((bound = { program, familyIndex: index, memos: new ClassMemos() }));
    return bound;
  }

  #evaluate(rib: FamilyRib, program: Program, prefixId: number, attribute: number, id: number): number {
    const pool = this.#options.rib.attributes;
    const subject = this.#subject;
    const { address, words, length } = rib.prefixes;
    const place = this.#place.set(address, prefixId * words, words, length[prefixId]!);
    const start = pool.start(attribute);
    subject.load(pool.bytes(attribute), start, start + pool.length(attribute), rib.index);
    if (!program.run(subject, id, place)) return Verdict.rejected;
    if (!subject.isEdited) return Verdict.asIs;
    const plain = !subject.keepMed && subject.nextHop === 'default' && sameOctets(subject, pool, attribute);
    return plain ? Verdict.asIs : Verdict.edited;
  }
}
