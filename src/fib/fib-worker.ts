/**
 * The FIB thread: one loop that waits in `poll` for the kernel or the main thread, then works in slices.
 *
 * Messages are taken with `receiveMessageOnPort`, so nothing the loop does is ever later than one slice (1,024 route
 * changes) and the submissions that are under way.
 */
import { workerData, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { RouteMessage, clearWakeup, currentThreadId, pollReadable } from 'netlink';
import { systemClock } from '../support/clock.js';
import type { PackedDifferences } from './differences.js';
import { DiffRunner } from './diff-runner.js';
import { HostKeeper } from './host-keeper.js';
import { familyOf } from './messages.js';
import type { Counts, FromWorker, ToWorker, WorkerStart } from './messages.js';
import { NetlinkKernel } from './netlink-kernel.js';
import { FibStatus } from './port.js';
import { Tunnels } from './encapsulation/tunnels.js';
import { Syncer, type SyncerEvents } from './syncer.js';
import { warmUpSlices } from './warm-up.js';

/** Counts are told this often while there is work. */
const TELL_EVERY_MS = 20;
/** Longest wait, so that a process that ends without `stop` is not held up for longer. */
const MAX_WAIT_MS = 250;
/** Warming up waits for the start to be over, and goes on while there is nothing to do. */
const WARM_UP_AFTER_MS = 600;
const WARM_UP_EVERY_MS = 5;

/** What is taken in the order it was said: an id is forgotten only after the records that stopped naming it. */
type Submission = Exclude<ToWorker, { type: 'rows' | 'diff' | 'stop' | 'duties' | 'watch' }>;

class FibWorker implements SyncerEvents {
  readonly #port: MessagePort;
  readonly #wakeFd: number;
  readonly #kernel: NetlinkKernel;
  readonly #syncer: Syncer;
  /** Undefined where nothing is written. */
  readonly #keeper: HostKeeper | undefined;
  readonly #tunnels: Tunnels;
  readonly #diffs: DiffRunner;
  readonly #submissions: Submission[] = [];
  /** Ids whose forgetting waits among the submissions. */
  readonly #leaving = new Map<number, number>();
  readonly #encapsulation: WorkerStart['encapsulation'];
  #toldMs = 0;
  #warmUp: Iterator<void> | undefined;
  readonly #startedMs = systemClock.nowMs();
  #stop: { keepRoutes: boolean } | undefined;
  #told: Counts = { installed: 0, pending: 0, failed: 0, repaired: 0 };

  constructor(start: WorkerStart) {
    this.#port = start.port;
    this.#wakeFd = start.wakeFd;
    this.#kernel = NetlinkKernel.open(start.receiveBuffer);
    this.#syncer = new Syncer(start.settings, this.#kernel, this, () => systemClock.nowMs(), new RouteMessage());
    this.#tunnels = new Tunnels(
      this.#syncer,
      (level, fields, text) => this.log(level, fields, text),
      () => systemClock.nowMs(),
    );
    this.#diffs = new DiffRunner(
      this.#syncer,
      this.#kernel,
      () => systemClock.nowMs(),
      (requests, differences) => this.#tellDifferences(requests, differences),
    );
    this.#encapsulation = start.encapsulation;
    if (start.settings.watchOnly) return;
    this.#warmUp = warmUpSlices(start.settings);
    this.#keeper = new HostKeeper(start.settings, this, () => systemClock.nowMs());
    this.#syncer.mirror.watcher = this.#keeper.blackholes;
    this.#keeper.set(start.duties);
  }

  run(): void {
    const state = this.#syncer.start();
    this.#tunnels.configure(this.#encapsulation);
    this.#told = this.#counts();
    this.#tell({ type: 'ready', state, counts: this.#told, threadId: currentThreadId() });
    this.#turn();
  }

  /** A thread that dies leaves its descriptors open: another one takes over, and the kernel goes on filling them. */
  #guardedTurn(): void {
    try {
      this.#turn();
    } catch (error) {
      this.#kernel.close();
      throw error;
    }
  }

  #turn(): void {
    this.#hear();
    if (this.#stop) {
      if (!this.#stop.keepRoutes) this.#syncer.removeAll();
      this.#keeper?.stop(this.#stop.keepRoutes);
      this.#tunnels.stop(this.#stop.keepRoutes);
      this.#diffs.close();
      this.#kernel.close();
      this.#tell({ type: 'stopped' });
      this.#port.close();
      return;
    }
    // All of it before anything is written: it costs little, the kernel takes routes best in an order of many, and
    // the routes of a lost peer are seen to be all that its object has.
    while (this.#submissions.length) this.#absorb(this.#submissions.shift()!);
    this.#tunnels.step();
    const dueMs = Math.min(this.#keeper?.step() ?? Infinity, this.#syncer.step());
    this.#tellCounts();
    const isComparing = this.#compare();
    const waitMs = isComparing || dueMs <= 0 ? 0 : this.#warmUpUntil(dueMs);
    const host = this.#keeper?.takeState();
    if (host) this.#tell({ type: 'host', state: host });
    if (waitMs > 0) {
      const fds = [this.#wakeFd, this.#kernel.monitorFd, ...(this.#keeper?.fds ?? []), ...this.#tunnels.fds];
      pollReadable(fds, Math.ceil(Math.min(waitMs, MAX_WAIT_MS)));
    }
    // Through the event loop, so that the thread can be ended and its garbage is finalized.
    systemClock.soon(() => this.#guardedTurn());
  }

  /** Idle for `dueMs`: some of it goes into warming up. Returns the rest. */
  #warmUpUntil(dueMs: number): number {
    if (!this.#warmUp || systemClock.nowMs() - this.#startedMs < WARM_UP_AFTER_MS) return dueMs;
    if (this.#warmUp.next().done) this.#warmUp = undefined;
    return Math.min(dueMs, WARM_UP_EVERY_MS);
  }

  #hear(): void {
    clearWakeup(this.#wakeFd);
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: ToWorker } | undefined;
      if (!received) return;
      const { message } = received;
      switch (message.type) {
        case 'submit':
        case 'sweep':
          this.#submissions.push(message);
          break;
        case 'forget':
        case 'forgetSet':
          this.#leaving.set(message.id, (this.#leaving.get(message.id) ?? 0) + 1);
          this.#submissions.push(message);
          break;
        case 'track':
        case 'define':
        case 'down':
        case 'encapsulate':
        case 'ownNextHop':
          // At once, since somebody waits for it; but not before the id's old meaning has gone.
          if ('id' in message && this.#leaving.has(message.id)) this.#submissions.push(message);
          else this.#absorb(message);
          break;
        case 'rows':
          this.#tell({ type: 'rows', request: message.request, ...this.#syncer.rows(message.cursor, message.max) });
          break;
        case 'diff':
          this.#diffs.request(message.request);
          break;
        case 'duties':
          this.#keeper?.set(message.duties);
          break;
        case 'watch':
          this.#syncer.watched.set(message.prefixes);
          break;
        case 'stop':
          this.#stop = message;
          break;
      }
    }
  }

  #absorb(submission: Submission): void {
    switch (submission.type) {
      case 'submit':
        this.#syncer.submit(familyOf(submission.family), submission.records, submission.count);
        this.#tell({ type: 'absorbed' });
        break;
      case 'sweep':
        this.#syncer.sweepStale();
        this.#tunnels.forgotten();
        break;
      case 'encapsulate':
        this.#encapsulate(submission.settings);
        break;
      case 'ownNextHop':
        this.#tunnels.tellOwn(submission.address);
        break;
      case 'track':
        this.#syncer.trackNextHop(submission.id, submission.address, submission.interfaceName);
        break;
      case 'forget':
        this.#gone(submission.id);
        this.#syncer.forgetNextHop(submission.id);
        this.#tunnels.forgotten();
        break;
      case 'down':
        this.#syncer.setNextHopDown(submission.id, submission.down);
        break;
      case 'define':
        this.#syncer.defineNextHopSet(submission.id, submission.set);
        break;
      case 'forgetSet':
        this.#gone(submission.id);
        this.#syncer.forgetNextHopSet(submission.id);
        break;
    }
  }

  /** By a reload: what cannot be is said, and the routes it concerns wait. */
  #encapsulate(settings: WorkerStart['encapsulation']): void {
    try {
      this.#tunnels.configure(settings);
    } catch (error) {
      this.log('warn', {}, error instanceof Error ? error.message : String(error));
    }
  }

  /** One slice of the comparison that somebody has asked for; whether there is more. */
  #compare(): boolean {
    try {
      return this.#diffs.step();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.log('warn', {}, `reading the kernel for a comparison: ${text}`);
      this.#tellDifferences(this.#diffs.abandon(), undefined);
      return true;
    }
  }

  #tellDifferences(requests: readonly number[], differences: PackedDifferences | undefined): void {
    for (const request of requests) this.#tell({ type: 'diff', request, differences });
  }

  #gone(id: number): void {
    const left = this.#leaving.get(id)! - 1;
    if (left > 0) this.#leaving.set(id, left);
    else this.#leaving.delete(id);
  }

  #counts(): Counts {
    const { counts, repaired } = this.#syncer;
    return {
      installed: counts[FibStatus.installed]!,
      pending: counts[FibStatus.pending]!,
      failed: counts[FibStatus.failed]!,
      repaired: repaired + this.#tunnels.repaired,
    };
  }

  #tellCounts(): void {
    const now = this.#counts();
    const { installed, pending, failed, repaired } = this.#told;
    if (this.#syncer.pending && systemClock.nowMs() - this.#toldMs < TELL_EVERY_MS) return;
    this.#toldMs = systemClock.nowMs();
    const same = now.installed === installed && now.pending === pending && now.failed === failed;
    if (same && now.repaired === repaired) return;
    this.#told = now;
    this.#tell({ type: 'counts', counts: now });
  }

  #tell(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  // What the syncer tells.

  kernelChanged: SyncerEvents['kernelChanged'] = (state) => this.#tell({ type: 'kernel', state });
  nextHopsChanged: SyncerEvents['nextHopsChanged'] = (changes) => {
    const plain = changes.map(({ id, resolvable, metric, detail }) => ({ id, resolvable, metric, detail }));
    this.#tell({ type: 'nextHops', changes: plain });
  };
  routesPresent: SyncerEvents['routesPresent'] = (prefixes) => this.#tell({ type: 'routesPresent', prefixes });
  statusChanged: SyncerEvents['statusChanged'] = (family, pairs, count) =>
    this.#tell({ type: 'status', family, pairs, count });
  log: SyncerEvents['log'] = (level, fields, text) => this.#tell({ type: 'log', level, fields, text });
  fatal: SyncerEvents['fatal'] = (text) => this.#tell({ type: 'fatal', text });
}

new FibWorker(workerData as WorkerStart).run();
