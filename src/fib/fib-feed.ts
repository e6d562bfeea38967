// HOT: guarded by bench S7.
/**
 * Loc-RIB to kernel side: which next hop each prefix should have, said in batches as the kernel side takes them.
 *
 * Level-triggered: a prefix in the queue is read when its record is written, so any number of changes meanwhile is one
 * record with the last word. Our own prefixes and prefixes without a best path are "remove".
 */
import type { Family } from 'bgp-parse';
import type { ChangeBatch } from '../rib/change-batch.js';
import { DirtyQueue } from '../rib/columns/dirty-queue.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';
import { FibStatus, ROUTE_RECORD_WORDS } from './port.js';
import type { FibPort } from './port.js';

const RECORDS_PER_BATCH = 4096;

export class FibFeed {
  readonly #rib: Rib;
  readonly #port: FibPort;
  readonly #queues = [new DirtyQueue(), new DirtyQueue()];
  /** FibStatus by family index and PrefixId. */
  readonly #status = [new Uint8Array(1024), new Uint8Array(1024)];

  constructor(rib: Rib, port: FibPort) {
    this.#rib = rib;
    this.#port = port;
  }

  /** Queues the prefixes whose next hop has changed. */
  apply(rib: FamilyRib, batch: ChangeBatch): void {
    const nextHop = this.#rib.attributes.nextHop;
    for (let at = 0; at < batch.count; at++) {
      // Set 0 has next hop 0, and so have our own routes: nothing to install.
      const before = nextHop[batch.oldAttribute[at]!]!;
      const now = nextHop[batch.newAttribute[at]!]!;
      if (before !== now) this.#queue(rib, batch.id[at]!);
    }
  }

  get hasWork(): boolean {
    return this.#port.canSubmit && !this.isIdle;
  }

  /** Everything has been said to the kernel side. */
  get isIdle(): boolean {
    return this.#queues[0]!.size === 0 && this.#queues[1]!.size === 0;
  }

  /** Hands over as many batches as the kernel side takes now. */
  flush(): void {
    for (const rib of this.#rib.families) {
      const queue = this.#queues[rib.index]!;
      while (queue.size > 0 && this.#port.canSubmit) this.#submit(rib, queue);
    }
  }

  /** The kernel side's word: (prefixId, FibStatus) pairs. */
  statusChanged(family: Family, pairs: Uint32Array, count: number): void {
    const rib = this.#rib.family(family);
    const flags = rib.prefixes.flags;
    const nextHop = this.#rib.attributes.nextHop;
    for (let at = 0; at < count; at++) {
      const id = pairs[at * 2]!;
      const status = pairs[at * 2 + 1]!;
      let column = this.#status[rib.index]!;
      if (id >= column.length) {
        column = grow(column, grownCapacity(column.length, id + 1));
        this.#status[rib.index] = column;
      }
      column[id] = status;
      // "Absent" may be the answer to a removal that has been overtaken: the prefix is free only if none is wanted.
      const wanted = nextHop[rib.prefixes.bestAttribute[id]!]! !== 0 || (flags[id]! & PrefixFlag.fibDirty) !== 0;
      if (status === FibStatus.absent && !wanted) flags[id] = flags[id]! & ~PrefixFlag.inFib;
      else flags[id] = flags[id]! | PrefixFlag.inFib;
    }
  }

  status(rib: FamilyRib, id: number): number {
    return this.#status[rib.index]![id] ?? FibStatus.absent;
  }

  #queue(rib: FamilyRib, id: number): void {
    const flags = rib.prefixes.flags;
    if ((flags[id]! & PrefixFlag.fibDirty) !== 0) return;
    flags[id] = flags[id]! | PrefixFlag.fibDirty;
    this.#queues[rib.index]!.push(id);
  }

  #submit(rib: FamilyRib, queue: DirtyQueue): void {
    const stride = ROUTE_RECORD_WORDS[rib.family];
    const count = Math.min(queue.size, RECORDS_PER_BATCH);
    const records = new Uint32Array(count * stride);
    const { address, length, bestAttribute, flags, words } = rib.prefixes;
    const nextHop = this.#rib.attributes.nextHop;
    let used = 0;
    for (let i = 0; i < count; i++) {
      const id = queue.pop();
      const hop = nextHop[bestAttribute[id]!]!;
      const known = flags[id]! & PrefixFlag.inFib;
      flags[id] = (flags[id]! & ~PrefixFlag.fibDirty) | (hop !== 0 ? PrefixFlag.inFib : 0);
      if (hop === 0 && known === 0) continue;
      const at = used++ * stride;
      records[at] = id;
      records[at + 1] = hop;
      records[at + 2] = length[id]!;
      for (let word = 0; word < words; word++) records[at + 3 + word] = address[id * words + word]!;
    }
    if (used > 0) this.#port.submit(rib.family, records, used);
  }
}
