// HOT: `changed` runs once per batch and group with a filter that somebody counts (`prefixLimitOut`).
/**
 * How many prefixes a member is told, without an Adj-RIB-Out to count: from the best paths per source where no policy
 * looks at them, else by a walk over the table, once per group; from then on what changes is counted, as long as somebody
 * asks after each batch.
 */
import type { ChangeBatch } from '../rib/change-batch.js';
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { Rib } from '../rib/rib.js';
import { Verdict } from '../policy/export-filter.js';
import type { ExportFilter } from '../policy/export-filter.js';
import type { Member } from './member.js';
import type { UpdateGroup } from './update-group.js';

/** Best paths that go to a group by source, as of a version of the Loc-RIB. */
export interface Counted {
  version: number;
  /** Since that version. */
  isAsked: boolean;
  readonly bySource: Int32Array;
  all: number;
}

export class AdvertisedCounts {
  readonly #rib: Rib;

  constructor(rib: Rib) {
    this.#rib = rib;
  }

  /**
   * Prefixes in the peer's Adj-RIB-Out, with ADD-PATH its paths; community exceptions are not deducted.
   * `holdsBack`: prefixes may be held until the kernel has them.
   */
  of(member: Member, holdsBack: boolean): number {
    return this.#countTable(member, holdsBack) + (member.group.ownDefault ? 1 : 0);
  }

  /** The same once all that is pending has been told, without what a community keeps back. Not for ADD-PATH. */
  planned(member: Member): number {
    const { group, peerId } = member;
    const { bySource, all } = this.#countExactly(group);
    return all - (bySource[peerId] ?? 0) + (group.ownDefault ? 1 : 0);
  }

  #countTable(member: Member, holdsBack: boolean): number {
    const { group, peerId } = member;
    if (group.sent) return group.sent.liveFor(peerId);
    if (group.filter) {
      const { bySource, all } = this.#countExactly(group);
      return Math.max(0, all - (bySource[peerId] ?? 0) - member.pending);
    }
    const { bestBySource } = group.rib;
    const { kind } = this.#rib.peers;
    let count = 0;
    for (let source = 0; source < Math.min(bestBySource.length, kind.length); source++) {
      if (source !== peerId && group.acceptsKind[kind[source]!] === 1) count += bestBySource[source]!;
    }
    if (holdsBack) count -= this.#countHeld(group, peerId);
    return Math.max(0, count - member.pending);
  }

  #countHeld(group: UpdateGroup, peerId: number): number {
    const { bestAttribute, bestPeer, flags, end } = group.rib.prefixes;
    const { kind } = this.#rib.peers;
    let count = 0;
    for (let id = 1; id < end; id++) {
      if ((flags[id]! & PrefixFlag.held) === 0 || bestAttribute[id] === 0 || bestPeer[id] === peerId) continue;
      if (group.acceptsKind[kind[bestPeer[id]!]!] === 1) count++;
    }
    return count;
  }

  #countExactly(group: UpdateGroup): Counted {
    if (group.counted?.version !== group.rib.version) group.counted = this.#walk(group, group.filter);
    group.counted.isAsked = true;
    return group.counted;
  }

  #walk(group: UpdateGroup, filter: ExportFilter | undefined): Counted {
    const { rib } = group;
    const { bestAttribute, bestPeer, flags: prefixFlags, end } = rib.prefixes;
    const { flags } = this.#rib.attributes;
    const { kind } = this.#rib.peers;
    const bySource = new Int32Array(kind.length);
    let all = 0;
    for (let id = 1; id < end; id++) {
      const attribute = bestAttribute[id]!;
      const source = bestPeer[id]!;
      if (attribute === 0 || (prefixFlags[id]! & PrefixFlag.held) !== 0) continue;
      if (!group.exports(flags[attribute]!, kind[source]!)) continue;
      if (filter?.judge(rib, id, attribute, source) === Verdict.rejected) continue;
      bySource[source] = bySource[source]! + 1;
      all++;
    }
    return { version: rib.version, isAsked: true, bySource, all };
  }

  /** A batch is about to be taken to a group that has been counted. */
  changed(group: UpdateGroup, counted: Counted, batch: ChangeBatch, holdsBack: boolean): void {
    const { rib, filter } = group;
    // What is held back, or may be judged otherwise today, is counted anew when it is asked for.
    const { kind } = this.#rib.peers;
    const isLost = counted.version !== rib.version - 1 || kind.length > counted.bySource.length;
    if (isLost || !counted.isAsked || holdsBack || filter?.isUnsure) {
      group.counted = undefined;
      return;
    }
    counted.version = rib.version;
    counted.isAsked = false;
    const { flags } = this.#rib.attributes;
    const add = (id: number, attribute: number, source: number, by: 1 | -1): void => {
      if (attribute === 0 || !group.exports(flags[attribute]!, kind[source]!)) return;
      if (filter?.judge(rib, id, attribute, source) === Verdict.rejected) return;
      counted.bySource[source] = counted.bySource[source]! + by;
      counted.all += by;
    };
    for (let at = 0; at < batch.count; at++) {
      const id = batch.id[at]!;
      add(id, batch.oldAttribute[at]!, batch.oldPeer[at]!, -1);
      add(id, batch.newAttribute[at]!, batch.newPeer[at]!, 1);
    }
  }
}
