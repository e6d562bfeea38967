// HOT: guarded by bench S1 and S3.
/**
 * Adj-RIB-In: the paths of one family, addressed by `PathIndex` (> 0), chained per prefix.
 *
 * Cost: 15 octets per path, 4 more once any session of the family receives ADD-PATH, 4 more once any import policy has
 * changed attributes. `received` is what the peer sent where policy has put something else in its place,
 * so that a policy change needs no refresh.
 */
import { grow, grownCapacity } from './grow.js';

export const PathFlag = {
  /** Kept while the peer restarts (RFC 4724) or refreshes (RFC 7313), not heard again yet. */
  stale: 1,
  /** Left out of a ranking: it has its place already. Only while `Decision.rank` runs. */
  ranked: 2,
  /** Import policy has rejected it. */
  rejected: 4,
  /** Import policy has changed it: `received` is not 0. */
  edited: 8,
} as const;

/** Import policy has left its mark: such a path must be taken apart with care. */
export const POLICED = PathFlag.rejected | PathFlag.edited;

const INITIAL_CAPACITY = 1024;

export class PathTable {
  peer: Uint16Array;
  /** What counts: as received, or what import policy made of it. One reference. */
  attribute: Int32Array;
  /** Pre-policy attribute set where the path is marked `edited`, else 0. One reference. Allocated with the first of them. */
  received: Int32Array | undefined;
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
    if (this.received) this.received = new Int32Array(capacity);
    this.#end = 1;
    this.#firstFree = 0;
  }

  usePathIds(): void {
    this.pathId ??= new Uint32Array(this.attribute.length);
  }

  useReceived(): Int32Array {
    return (this.received ??= new Int32Array(this.attribute.length));
  }

  /** The attribute set as the peer sent it. */
  receivedOf(path: number): number {
    return (this.flags[path]! & PathFlag.edited) === 0 ? this.attribute[path]! : this.received![path]!;
  }

  #growColumns(needed: number): void {
    const capacity = grownCapacity(this.attribute.length, needed);
    this.peer = grow(this.peer, capacity);
    this.attribute = grow(this.attribute, capacity);
    this.next = grow(this.next, capacity);
    this.flags = grow(this.flags, capacity);
    this.changedAt = grow(this.changedAt, capacity);
    if (this.pathId) this.pathId = grow(this.pathId, capacity);
    if (this.received) this.received = grow(this.received, capacity);
  }
}
