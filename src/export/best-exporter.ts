// HOT: guarded by bench S1, S2, S3, S4.
/**
 * Changes of best paths to groups without ADD-PATH. What members have been told follows from the Loc-RIB of before the
 * batch, so nothing is kept about it: whoever is the source of the new path, but was not of the old one, is told a
 * withdrawal, and whoever was the source of the old one begins to hear of the prefix.
 */
import { Verdict } from '../policy/export-filter.js';
import { BATCH_PREFIXES, ChangeBatch } from '../rib/change-batch.js';
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { Rib } from '../rib/rib.js';
import type { GroupWriter } from './group-writer.js';
import type { Member } from './member.js';
import type { UpdateGroup } from './update-group.js';

export class BestExporter {
  readonly #rib: Rib;
  readonly #writer: GroupWriter;
  readonly #batch = new ChangeBatch();
  readonly #ids = new Int32Array(BATCH_PREFIXES);
  /** What prefixes to be withdrawn had, beside `#ids`. */
  readonly #oldAttribute = new Int32Array(BATCH_PREFIXES);
  readonly #extraId = new Int32Array(BATCH_PREFIXES);
  readonly #extraPeer = new Uint16Array(BATCH_PREFIXES);

  constructor(rib: Rib, writer: GroupWriter) {
    this.#rib = rib;
    this.#writer = writer;
  }

  /**
   * Tells the stream of a group what a batch has changed; the writer's buckets have been built from it. `byPeer`: the
   * members of the family.
   */
  apply(group: UpdateGroup, batch: ChangeBatch, byPeer: ReadonlyMap<number, Member>): void {
    const { buckets } = this.#writer;
    const kind = this.#rib.peers.kind;
    const flags = this.#rib.attributes.flags;
    const ids = this.#ids;
    const { rib, filter } = group;
    // What replaces something is asked for here, too.
    const isJudged = filter !== undefined && buckets.oldSourceCount > 0;
    const rejects = isJudged && this.#writer.judge(group, filter, batch);
    const { verdictAt } = this.#writer;
    const asksOld = filter !== undefined && !filter.isUnsure && filter.hasRejected;
    let extras = 0;

    for (let i = 0; i < buckets.oldSourceCount; i++) {
      const oldSource = buckets.oldSources[i]!;
      if (group.acceptsKind[kind[oldSource]!] === 0) continue;
      let count = 0;
      for (let at = buckets.oldHead[i]!; at >= 0; at = buckets.nextOld[at]!) {
        const oldAttribute = batch.oldAttribute[at]!;
        if ((flags[oldAttribute]! & group.refusedFlags) !== 0) continue;
        const id = batch.id[at]!;
        const attribute = batch.newAttribute[at]!;
        const source = batch.newPeer[at]!;
        const isTold =
          attribute !== 0 &&
          group.exports(flags[attribute]!, kind[source]!) &&
          (!rejects || verdictAt[at] !== Verdict.rejected);
        if (!isTold) {
          this.#oldAttribute[count] = oldAttribute;
          ids[count++] = id;
          // The announcement takes the place of whatever was told, but where its source was among those who heard of it.
        } else if (source !== oldSource && byPeer.get(source)?.group === group) {
          if (asksOld && filter.judge(rib, id, oldAttribute, oldSource) === Verdict.rejected) continue;
          this.#extraId[extras] = id;
          this.#extraPeer[extras++] = source;
        }
      }
      if (asksOld && count > 0) count = filter.keepTold(rib, ids, this.#oldAttribute, count, oldSource);
      if (count > 0) {
        this.#writer.writeWithdrawals(group, ids, undefined, count, oldSource, undefined);
      }
    }
    this.#writer.writeAnnouncements(group, batch, undefined, isJudged, undefined);
    this.#writer.flush(group, undefined);
    if (extras > 0) this.#withdrawFromSources(group, byPeer, extras);
  }

  /** Members that have become the source of prefixes they had been told about. */
  #withdrawFromSources(group: UpdateGroup, byPeer: ReadonlyMap<number, Member>, extras: number): void {
    let left = extras;
    while (left > 0) {
      const peerId = this.#extraPeer[0]!;
      let count = 0;
      let kept = 0;
      for (let i = 0; i < left; i++) {
        if (this.#extraPeer[i] === peerId) {
          this.#ids[count++] = this.#extraId[i]!;
        } else {
          this.#extraId[kept] = this.#extraId[i]!;
          this.#extraPeer[kept++] = this.#extraPeer[i]!;
        }
      }
      left = kept;
      const member = byPeer.get(peerId);
      if (!member?.inStream) continue;
      this.#writer.writeWithdrawals(group, this.#ids, undefined, count, 0, member);
      this.#writer.flush(group, member);
    }
  }

  /** Tells a lagging member what these prefixes are now; `ids` is overwritten. */
  resync(group: UpdateGroup, member: Member, ids: Int32Array, count: number): void {
    const { rib, filter } = group;
    const { prefixes } = rib;
    const kind = this.#rib.peers.kind;
    const flags = this.#rib.attributes.flags;
    const batch = this.#batch;
    batch.clear();
    let withdrawn = 0;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      const attribute = prefixes.bestAttribute[id]!;
      const source = prefixes.bestPeer[id]!;
      if (
        attribute !== 0 &&
        source !== member.peerId &&
        (prefixes.flags[id]! & PrefixFlag.held) === 0 &&
        group.exports(flags[attribute]!, kind[source]!)
      ) {
        batch.add(id, 0, 0, attribute, source);
      } else {
        ids[withdrawn++] = id;
      }
    }
    this.#writer.buckets.build(batch);
    // What policy lets nobody hear of may have been told before. Who is never sure takes it back with the announcements.
    if (filter !== undefined && this.#writer.judge(group, filter, batch) && !filter.isUnsure) {
      const { verdictAt } = this.#writer;
      for (let at = 0; at < batch.count; at++) {
        if (verdictAt[at] === Verdict.rejected) ids[withdrawn++] = batch.id[at]!;
      }
    }
    if (withdrawn > 0) this.#writer.writeWithdrawals(group, ids, undefined, withdrawn, 0, member);
    this.#writer.writeAnnouncements(group, batch, undefined, true, member);
    this.#writer.flush(group, member);
  }

  /** Whether the peer is told the best path of a prefix. */
  isTold(group: UpdateGroup, peerId: number, id: number): boolean {
    const { prefixes } = group.rib;
    const attribute = prefixes.bestAttribute[id]!;
    const source = prefixes.bestPeer[id]!;
    if (attribute === 0 || source === peerId || (prefixes.flags[id]! & PrefixFlag.held) !== 0) return false;
    if (!group.exports(this.#rib.attributes.flags[attribute]!, this.#rib.peers.kind[source]!)) return false;
    return group.filter === undefined || group.filter.judge(group.rib, id, attribute, source) !== Verdict.rejected;
  }
}
