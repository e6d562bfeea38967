/**
 * Whether two export filters say the same of a path that both let through: what a changed policy need not say again.
 * Lives for one walk over the table.
 */
import { equalBytes } from 'bgp-parse';
import type { FamilyRib } from '../rib/family-rib.js';
import { Verdict } from '../policy/export-filter.js';
import type { ExportFilter } from '../policy/export-filter.js';

/** Sources fit below. */
const ATTRIBUTE_UNIT = 2 ** 16;

export class FilterDifference {
  readonly #before: ExportFilter | undefined;
  readonly #now: ExportFilter | undefined;
  readonly #rib: FamilyRib;
  /** By attribute set and source, where neither filter sees prefixes. */
  readonly #known = new Map<number, boolean>();
  readonly #byPrefix: boolean;

  constructor(before: ExportFilter | undefined, now: ExportFilter | undefined, rib: FamilyRib) {
    this.#before = before;
    this.#now = now;
    this.#rib = rib;
    this.#byPrefix = before?.seesPrefix === true || now?.seesPrefix === true;
  }

  isDifferent(prefixId: number, attribute: number, source: number): boolean {
    if (this.#before === this.#now) return false;
    if (this.#before?.isUnsure || this.#now?.isUnsure) return true;
    if (this.#byPrefix) return this.#compare(prefixId, attribute, source);
    const key = attribute * ATTRIBUTE_UNIT + source;
    let different = this.#known.get(key);
    if (different === undefined) this.#known.set(key, (different = this.#compare(prefixId, attribute, source)));
    return different;
  }

  #compare(prefixId: number, attribute: number, source: number): boolean {
    const a = this.#describe(this.#before, prefixId, attribute, source);
    const b = this.#describe(this.#now, prefixId, attribute, source);
    if (!a || !b) return a !== b;
    return a.keepMed !== b.keepMed || a.nextHop !== b.nextHop || !equalBytes(a.octets, b.octets);
  }

  /** undefined = as it is. */
  #describe(filter: ExportFilter | undefined, prefixId: number, attribute: number, source: number) {
    if (!filter || filter.judge(this.#rib, prefixId, attribute, source) === Verdict.asIs) return undefined;
    const { bytes, start, end, keepMed, nextHop } = filter.edit(this.#rib, prefixId, attribute, source);
    return { keepMed, nextHop, octets: bytes.slice(start, end) };
  }
}
