/**
 * The speaker's end of BFD: starts the thread with the first session, passes what is wanted, hands out what changes.
 *
 * A thread that dies is started again and goes on with its sessions where they were (`BfdSession.resume`): that it died
 * says nothing about the peers, so nothing is torn down for it here. A peer whose detection time was shorter than the pause
 * ends the session from its side.
 */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { closeSocket, createWakeup, wake } from 'netlink';
import type { Cancel, Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import type { FromWorker, ToWorker, WorkerStart } from './messages.js';
import { OpenSockets, createOpenSockets } from './open-sockets.js';
import type { BfdChange, BfdHandle, BfdPort, BfdTarget, BfdTimers, BfdView } from './port.js';
import { createSharedView, readSharedView } from './shared-view.js';

/** A thread that has lived for so long is started again at once, … */
const PROVEN_MS = 60_000;
/** … one that dies again and again after 1, 2, 4 … seconds, at most so many. */
const MAX_DELAY_MS = 30_000;

export interface BfdEvents {
  /** The thread has died and is started again after `delayMs`; the sessions wait for it, and BGP goes on. */
  died(error: Error, deaths: number, delayMs: number): void;
  /** A thread that the kernel keeps busy: it is kept off the processor of the BFD thread. 0 = none. */
  busyThread(): number;
}

export class Bfd implements BfdPort {
  readonly #events: BfdEvents;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sessions = new Map<number, Session>();
  #port: MessagePort | undefined;
  #wakeFd = -1;
  #exited: Promise<void> = Promise.resolve();
  #nextId = 1;
  #stopping = false;
  #deaths = 0;
  /** Since the thread last lived for long. */
  #deathsInARow = 0;
  #restart: Cancel | undefined;

  constructor(events: BfdEvents, log: Log, clock: Clock) {
    this.#events = events;
    this.#log = log;
    this.#clock = clock;
  }

  open(target: BfdTarget, timers: BfdTimers, changed: (change: BfdChange) => void): BfdHandle {
    const id = this.#nextId++;
    const session = new Session(id, target, timers, changed, {
      tell: (message) => this.#tell(message),
      closed: () => this.#sessions.delete(id),
    });
    this.#sessions.set(id, session);
    if (this.#port) this.#tell(session.opening);
    else if (!this.#restart) this.#start();
    return session;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#restart?.();
    this.#tell({ type: 'stop' });
    await this.#exited;
  }

  #start(): void {
    try {
      this.#wakeFd = createWakeup();
    } catch (error) {
      // No descriptor is left: later there may be.
      this.#died(error instanceof Error ? error : new Error(String(error)), 0);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const openSockets = createOpenSockets();
    const workerData: WorkerStart = {
      port: port2,
      wakeFd: this.#wakeFd,
      busyThread: this.#events.busyThread(),
      openSockets,
    };
    const worker = new Worker(new URL('./bfd-worker.js', import.meta.url), {
      name: 'bfd',
      workerData,
      transferList: [port2],
      // Nearly nothing is allocated; a small young generation is collected in well under a millisecond.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 },
    });
    const startedMs = this.#clock.nowMs();
    let failure: Error | undefined;
    worker.on('error', (error) => (failure = error));
    this.#exited = new Promise((exited) => {
      worker.on('exit', () => {
        closeSocket(this.#wakeFd);
        this.#wakeFd = -1;
        port1.close();
        this.#port = undefined;
        new OpenSockets(openSockets).closeAll();
        exited();
        if (!this.#stopping) this.#died(failure, this.#clock.nowMs() - startedMs);
      });
    });
    port1.on('message', (message: FromWorker) => this.#receive(message));
    for (const session of this.#sessions.values()) this.#tell(session.opening);
  }

  #died(failure: Error | undefined, livedMs: number): void {
    this.#deaths++;
    this.#deathsInARow = livedMs >= PROVEN_MS ? 1 : this.#deathsInARow + 1;
    const delayMs = this.#deathsInARow === 1 ? 0 : Math.min(1000 * 2 ** (this.#deathsInARow - 2), MAX_DELAY_MS);
    const error = new Error(`the BFD thread ended: ${failure?.message ?? 'without an error'}`, { cause: failure });
    for (const session of this.#sessions.values()) session.error = `${error.message}; it is started again`;
    this.#events.died(error, this.#deaths, delayMs);
    const start = (): void => {
      this.#restart = undefined;
      if (!this.#stopping && this.#sessions.size > 0) this.#start();
    };
    // At once: a peer that detects within 150 ms need not notice.
    if (delayMs === 0) start();
    else this.#restart = this.#clock.after(delayMs, start);
  }

  #tell(message: ToWorker): void {
    if (!this.#port) return;
    this.#port.postMessage(message);
    wake(this.#wakeFd);
  }

  #receive(message: FromWorker): void {
    if (message.type === 'scheduled') {
      // What is wrong with a session is said anew.
      for (const session of this.#sessions.values()) session.error = undefined;
      const fields = { scheduling: message.as };
      if (message.as === 'normal') {
        const text = 'BFD thread runs without real-time priority: for detection times below a second give CAP_SYS_NICE';
        this.#log.warn(fields, text);
      } else this.#log.debug(fields, `BFD thread runs with priority: ${message.as}`);
      return;
    }
    const session = this.#sessions.get(message.id);
    if (!session) return;
    if (message.type === 'changed') session.changed(message.change);
    else session.error = message.text;
  }
}

interface SessionHost {
  tell(message: ToWorker): void;
  closed(): void;
}

class Session implements BfdHandle {
  error: string | undefined;
  readonly changed: (change: BfdChange) => void;
  readonly #id: number;
  readonly #view = createSharedView();
  readonly #fields = new Float64Array(this.#view);
  readonly #host: SessionHost;
  #target: BfdTarget;
  #timers: BfdTimers;

  constructor(
    id: number,
    target: BfdTarget,
    timers: BfdTimers,
    changed: (change: BfdChange) => void,
    host: SessionHost,
  ) {
    this.#id = id;
    this.#target = target;
    this.#timers = timers;
    this.changed = changed;
    this.#host = host;
  }

  /** To a thread that does not know it. */
  get opening(): ToWorker {
    return { type: 'open', id: this.#id, target: this.#target, timers: this.#timers, view: this.#view };
  }

  get view(): BfdView {
    return readSharedView(this.#fields, this.error);
  }

  change(timers: BfdTimers): void {
    this.#timers = timers;
    this.#host.tell({ type: 'change', id: this.#id, timers });
  }

  retarget(target: BfdTarget): void {
    this.#target = target;
    this.#host.tell({ type: 'retarget', id: this.#id, target });
  }

  close(): void {
    this.#host.tell({ type: 'close', id: this.#id });
    this.#host.closed();
  }
}
