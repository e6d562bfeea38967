/**
 * The kernel side's core: makes the kernel have what is wanted, and keeps it so. No thread, no socket and no clock of
 * its own, so tests run it against a kernel of their own.
 *
 * One owner: only routes with our protocol, metric and table are written; what the kernel says about them is compared
 * with what is wanted and put right. A prefix that anybody else has a route to is left alone (`blocked`). Everything is
 * level-triggered: rows are marked and looked at again, so coalescing, repeats and fresh readings lose nothing.
 */
// HOT: guarded by the scenarios S7 and S7M.
import type { Family } from 'bgp-parse';
import type { FamilyTable } from './family-table.js';
import { Gateways, NO_GATEWAY } from './gateways.js';
import { type Kernel, type KernelOperation, type NexthopSupport, type RouteMessage } from './kernel.js';
import { KernelMirror } from './kernel-mirror.js';
import { Leads } from './leads.js';
import { NextHopResolver } from './next-hop-resolver.js';
import { NexthopIds } from './nexthop-ids.js';
import { NexthopObjects } from './nexthop-objects.js';
import { NexthopRemoval } from './nexthop-removal.js';
import {
  type FibRow,
  FibStatus,
  type KernelState,
  type NextHopSet,
  type NextHopState,
  ROUTE_RECORD_WORDS,
} from './port.js';
import { NO_ID, RowFlag } from './prefix-table.js';
import { Action, Reason, actionOf, decide, reasonOf, statusOf } from './reconcile.js';
import type { PreferredSource } from './preferred-source.js';
import { Retries } from './retries.js';
import { RouteBatch } from './route-batch.js';
import { StatusReport } from './status-report.js';
import { describeRow, prefixText } from './row-view.js';
import { Targets } from './targets.js';
import { type TunnelEnd, TunnelEnds } from './tunnel-ends.js';
import { WatchedRoutes } from './watched-routes.js';

/** Rows looked at in one slice: those that need no write cost little. */
const MAX_LOOKS = 16384;
const FLUSH_EVERY_MS = 20;
const ERRNO = { EPERM: 1, ENOENT: 2, ESRCH: 3, EEXIST: 17, ENODEV: 19, EINVAL: 22 } as const;

export interface SyncerSettings {
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  /** Follows interfaces and next hops, never writes a route. */
  readonly watchOnly: boolean;
  /** 'auto' = nexthop objects where the kernel has them, else classic next hops. */
  readonly nexthopObjects: 'auto' | 'never';
  /** `table` is that of a VRF device. */
  readonly isVrf?: boolean | undefined;
  /** Default: the kernel's choice. */
  readonly prefSrc?: PreferredSource | undefined;
}

export interface SyncerEvents {
  kernelChanged(state: KernelState): void;
  nextHopsChanged(changes: readonly NextHopState[]): void;
  /** Those of the prefixes given to `watched` that others have a route to. */
  routesPresent(prefixes: readonly string[]): void;
  /** The array is the receiver's to keep. */
  statusChanged(family: Family, pairs: Uint32Array, count: number): void;
  log(level: 'debug' | 'info' | 'warn', fields: object, message: string): void;
  fatal(message: string): void;
}

export class Syncer {
  readonly mirror: KernelMirror;
  readonly resolver: NextHopResolver;
  readonly targets: Targets;
  readonly watched: WatchedRoutes;
  readonly settings: SyncerSettings;
  /** Rows by `FibStatus`. */
  readonly counts = [0, 0, 0, 0];
  /** Routes put back after somebody or something else removed or changed them. */
  repaired = 0;
  readonly support: NexthopSupport;
  readonly objects: NexthopObjects;
  readonly #leads: readonly [Leads, Leads];
  readonly #removal: NexthopRemoval;
  readonly #batch: RouteBatch;
  readonly #tunnelEnds = new TunnelEnds();
  readonly #events: SyncerEvents;
  readonly #nowMs: () => number;
  readonly #retries = [new Retries(), new Retries()] as const;
  readonly #reports: readonly [StatusReport, StatusReport];
  #flushedMs = 0;
  #repairedNow = 0;
  #repairedExample = '';
  #refused = false;

  /** `message` is a scratch route that the syncer fills for the kernel. */
  constructor(
    settings: SyncerSettings,
    kernel: Kernel,
    events: SyncerEvents,
    nowMs: () => number,
    message: RouteMessage,
  ) {
    this.settings = settings;
    this.#events = events;
    this.#nowMs = nowMs;
    const { protocol, watchOnly, nexthopObjects } = settings;
    const ids = new NexthopIds(settings);
    this.support = watchOnly || nexthopObjects === 'never' ? 'none' : kernel.probeNexthops(ids.probe, protocol);
    const gateways = new Gateways();
    this.objects = new NexthopObjects(kernel, gateways, ids, this.support === 'resilientGroups');
    this.mirror = new KernelMirror(settings, kernel, gateways, this.objects, nowMs);
    this.resolver = new NextHopResolver(this.mirror.network, gateways, (address) =>
      this.mirror.tables[address.length === 4 ? 0 : 1].longestMatch(address, protocol),
    );
    this.targets = new Targets(this.resolver, gateways);
    this.watched = new WatchedRoutes(this.mirror.tables, protocol, (prefixes) => events.routesPresent(prefixes));
    const objects = this.support === 'none' ? undefined : this.objects;
    const leads = ({ addressFamily }: FamilyTable) => new Leads(addressFamily, this.targets, gateways, objects, nowMs);
    this.#leads = [leads(this.mirror.tables[0]), leads(this.mirror.tables[1])];
    this.#removal = new NexthopRemoval(this.mirror, this.objects, this.#leads);
    const metric = (addressFamily: number) => this.mirror.metric(addressFamily);
    this.#batch = new RouteBatch({ ...settings, metric }, kernel, gateways, this.objects, message);
    const report = (family: Family) => (pairs: Uint32Array, count: number) =>
      events.statusChanged(family, pairs, count);
    this.#reports = [new StatusReport(report('ipv4-unicast')), new StatusReport(report('ipv6-unicast'))];
  }

  /** Rows that wait to be looked at. */
  get pending(): number {
    return this.mirror.tables[0].pending + this.mirror.tables[1].pending;
  }

  /** Reads everything for the first time; what a previous run left is adopted. */
  start(): KernelState {
    this.mirror.read();
    for (const table of this.mirror.tables) {
      for (let row = 0; row < table.rows.rowLimit; row++) {
        if (table.rows.flags[row]! & RowFlag.adopted) this.#book(table, row, FibStatus.installed, Reason.none, 0);
      }
    }
    this.mirror.networkChanged = false;
    if (!this.settings.watchOnly) {
      this.#events.log('info', { nexthops: this.support }, supportText[this.settings.nexthopObjects][this.support]);
    }
    const adopted = this.counts[FibStatus.installed]!;
    if (adopted) this.#events.log('info', { routes: adopted }, 'adopted the routes of a previous run');
    return this.mirror.network.snapshot();
  }

  trackNextHop(id: number, address: Uint8Array, interfaceName: string | undefined): void {
    const state = this.resolver.track(id, address, interfaceName);
    this.#events.nextHopsChanged([state]);
    this.#nextHopsMoved([id]);
  }

  forgetNextHop(id: number): void {
    this.resolver.forget(id);
    this.targets.forgetNextHop(id);
    this.#tunnelEnds.set(id, undefined);
    this.#nextHopsMoved([id]);
    for (const leads of this.#leads) leads.forget(id);
  }

  /** The speaker's hint that a next hop is of no use (or is again), whatever the kernel says. */
  setNextHopDown(id: number, down: boolean): void {
    if (!this.targets.setDown(id, down)) return;
    // Whether others use our objects must be known before one is removed.
    this.mirror.hear();
    this.#nextHopsMoved([id]);
    this.#settleNexthops();
  }

  defineNextHopSet(id: number, set: NextHopSet): void {
    this.targets.define(id, set);
  }

  forgetNextHopSet(id: number): void {
    this.targets.forget(id);
    for (const leads of this.#leads) leads.forget(id);
  }

  /** Takes what the speaker wants; the layout of records is `ROUTE_RECORD_WORDS`. */
  submit(family: Family, records: Uint32Array, count: number): void {
    if (this.settings.watchOnly) return;
    const table = this.mirror.tables[family === 'ipv4-unicast' ? 0 : 1];
    const { rows } = table;
    const size = ROUTE_RECORD_WORDS[family];
    for (let i = 0, at = 0; i < count; i++, at += size) {
      const row = rows.findOrAdd(records, at + 3, records[at + 2]!);
      rows.prefixId[row] = records[at]!;
      rows.nextHop[row] = records[at + 1]!;
      rows.flags[row] = (rows.flags[row]! & ~RowFlag.adopted) | RowFlag.answerDue;
      table.markDirty(row);
    }
  }

  /** Removes what was adopted and never asked for. */
  sweepStale(): void {
    let swept = 0;
    for (const table of this.mirror.tables) {
      const { rows } = table;
      for (let row = 0; row < rows.rowLimit; row++) {
        if (!(rows.flags[row]! & RowFlag.adopted)) continue;
        rows.flags[row]! &= ~RowFlag.adopted;
        table.markDirty(row);
        swept++;
      }
    }
    if (swept) this.#events.log('info', { routes: swept }, 'removing stale routes of a previous run');
    if (!this.mirror.rereadAfterSweep) return;
    this.mirror.rereadAfterSweep = false;
    this.mirror.resync.request(this.#nowMs());
  }

  /**
   * One slice of work: hear the kernel, then carry out one batch. Returns after how many milliseconds there is more to
   * do by itself: 0 = at once, Infinity = only when the kernel or the speaker speaks.
   */
  step(): number {
    const { mirror } = this;
    const heard = mirror.hear();
    if (heard === 'overrun') {
      this.#events.log('warn', {}, 'the kernel told of changes faster than they were read: reading everything again');
    }
    if (mirror.resync.due(this.#nowMs())) mirror.reread(() => this.#gatewaysInUse());
    this.#settleNetwork();
    const now = this.#nowMs();
    this.#retryLeads(now, false);
    this.#settleNexthops();
    this.#retries.forEach((retries, index) => retries.due(now, (row) => this.mirror.tables[index]!.markDirty(row)));
    this.#settleTunnelEnds();
    this.#removal.removeWhole();
    this.#runBatch();
    this.#flush();
    if (this.pending || heard !== 'empty' || mirror.nexthopsDue) return 0;
    this.#removal.removeIdle();
    const next = Math.min(...this.#retries.map(({ at }) => at), ...this.#leads.map(({ retryAt }) => retryAt));
    return Math.max(0, Math.min(mirror.resync.at, next) - this.#nowMs());
  }

  /** Removes every route of ours, as fast as the kernel goes. */
  removeAll(): void {
    for (const table of this.mirror.tables) {
      const { rows } = table;
      for (let row = 0; row < rows.rowLimit; row++) {
        if (rows.isFree(row)) continue;
        rows.nextHop[row] = 0;
        rows.flags[row]! &= ~(RowFlag.adopted | RowFlag.repair);
        if (rows.installed[row] !== NO_GATEWAY) table.markDirty(row);
      }
    }
    while (this.pending) {
      this.#removal.removeWhole();
      this.#runBatch();
    }
    this.#removal.removeIdle();
  }

  /** Up to `max` rows from `cursor` on; `next` is undefined at the end. */
  rows(cursor: { table: number; row: number }, max: number): { rows: FibRow[]; next: typeof cursor | undefined } {
    const out: FibRow[] = [];
    let { table, row } = cursor;
    for (; table < this.mirror.tables.length; table++, row = 0) {
      const { rows } = this.mirror.tables[table]!;
      for (; row < rows.rowLimit; row++) {
        if (out.length === max) return { rows: out, next: { table, row } };
        if (!rows.isFree(row) && rows.status[row] !== FibStatus.absent) out.push(describeRow(this, table, row));
      }
    }
    return { rows: out, next: undefined };
  }

  /** After links, addresses or foreign routes changed: tell, and resolve next hops anew. */
  #settleNetwork(): void {
    if (this.mirror.networkChanged) {
      this.mirror.networkChanged = false;
      this.#events.kernelChanged(this.mirror.network.snapshot());
      // What failed may work now: do not wait for its turn.
      this.#retries.forEach((retries, index) => retries.hurry((row) => this.mirror.tables[index]!.markDirty(row)));
      this.#retryLeads(this.#nowMs(), true);
    }
    if (!this.mirror.resolveDue) return;
    this.mirror.resolveDue = false;
    this.watched.refresh();
    const changed = this.resolver.refresh();
    if (changed.length === 0) return;
    // What forwards first, then the news.
    this.#nextHopsMoved(changed.map((each) => each.id));
    this.#events.nextHopsChanged(changed);
  }

  /** Next hops lead elsewhere: objects first, all at once, then the rows that cannot stay as they are. */
  #nextHopsMoved(nextHops: readonly number[]): void {
    for (const id of nextHops) this.#tunnelEnds.set(id, this.resolver.get(id)?.tunnelEnd);
    const targets = this.targets.concernedBy(nextHops);
    this.objects.leave(this.#leads.flatMap((leads) => [...leads.wanted(targets)]));
    this.#leads.forEach((leads, index) => {
      const look = [...targets].filter((target) => leads.refresh(target));
      this.#markUsersOf(this.mirror.tables[index]!, look);
    });
  }

  #retryLeads(nowMs: number, all: boolean): void {
    this.#leads.forEach((leads, index) => this.#markUsersOf(this.mirror.tables[index]!, leads.retry(nowMs, all)));
  }

  #markUsersOf(table: FamilyTable, targets: readonly number[]): void {
    if (targets.length === 0) return;
    const wanted = new Set(targets);
    const { nextHop, rowLimit } = table.rows;
    for (let row = 0; row < rowLimit; row++) {
      if (nextHop[row] !== 0 && wanted.has(nextHop[row]!)) table.markDirty(row);
    }
  }

  /** Routes that cover an end of a tunnel may now be such as take its packets along, or such no longer. */
  #settleTunnelEnds(): void {
    for (const { address, underlayLength } of this.#tunnelEnds.takeChanged()) {
      const table = this.mirror.tables[address.length === 4 ? 0 : 1];
      table.forEachCovering(address, underlayLength + 1, (row) => {
        if (table.rows.nextHop[row] !== 0) table.markDirty(row);
      });
    }
  }

  /**
   * The end of a tunnel whose packets a row's route would take, into a tunnel of ours: in circles, which the kernel ends
   * by dropping them. Undefined = none.
   */
  tunnelEndTaken(table: FamilyTable, row: number): TunnelEnd | undefined {
    const { address, length, nextHop, words } = table.rows;
    const end = this.#tunnelEnds.covered(address, row * words, length[row]!, words);
    if (!end) return undefined;
    const { hops, standby } = this.targets.leadOf(nextHop[row]!, table.addressFamily);
    const { gateways } = this.mirror;
    const intoTunnel = [...hops, ...standby].some(({ gateway }) =>
      this.#tunnelEnds.isTunnel(gateways.get(gateway)?.interfaceIndex ?? 0),
    );
    return intoTunnel ? end : undefined;
  }

  /** Objects that were changed or have gone, and those that no target needs any more. */
  #settleNexthops(): void {
    if (this.mirror.nexthopsDue) {
      const repaired = this.mirror.readNexthops();
      this.repaired += repaired;
      for (const leads of this.#leads) leads.watchIncomplete();
      if (repaired) {
        this.#events.log('warn', { nexthops: repaired }, 'put right nexthop objects that somebody had changed');
      }
    }
    this.#removal.removeDropped();
  }

  *#gatewaysInUse(): Iterable<number> {
    for (const { gateway } of this.resolver.all()) yield gateway;
    yield* this.objects.gatewaysInUse();
    for (const leads of this.#leads) yield* leads.gatewaysInUse();
  }

  // Writing.

  #runBatch(): void {
    const batch = this.#batch;
    let looks = 0;
    for (const [index, table] of this.mirror.tables.entries()) {
      while (!batch.isFull && looks++ < MAX_LOOKS) {
        const row = table.takeDirty();
        if (row < 0) break;
        this.#lookAt(index, table, row);
      }
    }
    if (batch.count === 0) return;
    const result = batch.commit();
    if (result === 'overrun') this.mirror.resync.request(this.#nowMs(), true);
    for (let position = 0; position < batch.count; position++) this.#settle(position);
    batch.clear();
  }

  /** Decides about a row and queues what it needs. */
  #lookAt(index: number, table: FamilyTable, row: number): void {
    const { rows } = table;
    if (this.settings.watchOnly) return;
    const target = rows.nextHop[row]!;
    const installed = rows.installed[row]!;
    const blocked = target !== 0 && table.blocker(row, this.settings.table) >= 0;
    const code = target === 0 || blocked ? NO_GATEWAY : this.#leads[index]!.codeOf(target);
    const loops = this.#tunnelEnds.size > 0 && target !== 0 && this.tunnelEndTaken(table, row) !== undefined;
    const packed = decide(target !== 0, code, installed, blocked, loops, (rows.flags[row]! & RowFlag.adopted) !== 0);
    const action = actionOf(packed);
    if (action === Action.none) {
      rows.flags[row]! &= ~(RowFlag.repair | RowFlag.removeFirst);
      this.#retries[index]!.forget(row);
      this.#setStatus(table, row, packed);
      return;
    }
    const batch = this.#batch;
    if (action === Action.add && rows.flags[row]! & RowFlag.removeFirst) batch.addRemoval(table, row);
    batch.add(action as KernelOperation, index, table, row, packed, code);
  }

  /** Books the kernel's verdict on one position of the batch. */
  #settle(position: number): void {
    const batch = this.#batch;
    const row = batch.row[position]!;
    if (row < 0) return;
    const index = batch.table[position]!;
    const table = this.mirror.tables[index]!;
    const { rows } = table;
    const packed = batch.decision[position]!;
    const action = actionOf(packed);
    const errno = batch.errno[position]!;
    const gone = action === Action.remove && (errno === ERRNO.ESRCH || errno === ERRNO.ENODEV);
    if (errno !== 0 && !gone) {
      this.#failed(index, table, row, action, errno);
      return;
    }
    table.setInstalled(row, batch.code[position]!);
    this.#retries[index]!.forget(row);
    if (action !== Action.remove && rows.flags[row]! & RowFlag.repair) {
      this.repaired++;
      this.#repairedNow++;
      this.#repairedExample ||= prefixText(table, row);
    }
    if (action !== Action.remove) rows.flags[row]! &= ~RowFlag.repair;
    rows.flags[row]! &= ~(RowFlag.removeFirst | RowFlag.adopted);
    this.#setStatus(table, row, packed);
  }

  #failed(index: number, table: FamilyTable, row: number, action: Action, errno: number): void {
    const { rows } = table;
    const now = this.#nowMs();
    if (errno === ERRNO.EPERM && !this.#refused) {
      this.#refused = true;
      this.#events.fatal('the kernel refuses route changes (EPERM): run with CAP_NET_ADMIN, or set fib.enabled: false');
    }
    const attempt = this.#retries[index]!.failed(row, now);
    if (action === Action.add && errno === ERRNO.EEXIST) {
      if (rows.flags[row]! & RowFlag.removeFirst) {
        // Not ours, since removing ours did not help: find out whose it is.
        rows.flags[row]! &= ~RowFlag.removeFirst;
        this.mirror.resync.request(now);
      } else {
        rows.flags[row]! |= RowFlag.removeFirst;
        if (attempt === 1) table.markDirty(row);
        return;
      }
    }
    // Perhaps because of the object it should point at.
    if (errno === ERRNO.EINVAL && this.support !== 'none') this.mirror.nexthopsDue = true;
    if (action === Action.replace && (errno === ERRNO.ENOENT || errno === ERRNO.ESRCH)) {
      this.mirror.lost(table, row);
      if (attempt === 1) return;
    }
    this.#book(table, row, FibStatus.failed, Reason.errno, errno);
  }

  /** Books a decision that has been carried out. */
  #setStatus(table: FamilyTable, row: number, packed: number): void {
    const reason = reasonOf(packed);
    if (reason === Reason.unreachable) {
      const errno = this.#leads[table === this.mirror.tables[0] ? 0 : 1].errnoOf(table.rows.nextHop[row]!);
      if (errno !== 0) {
        this.#book(table, row, FibStatus.failed, Reason.errno, errno);
        return;
      }
    }
    this.#book(table, row, statusOf(packed), reason, 0);
  }

  #book(table: FamilyTable, row: number, status: number, reason: number, errno: number): void {
    const { rows } = table;
    const before = rows.status[row]!;
    rows.reason[row] = reason;
    rows.errno[row] = errno;
    if (before !== status) {
      this.counts[before]!--;
      this.counts[status]!++;
      rows.status[row] = status;
    }
    const id = rows.prefixId[row]!;
    if (id !== NO_ID && (before !== status || rows.flags[row]! & RowFlag.answerDue)) {
      this.#reports[table === this.mirror.tables[0] ? 0 : 1].push(id, status);
    }
    rows.flags[row]! &= ~RowFlag.answerDue;
    if (rows.nextHop[row] !== 0 || status !== FibStatus.absent) return;
    // The speaker has its answer and does not want the prefix: its id may name another one from now on.
    rows.prefixId[row] = NO_ID;
    rows.flags[row]! &= ~RowFlag.repair;
    rows.releaseIfIdle(row);
  }

  /** Tells what has been done, seldom while there is more to do: every telling costs both threads. */
  #flush(): void {
    const now = this.#nowMs();
    if (this.pending === 0 || now - this.#flushedMs >= FLUSH_EVERY_MS) {
      this.#flushedMs = now;
      for (const report of this.#reports) report.flush();
    }
    if (this.#repairedNow && this.pending === 0) {
      const fields = { routes: this.#repairedNow, first: this.#repairedExample, total: this.repaired };
      this.#events.log('warn', fields, 'put back routes that the kernel had lost or somebody had changed');
      this.#repairedNow = 0;
      this.#repairedExample = '';
    }
  }
}

const supportText = {
  auto: {
    none: 'this kernel has no nexthop objects: routes get classic next hops',
    groups: 'routes point at nexthop objects; groups by hash threshold, since this kernel has no resilient ones',
    resilientGroups: 'routes point at nexthop objects; groups are resilient',
  },
  never: {
    none: 'routes get classic next hops, as configured',
    groups: '',
    resilientGroups: '',
  },
} as const;
