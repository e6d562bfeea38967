/**
 * Whether the kernel has a route of somebody else to a prefix, exactly: for what is made to depend on one (`when` of
 * `defaultOriginate`). Only routes that forward count. Followed live; a handful of prefixes.
 */
import { parsePrefix } from 'bgp-parse';
import type { FamilyTable } from './family-table.js';

export class WatchedRoutes {
  readonly #tables: readonly [FamilyTable, FamilyTable];
  /** Of our own routes. */
  readonly #protocol: number;
  readonly #told: (present: readonly string[]) => void;
  #prefixes: readonly string[] = [];
  #present = '';

  /** `told`: those of the prefixes that there is a route to, at first and whenever that changes. */
  constructor(
    tables: readonly [FamilyTable, FamilyTable],
    protocol: number,
    told: (present: readonly string[]) => void,
  ) {
    this.#tables = tables;
    this.#protocol = protocol;
    this.#told = told;
  }

  /** These from now on. */
  set(prefixes: readonly string[]): void {
    this.#prefixes = prefixes;
    this.refresh();
  }

  /** Routes of others may have changed. */
  refresh(): void {
    if (this.#prefixes.length === 0 && this.#present === '') return;
    const present = this.#prefixes.filter((text) => {
      const { bytes, length } = parsePrefix(text)!;
      return this.#tables[bytes.length === 4 ? 0 : 1].hasForeign(bytes, length, this.#protocol);
    });
    const text = present.join(' ');
    if (text === this.#present) return;
    this.#present = text;
    this.#told(present);
  }
}
