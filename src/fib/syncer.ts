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
import { BLACKHOLE_GATEWAY, NO_GATEWAY, OTHER_GATEWAY } from './gateways.js';
import { KernelOperation, type Kernel, type RouteMessage } from './kernel.js';
import { KernelMirror } from './kernel-mirror.js';
import { NextHopResolver } from './next-hop-resolver.js';
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
import { Retries } from './retries.js';
import { StatusReport } from './status-report.js';
import { describeRow, prefixText } from './row-view.js';
import { Targets } from './targets.js';

const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const MAX_BATCH = 256;
const ERRNO = { EPERM: 1, ENOENT: 2, ESRCH: 3, EEXIST: 17, ENODEV: 19 } as const;

export interface SyncerSettings {
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  /** Follows interfaces and next hops, never writes a route. */
  readonly watchOnly: boolean;
}

export interface SyncerEvents {
  kernelChanged(state: KernelState): void;
  nextHopsChanged(changes: readonly NextHopState[]): void;
  /** The array is the receiver's to keep. */
  statusChanged(family: Family, pairs: Uint32Array, count: number): void;
  log(level: 'debug' | 'info' | 'warn', fields: object, message: string): void;
  fatal(message: string): void;
}

export class Syncer {
  readonly mirror: KernelMirror;
  readonly resolver: NextHopResolver;
  readonly targets: Targets;
  readonly settings: SyncerSettings;
  /** Rows by `FibStatus`. */
  readonly counts = [0, 0, 0, 0];
  /** Routes put back after somebody or something else removed or changed them. */
  repaired = 0;
  readonly #kernel: Kernel;
  readonly #events: SyncerEvents;
  readonly #nowMs: () => number;
  readonly #retries = [new Retries(), new Retries()] as const;
  readonly #reports: readonly [StatusReport, StatusReport];
  readonly #message: RouteMessage;
  /** Of the batch under way, by position. */
  readonly #batchTable = new Uint8Array(MAX_BATCH * 2);
  readonly #batchRow = new Int32Array(MAX_BATCH * 2);
  readonly #batchDecision = new Uint32Array(MAX_BATCH * 2);
  readonly #batchGateway = new Uint32Array(MAX_BATCH * 2);
  readonly #batchErrno = new Uint16Array(MAX_BATCH * 2);
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
    this.#kernel = kernel;
    this.#events = events;
    this.#nowMs = nowMs;
    this.#message = message;
    this.mirror = new KernelMirror(settings, kernel, nowMs);
    this.resolver = new NextHopResolver(this.mirror.network, this.mirror.gateways, (address) =>
      this.mirror.tables[address.length === 4 ? 0 : 1].longestMatch(address, settings.protocol),
    );
    this.targets = new Targets(this.resolver, this.mirror.gateways);
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
        if (table.rows.flags[row]! & RowFlag.adopted) this.#setStatus(table, row, FibStatus.installed, Reason.none, 0);
      }
    }
    this.mirror.networkChanged = false;
    const adopted = this.counts[FibStatus.installed]!;
    if (adopted) this.#events.log('info', { routes: adopted }, 'adopted the routes of a previous run');
    return this.mirror.network.snapshot();
  }

  trackNextHop(id: number, address: Uint8Array, interfaceName: string | undefined): void {
    const state = this.resolver.track(id, address, interfaceName);
    this.#events.nextHopsChanged([state]);
    this.#markUsersOf([id]);
  }

  forgetNextHop(id: number): void {
    this.resolver.forget(id);
    this.targets.forgetNextHop(id);
    this.#markUsersOf([id]);
  }

  /** The speaker's hint that a next hop is of no use (or is again), whatever the kernel says. */
  setNextHopDown(id: number, down: boolean): void {
    if (this.targets.setDown(id, down)) this.#markUsersOf([id]);
  }

  defineNextHopSet(id: number, set: NextHopSet): void {
    this.targets.define(id, set);
  }

  forgetNextHopSet(id: number): void {
    this.targets.forget(id);
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
    if (mirror.resync.due(this.#nowMs())) mirror.reread(this.resolver.all());
    this.#settleNetwork();
    const now = this.#nowMs();
    this.#retries.forEach((retries, index) => retries.due(now, (row) => this.mirror.tables[index]!.markDirty(row)));
    this.#runBatch();
    this.#flush();
    if (this.pending || heard !== 'empty') return 0;
    return Math.max(0, Math.min(mirror.resync.at, this.#retries[0].at, this.#retries[1].at) - this.#nowMs());
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
    while (this.pending) this.#runBatch();
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
    }
    if (!this.mirror.resolveDue) return;
    this.mirror.resolveDue = false;
    const changed = this.resolver.refresh();
    if (changed.length === 0) return;
    this.#events.nextHopsChanged(changed);
    this.#markUsersOf(changed.map((each) => each.id));
  }

  #markUsersOf(nextHops: readonly number[]): void {
    const ids = this.targets.concernedBy(nextHops);
    for (const table of this.mirror.tables) {
      const { nextHop, rowLimit } = table.rows;
      for (let row = 0; row < rowLimit; row++) {
        if (nextHop[row] !== 0 && ids.has(nextHop[row]!)) table.markDirty(row);
      }
    }
  }

  // Writing.

  #runBatch(): void {
    let count = 0;
    let lookedAt = 0;
    for (const [index, table] of this.mirror.tables.entries()) {
      // Rows that need no write cost little: look at more of them in one slice.
      while (count < MAX_BATCH && lookedAt < MAX_BATCH * 64) {
        const row = table.takeDirty();
        if (row < 0) break;
        lookedAt++;
        count = this.#lookAt(index, table, row, count);
      }
    }
    if (count === 0) return;
    this.#batchErrno.fill(0, 0, count);
    const result = this.#kernel.commit((position, errno) => {
      this.#batchErrno[position] = errno;
    });
    if (result === 'overrun') this.mirror.resync.request(this.#nowMs(), true);
    for (let position = 0; position < count; position++) this.#settle(position);
  }

  /** Decides about a row and queues what it needs; the batch's new length. */
  #lookAt(index: number, table: FamilyTable, row: number, count: number): number {
    const { rows } = table;
    if (this.settings.watchOnly) return count;
    const nextHop = rows.nextHop[row]!;
    const gateway = nextHop === 0 ? NO_GATEWAY : this.targets.gatewayFor(nextHop, table.addressFamily);
    const installed = rows.installed[row]!;
    const blocked = nextHop !== 0 && table.blocker(row, this.settings.table) >= 0;
    const packed = decide(nextHop !== 0, gateway, installed, blocked, (rows.flags[row]! & RowFlag.adopted) !== 0);
    const action = actionOf(packed);
    if (action === Action.none) {
      rows.flags[row]! &= ~(RowFlag.repair | RowFlag.removeFirst);
      this.#retries[index]!.forget(row);
      this.#setStatus(table, row, statusOf(packed), reasonOf(packed), 0);
      return count;
    }
    if (action === Action.add && rows.flags[row]! & RowFlag.removeFirst) {
      this.#queue(KernelOperation.remove, table, row, OTHER_GATEWAY);
      // Its verdict does not matter: position without a row.
      this.#batchRow[count++] = -1;
    }
    const operation = action as KernelOperation;
    this.#queue(operation, table, row, gateway);
    this.#batchTable[count] = index;
    this.#batchRow[count] = row;
    this.#batchDecision[count] = packed;
    this.#batchGateway[count] = action === Action.remove ? NO_GATEWAY : gateway;
    return count + 1;
  }

  #queue(operation: KernelOperation, table: FamilyTable, row: number, gatewayId: number): void {
    const message = this.#message;
    message.clear();
    message.family = table.addressFamily;
    message.dstLength = table.rows.length[row]!;
    table.storeAddress(row, message.dst);
    message.table = this.settings.table;
    message.protocol = this.settings.protocol;
    message.priority = this.mirror.metric(table.addressFamily);
    if (operation === KernelOperation.remove) message.scope = RT_SCOPE_NOWHERE;
    else if (gatewayId === BLACKHOLE_GATEWAY) message.type = RTN_BLACKHOLE;
    else {
      const gateway = this.mirror.gateways.get(gatewayId)!;
      message.type = RTN_UNICAST;
      message.flags = gateway.onlink ? RTNH_F_ONLINK : 0;
      message.gatewayFamily = gateway.family;
      message.gateway.set(gateway.bytes);
      message.interfaceIndex = gateway.interfaceIndex;
    }
    this.#kernel.queue(operation, message);
  }

  /** Books the kernel's verdict on one position of the batch. */
  #settle(position: number): void {
    const row = this.#batchRow[position]!;
    if (row < 0) return;
    const index = this.#batchTable[position]!;
    const table = this.mirror.tables[index]!;
    const { rows } = table;
    const packed = this.#batchDecision[position]!;
    const action = actionOf(packed);
    const errno = this.#batchErrno[position]!;
    const gone = action === Action.remove && (errno === ERRNO.ESRCH || errno === ERRNO.ENODEV);
    if (errno !== 0 && !gone) {
      this.#failed(index, table, row, action, errno);
      return;
    }
    rows.installed[row] = this.#batchGateway[position]!;
    this.#retries[index]!.forget(row);
    if (action !== Action.remove && rows.flags[row]! & RowFlag.repair) {
      this.repaired++;
      this.#repairedNow++;
      this.#repairedExample ||= prefixText(table, row);
    }
    if (action !== Action.remove) rows.flags[row]! &= ~RowFlag.repair;
    rows.flags[row]! &= ~(RowFlag.removeFirst | RowFlag.adopted);
    this.#setStatus(table, row, statusOf(packed), reasonOf(packed), 0);
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
    if (action === Action.replace && (errno === ERRNO.ENOENT || errno === ERRNO.ESRCH)) {
      this.mirror.lost(table, row);
      if (attempt === 1) return;
    }
    this.#setStatus(table, row, FibStatus.failed, Reason.errno, errno);
  }

  #setStatus(table: FamilyTable, row: number, status: number, reason: number, errno: number): void {
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

  #flush(): void {
    for (const report of this.#reports) report.flush();
    if (this.#repairedNow && this.pending === 0) {
      const fields = { routes: this.#repairedNow, first: this.#repairedExample, total: this.repaired };
      this.#events.log('warn', fields, 'put back routes that the kernel had lost or somebody had changed');
      this.#repairedNow = 0;
      this.#repairedExample = '';
    }
  }
}
