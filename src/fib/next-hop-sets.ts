// HOT: one lookup per route with more than one path; guarded by bench S7.
/**
 * Next-hop sets: primaries with weights, and backups, interned to ids that a route record can name. The kernel side is
 * told of a set before the first record that names it, and that it may forget it when everything has been said to it and
 * no record names the set any more.
 *
 * There are few sets (about as many as pairs of gateways), so each is an object; a lookup makes none. Ids are not used
 * again: 2^31 of them last longer than the process.
 */
import { BLACKHOLE_TARGET, FIRST_NEXT_HOP_SET } from './port.js';
import type { FibPort, WeightedNextHop } from './port.js';

interface NextHopSetEntry {
  readonly id: number;
  readonly hash: number;
  /** As in `key`. */
  readonly words: Int32Array;
  /** Prefixes whose record names it. */
  references: number;
  /** Waits for `reclaim`. */
  idle: boolean;
}

export class NextHopSets {
  readonly #port: Pick<FibPort, 'defineNextHopSet' | 'forgetNextHopSet'>;
  readonly #byId = new Map<number, NextHopSetEntry>();
  readonly #byHash = new Map<number, NextHopSetEntry[]>();
  #nextId = FIRST_NEXT_HOP_SET;
  #idle: NextHopSetEntry[] = [];
  /** The set asked for: number of primaries, then (next hop, weight) of the primaries and of the backups. */
  #key = new Int32Array(16);
  #length = 1;

  constructor(port: Pick<FibPort, 'defineNextHopSet' | 'forgetNextHopSet'>) {
    this.#port = port;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Begins the description of a set of so many primaries; `add` each, then the backups. */
  begin(primaries: number): void {
    this.#key[0] = primaries;
    this.#length = 1;
  }

  add(nextHop: number, weight: number): void {
    if (this.#length + 2 > this.#key.length) {
      const larger = new Int32Array(this.#key.length * 2);
      larger.set(this.#key);
      this.#key = larger;
    }
    this.#key[this.#length++] = nextHop;
    this.#key[this.#length++] = weight;
  }

  /** The id of the set described, defined to the kernel side when it is new. The caller retains it. */
  intern(): number {
    const key = this.#key;
    const length = this.#length;
    let hash = 0;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ key[i]!, 0x9e3779b1) ^ (hash >>> 15);
    let chain = this.#byHash.get(hash);
    if (chain) {
      for (let i = 0; i < chain.length; i++) {
        const { words } = chain[i]!;
        if (words.length !== length) continue;
        let same = 0;
        while (same < length && words[same] === key[same]) same++;
        if (same === length) return chain[i]!.id;
      }
    } else {
      this.#byHash.set(hash, (chain = []));
    }
    const entry = { id: this.#takeId(), hash, words: key.slice(0, length), references: 0, idle: true };
    chain.push(entry);
    this.#byId.set(entry.id, entry);
    this.#idle.push(entry);
    this.#port.defineNextHopSet(entry.id, describe(entry.words));
    return entry.id;
  }

  retain(id: number): void {
    this.#byId.get(id)!.references++;
  }

  release(id: number): void {
    const entry = this.#byId.get(id)!;
    if (--entry.references > 0 || entry.idle) return;
    entry.idle = true;
    this.#idle.push(entry);
  }

  /** Forgets the sets that no record names. Only when the kernel side has been told everything. */
  reclaim(): void {
    if (this.#idle.length === 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const entry of idle) {
      entry.idle = false;
      if (entry.references > 0) continue;
      this.#byId.delete(entry.id);
      const chain = this.#byHash.get(entry.hash)!;
      chain.splice(chain.indexOf(entry), 1);
      if (chain.length === 0) this.#byHash.delete(entry.hash);
      this.#port.forgetNextHopSet(entry.id);
    }
  }

  #takeId(): number {
    let id = this.#nextId;
    while (this.#byId.has(id)) id = next(id);
    this.#nextId = next(id);
    return id;
  }
}

function next(id: number): number {
  return id + 1 === BLACKHOLE_TARGET ? FIRST_NEXT_HOP_SET : id + 1;
}

function describe(words: Int32Array): { primary: WeightedNextHop[]; backup: WeightedNextHop[] } {
  const all: WeightedNextHop[] = [];
  for (let i = 1; i < words.length; i += 2) all.push({ nextHop: words[i]!, weight: words[i + 1]! });
  return { primary: all.slice(0, words[0]), backup: all.slice(words[0]) };
}
