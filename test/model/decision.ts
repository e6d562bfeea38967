/**
 * The decision process, to be read beside RFC 4271 §9.1.2 and RFC 4456 §8-9: which paths may be used at all, and which
 * of them is best.
 *
 * Phase 2 is a ladder. Each step sees the paths that are still equal so far, keeps the best of them and names itself as
 * the reason of those it throws out; the first step that leaves one path names itself as the reason why that one is best.
 * Every step looks only at the set, never at an order of arrival, so the result does not depend on it.
 *
 * The RFC says / we do:
 *   MED missing           lowest value                              0 (RFC 4271 §9.1.2.2 c)
 *   LOCAL_PREF external   degree of preference from local policy    100
 *   own prefixes          "locally originated" is left to the AS    always win
 *   oldest external path  not in the RFC                            not done: it depends on the order of arrival
 */
import { addressOrder, asPathLength, firstAsn, identifierNumber, LLGR_STALE, type Path } from './attributes.js';

export const DEFAULT_LOCAL_PREF = 100;

/** The steps of the ladder, in order, and `only-path` where nothing had to be decided. */
export type DecisionReason =
  | 'only-path'
  | 'local-origin'
  | 'long-lived-stale'
  | 'local-pref'
  | 'as-path-length'
  | 'origin'
  | 'med'
  | 'external'
  | 'next-hop-metric'
  | 'router-id'
  | 'cluster-list-length'
  | 'peer-address'
  | 'path-id';

export type IneligibleReason =
  'import-rejected' | 'as-loop' | 'originator-loop' | 'cluster-loop' | 'next-hop-unreachable';

const TIE_BREAKS: readonly DecisionReason[] = ['router-id', 'cluster-list-length', 'peer-address', 'path-id'];
const LADDER: readonly DecisionReason[] = ['med', 'external', 'next-hop-metric', ...TIE_BREAKS];

/** What the decision knows beside the paths. */
export interface Surroundings {
  readonly asn: number;
  readonly routerId: string;
  readonly clusterId: string;
  readonly alwaysCompareMed?: boolean;
  readonly deterministicMed?: boolean;
  isOwnAddress(address: string): boolean;
  /** Metric of the route to a next hop; undefined = unreachable. */
  nextHopMetric(address: string): number | undefined;
}

/** Why a path may not be used; undefined = it may. The first rule that applies is told. */
export function ineligible(path: Path, speaker: Surroundings): IneligibleReason | undefined {
  const { peer, attributes } = path;
  if (!peer) return undefined;
  // RFC 8212 §3: without a policy, nothing from an external peer. Internal peers: everything.
  if (!(peer.importAccept ?? peer.type === 'internal')) return 'import-rejected';
  // RFC 4271 §9.1.2: our own AS in the AS_PATH, whatever the kind of segment, is a loop.
  if (attributes.asPath.some(({ asns }) => asns.includes(speaker.asn))) return 'as-loop';
  // RFC 4456 §8: "A router that recognizes the ORIGINATOR_ID attribute SHOULD ignore a route received with its BGP
  // Identifier as the ORIGINATOR_ID".
  if (attributes.originatorId === speaker.routerId) return 'originator-loop';
  // RFC 4456 §8: "If the local CLUSTER_ID is found in the CLUSTER_LIST, the advertisement received SHOULD be ignored".
  if (attributes.clusterList?.includes(speaker.clusterId)) return 'cluster-loop';
  // RFC 4271 §9.1.2.1: the next hop must be resolvable; §5.1.3: a route whose next hop we are ourselves is never used.
  if (speaker.isOwnAddress(attributes.nextHop)) return 'next-hop-unreachable';
  if (speaker.nextHopMetric(attributes.nextHop) === undefined) return 'next-hop-unreachable';
  return undefined;
}

export interface Decision {
  readonly best: Path;
  readonly reason: DecisionReason;
  /** Every other candidate, with the step that threw it out. */
  readonly losers: ReadonlyMap<Path, DecisionReason>;
  /** The best one, and those it won from by steps 7 to 10 only: they may share its traffic. */
  readonly tied: readonly Path[];
}

/** The best of the eligible candidates for one prefix; undefined when there is none. */
export function decide(candidates: readonly Path[], speaker: Surroundings): Decision | undefined {
  let remaining = [...candidates];
  let reason: DecisionReason = 'only-path';
  const losers = new Map<Path, DecisionReason>();
  const keep = (step: DecisionReason, survives: (path: Path) => boolean): void => {
    const survivors = remaining.filter(survives);
    if (survivors.length === remaining.length) return;
    for (const path of remaining) if (!survives(path)) losers.set(path, step);
    remaining = survivors;
    reason = step;
  };
  const lowest = (step: DecisionReason, key: (path: Path) => number | string): void => {
    const values = remaining.map(key);
    const least = values.reduce((a, b) => (b < a ? b : a), values[0]!);
    keep(step, (path) => key(path) === least);
  };
  if (remaining.length === 0) return undefined;

  //  0  RFC 4271 §9.1.2   what we originate ourselves
  lowest('local-origin', (path) => (path.peer ? 1 : 0));
  //     RFC 9494 §4.3     long-lived stale paths after all others
  lowest('long-lived-stale', ({ peer, attributes }) =>
    peer?.longLived && attributes.communities?.includes(LLGR_STALE) ? 1 : 0,
  );
  //  1  RFC 4271 §9.1.1   highest degree of preference: LOCAL_PREF from internal peers, the default for all else
  lowest('local-pref', (path) => -(path.attributes.localPref ?? DEFAULT_LOCAL_PREF));
  //  2  RFC 4271 §9.1.2.2 a   fewest AS numbers in AS_PATH
  lowest('as-path-length', (path) => asPathLength(path.attributes.asPath));
  //  3  RFC 4271 §9.1.2.2 b   lowest ORIGIN
  lowest('origin', (path) => path.attributes.origin);
  //  4  RFC 4271 §9.1.2.2 c   lowest MULTI_EXIT_DISC, among the paths of one neighbouring AS only
  const { med, neighbourAs } = medRules(speaker.asn);
  const rivals = remaining;
  const comparable = (n: Path, m: Path): boolean => speaker.alwaysCompareMed || neighbourAs(n) === neighbourAs(m);
  const isBeaten = (m: Path): boolean => rivals.some((n) => comparable(n, m) && med(n) < med(m));
  if (speaker.deterministicMed === false && remaining.length > 1) {
    // Two at a time, in the order of steps 7 to 10: a pair knows nothing of the MEDs of third paths.
    const [first, ...others] = inOrderOfTieBreaks(remaining);
    const pairOf = (a: Path, b: Path) => decide([a, b], { ...speaker, deterministicMed: true })!;
    const isTie = (step: DecisionReason): boolean => TIE_BREAKS.includes(step);
    let best = first!;
    for (const next of others) {
      const pair = pairOf(best, next);
      const loser = pair.best === best ? next : best;
      losers.set(loser, pair.reason);
      // The last step to which a comparison of the best one went down.
      const later = LADDER.indexOf(pair.reason) > LADDER.indexOf(reason);
      if (pair.best !== best || later) reason = pair.reason;
      best = pair.best;
    }
    const shares = (path: Path): boolean => path === best || (isTie(pairOf(best, path).reason) && !isBeaten(path));
    return { best, reason, losers, tied: rivals.filter(shares) };
  }
  keep('med', (m) => !isBeaten(m));
  //  5  RFC 4271 §9.1.2.2 d   external before internal
  lowest('external', (path) => (path.peer?.type === 'external' ? 0 : 1));
  //  6  RFC 4271 §9.1.2.2 e   lowest interior cost to the next hop
  lowest('next-hop-metric', (path) => (path.peer ? speaker.nextHopMetric(path.attributes.nextHop)! : 0));
  const tied = remaining;
  //  7  RFC 4271 §9.1.2.2 f   lowest BGP identifier; RFC 4456 §9: ORIGINATOR_ID stands in for it
  lowest('router-id', identifier);
  //  8  RFC 4456 §9           shortest CLUSTER_LIST
  lowest('cluster-list-length', clusterCount);
  //  9  RFC 4271 §9.1.2.2 g   lowest peer address
  lowest('peer-address', peerAddress);
  // 10  RFC 7911 §3           several paths of one peer: lowest path identifier
  lowest('path-id', (path) => path.pathId);

  if (remaining.length !== 1)
    throw new Error(`${remaining.length} paths for ${remaining[0]!.prefix} are the same path`);
  return { best: remaining[0]!, reason, losers, tied };
}

const identifier = ({ peer, attributes }: Path): number =>
  identifierNumber(attributes.originatorId ?? peer?.routerId ?? '0.0.0.0');
const clusterCount = (path: Path): number => path.attributes.clusterList?.length ?? 0;
const peerAddress = (path: Path): string => (path.peer ? addressOrder(path.peer.address) : '');

/** By steps 7 to 10, the first one first. */
export function inOrderOfTieBreaks(paths: readonly Path[]): Path[] {
  const text = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...paths].sort(
    (a, b) =>
      identifier(a) - identifier(b) ||
      clusterCount(a) - clusterCount(b) ||
      text(peerAddress(a), peerAddress(b)) ||
      a.pathId - b.pathId,
  );
}

function medRules(localAsn: number) {
  return {
    // RFC 4271 §9.1.2.2 c: "If route n has no MULTI_EXIT_DISC attribute, the function returns the lowest possible value, 0".
    med: (path: Path): number => path.attributes.med ?? 0,
    // Same clause: the AS the route came from; a route that an internal peer originated or aggregated (AS_PATH empty or
    // beginning with an AS_SET) comes from the local AS.
    neighbourAs: ({ peer, attributes }: Path): number =>
      peer?.type === 'external' ? peer.asn : (firstAsn(attributes.asPath) ?? localAsn),
  };
}
