/**
 * Where a route leads, interned: gateway address, interface, onlink. Routes hold the id, so comparing what is wanted
 * with what the kernel has is comparing two numbers. (The seam for nexthop objects: one object per id.)
 */
import type { RouteMessage } from './kernel.js';

/** Not in the kernel. */
export const NO_GATEWAY = 0;
/** Something that we never install ourselves: several hops, or a nexthop object. */
export const OTHER_GATEWAY = 1;
/** Nowhere on purpose: RTN_BLACKHOLE. */
export const BLACKHOLE_GATEWAY = 2;

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

export class Gateways {
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

  /** Of a route that the kernel told; with several hops the first one alive stands for all when `foreign`. */
  ofRoute(route: RouteMessage, foreign: boolean): number {
    if (route.hops.length === 0) {
      if (route.nexthopId && !(foreign && route.interfaceIndex)) return OTHER_GATEWAY;
      const { gatewayFamily, gateway, interfaceIndex, flags } = route;
      return this.intern(gatewayFamily, gateway, interfaceIndex, (flags & RTNH_F_ONLINK) !== 0);
    }
    if (!foreign) return OTHER_GATEWAY;
    const hop = route.hops.find((each) => !(each.flags & RTNH_F_DEAD)) ?? route.hops[0]!;
    return this.intern(hop.gatewayFamily, hop.gateway, hop.interfaceIndex, (hop.flags & RTNH_F_ONLINK) !== 0);
  }

  /** Undefined for the reserved ids. */
  get(id: number): Gateway | undefined {
    return this.#entries[id];
  }

  /** Forgets what is in no use: containers come and go, and interface indexes are never used again. */
  sweep(used: ReadonlySet<number>): void {
    for (const [key, id] of this.#ids) {
      if (used.has(id)) continue;
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
