/**
 * The RIB: Adj-RIB-In, decision process and Loc-RIB of both families behind one door. Pure: no sockets, no clock.
 *
 * Flow: `receive` turns UPDATE bytes into paths and dirty prefixes; `drain` decides a batch of them and says what
 * changed; readers (export, FIB, monitor) take the batch. Everything between the two is coalesced: ten changes of a
 * prefix in one turn are one change.
 */
import type { BgpError, Family } from 'bgp-parse';
import { AdjRibIn } from './adj-rib-in.js';
import type { ChangeBatch } from './change-batch.js';
import { AttributePool, BlockContext } from './columns/attribute-pool.js';
import type { Identity } from './columns/attribute-pool.js';
import { grow, grownCapacity } from './columns/grow.js';
import { PathFlag } from './columns/path-table.js';
import { PrefixFlag } from './columns/prefix-table.js';
import { Decision } from './decision.js';
import { FamilyRib } from './family-rib.js';
import type { ImportFilter } from './import-filter.js';
import { ImportChange, ImportWalk } from './import-walk.js';
import { PLAIN_INGRESS } from './ingress.js';
import { Multipath } from './multipath.js';
import { NextHops } from './next-hops.js';
import type { NextHopTracker } from './next-hops.js';
import type { PrefixLimit } from './prefix-limit.js';
import { ReceivedPaths } from './received-paths.js';
import { RibPeers } from './rib-peers.js';
import type { RibPeer, RibSession } from './rib-peers.js';

/** An empty table that had more prefixes than this gives its memory back. */
const LARGE_TABLE = 65_536;

const RECLAIM_PAUSE_TURNS = 6;

export interface RibOptions {
  readonly identity: Identity;
  /** Resolves next hops through the kernel; without one every next hop is taken as resolvable. */
  readonly nextHopTracker?: NextHopTracker | undefined;
  /** Seeds the hash tables. */
  readonly seed: number;
  readonly onEndOfRib?: (peer: RibPeer, family: Family) => void;
}

/** How MEDs are compared. */
export interface MedRules {
  readonly alwaysCompareMed: boolean;
  readonly deterministicMed: boolean;
}

/** RFC 4271 §9.1.2.2 c. */
export const USUAL_MED_RULES: MedRules = { alwaysCompareMed: false, deterministicMed: true };

export class Rib {
  readonly families: readonly [FamilyRib, FamilyRib];
  readonly peers = new RibPeers();
  readonly nextHops: NextHops;
  readonly attributes: AttributePool;
  readonly decision: Decision;
  readonly multipath: Multipath;
  readonly #adjRibIn: AdjRibIn;
  readonly #paths: ReceivedPaths;
  /** Peers whose paths are to be swept at the next turn: one walk serves all that went down together. */
  #gone: RibPeer[] = [];
  readonly #importWalk: ImportWalk;
  #changedNextHops = false;
  #nextHopChanged = new Uint8Array(64);
  /** Queue positions at the last `collect`; what died before them may go once they have been decided. */
  readonly #collectAt = [0, 0];
  /** Attribute sets and prefixes made until then. */
  #madeAtCollect = 0;
  #dyingPeers: RibPeer[] = [];
  #removedPeers: RibPeer[] = [];

  constructor(options: RibOptions) {
    this.families = [new FamilyRib('ipv4-unicast', options.seed), new FamilyRib('ipv6-unicast', options.seed)];
    this.nextHops = new NextHops(options.nextHopTracker);
    this.attributes = new AttributePool(options.identity, this.nextHops, options.seed);
    this.decision = new Decision(this.attributes, this.peers, this.nextHops);
    this.multipath = new Multipath(this.attributes, this.peers, this.nextHops, this.decision);
    this.#paths = new ReceivedPaths(this.attributes);
    this.#importWalk = new ImportWalk(this.families, this.peers, this.#paths);
    this.#adjRibIn = new AdjRibIn(this.families, this.attributes, this.#paths, (peer, rib) => {
      this.endOfRib(peer, rib.family);
      options.onEndOfRib?.(peer, rib.family);
    });
  }

  family(family: Family): FamilyRib {
    return this.families[family === 'ipv4-unicast' ? 0 : 1];
  }

  /** Seconds since the start, for the age of paths. */
  set nowSeconds(seconds: number) {
    this.#paths.nowSeconds = seconds;
  }

  get nowSeconds(): number {
    return this.#paths.nowSeconds;
  }

  /** A peer that has not been seen; undefined = too many peers. */
  addPeer(session: RibSession): RibPeer | undefined {
    return this.peers.add(session);
  }

  /**
   * A session is Established. Paths kept from the previous one (stale) stay only in families in `keepStale`
   * (RFC 4724 §4.2: the forwarding state bit), until End-of-RIB.
   */
  establish(peer: RibPeer, session: RibSession, keepStale: readonly Family[]): void {
    this.#sweepGone();
    // Routes kept from the previous session were reflected and ranked under its identifier and type, judged under its AS.
    const sameSpeaker =
      session.asn === peer.session.asn &&
      session.identifier === peer.session.identifier &&
      session.external === peer.session.external &&
      session.routeReflectorClient === peer.session.routeReflectorClient;
    this.#takeImport(peer, session);
    const base = (session.external ? BlockContext.external : 0) | (session.fourOctetAs ? BlockContext.fourOctetAs : 0);
    const { ingress = PLAIN_INGRESS, interfaceName } = session;
    peer.context = base + this.attributes.scopeBits(ingress);
    peer.linkLocalContext = base + this.attributes.scopeBits({ ...ingress, interfaceName });
    peer.firstAs = session.external && !session.anyFirstAs ? session.asn : 0;
    for (const rib of this.families) {
      const hadPathIds = peer.addPath[rib.index]!;
      peer.negotiated[rib.index] = session.families.includes(rib.family);
      peer.addPath[rib.index] = session.addPathReceive.includes(rib.family);
      if (peer.addPath[rib.index]) rib.paths.usePathIds();
      peer.endOfRib[rib.index] = false;
      peer.refreshing[rib.index] = false;
      // Several paths of a prefix can be neither replaced nor withdrawn by who no longer names them.
      const sameNames = peer.addPath[rib.index] || !hadPathIds;
      const keeps = sameSpeaker && sameNames && peer.negotiated[rib.index] && keepStale.includes(rib.family);
      if (!keeps) this.#paths.sweep(peer, rib, true);
    }
  }

  /** One UPDATE body of the peer; an error ends its session. */
  receive(peer: RibPeer, bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    return this.#adjRibIn.receive(peer, bytes, start, end);
  }

  /** The session is gone and so are its paths, at the next turn. */
  down(peer: RibPeer): void {
    this.#gone.push(peer);
    peer.negotiated[0] = peer.negotiated[1] = false;
    peer.refreshing[0] = peer.refreshing[1] = false;
  }

  /**
   * The session is gone, its paths stay in use as stale (RFC 4724 §4.2) in these families; the others go. `longLived`:
   * families whose long-lived stale time runs.
   */
  downKeepingStale(peer: RibPeer, families: readonly Family[], longLived: readonly Family[] = []): void {
    for (const rib of this.families) {
      peer.negotiated[rib.index] = false;
      if (families.includes(rib.family)) {
        // "Any route previously marked as stale MUST be deleted": a second restart in a row. But not before the long-lived
        // stale time is over (RFC 9494 §4.2), and what a refresh had not come to was never in doubt.
        const isInDoubt = peer.stale[rib.index]! > 0 && !peer.refreshing[rib.index];
        if (isInDoubt && !longLived.includes(rib.family)) this.#paths.sweep(peer, rib, false);
        peer.refreshing[rib.index] = false;
        this.#paths.markStale(peer, rib);
      } else {
        this.#paths.sweep(peer, rib, true);
      }
    }
  }

  /** The peer begins to say everything again (RFC 7313 §4): what it does not repeat goes at `endOfRib`. */
  beginRefresh(peer: RibPeer, family: Family): void {
    const rib = this.family(family);
    // RFC 7313 §4: not before End-of-RIB. Should it, its stale paths stay those of a restart.
    if (peer.stale[rib.index] === 0) peer.refreshing[rib.index] = true;
    this.#paths.markStale(peer, rib);
  }

  /** The peer has said all it has: what is still stale goes. */
  endOfRib(peer: RibPeer, family: Family): void {
    const rib = this.family(family);
    peer.endOfRib[rib.index] = true;
    peer.refreshing[rib.index] = false;
    if (peer.stale[rib.index]! > 0) this.#paths.sweep(peer, rib, false);
  }

  /** Stale paths of the peer go (the restart time is over), but for those of a refresh. Returns how many. */
  sweepStale(peer: RibPeer, family: Family): number {
    const rib = this.family(family);
    return peer.refreshing[rib.index] ? 0 : this.#paths.sweep(peer, rib, false);
  }

  /** RFC 9494 §4.2: stale paths get LLGR_STALE; those with NO_LLGR go. Returns how many are kept. */
  makeLongLived(peer: RibPeer, family: Family): number {
    return this.#paths.makeLongLived(peer, this.family(family));
  }

  /** The peer has left the configuration; its id is used again once nothing names it. */
  removePeer(peer: RibPeer): void {
    if (!this.#gone.includes(peer)) this.down(peer);
    this.#dyingPeers.push(peer);
  }

  /** Import policy of the peer has changed: its paths are judged again, see `judgeAgain`. */
  setImport(peer: RibPeer, accept: boolean, filter?: ImportFilter, group?: string): void {
    this.#takeImport(peer, { ...peer.session, importAccept: accept, importFilter: filter, group });
  }

  #takeImport(peer: RibPeer, session: RibSession): void {
    const { importAccept, importFilter } = peer.session;
    this.peers.update(peer, session);
    const change =
      (session.importFilter === importFilter ? 0 : ImportChange.filter) |
      (session.importAccept === importAccept ? 0 : ImportChange.accept);
    if (change !== 0) this.#importWalk.add(peer, change);
  }

  /** Paths are still to be judged by import policies that have changed. */
  get isJudging(): boolean {
    return this.#importWalk.isActive;
  }

  /** Judges paths of so many prefixes again, and makes dirty what comes out differently; true when there are more. */
  judgeAgain(count: number): boolean {
    this.#importWalk.run(count);
    return this.isJudging;
  }

  /** The limit of prefixes from a peer has changed; undefined = none. */
  setPrefixLimit(peer: RibPeer, limit: PrefixLimit | undefined): void {
    peer.limit = limit;
    peer.watchAt = limit?.watchAt ?? Infinity;
  }

  /** How MEDs are compared has changed: every prefix with a choice is decided again. */
  setMedRules({ alwaysCompareMed, deterministicMed }: MedRules): void {
    const { decision } = this;
    if (decision.alwaysCompareMed === alwaysCompareMed && decision.deterministicMed === deterministicMed) return;
    decision.alwaysCompareMed = alwaysCompareMed;
    decision.deterministicMed = deterministicMed;
    for (const rib of this.families) {
      const { prefixes, paths } = rib;
      for (let id = 1; id < prefixes.end; id++) {
        const first = prefixes.firstPath[id]!;
        if (first !== 0 && paths.next[first] !== 0) rib.markDirty(id);
      }
    }
  }

  /** Originates a prefix with canonical attributes; saying it again replaces them. */
  originate(family: Family, address: Uint8Array, length: number, canonicalAttributes: Uint8Array): void {
    const rib = this.family(family);
    const id = rib.findOrAdd(address, length);
    const attribute = this.attributes.intern(canonicalAttributes, 0, canonicalAttributes.length, BlockContext.local);
    this.#paths.setPath(this.peers.get(0)!, rib, id, attribute);
  }

  /** False when it was not originated. */
  unoriginate(family: Family, address: Uint8Array, length: number): boolean {
    const rib = this.family(family);
    const id = rib.find(address, length);
    return id !== 0 && this.#paths.removePath(this.peers.get(0)!, rib, id, -1);
  }

  /** The kernel side's word on a next hop. */
  nextHopChanged(id: number, resolvable: boolean, metric: number, detail: string): void {
    if (!this.nextHops.update(id, resolvable, metric, detail)) return;
    if (id >= this.#nextHopChanged.length) {
      this.#nextHopChanged = grow(this.#nextHopChanged, grownCapacity(this.#nextHopChanged.length, id + 1));
    }
    this.#nextHopChanged[id] = 1;
    this.#changedNextHops = true;
  }

  /** Prefixes wait to be decided. */
  get hasDirty(): boolean {
    return this.families[0].dirty.size > 0 || this.families[1].dirty.size > 0;
  }

  /** True when `drain` has something to do. */
  get hasWork(): boolean {
    return this.hasDirty || this.#gone.length > 0 || this.isJudging || this.#changedNextHops;
  }

  /** Makes dirty what peers lost and next hops changed since the last turn; call before `drain`. */
  prepare(): void {
    if (this.nextHops.hasLost) this.nextHops.noteFound(this.attributes.nextHopsInUse());
    this.#sweepGone();
    if (this.#changedNextHops) this.#markNextHopsDirty();
  }

  /** Decides dirty prefixes of one family until the batch is full or nothing is dirty. */
  drain(rib: FamilyRib, batch: ChangeBatch): void {
    const { prefixes, paths, dirty } = rib;
    const decision = this.decision;
    batch.clear();
    rib.version++;
    while (dirty.size > 0 && !batch.full) {
      const id = dirty.pop();
      batch.touched[batch.touchedCount++] = id;
      prefixes.flags[id] = prefixes.flags[id]! & ~PrefixFlag.dirty;
      const first = prefixes.firstPath[id]!;
      const best = decision.select(paths, first);
      prefixes.reason[id] = decision.reason;
      if (best !== 0 && best !== first) moveToFront(rib, id, first, best);
      const newAttribute = best === 0 ? 0 : paths.attribute[best]!;
      const newPeer = best === 0 ? 0 : paths.peer[best]!;
      const oldAttribute = prefixes.bestAttribute[id]!;
      const oldPeer = prefixes.bestPeer[id]!;
      if (newAttribute === oldAttribute && newPeer === oldPeer) continue;
      prefixes.bestAttribute[id] = newAttribute;
      prefixes.bestPeer[id] = newPeer;
      if (oldAttribute !== 0) {
        rib.bestBySource[oldPeer] = rib.bestBySource[oldPeer]! - 1;
        rib.bestCount--;
      }
      if (newAttribute !== 0) {
        if (newPeer >= rib.bestBySource.length) {
          rib.bestBySource = grow(rib.bestBySource, grownCapacity(rib.bestBySource.length, newPeer + 1));
        }
        rib.bestBySource[newPeer] = rib.bestBySource[newPeer]! + 1;
        rib.bestCount++;
      }
      batch.add(id, oldAttribute, oldPeer, newAttribute, newPeer);
    }
  }

  /** Attribute sets or peers wait for a further `collect`. */
  get hasDying(): boolean {
    return this.attributes.hasDying || this.#dyingPeers.length + this.#removedPeers.length > 0;
  }

  /**
   * Frees what nothing refers to any more, as far as decision has come; call between turns. `held` claims prefix ids
   * that a reader still needs (a lagging peer has not been told of their end). With more input at hand (`isBusy`) and
   * nothing new in the tables there is no hurry: who withdraws everything is listened to first.
   */
  collect(held: (rib: FamilyRib, id: number) => boolean, isBusy = false): void {
    const [v4, v6] = this.families;
    const made = this.attributes.made + v4.prefixes.made + v6.prefixes.made;
    if (isBusy && made === this.#madeAtCollect) return;
    this.#madeAtCollect = made;
    const decided =
      this.#gone.length === 0 && v4.dirty.popped >= this.#collectAt[0]! && v6.dirty.popped >= this.#collectAt[1]!;
    if (decided && this.hasDying) {
      this.attributes.collect();
      for (const peer of this.#removedPeers) this.peers.remove(peer);
      this.#removedPeers = this.#dyingPeers;
      this.#dyingPeers = [];
      this.#collectAt[0] = v4.dirty.pushed;
      this.#collectAt[1] = v6.dirty.pushed;
    }
    for (const rib of this.families) {
      const { prefixes, paths } = rib;
      if (rib.dirty.size > 0) continue;
      const empty = prefixes.size - rib.occupied;
      const gone = rib.occupied === 0 && empty > LARGE_TABLE;
      if (rib.reclaimPause > 0) rib.reclaimPause--;
      else if (gone || (prefixes.isCrowded && empty > rib.occupied)) {
        const freed = prefixes.reclaim((id) => held(rib, id));
        // The kernel side still names most of them: each look costs a walk, so the next one waits.
        if (freed < empty / 2) rib.reclaimPause = RECLAIM_PAUSE_TURNS;
      }
      if (gone) paths.startOver();
    }
  }

  isStale(rib: FamilyRib, path: number): boolean {
    return (rib.paths.flags[path]! & PathFlag.stale) !== 0;
  }

  #sweepGone(): void {
    if (this.#gone.length === 0) return;
    const gone = this.#gone;
    this.#gone = [];
    const condemned = new Uint8Array(this.peers.count);
    for (const peer of gone) condemned[peer.id] = 1;
    // Before the walk, which takes milliseconds: next hops that only they can have given.
    const { nextHops, attributes } = this;
    if (nextHops.isTracked) nextHops.noteLost(attributes.nextHopsInUse(condemned));
    for (const rib of this.families) {
      if (!gone.some((peer) => peer.paths[rib.index]! > 0)) continue;
      const { prefixes, paths } = rib;
      for (let id = 1; id < prefixes.end; id++) {
        let before = 0;
        let path = prefixes.firstPath[id]!;
        while (path !== 0) {
          const next = paths.next[path]!;
          const peerId = paths.peer[path]!;
          if (condemned[peerId] === 1) this.#paths.unlink(this.peers.get(peerId)!, rib, id, before, path);
          else before = path;
          path = next;
        }
      }
    }
    if (nextHops.isTracked) nextHops.noteLost(attributes.nextHopsInUse());
  }

  #markNextHopsDirty(): void {
    this.#changedNextHops = false;
    const changed = this.#nextHopChanged;
    const nextHop = this.attributes.nextHop;
    for (const rib of this.families) {
      const { prefixes, paths } = rib;
      for (let id = 1; id < prefixes.end; id++) {
        for (let path = prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
          if (changed[nextHop[paths.attribute[path]!]!] !== 1) continue;
          rib.markDirty(id);
          break;
        }
      }
    }
    changed.fill(0);
  }
}

/** The best path stands first, so that readers need no column of their own to find it. */
function moveToFront(rib: FamilyRib, id: number, first: number, best: number): void {
  const next = rib.paths.next;
  let before = first;
  while (next[before] !== best) before = next[before]!;
  next[before] = next[best]!;
  next[best] = first;
  rib.prefixes.firstPath[id] = best;
}
