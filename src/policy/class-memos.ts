// HOT: once per attribute set that a policy changes. Guarded by bench S1, S4 with a policy.
/**
 * A number per class of prefix and attribute set, 0 = not known. Cost: 4 octets an attribute set and class that was
 * asked for; classes beyond a few are not remembered.
 */
import { grow, grownCapacity } from '../rib/columns/grow.js';

const MOST_CLASSES = 64;

export class ClassMemos {
  readonly #classes: number[] = [];
  readonly #columns: Int32Array[] = [];

  get(id: number, attribute: number): number {
    const at = this.#classes.indexOf(id);
    if (at < 0) return 0;
    const column = this.#columns[at]!;
    return attribute < column.length ? column[attribute]! : 0;
  }

  /** `capacity`: of all columns of attribute sets. False when it is not remembered. */
  set(id: number, attribute: number, value: number, capacity: number): boolean {
    let at = this.#classes.indexOf(id);
    if (at < 0) {
      if (this.#classes.length === MOST_CLASSES) return false;
      at = this.#classes.push(id) - 1;
      this.#columns.push(new Int32Array(capacity));
    }
    let column = this.#columns[at]!;
    if (attribute >= column.length) {
      column = this.#columns[at] = grow(column, Math.max(capacity, grownCapacity(1024, attribute + 1)));
    }
    column[attribute] = value;
    return true;
  }

  /** Forgets what is known of a set; `drop` gets each number. */
  forget(attribute: number, drop?: (value: number) => void): void {
    const columns = this.#columns;
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!;
      const value = attribute < column.length ? column[attribute]! : 0;
      if (value === 0) continue;
      column[attribute] = 0;
      drop?.(value);
    }
  }

  /** Each attribute set and its numbers. */
  forEach(visit: (attribute: number, value: number) => void): void {
    for (const column of this.#columns) {
      for (let attribute = 0; attribute < column.length; attribute++) {
        if (column[attribute] !== 0) visit(attribute, column[attribute]!);
      }
    }
  }

  clear(): void {
    this.#classes.length = this.#columns.length = 0;
  }
}
