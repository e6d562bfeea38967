/**
 * Next hops seen in attribute sets, addressed by `NextHopId` (> 0), with what the kernel side says of them.
 *
 * A next hop is 4 octets, 16, or 32 (global + link-local, RFC 2545), plus the interface of the session for link-local
 * ones. Reference-counted by attribute sets. Without a kernel side (`fib.enabled: false`) every next hop counts as
 * resolvable at metric 0: a reflector that forwards nothing has no use for its own view.
 */
import { formatAddress } from 'bgp-parse';
import { grow, grownCapacity } from './columns/grow.js';

export interface NextHopTracker {
  track(id: number, address: Uint8Array, interfaceName: string | undefined): void;
  forget(id: number): void;
  /** No path has the next hop any more: decision will leave it, so the kernel side may leave it at once. */
  lost(id: number): void;
  /** A path has it again. */
  found(id: number): void;
}

export class NextHops {
  /** 1 = usable for decision. */
  resolvable = new Uint8Array(64);
  /** Interior cost to the next hop (RFC 4271 §9.1.2.2 e). */
  metric = new Uint32Array(64);
  #references = new Uint32Array(64);
  readonly #addresses: (Uint8Array | undefined)[] = [undefined];
  readonly #details: string[] = [''];
  readonly #ids4 = new Map<number, number>();
  readonly #ids16 = new Map<string, number>();
  readonly #keys: (number | string)[] = [0];
  readonly #free: number[] = [];
  /** Those the kernel side has not said anything of yet. */
  readonly #unanswered = new Set<number>();
  #idle: number[] = [];
  /** Those the kernel side has been told are lost. */
  readonly #lost = new Set<number>();
  readonly #tracker: NextHopTracker | undefined;

  constructor(tracker?: NextHopTracker) {
    this.#tracker = tracker;
  }

  /** The id of the next hop in `bytes[start, start + length)`, one reference taken. */
  acquire(bytes: Uint8Array, start: number, length: number, interfaceName?: string): number {
    let id: number | undefined;
    let key: number | string;
    if (length === 4) {
      key = ((bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!) >>> 0;
      id = this.#ids4.get(key);
    } else {
      key = interfaceName ?? '';
      for (let i = 0; i < length; i++) key += String.fromCharCode(bytes[start + i]!);
      id = this.#ids16.get(key);
    }
    if (id === undefined) id = this.#add(key, bytes.slice(start, start + length), interfaceName);
    this.#references[id] = this.#references[id]! + 1;
    return id;
  }

  /** True until the first answer has come for every next hop: until then the decision is a provisional one. */
  get isWaiting(): boolean {
    return this.#unanswered.size > 0;
  }

  /** One reference less; an unused next hop stays known until `reclaim`. */
  release(id: number): void {
    const left = this.#references[id]! - 1;
    this.#references[id] = left;
    if (left === 0) this.#idle.push(id);
  }

  /**
   * Forgets next hops that nothing refers to. Only when the kernel side has been told of every route: until then a
   * route there may still name one, and an id used again would point it to another address.
   */
  reclaim(): void {
    if (this.#idle.length === 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const id of idle) if (this.#references[id] === 0 && this.#addresses[id]) this.#forget(id);
  }

  #forget(id: number): void {
    const key = this.#keys[id]!;
    if (typeof key === 'number') this.#ids4.delete(key);
    else this.#ids16.delete(key);
    this.#addresses[id] = undefined;
    this.#unanswered.delete(id);
    this.#lost.delete(id);
    this.#tracker?.forget(id);
    this.#free.push(id);
  }

  /**
   * A peer's paths have gone and decision has yet to see it: what no path has any more (`inUse` by id) is lost. The kernel
   * side hears of it before it hears of the routes.
   */
  noteLost(inUse: Uint8Array): void {
    if (!this.#tracker) return;
    for (let id = 1; id < this.#addresses.length; id++) {
      if (inUse[id] === 1 || !this.#addresses[id] || this.#lost.has(id)) continue;
      this.#lost.add(id);
      this.#tracker.lost(id);
    }
  }

  /** What had been lost and is in use again. */
  noteFound(inUse: Uint8Array): void {
    for (const id of this.#lost) {
      if (inUse[id] !== 1) continue;
      this.#lost.delete(id);
      this.#tracker?.found(id);
    }
  }

  get hasLost(): boolean {
    return this.#lost.size > 0;
  }

  /** Somebody wants to know of lost ones. */
  get isTracked(): boolean {
    return this.#tracker !== undefined;
  }

  /** Ids in use or free: below this. */
  get end(): number {
    return this.#addresses.length;
  }

  /** Takes the kernel side's word; true when decision must look again. */
  update(id: number, resolvable: boolean, metric: number, detail: string): boolean {
    if (!this.#addresses[id]) return false;
    this.#unanswered.delete(id);
    this.#details[id] = detail;
    const flag = resolvable ? 1 : 0;
    if (this.resolvable[id] === flag && this.metric[id] === metric) return false;
    this.resolvable[id] = flag;
    this.metric[id] = metric;
    return true;
  }

  address(id: number): Uint8Array | undefined {
    return this.#addresses[id];
  }

  /** Whether two next hops are one to the kernel side: of a global and link-local pair only the global one counts. */
  sameGateway(a: number, b: number): boolean {
    if (a === b) return true;
    const left = this.#addresses[a];
    const right = this.#addresses[b];
    if (!left || !right || left.length === 4 || right.length === 4) return false;
    for (let i = 0; i < 16; i++) if (left[i] !== right[i]) return false;
    // fe80::/10 means nothing without its interface.
    const linkLocal = left[0] === 0xfe && (left[1]! & 0xc0) === 0x80;
    return !linkLocal || this.#scope(a) === this.#scope(b);
  }

  /** The interface that the key of an IPv6 next hop begins with. */
  #scope(id: number): string {
    return (this.#keys[id] as string).slice(0, -this.#addresses[id]!.length);
  }

  /** The address for people; the global one of a pair. */
  text(id: number): string {
    const bytes = this.#addresses[id];
    return bytes ? formatAddress(bytes.length === 32 ? bytes.subarray(0, 16) : bytes) : '';
  }

  detail(id: number): string {
    return this.#details[id] ?? '';
  }

  #add(key: number | string, address: Uint8Array, interfaceName: string | undefined): number {
    const id = this.#free.pop() ?? this.#addresses.length;
    if (id >= this.resolvable.length) {
      const capacity = grownCapacity(this.resolvable.length, id + 1);
      this.resolvable = grow(this.resolvable, capacity);
      this.metric = grow(this.metric, capacity);
      this.#references = grow(this.#references, capacity);
    }
    this.#addresses[id] = address;
    this.#details[id] = this.#tracker ? 'not resolved yet' : 'not checked (fib is disabled)';
    this.#keys[id] = key;
    this.#references[id] = 0;
    this.resolvable[id] = this.#tracker ? 0 : 1;
    this.metric[id] = 0;
    if (typeof key === 'number') this.#ids4.set(key, id);
    else this.#ids16.set(key, id);
    if (this.#tracker) this.#unanswered.add(id);
    this.#tracker?.track(id, address, interfaceName);
    return id;
  }
}
