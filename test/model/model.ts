/**
 * The naive RIB: one BGP speaker as Maps and plain objects. It documents the hot code in `src/rib` and `src/export` and
 * is the oracle of their property tests, so it is written for the reader and never for speed.
 *
 * Its state is only what cannot be worked out: what each peer announced (Adj-RIB-In), which sessions are up, what this
 * speaker originates and which next hops it can reach. Best paths (Loc-RIB), what peers are told (Adj-RIB-Out) and what
 * the kernel is told (FIB) are computed anew by every question, so there is nothing that could be forgotten to update.
 *
 *   announce, withdraw ─▶ Adj-RIB-In ─▶ ineligible()? ─▶ decide() ─▶ refusedExport()? ─▶ exported() ─▶ Adj-RIB-Out
 *      RFC 4271 §9         §3.2          §9.1.2           §9.1.2.2     §9.1.3, RFC 4456 §6   §5.1        §3.2
 */
import { type Family } from 'bgp-parse';
import {
  familyOfPrefix,
  firstAsn,
  GRACEFUL_SHUTDOWN,
  isExtendedNextHop,
  type Path,
  type PathAttributes,
  type Peer,
} from './attributes.js';
import { forwarding, ONE_PATH } from './forwarding.js';
import { decide, ineligible, type Decision, type DecisionReason, type IneligibleReason } from './decision.js';
import { exported, refusedExport } from './export.js';

export interface SpeakerIdentity {
  readonly asn: number;
  readonly routerId: string;
  readonly clusterId: string;
  /** MEDs of different neighbouring ASes are compared, too. */
  readonly alwaysCompareMed?: boolean;
  /** Default true; false: paths are compared two at a time. */
  readonly deterministicMed?: boolean;
  /** Every address of this node. */
  readonly ownAddresses?: readonly string[];
}

export interface Candidate {
  readonly path: Path;
  readonly best: boolean;
  readonly reason: DecisionReason | IneligibleReason;
}

const FAMILIES: readonly Family[] = ['ipv4-unicast', 'ipv6-unicast'];

export class Model {
  /** Until configured otherwise: the best path alone. */
  forwarding = ONE_PATH;
  readonly #speaker: SpeakerIdentity;
  readonly #peers = new Map<string, Peer>();
  readonly #established = new Set<string>();
  /** Peers and families whose stale paths are those of a refresh, as `peer family`. */
  readonly #refreshing = new Set<string>();
  /** Adj-RIB-In by peer, then by prefix and path identifier. */
  readonly #received = new Map<string, Map<string, Path>>();
  readonly #originated = new Map<string, Path>();
  readonly #nextHops = new Map<string, { resolvable: boolean; metric: number }>();

  constructor(speaker: SpeakerIdentity) {
    this.#speaker = speaker;
  }

  // ---- what happens to the speaker -------------------------------------------------------------------------------

  /**
   * The session is up. Paths kept from before it wait for End-of-RIB, except in families that the peer did not preserve
   * (RFC 4724 §4.2: "MUST immediately remove all the stale routes from the peer"), and except where another speaker
   * stands behind the address now: what was kept was ranked and reflected under the old one's identifier and type.
   */
  establish(peer: Peer, { preserved = peer.families }: { preserved?: readonly Family[] } = {}): void {
    this.#established.add(peer.id);
    const before = this.#peers.get(peer.id) ?? peer;
    const sameSpeaker =
      before.asn === peer.asn &&
      before.routerId === peer.routerId &&
      before.type === peer.type &&
      before.client === peer.client;
    for (const [key, path] of this.#table(peer.id)) {
      const family = familyOfPrefix(path.prefix);
      if (!sameSpeaker || !preserved.includes(family) || !peer.families.includes(family)) {
        this.#table(peer.id).delete(key);
      }
    }
    this.configure(peer);
  }

  /** Other policies, or another `nextHopSelf`: what was received is judged again, what was sent is corrected. */
  configure(peer: Peer): void {
    this.#peers.set(peer.id, peer);
    for (const [key, path] of this.#table(peer.id)) this.#table(peer.id).set(key, { ...path, peer });
  }

  /** The session is gone, and what it told with it (RFC 4271 §6), or kept as stale (RFC 4724 §4.2). */
  down(peerId: string, { keepStale = false }: { keepStale?: boolean } = {}): void {
    this.#established.delete(peerId);
    for (const [key, path] of this.#table(peerId)) {
      // RFC 4724 §4.2: "a route (from the peer) previously marked as stale MUST be deleted"; by a restart, that is. What a
      // refresh has not come to is as good as ever.
      const isOfRefresh = this.#refreshing.has(`${peerId} ${familyOfPrefix(path.prefix)}`);
      if (!keepStale || (path.stale && !isOfRefresh)) this.#table(peerId).delete(key);
      else this.#table(peerId).set(key, { ...path, stale: true });
    }
    for (const family of FAMILIES) this.#refreshing.delete(`${peerId} ${family}`);
  }

  /** RFC 4271 §9: replaces what the peer said before about the prefix. RFC 4724 §4.2: the path is not stale any more. */
  announce(peerId: string, prefix: string, attributes: PathAttributes, pathId = 0): void {
    const peer = this.#session(peerId);
    if (!peer.families.includes(familyOfPrefix(prefix))) return;
    // RFC 7606 §7.2: a malformed AS_PATH makes the path a withdrawal. RFC 4271 §6.3: an external peer's own AS comes
    // first. RFC 5065 §5: nobody sends confederation segments to a speaker outside the confederation, and we are in none.
    const hasConfederation = attributes.asPath.some(({ kind }) => kind === 'confedSequence' || kind === 'confedSet');
    // RFC 8950 §4: an IPv6 next hop for an IPv4 prefix only where both sides said so.
    const isForeignNextHop = isExtendedNextHop(prefix, attributes.nextHop) && !peer.extendedNextHop;
    if (
      isForeignNextHop ||
      hasConfederation ||
      // RFC 9774 §3.
      (peer.refusesAsSets && attributes.asPath.some(({ kind }) => kind === 'set')) ||
      (peer.type === 'external' && firstAsn(attributes.asPath) !== peer.asn)
    ) {
      this.withdraw(peerId, prefix, pathId);
      return;
    }
    const path: Path = { prefix, peer, pathId, attributes: accepted(attributes, peer), stale: false };
    this.#table(peerId).set(pathKey(prefix, pathId), path);
  }

  withdraw(peerId: string, prefix: string, pathId = 0): void {
    this.#session(peerId);
    this.#table(peerId).delete(pathKey(prefix, pathId));
  }

  /** RFC 7313 §4: the peer says everything again, as after a restart. */
  beginRefresh(peerId: string, family: Family): void {
    const paths = [...this.#table(peerId).values()].filter(({ prefix }) => familyOfPrefix(prefix) === family);
    if (!paths.some(({ stale }) => stale)) this.#refreshing.add(`${peerId} ${family}`);
    for (const [key, path] of this.#table(peerId)) {
      if (familyOfPrefix(path.prefix) === family) this.#table(peerId).set(key, { ...path, stale: true });
    }
  }

  /** RFC 4724 §4.2, RFC 7313 §4: what the peer did not announce again is gone. Also when the restart time is over. */
  endOfRib(peerId: string, family: Family): void {
    this.#refreshing.delete(`${peerId} ${family}`);
    for (const [key, path] of this.#table(peerId)) {
      if (path.stale && familyOfPrefix(path.prefix) === family) this.#table(peerId).delete(key);
    }
  }

  originate(prefix: string): void {
    // NEXT_HOP is filled in for each peer (RFC 4271 §5.1.3).
    const attributes: PathAttributes = { origin: 0, asPath: [], nextHop: prefix.includes(':') ? '::' : '0.0.0.0' };
    this.#originated.set(prefix, { prefix, peer: undefined, pathId: 0, attributes, stale: false });
  }

  unoriginate(prefix: string): void {
    this.#originated.delete(prefix);
  }

  /** Until told, a next hop is unreachable. */
  setNextHop(address: string, state: { resolvable: boolean; metric: number }): void {
    this.#nextHops.set(address, state);
  }

  // ---- what one may ask ------------------------------------------------------------------------------------------

  /** Every path for the prefix and what became of it. */
  candidates(prefix: string): Candidate[] {
    const decision = this.#decide(prefix);
    return this.#paths(prefix).map((path) => ({
      path,
      best: path === decision?.best,
      reason:
        path === decision?.best
          ? decision.reason
          : (decision?.losers.get(path) ?? ineligible(path, this.#surroundings)!),
    }));
  }

  /** The Loc-RIB's path for the prefix, and the step that decided it against the last rival. */
  best(prefix: string): { path: Path; reason: DecisionReason } | undefined {
    const decision = this.#decide(prefix);
    return decision && { path: decision.best, reason: decision.reason };
  }

  /** Every prefix that anybody announced or that is originated here. */
  prefixes(): string[] {
    const all = new Set(this.#originated.keys());
    for (const table of this.#received.values()) for (const path of table.values()) all.add(path.prefix);
    return [...all].sort();
  }

  /** What the peer announced, after the codec and before any policy. */
  adjRibIn(peerId: string): Path[] {
    return [...this.#table(peerId).values()];
  }

  /** What the peer holds of us, once it has read everything we owe it: attributes by prefix. */
  adjRibOut(peerId: string): Map<string, PathAttributes> {
    const out = new Map<string, PathAttributes>();
    if (!this.#established.has(peerId)) return out;
    const peer = this.#session(peerId);
    for (const prefix of this.prefixes()) {
      const path = this.best(prefix)?.path;
      if (path && !refusedExport(path, peer)) out.set(prefix, exported(path, peer, this.#speaker));
    }
    return out;
  }

  /** Next hops by prefix (`forwardingText`), as the kernel has to have them. What we originate is connected already and never installed. */
  fib(): Map<string, string> {
    const out = new Map<string, string>();
    for (const prefix of this.prefixes()) {
      const text = forwarding(this.#eligible(prefix), this.#surroundings, this.forwarding);
      if (text !== undefined) out.set(prefix, text);
    }
    return out;
  }

  // ---- the parts -------------------------------------------------------------------------------------------------

  get #surroundings() {
    const own = this.#speaker.ownAddresses ?? [];
    return {
      ...this.#speaker,
      isOwnAddress: (address: string): boolean => own.includes(address),
      nextHopMetric: (address: string): number | undefined => {
        const state = this.#nextHops.get(address);
        return state?.resolvable ? state.metric : undefined;
      },
    };
  }

  #paths(prefix: string): Path[] {
    const paths: Path[] = [];
    const own = this.#originated.get(prefix);
    if (own) paths.push(own);
    for (const table of this.#received.values()) {
      for (const path of table.values()) if (path.prefix === prefix) paths.push(path);
    }
    return paths;
  }

  #decide(prefix: string): Decision | undefined {
    return decide(this.#eligible(prefix), this.#surroundings);
  }

  #eligible(prefix: string): Path[] {
    const surroundings = this.#surroundings;
    return this.#paths(prefix).filter((path) => ineligible(path, surroundings) === undefined);
  }

  #table(peerId: string): Map<string, Path> {
    let table = this.#received.get(peerId);
    if (!table) this.#received.set(peerId, (table = new Map<string, Path>()));
    return table;
  }

  #session(peerId: string): Peer {
    const peer = this.#peers.get(peerId);
    if (!peer || !this.#established.has(peerId)) throw new Error(`the session with ${peerId} is not established`);
    return peer;
  }
}

const pathKey = (prefix: string, pathId: number): string => `${prefix} ${pathId}`;

/** RFC 7606 §7.5, §7.9, §7.10: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST from an external peer are discarded. */
function accepted(attributes: PathAttributes, peer: Peer): PathAttributes {
  if (peer.type === 'internal') return attributes;
  const { localPref: _localPref, originatorId: _originatorId, clusterList: _clusterList, ...rest } = attributes;
  // RFC 8326 §4.1: the neighbour is about to go down.
  return attributes.communities?.includes(GRACEFUL_SHUTDOWN) ? { ...rest, localPref: 0 } : rest;
}
