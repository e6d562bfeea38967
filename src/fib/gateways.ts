/**
 * Where a route leads, interned: gateway address, interface, onlink, or several such with weights. Routes hold the id,
 * so comparing what is wanted with what the kernel has is comparing two numbers.
 *
 *   0 not there   1 something we never install   2 blackhole   3.. gateways and lists of them
 *   from `OBJECT_CODE` on: a nexthop object (`nexthop-objects.ts`), in columns that hold either
 */
import type { RouteHop } from 'netlink';
import type { RouteMessage } from './kernel.js';

/** Not in the kernel. */
export const NO_GATEWAY = 0;
/** Something that we never install ourselves. */
export const OTHER_GATEWAY = 1;
/** Nowhere on purpose: RTN_BLACKHOLE. */
export const BLACKHOLE_GATEWAY = 2;

/** Codes from here on name a nexthop object by its index. */
export const OBJECT_CODE = 0x80000000;

const RTNH_F_DEAD = 1;
const RTNH_F_ONLINK = 4;
const FIRST_ID = 3;

export interface Gateway {
  /** AF_INET, AF_INET6, or 0 = directly connected. */
  readonly family: number;
  /** 16 octets, zero behind the address. */
  readonly bytes: Uint8Array;
  readonly interfaceIndex: number;
  readonly onlink: boolean;
}

/** One of the gateways of a route, and its share of the traffic, 1..256. */
export interface Hop {
  readonly gateway: number;
  readonly weight: number;
}

export class Gateways {
  /** Where the nexthop objects of others lead, which routes name only by id when `nexthop_compat_mode` is 0. */
  foreignNexthop: (id: number) => number = () => OTHER_GATEWAY;
  readonly #lists = new Map<number, readonly Hop[]>();
  readonly #entries: (Gateway | undefined)[] = new Array<undefined>(FIRST_ID).fill(undefined);
  readonly #ids = new Map<string, number>();
  readonly #free: number[] = [];
  #lastId = 0;

  get size(): number {
    return this.#ids.size;
  }

  intern(family: number, bytes: Uint8Array, interfaceIndex: number, onlink: boolean): number {
    // Routes of one gateway come in runs: the last answer is mostly the next one.
    const last = this.#entries[this.#lastId];
    if (last && same(last, family, bytes, interfaceIndex, onlink)) return this.#lastId;
    const key = `${interfaceIndex}/${family}/${onlink ? 1 : 0}/${octetKey(bytes)}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      const copy = new Uint8Array(16);
      copy.set(bytes);
      id = this.#free.pop() ?? this.#entries.length;
      this.#entries[id] = { family, bytes: copy, interfaceIndex, onlink };
      this.#ids.set(key, id);
    }
    this.#lastId = id;
    return id;
  }

  /** Several hops; one is itself. The order does not matter. */
  internHops(hops: readonly Hop[]): number {
    if (hops.length === 0) return NO_GATEWAY;
    if (hops.length === 1) return hops[0]!.gateway;
    const sorted = [...hops].sort((a, b) => a.gateway - b.gateway || a.weight - b.weight);
    const key = sorted.map(({ gateway, weight }) => `${gateway}*${weight}`).join();
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#free.pop() ?? this.#entries.push(undefined) - 1;
      this.#lists.set(id, sorted);
      this.#ids.set(key, id);
    }
    return id;
  }

  /** Of a route that the kernel told; with several hops the first one alive stands for all when `foreign`. */
  ofRoute(route: RouteMessage, foreign: boolean): number {
    if (route.hops.length === 0) {
      const { gatewayFamily, gateway, interfaceIndex, flags, nexthopId } = route;
      if (nexthopId && !foreign) return OTHER_GATEWAY;
      if (nexthopId && !interfaceIndex) return this.foreignNexthop(nexthopId);
      return this.intern(gatewayFamily, gateway, interfaceIndex, (flags & RTNH_F_ONLINK) !== 0);
    }
    if (!foreign) {
      if (route.nexthopId) return OTHER_GATEWAY;
      return this.internHops(route.hops.map((hop) => ({ gateway: this.#ofHop(hop), weight: hop.weight })));
    }
    return this.#ofHop(route.hops.find((each) => !(each.flags & RTNH_F_DEAD)) ?? route.hops[0]!);
  }

  #ofHop(hop: RouteHop): number {
    return this.intern(hop.gatewayFamily, hop.gateway, hop.interfaceIndex, (hop.flags & RTNH_F_ONLINK) !== 0);
  }

  /** The hops of an id; empty for the reserved ones. */
  hopsOf(id: number): readonly Hop[] {
    return this.#lists.get(id) ?? (this.#entries[id] ? [{ gateway: id, weight: 1 }] : []);
  }

  /** Undefined for the reserved ids and for lists. */
  get(id: number): Gateway | undefined {
    return this.#entries[id];
  }

  /** Forgets what is in no use: containers come and go, and interface indexes are never used again. */
  sweep(inUse: ReadonlySet<number>): void {
    const used = new Set(inUse);
    for (const id of inUse) for (const { gateway } of this.#lists.get(id) ?? []) used.add(gateway);
    for (const [key, id] of this.#ids) {
      if (used.has(id)) continue;
      this.#lists.delete(id);
      this.#ids.delete(key);
      this.#entries[id] = undefined;
      this.#free.push(id);
    }
    this.#lastId = 0;
    if (this.#entries.length < FIRST_ID) throw new Error('gateway table lost its reserved entries');
  }
}

function same(gateway: Gateway, family: number, bytes: Uint8Array, interfaceIndex: number, onlink: boolean): boolean {
  if (gateway.interfaceIndex !== interfaceIndex || gateway.family !== family || gateway.onlink !== onlink) return false;
  for (let i = 0; i < 16; i++) if (gateway.bytes[i] !== (bytes[i] ?? 0)) return false;
  return true;
}

function octetKey(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < 16; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}
