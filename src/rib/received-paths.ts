// HOT: guarded by bench S1 and S5.
/**
 * What becomes of a peer's paths (Adj-RIB-In) other than by the plain announcement or withdrawal of a message: policy's
 * verdicts on them, replacement of our own, and what goes when a session ends, restarts or refreshes (RFC 4724, RFC 7313,
 * RFC 9494).
 *
 * Every change of a path keeps the counters of peer and table, the references of attribute sets, and makes dirty.
 */
import type { AttributePool } from './columns/attribute-pool.js';
import { POLICED, PathFlag } from './columns/path-table.js';
import type { FamilyRib } from './family-rib.js';
import type { RibPeer } from './rib-peers.js';

export class ReceivedPaths {
  readonly #attributes: AttributePool;
  /** Seconds since the start, set by the owner once per turn. */
  nowSeconds = 0;

  constructor(attributes: AttributePool) {
    this.#attributes = attributes;
  }

  /** Puts a judged attribute set into a path, in place of what is there. `verdict`: see `ImportFilter`. */
  setJudged(peer: RibPeer, rib: FamilyRib, path: number, received: number, verdict: number): void {
    const attributes = this.#attributes;
    const { paths } = rib;
    const oldAttribute = paths.attribute[path]!;
    attributes.retain(received);
    if (verdict !== 0 && verdict !== received) {
      attributes.noteGiver(verdict, peer.id);
      attributes.retain(verdict);
    }
    this.dropMarks(peer, rib, path);
    if (verdict === 0) {
      paths.flags[path] = paths.flags[path]! | PathFlag.rejected;
      peer.rejected[rib.index] = peer.rejected[rib.index]! + 1;
    } else if (verdict !== received) {
      paths.useReceived()[path] = received;
      paths.flags[path] = paths.flags[path]! | PathFlag.edited;
    }
    paths.attribute[path] = verdict === 0 ? received : verdict;
    if (oldAttribute !== 0) attributes.release(oldAttribute);
  }

  /** The path is about to leave: it counts as nothing any more. */
  leave(peer: RibPeer, rib: FamilyRib, path: number): void {
    if ((rib.paths.flags[path]! & PathFlag.stale) !== 0) peer.stale[rib.index] = peer.stale[rib.index]! - 1;
    this.dropMarks(peer, rib, path);
  }

  /** Takes away what a path has because of policy: before it leaves, or is judged again. */
  dropMarks(peer: RibPeer, rib: FamilyRib, path: number): void {
    const { paths } = rib;
    const flags = paths.flags[path]!;
    if ((flags & POLICED) === 0) return;
    if ((flags & PathFlag.edited) !== 0) {
      this.#attributes.release(paths.received![path]!);
      paths.received![path] = 0;
    }
    if ((flags & PathFlag.rejected) !== 0) peer.rejected[rib.index] = peer.rejected[rib.index]! - 1;
    paths.flags[path] = flags & ~POLICED;
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
    this.leave(peer, rib, path);
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
          if (filter !== undefined || (paths.flags[path]! & POLICED) !== 0) {
            this.setJudged(peer, rib, path, marked, filter ? filter.judge(rib, id, marked) : marked);
          } else if (marked !== received) {
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
}
