// HOT: guarded by bench S1, S3.
/**
 * The receiving side (RFC 4271 §9): UPDATE bytes of one peer become paths, in place, and prefixes become dirty.
 *
 * Whatever cannot be parsed at all comes back as an error that ends this one session; a malformed attribute set means
 * that the message's prefixes are withdrawn (RFC 7606). Nothing here looks at other peers.
 *
 * Where a peer has an import filter, it is asked once per message; only where its verdict depends on the prefix, once per
 * prefix. What it lets through as it is goes the way of all paths; what it rejects or changes keeps what was received
 * (`received-paths.ts`). Peers without one pay nothing for that.
 */
import {
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
  AttributeScan,
  scanAttributes,
  scanError,
  stripMp,
} from 'bgp-parse';
import { AttributeFlag, BlockContext, scanContextOf } from './columns/attribute-pool.js';
import type { AttributePool } from './columns/attribute-pool.js';
import { POLICED, PathFlag } from './columns/path-table.js';
import type { FamilyRib } from './family-rib.js';
import { takeWithinLimit } from './prefix-limit.js';
import type { ReceivedPaths } from './received-paths.js';
import type { RibPeer } from './rib-peers.js';
import {
  copyWithoutMp,
  invalidNlri,
  isNoDestination,
  isOnlyAttribute,
  ORDINARY_OCTETS,
  mpNlriError,
  readMasked,
} from './update-parts.js';

/** Told when the peer has said all it has of a family (RFC 4724 §2). */
export type EndOfRibListener = (peer: RibPeer, rib: FamilyRib) => void;

export class AdjRibIn {
  readonly #ribs: readonly [FamilyRib, FamilyRib];
  readonly #attributes: AttributePool;
  readonly #paths: ReceivedPaths;
  readonly #onEndOfRib: EndOfRibListener;
  readonly #layout = new UpdateLayout();
  /** See `#lookCloser`. */
  #octets: Uint16Array = ORDINARY_OCTETS[0];
  #octetClass = 1;
  /** Of messages without prefixes. */
  readonly #attributesOnly = new AttributeScan();
  readonly #mp = new MpLayout();
  readonly #scratch = new Uint8Array((1 << 16) + 64);

  constructor(
    ribs: readonly [FamilyRib, FamilyRib],
    attributes: AttributePool,
    paths: ReceivedPaths,
    onEndOfRib: EndOfRibListener,
  ) {
    this.#ribs = ribs;
    this.#attributes = attributes;
    this.#paths = paths;
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
    const scan = this.#attributesOnly;
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

  /** Judges the prefixes of bytes[at, end) and takes them in. */
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
    const isV4 = rib.index === 0;
    const maxLength = prefixes.maxLength;
    // What import policy makes of the set, and of which prefixes it holds without asking again: none as yet.
    let verdict = attribute;
    let sameOctets = ORDINARY_OCTETS[rib.index];
    let octetClass = peer.session.importFilter === undefined ? 1 : -1;
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
      if (length < 8 || sameOctets[bytes[at]!] !== octetClass) {
        const found = this.#lookCloser(peer, rib, attribute, bytes, at - 1);
        if (found < 0) {
          if (!ignored) this.#countMalformed(peer, `${rib.family}: a multicast or link-local prefix was ignored`);
          ignored = true;
          at += octets;
          continue;
        }
        verdict = found;
        sameOctets = this.#octets;
        octetClass = this.#octetClass;
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
      if (verdict !== attribute || (path !== 0 && (paths.flags[path]! & POLICED) !== 0)) {
        this.#reachJudged(peer, rib, id, path, attribute, pathId, verdict);
        continue;
      }
      if (path !== 0) {
        if (paths.flags[path] !== 0) {
          // Stale, nothing else: heard again.
          paths.flags[path] = 0;
          peer.stale[rib.index] = peer.stale[rib.index]! - 1;
        }
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
      paths.changedAt[path] = this.#paths.nowSeconds;
      rib.markDirty(id);
    }
    attributes.references[attribute] = attributes.references[attribute]! + added;
    return undefined;
  }

  /**
   * What import policy makes of the set for the prefix at `at`, from its length octet on; `#octets` and `#octetClass` say
   * for which others, too (see `ImportFilter`). -1: it means no destination of unicast, and is ignored (RFC 4271 §6.3).
   */
  #lookCloser(peer: RibPeer, rib: FamilyRib, attribute: number, bytes: Uint8Array, at: number): number {
    const length = bytes[at]!;
    if (length >= 4 && bytes[at + 1]! >= 0xe0 && isNoDestination(bytes, at + 1, length, rib.index === 0)) return -1;
    const filter = peer.session.importFilter;
    if (filter === undefined) {
      this.#octets = ORDINARY_OCTETS[rib.index];
      this.#octetClass = 1;
      return attribute;
    }
    const verdict = filter.judgeNlri(rib, bytes, at, attribute);
    this.#octets = filter.octets;
    this.#octetClass = filter.octetClass;
    return verdict;
  }

  /** The same for one prefix where policy leaves a mark, or has left one; `path` is the one it had, 0 = none. */
  #reachJudged(
    peer: RibPeer,
    rib: FamilyRib,
    id: number,
    path: number,
    attribute: number,
    pathId: number,
    verdict: number,
  ): void {
    const { paths, prefixes } = rib;
    if (path !== 0) {
      const wasStale = (paths.flags[path]! & PathFlag.stale) !== 0;
      if (wasStale) peer.stale[rib.index] = peer.stale[rib.index]! - 1;
      const flags = (paths.flags[path] = paths.flags[path]! & ~PathFlag.stale);
      const before = (flags & PathFlag.rejected) !== 0 ? 0 : paths.attribute[path]!;
      if (verdict === before && paths.receivedOf(path) === attribute) return;
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
    this.#paths.setJudged(peer, rib, path, attribute, verdict);
    paths.changedAt[path] = this.#paths.nowSeconds;
    rib.markDirty(id);
  }

  #withdraw(peer: RibPeer, rib: FamilyRib, bytes: Uint8Array, at: number, end: number): BgpError | undefined {
    const prefixes = rib.prefixes;
    const paths = rib.paths;
    const attributes = this.#attributes;
    const peerId = peer.id;
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
        this.#paths.leave(peer, rib, first);
        attributes.release(paths.attribute[first]!);
        paths.release(first);
        removed++;
        rib.markDirty(id);
      } else {
        this.#paths.removePath(peer, rib, id, withPathIds ? pathId : -1);
      }
    }
    rib.occupied -= removed;
    peer.paths[rib.index] = peer.paths[rib.index]! - removed;
    return undefined;
  }

  #countMalformed(peer: RibPeer, what: string): void {
    peer.malformedUpdates++;
    peer.lastMalformed = what;
  }
}
