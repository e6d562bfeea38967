// HOT: once per prefix and changed policy.
/**
 * Members have come from one update group to another because their export policy has changed: the table is walked, in
 * slices, and what they have been told otherwise than it is now gets a bit. All that came together are served by one walk.
 *
 * Until it is over they are told nothing else, they only collect bits: so everything is told once, and what they have been
 * told of a prefix without a bit follows from the group they came from (`Told`). Where that one's own walk was not over,
 * the rest of the table is as the group before had told it.
 */
import { PrefixFlag } from '../rib/columns/prefix-table.js';
import type { Rib } from '../rib/rib.js';
import { Verdict } from '../policy/export-filter.js';
import { FilterDifference } from './filter-difference.js';
import type { Member } from './member.js';
import type { SentPaths } from './sent-paths.js';
import type { UpdateGroup } from './update-group.js';

/** Under which group prefixes below an id, from the one before on, have been told. */
interface Told {
  readonly below: number;
  readonly group: UpdateGroup;
}

export class PolicyWalk {
  readonly group: UpdateGroup;
  readonly members = new Set<Member>();
  /** The exporter's count of changes when it was made: nothing has happened since. */
  readonly epoch: number;
  /** With ADD-PATH: how many paths it will come to, when somebody asks. */
  planned: { readonly bySource: Int32Array; readonly all: number } | undefined;
  readonly from: UpdateGroup;
  readonly before: PolicyWalk | undefined;
  readonly #told: readonly Told[];
  #next = 1;
  readonly #end: number;

  /** `before`: the walk that members of `from` were in. */
  constructor(group: UpdateGroup, from: UpdateGroup, before: PolicyWalk | undefined, epoch: number) {
    this.group = group;
    this.from = from;
    this.before = before;
    this.epoch = epoch;
    const rest = before ? before.#told.filter(({ below }) => below > before.#next) : [];
    this.#told = [{ below: before ? before.#next : Infinity, group: from }, ...rest];
    this.#end = group.rib.prefixes.end;
  }

  get isOver(): boolean {
    return this.#next >= Math.min(this.#end, this.group.rib.prefixes.end);
  }

  /** The group under which the members have been told of a prefix that has no bit. */
  toldUnder(id: number): UpdateGroup {
    return (id < this.#next ? undefined : this.#told.find(({ below }) => id < below)?.group) ?? this.group;
  }

  /**
   * Looks at so many prefixes. `reconcile`: in groups with ADD-PATH, brings what has been told up to date; true when
   * something differs.
   */
  run(rib: Rib, count: number, reconcile: (id: number) => boolean): void {
    const { prefixes } = this.group.rib;
    const end = Math.min(prefixes.end, this.#end, this.#next + count);
    for (const { below, group: old } of this.#told) {
      if (this.#next >= end || below <= this.#next) continue;
      const to = Math.min(end, below);
      // Sets die between slices: what is known of them is good for one.
      const difference = new FilterDifference(old.filter, this.group.filter, old.rib);
      if (this.group.sent) this.#comparePaths(this.group.sent, difference, to, reconcile);
      else this.#compareBest(rib, old, difference, to);
      this.#next = to;
    }
    this.#next = Math.max(this.#next, end);
  }

  #compareBest(rib: Rib, old: UpdateGroup, difference: FilterDifference, to: number): void {
    const { group } = this;
    const { bestAttribute, bestPeer, flags: prefixFlags } = group.rib.prefixes;
    const { flags } = rib.attributes;
    const { kind } = rib.peers;
    for (let id = this.#next; id < to; id++) {
      const attribute = bestAttribute[id]!;
      if (attribute === 0 || (prefixFlags[id]! & PrefixFlag.held) !== 0) continue;
      const source = bestPeer[id]!;
      const before = isTold(old, flags[attribute]!, kind[source]!, id, attribute, source);
      const now = isTold(group, flags[attribute]!, kind[source]!, id, attribute, source);
      if (before === now && !(now && difference.isDifferent(id, attribute, source))) continue;
      for (const member of this.members) if (member.peerId !== source) member.mark(id);
    }
  }

  /** Other paths are told, or those that are told as before look different. */
  #comparePaths(sent: SentPaths, difference: FilterDifference, to: number, reconcile: (id: number) => boolean): void {
    for (let id = this.#next; id < to; id++) {
      if (reconcile(id)) for (const member of this.group.lagging) member.mark(id);
      for (let entry = sent.first(id); entry !== 0; entry = sent.next[entry]!) {
        const attribute = sent.attribute[entry]!;
        if (attribute === 0 || !difference.isDifferent(id, attribute, sent.source[entry]!)) continue;
        for (const member of this.members) member.mark(id);
        break;
      }
    }
  }
}

function isTold(
  group: UpdateGroup,
  attributeFlags: number,
  kind: number,
  id: number,
  attribute: number,
  source: number,
): boolean {
  if (!group.exports(attributeFlags, kind)) return false;
  const { filter } = group;
  return filter === undefined || filter.judge(group.rib, id, attribute, source) !== Verdict.rejected;
}
