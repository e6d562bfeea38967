/**
 * What the kernel has, as far as it has told us: links, addresses, our routes, everybody else's. Fed by whole readings
 * and by the stream of changes; marks the rows that need a look and never writes to the kernel.
 *
 * The stream says nothing of our own changes. What it does not say clearly (hop by hop deletions, IPv4 routes that go
 * with their interface, overruns) is settled by another whole reading.
 */
// HOT: one call per route that the kernel tells of.
import { FamilyTable } from './family-table.js';
import { ForeignNexthops } from './foreign-nexthops.js';
import { BLACKHOLE_GATEWAY, type Gateways, NO_GATEWAY, OTHER_GATEWAY } from './gateways.js';
import type { AddressMessage, Kernel, KernelListener, LinkMessage, NexthopMessage, RouteMessage } from './kernel.js';
import { NetworkState } from './network-state.js';
import type { NexthopObjects } from './nexthop-objects.js';
import { RowFlag } from './prefix-table.js';
import { Reason } from './reconcile.js';
import { NO_SOURCE, hasPreferredSource, type PreferredSource } from './preferred-source.js';
import { Resync } from './resync.js';

const AF_INET = 2;
const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const IPV6_DEFAULT_METRIC = 1024;
/** Gateways remembered before unused ones are looked for. */
const SWEEP_GATEWAYS_FROM = 4096;
/** Portions of the stream read at once after a whole reading, so that a flood cannot hold us for ever. */
const MAX_CATCH_UP = 64;

export interface RouteOwnership {
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  readonly prefSrc?: PreferredSource | undefined;
  /** The main table is nobody's business here (VRF): next hops are resolved in `table` alone. */
  readonly isVrf?: boolean | undefined;
}

export interface RouteWatcher {
  /** True = the route is the watcher's own. */
  hear(route: RouteMessage, deleted: boolean, replaced: boolean): boolean;
  /** Around a whole reading; what it has not heard of then is not there, if the reading is complete. */
  beginReading(): void;
  endReading(isComplete: boolean): void;
}

export class KernelMirror implements KernelListener {
  /** IPv4, IPv6. */
  readonly tables: readonly [FamilyTable, FamilyTable];
  readonly gateways: Gateways;
  readonly network = new NetworkState();
  readonly resync = new Resync();
  /** Links or addresses are not as last looked at; the reader clears it. */
  networkChanged = false;
  /** Next hops may lead elsewhere; the reader clears it. */
  resolveDue = false;
  /** Our nexthop objects may have gone or be changed: `readNexthops`. */
  nexthopsDue = false;
  /** Between a whole reading and the moment the stream has been caught up with: changes may be told twice. */
  replaying = false;
  /** Objects are kept for routes of a previous run with another source; that they need not be, only a reading says. */
  rereadAfterSweep = false;
  /** Sees routes that are not the RIB's first, and takes those that are its own. */
  watcher: RouteWatcher | undefined;
  readonly #settings: RouteOwnership;
  readonly #kernel: Kernel;
  readonly #nowMs: () => number;
  readonly #objects: NexthopObjects;
  readonly #others: ForeignNexthops;
  /** Our nexthop objects as far as the reading under way has told. */
  #found: Map<number, NexthopMessage> | undefined;
  #adopting = false;

  constructor(
    settings: RouteOwnership,
    kernel: Kernel,
    gateways: Gateways,
    objects: NexthopObjects,
    nowMs: () => number,
  ) {
    this.#settings = settings;
    this.#kernel = kernel;
    this.gateways = gateways;
    this.#objects = objects;
    this.#others = new ForeignNexthops(gateways);
    this.#nowMs = nowMs;
    this.tables = [new FamilyTable('ipv4-unicast', objects), new FamilyTable('ipv6-unicast', objects)];
  }

  /** Reads everything for the first time; routes of ours are marked as adopted. */
  read(): void {
    this.#adopting = true;
    this.#kernel.readNetwork(this);
    this.readNexthops();
    this.#readRoutes();
    this.#adopting = false;
  }

  /** Reads nexthop objects and puts ours right; how many had been changed. */
  readNexthops(): number {
    this.nexthopsDue = false;
    this.#found = new Map();
    const complete = this.#kernel.readNexthops(this);
    const found = this.#found;
    this.#found = undefined;
    if (!complete) {
      this.nexthopsDue = true;
      return 0;
    }
    return this.#objects.reconcile(found);
  }

  /** Hears what has changed, a bounded number of changes. */
  hear(): 'empty' | 'messages' | 'overrun' {
    const heard = this.#kernel.receive(this);
    if (heard === 'overrun') {
      this.resync.request(this.#nowMs(), true);
    } else if (heard === 'empty') this.replaying = false;
    return heard;
  }

  link(message: LinkMessage, deleted: boolean): void {
    const change = this.network.setLink(message, deleted);
    if (change === 'same') return;
    this.networkChanged = this.resolveDue = this.nexthopsDue = true;
    // IPv4 routes go silently with their interface, after the link message.
    if (change === 'down' && !this.#adopting) this.resync.requestAfterLoss(this.#nowMs());
  }

  address(message: AddressMessage, deleted: boolean): void {
    if (!this.network.setAddress(message, deleted)) return;
    this.networkChanged = this.resolveDue = true;
    // The last IPv4 address of an interface takes all routes through it along.
    if (deleted && message.family === AF_INET) this.resync.requestAfterLoss(this.#nowMs());
  }

  nexthop(nexthop: NexthopMessage, deleted: boolean): void {
    if (this.#objects.isOurs(nexthop)) {
      if (this.#found) this.#found.set(nexthop.id, nexthop);
      else this.nexthopsDue = true;
    } else if (this.#others.set(nexthop, deleted)) {
      // Routes through it lead elsewhere, or are gone, without a word.
      this.resync.request(this.#nowMs());
    }
  }

  route(route: RouteMessage, deleted: boolean, replaced: boolean): void {
    const settings = this.#settings;
    if (route.nexthopId !== 0 && !this.isOurs(route) && this.#objects.usedByOthers(route.nexthopId) && deleted) {
      // Whether it was the last one only a reading says.
      this.resync.request(this.#nowMs());
    }
    if (route.table !== settings.table && (route.table !== RT_TABLE_MAIN || settings.isVrf)) return;
    const table = this.tables[route.family === AF_INET ? 0 : 1];
    if (this.isOurs(route)) this.#ownRoute(table, route, deleted);
    else if (this.watcher?.hear(route, deleted, replaced) !== true) this.#foreignRoute(table, route, deleted, replaced);
  }

  /** Of our table, protocol and metric. */
  isOurs(route: RouteMessage): boolean {
    const { table, protocol } = this.#settings;
    return route.protocol === protocol && route.table === table && route.priority === this.metric(route.family);
  }

  /** The kernel gives an IPv6 route without metric 1024. */
  metric(addressFamily: number): number {
    const { metric } = this.#settings;
    return metric === 0 && addressFamily !== AF_INET ? IPV6_DEFAULT_METRIC : metric;
  }

  #ownRoute(table: FamilyTable, route: RouteMessage, deleted: boolean): void {
    const { rows } = table;
    const row = table.rowOf(route, !deleted);
    if (row < 0) return;
    const gateway = this.#leadOf(route);
    if (deleted) {
      if (rows.installed[row] === NO_GATEWAY) return;
      if (rows.installed[row] !== gateway) {
        if (!this.replaying) this.resync.request(this.#nowMs());
        return;
      }
      this.lost(table, row);
      return;
    }
    rows.flags[row]! |= RowFlag.seen;
    if (rows.installed[row] === gateway) return;
    if (this.#adopting) {
      rows.flags[row]! |= RowFlag.adopted;
    } else if (rows.nextHop[row] !== 0) rows.flags[row]! |= RowFlag.repair;
    table.setInstalled(row, gateway);
    table.markDirty(row);
  }

  /** Where our route leads. */
  #leadOf(route: RouteMessage): number {
    if (route.tos !== 0) return OTHER_GATEWAY;
    if (route.prefSrcLength !== 0 || this.#settings.prefSrc) {
      const source = route.type === RTN_BLACKHOLE ? NO_SOURCE : (this.#settings.prefSrc ?? NO_SOURCE);
      if (!hasPreferredSource(route, source)) {
        this.#keepObjectOf(route);
        return OTHER_GATEWAY;
      }
    }
    if (route.nexthopId !== 0) return this.#objects.codeOfId(route.nexthopId);
    if (route.type === RTN_UNICAST) return this.gateways.ofRoute(route, false);
    return route.type === RTN_BLACKHOLE ? BLACKHOLE_GATEWAY : OTHER_GATEWAY;
  }

  /** A route of ours that is to be rewritten forwards by an object meanwhile, which no row counts as a user of. */
  #keepObjectOf({ nexthopId }: RouteMessage): void {
    if (nexthopId === 0 || !this.#objects.usedByOthers(nexthopId)) return;
    if (this.#adopting) this.rereadAfterSweep = true;
    else if (!this.replaying) this.resync.request(this.#nowMs());
  }

  /** Our route is gone without us. */
  lost(table: FamilyTable, row: number): void {
    const { rows } = table;
    table.setInstalled(row, NO_GATEWAY);
    if (rows.nextHop[row] !== 0) rows.flags[row]! |= RowFlag.repair;
    rows.flags[row]! &= ~RowFlag.adopted;
    table.markDirty(row);
  }

  #foreignRoute(table: FamilyTable, route: RouteMessage, deleted: boolean, replaced: boolean): void {
    const { rows, foreign } = table;
    const row = table.rowOf(route, !deleted);
    if (row < 0) {
      if (deleted) this.#unknownDeleted();
      return;
    }
    const gateway = this.gateways.ofRoute(route, true);
    if (deleted) {
      const entry = foreign.find(rows.foreign[row]!, route, gateway);
      // An IPv6 multipath route may go hop by hop: only a reading says what is left.
      if (entry < 0 || foreign.multipath[entry]) this.#unknownDeleted();
      if (entry >= 0) table.removeForeign(row, entry);
    } else {
      if (replaced) this.#dropReplaced(table, row, route);
      table.addForeign(row, route, gateway);
    }
    if (!this.#adopting) {
      this.resolveDue = true;
      if (rows.nextHop[row] !== 0 || rows.installed[row] !== NO_GATEWAY) table.markDirty(row);
      else rows.releaseIfIdle(row);
    }
  }

  /** A route of the same table and metric, ours included, has been replaced. */
  #dropReplaced(table: FamilyTable, row: number, route: RouteMessage): void {
    const { rows, foreign } = table;
    for (let at = rows.foreign[row]!; at >= 0;) {
      const next = foreign.next[at]!;
      if (foreign.sameKey(at, route)) table.removeForeign(row, at);
      at = next;
    }
    const ours =
      route.table === this.#settings.table && route.priority === this.metric(route.family) && route.tos === 0;
    if (ours && rows.installed[row] !== NO_GATEWAY) this.lost(table, row);
  }

  #unknownDeleted(): void {
    if (!this.replaying && !this.#adopting) this.resync.request(this.#nowMs());
  }

  /** Reads everything again. */
  reread(gatewaysInUse: () => Iterable<number>): void {
    const began = this.#nowMs();
    this.#kernel.discard();
    this.network.clear();
    this.#kernel.readNetwork(this);
    this.#others.clear();
    this.#objects.forgetOthers();
    // Before the routes: this dump waits for the lock (RTNL) that the kernel holds from the message that an interface or
    // address is gone until it has dropped the routes; the dump of routes waits only where there are no nexthop objects.
    this.readNexthops();
    const complete = this.#readRoutes();
    this.networkChanged = this.resolveDue = true;
    this.resync.done(began, this.#nowMs());
    if (!complete) this.resync.request(this.#nowMs());
    this.#sweepGateways(gatewaysInUse);
    // Before anything is written: what was told during the reading is older than what it found.
    for (let i = 0; i < MAX_CATCH_UP && this.hear() === 'messages'; i++);
  }

  #readRoutes(): boolean {
    for (const table of this.tables) {
      const { rows } = table;
      // Whoever was blocked may be free now, and the other way round.
      for (let row = 0; row < rows.rowLimit; row++) {
        rows.flags[row]! &= ~RowFlag.seen;
        if (rows.nextHop[row] !== 0 && (rows.foreign[row]! >= 0 || rows.reason[row] !== Reason.none))
          table.markDirty(row);
      }
      table.clearForeign();
    }
    this.replaying = true;
    this.watcher?.beginReading();
    const complete = this.#kernel.readRoutes(this);
    this.watcher?.endReading(complete);
    for (const table of this.tables) {
      const { rows } = table;
      for (let row = 0; row < rows.rowLimit; row++) {
        if (rows.isFree(row)) continue;
        if (complete && rows.installed[row] !== NO_GATEWAY && !(rows.flags[row]! & RowFlag.seen)) this.lost(table, row);
        rows.flags[row]! &= ~RowFlag.seen;
        rows.releaseIfIdle(row);
      }
    }
    this.resolveDue = true;
    return complete;
  }

  #sweepGateways(inUse: () => Iterable<number>): void {
    if (this.gateways.size < SWEEP_GATEWAYS_FROM) return;
    const used = new Set(inUse());
    for (const { rows, foreign } of this.tables) {
      for (let row = 0; row < rows.rowLimit; row++) {
        if (rows.isFree(row)) continue;
        used.add(rows.installed[row]!);
        for (let at = rows.foreign[row]!; at >= 0; at = foreign.next[at]!) used.add(foreign.gateway[at]!);
      }
    }
    this.gateways.sweep(used);
  }
}
