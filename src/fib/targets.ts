/**
 * What a route record's target comes to now: a next hop, a set of them with its backup, or the blackhole. Sets are
 * immutable; what changes is which of their next hops are of use, by what the kernel says and by the speaker's hints.
 */
import { BLACKHOLE_GATEWAY, NO_GATEWAY, type Gateways } from './gateways.js';
import type { NextHopResolver } from './next-hop-resolver.js';
import { BLACKHOLE_TARGET, FIRST_NEXT_HOP_SET, type NextHopSet } from './port.js';

const AF_INET = 2;

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
  gatewayFor(target: number, addressFamily: number): number {
    if (target === BLACKHOLE_TARGET) return BLACKHOLE_GATEWAY;
    if (target < FIRST_NEXT_HOP_SET) return this.#gatewayOf(target, addressFamily);
    const set = this.#sets.get(target);
    if (!set) return NO_GATEWAY;
    for (const { nextHop } of [...set.primary, ...set.backup]) {
      const gateway = this.#gatewayOf(nextHop, addressFamily);
      if (gateway !== NO_GATEWAY) return gateway;
    }
    return NO_GATEWAY;
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
