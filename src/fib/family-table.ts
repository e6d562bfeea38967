/**
 * One family's prefixes: rows, the foreign routes chained to them, the list of rows to look at, longest match.
 */
// HOT: guarded by the scenarios S7 and S7M.
import type { Family } from 'bgp-parse';
import { ForeignRoutes } from './foreign-routes.js';
import { OBJECT_CODE } from './gateways.js';
import type { RouteMessage } from './kernel.js';
import type { ForeignMatch } from './next-hop-resolver.js';
import { PrefixTable, RowFlag, grown } from './prefix-table.js';

const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const RTN_PROHIBIT = 8;
/** Below this the order does not matter to the kernel. */
const SHUFFLE_FROM = 1024;
/** Fewer routes are removed one by one. */
const LEAVING_FROM = 256;

/** Routes by object index. */
export interface ObjectUsers {
  readonly users: Int32Array;
}

export class FamilyTable {
  readonly family: Family;
  /** AF_INET or AF_INET6. */
  readonly addressFamily: number;
  readonly rows: PrefixTable;
  readonly foreign = new ForeignRoutes();
  /** Words of the address looked up last. */
  readonly key: Uint32Array;
  /** Prefixes with foreign routes, by length. */
  readonly #foreignLengths: Uint32Array;
  #dirty = new Uint32Array(1024);
  #dirtyCount = 0;
  #work = new Uint32Array(0);
  #workLeft = 0;
  #random = 0x2545f491;
  readonly #objects: ObjectUsers;
  /** Rows marked since `countLeaving` last looked. */
  #marked = 0;
  #markedBefore = 0;

  constructor(family: Family, objects: ObjectUsers) {
    this.family = family;
    this.#objects = objects;
    const words = family === 'ipv4-unicast' ? 1 : 4;
    this.addressFamily = words === 1 ? 2 : 10;
    this.rows = new PrefixTable(words);
    this.key = new Uint32Array(words);
    this.#foreignLengths = new Uint32Array(words * 32 + 1);
  }

  /** Notes where our route in the kernel leads; 0 = it is not there. */
  setInstalled(row: number, code: number): void {
    const { installed } = this.rows;
    const before = installed[row]!;
    if (before === code) return;
    const { users } = this.#objects;
    if (before >= OBJECT_CODE) users[before - OBJECT_CODE]!--;
    if (code >= OBJECT_CODE) users[code - OBJECT_CODE]!++;
    installed[row] = code;
  }

  /**
   * Adds up, by object index, the routes that wait to be removed and that nobody wants any more. False = not worth it:
   * too little has been marked since the last time, or more is being marked.
   */
  countLeaving(leaving: Int32Array): boolean {
    const growing = this.#marked !== this.#markedBefore;
    this.#markedBefore = this.#marked;
    if (this.#marked < LEAVING_FROM || (growing && this.#marked * 4 < this.pending)) return false;
    this.#marked = this.#markedBefore = 0;
    const { nextHop, installed, flags } = this.rows;
    const count = (list: Uint32Array, length: number) => {
      for (let i = 0; i < length; i++) {
        const row = list[i]!;
        const code = installed[row]!;
        if (code >= OBJECT_CODE && nextHop[row] === 0 && !(flags[row]! & RowFlag.adopted))
          leaving[code - OBJECT_CODE]!++;
      }
    };
    count(this.#dirty, this.#dirtyCount);
    count(this.#work, this.#workLeft);
    return true;
  }

  /** Rows waiting to be looked at. */
  get pending(): number {
    return this.#dirtyCount + this.#workLeft;
  }

  rowOf(route: RouteMessage, add: boolean): number {
    loadWords(this.key, route.dst);
    return add ? this.rows.findOrAdd(this.key, 0, route.dstLength) : this.rows.find(this.key, 0, route.dstLength);
  }

  markDirty(row: number): void {
    const flags = this.rows.flags;
    if (flags[row]! & RowFlag.dirty) return;
    flags[row]! |= RowFlag.dirty | RowFlag.changed;
    if (this.#dirtyCount === this.#dirty.length) this.#dirty = grown(this.#dirty, this.#dirtyCount * 2);
    this.#dirty[this.#dirtyCount++] = row;
    this.#marked++;
  }

  /**
   * The next row to look at, no longer dirty; -1 = none. Not in the order of arrival: the kernel's trie resizes again
   * and again when prefixes come in address order, and takes them twice as fast shuffled.
   */
  takeDirty(): number {
    if (this.#workLeft === 0) {
      if (this.#dirtyCount === 0) return -1;
      const spare = this.#work;
      this.#work = this.#dirty;
      this.#workLeft = this.#dirtyCount;
      this.#dirty = spare.length ? spare : new Uint32Array(1024);
      this.#dirtyCount = 0;
      if (this.#workLeft >= SHUFFLE_FROM) this.#shuffle();
    }
    const row = this.#work[--this.#workLeft]!;
    this.rows.flags[row]! &= ~RowFlag.dirty;
    return row;
  }

  addForeign(row: number, route: RouteMessage, gateway: number): void {
    const head = this.rows.foreign[row]!;
    if (head < 0) this.#foreignLengths[route.dstLength]!++;
    this.rows.foreign[row] = this.foreign.add(head, route, gateway);
  }

  removeForeign(row: number, entry: number): void {
    const head = this.foreign.remove(this.rows.foreign[row]!, entry);
    this.rows.foreign[row] = head;
    if (head < 0) this.#foreignLengths[this.rows.length[row]!]!--;
  }

  clearForeign(): void {
    this.foreign.clear();
    this.rows.foreign.fill(-1);
    this.#foreignLengths.fill(0);
  }

  /** The foreign route of `table` that keeps ours out; -1 = none. */
  blocker(row: number, table: number): number {
    const { foreign } = this;
    for (let at = this.rows.foreign[row]!; at >= 0; at = foreign.next[at]!) if (foreign.table[at] === table) return at;
    return -1;
  }

  /** Longest match among the foreign routes that are not of `protocol`; of equals the lowest metric. */
  longestMatch(address: Uint8Array, protocol: number): ForeignMatch | undefined {
    const { foreign, rows, key } = this;
    for (let length = rows.words * 32; length >= 0; length--) {
      if (this.#foreignLengths[length] === 0) continue;
      loadWords(key, address);
      maskWords(key, length);
      const row = rows.find(key, 0, length);
      if (row < 0) continue;
      let best = -1;
      for (let at = rows.foreign[row]!; at >= 0; at = foreign.next[at]!) {
        const type = foreign.type[at]!;
        if (foreign.protocol[at] === protocol || foreign.tos[at] !== 0) continue;
        if (type !== RTN_UNICAST && (type < RTN_BLACKHOLE || type > RTN_PROHIBIT)) continue;
        if (best < 0 || foreign.priority[at]! < foreign.priority[best]!) best = at;
      }
      if (best < 0) continue;
      return {
        length,
        type: foreign.type[best]!,
        priority: foreign.priority[best]!,
        gateway: foreign.gateway[best]!,
      };
    }
    return undefined;
  }

  /** Rows of the prefixes that cover an address, from a length on. */
  forEachCovering(address: Uint8Array, fromLength: number, act: (row: number) => void): void {
    const { rows, key } = this;
    for (let length = rows.words * 32; length >= fromLength; length--) {
      loadWords(key, address);
      maskWords(key, length);
      const row = rows.find(key, 0, length);
      if (row >= 0) act(row);
    }
  }

  /** Whether there is a route of others to the prefix, exactly, by which packets leave. */
  hasForeign(address: Uint8Array, length: number, protocol: number): boolean {
    const { foreign, rows, key } = this;
    loadWords(key, address);
    const row = rows.find(key, 0, length);
    if (row < 0) return false;
    for (let at = rows.foreign[row]!; at >= 0; at = foreign.next[at]!) {
      if (foreign.protocol[at] !== protocol && foreign.tos[at] === 0 && foreign.type[at] === RTN_UNICAST) return true;
    }
    return false;
  }

  /** Octets of a row's address into `target`. */
  storeAddress(row: number, target: Uint8Array): void {
    const { words, address } = this.rows;
    for (let i = 0; i < words; i++) {
      const word = address[row * words + i]!;
      target[i * 4] = word >>> 24;
      target[i * 4 + 1] = word >>> 16;
      target[i * 4 + 2] = word >>> 8;
      target[i * 4 + 3] = word;
    }
  }

  #shuffle(): void {
    const list = this.#work;
    let random = this.#random;
    for (let i = this.#workLeft - 1; i > 0; i--) {
      // xorshift32: order matters to the kernel's speed, not to anybody's security.
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      const j = (random >>> 0) % (i + 1);
      const row = list[i]!;
      list[i] = list[j]!;
      list[j] = row;
    }
    this.#random = random;
  }
}

function loadWords(words: Uint32Array, octets: Uint8Array): void {
  for (let i = 0; i < words.length; i++) {
    const at = i * 4;
    words[i] = (octets[at]! << 24) | (octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!;
  }
}

function maskWords(words: Uint32Array, length: number): void {
  for (let i = 0; i < words.length; i++) {
    const bits = length - i * 32;
    if (bits <= 0) words[i] = 0;
    else if (bits < 32) words[i] = words[i]! & (0xffffffff << (32 - bits));
  }
}
