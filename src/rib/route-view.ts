/**
 * Cold reads of the RIB: walks, lookups and reasons for people. Nothing here is on the hot path and nothing is kept
 * between calls; a walk survives changes of the tables meanwhile.
 */
import { decodeAttributes } from 'bgp-parse';
import type { PathAttributes, Prefix } from 'bgp-parse';
import { DECISION_REASONS } from './decision.js';
import type { DecisionReason } from './decision.js';
import type { FamilyRib } from './family-rib.js';
import type { Rib } from './rib.js';

/** Above this many prefixes a walk keeps the order of the table: sorting would hold up keepalives. */
const SORT_LIMIT = 100_000;

export interface PathView {
  readonly prefixId: number;
  readonly path: number;
  readonly peerId: number;
  readonly attribute: number;
  readonly best: boolean;
  /** One of several paths that forward together. */
  readonly multipath: boolean;
  /** Takes over when the next hops of those that forward are lost. */
  readonly backup: boolean;
  readonly stale: boolean;
  readonly pathId: number | undefined;
  /** Why it is best, or what eliminated it, or why it was not considered. */
  readonly reason: DecisionReason | 'multipath';
  /** Seconds since the speaker's start when it last changed. */
  readonly changedAtSeconds: number;
}

/** The paths of a prefix, best first. `withBackup`: backups are in use. */
export function pathsOf(rib: Rib, family: FamilyRib, id: number, withBackup = false): PathView[] {
  const { prefixes, paths } = family;
  const first = prefixes.firstPath[id]!;
  if (first === 0) return [];
  const reasons = new Map<number, number>();
  const best = rib.decision.explain(paths, first, (path, reason) => reasons.set(path, reason));
  const bestReason = rib.decision.reason;
  const { multipath } = rib;
  multipath.choose(paths, first, withBackup);
  const members = new Set(multipath.primaries.subarray(0, multipath.primaryCount));
  const out: PathView[] = [];
  for (let path = first; path !== 0; path = paths.next[path]!) {
    const shares = members.size > 1 && members.has(path);
    out.push({
      prefixId: id,
      path,
      peerId: paths.peer[path]!,
      attribute: paths.attribute[path]!,
      best: path === best,
      multipath: shares,
      backup: path === multipath.backup,
      stale: rib.isStale(family, path),
      pathId: paths.pathId && rib.peers.get(paths.peer[path]!)?.addPath[family.index] ? paths.pathId[path] : undefined,
      // What keeps it from being best, a tie-break, does not keep it from forwarding.
      reason:
        shares && path !== best
          ? 'multipath'
          : DECISION_REASONS[path === best ? bestReason : (reasons.get(path) ?? 0)]!,
      changedAtSeconds: paths.changedAt[path]!,
    });
  }
  const order = (view: PathView): number => (view.best ? 0 : view.multipath ? 1 : view.backup ? 2 : 3);
  return out.sort((a, b) => order(a) - order(b));
}

export function attributesOf(rib: Rib, attribute: number): PathAttributes {
  const pool = rib.attributes;
  const start = pool.start(attribute);
  return decodeAttributes(pool.bytes(attribute), start, start + pool.length(attribute));
}

/** Ids of prefixes that have a path: in the order of addresses where the table is not huge. */
export function* prefixIds(family: FamilyRib): Iterable<number> {
  const { prefixes } = family;
  if (family.occupied > SORT_LIMIT) {
    for (let id = 1; id < prefixes.end; id++) if (!prefixes.isFree(id) && prefixes.firstPath[id] !== 0) yield id;
    return;
  }
  const ids: number[] = [];
  for (let id = 1; id < prefixes.end; id++) if (!prefixes.isFree(id) && prefixes.firstPath[id] !== 0) ids.push(id);
  ids.sort((a, b) => comparePrefixes(family, a, b));
  for (const id of ids) if (!prefixes.isFree(id) && prefixes.firstPath[id] !== 0) yield id;
}

/** The prefix itself when `longer` is false, else it and everything more specific. */
export function* matchingIds(family: FamilyRib, prefix: Prefix, longer: boolean): Iterable<number> {
  if (!longer) {
    const id = family.find(prefix.bytes, prefix.length);
    if (id !== 0 && family.prefixes.firstPath[id] !== 0) yield id;
    return;
  }
  for (const id of prefixIds(family)) {
    if (family.prefixes.length[id]! >= prefix.length && covers(family, prefix, id)) yield id;
  }
}

/** The longest prefix with a path that covers an address; 0 = none. */
export function longestMatch(family: FamilyRib, address: Uint8Array): number {
  const bytes = address.slice();
  for (let length = bytes.length * 8; length >= 0; length--) {
    if (length < bytes.length * 8) bytes[length >> 3] = bytes[length >> 3]! & (0xff00 >> (length & 7));
    const id = family.find(bytes, length);
    if (id !== 0 && family.prefixes.firstPath[id] !== 0) return id;
  }
  return 0;
}

function covers(family: FamilyRib, prefix: Prefix, id: number): boolean {
  const bytes = family.addressBytes(id);
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== prefix.bytes[i]) return false;
  const rest = prefix.length & 7;
  return rest === 0 || ((bytes[whole]! ^ prefix.bytes[whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

function comparePrefixes(family: FamilyRib, a: number, b: number): number {
  const { address, words, length } = family.prefixes;
  for (let word = 0; word < words; word++) {
    const difference = address[a * words + word]! - address[b * words + word]!;
    if (difference !== 0) return difference;
  }
  return length[a]! - length[b]!;
}
