// HOT: `received` and `runDue` run per packet; no allocation; guarded by test/bfd/no-flap.test.ts.
/**
 * All sessions of the thread: finds whose packet it is, runs what is due, keeps transports open. Knows no sockets and no
 * clock: packets and the time are given to it, transports are opened by a function.
 *
 * RFC 5880 §6.8.6 (what is discarded), RFC 5881 §5 (TTL 255), RFC 5883.
 */
import { BFD_CONTROL_LENGTH, BfdState, createBfdControl, decodeBfdControl, encodeBfdControl } from 'bgp-parse';
import { Demultiplexer } from './demultiplexer.js';
import type { Addressed, Endpoint, Origin } from './demultiplexer.js';
import { DueHeap } from './due-heap.js';
import type { Due } from './due-heap.js';
import type { BfdChange, BfdTarget, BfdTimers } from './port.js';
import { BfdSession } from './session.js';
import type { BfdSessionHost } from './session.js';
import { publish, readSharedView, readSourcePort } from './shared-view.js';

/** A way to the peer, with a source port of its own. */
export interface Transport {
  /** 49152..65535 (RFC 5881 §4). */
  readonly sourcePort: number;
  /** Interface the peer is behind, when it is bound to one; 0 = any. */
  readonly interfaceIndex: number;
  /** Where the peer's packets come to (`Endpoint.id`); 0 = anywhere. */
  readonly endpoint: number;
  /** undefined = sent, else why not. */
  send(packet: Uint8Array): string | undefined;
  close(): void;
}

export interface EngineHost {
  random(): number;
  /** Unsigned 32-bit, not 0, hard to guess. */
  randomDiscriminator(): number;
  /** `sourcePort` of before, when the session had one; throws with what is wrong. */
  openTransport(target: BfdTarget, sourcePort: number | undefined): Transport;
  changed(id: number, change: BfdChange): void;
  error(id: number, text: string | undefined): void;
}

/** A transport that cannot be opened, or has not sent for so long, is opened again. */
const REOPEN_MS = 1000;
/** Longest time for which a session that was closed says AdminDown. */
const LINGER_MAX_MS = 5000;

export class Engine {
  readonly #host: EngineHost;
  readonly #sessions = new Map<number, Running>();
  readonly #demultiplexer = new Demultiplexer<Running>();
  readonly #heap = new DueHeap<Running>();
  readonly #packet = createBfdControl();

  constructor(host: EngineHost) {
    this.#host = host;
  }

  /** Nothing is due before this. */
  get firstMs(): number {
    return this.#heap.firstMs;
  }

  /** Begins a session, or goes on with one that `view` tells of: its thread has died. */
  open(id: number, target: BfdTarget, timers: BfdTimers, view: Float64Array, nowMs: number): void {
    // The peer must not hear AdminDown of a predecessor beside us.
    for (const other of this.#sessions.values())
      if (other.closing && sameKey(other.target, target)) this.#remove(other);
    let discriminator = readSharedView(view, undefined).localDiscriminator;
    while (discriminator === 0 || this.#demultiplexer.hasDiscriminator(discriminator)) {
      discriminator = this.#host.randomDiscriminator();
    }
    const running = new Running(id, target, timers, view, discriminator, this.#host, nowMs);
    this.#sessions.set(id, running);
    running.connect(nowMs);
    this.#demultiplexer.add(running);
    this.#heap.add(running);
    running.publish();
  }

  change(id: number, timers: BfdTimers, nowMs: number): void {
    const running = this.#sessions.get(id);
    if (!running) return;
    running.session.configure(timers, nowMs);
    this.#touched(running);
  }

  retarget(id: number, target: BfdTarget, nowMs: number): void {
    const running = this.#sessions.get(id);
    if (!running) return;
    this.#demultiplexer.remove(running);
    running.target = target;
    running.connect(nowMs);
    this.#demultiplexer.add(running);
    this.#touched(running);
  }

  /** Says AdminDown, twice in case one is lost, and goes on saying so for as long as the peer may take to notice. */
  close(id: number, nowMs: number): void {
    const running = this.#sessions.get(id);
    if (!running) return;
    const { session } = running;
    const heard = session.hears;
    session.disable(nowMs);
    running.transmit(session, false);
    if (!heard) {
      this.#remove(running);
      return;
    }
    running.closing = true;
    const slowMs = Math.max(1000, session.remoteMinRxUs / 1000);
    running.removeAtMs = nowMs + Math.min(LINGER_MAX_MS, session.timers.multiplier * slowMs);
    this.#touched(running);
  }

  /** One AdminDown each, and everything is closed. */
  stop(nowMs: number): void {
    for (const running of this.#sessions.values()) {
      running.session.disable(nowMs);
      running.transport?.close();
    }
    this.#sessions.clear();
  }

  /** A UDP payload has come in. */
  received(bytes: Uint8Array, length: number, origin: Origin, ttl: number, endpoint: Endpoint, nowMs: number): void {
    const packet = this.#packet;
    const fault = decodeBfdControl(bytes, length, packet);
    const running = fault ? undefined : this.#demultiplexer.find(packet, origin, endpoint);
    if (!running || ttl < running.minTtl) {
      const intended = running ?? this.#demultiplexer.findSource(origin, endpoint);
      if (intended) {
        intended.discarded++;
        intended.publish();
      }
      return;
    }
    running.session.receive(packet, nowMs);
    this.#heap.update(running);
    running.publish();
  }

  /** Runs every session that is due at `nowMs`. */
  runDue(nowMs: number): void {
    for (;;) {
      const running = this.#heap.due(nowMs);
      if (!running) return;
      if (nowMs >= running.removeAtMs) {
        this.#remove(running);
        continue;
      }
      running.tick(nowMs);
      this.#heap.settle(running);
      running.publish();
    }
  }

  #touched(running: Running): void {
    this.#heap.settle(running);
    running.publish();
  }

  #remove(running: Running): void {
    this.#sessions.delete(running.id);
    this.#demultiplexer.remove(running);
    this.#heap.remove(running);
    running.transport?.close();
    running.transport = undefined;
  }
}

/** A session with its transport. */
class Running implements BfdSessionHost, Addressed, Due {
  readonly id: number;
  readonly session: BfdSession;
  target: BfdTarget;
  transport: Transport | undefined;
  closing = false;
  removeAtMs = Infinity;
  discarded = 0;
  heapIndex = -1;
  readonly #host: EngineHost;
  readonly #view: Float64Array;
  readonly #out = createBfdControl();
  readonly #bytes = new Uint8Array(new ArrayBuffer(BFD_CONTROL_LENGTH));
  #sourcePort: number | undefined;
  #error: string | undefined;
  #failing = false;
  /** When a transport that fails is opened anew; Infinity = it works. */
  #reopenAtMs = Infinity;

  constructor(
    id: number,
    target: BfdTarget,
    timers: BfdTimers,
    view: Float64Array,
    discriminator: number,
    host: EngineHost,
    nowMs: number,
  ) {
    this.id = id;
    this.target = target;
    this.#host = host;
    this.#view = view;
    this.session = new BfdSession(discriminator, timers, this, nowMs);
    const before = readSharedView(view, undefined);
    this.session.resume(before, nowMs);
    this.discarded = before.discarded;
    this.#sourcePort = readSourcePort(view);
  }

  get dueMs(): number {
    return Math.min(this.session.dueMs, this.removeAtMs, this.#reopenAtMs);
  }

  get localDiscriminator(): number {
    return this.session.localDiscriminator;
  }

  get address(): Uint8Array {
    return this.target.address;
  }

  get multihop(): boolean {
    return this.target.multihop;
  }

  get minTtl(): number {
    return this.target.minTtl;
  }

  get interfaceIndex(): number {
    return this.transport?.interfaceIndex ?? 0;
  }

  get endpoint(): number {
    return this.transport?.endpoint ?? 0;
  }

  /** Opens the transport, again if need be. */
  connect(nowMs: number): void {
    this.transport?.close();
    this.transport = undefined;
    this.#failing = false;
    this.#reopenAtMs = Infinity;
    try {
      this.transport = this.#host.openTransport(this.target, this.#sourcePort);
      this.#sourcePort = this.transport.sourcePort;
    } catch (error) {
      this.#reopenAtMs = nowMs + REOPEN_MS;
      this.#tell(error instanceof Error ? error.message : String(error));
    }
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#reopenAtMs) this.connect(nowMs);
    this.session.tick(nowMs);
    if (this.#failing && this.#reopenAtMs === Infinity) this.#reopenAtMs = nowMs + REOPEN_MS;
  }

  publish(): void {
    publish(this.session, this.discarded, this.#sourcePort ?? 0, this.#view);
  }

  // ===== BfdSessionHost =====

  random(): number {
    return this.#host.random();
  }

  transmit(session: BfdSession, final: boolean): void {
    const { transport } = this;
    if (!transport) return;
    session.fill(this.#out, final);
    encodeBfdControl(this.#out, this.#bytes);
    const error = transport.send(this.#bytes);
    this.#failing = error !== undefined;
    if (!this.#failing) this.#reopenAtMs = Infinity;
    this.#tell(error);
  }

  stateChanged(session: BfdSession, before: BfdState): void {
    if (this.closing) return;
    const { state, remoteState, diagnostic, remoteDiagnostic, remoteIndependent } = session;
    this.publish();
    this.#host.changed(this.id, { state, before, remoteState, diagnostic, remoteDiagnostic, remoteIndependent });
  }

  #tell(error: string | undefined): void {
    if (error === this.#error) return;
    this.#error = error;
    this.#host.error(this.id, error);
  }
}

function sameKey(a: BfdTarget, b: BfdTarget): boolean {
  if (a.multihop !== b.multihop || a.interface !== b.interface) return false;
  return a.address.length === b.address.length && a.address.every((octet, index) => octet === b.address[index]);
}
