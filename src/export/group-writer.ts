// HOT: guarded by bench S1, S2, S4.
/**
 * Packs for one update group and fans out: messages into the group's chunk, cut into segments by source, the chunk to
 * the members in the stream (each without its own segments) or to one lagging member.
 */
import { BATCH_PREFIXES } from '../rib/change-batch.js';
import type { ChangeBatch } from '../rib/change-batch.js';
import type { Rib } from '../rib/rib.js';
import type { SourceKind } from '../rib/rib-peers.js';
import { Buckets } from './buckets.js';
import { ChunkMemoryPool } from './chunk-memory.js';
import { Deliveries } from './deliveries.js';
import { MIXED, Verdict } from '../policy/export-filter.js';
import type { EditedAttributes, ExportFilter } from '../policy/export-filter.js';
import { dropDefault } from './default-route.js';
import type { Member } from './member.js';
import type { MessageChunk } from './message-chunk.js';
import type { OutgoingAttributes } from './outgoing-attributes.js';
import type { UpdateGroup } from './update-group.js';

/**
 * A member with more octets than this waiting in its socket leaves the stream. Large enough that a receiver which is
 * merely busy stays in (S1: 12 MB in all), small enough that 1,000 stuck peers share a few chunks, not gigabytes.
 */
export const BACKLOG_LIMIT_OCTETS = 2 * 1024 * 1024;

/** Streams with fewer members are written to at once. */
const WIDE_MEMBERS = 32;

export class GroupWriter {
  updatesEncoded = 0;
  /** Sorted batch; `build` it before `writeAnnouncements`. */
  readonly buckets = new Buckets();

  /** An attribute set did not fit into a message of the group; the second value counts from 1. */
  onTooLong: ((group: UpdateGroup, count: number) => void) | undefined;
  /** By position in the batch; see `judge`. */
  readonly verdictAt = new Int32Array(BATCH_PREFIXES);
  readonly memory = new ChunkMemoryPool();
  /** What wide streams are still being told. */
  readonly deliveries: Deliveries;

  readonly #rib: Rib;
  readonly #attributes: OutgoingAttributes;
  /** A member's backlog has gone over the limit. */
  readonly #onOverrun: (member: Member) => void;
  readonly #ids = new Int32Array(BATCH_PREFIXES);
  readonly #pathIds = new Int32Array(BATCH_PREFIXES);
  readonly #partIds = new Int32Array(BATCH_PREFIXES);
  readonly #partPathIds = new Int32Array(BATCH_PREFIXES);
  readonly #verdicts = new Int32Array(BATCH_PREFIXES);
  /** What the filter has said of each bucket. */
  readonly #bucketVerdict = new Int32Array(BATCH_PREFIXES);

  constructor(rib: Rib, attributes: OutgoingAttributes, onOverrun: (member: Member) => void, outOfTime: () => boolean) {
    this.#rib = rib;
    this.#attributes = attributes;
    this.#onOverrun = onOverrun;
    this.deliveries = new Deliveries(this.memory, (chunk, member) => this.#deliver(chunk, member), outOfTime);
  }

  /**
   * Withdraws ids[0, count), with `pathIds` beside them in groups with ADD-PATH. `source`: whom the routes came from,
   * who had never been told of them. `only`: to this member instead of the stream.
   */
  writeWithdrawals(
    group: UpdateGroup,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    count: number,
    source: number,
    only: Member | undefined,
  ): void {
    const { rib } = group;
    const { maxMessageLength } = group.parameters;
    if (group.ownDefault !== undefined) count = dropDefault(rib, ids, pathIds, count);
    for (let from = 0; from < count;) {
      if (group.chunk.isFull(maxMessageLength)) this.#flushMarked(group, source, only);
      from = group.chunk.withdraw(rib, ids, pathIds, from, count, maxMessageLength);
    }
    group.chunk.mark(source);
  }

  /**
   * Asks the group's filter about the announcements of a batch that `buckets` has sorted. True when it rejects some: then
   * `verdictAt` has the verdicts on all that may go to the group at all.
   */
  judge(group: UpdateGroup, filter: ExportFilter, batch: ChangeBatch): boolean {
    const { buckets, verdictAt } = this;
    const { nextInBucket, bucketHead } = buckets;
    const { kind } = this.#rib.peers;
    const flags = this.#rib.attributes.flags;
    let rejects = false;
    for (let i = 0; i < buckets.sourceCount; i++) {
      const source = buckets.sources[i]!;
      if (group.acceptsKind[kind[source]!] === 0) continue;
      for (let bucket = buckets.firstBucket[i]!; bucket >= 0; bucket = buckets.nextBucket[bucket]!) {
        const attribute = buckets.bucketAttribute[bucket]!;
        if ((flags[attribute]! & group.refusedFlags) !== 0) continue;
        const head = bucketHead[bucket]!;
        const verdict = filter.judgeChain(group.rib, batch.id, nextInBucket, head, attribute, source, verdictAt);
        this.#bucketVerdict[bucket] = verdict;
        // Of several one may be that.
        if (verdict === Verdict.rejected || verdict === MIXED) rejects = true;
      }
    }
    if (rejects) this.#spreadVerdicts();
    return rejects;
  }

  /** From buckets that have one verdict to their positions. */
  #spreadVerdicts(): void {
    const { buckets, verdictAt } = this;
    for (let i = 0; i < buckets.sourceCount; i++) {
      for (let bucket = buckets.firstBucket[i]!; bucket >= 0; bucket = buckets.nextBucket[bucket]!) {
        const verdict = this.#bucketVerdict[bucket]!;
        if (verdict === MIXED) continue;
        for (let at = buckets.bucketHead[bucket]!; at >= 0; at = buckets.nextInBucket[at]!) verdictAt[at] = verdict;
      }
    }
  }

  /**
   * Announces a batch that `buckets` has sorted. `pathIdAt`: by position in the batch, in groups with ADD-PATH.
   * `isJudged`: the filter has been asked already.
   */
  writeAnnouncements(
    group: UpdateGroup,
    batch: ChangeBatch,
    pathIdAt: Int32Array | undefined,
    isJudged: boolean,
    only: Member | undefined,
  ): void {
    const { buckets } = this;
    const { filter } = group;
    const { kind } = this.#rib.peers;
    const flags = this.#rib.attributes.flags;
    const ids = this.#ids;
    const pathIds = pathIdAt && this.#pathIds;
    if (filter !== undefined && !isJudged) this.judge(group, filter, batch);
    for (let i = 0; i < buckets.sourceCount; i++) {
      const source = buckets.sources[i]!;
      if (group.acceptsKind[kind[source]!] === 0) continue;
      for (let bucket = buckets.firstBucket[i]!; bucket >= 0; bucket = buckets.nextBucket[bucket]!) {
        const attribute = buckets.bucketAttribute[bucket]!;
        if ((flags[attribute]! & group.refusedFlags) !== 0) continue;
        let count = 0;
        for (let at = buckets.bucketHead[bucket]!; at >= 0; at = buckets.nextInBucket[at]!) {
          if (pathIds) pathIds[count] = pathIdAt[at]!;
          ids[count++] = batch.id[at]!;
        }
        if (filter === undefined) {
          this.#announceOrWithdraw(group, attribute, source, ids, pathIds, count, undefined, only);
          continue;
        }
        const verdict = this.#bucketVerdict[bucket]!;
        if (verdict === MIXED) this.#announceMixed(group, filter, bucket, source, pathIds, count, only);
        else this.#announceVerdict(group, filter, verdict, attribute, source, ids, pathIds, count, only);
      }
      group.chunk.mark(source);
    }
  }

  /** Writes the chunk to the stream's members, or to one; empties it. What takes long is finished by `deliveries`. */
  flush(group: UpdateGroup, only: Member | undefined): void {
    const { chunk, stream } = group;
    if (chunk.end === 0) return;
    this.updatesEncoded += chunk.messages;
    // A member of the stream hears things in their order; one that lags hears them from here alone.
    if (only ? only.inStream && this.deliveries.pending : stream.length >= WIDE_MEMBERS) {
      group.chunk = this.deliveries.exchange(chunk, only ? [only] : stream);
      this.deliveries.run();
      return;
    }
    if (only) {
      if (only.sink.write(chunk.bytes, 0, chunk.end, chunk.messages)) only.hold(chunk.memory);
    } else {
      for (let i = stream.length - 1; i >= 0; i--) this.#deliver(chunk, stream[i]!);
    }
    if (chunk.memory.holders > 0) chunk.memory = this.memory.take();
    chunk.clear();
  }

  #deliver(chunk: MessageChunk, member: Member): void {
    if (this.#writeSegments(chunk, member)) member.hold(chunk.memory);
    if (member.sink.backlogBytes > BACKLOG_LIMIT_OCTETS) this.#onOverrun(member);
  }

  /** A bucket of which `ids` and `pathIds` are there: in as many parts as there are verdicts on its prefixes. */
  #announceMixed(
    group: UpdateGroup,
    filter: ExportFilter,
    bucket: number,
    source: number,
    pathIds: Int32Array | undefined,
    all: number,
    only: Member | undefined,
  ): void {
    const { buckets } = this;
    const ids = this.#ids;
    const verdicts = this.#verdicts;
    const attribute = buckets.bucketAttribute[bucket]!;
    let count = 0;
    for (let at = buckets.bucketHead[bucket]!; at >= 0; at = buckets.nextInBucket[at]!) {
      verdicts[count++] = this.verdictAt[at]!;
    }
    // The first verdict and all that share it, to the front and out; then the others.
    for (let from = 0; from < all;) {
      const verdict = verdicts[from]!;
      let count = 0;
      const partIds = this.#partIds;
      const partPathIds = pathIds && this.#partPathIds;
      for (let i = from; i < all; i++) {
        if (verdicts[i] === verdict) {
          if (partPathIds) partPathIds[count] = pathIds[i]!;
          partIds[count++] = ids[i]!;
        }
      }
      // From the end, so that nothing is overwritten before it has moved.
      let rest = all;
      for (let i = all - 1; i >= from; i--) {
        if (verdicts[i] === verdict) continue;
        rest--;
        verdicts[rest] = verdicts[i]!;
        ids[rest] = ids[i]!;
        if (pathIds) pathIds[rest] = pathIds[i]!;
      }
      from = rest;
      this.#announceVerdict(group, filter, verdict, attribute, source, partIds, partPathIds, count, only);
    }
  }

  #announceVerdict(
    group: UpdateGroup,
    filter: ExportFilter,
    verdict: number,
    attribute: number,
    source: number,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    count: number,
    only: Member | undefined,
  ): void {
    if (verdict !== Verdict.rejected) {
      const edited = verdict > Verdict.asIs ? filter.edit(group.rib, ids[0]!, attribute, source) : undefined;
      this.#announceOrWithdraw(group, attribute, source, ids, pathIds, count, edited, only);
    } else if (filter.isUnsure) {
      this.writeWithdrawals(group, ids, pathIds, count, source, only);
    }
  }

  /** What cannot be said to the group is taken back: what was said before must not stand. */
  #announceOrWithdraw(
    group: UpdateGroup,
    attribute: number,
    source: number,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    count: number,
    edited: EditedAttributes | undefined,
    only: Member | undefined,
  ): void {
    if (this.#announce(group, attribute, source, ids, pathIds, count, edited, only)) return;
    group.unencodable++;
    this.writeWithdrawals(group, ids, pathIds, count, source, only);
  }

  /** False when the set cannot be said to the group. */
  #announce(
    group: UpdateGroup,
    attribute: number,
    source: number,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    count: number,
    edited: EditedAttributes | undefined,
    only: Member | undefined,
  ): boolean {
    const { parameters } = group;
    const { kind, identifier } = this.#rib.peers;
    const outgoing = this.#attributes;
    if (!outgoing.write(parameters, attribute, kind[source]! as SourceKind, identifier[source]!, edited, source))
      return false;
    for (let from = 0; from < count;) {
      if (group.chunk.isFull(parameters.maxMessageLength)) this.#flushMarked(group, source, only);
      from = group.chunk.announce(group.rib, outgoing, ids, pathIds, from, count, parameters.maxMessageLength);
      if (from < 0) {
        this.onTooLong?.(group, ++group.tooLong);
        return false;
      }
    }
    return true;
  }

  #flushMarked(group: UpdateGroup, source: number, only: Member | undefined): void {
    group.chunk.mark(source);
    this.flush(group, only);
  }

  /** Writes the runs of segments between the member's own; true when the session holds the memory. */
  #writeSegments(chunk: MessageChunk, member: Member): boolean {
    const { segmentSource, segmentEnd, segmentMessages, segments } = chunk;
    let held = false;
    let begin = 0;
    let beginMessages = 0;
    for (let i = 0; i < segments; i++) {
      const own = segmentSource[i] === member.peerId;
      if (!own && i < segments - 1) continue;
      const last = own ? i - 1 : i;
      const end = last < 0 ? 0 : segmentEnd[last]!;
      if (end > begin) {
        const messages = segmentMessages[last]! - beginMessages;
        if (member.sink.write(chunk.bytes, begin, end, messages)) held = true;
      }
      begin = segmentEnd[i]!;
      beginMessages = segmentMessages[i]!;
    }
    return held;
  }
}
