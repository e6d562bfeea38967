/**
 * What a route record's target comes to now: a next hop, a set of them with its backup, or the blackhole. Sets are
 * immutable; what changes is which of their next hops are of use, by what the kernel says and by the speaker's hints.
 */
import { NO_GATEWAY, type Gateways, type Hop } from './gateways.js';
import type { NextHopResolver } from './next-hop-resolver.js';
import { FIRST_NEXT_HOP_SET, type NextHopSet, type WeightedNextHop } from './port.js';

const AF_INET = 2;
const MAX_WEIGHT = 256;
const NOWHERE: readonly Hop[] = [];

/** Where a target leads now. */
export interface Lead {
  /** In use; empty = nowhere. */
  readonly hops: readonly Hop[];
  /** To take over when none of those is left. */
  readonly standby: readonly Hop[];
  /** How many hops the target can ever use at once; 0 = a plain next hop, not a set. */
  readonly width: number;
}

export class Targets {
  readonly #resolver: NextHopResolver;
  readonly #gateways: Gateways;
  readonly #sets = new Map<number, NextHopSet>();
  /** Sets by the next hops they name. */
  readonly #setsOf = new Map<number, Set<number>>();
  /** Next hops of no use by the speaker's word. */
  readonly #down = new Set<number>();

  constructor(resolver: NextHopResolver, gateways: Gateways) {
    this.#resolver = resolver;
    this.#gateways = gateways;
  }

  define(id: number, set: NextHopSet): void {
    this.#sets.set(id, set);
    for (const nextHop of members(set)) {
      const sets = this.#setsOf.get(nextHop) ?? new Set();
      this.#setsOf.set(nextHop, sets.add(id));
    }
  }

  forget(id: number): void {
    const set = this.#sets.get(id);
    this.#sets.delete(id);
    if (set) for (const nextHop of members(set)) this.#setsOf.get(nextHop)?.delete(id);
  }

  set(id: number): NextHopSet | undefined {
    return this.#sets.get(id);
  }

  /** Whether the hint was news. */
  setDown(nextHop: number, down: boolean): boolean {
    if (down === this.#down.has(nextHop)) return false;
    if (down) this.#down.add(nextHop);
    else this.#down.delete(nextHop);
    return true;
  }

  isDown(nextHop: number): boolean {
    return this.#down.has(nextHop);
  }

  forgetNextHop(nextHop: number): void {
    this.#down.delete(nextHop);
    if (this.#setsOf.get(nextHop)?.size === 0) this.#setsOf.delete(nextHop);
  }

  /** The targets that a change of these next hops may concern. */
  concernedBy(nextHops: Iterable<number>): Set<number> {
    const targets = new Set<number>();
    for (const nextHop of nextHops) {
      targets.add(nextHop);
      for (const set of this.#setsOf.get(nextHop) ?? []) targets.add(set);
    }
    return targets;
  }

  /** Where routes of the family lead; an IPv6 route cannot go via an IPv4 gateway. */
  leadOf(target: number, addressFamily: number): Lead {
    const set = this.#sets.get(target);
    if (!set) {
      const gateway = target < FIRST_NEXT_HOP_SET ? this.#gatewayOf(target, addressFamily) : NO_GATEWAY;
      return { hops: gateway === NO_GATEWAY ? NOWHERE : [{ gateway, weight: 1 }], standby: NOWHERE, width: 0 };
    }
    const primary = this.#hops(set.primary, addressFamily);
    const backup = this.#hops(set.backup, addressFamily);
    const width = Math.max(set.primary.length, set.backup.length);
    if (primary.length === 0) return { hops: backup, standby: NOWHERE, width };
    const others = backup.filter(({ gateway }) => !primary.some((hop) => hop.gateway === gateway));
    return { hops: primary, standby: others, width };
  }

  /** Usable ones only; next hops that lead to the same gateway are one. */
  #hops(nextHops: readonly WeightedNextHop[], addressFamily: number): readonly Hop[] {
    const weights = new Map<number, number>();
    for (const { nextHop, weight } of nextHops) {
      const gateway = this.#gatewayOf(nextHop, addressFamily);
      if (gateway !== NO_GATEWAY) weights.set(gateway, (weights.get(gateway) ?? 0) + weight);
    }
    return [...weights].map(([gateway, weight]) => ({ gateway, weight: Math.min(weight, MAX_WEIGHT) }));
  }

  #gatewayOf(nextHop: number, addressFamily: number): number {
    if (this.#down.size && this.#down.has(nextHop)) return NO_GATEWAY;
    const gateway = this.#resolver.get(nextHop)?.gateway ?? NO_GATEWAY;
    if (addressFamily === AF_INET) return gateway;
    return this.#gateways.get(gateway)?.family === AF_INET ? NO_GATEWAY : gateway;
  }
}

function* members(set: NextHopSet): Iterable<number> {
  for (const { nextHop } of set.primary) yield nextHop;
  for (const { nextHop } of set.backup) yield nextHop;
}
