// HOT: guarded by bench S1, S3.
/**
 * The receiving side (RFC 4271 §9): UPDATE bytes of one peer become paths, in place, and prefixes become dirty.
 *
 * Whatever cannot be parsed at all comes back as an error that ends this one session; a malformed attribute set means
 * that the message's prefixes are withdrawn (RFC 7606). Nothing here looks at other peers.
 *
 * A peer with an import filter goes another way inside `#reach`: the filter judges each new path, and the path keeps what
 * was received beside what policy made of it. Peers without one pay nothing for that.
 */
import {
  AttributeCode,
  AttributeFlag as WireFlag,
  BgpError,
  Disposition,
  MpLayout,
  NotificationCode,
  Safi,
  UpdateLayout,
  UpdateSubcode,
  attributeName,
  locateMp,
  locateUpdate,
  scanAttributes,
  scanError,
  stripMp,
} from 'bgp-parse';
import { AttributeFlag, BlockContext, scanContextOf } from './columns/attribute-pool.js';
import type { AttributePool } from './columns/attribute-pool.js';
import { PathFlag } from './columns/path-table.js';
import type { FamilyRib } from './family-rib.js';
import type { ImportFilter } from './import-filter.js';
import { takeWithinLimit } from './prefix-limit.js';
import type { RibPeer } from './rib-peers.js';

/** Told when the peer has said all it has of a family (RFC 4724 §2). */
export type EndOfRibListener = (peer: RibPeer, rib: FamilyRib) => void;

export class AdjRibIn {
  readonly #ribs: readonly [FamilyRib, FamilyRib];
  readonly #attributes: AttributePool;
  readonly #onEndOfRib: EndOfRibListener;
  readonly #layout = new UpdateLayout();
  readonly #mp = new MpLayout();
  readonly #scratch = new Uint8Array((1 << 16) + 64);
  /** Seconds since the start, set by the owner once per turn. */
  nowSeconds = 0;

  constructor(ribs: readonly [FamilyRib, FamilyRib], attributes: AttributePool, onEndOfRib: EndOfRibListener) {
    this.#ribs = ribs;
    this.#attributes = attributes;
    this.#onEndOfRib = onEndOfRib;
  }

  /** Takes one UPDATE body. An error means: end the session with it. */
  receive(peer: RibPeer, bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    const layout = this.#layout;
    const broken = locateUpdate(bytes, start, end, layout);
    if (broken) {
      this.#countMalformed(peer, broken.message);
      return broken;
    }
    const { withdrawnStart, withdrawnEnd, attributesStart, attributesEnd, nlriStart, nlriEnd } = layout;
    const rib4 = this.#ribs[0];

    if (withdrawnEnd > withdrawnStart && peer.negotiated[0]) {
      const error = this.#withdraw(peer, rib4, bytes, withdrawnStart, withdrawnEnd);
      if (error) return error;
    }
    if (attributesEnd === attributesStart) {
      if (nlriEnd > nlriStart) {
        // RFC 7606 §3 d: prefixes without the mandatory attributes: withdrawn.
        this.#countMalformed(peer, 'NLRI without path attributes');
        return peer.negotiated[0] ? this.#withdraw(peer, rib4, bytes, nlriStart, nlriEnd) : undefined;
      }
      if (withdrawnEnd === withdrawnStart && peer.negotiated[0]) this.#onEndOfRib(peer, rib4);
      return undefined;
    }
    if (nlriEnd > nlriStart && peer.negotiated[0]) {
      const attribute = this.#attributes.lookup(bytes, attributesStart, attributesEnd, peer.context);
      if (attribute !== 0) return this.#reach(peer, rib4, attribute, bytes, nlriStart, nlriEnd);
    }
    return this.#receiveWithMp(peer, bytes, attributesStart, attributesEnd, nlriStart, nlriEnd);
  }

  /** Messages with attributes not seen before, or with MP_REACH_NLRI / MP_UNREACH_NLRI. */
  #receiveWithMp(
    peer: RibPeer,
    bytes: Uint8Array,
    start: number,
    end: number,
    nlriStart: number,
    nlriEnd: number,
  ): BgpError | undefined {
    const mp = this.#mp;
    const fault = locateMp(bytes, start, end, mp);
    if (fault) {
      this.#countMalformed(peer, fault.message);
      return fault;
    }

    if (mp.unreachStart >= 0) {
      const rib = this.#ribOf(peer, mp.unreachAfi, mp.unreachSafi);
      if (rib) {
        if (mp.unreachNlriEnd > mp.unreachNlriStart) {
          const error = this.#withdraw(peer, rib, bytes, mp.unreachNlriStart, mp.unreachNlriEnd);
          if (error) return mpNlriError(error, bytes, mp.unreachStart, mp.unreachEnd);
        } else if (isOnlyAttribute(bytes, start, end, mp.unreachStart, mp.unreachEnd) && nlriEnd === nlriStart) {
          this.#onEndOfRib(peer, rib);
        }
      }
    }
    const hasNlri = nlriEnd > nlriStart;
    if (!hasNlri && mp.reachNlriEnd === mp.reachNlriStart) {
      return this.#checkAttributesOnly(peer, bytes, start, end);
    }
    // Both kinds of prefixes in one message (RFC 7606 §5.1): a fault of either takes both.
    const ribMp = mp.reachStart < 0 ? undefined : this.#ribOf(peer, mp.reachAfi, mp.reachSafi);
    const rib4 = hasNlri && peer.negotiated[0] ? this.#ribs[0] : undefined;
    const setMp = ribMp ? this.#internMp(peer, ribMp, bytes, start, end) : 0;
    const set4 = rib4 && !(ribMp && setMp === 0) ? this.#internWithoutMp(peer, bytes, start, end) : 0;
    const withdraws = (ribMp !== undefined && setMp === 0) || (rib4 !== undefined && set4 === 0);
    if (ribMp) {
      const { reachNlriStart, reachNlriEnd } = mp;
      const error = withdraws
        ? this.#withdraw(peer, ribMp, bytes, reachNlriStart, reachNlriEnd)
        : this.#reach(peer, ribMp, setMp, bytes, reachNlriStart, reachNlriEnd);
      if (error) return mpNlriError(error, bytes, mp.reachStart, mp.reachEnd);
    }
    if (!rib4) return undefined;
    return withdraws
      ? this.#withdraw(peer, rib4, bytes, nlriStart, nlriEnd)
      : this.#reach(peer, rib4, set4, bytes, nlriStart, nlriEnd);
  }

  /** The attribute set of the prefixes in MP_REACH_NLRI; 0 = they are to be withdrawn. */
  #internMp(peer: RibPeer, rib: FamilyRib, bytes: Uint8Array, start: number, end: number): number {
    const mp = this.#mp;
    // RFC 8950 §4: IPv4 prefixes with an IPv6 next hop only where both sides have said so.
    if (rib.index === 0 && mp.reachNextHopLength !== 4 && !peer.session.extendedNextHop) {
      this.#countMalformed(peer, 'IPv4 prefixes with an IPv6 next hop, not negotiated (RFC 8950)');
      return 0;
    }
    const { reachNextHopStart, reachNextHopLength } = mp;
    const linkLocal =
      reachNextHopLength === 32 ||
      (reachNextHopLength === 16 &&
        bytes[reachNextHopStart] === 0xfe &&
        (bytes[reachNextHopStart + 1]! & 0xc0) === 0x80);
    const context = (linkLocal ? peer.linkLocalContext : peer.context) | BlockContext.mpNextHop;
    const length = stripMp(bytes, start, end, mp, this.#scratch);
    return this.#intern(peer, this.#scratch, 0, length, context);
  }

  /** The attribute set of the prefixes in the NLRI field; 0 = they are to be withdrawn. */
  #internWithoutMp(peer: RibPeer, bytes: Uint8Array, start: number, end: number): number {
    if (this.#mp.reachStart < 0 && this.#mp.unreachStart < 0) {
      return this.#intern(peer, bytes, start, end, peer.context);
    }
    const length = copyWithoutMp(bytes, start, end, this.#scratch);
    return this.#intern(peer, this.#scratch, 0, length, peer.context);
  }

  /** The attribute set; 0 = treat as withdraw: no fault of attributes goes further than that (RFC 7606 §3). */
  #intern(peer: RibPeer, bytes: Uint8Array, start: number, end: number, context: number): number {
    const attribute = this.#attributes.intern(bytes, start, end, context);
    if (attribute === 0) {
      const { excess, scan } = this.#attributes;
      const what = excess ?? `malformed ${attributeName(scan.errorAttribute)} (RFC 7606`;
      this.#countMalformed(
        peer,
        excess === undefined ? `${what}: treated as withdraw)` : `${what}: treated as withdraw`,
      );
    }
    return attribute;
  }

  /**
   * RFC 7606 §5.2: path attributes besides MP_UNREACH_NLRI and no reachable prefix. A fault may hide prefixes, so it ends
   * the session; nothing is missing, since no route needs it.
   */
  #checkAttributesOnly(peer: RibPeer, bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    const scan = this.#attributes.scan;
    const context = { ...scanContextOf(peer.context), withoutRoutes: true };
    const disposition = scanAttributes(bytes, start, end, context, scan);
    if (disposition === Disposition.attributeDiscard)
      this.#countMalformed(peer, 'an attribute was discarded (RFC 7606)');
    if (disposition < Disposition.treatAsWithdraw) {
      // RFC 5065 §5: nobody may send us these.
      if (!scan.confedReceived) return undefined;
      this.#countMalformed(peer, 'confederation segments in AS_PATH');
      return new BgpError('AS_PATH: confederation segments', NotificationCode.update, UpdateSubcode.malformedAsPath);
    }
    this.#countMalformed(peer, `malformed ${attributeName(scan.errorAttribute)}`);
    return scanError(scan, bytes, Disposition.sessionReset);
  }

  #ribOf(peer: RibPeer, afi: number, safi: number): FamilyRib | undefined {
    if (safi !== Safi.unicast || (afi !== 1 && afi !== 2)) return undefined;
    const index = afi === 1 ? 0 : 1;
    return peer.negotiated[index] ? this.#ribs[index] : undefined;
  }

  /** Announces the prefixes of bytes[at, end) with this attribute set. */
  #reach(
    peer: RibPeer,
    rib: FamilyRib,
    attribute: number,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): BgpError | undefined {
    const attributes = this.#attributes;
    // RFC 4271 §6.3: the leftmost AS must be the external peer's; else treated as withdraw (RFC 7606 §7.2).
    if (peer.firstAs !== 0 && attributes.neighborAs[attribute] !== peer.firstAs) {
      this.#countMalformed(peer, `the first AS of the path is not ${peer.firstAs}`);
      return this.#withdraw(peer, rib, bytes, at, end);
    }
    if ((attributes.flags[attribute]! & AttributeFlag.discarded) !== 0) {
      this.#countMalformed(peer, 'an attribute was discarded (RFC 7606)');
    }
    // Every prefix takes an octet or more.
    if (peer.paths[rib.index]! + (end - at) > peer.watchAt) {
      return this.#takeLimited(peer, rib, attribute, bytes, at, end);
    }
    return this.#take(peer, rib, attribute, bytes, at, end);
  }

  /** Apart, because its closure would cost every message 40 octets. */
  #takeLimited(
    peer: RibPeer,
    rib: FamilyRib,
    attribute: number,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): BgpError | undefined {
    return takeWithinLimit(peer.limit!, peer, rib, bytes, at, end, (from, to) =>
      this.#take(peer, rib, attribute, bytes, from, to),
    );
  }

  #take(
    peer: RibPeer,
    rib: FamilyRib,
    attribute: number,
    bytes: Uint8Array,
    at: number,
    end: number,
  ): BgpError | undefined {
    const attributes = this.#attributes;
    const prefixes = rib.prefixes;
    const paths = rib.paths;
    const peerId = peer.id;
    attributes.noteGiver(attribute, peerId);
    const withPathIds = peer.addPath[rib.index]!;
    const filter = peer.session.importFilter;
    const isV4 = rib.index === 0;
    const maxLength = prefixes.maxLength;
    let added = 0;
    let pathId = 0;
    let ignored = false;
    while (at < end) {
      if (withPathIds) {
        if (end - at < 5) {
          attributes.references[attribute] = attributes.references[attribute]! + added;
          return invalidNlri(peer, rib);
        }
        pathId = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
        at += 4;
      }
      const length = bytes[at++]!;
      const octets = (length + 7) >> 3;
      if (length > maxLength || at + octets > end) {
        attributes.references[attribute] = attributes.references[attribute]! + added;
        return invalidNlri(peer, rib);
      }
      // RFC 4271 §6.3: a prefix that means no destination of unicast is ignored.
      if (length >= 4 && bytes[at]! >= 0xe0 && isNoDestination(bytes, at, length, isV4)) {
        if (!ignored) this.#countMalformed(peer, `${rib.family}: a multicast or link-local prefix was ignored`);
        ignored = true;
        at += octets;
        continue;
      }
      const id = isV4
        ? prefixes.findOrAdd4(readMasked(bytes, at, length), length)
        : prefixes.findOrAdd6(
            readMasked(bytes, at, length > 32 ? 32 : length),
            length > 32 ? readMasked(bytes, at + 4, length > 64 ? 32 : length - 32) : 0,
            length > 64 ? readMasked(bytes, at + 8, length > 96 ? 32 : length - 64) : 0,
            length > 96 ? readMasked(bytes, at + 12, length - 96) : 0,
            length,
          );
      at += octets;
      const first = prefixes.firstPath[id]!;
      let path = first;
      while (path !== 0 && (paths.peer[path] !== peerId || (withPathIds && paths.pathId![path] !== pathId))) {
        path = paths.next[path]!;
      }
      if (filter !== undefined) {
        this.#reachFiltered(peer, rib, filter, id, path, attribute, pathId);
        continue;
      }
      if (path !== 0) {
        paths.flags[path] = 0;
        const old = paths.attribute[path]!;
        if (old === attribute) continue;
        attributes.release(old);
        added++;
        paths.attribute[path] = attribute;
      } else {
        path = paths.take();
        added++;
        paths.peer[path] = peerId;
        paths.attribute[path] = attribute;
        paths.flags[path] = 0;
        if (paths.pathId) paths.pathId[path] = pathId;
        // Behind the head: the best path stands first until decision has spoken again.
        if (first === 0) {
          paths.next[path] = 0;
          prefixes.firstPath[id] = path;
          rib.occupied++;
        } else {
          paths.next[path] = paths.next[first]!;
          paths.next[first] = path;
        }
        peer.paths[rib.index] = peer.paths[rib.index]! + 1;
      }
      paths.changedAt[path] = this.nowSeconds;
      rib.markDirty(id);
    }
    attributes.references[attribute] = attributes.references[attribute]! + added;
    return undefined;
  }

  /** The same for one prefix of a peer with an import filter; `path` is the one it had, 0 = none. */
  #reachFiltered(
    peer: RibPeer,
    rib: FamilyRib,
    filter: ImportFilter,
    id: number,
    path: number,
    attribute: number,
    pathId: number,
  ): void {
    const { paths, prefixes } = rib;
    if (path !== 0) {
      paths.flags[path] = paths.flags[path]! & ~PathFlag.stale;
      if (paths.receivedOf(path) === attribute) return;
    } else {
      path = paths.take();
      paths.peer[path] = peer.id;
      paths.flags[path] = 0;
      if (paths.pathId) paths.pathId[path] = pathId;
      const first = prefixes.firstPath[id]!;
      if (first === 0) {
        paths.next[path] = 0;
        prefixes.firstPath[id] = path;
        rib.occupied++;
      } else {
        paths.next[path] = paths.next[first]!;
        paths.next[first] = path;
      }
      peer.paths[rib.index] = peer.paths[rib.index]! + 1;
    }
    this.#setJudged(peer, rib, path, attribute, filter.judge(rib, id, attribute));
    paths.changedAt[path] = this.nowSeconds;
    rib.markDirty(id);
  }

  /** Puts a judged attribute set into a path, in place of what is there. `verdict`: see `ImportFilter`. */
  #setJudged(peer: RibPeer, rib: FamilyRib, path: number, received: number, verdict: number): void {
    const attributes = this.#attributes;
    const { paths } = rib;
    const oldReceived = paths.received![path]!;
    const oldAttribute = paths.attribute[path]!;
    attributes.retain(received);
    paths.attribute[path] = verdict === 0 ? received : verdict;
    if (verdict !== 0 && verdict !== received) {
      attributes.noteGiver(verdict, peer.id);
      attributes.retain(verdict);
      paths.received![path] = received;
    } else {
      paths.received![path] = 0;
    }
    const wasRejected = (paths.flags[path]! & PathFlag.rejected) !== 0;
    if (wasRejected !== (verdict === 0)) {
      paths.flags[path] = paths.flags[path]! ^ PathFlag.rejected;
      peer.rejected[rib.index] = peer.rejected[rib.index]! + (wasRejected ? -1 : 1);
    }
    if (oldReceived !== 0) attributes.release(oldReceived);
    if (oldAttribute !== 0) attributes.release(oldAttribute);
  }

  /** Judges again every path of the peers marked in `changed` (by PeerId), and makes dirty what comes out differently. */
  refilter(rib: FamilyRib, changed: Uint8Array, peers: readonly RibPeer[]): void {
    if (!peers.some((peer) => peer.paths[rib.index]! > 0)) return;
    const { prefixes, paths } = rib;
    paths.useReceived();
    const byId: (RibPeer | undefined)[] = [];
    for (const peer of peers) byId[peer.id] = peer;
    for (let id = 1; id < prefixes.end; id++) {
      for (let path = prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
        if (changed[paths.peer[path]!] !== 1) continue;
        const peer = byId[paths.peer[path]!]!;
        const received = paths.receivedOf(path);
        const filter = peer.session.importFilter;
        const verdict = filter ? filter.judge(rib, id, received) : received;
        const before = (paths.flags[path]! & PathFlag.rejected) !== 0 ? 0 : paths.attribute[path]!;
        if (verdict === before) continue;
        this.#setJudged(peer, rib, path, received, verdict);
        rib.markDirty(id);
      }
    }
  }

  /** What a path that leaves has because of policy. */
  #dropMarks(peer: RibPeer, rib: FamilyRib, path: number): void {
    const { paths } = rib;
    const received = paths.received![path]!;
    if (received !== 0) this.#attributes.release(received);
    paths.received![path] = 0;
    if ((paths.flags[path]! & PathFlag.rejected) !== 0) {
      peer.rejected[rib.index] = peer.rejected[rib.index]! - 1;
      paths.flags[path] = paths.flags[path]! & ~PathFlag.rejected;
    }
  }

  #withdraw(peer: RibPeer, rib: FamilyRib, bytes: Uint8Array, at: number, end: number): BgpError | undefined {
    const prefixes = rib.prefixes;
    const paths = rib.paths;
    const attributes = this.#attributes;
    const peerId = peer.id;
    const policed = paths.received !== undefined;
    let removed = 0;
    const withPathIds = peer.addPath[rib.index]!;
    const isV4 = rib.index === 0;
    const maxLength = prefixes.maxLength;
    let pathId = 0;
    while (at < end) {
      if (withPathIds) {
        if (end - at < 5) return invalidNlri(peer, rib);
        pathId = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
        at += 4;
      }
      const length = bytes[at++]!;
      const octets = (length + 7) >> 3;
      if (length > maxLength || at + octets > end) {
        rib.occupied -= removed;
        peer.paths[rib.index] = peer.paths[rib.index]! - removed;
        return invalidNlri(peer, rib);
      }
      const id = isV4
        ? prefixes.find4(readMasked(bytes, at, length), length)
        : prefixes.find6(
            readMasked(bytes, at, length > 32 ? 32 : length),
            length > 32 ? readMasked(bytes, at + 4, length > 64 ? 32 : length - 32) : 0,
            length > 64 ? readMasked(bytes, at + 8, length > 96 ? 32 : length - 64) : 0,
            length > 96 ? readMasked(bytes, at + 12, length - 96) : 0,
            length,
          );
      at += octets;
      if (id === 0) continue;
      // The usual case: the peer's is the only path.
      const first = prefixes.firstPath[id]!;
      if (first !== 0 && !withPathIds && paths.peer[first] === peerId && paths.next[first] === 0) {
        prefixes.firstPath[id] = 0;
        if (policed) this.#dropMarks(peer, rib, first);
        attributes.release(paths.attribute[first]!);
        paths.release(first);
        removed++;
        rib.markDirty(id);
      } else {
        this.removePath(peer, rib, id, withPathIds ? pathId : -1);
      }
    }
    rib.occupied -= removed;
    peer.paths[rib.index] = peer.paths[rib.index]! - removed;
    return undefined;
  }

  /** Takes the peer's path of a prefix out; `pathId` -1 = the one without. False when there is none. */
  removePath(peer: RibPeer, rib: FamilyRib, id: number, pathId: number): boolean {
    const paths = rib.paths;
    let before = 0;
    let path = rib.prefixes.firstPath[id]!;
    while (path !== 0 && (paths.peer[path] !== peer.id || (pathId >= 0 && paths.pathId![path] !== pathId))) {
      before = path;
      path = paths.next[path]!;
    }
    if (path === 0) return false;
    this.unlink(peer, rib, id, before, path);
    return true;
  }

  /** Unlinks `path`, which follows `before` (0 = it is the first) in the chain of prefix `id`. */
  unlink(peer: RibPeer, rib: FamilyRib, id: number, before: number, path: number): void {
    const paths = rib.paths;
    const next = paths.next[path]!;
    if (before === 0) {
      rib.prefixes.firstPath[id] = next;
      if (next === 0) rib.occupied--;
    } else {
      paths.next[before] = next;
    }
    if (paths.received) this.#dropMarks(peer, rib, path);
    this.#attributes.release(paths.attribute[path]!);
    paths.release(path);
    peer.paths[rib.index] = peer.paths[rib.index]! - 1;
    rib.markDirty(id);
  }

  /** Adds or replaces the peer's path of a prefix: for paths that do not come off the wire. */
  setPath(peer: RibPeer, rib: FamilyRib, id: number, attribute: number): void {
    this.removePath(peer, rib, id, -1);
    const paths = rib.paths;
    const path = paths.take();
    paths.peer[path] = peer.id;
    paths.attribute[path] = attribute;
    paths.flags[path] = 0;
    paths.changedAt[path] = this.nowSeconds;
    if (paths.pathId) paths.pathId[path] = 0;
    paths.next[path] = rib.prefixes.firstPath[id]!;
    if (paths.next[path] === 0) rib.occupied++;
    rib.prefixes.firstPath[id] = path;
    this.#attributes.references[attribute] = this.#attributes.references[attribute]! + 1;
    peer.paths[rib.index] = peer.paths[rib.index]! + 1;
    rib.markDirty(id);
  }

  /** Marks every path of the peer stale; they stay in use (RFC 4724 §4.2). */
  markStale(peer: RibPeer, rib: FamilyRib): void {
    const { prefixes, paths } = rib;
    for (let id = 1; id < prefixes.end; id++) {
      for (let path = prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
        if (paths.peer[path] === peer.id) paths.flags[path] = paths.flags[path]! | PathFlag.stale;
      }
    }
    peer.stale[rib.index] = peer.paths[rib.index]!;
  }

  /** Removes the paths of `peer` that `all` or their stale flag condemns. Walks the table. */
  sweep(peer: RibPeer, rib: FamilyRib, all: boolean): number {
    let removed = 0;
    peer.stale[rib.index] = 0;
    if (peer.paths[rib.index] === 0) return 0;
    const { prefixes, paths } = rib;
    for (let id = 1; id < prefixes.end; id++) {
      let before = 0;
      let path = prefixes.firstPath[id]!;
      while (path !== 0) {
        const next = paths.next[path]!;
        if (paths.peer[path] === peer.id && (all || (paths.flags[path]! & PathFlag.stale) !== 0)) {
          this.unlink(peer, rib, id, before, path);
          removed++;
        } else {
          before = path;
        }
        path = next;
      }
    }
    return removed;
  }

  /** RFC 9494 §4.2: stale paths get LLGR_STALE; those with NO_LLGR go. Returns how many are kept. */
  makeLongLived(peer: RibPeer, rib: FamilyRib): number {
    const { prefixes, paths } = rib;
    const attributes = this.#attributes;
    const filter = peer.session.importFilter;
    let kept = 0;
    for (let id = 1; id < prefixes.end; id++) {
      let before = 0;
      let path = prefixes.firstPath[id]!;
      while (path !== 0) {
        const next = paths.next[path]!;
        if (paths.peer[path] === peer.id && (paths.flags[path]! & PathFlag.stale) !== 0) {
          const received = paths.receivedOf(path);
          const marked = attributes.longLived(paths.attribute[path]!) === 0 ? 0 : attributes.longLived(received);
          if (marked === 0) {
            this.unlink(peer, rib, id, before, path);
            path = next;
            continue;
          }
          kept++;
          if (filter) this.#setJudged(peer, rib, path, marked, filter.judge(rib, id, marked));
          else if (marked !== received) {
            attributes.retain(marked);
            attributes.release(received);
            paths.attribute[path] = marked;
          }
          rib.markDirty(id);
        }
        before = path;
        path = next;
      }
    }
    return kept;
  }

  #countMalformed(peer: RibPeer, what: string): void {
    peer.malformedUpdates++;
    peer.lastMalformed = what;
  }
}

/** Up to 32 bits of an address from `at`, zero past `bits`. */
function readMasked(bytes: Uint8Array, at: number, bits: number): number {
  if (bits === 24) return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8);
  if (bits > 24) {
    const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return bits === 32 ? value : value & (-1 << (32 - bits));
  }
  if (bits === 0) return 0;
  let value = bytes[at]! << 24;
  if (bits > 8) value |= bytes[at + 1]! << 16;
  if (bits > 16) value |= bytes[at + 2]! << 8;
  return value & (-1 << (32 - bits));
}

/** Multicast (224.0.0.0/4, ff00::/8) or link-local (fe80::/10), the whole prefix. */
function isNoDestination(bytes: Uint8Array, at: number, length: number, isV4: boolean): boolean {
  const first = bytes[at]!;
  if (isV4) return first < 0xf0;
  return length >= 8 && (first === 0xff || (first === 0xfe && length >= 10 && (bytes[at + 1]! & 0xc0) === 0x80));
}

function isOnlyAttribute(bytes: Uint8Array, start: number, end: number, valueStart: number, valueEnd: number): boolean {
  return valueEnd === end && valueStart - start === ((bytes[start]! & WireFlag.extendedLength) !== 0 ? 4 : 3);
}

/** RFC 7606 §5.3: prefixes that cannot be parsed end the session (RFC 4271 §6.3: Invalid Network Field). */
function invalidNlri(peer: RibPeer, rib: FamilyRib): BgpError {
  peer.malformedUpdates++;
  peer.lastMalformed = `${rib.family} prefixes cannot be parsed`;
  return new BgpError(
    `UPDATE: ${rib.family} prefixes cannot be parsed`,
    NotificationCode.update,
    UpdateSubcode.invalidNetworkField,
  );
}

/** RFC 4760 §7: prefixes in an MP attribute: Optional Attribute Error, with the attribute as data (RFC 4271 §6.3). */
function mpNlriError(error: BgpError, bytes: Uint8Array, valueStart: number, valueEnd: number): BgpError {
  if (error.subcode !== UpdateSubcode.invalidNetworkField) return error;
  // Two octets in front of a short value stands its code; of one with an extended length below 256, a zero.
  const code = bytes[valueStart - 2];
  const short = valueEnd - valueStart < 256 && (code === AttributeCode.mpReach || code === AttributeCode.mpUnreach);
  const data = bytes.slice(valueStart - (short ? 3 : 4), valueEnd);
  return new BgpError(error.message, NotificationCode.update, UpdateSubcode.optionalAttribute, data);
}

/** Attributes of bytes[start, end) but MP_REACH_NLRI and MP_UNREACH_NLRI; an overrun at the end stays one. */
function copyWithoutMp(bytes: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let at = start;
  let to = 0;
  while (at < end) {
    let next = end;
    let code = -1;
    if (end - at >= 3) {
      const extended = (bytes[at]! & WireFlag.extendedLength) !== 0;
      const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
      next = Math.min(end, at + (extended ? 4 : 3) + length);
      code = bytes[at + 1]!;
    }
    if (code !== AttributeCode.mpReach && code !== AttributeCode.mpUnreach) {
      for (let i = at; i < next; i++) target[to++] = bytes[i]!;
    }
    at = next;
  }
  return to;
}
