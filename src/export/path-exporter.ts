// HOT: only for groups that send several paths per prefix (RFC 7911).
/**
 * Changes of prefixes to groups with ADD-PATH: every prefix that decision looked at is compared with what the group has
 * been told (`SentPaths`), and the differences go out like any others, bucketed and with split horizon by source.
 */
import { BATCH_PREFIXES, ChangeBatch } from '../rib/change-batch.js';
import type { Rib } from '../rib/rib.js';
import type { GroupWriter } from './group-writer.js';
import type { Member } from './member.js';
import type { PathChanges, SentPaths } from './sent-paths.js';
import type { UpdateGroup } from './update-group.js';

export class PathExporter implements PathChanges {
  readonly #rib: Rib;
  readonly #writer: GroupWriter;
  readonly #announced = new ChangeBatch();
  readonly #pathIdAt = new Int32Array(BATCH_PREFIXES);
  readonly #withdrawnId = new Int32Array(BATCH_PREFIXES);
  readonly #withdrawnPath = new Int32Array(BATCH_PREFIXES);
  readonly #withdrawnSource = new Uint16Array(BATCH_PREFIXES);
  readonly #ids = new Int32Array(BATCH_PREFIXES);
  readonly #pathIds = new Int32Array(BATCH_PREFIXES);
  #withdrawn = 0;
  #group!: UpdateGroup;
  #only: Member | undefined;

  constructor(rib: Rib, writer: GroupWriter) {
    this.#rib = rib;
    this.#writer = writer;
  }

  /** Tells the stream what differs for the prefixes of a batch; lagging members get bits. */
  apply(group: UpdateGroup, batch: ChangeBatch): void {
    this.#begin(group, undefined);
    const changes = group.stream.length > 0 ? this : undefined;
    for (let at = 0; at < batch.touchedCount; at++) {
      const id = batch.touched[at]!;
      if (!this.reconcile(group, id, changes)) continue;
      for (const member of group.lagging) member.mark(id);
    }
    this.#flush();
  }

  /** Tells a lagging member all that stands for these prefixes, and what has gone. */
  resync(group: UpdateGroup, member: Member, ids: Int32Array, count: number): void {
    this.#begin(group, member);
    const sent = group.sent!;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      // With members in the stream the entries are what those were told, and differences are theirs to hear first.
      if (group.stream.length === 0) this.reconcile(group, id, undefined);
      for (let entry = sent.first(id); entry !== 0; entry = sent.next[entry]!) {
        const attribute = sent.attribute[entry]!;
        const source = sent.source[entry]!;
        if (source === member.peerId) continue;
        if (attribute === 0) this.withdrawPath(id, entry, source);
        else this.announcePath(id, entry, attribute, source);
      }
    }
    this.#flush();
    if (member.toldBefore.length > 0) this.#takeBack(sent, member, ids, count);
  }

  /** What the member was told of these prefixes in groups that it has left, and has not been told again just now. */
  #takeBack(sent: SentPaths, member: Member, ids: Int32Array, count: number): void {
    const { peerId, toldBefore } = member;
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      for (const told of toldBefore) {
        for (let entry = told.first(id); entry !== 0; entry = told.next[entry]!) {
          const source = told.source[entry]!;
          if (source !== peerId && !sent.isLive(id, entry, peerId)) this.withdrawPath(id, entry, source);
        }
      }
    }
    this.#flush();
  }

  /** Takes back whatever the member was told in groups with these paths: of one prefix, or of all. */
  withdrawAll(group: UpdateGroup, member: Member, toldBefore: readonly SentPaths[], only?: number): void {
    this.#begin(group, member);
    const end = only === undefined ? group.rib.prefixes.end : only + 1;
    for (let id = only ?? 1; id < end; id++) {
      for (const told of toldBefore) {
        for (let entry = told.first(id); entry !== 0; entry = told.next[entry]!) {
          if (told.source[entry] !== member.peerId) this.withdrawPath(id, entry, told.source[entry]!);
        }
      }
    }
    this.#flush();
  }

  /** Looks at the whole table for a group that nobody has been told anything in. */
  complete(group: UpdateGroup): void {
    const sent = group.sent!;
    if (sent.isComplete) return;
    sent.isComplete = true;
    if (group.stream.length > 0) return;
    for (let id = 1; id < group.rib.prefixes.end; id++) this.reconcile(group, id, undefined);
  }

  /** How many paths members will be told once changed policies have been compared. */
  countPaths(group: UpdateGroup): { readonly bySource: Int32Array; readonly all: number } {
    const { decision, attributes, peers } = this.#rib;
    const { rib } = group;
    const bySource = new Int32Array(peers.kind.length);
    let all = 0;
    for (let id = 1; id < rib.prefixes.end; id++) {
      const { addPathLimit } = group.parameters;
      all += group.sent!.countPaths(rib, decision, id, addPathLimit, group, attributes.flags, peers.kind, bySource);
    }
    return { bySource, all };
  }

  /** Brings the entries of a prefix up to date; true when something differed. */
  reconcile(group: UpdateGroup, id: number, changes: PathChanges | undefined): boolean {
    return group.sent!.reconcile(
      group.rib,
      this.#rib.decision,
      id,
      group.parameters.addPathLimit,
      group,
      this.#rib.attributes.flags,
      this.#rib.peers.kind,
      group.lagging.size > 0,
      changes,
    );
  }

  announcePath(prefixId: number, pathId: number, attribute: number, source: number): void {
    if (this.#announced.count === BATCH_PREFIXES) this.#flush();
    this.#pathIdAt[this.#announced.count] = pathId;
    this.#announced.add(prefixId, 0, 0, attribute, source);
  }

  withdrawPath(prefixId: number, pathId: number, source: number): void {
    if (this.#withdrawn === BATCH_PREFIXES) this.#flush();
    this.#withdrawnId[this.#withdrawn] = prefixId;
    this.#withdrawnPath[this.#withdrawn] = pathId;
    this.#withdrawnSource[this.#withdrawn++] = source;
  }

  #begin(group: UpdateGroup, only: Member | undefined): void {
    this.#group = group;
    this.#only = only;
  }

  /** Withdrawals first: an identifier may be given to another path in the same batch. */
  #flush(): void {
    const group = this.#group;
    while (this.#withdrawn > 0) this.#writeWithdrawalsOf(this.#withdrawnSource[0]!);
    if (this.#announced.count > 0) {
      this.#writer.buckets.build(this.#announced);
      this.#writer.writeAnnouncements(group, this.#announced, this.#pathIdAt, false, this.#only);
      this.#announced.clear();
    }
    this.#writer.flush(group, this.#only);
  }

  #writeWithdrawalsOf(source: number): void {
    let count = 0;
    let kept = 0;
    for (let i = 0; i < this.#withdrawn; i++) {
      if (this.#withdrawnSource[i] === source) {
        this.#ids[count] = this.#withdrawnId[i]!;
        this.#pathIds[count++] = this.#withdrawnPath[i]!;
      } else {
        this.#withdrawnId[kept] = this.#withdrawnId[i]!;
        this.#withdrawnPath[kept] = this.#withdrawnPath[i]!;
        this.#withdrawnSource[kept++] = this.#withdrawnSource[i]!;
      }
    }
    this.#withdrawn = kept;
    this.#writer.writeWithdrawals(this.#group, this.#ids, this.#pathIds, count, source, this.#only);
  }
}
