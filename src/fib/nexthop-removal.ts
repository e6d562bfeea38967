/**
 * When a nexthop object goes before the routes that point at it: the kernel removes those with it, in one walk over all
 * routes instead of a message each. What went so is booked as lost, and looked at again.
 */
import type { FamilyTable } from './family-table.js';
import { NO_GATEWAY, OBJECT_CODE } from './gateways.js';
import type { KernelMirror } from './kernel-mirror.js';
import type { Leads } from './leads.js';
import type { NexthopObjects } from './nexthop-objects.js';

/** The walk costs about this share of removing all routes one by one. */
const WALK_SHARE = 1 / 32;
const FEW_ROUTES = 64;

export class NexthopRemoval {
  readonly #mirror: KernelMirror;
  readonly #objects: NexthopObjects;
  readonly #leads: readonly Leads[];

  /** `leads`: of the mirror's tables, in their order. */
  constructor(mirror: KernelMirror, objects: NexthopObjects, leads: readonly Leads[]) {
    this.#mirror = mirror;
    this.#objects = objects;
    this.#leads = leads;
  }

  /** Objects that no target needs any more, with the routes still on them, unless those are to be led elsewhere. */
  removeDropped(): void {
    for (const [index, leads] of this.#leads.entries()) {
      for (const code of leads.takeDropped()) {
        // In this order: looking through the rows is for the few objects that many routes are on.
        if (!this.#objects.isDisowned(code) || !this.#isWorthIt(this.#mirror.tables[index]!, code)) continue;
        if (!this.#isLeftFor(index, code)) this.#objects.remove(code);
      }
    }
    this.#bury();
  }

  /** Objects all routes of which are to go. */
  removeWhole(): void {
    for (const table of this.#mirror.tables) {
      const leaving = new Int32Array(this.#objects.users.length);
      if (!table.countLeaving(leaving)) continue;
      leaving.forEach((count, index) => {
        const code = OBJECT_CODE + index;
        if (count && count === this.#objects.users[index] && this.#isWorthIt(table, code)) this.#objects.remove(code);
      });
    }
    this.#bury();
  }

  /** Objects without routes. */
  removeIdle(): void {
    this.#objects.removeIdle();
    this.#bury();
  }

  /** Whether routes on an object wait to be led elsewhere: until then they forward by it. */
  #isLeftFor(index: number, code: number): boolean {
    const { installed, nextHop, rowLimit } = this.#mirror.tables[index]!.rows;
    for (let row = 0; row < rowLimit; row++) {
      if (installed[row] !== code || nextHop[row] === 0) continue;
      if (this.#leads[index]!.codeOf(nextHop[row]!) !== NO_GATEWAY) return true;
    }
    return false;
  }

  #isWorthIt(table: FamilyTable, code: number): boolean {
    const users = this.#objects.users[code - OBJECT_CODE]!;
    return users >= FEW_ROUTES && users >= table.rows.used * WALK_SHARE;
  }

  /** What has gone with its object is not in the kernel any more. */
  #bury(): void {
    const dead = this.#objects.takeDead();
    if (dead.length === 0) return;
    const withRoutes = new Set<number>();
    for (const code of dead) {
      for (const leads of this.#leads) leads.objectGone(code, this.#objects.targetOf(code));
      if (this.#objects.users[code - OBJECT_CODE]! > 0) withRoutes.add(code);
    }
    if (withRoutes.size) {
      for (const table of this.#mirror.tables) {
        const { installed, rowLimit } = table.rows;
        for (let row = 0; row < rowLimit; row++) {
          if (installed[row]! >= OBJECT_CODE && withRoutes.has(installed[row]!)) this.#mirror.lost(table, row);
        }
      }
    }
    for (const code of dead) this.#objects.release(code);
  }
}
