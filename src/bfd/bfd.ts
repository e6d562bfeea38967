/**
 * The speaker's end of BFD: starts the thread with the first session, passes what is wanted, hands out what changes.
 */
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import { closeSocket, createWakeup, wake } from 'netlink';
import type { Log } from '../support/log.js';
import type { FromWorker, ToWorker, WorkerStart } from './messages.js';
import type { BfdChange, BfdHandle, BfdPort, BfdTarget, BfdTimers, BfdView } from './port.js';
import { createSharedView, readSharedView } from './shared-view.js';

export interface BfdEvents {
  /** The thread died; the text says what to do. Sessions are frozen, and BGP goes on without them. */
  fatal(error: Error): void;
  /** A thread that the kernel keeps busy: it is kept off the processor of the BFD thread. 0 = none. */
  busyThread(): number;
}

export class Bfd implements BfdPort {
  readonly #events: BfdEvents;
  readonly #log: Log;
  readonly #sessions = new Map<number, Session>();
  #port: MessagePort | undefined;
  #wakeFd = -1;
  #exited: Promise<void> = Promise.resolve();
  #nextId = 1;
  #stopping = false;

  constructor(events: BfdEvents, log: Log) {
    this.#events = events;
    this.#log = log;
  }

  open(target: BfdTarget, timers: BfdTimers, changed: (change: BfdChange) => void): BfdHandle {
    if (!this.#port) this.#start();
    const id = this.#nextId++;
    const view = createSharedView();
    const session = new Session(
      view,
      changed,
      (message) => this.#tell({ ...message, id } as ToWorker),
      () => this.#sessions.delete(id),
    );
    this.#sessions.set(id, session);
    this.#tell({ type: 'open', id, target, timers, view });
    return session;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#tell({ type: 'stop' });
    await this.#exited;
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#wakeFd = createWakeup();
    const workerData: WorkerStart = { port: port2, wakeFd: this.#wakeFd, busyThread: this.#events.busyThread() };
    const worker = new Worker(new URL('./bfd-worker.js', import.meta.url), {
      name: 'bfd',
      workerData,
      transferList: [port2],
      // Nearly nothing is allocated; a small young generation is collected in well under a millisecond.
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 },
    });
    let failure: Error | undefined;
    worker.on('error', (error) => (failure = error));
    this.#exited = new Promise((exited) => {
      worker.on('exit', () => {
        closeSocket(this.#wakeFd);
        this.#wakeFd = -1;
        port1.close();
        this.#port = undefined;
        exited();
        if (this.#stopping) return;
        const text = `the BFD thread ended: ${failure?.message ?? 'without an error'}; restart tortied`;
        for (const session of this.#sessions.values()) session.error = text;
        this.#events.fatal(new Error(text));
      });
    });
    port1.on('message', (message: FromWorker) => this.#receive(message));
  }

  #tell(message: ToWorker): void {
    if (!this.#port) return;
    this.#port.postMessage(message);
    wake(this.#wakeFd);
  }

  #receive(message: FromWorker): void {
    if (message.type === 'scheduled') {
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

type WithoutId<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never;

class Session implements BfdHandle {
  error: string | undefined;
  readonly changed: (change: BfdChange) => void;
  readonly #fields: Float64Array;
  readonly #tell: (message: WithoutId<ToWorker>) => void;
  readonly #closed: () => void;

  constructor(
    view: SharedArrayBuffer,
    changed: (change: BfdChange) => void,
    tell: (message: WithoutId<ToWorker>) => void,
    closed: () => void,
  ) {
    this.#fields = new Float64Array(view);
    this.changed = changed;
    this.#tell = tell;
    this.#closed = closed;
  }

  get view(): BfdView {
    return readSharedView(this.#fields, this.error);
  }

  change(timers: BfdTimers): void {
    this.#tell({ type: 'change', timers });
  }

  retarget(target: BfdTarget): void {
    this.#tell({ type: 'retarget', target });
  }

  close(): void {
    this.#tell({ type: 'close' });
    this.#closed();
  }
}
