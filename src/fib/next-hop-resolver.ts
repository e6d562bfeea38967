/**
 * Where BGP next hops lead: the longest match over the routes of everybody else (RFC 4271 §9.1.2.1). Our own routes
 * take no part, so nothing ever resolves through itself.
 */
import { formatAddress } from 'bgp-parse';
import { type Gateways, NO_GATEWAY, OTHER_GATEWAY } from './gateways.js';
import type { NetworkState } from './network-state.js';
import { isLinkLocal } from './network-state.js';
import type { KernelLink, NextHopState } from './port.js';
import type { TunnelEnd } from './tunnel-ends.js';

const AF_INET = 2;
const AF_INET6 = 10;
const RTN_UNICAST = 1;
const dropTypes: Readonly<Record<number, string>> = { 6: 'blackhole', 7: 'unreachable', 8: 'prohibit' };

/** The best route of others for an address. */
export interface ForeignMatch {
  readonly length: number;
  readonly type: number;
  readonly priority: number;
  /** Gateway id. */
  readonly gateway: number;
}

/**
 * Interface of the tunnel that the next hop is reached through; undefined = the plain way; a text = through a tunnel,
 * and why there is none now. `connected`: the next hop is on a subnet of ours; `link`: where the route of others leads.
 */
export type TunnelLookup = (nextHop: Uint8Array, connected: boolean, link: KernelLink) => number | string | undefined;

/** Longest match; undefined = no route. */
export type ForeignLookup = (address: Uint8Array) => ForeignMatch | undefined;

export interface TrackedNextHop extends NextHopState {
  /** 4, 16 or 32 octets. */
  readonly address: Uint8Array;
  readonly interfaceName: string | undefined;
  /** Gateway id to install; 0 = not resolvable. */
  readonly gateway: number;
  /** Set when it is reached through a tunnel. */
  readonly tunnelEnd: TunnelEnd | undefined;
}

interface Resolution {
  readonly gateway: number;
  readonly tunnelEnd?: TunnelEnd;
  readonly metric: number;
  readonly detail: string;
}

export class NextHopResolver {
  readonly #network: NetworkState;
  readonly #gateways: Gateways;
  readonly #lookup: ForeignLookup;
  readonly #nextHops = new Map<number, TrackedNextHop>();
  /** Set while hosts in other subnets are reached through a tunnel. */
  tunnel: TunnelLookup | undefined;

  constructor(network: NetworkState, gateways: Gateways, lookup: ForeignLookup) {
    this.#network = network;
    this.#gateways = gateways;
    this.#lookup = lookup;
  }

  /** Begins to follow a next hop; the answer of now. */
  track(id: number, address: Uint8Array, interfaceName: string | undefined): TrackedNextHop {
    const nextHop = this.#state(id, address, interfaceName);
    this.#nextHops.set(id, nextHop);
    return nextHop;
  }

  forget(id: number): void {
    this.#nextHops.delete(id);
  }

  get(id: number): TrackedNextHop | undefined {
    return this.#nextHops.get(id);
  }

  all(): Iterable<TrackedNextHop> {
    return this.#nextHops.values();
  }

  /** Resolves all anew; those that changed in any respect. */
  refresh(): TrackedNextHop[] {
    const changed: TrackedNextHop[] = [];
    for (const before of this.#nextHops.values()) {
      const after = this.#state(before.id, before.address, before.interfaceName);
      const sameUnderlay = after.tunnelEnd?.underlayLength === before.tunnelEnd?.underlayLength;
      const sameWay = after.gateway === before.gateway && sameUnderlay;
      if (sameWay && after.metric === before.metric && after.detail === before.detail) continue;
      this.#nextHops.set(after.id, after);
      changed.push(after);
    }
    return changed;
  }

  #state(id: number, address: Uint8Array, interfaceName: string | undefined): TrackedNextHop {
    const { gateway, metric, detail, tunnelEnd } = this.#resolvePair(address, interfaceName);
    const resolvable = gateway !== NO_GATEWAY;
    return { id, address, interfaceName, gateway, resolvable, metric, detail, tunnelEnd };
  }

  /**
   * Of a global and link-local pair (RFC 2545 §3) the global one counts: it resolves on any link. On an unnumbered link
   * there may be no route to it.
   */
  #resolvePair(address: Uint8Array, interfaceName: string | undefined): Resolution {
    if (address.length !== 32) return this.#resolve(address, interfaceName);
    const global = this.#resolve(address.subarray(0, 16), interfaceName);
    if (global.gateway !== NO_GATEWAY) return global;
    const local = this.#resolve(address.subarray(16), interfaceName);
    return local.gateway === NO_GATEWAY ? global : local;
  }

  #resolve(address: Uint8Array, interfaceName: string | undefined): Resolution {
    const family = address.length === 4 ? AF_INET : AF_INET6;
    if (address.every((octet) => octet === 0)) return unresolvable('the unspecified address');
    if (this.#network.isOwn(address)) return unresolvable("this node's own address");
    if (isLinkLocal(address)) {
      if (interfaceName === undefined) return unresolvable('link-local address without an interface');
      const link = this.#network.linkByName(interfaceName);
      if (!link) return unresolvable(`no interface ${interfaceName}`);
      if (!link.up) return unresolvable(`dev ${link.name} is down`);
      const gateway = this.#gateways.intern(family, address, link.index, false);
      return { gateway, metric: 0, detail: `connected dev ${link.name}` };
    }
    const match = this.#lookup(address);
    if (!match) return unresolvable('no route');
    if (match.type !== RTN_UNICAST) return unresolvable(`${dropTypes[match.type] ?? 'unusable'} route`);
    const via = this.#gateways.get(match.gateway);
    if (!via || match.gateway === OTHER_GATEWAY) return unresolvable('route through a nexthop object');
    const link = this.#network.linkByIndex(via.interfaceIndex);
    if (!link) return unresolvable('no route');
    if (!link.up) return unresolvable(`dev ${link.name} is down`);
    const tunnel = this.tunnel?.(address, via.family === 0, link);
    if (typeof tunnel === 'string') return unresolvable(tunnel);
    if (tunnel !== undefined) {
      const tunnelEnd = { address, interfaceIndex: tunnel, underlayLength: match.length };
      const gateway = this.#gateways.intern(family, address, tunnel, true);
      const name = this.#network.linkByIndex(tunnel)?.name ?? 'the tunnel';
      const detail = `onlink dev ${name} over ${link.name}`;
      return { gateway, metric: via.family === 0 ? 0 : match.priority, detail, tunnelEnd };
    }
    if (via.family === 0) {
      const gateway = this.#gateways.intern(family, address, link.index, false);
      return { gateway, metric: 0, detail: `connected dev ${link.name}` };
    }
    const through = formatAddress(via.bytes.subarray(0, via.family === AF_INET ? 4 : 16));
    const note = match.length === 0 ? ' (default route)' : '';
    return { gateway: match.gateway, metric: match.priority, detail: `via ${through} dev ${link.name}${note}` };
  }
}

function unresolvable(detail: string): Resolution {
  return { gateway: NO_GATEWAY, metric: 0, detail };
}
