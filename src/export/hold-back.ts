/**
 * `advertise: whenInstalled`: a prefix is told to nobody until the kernel has a route for it, and taken back when the
 * kernel has it no more. FRR calls it `bgp suppress-fib-pending`.
 *
 * Between decision and export. What the exporter is to see of a prefix is its best path or, while the prefix is held,
 * nothing: `PrefixFlag.held` says which, so lagging members and new ones see the same. A change of next hop does not
 * interrupt a route that is installed. Our own prefixes have no next hop and are never held.
 */
// HOT: one look at the status of each changed prefix; not in the path at all while it is off.
import { BATCH_PREFIXES, ChangeBatch } from '../rib/change-batch.js';
import { DirtyQueue } from '../rib/columns/dirty-queue.js';
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';

export interface HoldBackHost {
  readonly rib: Rib;
  /** Whether the kernel has a route for the prefix now. */
  isInstalled(rib: FamilyRib, id: number): boolean;
  /** Whether the kernel side has not said anything about the prefix yet. */
  isUnanswered(rib: FamilyRib, id: number): boolean;
  /** Tells the update groups. */
  export(rib: FamilyRib, batch: ChangeBatch): void;
}

export class HoldBack {
  readonly #host: HoldBackHost;
  /** In the exporter's hands until it has delivered all of it. */
  readonly #batch = new ChangeBatch();
  /** Prefixes to look at again, by family index; any of them may be named more than once. */
  readonly #queues = [new DirtyQueue(), new DirtyQueue()] as const;
  #on = false;

  constructor(host: HoldBackHost) {
    this.#host = host;
  }

  /** False = nothing is held, and nothing waits to be released. */
  get isActive(): boolean {
    return this.#on || this.hasWork;
  }

  /** `release` has something to look at. */
  get hasWork(): boolean {
    return this.#queues[0].size > 0 || this.#queues[1].size > 0;
  }

  /** Switches on or off; what was advertised and should not be is withdrawn, and the other way round. */
  set(on: boolean): void {
    if (this.#on === on) return;
    this.#on = on;
    for (const rib of this.#host.rib.families) {
      for (let id = 1; id < rib.prefixes.end; id++) this.#queues[rib.index].push(id);
    }
  }

  /** Takes out of a batch of decisions what the groups are not to see. The kernel side has had it before. */
  filter(rib: FamilyRib, batch: ChangeBatch): void {
    const { flags } = rib.prefixes;
    const { id, oldAttribute, oldPeer, newAttribute, newPeer } = batch;
    let kept = 0;
    for (let at = 0; at < batch.count; at++) {
      const prefix = id[at]!;
      const wasHeld = (flags[prefix]! & PrefixFlag.held) !== 0;
      const isHeld = this.#mustHold(rib, prefix, newAttribute[at]!);
      flags[prefix] = isHeld ? flags[prefix]! | PrefixFlag.held : flags[prefix]! & ~PrefixFlag.held;
      const before = wasHeld ? 0 : oldAttribute[at]!;
      const now = isHeld ? 0 : newAttribute[at]!;
      if (before === 0 && now === 0) continue;
      id[kept] = prefix;
      oldAttribute[kept] = before;
      oldPeer[kept] = oldPeer[at]!;
      newAttribute[kept] = now;
      newPeer[kept++] = newPeer[at]!;
    }
    batch.count = kept;
  }

  /** The kernel side has spoken of these prefixes: (prefixId, FibStatus) pairs. */
  statusChanged(rib: FamilyRib, pairs: Uint32Array, count: number): void {
    const { flags, bestAttribute } = rib.prefixes;
    for (let at = 0; at < count; at++) {
      const id = pairs[at * 2]!;
      const isHeld = (flags[id]! & PrefixFlag.held) !== 0;
      if (isHeld !== this.#mustHold(rib, id, bestAttribute[id]!)) this.#queues[rib.index].push(id);
    }
  }

  /** Exports what is held no longer, or has to be from now on: one batch. Not while the exporter delivers another. */
  release(rib: FamilyRib): void {
    const queue = this.#queues[rib.index];
    this.#batch.clear();
    while (queue.size > 0 && this.#batch.count < BATCH_PREFIXES) this.#look(rib, queue.pop());
    if (this.#batch.count === 0) return;
    // Counts of what filters let through are kept by version.
    rib.version++;
    this.#host.export(rib, this.#batch);
  }

  /** Something is held because the kernel side has not answered yet. Cold. */
  get isWaiting(): boolean {
    if (!this.#on) return false;
    for (const rib of this.#host.rib.families) {
      const { flags, end } = rib.prefixes;
      for (let id = 1; id < end; id++) {
        if ((flags[id]! & PrefixFlag.held) !== 0 && this.#host.isUnanswered(rib, id)) return true;
      }
    }
    return false;
  }

  #mustHold(rib: FamilyRib, id: number, attribute: number): boolean {
    if (!this.#on || attribute === 0) return false;
    return this.#host.rib.attributes.nextHop[attribute] !== 0 && !this.#host.isInstalled(rib, id);
  }

  #look(rib: FamilyRib, id: number): void {
    const { flags, bestAttribute, bestPeer } = rib.prefixes;
    const attribute = bestAttribute[id]!;
    const wasHeld = (flags[id]! & PrefixFlag.held) !== 0;
    const isHeld = this.#mustHold(rib, id, attribute);
    if (wasHeld === isHeld) return;
    flags[id] = isHeld ? flags[id]! | PrefixFlag.held : flags[id]! & ~PrefixFlag.held;
    if (attribute === 0) return;
    const peer = bestPeer[id]!;
    const batch = this.#batch;
    if (isHeld) batch.add(id, attribute, peer, 0, 0);
    else batch.add(id, 0, 0, attribute, peer);
    batch.touched[batch.touchedCount++] = id;
  }
}
