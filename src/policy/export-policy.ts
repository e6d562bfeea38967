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
  /** Verdicts and one more. */
  readonly memos: ClassMemos;
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
  readonly #options: ExportPolicyOptions;
  readonly #subject = new Subject();
  readonly #place = new PrefixAt();
  /** By family, then by program. */
  readonly #bounds: readonly [Map<Program, Bound>, Map<Program, Bound>] = [new Map(), new Map()];
  /** By family and source; good as long as the id is that of the same peer. */
  readonly #bySource: readonly [(Bound | undefined)[], (Bound | undefined)[]] = [[], []];
  readonly #sourceOf: readonly [(RibPeer | undefined)[], (RibPeer | undefined)[]] = [[], []];

  constructor(options: ExportPolicyOptions) {
    this.#options = options;
    this.id = options.id;
    this.seesPrefix = options.seesPrefix;
    this.isUnsure = options.isUnsure;
  }

  judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number {
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
    for (const bounds of this.#bounds) for (const { memos } of bounds.values()) memos.forget(attribute);
  }

  /** Nobody asks any more. */
  dispose(): void {
    this.#options.rib.attributes.dropMemo(this);
  }

  #boundOf(rib: FamilyRib, sourceId: number): Bound {
    const { rib: whole, ignoresSource, programFor } = this.#options;
    const at = ignoresSource ? 0 : sourceId;
    const bySource = this.#bySource[rib.index];
    const known = bySource[at];
    if (ignoresSource && known) return known;
    const source = whole.peers.get(at)!;
    const sources = this.#sourceOf[rib.index];
    if (known && sources[at] === source) return known;
    const program = programFor(rib, source);
    const bounds = this.#bounds[rib.index];
    let bound = bounds.get(program);
    if (!bound) bounds.set(program, (bound = { program, memos: new ClassMemos() }));
    bySource[at] = bound;
    sources[at] = source;
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
