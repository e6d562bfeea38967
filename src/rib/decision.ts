// HOT: guarded by bench S3 (10 paths per prefix).
/**
 * The decision process (RFC 4271 §9.1.2 with RFC 4456 §9), total and independent of the order of arrival.
 *
 *   the RFC says                                     we do
 *   §9.1.1   degree of preference                    0  locally originated first
 *                                                    1  highest LOCAL_PREF (100 when absent or from an external peer)
 *   §9.1.2   exclude unresolvable, looped            before 0: `ineligible`, and what RFC 9234 §5 calls a leak
 *   RFC 9494 §4.3 long-lived stale paths last        between 0 and 1
 *   §9.1.2.2 a  shortest AS_PATH (a set counts 1)    2
 *            b  lowest ORIGIN                        3
 *            c  lowest MED, same neighbour AS        4  every path beaten by one of its own neighbour AS goes at once
 *            d  external over internal               5
 *            e  lowest interior cost                 6
 *            f  lowest BGP identifier                7  ORIGINATOR_ID in its place (RFC 4456 §9)
 *   RFC 4456 §9 shortest CLUSTER_LIST                8
 *            g  lowest peer address                  9
 *                                                    10 lowest path id (RFC 7911)
 *
 * Steps 0 to 3 are one comparison of `rank`; only paths that tie go down the ladder. `DecisionReason` names the step
 * that left one path. Without `deterministicMed` steps 4 to 10 compare two at a time: `sequential-decision.ts`.
 */
import {
  AttributeFlag,
  LOCAL_RANK,
  LONG_LIVED_RANK,
  LOOP_FLAGS,
  RANK_LOCAL_PREF_UNIT,
} from './columns/attribute-pool.js';
import type { AttributePool } from './columns/attribute-pool.js';
import { PathFlag } from './columns/path-table.js';
import type { PathTable } from './columns/path-table.js';
import type { NextHops } from './next-hops.js';
import { SourceKind } from './rib-peers.js';
import type { RibPeers } from './rib-peers.js';
import { SequentialDecision } from './sequential-decision.js';
import type { Ladder } from './sequential-decision.js';

/** Why a path is best (the step that left it alone), or what eliminated it, or why it was not considered. */
export const DECISION_REASONS = [
  'none',
  'only-path',
  'local-origin',
  'local-pref',
  'as-path-length',
  'origin',
  'med',
  'external',
  'next-hop-metric',
  'router-id',
  'cluster-list-length',
  'peer-address',
  'path-id',
  'import-rejected',
  'as-loop',
  'originator-loop',
  'cluster-loop',
  'next-hop-unreachable',
  'ranked',
  'route-leak',
  'long-lived-stale',
] as const;
export type DecisionReason = (typeof DECISION_REASONS)[number];

const Reason = {
  onlyPath: 1,
  localOrigin: 2,
  localPref: 3,
  asPathLength: 4,
  origin: 5,
  med: 6,
  external: 7,
  nextHopMetric: 8,
  routerId: 9,
  clusterListLength: 10,
  peerAddress: 11,
  pathId: 12,
  importRejected: 13,
  asLoop: 14,
  originatorLoop: 15,
  clusterLoop: 16,
  nextHopUnreachable: 17,
  ranked: 18,
  routeLeak: 19,
  longLivedStale: 20,
} as const;

/** Called for each path that goes, with the code of the reason; only cold readers pass one. */
export type EliminationRecorder = (path: number, reason: number) => void;

/** The reason of a step from 4 on. */
const STEP_REASON = [0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 12] as const;

export class Decision implements Ladder {
  /** MEDs of different neighbouring ASes are compared, too. */
  alwaysCompareMed = false;
  /** MEDs are compared within all paths of a neighbouring AS at once. */
  deterministicMed = true;
  /** DecisionReason code of the last `select`. */
  reason = 0;
  readonly attributes: AttributePool;
  readonly peers: RibPeers;
  readonly nextHops: NextHops;
  readonly #sequential: SequentialDecision;
  #candidates = new Int32Array(64);
  #keys = new Float64Array(64);
  #recorder: EliminationRecorder | undefined;

  constructor(attributes: AttributePool, peers: RibPeers, nextHops: NextHops) {
    this.attributes = attributes;
    this.peers = peers;
    this.nextHops = nextHops;
    this.#sequential = new SequentialDecision(this);
  }

  /** 0 when the path may be considered, else the code of the reason why not. */
  ineligible(paths: PathTable, path: number): number {
    const attributes = this.attributes;
    const attribute = paths.attribute[path]!;
    const marks = paths.flags[path]! & (PathFlag.ranked | PathFlag.rejected);
    if (marks !== 0) return (marks & PathFlag.rejected) !== 0 ? Reason.importRejected : Reason.ranked;
    if (this.peers.importAccept[paths.peer[path]!] === 0) return Reason.importRejected;
    const flags = attributes.flags[attribute]! & LOOP_FLAGS;
    if (flags !== 0) {
      return flags & AttributeFlag.asLoop
        ? Reason.asLoop
        : flags & AttributeFlag.originatorLoop
          ? Reason.originatorLoop
          : flags & AttributeFlag.clusterLoop
            ? Reason.clusterLoop
            : Reason.routeLeak;
    }
    const nextHop = attributes.nextHop[attribute]!;
    if (nextHop !== 0 && this.nextHops.resolvable[nextHop] === 0) return Reason.nextHopUnreachable;
    return 0;
  }

  /** The best path of the chain that begins at `first`, 0 when none is eligible. Sets `reason`. */
  select(paths: PathTable, first: number): number {
    if (first === 0) {
      this.reason = 0;
      return 0;
    }
    if (paths.next[first] === 0) {
      const why = this.ineligible(paths, first);
      this.reason = why === 0 ? Reason.onlyPath : why;
      return why === 0 ? first : 0;
    }
    let count = this.#collect(paths, first);
    if (count > 1 && !this.deterministicMed) return this.#selectInSequence(paths, count);
    if (count > 1) count = this.#untilInteriorCost(paths, count);
    if (count > 1) this.#breakTies(paths, count);
    return count === 0 ? 0 : this.#candidates[0]!;
  }

  /**
   * The paths of the chain that are as good as the best one down to the interior cost (step 6), the best one among them,
   * in no order: what may share the traffic. Returns how many stand in `tied`, valid until the next question.
   */
  ties(paths: PathTable, first: number): number {
    const count = this.#collect(paths, first);
    if (count < 2) return count;
    if (this.deterministicMed) return this.#untilInteriorCost(paths, count);
    return this.#sequential.ties(paths, this.#selectInSequence(paths, count), this.#candidates, count);
  }

  #selectInSequence(paths: PathTable, count: number): number {
    const recorder = this.#recorder;
    const lost = recorder && ((path: number, step: number) => recorder(path, STEP_REASON[step]!));
    const best = this.#sequential.select(paths, this.#candidates, count, lost);
    this.reason = STEP_REASON[this.#sequential.step]!;
    return best;
  }

  get tied(): Int32Array {
    return this.#candidates;
  }

  /** Steps 7 to 10 between two tied paths: negative when `a` comes first. */
  compareTied(paths: PathTable, a: number, b: number): number {
    const { originator, clusterCount } = this.attributes;
    const peers = this.peers;
    const peerA = paths.peer[a]!;
    const peerB = paths.peer[b]!;
    const setA = paths.attribute[a]!;
    const setB = paths.attribute[b]!;
    return (
      (originator[setA]! || peers.identifier[peerA]!) - (originator[setB]! || peers.identifier[peerB]!) ||
      clusterCount[setA]! - clusterCount[setB]! ||
      peers.compareAddresses(peerA, peerB) ||
      (paths.pathId ? paths.pathId[a]! - paths.pathId[b]! : 0)
    );
  }

  /** Steps 0 to 3: the eligible paths of the best rank into `#candidates`; returns how many. Sets `reason` below two. */
  #collect(paths: PathTable, first: number): number {
    const next = paths.next;
    const rank = this.attributes.rank;
    const attributeOf = paths.attribute;
    let count = 0;
    let bestRank = -Infinity;
    let secondRank = -Infinity;
    let why = 0;
    for (let path = first; path !== 0; path = next[path]!) {
      const refused = this.ineligible(paths, path);
      if (refused !== 0) {
        why = refused;
        continue;
      }
      const pathRank = rank[attributeOf[path]!]!;
      if (pathRank > bestRank) {
        secondRank = bestRank;
        bestRank = pathRank;
        count = 0;
      } else if (pathRank < bestRank) {
        if (pathRank > secondRank) secondRank = pathRank;
        continue;
      }
      if (count === this.#candidates.length) this.#growCandidates();
      this.#candidates[count++] = path;
    }
    if (count === 0) this.reason = why;
    else if (count === 1) this.reason = secondRank === -Infinity ? Reason.onlyPath : rankReason(bestRank, secondRank);
    return count;
  }

  /** The same ladder, telling `recorder` why each path that is not best went. Cold. */
  explain(paths: PathTable, first: number, recorder: EliminationRecorder): number {
    const best = this.select(paths, first);
    const bestRank = best === 0 ? 0 : this.attributes.rank[paths.attribute[best]!]!;
    for (let path = first; path !== 0; path = paths.next[path]!) {
      const refused = this.ineligible(paths, path);
      const rank = this.attributes.rank[paths.attribute[path]!]!;
      if (refused !== 0) recorder(path, refused);
      else if (rank < bestRank) recorder(path, rankReason(bestRank, rank));
    }
    this.#recorder = recorder;
    this.select(paths, first);
    this.#recorder = undefined;
    return best;
  }

  /** The best `limit` paths of the chain in order of preference, into `out`; returns how many. */
  rank(paths: PathTable, first: number, limit: number, out: Int32Array): number {
    let count = 0;
    while (count < limit && count < out.length) {
      const path = this.select(paths, first);
      if (path === 0) break;
      out[count++] = path;
      paths.flags[path] = paths.flags[path]! | PathFlag.ranked;
    }
    for (let i = 0; i < count; i++) paths.flags[out[i]!] = paths.flags[out[i]!]! & ~PathFlag.ranked;
    return count;
  }

  /** Steps 4 to 6 over the candidates that tie in rank; returns how many are left. Sets `reason` when it is one. */
  #untilInteriorCost(paths: PathTable, count: number): number {
    const candidates = this.#candidates;
    const keys = this.#keys;
    const attributes = this.attributes;
    const peers = this.peers;

    count = this.#eliminateByMed(paths, count);
    if (count === 1) return this.#decided(Reason.med);

    for (let i = 0; i < count; i++) keys[i] = peers.kind[paths.peer[candidates[i]!]!] === SourceKind.external ? 0 : 1;
    count = this.#keepLowest(count, Reason.external);
    if (count === 1) return this.#decided(Reason.external);

    for (let i = 0; i < count; i++) {
      keys[i] = this.nextHops.metric[attributes.nextHop[paths.attribute[candidates[i]!]!]!]!;
    }
    count = this.#keepLowest(count, Reason.nextHopMetric);
    return count === 1 ? this.#decided(Reason.nextHopMetric) : count;
  }

  /** Steps 7 to 10: the best path becomes the first candidate. */
  #breakTies(paths: PathTable, count: number): number {
    const candidates = this.#candidates;
    const keys = this.#keys;
    const attributes = this.attributes;
    const peers = this.peers;

    for (let i = 0; i < count; i++) {
      const path = candidates[i]!;
      const originator = attributes.originator[paths.attribute[path]!]!;
      keys[i] = originator !== 0 ? originator : peers.identifier[paths.peer[path]!]!;
    }
    count = this.#keepLowest(count, Reason.routerId);
    if (count === 1) return this.#decided(Reason.routerId);

    for (let i = 0; i < count; i++) keys[i] = attributes.clusterCount[paths.attribute[candidates[i]!]!]!;
    count = this.#keepLowest(count, Reason.clusterListLength);
    if (count === 1) return this.#decided(Reason.clusterListLength);

    let lowest = paths.peer[candidates[0]!]!;
    for (let i = 1; i < count; i++) {
      const peer = paths.peer[candidates[i]!]!;
      if (peers.compareAddresses(peer, lowest) < 0) lowest = peer;
    }
    for (let i = 0; i < count; i++) keys[i] = peers.compareAddresses(paths.peer[candidates[i]!]!, lowest);
    count = this.#keepLowest(count, Reason.peerAddress);
    if (count === 1) return this.#decided(Reason.peerAddress);

    for (let i = 0; i < count; i++) keys[i] = paths.pathId ? paths.pathId[candidates[i]!]! : 0;
    this.#keepLowest(count, Reason.pathId);
    return this.#decided(Reason.pathId);
  }

  /** One candidate is left. */
  #decided(reason: number): number {
    this.reason = reason;
    return 1;
  }

  /** RFC 4271 §9.1.2.2 c: out goes every path with a worse MED than another of the same neighbour AS, or of any. */
  #eliminateByMed(paths: PathTable, count: number): number {
    const candidates = this.#candidates;
    const { med, neighborAs } = this.attributes;
    let same = true;
    const firstMed = med[paths.attribute[candidates[0]!]!]!;
    for (let i = 1; i < count && same; i++) same = med[paths.attribute[candidates[i]!]!] === firstMed;
    if (same) return count;
    const keys = this.#keys;
    for (let i = 0; i < count; i++) {
      const attribute = paths.attribute[candidates[i]!]!;
      keys[i] = 0;
      for (let j = 0; j < count; j++) {
        const other = paths.attribute[candidates[j]!]!;
        const rivals = this.alwaysCompareMed || neighborAs[other] === neighborAs[attribute];
        if (rivals && med[other]! < med[attribute]!) {
          keys[i] = 1;
          break;
        }
      }
    }
    return this.#keepLowest(count, Reason.med);
  }

  /** Keeps the candidates whose key is the lowest. */
  #keepLowest(count: number, reason: number): number {
    const candidates = this.#candidates;
    const keys = this.#keys;
    let lowest = keys[0]!;
    for (let i = 1; i < count; i++) if (keys[i]! < lowest) lowest = keys[i]!;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (keys[i] === lowest) candidates[kept++] = candidates[i]!;
      else if (this.#recorder) this.#recorder(candidates[i]!, reason);
    }
    return kept;
  }

  #growCandidates(): void {
    const larger = new Int32Array(this.#candidates.length * 2);
    larger.set(this.#candidates);
    this.#candidates = larger;
    this.#keys = new Float64Array(larger.length);
  }
}

/** Which of the steps 0 to 3 separates two ranks. */
function rankReason(best: number, other: number): number {
  if (best === LOCAL_RANK) return Reason.localOrigin;
  if (other < 0) {
    if (best >= 0) return Reason.longLivedStale;
    best -= LONG_LIVED_RANK;
    other -= LONG_LIVED_RANK;
  }
  const bestPref = Math.floor(best / RANK_LOCAL_PREF_UNIT);
  const otherPref = Math.floor(other / RANK_LOCAL_PREF_UNIT);
  if (bestPref !== otherPref) return Reason.localPref;
  return (best % RANK_LOCAL_PREF_UNIT) >> 2 !== (other % RANK_LOCAL_PREF_UNIT) >> 2
    ? Reason.asPathLength
    : Reason.origin;
}
