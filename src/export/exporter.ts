// HOT: guarded by bench S1, S2, S3, S4.
/**
 * Loc-RIB changes to bytes on sockets: update groups encode a batch once, members in the stream get it, lagging ones
 * get bits, and `resync` serves those as they can take it.
 *
 * A prefix whose best path comes from a member's own peer is not told to that member: when the source moves from A to
 * B, A begins to hear of the prefix and B is told a withdrawal.
 */
import { endOfRib } from 'bgp-parse';
import { BATCH_PREFIXES } from '../rib/change-batch.js';
import type { ChangeBatch } from '../rib/change-batch.js';
import type { Identity } from '../rib/columns/attribute-pool.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { Rib } from '../rib/rib.js';
import type { SourceKind } from '../rib/rib-peers.js';
import type { SessionSink } from '../session/types.js';
import { Verdict } from '../policy/export-filter.js';
import type { EditedAttributes } from '../policy/export-filter.js';
import { AdvertisedCounts } from './advertised-counts.js';
import { BestExporter } from './best-exporter.js';
import { defaultMessages } from './default-route.js';
import { groupKey } from './group-parameters.js';
import type { GroupParameters } from './group-parameters.js';
import { BACKLOG_LIMIT_OCTETS, GroupWriter } from './group-writer.js';
import { Member } from './member.js';
import type { RefreshOptions } from './member.js';
import { OutgoingAttributes } from './outgoing-attributes.js';
import { PathExporter } from './path-exporter.js';
import { PolicyWalk } from './policy-walk.js';
import type { SentPaths } from './sent-paths.js';
import { UpdateGroup } from './update-group.js';

/** With so many members a slice of a walk is half as long. */
const MEMBERS_PER_WALK_SLICE = 8;

/** A member that comes from group to group faster than it reads is told its table from the beginning some time. */
const MOST_TOLD_BEFORE = 4;

export class Exporter {
  /** Packs and fans out. */
  readonly writer: GroupWriter;

  /** RFC 4724 §4.1: within our own restart End-of-RIB waits for that of the peers. */
  holdEndOfRib = false;

  /** Prefixes may be held until the kernel has them (`hold-back.ts`). */
  holdsBack = false;

  readonly #rib: Rib;
  readonly #groups = new Map<string, UpdateGroup>();
  /** Members by family index and PeerId. */
  readonly #members: [Map<number, Member>, Map<number, Member>] = [new Map(), new Map()];
  readonly #lagging = new Set<Member>();
  /** Those that send several paths per prefix. */
  #pathGroups: UpdateGroup[] = [];
  /** Who has another export policy than it was told by; one after the other. */
  #walks: PolicyWalk[] = [];
  /** Goes up whenever somebody may be told something. */
  #epoch = 0;
  /** See `#snapshotOf`. */
  #snapshot: { readonly group: UpdateGroup; readonly epoch: number; readonly paths: SentPaths } | undefined;
  readonly #attributes: OutgoingAttributes;
  readonly #best: BestExporter;
  readonly #paths: PathExporter;
  readonly #counts: AdvertisedCounts;
  readonly #ids = new Int32Array(BATCH_PREFIXES);
  readonly #leftStream: Member[] = [];

  /** What has been taken to the groups last; of interest while it is being delivered. */
  #batch: ChangeBatch | undefined;
  readonly #outOfTime: () => boolean;

  /** `outOfTime`: the turn has lasted long enough, what can wait waits for the next one. */
  constructor(rib: Rib, identity: Identity, outOfTime: () => boolean = () => false) {
    this.#rib = rib;
    this.#outOfTime = outOfTime;
    this.#attributes = new OutgoingAttributes(rib.attributes, identity, rib.peers);
    this.writer = new GroupWriter(
      rib,
      this.#attributes,
      (member) => {
        this.#lag(member);
        this.#leftStream.push(member);
      },
      outOfTime,
    );
    this.#best = new BestExporter(rib, this.writer);
    this.#paths = new PathExporter(rib, this.writer);
    this.#counts = new AdvertisedCounts(rib);
  }

  /** UPDATE messages packed, once per update group. */
  get updatesEncoded(): number {
    return this.writer.updatesEncoded;
  }

  /** Members in the stream of any group: how many sockets a change may be written to. */
  get streamSize(): number {
    return this.#members[0].size + this.#members[1].size - this.#lagging.size;
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  /** A session is up for a family: it gets the table, then End-of-RIB, then what changes. */
  join(peerId: number, sink: SessionSink, parameters: GroupParameters): Member {
    const member = this.#enter(peerId, sink, parameters);
    this.#markTable(member);
    member.closing = endOfRib(parameters.family);
    return member;
  }

  /** A lagging member that nothing of the table is said to yet. */
  #enter(peerId: number, sink: SessionSink, parameters: GroupParameters): Member {
    const key = groupKey(parameters);
    let group = this.#groups.get(key);
    if (!group) {
      const family = this.#rib.families[parameters.familyIndex];
      const { defaultRoute } = parameters;
      const ownDefault = defaultRoute && defaultMessages(parameters, defaultRoute, this.#attributes);
      group = new UpdateGroup(key, parameters, family, this.writer.memory.take(), ownDefault);
      this.#groups.set(key, group);
      if (group.sent) this.#pathGroups.push(group);
    }
    const member = new Member(peerId, sink, group);
    group.members.add(member);
    this.#members[parameters.familyIndex].set(peerId, member);
    this.#lag(member);
    this.#sayOwnDefault(member);
    return member;
  }

  leave(member: Member): void {
    const { group, walk } = member;
    walk?.members.delete(member);
    member.walk = undefined;
    if (walk?.members.size === 0) this.#walks = this.#walks.filter((other) => other !== walk);
    group.members.delete(member);
    group.lagging.delete(member);
    this.#lagging.delete(member);
    if (member.inStream) {
      group.stream.splice(group.stream.indexOf(member), 1);
      this.writer.deliveries.drop(member);
    }
    member.inStream = false;
    for (const memory of member.takeHeld()) this.writer.memory.abandon(memory);
    const byPeer = this.#members[group.parameters.familyIndex];
    if (byPeer.get(member.peerId) === member) byPeer.delete(member.peerId);
    if (group.members.size > 0) return;
    this.#groups.delete(group.key);
    this.#pathGroups = this.#pathGroups.filter((other) => other !== group);
  }

  /** The member's session has handed everything to the kernel. */
  drained(member: Member): void {
    for (const memory of member.takeHeld()) this.writer.memory.release(memory);
  }

  /** Sends the whole table again (RFC 2918; with opening and closing messages RFC 7313). */
  refresh(member: Member, options: RefreshOptions): void {
    // However many are asked for meanwhile, one more comes after it: a table is not marked as often as a peer can ask.
    if (member.isRefreshing) {
      member.refreshAgain = options;
      return;
    }
    member.isRefreshing = true;
    // RFC 7313 §4: no BoRR before End-of-RIB. The first table, said once more, is the answer.
    if (!member.isInitial) {
      if (options.opening) member.sink.write(options.opening, 0, options.opening.length, 1);
      member.closing = options.closing ?? member.closing;
    }
    if (member.inStream) this.#lag(member);
    this.#sayOwnDefault(member);
    this.#markTable(member);
  }

  /** The default route of the group's own: at once, it is in no table that is walked. */
  #sayOwnDefault({ group, sink }: Member): void {
    const message = group.ownDefault?.announcement;
    if (message) sink.write(message, 0, message.length, 1);
  }

  /** The member has come from a group with a default route of its own to one that may have none. */
  #takeBackOwnDefault(old: UpdateGroup, { group, sink, peerId }: Member): void {
    if (!old.ownDefault || group.ownDefault) return;
    const id = group.rib.find(new Uint8Array(group.rib.index === 0 ? 4 : 16), 0);
    // Without path identifiers the table's own default route, which will be said, takes its place.
    if (!old.sent && id !== 0 && this.#best.isTold(group, peerId, id)) return;
    const message = old.ownDefault.withdrawal;
    sink.write(message, 0, message.length, 1);
  }

  /**
   * The export policy of a peer has changed: what differs is sent, nothing else. All other parameters are as before.
   */
  repolicy(member: Member, parameters: GroupParameters): Member {
    this.#finishDelivery();
    const old = member.group;
    const before = member.walk;
    const target = this.#groups.get(groupKey(parameters));
    let walk = this.#walks.find((one) => {
      return one.group === target && one.from === old && one.before === before && one.epoch === this.#epoch;
    });
    // Path identifiers are a group's own: only who comes first, or together with that one, can go on with what it was told.
    const otherDefault = parameters.defaultRoute !== old.parameters.defaultRoute;
    if (old.sent && ((target && !walk) || otherDefault)) return this.rejoin(member, parameters);
    this.leave(member);
    const fresh = this.#enter(member.peerId, member.sink, parameters);
    this.#takeBackOwnDefault(old, fresh);
    fresh.closing = member.closing;
    fresh.isInitial = member.isInitial;
    fresh.isRefreshing = member.isRefreshing;
    fresh.refreshAgain = member.refreshAgain;
    fresh.toldBefore = member.toldBefore;
    fresh.wasTold = member.wasTold;
    fresh.markAll(member);
    if (!walk) {
      if (old.sent) fresh.group.sent = old.sent.clone();
      this.#walks.push((walk = new PolicyWalk(fresh.group, old, before, this.#epoch)));
    }
    walk.members.add(fresh);
    fresh.walk = walk;
    return fresh;
  }

  /** Members have still to be compared with what changed policies make of their routes. */
  get isComparing(): boolean {
    return this.#walks.length > 0;
  }

  /** Compares so many prefixes, fewer where there are many members. */
  compare(count: number): void {
    const walk = this.#walks[0];
    if (!walk) return;
    this.#epoch++;
    const { group } = walk;
    const part = Math.ceil(count / (1 + walk.members.size / MEMBERS_PER_WALK_SLICE));
    // What has been told with path identifiers changes under way: everybody who hears of it has bits.
    if (group.sent) for (const member of [...group.stream]) this.#lag(member);
    walk.run(this.#rib, part, (id) => this.#paths.reconcile(group, id, undefined));
    if (!walk.isOver) return;
    this.#walks.shift();
    for (const member of walk.members) {
      member.walk = undefined;
      member.cursor = 0;
      member.walkEnd = group.rib.prefixes.end;
    }
  }

  /** The export side of a peer has new parameters (policy, next hop): it is told its table anew. */
  rejoin(member: Member, parameters: GroupParameters): Member {
    this.#finishDelivery();
    const old = member.group;
    // Path identifiers are a group's own. What has been told under those of the old one stands until the prefix is told
    // anew: no peer is without a path meanwhile.
    let told: readonly SentPaths[] | undefined;
    if (old.sent) told = member.wasTold ? [...member.toldBefore, this.#snapshotOf(old)] : member.toldBefore;
    if (told && told.length > MOST_TOLD_BEFORE) {
      this.#paths.withdrawAll(old, member, told);
      told = [];
    }
    if (told && parameters.defaultRoute && !old.ownDefault) {
      // Nothing is said of the table's own default route where there is one of the group's own.
      const id = old.rib.find(new Uint8Array(old.rib.index === 0 ? 4 : 16), 0);
      if (id !== 0) this.#paths.withdrawAll(old, member, told, id);
    }
    const { walk } = member;
    this.leave(member);
    const fresh = this.join(member.peerId, member.sink, parameters);
    if (told) fresh.toldBefore = told;
    this.#takeBackOwnDefault(old, fresh);
    fresh.closing = member.closing;
    fresh.isInitial = member.isInitial;
    // What only the old parameters let through must be withdrawn, and what was still to be said must be.
    const { prefixes } = old.rib;
    for (let id = 1; id < prefixes.end; id++) {
      if (told) {
        if (member.isMarked(id) || told.some((paths) => paths.first(id) !== 0)) fresh.mark(id);
        continue;
      }
      const under = walk ? walk.toldUnder(id) : old;
      const wasTold = prefixes.bestAttribute[id] !== 0 && this.#best.isTold(under, member.peerId, id);
      if (wasTold || member.isMarked(id)) fresh.mark(id);
    }
    return fresh;
  }

  /** What members of a group have been told: one copy for all that leave it together. */
  #snapshotOf(group: UpdateGroup): SentPaths {
    if (this.#snapshot?.group !== group || this.#snapshot.epoch !== this.#epoch) {
      this.#snapshot = { group, epoch: this.#epoch, paths: group.sent!.clone() };
    }
    return this.#snapshot.paths;
  }

  /** A batch is still being written to the members of a wide group: no further one may be taken to the groups. */
  get isDelivering(): boolean {
    return this.writer.deliveries.pending;
  }

  /** Goes on with that until time is up; true when all is written. */
  deliver(): boolean {
    const done = this.writer.deliveries.run();
    this.#markLeft();
    return done;
  }

  /** For what must come after it and is rare. */
  #finishDelivery(): void {
    while (!this.deliver());
  }

  /** True while a lagging member could be served. */
  get hasWork(): boolean {
    for (const member of this.#lagging) {
      if (!member.walk && member.sink.backlogBytes < BACKLOG_LIMIT_OCTETS / 2) return true;
    }
    return false;
  }

  /** The restart is over: who has got its table gets End-of-RIB. */
  releaseEndOfRib(): void {
    this.holdEndOfRib = false;
    this.#finishDelivery();
    for (const group of this.#groups.values()) for (const member of group.stream) this.#close(member);
  }

  /** Whether a lagging member has still to be told about this prefix. */
  holds(rib: FamilyRib, id: number): boolean {
    // Asked for every empty prefix: no iterator where there is nothing to ask.
    if (this.#lagging.size > 0) {
      for (const member of this.#lagging) if (member.group.rib === rib && member.isMarked(id)) return true;
    }
    const groups = this.#pathGroups;
    for (let i = 0; i < groups.length; i++) if (groups[i]!.rib === rib && groups[i]!.sent!.first(id) !== 0) return true;
    return false;
  }

  /** Prefixes in the peer's Adj-RIB-Out, with ADD-PATH its paths; community exceptions are not deducted. */
  advertisedCount(member: Member): number {
    return this.#counts.of(member, this.holdsBack);
  }

  /** The same as it will be when all that is pending has been told, and to the last prefix: for `prefixLimitOut`. */
  plannedCount(member: Member): number {
    const { group, walk, peerId } = member;
    if (group.sent === undefined) return this.#counts.planned(member);
    const own = group.ownDefault ? 1 : 0;
    if (walk) {
      const { bySource, all } = (walk.planned ??= this.#paths.countPaths(group));
      return all - (bySource[peerId] ?? 0) + own;
    }
    this.#paths.complete(group);
    return group.sent.liveFor(peerId) + own;
  }

  /** What a member has been told of a prefix: attribute set and source of each path. Cold. */
  advertised(member: Member, id: number): { attribute: number; source: number; pathId: number | undefined }[] {
    const { group, peerId } = member;
    if (member.isMarked(id)) return [];
    if (!group.sent) {
      const { bestAttribute, bestPeer } = group.rib.prefixes;
      if (!this.#best.isTold(group, peerId, id)) return [];
      return [{ attribute: bestAttribute[id]!, source: bestPeer[id]!, pathId: undefined }];
    }
    const out = [];
    for (let entry = group.sent.first(id); entry !== 0; entry = group.sent.next[entry]!) {
      const attribute = group.sent.attribute[entry]!;
      const source = group.sent.source[entry]!;
      if (attribute !== 0 && source !== peerId) out.push({ attribute, source, pathId: entry });
    }
    return out;
  }

  /** Attributes (without MP_REACH_NLRI) and next hop of a path as a member is told them; undefined = it is not. Cold. */
  describe(
    member: Member,
    id: number,
    attribute: number,
    source: number,
  ): { attributes: Uint8Array; nextHop: Uint8Array } | undefined {
    const { kind, identifier } = this.#rib.peers;
    const outgoing = this.#attributes;
    // With whole AS numbers, also where the wire has 2 octets of them.
    const parameters = { ...member.group.parameters, fourOctetAs: true };
    const { filter, rib } = member.group;
    const isEdited = filter !== undefined && filter.judge(rib, id, attribute, source) > Verdict.asIs;
    const edited: EditedAttributes | undefined = isEdited ? filter.edit(rib, id, attribute, source) : undefined;
    if (!outgoing.write(parameters, attribute, kind[source]! as SourceKind, identifier[source]!, edited, source)) {
      return undefined;
    }
    return {
      attributes: outgoing.bytes.slice(0, outgoing.length),
      nextHop: outgoing.nextHop.slice(0, outgoing.nextHopLength),
    };
  }

  member(familyIndex: 0 | 1, peerId: number): Member | undefined {
    return this.#members[familyIndex].get(peerId);
  }

  /** Takes what decision changed to every group of the family. */
  apply(rib: FamilyRib, batch: ChangeBatch): void {
    if (batch.touchedCount === 0) return;
    this.#batch = batch;
    this.#epoch++;
    this.#snapshot = undefined;
    let built = false;
    for (const group of this.#groups.values()) {
      if (group.rib !== rib) continue;
      if (group.sent) {
        this.#paths.apply(group, batch);
        // The sorted batch has been overwritten.
        built = false;
        this.#markLeft();
        continue;
      }
      if (group.counted) this.#counts.changed(group, group.counted, batch, this.holdsBack);
      if (batch.count === 0) continue;
      for (const member of group.lagging) for (let at = 0; at < batch.count; at++) member.mark(batch.id[at]!);
      if (group.stream.length === 0) continue;
      if (!built) this.writer.buckets.build(batch);
      built = true;
      this.#best.apply(group, batch, this.#members[rib.index]);
      this.#markLeft();
    }
  }

  /** Who left the stream in the middle of a batch may have missed a part of it: all of it is said again. */
  #markLeft(): void {
    for (const member of this.#leftStream) this.#markBatch(member);
    this.#leftStream.length = 0;
  }

  #markBatch(member: Member): void {
    const batch = this.#batch!;
    const ids = member.group.sent ? batch.touched : batch.id;
    const count = member.group.sent ? batch.touchedCount : batch.count;
    for (let at = 0; at < count; at++) member.mark(ids[at]!);
  }

  /**
   * Serves lagging members for about one batch each, as many as there is time for. Returns true when somebody could take
   * more at once.
   */
  resync(): boolean {
    for (const member of this.#lagging) {
      if (member.walk || member.sink.backlogBytes >= BACKLOG_LIMIT_OCTETS / 2) continue;
      this.#resyncMember(member);
      if (this.#outOfTime()) break;
    }
    return this.hasWork;
  }

  #resyncMember(member: Member): void {
    this.#epoch++;
    const { group } = member;
    const taken = member.takeMarked(this.#ids, BATCH_PREFIXES);
    if (group.sent) {
      member.wasTold = true;
      this.#paths.resync(group, member, this.#ids, taken);
    } else {
      this.#best.resync(group, member, this.#ids, taken);
    }
    this.#afterResync(member);
  }

  #afterResync(member: Member): void {
    if (member.pending === 0 || member.cursor * 32 >= member.walkEnd) {
      if (!(this.holdEndOfRib && member.isInitial)) {
        this.#close(member);
        // An empty table is through as soon as it is begun.
        if (this.#refreshAgain(member)) return this.#afterResync(member);
      }
    }
    if (member.pending > 0) return;
    this.#catchUp(member);
    this.#refreshAgain(member);
  }

  /** False = it has not been asked for. */
  #refreshAgain(member: Member): boolean {
    const options = member.refreshAgain;
    member.isRefreshing = false;
    member.refreshAgain = undefined;
    if (options) this.refresh(member, options);
    return options !== undefined;
  }

  #close(member: Member): void {
    member.isInitial = false;
    if (!member.closing) return;
    member.sink.write(member.closing, 0, member.closing.length, 1);
    member.closing = undefined;
  }

  #lag(member: Member): void {
    const { group } = member;
    if (member.inStream) {
      group.stream.splice(group.stream.indexOf(member), 1);
      if (this.writer.deliveries.drop(member)) this.#markBatch(member);
    }
    member.inStream = false;
    group.lagging.add(member);
    this.#lagging.add(member);
  }

  #catchUp(member: Member): void {
    const { group } = member;
    group.lagging.delete(member);
    this.#lagging.delete(member);
    member.forgetBits();
    member.toldBefore = [];
    member.wasTold = true;
    member.inStream = true;
    group.stream.push(member);
    if (group.lagging.size === 0) group.sent?.forgetGone();
  }

  #markTable(member: Member): void {
    const { group, walk, peerId } = member;
    const { prefixes } = group.rib;
    const everyPath = group.sent !== undefined;
    for (let id = 1; id < prefixes.end; id++) {
      if (prefixes.bestAttribute[id] === 0) continue;
      // In a walk also what it has been told under another policy: who refreshes forgets what is not said again.
      const isSaid =
        everyPath ||
        this.#best.isTold(group, peerId, id) ||
        (walk !== undefined && this.#best.isTold(walk.toldUnder(id), peerId, id));
      if (isSaid) member.mark(id);
    }
    member.cursor = 0;
    member.walkEnd = prefixes.end;
  }
}
