// HOT: guarded by bench S7 (prefixes with more than one path).
/**
 * Which paths of a prefix forward, beside the best one, and which one stands by.
 *
 *   primaries  the paths that tie with the best one down to the interior cost (decision step 6), so all external or all
 *              internal and of one AS_PATH length, best first, of distinct next hops, as many as `multipath` allows
 *   backup     what decision would choose if the next hops of all primaries were lost
 *
 * Both follow from the set of paths alone, like decision: the order of arrival does not matter. Weights are those of
 * link bandwidth communities when every primary has one, else 1 each.
 */
import type { AttributePool } from './columns/attribute-pool.js';
import type { PathTable } from './columns/path-table.js';
import type { Decision } from './decision.js';
import { scaleWeights } from './link-bandwidth.js';
import type { NextHops } from './next-hops.js';
import { SourceKind } from './rib-peers.js';
import type { RibPeers } from './rib-peers.js';

export interface MultipathSettings {
  /** Most external paths of a prefix that forward together; 1 = the best one alone. */
  readonly ebgp: number;
  /** Most internal ones. */
  readonly ibgp: number;
  /** Whether paths of one AS_PATH length may differ in the AS numbers. */
  readonly asPath: 'length' | 'exact';
}

export const NO_MULTIPATH: MultipathSettings = { ebgp: 1, ibgp: 1, asPath: 'length' };

/** Most primaries that may be configured. */
export const MAX_PRIMARIES = 64;

const AS_PATH = 2;
const EXTENDED_LENGTH = 0x10;

export class Multipath {
  settings = NO_MULTIPATH;
  /** Paths of the last `choose`, best first. */
  readonly primaries = new Int32Array(MAX_PRIMARIES);
  readonly weights = new Uint16Array(MAX_PRIMARIES);
  primaryCount = 0;
  /** 0 = none. */
  backup = 0;
  readonly #attributes: AttributePool;
  readonly #peers: RibPeers;
  readonly #nextHops: NextHops;
  readonly #decision: Decision;
  readonly #rates = new Float64Array(MAX_PRIMARIES);
  #hidden = new Int32Array(MAX_PRIMARIES * 2);

  constructor(attributes: AttributePool, peers: RibPeers, nextHops: NextHops, decision: Decision) {
    this.#attributes = attributes;
    this.#peers = peers;
    this.#nextHops = nextHops;
    this.#decision = decision;
  }

  /** More than one path of a prefix may forward. */
  get enabled(): boolean {
    return this.settings.ebgp > 1 || this.settings.ibgp > 1;
  }

  /** Fills `primaries`, `weights` and, when asked, `backup` for the chain that begins at `first`. */
  choose(paths: PathTable, first: number, withBackup: boolean): void {
    this.backup = 0;
    this.primaryCount = 0;
    const best = first === 0 ? 0 : this.#decision.select(paths, first);
    if (best === 0) return;
    this.primaries[0] = best;
    this.weights[0] = 1;
    this.primaryCount = 1;
    // What we originate is connected: nothing stands beside it.
    if (this.#nextHopOf(paths, best) === 0) return;
    const external = this.#peers.kind[paths.peer[best]!] === SourceKind.external;
    const limit = external ? this.settings.ebgp : this.settings.ibgp;
    if (limit > 1) this.#chooseTied(paths, first, best, limit);
    if (withBackup) this.#chooseBackup(paths, first);
  }

  #chooseTied(paths: PathTable, first: number, best: number, limit: number): void {
    const decision = this.#decision;
    const count = decision.ties(paths, first);
    if (count < 2) return;
    const tied = decision.tied;
    const { primaries } = this;
    const exact = this.settings.asPath === 'exact';
    while (this.primaryCount < limit) {
      let chosen = 0;
      for (let i = 0; i < count; i++) {
        const path = tied[i]!;
        if (chosen !== 0 && decision.compareTied(paths, path, chosen) > 0) continue;
        if (this.#isPrimaryNextHop(this.#nextHopOf(paths, path), paths)) continue;
        if (exact && !this.#sameAsPath(paths.attribute[best]!, paths.attribute[path]!)) continue;
        chosen = path;
      }
      if (chosen === 0) break;
      this.weights[this.primaryCount] = 1;
      primaries[this.primaryCount++] = chosen;
    }
    if (this.primaryCount > 1 && this.#attributes.bandwidth.size > 0) this.#weigh(paths);
  }

  #weigh(paths: PathTable): void {
    for (let i = 0; i < this.primaryCount; i++) {
      const rate = this.#attributes.bandwidth.get(paths.attribute[this.primaries[i]!]!);
      if (rate === undefined) return;
      this.#rates[i] = rate;
    }
    scaleWeights(this.#rates, this.weights, this.primaryCount);
  }

  /** Decision, asked again while the next hops of the primaries count as unreachable. */
  #chooseBackup(paths: PathTable, first: number): void {
    const { resolvable } = this.#nextHops;
    let hidden = 0;
    for (let i = 0; i < this.primaryCount; i++) hidden = this.#hide(this.#nextHopOf(paths, this.primaries[i]!), hidden);
    for (;;) {
      const path = this.#decision.select(paths, first);
      if (path === 0) break;
      const nextHop = this.#nextHopOf(paths, path);
      if (!this.#isPrimaryNextHop(nextHop, paths)) {
        this.backup = path;
        break;
      }
      // Another id of the same gateway.
      hidden = this.#hide(nextHop, hidden);
    }
    for (let i = 0; i < hidden; i++) resolvable[this.#hidden[i]!] = 1;
  }

  /** Of an eligible path, so the next hop is a resolvable one. */
  #hide(nextHop: number, hidden: number): number {
    if (hidden === this.#hidden.length) {
      const larger = new Int32Array(hidden * 2);
      larger.set(this.#hidden);
      this.#hidden = larger;
    }
    this.#nextHops.resolvable[nextHop] = 0;
    this.#hidden[hidden] = nextHop;
    return hidden + 1;
  }

  #isPrimaryNextHop(nextHop: number, paths: PathTable): boolean {
    for (let i = 0; i < this.primaryCount; i++) {
      if (this.#nextHops.sameGateway(this.#nextHopOf(paths, this.primaries[i]!), nextHop)) return true;
    }
    return false;
  }

  #nextHopOf(paths: PathTable, path: number): number {
    return this.#attributes.nextHop[paths.attribute[path]!]!;
  }

  /** AS_PATH octet by octet, in the canonical form of both. */
  #sameAsPath(a: number, b: number): boolean {
    if (a === b) return true;
    const pool = this.#attributes;
    const left = pool.bytes(a);
    const right = pool.bytes(b);
    let atLeft = findAttribute(left, pool.start(a), pool.start(a) + pool.length(a), AS_PATH);
    let atRight = findAttribute(right, pool.start(b), pool.start(b) + pool.length(b), AS_PATH);
    if (atLeft < 0 || atRight < 0) return atLeft === atRight;
    // Header included: flags, code and length are canonical, too.
    const length = attributeLength(left, atLeft);
    if (length !== attributeLength(right, atRight)) return false;
    for (let i = 0; i < length; i++) if (left[atLeft++] !== right[atRight++]) return false;
    return true;
  }
}

function findAttribute(bytes: Uint8Array, start: number, end: number, code: number): number {
  for (let at = start; at < end; at += attributeLength(bytes, at)) if (bytes[at + 1] === code) return at;
  return -1;
}

/** Octets of the attribute at `at`, with its header. */
function attributeLength(bytes: Uint8Array, at: number): number {
  return (bytes[at]! & EXTENDED_LENGTH) !== 0 ? 4 + ((bytes[at + 2]! << 8) | bytes[at + 3]!) : 3 + bytes[at + 2]!;
}
