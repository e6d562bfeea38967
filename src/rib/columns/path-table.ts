// HOT: guarded by bench S1 and S3.
/**
 * Adj-RIB-In: the paths of one family, addressed by `PathIndex` (> 0), chained per prefix.
 *
 * Cost: 15 octets per path, 19 once any session of the family receives ADD-PATH. `attribute` is what the peer sent
 * (pre-policy), so that a policy change needs no refresh.
 */
import { grow, grownCapacity } from './grow.js';

export const PathFlag = {
  /** Kept while the peer restarts (RFC 4724) or refreshes (RFC 7313), not heard again yet. */
  stale: 1,
  /** Left out of a ranking: it has its place already. Only while `Decision.rank` runs. */
  ranked: 2,
} as const;

const INITIAL_CAPACITY = 1024;

export class PathTable {
  peer: Uint16Array;
  attribute: Int32Array;
  next: Int32Array;
  flags: Uint8Array;
  /** Seconds since the speaker started, when this path last changed. */
  changedAt: Uint32Array;
  /** RFC 7911 path identifiers; allocated when the first ADD-PATH session starts. */
  pathId: Uint32Array | undefined;
  count = 0;
  #end = 1;
  #firstFree = 0;

  constructor() {
    const capacity = INITIAL_CAPACITY;
    this.peer = new Uint16Array(capacity);
    this.attribute = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.changedAt = new Uint32Array(capacity);
  }

  /** A path not linked anywhere yet. */
  take(): number {
    this.count++;
    const free = this.#firstFree;
    if (free !== 0) {
      this.#firstFree = this.next[free]!;
      return free;
    }
    const path = this.#end++;
    if (path >= this.attribute.length) this.#growColumns(path + 1);
    return path;
  }

  release(path: number): void {
    this.count--;
    this.attribute[path] = 0;
    this.next[path] = this.#firstFree;
    this.#firstFree = path;
  }

  /** Gives the memory of a large table back once no path is left. */
  startOver(): void {
    if (this.count > 0) return;
    const capacity = INITIAL_CAPACITY;
    this.peer = new Uint16Array(capacity);
    this.attribute = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.changedAt = new Uint32Array(capacity);
    if (this.pathId) this.pathId = new Uint32Array(capacity);
    this.#end = 1;
    this.#firstFree = 0;
  }

  usePathIds(): void {
    this.pathId ??= new Uint32Array(this.attribute.length);
  }

  #growColumns(needed: number): void {
    const capacity = grownCapacity(this.attribute.length, needed);
    this.peer = grow(this.peer, capacity);
    this.attribute = grow(this.attribute, capacity);
    this.next = grow(this.next, capacity);
    this.flags = grow(this.flags, capacity);
    this.changedAt = grow(this.changedAt, capacity);
    if (this.pathId) this.pathId = grow(this.pathId, capacity);
  }
}
