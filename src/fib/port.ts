/**
 * The seam between the speaker and the kernel side. The speaker says which route each prefix should have; a worker
 * thread makes the kernel so and reports back. Level-triggered: only the last word about a prefix counts, and
 * everything can be said again.
 */
import type { AddressBytes, Family } from 'bgp-parse';
import type { EncapsulationSettings } from '../config/settings.js';
import type { FibDifference } from './differences.js';
import type { HostDuties, HostState } from './host-keeper.js';

export interface KernelLink {
  readonly index: number;
  readonly name: string;
  /** Administratively up and with carrier. */
  readonly up: boolean;
}

export interface KernelAddress {
  readonly ifindex: number;
  readonly bytes: AddressBytes;
  readonly prefixLength: number;
  /** True for fe80::/10 and for addresses of host scope (loopback). */
  readonly local: boolean;
  /** IPv6 duplicate address detection has not finished, or failed: not usable. */
  readonly tentative: boolean;
}

/** Links and addresses of this namespace, always complete. */
export interface KernelState {
  readonly links: readonly KernelLink[];
  readonly addresses: readonly KernelAddress[];
}

export interface NextHopState {
  /** As given to `trackNextHop`. */
  readonly id: number;
  readonly resolvable: boolean;
  /** Metric of the route that resolves it (0 = directly connected): the "interior cost" of RFC 4271 §9.1.2.2 e. */
  readonly metric: number;
  /** Why not, or through what, for people: "no route", "via 10.0.0.1 dev eth0", "connected dev ens33". */
  readonly detail: string;
}

/** Status of a prefix in the kernel. */
export const FibStatus = { absent: 0, pending: 1, installed: 2, failed: 3 } as const;

/**
 * The target of a route: 0 = remove; 1..0x7fffffff = a next hop as tracked; from here on = a next-hop set as defined;
 * `BLACKHOLE_TARGET` = drop what is sent there.
 */
export const FIRST_NEXT_HOP_SET = 0x80000000;
export const BLACKHOLE_TARGET = 0xffffffff;

/** A next hop and its share of the traffic, 1..256. */
export interface WeightedNextHop {
  /** As given to `trackNextHop`. */
  readonly nextHop: number;
  readonly weight: number;
}

/** Next hops used together, and those that take over when none of them is usable any more. */
export interface NextHopSet {
  readonly primary: readonly WeightedNextHop[];
  readonly backup: readonly WeightedNextHop[];
}

/** 32-bit words per route record: prefixId, target, prefix length, then 1 or 4 address words. */
export const ROUTE_RECORD_WORDS = { 'ipv4-unicast': 4, 'ipv6-unicast': 7 } as const satisfies Record<Family, number>;

export interface FibEvents {
  kernelChanged(state: KernelState): void;
  nextHopsChanged(changes: readonly NextHopState[]): void;
  /** Those of the prefixes given to `watchRoutes` that others have a route to. */
  routesPresent(prefixes: readonly string[]): void;
  /** Pairs (prefixId, FibStatus) of one family, also for changes nobody asked for (a repair, a foreign route). */
  statusChanged(family: Family, pairs: Uint32Array, count: number): void;
  /** `canSubmit` has become true again. */
  room(): void;
  /** The kernel refuses us altogether; the text says what to do. */
  fatal(error: Error): void;
  /** The worker has died and is started again after `delayMs`; the kernel's routes stay as they are meanwhile. */
  died(error: Error, deaths: number, delayMs: number): void;
  /** Another worker is there, and knows what the old one knew but the routes: all are to be said again, then swept. */
  restarted(state: KernelState): void;
}

export interface FibRow {
  readonly family: Family;
  readonly prefix: AddressBytes;
  readonly length: number;
  readonly nextHops: readonly {
    readonly via: AddressBytes | undefined;
    readonly interface: string | undefined;
    readonly weight: number;
  }[];
  readonly status: number;
  readonly error: string | undefined;
}

export interface FibPort {
  /** Reads links, addresses and what a previous run left behind; resolves when the first state is known. */
  start(): Promise<KernelState>;
  /** Begins to resolve an address and keeps telling changes; the first answer always comes. Ids are the caller's, > 0. */
  trackNextHop(id: number, address: AddressBytes, interfaceName?: string): void;
  forgetNextHop(id: number): void;
  /** Follows whether the kernel has routes of others to these prefixes, exactly; none is there until told. */
  watchRoutes(prefixes: readonly string[]): void;
  /**
   * A hint: the next hop is of no use from now on, whatever the kernel says (its peer or its BFD session is down).
   * Routes through it fail over at once, before any of them is submitted again. Holds until `nextHopUp` or `forgetNextHop`.
   */
  nextHopDown(id: number): void;
  nextHopUp(id: number): void;
  /** Names a set, `FIRST_NEXT_HOP_SET` <= id < `BLACKHOLE_TARGET`, before the first record does. Sets never change. */
  defineNextHopSet(id: number, set: NextHopSet): void;
  /** When no record names the set any more; its id may be used again. */
  forgetNextHopSet(id: number): void;
  /** Begins or ends tunnels to hosts in other subnets, or goes on with other settings. */
  encapsulate(settings: EncapsulationSettings | undefined): void;
  /** An address of ours that a peer knows as our next hop: our end of the tunnel, unless that is configured. */
  tellOwnNextHop(address: AddressBytes): void;
  /** False while too many batches are under way: keep the changes and wait for `room`. */
  readonly canSubmit: boolean;
  /** Hands over `count` records; the array may not be changed afterwards. */
  submit(family: Family, records: Uint32Array, count: number): void;
  /** What was adopted from a previous run and has not been asked for since is stale: remove it. */
  sweepStale(): void;
  rows(): AsyncIterable<FibRow>;
  /** What the kernel has against what it should have, by a fresh reading; rejects when it cannot be read whole. */
  diff(): Promise<Iterable<FibDifference>>;
  /** The routing table of our routes. */
  readonly table: number;
  /** The kernel's number of the thread that writes routes: the kernel may keep it busy for long. */
  readonly threadId?: number;
  /** `repaired` = put back since the start after the kernel had lost it or somebody had changed it. */
  counts(): { installed: number; pending: number; failed: number; repaired: number };
  /** What is to be done on the host besides routes, from now on. */
  setDuties(duties: HostDuties): void;
  host(): HostState;
  /** Removes our routes (unless `keepRoutes`) and ends the worker. */
  stop(keepRoutes: boolean): Promise<void>;
}
