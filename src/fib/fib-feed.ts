// HOT: guarded by bench S7.
/**
 * Loc-RIB to kernel side: where each prefix should lead, said in batches as the kernel side takes them.
 *
 * A prefix leads to the next hop of its best path or, where more paths forward or one stands by, to a next-hop set: one
 * integer either way (`#told`). Level-triggered: a prefix in the queue is read when its record is written, so any number
 * of changes meanwhile is one record with the last word, and none where the last word is what was said before. Our own
 * prefixes and prefixes without a best path are "remove".
 *
 * Sets can change while the best path stays. So with multipath or backups every prefix that was decided is looked at, not
 * only those whose best path changed; one with a single path costs two loads more.
 *
 * Cost: 5 octets per prefix, only where the kernel side is in use.
 */
import type { Family } from 'bgp-parse';
import type { ChangeBatch } from '../rib/change-batch.js';
import { AttributeFlag } from '../rib/columns/attribute-pool.js';
import { DirtyQueue } from '../rib/columns/dirty-queue.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';
import { NextHopSets } from './next-hop-sets.js';
import { BLACKHOLE_TARGET, FIRST_NEXT_HOP_SET, FibStatus, ROUTE_RECORD_WORDS } from './port.js';
import type { FibPort } from './port.js';

const RECORDS_PER_BATCH = 4096;

/** What the feed uses of the kernel side. */
export type FeedPort = Pick<FibPort, 'canSubmit' | 'submit' | 'defineNextHopSet' | 'forgetNextHopSet'>;

export class FibFeed {
  readonly #rib: Rib;
  readonly #port: FeedPort;
  readonly #queues = [new DirtyQueue(), new DirtyQueue()];
  /** FibStatus by family index and PrefixId. */
  readonly #status = [new Uint8Array(1024), new Uint8Array(1024)];
  /** Target that the kernel side was told last, by family index and PrefixId. */
  readonly #told = [new Uint32Array(1024), new Uint32Array(1024)];
  readonly #sets: NextHopSets;
  #withBackup: boolean;

  /** `withBackup`: next hops to fall back to are worked out beforehand (`fib.backup`). */
  constructor(rib: Rib, port: FeedPort, withBackup: boolean) {
    this.#rib = rib;
    this.#port = port;
    this.#withBackup = withBackup;
    this.#sets = new NextHopSets(port);
  }

  get withBackup(): boolean {
    return this.#withBackup;
  }

  /** Queues the prefixes whose next hop, or set of next hops, may have changed. */
  apply(rib: FamilyRib, batch: ChangeBatch): void {
    const { nextHop, flags } = this.#rib.attributes;
    if (this.#usesSets) {
      const { firstPath, bestAttribute } = rib.prefixes;
      const told = this.#toldOf(rib);
      const next = rib.paths.next;
      for (let at = 0; at < batch.touchedCount; at++) {
        const id = batch.touched[at]!;
        const best = bestAttribute[id]!;
        const dropped = (flags[best]! & AttributeFlag.blackhole) !== 0;
        if (dropped || next[firstPath[id]!] !== 0 || told[id] !== nextHop[best]) this.#queue(rib, id);
      }
      return;
    }
    for (let at = 0; at < batch.count; at++) {
      // Set 0 has next hop 0, and so have our own routes: nothing to install.
      const before = batch.oldAttribute[at]!;
      const now = batch.newAttribute[at]!;
      if (nextHop[before] !== nextHop[now] || ((flags[before]! ^ flags[now]!) & AttributeFlag.blackhole) !== 0) {
        this.#queue(rib, batch.id[at]!);
      }
    }
  }

  /** Other `multipath` or `fib.backup` settings: prefixes that have a set or may need one are looked at again. */
  reconfigure(withBackup: boolean): void {
    this.#withBackup = withBackup;
    for (const rib of this.#rib.families) {
      const { firstPath, end } = rib.prefixes;
      const next = rib.paths.next;
      const told = this.#toldOf(rib);
      for (let id = 1; id < end; id++) {
        if (next[firstPath[id]!] !== 0 || told[id]! >= FIRST_NEXT_HOP_SET) this.#queue(rib, id);
      }
    }
  }

  /** The kernel side has forgotten what it was told: every route is said again, in the order of the table. */
  sayAgain(): void {
    for (const rib of this.#rib.families) {
      const { end, flags } = rib.prefixes;
      const told = this.#toldOf(rib);
      const status = this.#status[rib.index]!;
      for (let id = 1; id < end; id++) {
        const before = told[id]!;
        // A removal that was under way is made by the sweep.
        flags[id] = flags[id]! & ~PrefixFlag.inFib;
        if (before === 0) {
          if (id < status.length) status[id] = FibStatus.absent;
          continue;
        }
        told[id] = 0;
        if (isSet(before)) this.#sets.release(before);
        flags[id] = flags[id]! | PrefixFlag.inFib;
        this.#queue(rib, id);
      }
    }
  }

  /** Forgets sets that no prefix leads to. Only while `isIdle`. */
  reclaim(): void {
    this.#sets.reclaim();
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
    const { address, length, flags, words } = rib.prefixes;
    const told = this.#toldOf(rib);
    let used = 0;
    for (let i = 0; i < count; i++) {
      const id = queue.pop();
      const target = this.#targetOf(rib, id);
      const before = told[id]!;
      flags[id] = (flags[id]! & ~PrefixFlag.fibDirty) | (target !== 0 ? PrefixFlag.inFib : 0);
      if (target === before) continue;
      told[id] = target;
      if (isSet(target)) this.#sets.retain(target);
      if (isSet(before)) this.#sets.release(before);
      const at = used++ * stride;
      records[at] = id;
      records[at + 1] = target;
      records[at + 2] = length[id]!;
      for (let word = 0; word < words; word++) records[at + 3 + word] = address[id * words + word]!;
    }
    if (used > 0) this.#port.submit(rib.family, used < count ? records.slice(0, used * stride) : records, used);
  }

  get #usesSets(): boolean {
    return this.#withBackup || this.#rib.multipath.enabled;
  }

  /** 0 = remove, a next hop, a set of them, or nowhere. */
  #targetOf(rib: FamilyRib, id: number): number {
    const { firstPath, bestAttribute } = rib.prefixes;
    const nextHop = this.#rib.attributes.nextHop;
    const first = firstPath[id]!;
    const best = nextHop[bestAttribute[id]!]!;
    // RFC 7999: what the best path says, whatever stands beside it.
    if ((this.#rib.attributes.flags[bestAttribute[id]!]! & AttributeFlag.blackhole) !== 0) return BLACKHOLE_TARGET;
    if (best === 0 || rib.paths.next[first] === 0 || !this.#usesSets) return best;
    const { multipath } = this.#rib;
    multipath.choose(rib.paths, first, this.#withBackup);
    const { primaries, primaryCount, weights, backup } = multipath;
    // Not decided yet since its paths changed: it will be, and then looked at again.
    if (primaryCount === 0) return best;
    const attribute = rib.paths.attribute;
    if (primaryCount === 1 && backup === 0) return nextHop[attribute[primaries[0]!]!]!;
    const sets = this.#sets;
    sets.begin(primaryCount);
    for (let i = 0; i < primaryCount; i++) sets.add(nextHop[attribute[primaries[i]!]!]!, weights[i]!);
    if (backup !== 0) sets.add(nextHop[attribute[backup]!]!, 1);
    return sets.intern();
  }

  #toldOf(rib: FamilyRib): Uint32Array {
    const column = this.#told[rib.index]!;
    if (column.length >= rib.prefixes.end) return column;
    return (this.#told[rib.index] = grow(column, grownCapacity(column.length, rib.prefixes.end)));
  }
}

function isSet(target: number): boolean {
  return target >= FIRST_NEXT_HOP_SET && target !== BLACKHOLE_TARGET;
}
