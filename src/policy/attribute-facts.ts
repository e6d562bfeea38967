// HOT: once per attribute set. Guarded by bench S1, S4 with a policy.
/**
 * Which conditions of the policies hold of an attribute set, a bit each. Asked once per set and condition, for all
 * policies of a configuration and both directions; forgotten with the set.
 *
 * Cost: 8 octets per attribute set while any policy asks for attributes.
 */
import { grow, grownCapacity } from '../rib/columns/grow.js';
import type { AttributeMemo, AttributePool } from '../rib/columns/attribute-pool.js';
import type { Condition } from './condition.js';
import { Subject } from './subject.js';

type AttributeCondition = Extract<Condition, { readonly kind: 'attribute' }>;

/** Conditions beyond these are asked each time a policy is run. */
const MOST_FACTS = 31;

export class AttributeFacts implements AttributeMemo {
  readonly #pool: AttributePool;
  readonly #conditions: AttributeCondition[] = [];
  readonly #subject = new Subject();
  /** By attribute set, two words: the conditions that have been asked, and those of them that hold. */
  #known = new Int32Array(0);

  constructor(pool: AttributePool) {
    this.#pool = pool;
  }

  /** The place of a condition; its text is its identity within a configuration. -1 = there is none left. */
  indexOf(condition: AttributeCondition): number {
    const known = this.#conditions.findIndex(({ text }) => text === condition.text);
    if (known >= 0) return known;
    if (this.#conditions.length === MOST_FACTS) return -1;
    if (this.#conditions.length === 0) this.#pool.addMemo(this);
    return this.#conditions.push(condition) - 1;
  }

  /** Of the conditions in `mask`, those that hold. */
  of(attribute: number, mask: number): number {
    const known = this.#known;
    const at = attribute * 2;
    if (at < known.length && (known[at]! & mask) === mask) return known[at + 1]! & mask;
    return this.#ask(attribute, mask) & mask;
  }

  forget(attribute: number): void {
    if (attribute * 2 < this.#known.length) this.#known[attribute * 2] = 0;
  }

  dispose(): void {
    this.#pool.dropMemo(this);
  }

  #ask(attribute: number, mask: number): number {
    const pool = this.#pool;
    const at = attribute * 2;
    if (at >= this.#known.length) {
      this.#known = grow(this.#known, 2 * Math.max(pool.references.length, grownCapacity(1024, attribute + 1)));
    }
    const subject = this.#subject;
    const start = pool.start(attribute);
    const end = start + pool.length(attribute);
    // Mostly it is asked about what has just come in.
    if (pool.scanned === attribute) {
      subject.loadScanned(pool.scan, pool.bytes(attribute), start, end, pool.scanShift);
    } else subject.load(pool.bytes(attribute), start, end, 0);
    const asked = this.#known[at]!;
    let holds = asked === 0 ? 0 : this.#known[at + 1]!;
    for (let missing = mask & ~asked; missing !== 0; missing &= missing - 1) {
      const bit = missing & -missing;
      if (this.#conditions[31 - Math.clz32(bit)]!.holds(subject)) holds |= bit;
    }
    this.#known[at] = asked | mask;
    this.#known[at + 1] = holds;
    return holds;
  }
}
