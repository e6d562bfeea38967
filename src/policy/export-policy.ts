// HOT: guarded by bench S1, S4 with a policy.
/**
 * Export policy of an update group: verdicts memoised by source, class of prefix and attribute set, one octet each. What
 * is changed is written anew each time it is told: once per attribute set, batch and group, for all members.
 */
import { Verdict } from './export-filter.js';
import type { EditedAttributes, ExportFilter } from './export-filter.js';
import type { AttributeMemo } from '../rib/columns/attribute-pool.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';
import type { RibPeer } from '../rib/rib-peers.js';
import { sameOctets } from './import-policy.js';
import { PrefixAt } from './program.js';
import type { Program } from './program.js';
import { Subject } from './subject.js';

const MOST_CLASSES = 64;
/** In memos, a verdict is one more: 0 = not known. Verdicts above `edited` say which class they are of. */
const UNKNOWN = 0;

interface Bound {
  readonly program: Program;
  /** By class. */
  readonly memos: Map<number, Uint8Array>;
  /** The class asked last, mostly that of the next, and its memo. */
  bits: number;
  memo: Uint8Array;
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
    options.rib.attributes.memos.add(this);
  }

  judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number {
    const bound = this.#boundOf(rib, source);
    const { program } = bound;
    let bits = 0;
    if (program.seesPrefix) {
      bits = program.classAt(rib, prefixId);
      if (!program.isMemoisable) return edited(this.#evaluate(rib, program, prefixId, attribute, bits), prefixId);
    }
    let memo: Uint8Array = bound.memo;
    if (bits !== bound.bits || attribute >= memo.length) {
      const found = this.#memoOf(bound, bits, attribute);
      if (!found) return edited(this.#evaluate(rib, program, prefixId, attribute, bits), bits);
      memo = found;
    }
    const known = memo[attribute]!;
    if (known !== UNKNOWN) return edited(known - 1, bits);
    const verdict = this.#evaluate(rib, program, prefixId, attribute, bits);
    memo[attribute] = verdict + 1;
    return edited(verdict, bits);
  }

  edit(rib: FamilyRib, prefixId: number, attribute: number, source: number): EditedAttributes {
    const { program } = this.#boundOf(rib, source);
    const bits = program.seesPrefix ? program.classAt(rib, prefixId) : 0;
    this.#evaluate(rib, program, prefixId, attribute, bits);
    return this.#subject;
  }

  forget(id: number): void {
    for (const bounds of this.#bounds) {
      for (const { memos } of bounds.values())
        for (const memo of memos.values()) if (id < memo.length) memo[id] = UNKNOWN;
    }
  }

  dispose(): void {
    this.#options.rib.attributes.memos.delete(this);
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
    if (!bound) bounds.set(program, (bound = { program, memos: new Map(), bits: -1, memo: new Uint8Array(0) }));
    bySource[at] = bound;
    sources[at] = source;
    return bound;
  }

  #memoOf(bound: Bound, bits: number, attribute: number): Uint8Array | undefined {
    const { memos } = bound;
    let memo = memos.get(bits);
    if (!memo && memos.size >= MOST_CLASSES) return undefined;
    if (!memo || attribute >= memo.length) {
      const capacity = Math.max(this.#options.rib.attributes.references.length, grownCapacity(1024, attribute + 1));
      memo = memo ? grow(memo, capacity) : new Uint8Array(capacity);
      memos.set(bits, memo);
    }
    bound.bits = bits;
    bound.memo = memo;
    return memo;
  }

  #evaluate(rib: FamilyRib, program: Program, prefixId: number, attribute: number, bits: number): number {
    const pool = this.#options.rib.attributes;
    const subject = this.#subject;
    const { address, words, length } = rib.prefixes;
    const place = this.#place.set(address, prefixId * words, words, length[prefixId]!);
    const start = pool.start(attribute);
    subject.load(pool.bytes(attribute), start, start + pool.length(attribute), rib.index);
    if (!program.run(subject, bits, place)) return Verdict.rejected;
    if (!subject.isEdited) return Verdict.asIs;
    const plain = !subject.keepMed && subject.nextHop === 'default' && sameOctets(subject, pool, attribute);
    return plain ? Verdict.asIs : Verdict.edited;
  }
}
