// HOT: only for groups that send several paths per prefix.
/**
 * What an update group with ADD-PATH (RFC 7911) has been told: entries chained per prefix. The index of an entry is the
 * path identifier on the wire: unique, and the same as long as the path is there.
 *
 * Unlike best paths, what was told cannot be read off the Loc-RIB: a path that has gone leaves no trace there. An entry
 * that went while a member lags stays as "gone", so that the member can be told; it is used again when the path is back.
 *
 * Cost: 14 octets per path told, 4 per prefix, per group.
 */
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';
import type { Decision } from '../rib/decision.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { ExportFilter } from '../policy/export-filter.js';

/** Takes what differs. */
export interface PathChanges {
  announcePath(prefixId: number, pathId: number, attribute: number, source: number): void;
  withdrawPath(prefixId: number, pathId: number, source: number): void;
}

/** Whether a path may be told to the group at all: `UpdateGroup` over the columns of attribute sets and peers. */
export interface PathFilter {
  exports(attributeFlags: number, kind: number): boolean;
  readonly filter: ExportFilter | undefined;
}

export class SentPaths {
  /** By entry. Attribute set told, 0 = gone. */
  attribute = new Int32Array(1024);
  source = new Uint16Array(1024);
  next = new Int32Array(1024);
  /** Entries that stand for a path. */
  live = 0;
  /** Every prefix of the table has been looked at. */
  isComplete = false;
  #liveBySource = new Int32Array(64);
  #receivedId = new Uint32Array(1024);
  #first = new Int32Array(1024);
  #end = 1;
  #firstFree = 0;
  /** Prefix and entry of what has gone, in pairs; an entry may stand twice. */
  #gone: number[] = [];
  #ranked = new Int32Array(256);
  #seen = new Uint8Array(1024);

  first(prefixId: number): number {
    return this.#first[prefixId] ?? 0;
  }

  /** Entries that stand for a path of somebody else. */
  liveFor(peerId: number): number {
    return this.live - (this.#liveBySource[peerId] ?? 0);
  }

  /** Whether the peer hears of the entry of a prefix. */
  isLive(prefixId: number, wanted: number, peerId: number): boolean {
    let entry = this.first(prefixId);
    while (entry !== 0 && entry !== wanted) entry = this.next[entry]!;
    return entry !== 0 && this.attribute[entry] !== 0 && this.source[entry] !== peerId;
  }

  /** The same again, for a group whose members have been told all this. */
  clone(): SentPaths {
    const other = new SentPaths();
    other.attribute = this.attribute.slice();
    other.source = this.source.slice();
    other.next = this.next.slice();
    other.live = this.live;
    other.isComplete = this.isComplete;
    other.#liveBySource = this.#liveBySource.slice();
    other.#receivedId = this.#receivedId.slice();
    other.#first = this.#first.slice();
    other.#end = this.#end;
    other.#firstFree = this.#firstFree;
    other.#gone = this.#gone.slice();
    other.#seen = this.#seen.slice();
    return other;
  }

  /** Makes the entries of a prefix what its paths are now, and says what differs. */
  reconcile(
    rib: FamilyRib,
    decision: Decision,
    prefixId: number,
    limit: number,
    filter: PathFilter,
    attributeFlags: Uint16Array,
    peerKind: Uint8Array,
    keepGone: boolean,
    changes: PathChanges | undefined,
  ): boolean {
    if (prefixId >= this.#first.length) {
      this.#first = grow(this.#first, grownCapacity(this.#first.length, prefixId + 1));
    }
    const { paths, prefixes } = rib;
    const policy = filter.filter;
    let changed = false;
    const isHeld = (prefixes.flags[prefixId]! & PrefixFlag.held) !== 0;
    const count = isHeld ? 0 : this.#rank(rib, decision, prefixes.firstPath[prefixId]!, limit);
    for (let i = 0; i < count; i++) {
      const path = this.#ranked[i]!;
      const attribute = paths.attribute[path]!;
      const source = paths.peer[path]!;
      if (!filter.exports(attributeFlags[attribute]!, peerKind[source]!)) continue;
      if (policy !== undefined && policy.judge(rib, prefixId, attribute, source) === 0) continue;
      const receivedId = paths.pathId ? paths.pathId[path]! : 0;
      let entry = this.#first[prefixId]!;
      while (entry !== 0 && (this.source[entry] !== source || this.#receivedId[entry] !== receivedId)) {
        entry = this.next[entry]!;
      }
      if (entry === 0) entry = this.#take(prefixId, source, receivedId);
      if (this.attribute[entry] === 0) this.#count(source, 1);
      if (this.attribute[entry] !== attribute) {
        this.attribute[entry] = attribute;
        changed = true;
        changes?.announcePath(prefixId, entry, attribute, source);
      }
      this.#seen[entry] = 1;
    }
    let before = 0;
    for (let entry = this.#first[prefixId]!; entry !== 0;) {
      const next = this.next[entry]!;
      if (this.#seen[entry] === 1) {
        this.#seen[entry] = 0;
        before = entry;
      } else if (this.attribute[entry] === 0) {
        before = entry;
      } else {
        changed = true;
        this.#count(this.source[entry]!, -1);
        this.attribute[entry] = 0;
        changes?.withdrawPath(prefixId, entry, this.source[entry]!);
        if (keepGone) {
          this.#gone.push(prefixId, entry);
          before = entry;
        } else {
          this.#unlink(prefixId, before, entry);
        }
      }
      entry = next;
    }
    return changed;
  }

  /** How many paths of a prefix `reconcile` would leave, by source. */
  countPaths(
    rib: FamilyRib,
    decision: Decision,
    prefixId: number,
    limit: number,
    filter: PathFilter,
    attributeFlags: Uint16Array,
    peerKind: Uint8Array,
    bySource: Int32Array,
  ): number {
    const { paths, prefixes } = rib;
    if ((prefixes.flags[prefixId]! & PrefixFlag.held) !== 0) return 0;
    const ranked = this.#rank(rib, decision, prefixes.firstPath[prefixId]!, limit);
    let count = 0;
    for (let i = 0; i < ranked; i++) {
      const attribute = paths.attribute[this.#ranked[i]!]!;
      const source = paths.peer[this.#ranked[i]!]!;
      if (!filter.exports(attributeFlags[attribute]!, peerKind[source]!)) continue;
      if (filter.filter?.judge(rib, prefixId, attribute, source) === 0) continue;
      bySource[source] = bySource[source]! + 1;
      count++;
    }
    return count;
  }

  #count(source: number, by: 1 | -1): void {
    this.live += by;
    if (source >= this.#liveBySource.length) {
      this.#liveBySource = grow(this.#liveBySource, grownCapacity(this.#liveBySource.length, source + 1));
    }
    this.#liveBySource[source] = this.#liveBySource[source]! + by;
  }

  /** Nobody lags any more: what has gone is forgotten. */
  forgetGone(): void {
    const gone = this.#gone;
    this.#gone = [];
    for (let i = 0; i < gone.length; i += 2) {
      const prefixId = gone[i]!;
      let before = 0;
      let entry = this.#first[prefixId]!;
      while (entry !== 0 && entry !== gone[i + 1]) {
        before = entry;
        entry = this.next[entry]!;
      }
      // It may have come back, or stand in the list twice.
      if (entry !== 0 && this.attribute[entry] === 0) this.#unlink(prefixId, before, entry);
    }
  }

  #rank(rib: FamilyRib, decision: Decision, first: number, limit: number): number {
    const { paths } = rib;
    let count = 0;
    for (let path = first; path !== 0; path = paths.next[path]!) count++;
    if (count > this.#ranked.length) this.#ranked = new Int32Array(count * 2);
    if (limit < count) return decision.rank(paths, first, limit, this.#ranked);
    count = 0;
    for (let path = first; path !== 0; path = paths.next[path]!) {
      if (decision.ineligible(paths, path) === 0) this.#ranked[count++] = path;
    }
    return count;
  }

  #take(prefixId: number, source: number, receivedId: number): number {
    let entry = this.#firstFree;
    if (entry !== 0) {
      this.#firstFree = this.next[entry]!;
    } else {
      entry = this.#end++;
      if (entry >= this.next.length) {
        const capacity = grownCapacity(this.next.length, entry + 1);
        this.attribute = grow(this.attribute, capacity);
        this.source = grow(this.source, capacity);
        this.next = grow(this.next, capacity);
        this.#receivedId = grow(this.#receivedId, capacity);
        this.#seen = grow(this.#seen, capacity);
      }
    }
    this.attribute[entry] = 0;
    this.source[entry] = source;
    this.#receivedId[entry] = receivedId;
    this.next[entry] = this.#first[prefixId]!;
    this.#first[prefixId] = entry;
    return entry;
  }

  #unlink(prefixId: number, before: number, entry: number): void {
    if (before === 0) this.#first[prefixId] = this.next[entry]!;
    else this.next[before] = this.next[entry]!;
    this.next[entry] = this.#firstFree;
    this.#firstFree = entry;
  }
}
