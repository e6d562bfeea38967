/**
 * The speaker's end of the kernel side: starts the worker thread, passes what is wanted, hands out what comes back.
 *
 * At most `MAX_BATCHES` submissions are under way; more are the speaker's to keep (it holds the state anyway), so
 * memory stays bounded by the table.
 *
 * A thread that dies is started again. The kernel forwards on meanwhile; the new thread adopts what is there, is told
 * again what the old one knew (told.ts), and the speaker says every route again.
 */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { type AddressBytes, type Family, parseAddress } from 'bgp-parse';
import { closeSocket, createWakeup, wake } from 'netlink';
import type { EncapsulationSettings, FibSettings } from '../config/settings.js';
import type { Cancel, Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import { type FibDifference, unpackDifferences } from './differences.js';
import { type HostDuties, type HostState, NO_DUTIES, NO_HOST_STATE } from './host-keeper.js';
import { familyOf } from './messages.js';
import type { Counts, FromWorker, RowCursor, ToWorker, WorkerStart } from './messages.js';
import { Told } from './told.js';
import { vrfTable } from './vrf.js';
import type { PreferredSource } from './preferred-source.js';
import type { FibEvents, FibPort, FibRow, KernelState, NextHopSet } from './port.js';

const MAX_BATCHES = 8;
const ROWS_PER_CHUNK = 1024;
/** A thread that has lived for so long is started again at once, … */
const PROVEN_MS = 60_000;
/** … one that dies again and again after 1, 2, 4 … seconds, at most so many. */
const MAX_DELAY_MS = 30_000;

export interface FibOptions {
  /** Follow interfaces and next hops, never write a route (`fib.enabled: false`). */
  readonly watchOnly?: boolean;
  readonly encapsulation?: EncapsulationSettings | undefined;
  /** Octets for the kernel's notifications; only tests make it small. */
  readonly receiveBuffer?: number;
  /** Default none. */
  readonly duties?: HostDuties;
}

type RowsAnswer = Extract<FromWorker, { type: 'rows' }>;
type DiffAnswer = Extract<FromWorker, { type: 'diff' }>;

interface Request<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: Error) => void;
}

export class Fib implements FibPort {
  readonly #settings: FibSettings & FibOptions;
  readonly #events: FibEvents;
  readonly #log: Log;
  readonly #rowRequests = new Map<number, Request<RowsAnswer>>();
  readonly #diffRequests = new Map<number, Request<DiffAnswer>>();
  /** That of the VRF once that has been found. */
  table: number;
  #port: MessagePort | undefined;
  #wakeFd = -1;
  #exited: Promise<void> = Promise.resolve();
  #underWay = 0;
  #nextRequest = 1;
  /** The kernel's number of the worker thread; 0 = it does not run. */
  threadId = 0;
  #counts: Counts = { installed: 0, pending: 0, failed: 0, repaired: 0 };
  #host: HostState = NO_HOST_STATE;
  #stopping = false;
  readonly #clock: Clock;
  readonly #told: Told;
  #deaths = 0;
  /** Since a thread last lived for long. */
  #deathsInARow = 0;
  #restart: Cancel | undefined;
  /** The thread has read the kernel. */
  #isReady = false;
  /** Of the threads that have died: what they had put right counts on. */
  #repairedBefore = 0;

  constructor(settings: FibSettings & FibOptions, events: FibEvents, log: Log, clock: Clock) {
    this.#clock = clock;
    this.#told = new Told(settings.encapsulation, settings.duties ?? NO_DUTIES);
    this.#settings = settings;
    this.table = settings.table;
    this.#events = events;
    this.#log = log;
  }

  /** Rejects when the worker cannot open its sockets or read the kernel, or when there is no such VRF. */
  async start(): Promise<KernelState> {
    if (this.#settings.vrf !== undefined) this.table = vrfTable(this.#settings.vrf);
    return this.#startWorker();
  }

  #startWorker(): Promise<KernelState> {
    this.#wakeFd = createWakeup();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const { vrf, protocol, metric, nexthopObjects, enabled, watchOnly = !enabled, receiveBuffer } = this.#settings;
    const { table } = this;
    const workerData: WorkerStart = {
      settings: {
        table,
        protocol,
        metric,
        watchOnly,
        nexthopObjects,
        isVrf: vrf !== undefined,
        prefSrc: parsePrefSrc(this.#settings.prefSrc),
      },
      encapsulation: watchOnly ? undefined : this.#told.encapsulation,
      port: port2,
      wakeFd: this.#wakeFd,
      receiveBuffer,
      duties: this.#told.duties,
    };
    const worker = new Worker(new URL('./fib-worker.js', import.meta.url), {
      name: 'fib',
      workerData,
      transferList: [port2],
      // Tables are typed arrays outside the heap; what is left is small.
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 256 },
    });
    return new Promise((resolve, reject) => {
      let failure: Error | undefined;
      let ready = false;
      const startedMs = this.#clock.nowMs();
      worker.on('error', (error) => (failure = error));
      this.#exited = new Promise((exited) => {
        worker.on('exit', () => {
          closeSocket(this.#wakeFd);
          this.#wakeFd = -1;
          port1.close();
          this.#port = undefined;
          this.threadId = 0;
          this.#isReady = false;
          exited();
          const text = `the FIB thread ended: ${failure?.message ?? 'without an error'}`;
          const error = new Error(text, { cause: failure });
          for (const request of this.#rowRequests.values()) request.reject(error);
          this.#rowRequests.clear();
          for (const request of this.#diffRequests.values()) request.reject(error);
          this.#diffRequests.clear();
          if (!ready) reject(failure ?? error);
          else if (!this.#stopping) this.#died(error, this.#clock.nowMs() - startedMs);
        });
      });
      port1.on('message', (message: FromWorker) => {
        if (message.type !== 'ready') {
          this.#receive(message);
          return;
        }
        ready = true;
        this.#isReady = true;
        this.#counts = message.counts;
        this.threadId = message.threadId;
        resolve(message.state);
      });
    });
  }

  #died(error: Error, livedMs: number): void {
    this.#deaths++;
    this.#deathsInARow = livedMs >= PROVEN_MS ? 1 : this.#deathsInARow + 1;
    const delayMs = this.#deathsInARow === 1 ? 0 : Math.min(1000 * 2 ** (this.#deathsInARow - 2), MAX_DELAY_MS);
    this.#repairedBefore += this.#counts.repaired;
    this.#counts = { installed: 0, pending: 0, failed: 0, repaired: 0 };
    this.#events.died(error, this.#deaths, delayMs);
    this.#restart = this.#clock.after(delayMs, () => {
      this.#restart = undefined;
      const startedMs = this.#clock.nowMs();
      // It may as well throw, where there is no descriptor left.
      Promise.resolve()
        .then(() => this.#startWorker())
        .then(
          (state) => this.#startedAgain(state),
          (failure: unknown) => {
            if (this.#stopping) return;
            this.#died(
              failure instanceof Error ? failure : new Error(String(failure)),
              this.#clock.nowMs() - startedMs,
            );
          },
        );
    });
  }

  #startedAgain(state: KernelState): void {
    // What was under way to the old one is said again.
    this.#underWay = 0;
    for (const message of this.#told.again()) this.#say(message);
    this.#events.restarted(state);
  }

  trackNextHop(id: number, address: AddressBytes, interfaceName?: string): void {
    this.#tell({ type: 'track', id, address, ...(interfaceName === undefined ? {} : { interfaceName }) });
  }

  forgetNextHop(id: number): void {
    this.#tell({ type: 'forget', id });
  }

  watchRoutes(prefixes: readonly string[]): void {
    this.#tell({ type: 'watch', prefixes });
  }

  nextHopDown(id: number): void {
    this.#tell({ type: 'down', id, down: true });
  }

  nextHopUp(id: number): void {
    this.#tell({ type: 'down', id, down: false });
  }

  defineNextHopSet(id: number, set: NextHopSet): void {
    this.#tell({ type: 'define', id, set });
  }

  forgetNextHopSet(id: number): void {
    this.#tell({ type: 'forgetSet', id });
  }

  encapsulate(settings: EncapsulationSettings | undefined): void {
    this.#tell({ type: 'encapsulate', settings });
  }

  tellOwnNextHop(address: AddressBytes): void {
    this.#tell({ type: 'ownNextHop', address });
  }

  get canSubmit(): boolean {
    return this.#underWay < MAX_BATCHES && this.#isReady;
  }

  submit(family: Family, records: Uint32Array, count: number): void {
    this.#underWay++;
    this.#tell({ type: 'submit', family, records, count });
  }

  sweepStale(): void {
    this.#tell({ type: 'sweep' });
  }

  /** Every route of ours, wanted or installed. The table may change while it is read; a row is never torn. */
  async *rows(): AsyncIterable<FibRow> {
    let cursor: RowCursor | undefined = { table: 0, row: 0 };
    while (cursor && this.#port) {
      const answer: RowsAnswer = await this.#askRows(cursor);
      yield* answer.rows;
      cursor = answer.next;
    }
  }

  async diff(): Promise<Iterable<FibDifference>> {
    if (!this.#port) throw new Error('the FIB thread does not run');
    const request = this.#nextRequest++;
    const { differences } = await new Promise<DiffAnswer>((resolve, reject) => {
      this.#diffRequests.set(request, { resolve, reject });
      this.#tell({ type: 'diff', request });
    });
    if (!differences) throw new Error('the routes of the kernel could not be read whole: try again');
    return unpackDifferences(differences);
  }

  /** As of the worker's last report; `repaired` counts the routes put back since the start. */
  counts(): Counts {
    return { ...this.#counts, repaired: this.#counts.repaired + this.#repairedBefore };
  }

  setDuties(duties: HostDuties): void {
    this.#tell({ type: 'duties', duties });
  }

  /** As of the worker's last report. */
  host(): HostState {
    return this.#host;
  }

  async stop(keepRoutes: boolean): Promise<void> {
    this.#stopping = true;
    this.#restart?.();
    this.#tell({ type: 'stop', keepRoutes });
    await this.#exited;
  }

  #askRows(cursor: RowCursor): Promise<RowsAnswer> {
    const request = this.#nextRequest++;
    return new Promise((resolve, reject) => {
      this.#rowRequests.set(request, { resolve, reject });
      this.#tell({ type: 'rows', request, cursor, max: ROWS_PER_CHUNK });
    });
  }

  #tell(message: ToWorker): void {
    this.#told.note(message);
    this.#say(message);
  }

  #say(message: ToWorker): void {
    // What a thread that is still starting has to know comes with `again`.
    if (!this.#port || (!this.#isReady && message.type !== 'stop')) return;
    this.#port.postMessage(message);
    wake(this.#wakeFd);
  }

  #receive(message: Exclude<FromWorker, { type: 'ready' }>): void {
    switch (message.type) {
      case 'status':
        this.#events.statusChanged(familyOf(message.family), message.pairs, message.count);
        break;
      case 'absorbed':
        if (this.#underWay-- === MAX_BATCHES) this.#events.room();
        break;
      case 'routesPresent':
        this.#events.routesPresent(message.prefixes);
        break;
      case 'nextHops':
        this.#events.nextHopsChanged(message.changes);
        break;
      case 'kernel':
        this.#events.kernelChanged(message.state);
        break;
      case 'counts':
        this.#counts = message.counts;
        break;
      case 'host':
        this.#host = message.state;
        break;
      case 'rows':
        this.#rowRequests.get(message.request)?.resolve(message);
        this.#rowRequests.delete(message.request);
        break;
      case 'diff':
        this.#diffRequests.get(message.request)?.resolve(message);
        this.#diffRequests.delete(message.request);
        break;
      case 'log':
        this.#log[message.level](message.fields, message.text);
        break;
      case 'fatal':
        this.#events.fatal(new Error(message.text));
        break;
      case 'stopped':
        break;
    }
  }
}

function parsePrefSrc(texts: readonly string[] | undefined): PreferredSource | undefined {
  const addresses = texts?.map((text) => parseAddress(text)!);
  const ofLength = (length: number) => addresses?.find((address) => address.length === length);
  return addresses && { ipv4: ofLength(4), ipv6: ofLength(16) };
}
