/**
 * The turn: decide what is dirty, tell the update groups and the kernel side, serve who lags, free what is unused.
 *
 *   receive ─► dirty ─┐
 *   peers down ───────┼─► drain ─► ChangeBatch ─┬─► exporter ─► sockets
 *   next hops ────────┘                         ├─► fib feed ─► worker
 *                                               └─► observers (monitor)
 *
 * A turn lasts a few milliseconds and then lets input and timers have theirs. It runs in Node's check phase, after all
 * sockets that were readable have been read: what arrived together goes out together.
 */
import { Exporter } from './export/exporter.js';
import { HoldBack } from './export/hold-back.js';
import { FibFeed } from './fib/fib-feed.js';
import type { FeedPort } from './fib/fib-feed.js';
import { FibStatus } from './fib/port.js';
import type { FibPort } from './fib/port.js';
import { BATCH_PREFIXES, ChangeBatch } from './rib/change-batch.js';
import type { Identity } from './rib/columns/attribute-pool.js';
import type { FamilyRib } from './rib/family-rib.js';
import type { MultipathSettings } from './rib/multipath.js';
import { Rib } from './rib/rib.js';
import type { RibPeer } from './rib/rib-peers.js';
import type { Clock } from './support/clock.js';
import type { Family } from 'bgp-parse';

/** Longest turn, milliseconds: keepalives and BFD hints wait no longer than this and one batch. */
const TURN_MS = 8;

/**
 * With this many members a turn is mostly writes to sockets, one or two each, whatever little it has to say. Then the
 * next turn waits as long as the last one took, so that at most half of the time goes into them and a burst of many
 * peers becomes few messages. Bench S4b: 500 clients start to talk within some milliseconds.
 */
const WIDE_MEMBERS = 32;
const MAX_GATHER_MS = 10;

/**
 * Dirty prefixes from which on input waits for a turn. With one sender every prefix is dirty for one reason: two batches,
 * so that little waits in memory and receivers have work early (S1). With several, what they say of the same prefixes is
 * decided once if it is let come in (S3).
 */
const DIRTY_LIMIT_ONE_SENDER = 2 * BATCH_PREFIXES;
const DIRTY_LIMIT = 32 * BATCH_PREFIXES;
/** Senders count as several for this long after two of them were heard in one turn. */
const SEVERAL_SENDERS_MS = 1000;

/** Prefixes looked at between two looks at the clock while changed policies are applied: up to 2 µs each. */
const WALK_PREFIXES = 2048;

/** Reads each batch after the stages have; must be quick. */
export type ChangeObserver = (rib: FamilyRib, batch: ChangeBatch) => void;

/** What the pipeline uses of the kernel side. */
export type PipelineFib = FeedPort & Pick<FibPort, 'trackNextHop' | 'forgetNextHop' | 'nextHopDown' | 'nextHopUp'>;

export interface PipelineOptions {
  readonly identity: Identity;
  readonly clock: Clock;
  readonly seed: number;
  readonly fib: PipelineFib | undefined;
  /** Default: the best path alone. */
  readonly multipath?: MultipathSettings;
  /** Next hops to fall back to are worked out beforehand; default false. */
  readonly fibBackup?: boolean;
  /** Tell nobody of a prefix until the kernel has it. */
  readonly advertiseWhenInstalled?: boolean;
  readonly onEndOfRib: (peer: RibPeer, family: Family) => void;
  /** Prefixes per slice of a walk over the table; default: a few milliseconds at most. */
  readonly walkPrefixes?: number;
}

export class Pipeline {
  readonly rib: Rib;
  readonly exporter: Exporter;
  readonly fibFeed: FibFeed | undefined;
  /** Off unless `advertise: whenInstalled`. */
  readonly #holdBack: HoldBack | undefined;
  readonly observers = new Set<ChangeObserver>();
  /** Claims prefix ids that an observer still needs. */
  holders: ((rib: FamilyRib, id: number) => boolean)[] = [];
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #batch = new ChangeBatch();
  readonly #walkPrefixes: number;
  /** Asked for every empty prefix when the table is cleaned up: nothing is allocated here. */
  readonly #held = (family: FamilyRib, id: number): boolean => {
    if (this.exporter.holds(family, id)) return true;
    const { holders } = this;
    for (let i = 0; i < holders.length; i++) if (holders[i]!(family, id)) return true;
    return false;
  };
  #whenIdle: (() => void)[] = [];
  #whenJudged: (() => void)[] = [];
  #scheduled = false;
  /** Who was heard last since the last turn, 0 = nobody. */
  #sender = 0;
  #severalUntilMs = 0;
  #notBeforeMs = 0;
  /** When what can wait for the next turn does. */
  #deadlineMs = 0;
  #stopped = false;

  constructor(options: PipelineOptions) {
    const { fib, clock } = options;
    this.#clock = clock;
    this.#startedMs = clock.nowMs();
    this.#walkPrefixes = options.walkPrefixes ?? WALK_PREFIXES;
    this.rib = new Rib({
      identity: options.identity,
      seed: options.seed,
      onEndOfRib: options.onEndOfRib,
      nextHopTracker: fib && {
        track: (id, address, interfaceName) => fib.trackNextHop(id, address, interfaceName),
        forget: (id) => fib.forgetNextHop(id),
        lost: (id) => fib.nextHopDown(id),
        found: (id) => fib.nextHopUp(id),
      },
    });
    if (options.multipath) this.rib.multipath.settings = options.multipath;
    this.exporter = new Exporter(this.rib, options.identity, () => clock.nowMs() >= this.#deadlineMs);
    const feed = fib && new FibFeed(this.rib, fib, options.fibBackup ?? false);
    this.fibFeed = feed;
    this.#holdBack =
      feed &&
      new HoldBack({
        rib: this.rib,
        isInstalled: (family, id) => feed.status(family, id) === FibStatus.installed,
        isUnanswered: (family, id) => feed.status(family, id) === FibStatus.absent,
        export: (family, batch) => this.exporter.apply(family, batch),
      });
    this.advertiseWhenInstalled(options.advertiseWhenInstalled ?? false);
  }

  /** Something has happened: run a turn once the input that is ready has been read. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    const waitMs = this.#notBeforeMs - this.#clock.nowMs();
    if (waitMs <= 0) this.#clock.soon(this.#runTurn);
    else this.#clock.after(waitMs, this.#runTurn);
  }

  /** A field: a closure in `schedule` would cost 40 octets for every UPDATE, also when a turn is scheduled already. */
  readonly #runTurn = (): void => {
    this.#scheduled = false;
    if (!this.#stopped) this.turn();
  };

  /**
   * Called after each UPDATE: many sockets, or one with much to read, may fill a whole loop iteration with input. Then a
   * turn runs in between, so that what is waiting stays bounded and receivers have something to do meanwhile.
   */
  relieve(senderId: number): void {
    if (senderId !== this.#sender) {
      if (this.#sender !== 0) this.#severalUntilMs = this.#clock.nowMs() + SEVERAL_SENDERS_MS;
      this.#sender = senderId;
    }
    const [v4, v6] = this.rib.families;
    const waiting = v4.dirty.size + v6.dirty.size;
    const full =
      waiting >= DIRTY_LIMIT_ONE_SENDER && (waiting >= DIRTY_LIMIT || this.#clock.nowMs() > this.#severalUntilMs);
    if (full && !this.#stopped) this.turn(true);
    else this.schedule();
  }

  /** Seconds since the start: what `changedAt` of a path counts. */
  get elapsedSeconds(): number {
    return Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000);
  }

  /** Other settings of what is handed to the kernel side; decision is not concerned. */
  setForwarding(multipath: MultipathSettings, backup: boolean): void {
    this.rib.multipath.settings = multipath;
    this.fibFeed?.reconfigure(backup);
    this.schedule();
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * Runs once after a turn that leaves nothing undecided and nothing unsaid to the kernel side, and no next hop of which
   * the kernel side has still to say whether it can be reached.
   */
  afterFibIdle(run: () => void): void {
    this.#whenIdle.push(run);
    this.schedule();
  }

  /** `advertise: whenInstalled` from now on, or no longer; what it changes goes out. */
  advertiseWhenInstalled(on: boolean): void {
    if (!this.#holdBack) return;
    this.#holdBack.set(on);
    this.exporter.holdsBack = this.#holdBack.isActive;
    if (this.#holdBack.hasWork) this.schedule();
  }

  /** The kernel side's word: (prefixId, FibStatus) pairs. */
  kernelStatusChanged(family: Family, pairs: Uint32Array, count: number): void {
    this.fibFeed?.statusChanged(family, pairs, count);
    if (!this.exporter.holdsBack) return;
    this.#holdBack!.statusChanged(this.rib.family(family), pairs, count);
    this.schedule();
  }

  #release(family: FamilyRib): boolean {
    const holdBack = this.#holdBack!;
    holdBack.release(family);
    this.exporter.holdsBack = holdBack.isActive;
    return holdBack.hasWork;
  }

  /** Export comes last: what it sees is only what the kernel has. */
  #applyHeld(family: FamilyRib): void {
    this.fibFeed!.apply(family, this.#batch);
    for (const observe of this.observers) observe(family, this.#batch);
    this.#holdBack!.filter(family, this.#batch);
    this.exporter.apply(family, this.#batch);
  }

  /** Runs once nothing is left to do of what changed policies ask for. */
  afterPolicies(run: () => void): void {
    this.#whenJudged.push(run);
    this.schedule();
  }

  /** A slice of what changed policies have left to do, when nothing waits to be decided; true when there is more. */
  #walk(): boolean {
    const { rib, exporter } = this;
    if (exporter.isDelivering) return false;
    // First what comes in, so that what goes out is compared, and told, once.
    if (rib.isJudging) {
      if (rib.hasDirty) return false;
      rib.judgeAgain(this.#walkPrefixes);
    } else if (exporter.isComparing) {
      exporter.compare(this.#walkPrefixes);
      return true;
    }
    return rib.isJudging || rib.hasDirty;
  }

  /** The kernel side still has to say something that others are to hear of. */
  get #isWaiting(): boolean {
    return this.rib.nextHops.isWaiting || this.#holdBack?.isWaiting === true;
  }

  /** `isBusy`: more input is at hand. */
  turn(isBusy = false): void {
    const { rib, exporter, fibFeed } = this;
    const startMs = this.#clock.nowMs();
    this.#deadlineMs = startMs + TURN_MS;
    this.#sender = 0;
    rib.nowSeconds = this.elapsedSeconds;
    rib.prepare();
    let more = true;
    while (more && this.#clock.nowMs() < this.#deadlineMs) {
      if (!exporter.deliver()) break;
      more = false;
      for (const family of rib.families) {
        if (exporter.holdsBack && !exporter.isDelivering && this.#release(family)) more = true;
        if (family.dirty.size === 0 || exporter.isDelivering) continue;
        rib.drain(family, this.#batch);
        if (exporter.holdsBack) this.#applyHeld(family);
        else {
          exporter.apply(family, this.#batch);
          fibFeed?.apply(family, this.#batch);
          for (const observe of this.observers) observe(family, this.#batch);
        }
        if (family.dirty.size > 0) more = true;
      }
      if (exporter.resync()) more = true;
      if (this.#walk()) more = true;
    }
    fibFeed?.flush();
    // What is being delivered names prefixes by their ids.
    if (!exporter.isDelivering) rib.collect(this.#held, isBusy);
    if (!fibFeed || fibFeed.isIdle) {
      // Sets first: they name next hops.
      fibFeed?.reclaim();
      rib.nextHops.reclaim();
    }
    if (this.#whenJudged.length > 0 && !rib.isJudging && !exporter.isComparing) {
      const runs = this.#whenJudged;
      this.#whenJudged = [];
      for (const run of runs) run();
    }
    const endMs = this.#clock.nowMs();
    const wide = exporter.streamSize >= WIDE_MEMBERS;
    this.#notBeforeMs =
      wide && !rib.hasWork && !exporter.isDelivering ? endMs + Math.min(endMs - startMs, MAX_GATHER_MS) : 0;
    if (rib.hasWork || exporter.isDelivering || exporter.isComparing || exporter.hasWork || this.#holdBack?.hasWork)
      this.schedule();
    else if (this.#whenIdle.length > 0 && (!fibFeed || fibFeed.isIdle) && !this.#isWaiting) {
      const runs = this.#whenIdle;
      this.#whenIdle = [];
      for (const run of runs) run();
    }
  }
}
