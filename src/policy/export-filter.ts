/**
 * The seam between export and export policy: what an update group may be told, and how it looks there. Verdicts are
 * pure functions of attribute set, source and prefix, because what a group has been told is never stored but worked out
 * again (see `update-group.ts`).
 */
import type { FamilyRib } from '../rib/family-rib.js';

/** Verdicts above stand for edited attributes: equal ones of one set and source for equal octets. */
export const Verdict = { rejected: 0, asIs: 1, edited: 2 } as const;
/** Of several prefixes: there are several verdicts. */
export const MIXED = -1;

/** An attribute set as policy leaves it, before the rules of the wire; valid until the next `edit`. */
export interface EditedAttributes {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** The MED is policy's own: external peers are told it, too. */
  readonly keepMed: boolean;
  /** `default`: as without policy. `given`: the one in the octets is policy's own. */
  readonly nextHop: 'default' | 'self' | 'unchanged' | 'given';
}

export interface ExportFilter {
  /** Groups with filters of one id share everything. */
  readonly id: number;
  /** Verdicts may differ by prefix. */
  readonly seesPrefix: boolean;
  /** Verdicts may differ from one call to the next (functions of an embedding program): old ones are not relied on. */
  readonly isUnsure: boolean;
  /** It has rejected something since it was made. If not, it has let through whatever it was asked for. */
  readonly hasRejected: boolean;
  judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number;
  /**
   * The verdict on a chain of prefixes: ids[head], then ids[next[head]], until -1. `MIXED`: they are in `verdicts`, by
   * the same positions.
   */
  judgeChain(
    rib: FamilyRib,
    ids: Int32Array,
    next: Int32Array,
    head: number,
    attribute: number,
    source: number,
    verdicts: Int32Array,
  ): number;
  /**
   * Of ids[0, count), which had these attribute sets from `source`, those that it let through: to the front, in order.
   * Returns how many.
   */
  keepTold(rib: FamilyRib, ids: Int32Array, attributes: Int32Array, count: number, source: number): number;
  /** What the verdict, above `asIs`, stands for. */
  edit(rib: FamilyRib, prefixId: number, attribute: number, source: number): EditedAttributes;
}
