/**
 * `GET /v1/monitor`: a WebSocket that tells the peers and the best routes (snapshot), then `end-of-snapshot`, then every
 * change. One event a message, as in `MonitorEventDto`.
 *
 * The subscription begins before the snapshot is read, and what changes meanwhile is sent after it: a row may come twice,
 * but the last word about a prefix or a peer is always the newest. Each client has a bounded queue. When it is full, what
 * comes is dropped until the client has taken all of it; then it is told how much it missed (`lagged`) and goes on from
 * there. Who needs the whole truth again connects again.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import { ControlError } from './control-error.js';
import type { MonitorEventDto } from './dto.js';
import type { Queries } from './queries.js';
import type { Turns } from './turns.js';

export interface Monitors {
  /** Takes over the connection of an upgrade request. Throws a `ControlError` when there are too many. */
  accept(request: IncomingMessage, stream: Duplex, head: Buffer, queries: Queries): void;
  /** Ends all of them. */
  close(): void;
}

/** Events kept for a client that does not read: about 2 MB. */
export const MOST_QUEUED = 4096;
/** Taken events that may stay at the front of the queue before it is moved up. */
const COMPACT_AT = 1024;
const MOST_MONITORS = 64;
/** Octets handed to the socket ahead of the client. */
const MOST_BUFFERED_OCTETS = 256 * 1024;
/** Longest stretch without returning to the event loop. */
const SLICE_MS = 4;
const EVENTS_PER_LOOK = 32;
const PING_INTERVAL_MS = 30_000;
/** Clients have nothing to say. */
const MOST_PAYLOAD_OCTETS = 1024;

export function createMonitors(clock: Clock, log: Log, turns: Turns): Monitors {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MOST_PAYLOAD_OCTETS,
    clientTracking: true,
  });
  return {
    accept(request, stream, head, queries) {
      if (server.clients.size >= MOST_MONITORS)
        throw new ControlError('too-many', `there are already ${MOST_MONITORS} monitors`);
      server.handleUpgrade(request, stream, head, (socket) => {
        new Monitor(socket, queries, clock, log, turns);
      });
    },
    close() {
      for (const socket of server.clients) {
        socket.close(1001, 'the daemon stops');
        socket.terminate();
      }
      server.close();
    },
  };
}

class Monitor {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #turns: Turns;
  /** The snapshot that is still to be sent; undefined when it has been. */
  #snapshot: Iterator<MonitorEventDto> | undefined;
  #queue: MonitorEventDto[] = [];
  /** Taken from the front of the queue so far. */
  #taken = 0;
  #missed = 0;
  #pumping = false;
  #answered = true;

  constructor(socket: WebSocket, queries: Queries, clock: Clock, log: Log, turns: Turns) {
    this.#socket = socket;
    this.#clock = clock;
    this.#log = log;
    this.#turns = turns;
    const unsubscribe = queries.subscribe((event) => this.#push(event));
    const cancelPing = clock.every(PING_INTERVAL_MS, () => this.#ping());
    socket.on('pong', () => (this.#answered = true));
    // A client that breaks the protocol is closed by ws, with the fitting code; `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      unsubscribe();
      cancelPing();
      this.#snapshot?.return?.();
      this.#snapshot = undefined;
      this.#queue = [];
      this.#taken = 0;
    });
    this.#snapshot = snapshotOf(queries);
    this.#schedule();
  }

  #push(event: MonitorEventDto): void {
    if (this.#missed > 0 || this.#queue.length - this.#taken >= MOST_QUEUED) {
      this.#missed++;
      return;
    }
    this.#queue.push(event);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#turns.call(() => this.#pump());
  }

  /** Sends until there is nothing left, the client is behind, or the slice is over; then arranges to be called again. */
  #pump(): void {
    this.#pumping = false;
    try {
      this.#sendSlice();
    } catch (error) {
      this.#log.error({ err: error }, 'control: a monitor failed');
      this.#socket.close(1011, 'the daemon failed to read its tables');
    }
  }

  #sendSlice(): void {
    const socket = this.#socket;
    const start = this.#clock.nowMs();
    for (let sent = 1; socket.readyState === socket.OPEN; sent++) {
      const event = this.#next();
      if (!event) return;
      const text = JSON.stringify(event);
      if (socket.bufferedAmount > MOST_BUFFERED_OCTETS) {
        this.#pumping = true;
        socket.send(text, () => this.#pump());
        return;
      }
      socket.send(text);
      if (sent % EVENTS_PER_LOOK === 0 && this.#clock.nowMs() - start > SLICE_MS) {
        this.#schedule();
        return;
      }
    }
  }

  #next(): MonitorEventDto | undefined {
    if (this.#snapshot) {
      const { done, value } = this.#snapshot.next();
      if (!done) return value;
      this.#snapshot = undefined;
      return { type: 'end-of-snapshot' };
    }
    if (this.#taken < this.#queue.length) {
      const event = this.#queue[this.#taken++];
      if (this.#taken >= COMPACT_AT) {
        this.#queue.splice(0, this.#taken);
        this.#taken = 0;
      }
      return event;
    }
    this.#queue = [];
    this.#taken = 0;
    if (this.#missed === 0) return undefined;
    const missed = this.#missed;
    this.#missed = 0;
    return { type: 'lagged', missed };
  }

  #ping(): void {
    // Two intervals without an answer: the other end is gone, and would keep its queue for ever.
    if (!this.#answered) return this.#socket.terminate();
    this.#answered = false;
    this.#socket.ping();
  }
}

function* snapshotOf(queries: Queries): Generator<MonitorEventDto, undefined> {
  for (const peer of queries.eachPeer()) yield { type: 'peer', peer };
  for (const route of queries.routes({ best: true }) ?? []) yield { type: 'route', route };
  return undefined;
}
