/**
 * Import policies of peers have changed: what they have said is judged again, and what comes out differently becomes
 * dirty. A walk over the table in slices; whatever arrives meanwhile is judged by the new policies as it comes.
 */
import { PathFlag } from './columns/path-table.js';
import type { FamilyRib } from './family-rib.js';
import type { ReceivedPaths } from './received-paths.js';
import type { RibPeer, RibPeers } from './rib-peers.js';

/** What has changed of a peer. */
export const ImportChange = { filter: 1, accept: 2 } as const;

export class ImportWalk {
  readonly #families: readonly [FamilyRib, FamilyRib];
  readonly #peers: RibPeers;
  readonly #paths: ReceivedPaths;
  /** `ImportChange`s by PeerId. An id that is another peer's by now costs a look that finds nothing. */
  #changed = new Uint8Array(0);
  #familyIndex = 2;
  #next = 1;

  constructor(families: readonly [FamilyRib, FamilyRib], peers: RibPeers, paths: ReceivedPaths) {
    this.#families = families;
    this.#peers = peers;
    this.#paths = paths;
  }

  get isActive(): boolean {
    return this.#familyIndex < 2;
  }

  /** From the beginning, for this peer and those the walk was for. */
  add(peer: RibPeer, change: number): void {
    if (peer.paths[0] === 0 && peer.paths[1] === 0) return;
    if (!this.isActive) this.#changed.fill(0);
    if (peer.id >= this.#changed.length) {
      const larger = new Uint8Array(Math.max(64, (peer.id + 1) * 2));
      larger.set(this.#changed);
      this.#changed = larger;
    }
    this.#changed[peer.id] = this.#changed[peer.id]! | change;
    this.#familyIndex = 0;
    this.#next = 1;
  }

  /** Looks at so many prefixes. */
  run(count: number): void {
    while (this.isActive && count > 0) {
      const rib = this.#families[this.#familyIndex]!;
      const { prefixes } = rib;
      const end = Math.min(prefixes.end, this.#next + count);
      // The table may have become shorter.
      count -= Math.max(0, end - this.#next);
      for (let id = this.#next; id < end; id++) {
        if (prefixes.firstPath[id] !== 0) this.#judge(rib, id);
      }
      this.#next = Math.max(end, this.#next);
      if (this.#next < prefixes.end) return;
      this.#familyIndex++;
      this.#next = 1;
    }
  }

  #judge(rib: FamilyRib, id: number): void {
    const { prefixes, paths } = rib;
    for (let path = prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
      const peerId = paths.peer[path]!;
      const change = peerId < this.#changed.length ? this.#changed[peerId]! : 0;
      if (change === 0) continue;
      if ((change & ImportChange.accept) !== 0) rib.markDirty(id);
      const peer = this.#peers.get(peerId)!;
      const received = paths.receivedOf(path);
      const filter = peer.session.importFilter;
      const verdict = filter ? filter.judge(rib, id, received) : received;
      const before = (paths.flags[path]! & PathFlag.rejected) !== 0 ? 0 : paths.attribute[path]!;
      if (verdict === before) continue;
      this.#paths.setJudged(peer, rib, path, received, verdict);
      rib.markDirty(id);
    }
  }
}
