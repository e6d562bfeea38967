/**
 * Steps 4 to 10 of the decision process without deterministic MED (`decision.deterministicMed: false`): paths are compared
 * two at a time, the better one with the next, and MEDs count only where those two come from one neighbouring AS. A path
 * may win so that a third one of its own AS would have beaten by MED, had they met.
 *
 * Elsewhere the order of the comparisons is that of arrival. Here it is that of steps 7 to 10 (identifier, CLUSTER_LIST,
 * address, path id), which follow from the paths alone: the outcome is one that the others may come to, and always the
 * same. So a later path takes over when steps 4 to 6 prefer it, and loses every tie.
 */
import type { AttributePool } from './columns/attribute-pool.js';
import type { PathTable } from './columns/path-table.js';
import type { NextHops } from './next-hops.js';
import { SourceKind } from './rib-peers.js';
import type { RibPeers } from './rib-peers.js';

/** Steps, numbered as in `decision.ts`. */
export const Step = { med: 4, external: 5, metric: 6, routerId: 7, clusterListLength: 8, peerAddress: 9, pathId: 10 };

export interface Ladder {
  readonly attributes: AttributePool;
  readonly peers: RibPeers;
  readonly nextHops: NextHops;
  alwaysCompareMed: boolean;
  /** Steps 7 to 10: negative when `a` comes first. */
  compareTied(paths: PathTable, a: number, b: number): number;
}

export class SequentialDecision {
  /** The step that decided for the best path: the last one of those by which a comparison of it ended. */
  step = 0;
  /** Set by `#prefers`. */
  #by = 0;
  readonly #ladder: Ladder;

  constructor(ladder: Ladder) {
    this.#ladder = ladder;
  }

  /**
   * The best of candidates[0, count), two at least, which tie in rank; they are put into the order of comparison.
   * `lost` hears of each path that lost, and by which step.
   */
  select(
    paths: PathTable,
    candidates: Int32Array,
    count: number,
    lost: ((path: number, step: number) => void) | undefined,
  ): number {
    this.#sort(paths, candidates, count);
    let best = candidates[0]!;
    this.step = 0;
    for (let i = 1; i < count; i++) {
      const next = candidates[i]!;
      const before = best;
      if (this.#prefers(paths, next, best)) {
        best = next;
        this.step = this.#by;
      } else if (this.#by > this.step) this.step = this.#by;
      lost?.(best === next ? before : next, this.#by);
    }
    return best;
  }

  /**
   * Brings to the front those of candidates[0, count) that may share the traffic with `best`: it, and what is as good down
   * to the interior cost and has no worse MED than another path of its AS. Returns how many.
   */
  ties(paths: PathTable, best: number, candidates: Int32Array, count: number): number {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const path = candidates[i]!;
      if (
        path !== best &&
        (this.#difference(paths, path, best) !== 0 || this.#isBeaten(paths, path, candidates, count))
      )
        continue;
      // What stands there has been looked at, but may still beat others.
      candidates[i] = candidates[kept]!;
      candidates[kept++] = path;
    }
    return kept;
  }

  #isBeaten(paths: PathTable, path: number, candidates: Int32Array, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.#medDifference(paths, candidates[i]!, path) < 0) return true;
    return false;
  }

  /** Few candidates; mostly in order already, as they were sorted when they were decided last. */
  #sort(paths: PathTable, candidates: Int32Array, count: number): void {
    for (let i = 1; i < count; i++) {
      const path = candidates[i]!;
      let at = i;
      while (at > 0 && this.#ladder.compareTied(paths, path, candidates[at - 1]!) < 0) {
        candidates[at] = candidates[at - 1]!;
        at--;
      }
      candidates[at] = path;
    }
  }

  /** Whether `a`, which comes later, is better than `b`; sets `#by`. */
  #prefers(paths: PathTable, a: number, b: number): boolean {
    const difference = this.#difference(paths, a, b);
    if (difference === 0) this.#by = this.#tieStep(paths, a, b);
    return difference < 0;
  }

  /** Steps 4 to 6: negative when `a` is better; sets `#by` unless 0. */
  #difference(paths: PathTable, a: number, b: number): number {
    const { attributes, peers, nextHops } = this.#ladder;
    this.#by = Step.med;
    let difference = this.#medDifference(paths, a, b);
    if (difference !== 0) return difference;
    this.#by = Step.external;
    const isInternal = (path: number): number => (peers.kind[paths.peer[path]!] === SourceKind.external ? 0 : 1);
    difference = isInternal(a) - isInternal(b);
    if (difference !== 0) return difference;
    this.#by = Step.metric;
    const cost = (path: number): number => nextHops.metric[attributes.nextHop[paths.attribute[path]!]!]!;
    return cost(a) - cost(b);
  }

  #medDifference(paths: PathTable, a: number, b: number): number {
    const { med, neighborAs } = this.#ladder.attributes;
    const setA = paths.attribute[a]!;
    const setB = paths.attribute[b]!;
    if (!this.#ladder.alwaysCompareMed && neighborAs[setA] !== neighborAs[setB]) return 0;
    return med[setA]! - med[setB]!;
  }

  /** The step of 7 to 10 that separates the two. */
  #tieStep(paths: PathTable, a: number, b: number): number {
    const { attributes, peers } = this.#ladder;
    const identifier = (path: number): number =>
      attributes.originator[paths.attribute[path]!]! || peers.identifier[paths.peer[path]!]!;
    if (identifier(a) !== identifier(b)) return Step.routerId;
    const { clusterCount } = attributes;
    if (clusterCount[paths.attribute[a]!] !== clusterCount[paths.attribute[b]!]) return Step.clusterListLength;
    return peers.compareAddresses(paths.peer[a]!, paths.peer[b]!) !== 0 ? Step.peerAddress : Step.pathId;
  }
}
