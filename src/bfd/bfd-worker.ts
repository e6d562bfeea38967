/**
 * The BFD thread: one loop that waits in `poll` for packets, for the main thread, or for the next timer.
 *
 * What has arrived is read before a detection time is judged, so a thread that was kept from running does not take its
 * own lateness for the peer's silence. Between two polls nothing is allocated; the event loop has a turn only when the
 * main thread says something, and now and then.
 */
import { randomInt } from 'node:crypto';
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { Poller, clearWakeup, preferThisThread, processorsOf, setProcessors } from 'netlink';
import { systemClock } from '../support/clock.js';
import { Engine } from './engine.js';
import type { EngineHost } from './engine.js';
import type { FromWorker, ToWorker, WorkerStart } from './messages.js';
import { OpenSockets } from './open-sockets.js';
import { Sockets } from './sockets.js';

/** Longest stay between two turns of the event loop, which may collect garbage there. */
const MAX_STAY_MS = 2000;
/** Longest wait, so that the thread can be ended from outside. */
const MAX_WAIT_MS = 250;

class BfdWorker implements EngineHost {
  readonly #port: MessagePort;
  readonly #wakeFd: number;
  readonly #busyThread: number;
  readonly #sockets: Sockets;
  readonly #poller = new Poller();
  readonly #engine = new Engine(this);
  #stopping = false;

  constructor(start: WorkerStart) {
    this.#port = start.port;
    this.#wakeFd = start.wakeFd;
    this.#busyThread = start.busyThread;
    this.#sockets = new Sockets((count) => randomInt(count), new OpenSockets(start.openSockets));
  }

  run(): void {
    this.#tell({ type: 'scheduled', as: preferThisThread() });
    this.#reserveProcessor();
    this.#turn();
  }

  /**
   * A kernel that does not preempt itself (the usual one of servers) may spend 100 ms on one route when its table grows,
   * and a real-time thread that wakes up on that processor waits there, even while another one is idle. So the thread that
   * writes routes gets all processors but one, and we stay on that one.
   */
  #reserveProcessor(): void {
    if (this.#busyThread === 0) return;
    const processors = processorsOf(this.#busyThread);
    const own = processors.pop();
    if (own === undefined || processors.length === 0) return;
    if (setProcessors(this.#busyThread, processors)) setProcessors(0, [own]);
  }

  #turn(): void {
    this.#hear();
    if (this.#stopping) {
      this.#engine.stop(systemClock.nowMs());
      this.#port.close();
      return;
    }
    this.#stay();
    systemClock.soon(() => this.#turn());
  }

  #stay(): void {
    const untilMs = systemClock.nowMs() + MAX_STAY_MS;
    for (;;) {
      this.#sockets.watch(this.#poller, this.#wakeFd);
      const beforeMs = systemClock.nowMs();
      const waitMs = Math.max(0, Math.min(this.#engine.firstMs - beforeMs, MAX_WAIT_MS));
      const ready = this.#poller.wait(Math.ceil(waitMs));
      const nowMs = systemClock.nowMs();
      if (ready > 0) this.#sockets.drain(this.#poller, this.#engine, nowMs);
      this.#engine.runDue(nowMs);
      if (nowMs >= untilMs || (ready > 0 && this.#poller.isReady(0))) return;
    }
  }

  #hear(): void {
    clearWakeup(this.#wakeFd);
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: ToWorker } | undefined;
      if (!received) return;
      const { message } = received;
      const nowMs = systemClock.nowMs();
      switch (message.type) {
        case 'open':
          this.#engine.open(message.id, message.target, message.timers, new Float64Array(message.view), nowMs);
          break;
        case 'change':
          this.#engine.change(message.id, message.timers, nowMs);
          break;
        case 'retarget':
          this.#engine.retarget(message.id, message.target, nowMs);
          break;
        case 'close':
          this.#engine.close(message.id, nowMs);
          break;
        case 'stop':
          this.#stopping = true;
          break;
      }
    }
  }

  #tell(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  // ===== EngineHost =====

  random: EngineHost['random'] = () => Math.random();
  randomDiscriminator: EngineHost['randomDiscriminator'] = () => randomInt(1, 2 ** 32);
  openTransport: EngineHost['openTransport'] = (target, sourcePort) => this.#sockets.open(target, sourcePort);
  changed: EngineHost['changed'] = (id, change) => this.#tell({ type: 'changed', id, change });
  error: EngineHost['error'] = (id, text) => this.#tell({ type: 'error', id, text });
}

new BfdWorker(workerData as WorkerStart).run();
