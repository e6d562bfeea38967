// HOT: `receive` and `tick` run per packet; no allocation; guarded by test/bfd/no-flap.test.ts.
/**
 * One BFD session (RFC 5880 §6.8) without sockets and clocks: packets and the time go in, packets and changes of state
 * come out through its host. Asynchronous mode; we never ask for Demand mode, but keep silent when the peer does.
 *
 * Invariants: not Up, we advertise and keep at least a second between packets (§6.8.3); a change of what is advertised
 * while Up takes effect in the order that §6.8.3 demands, under a Poll Sequence; `dueMs` is never later than what is due.
 */
import { BfdDiagnostic, BfdState } from 'bgp-parse';
import type { BfdControl } from 'bgp-parse';
import type { BfdTimers, BfdView } from './port.js';
import { step } from './state.js';
import type { BfdEvent } from './state.js';

/** RFC 5880 §6.8.3: while not Up. */
const SLOW_US = 1_000_000;

export interface BfdSessionHost {
  /** [0, 1), for jitter. */
  random(): number;
  /** A packet is to go out: `session.fill` says what is in it. */
  transmit(session: BfdSession, final: boolean): void;
  /** `session.state` or the peer's has changed. */
  stateChanged(session: BfdSession, before: BfdState): void;
}

export class BfdSession {
  readonly localDiscriminator: number;
  state: BfdState = BfdState.down;
  diagnostic: number = BfdDiagnostic.none;
  /** RFC 5880 §6.8.1: Down until the peer has said something. */
  remoteState: BfdState = BfdState.down;
  remoteDiagnostic = 0;
  /** 0 = unknown. */
  remoteDiscriminator = 0;
  remoteMultiplier = 0;
  remoteMinTxUs = 0;
  /** §6.8.1: initially 1. 0 = the peer wants nothing from us. */
  remoteMinRxUs = 1;
  /** The peer's C bit: its BFD outlives its control plane. */
  remoteIndependent = false;
  packetsIn = 0;
  packetsOut = 0;
  /** How often it has left Up. */
  flaps = 0;
  readonly #host: BfdSessionHost;
  #timers: BfdTimers;
  /** Advertised. */
  #desiredMinTxUs = 0;
  #requiredMinRxUs = 0;
  /** In effect: behind what is advertised while a Poll Sequence is open. */
  #currentMinTxUs = 0;
  #currentMinRxUs = 0;
  #polling = false;
  /** What is advertised changed again while a Poll Sequence was open: its Final may answer the older values. */
  #pollAgain = false;
  #remoteDemand = false;
  #lastSentMs = -Infinity;
  #nextSendMs: number;
  #detectAtMs = Infinity;
  #intervalUs = 0;

  constructor(localDiscriminator: number, timers: BfdTimers, host: BfdSessionHost, nowMs: number) {
    this.localDiscriminator = localDiscriminator;
    this.#timers = timers;
    this.#host = host;
    // Sessions that are opened together do not send together.
    this.#nextSendMs = nowMs + host.random() * 100;
    this.#advertise();
  }

  /**
   * Goes on where it was before its thread died, as far as that is known. Up stays Up: we have failed, not the way, and
   * the peer need not notice (RFC 5882 §3.2 has the same in mind); a peer that has, says so, and one that is not there
   * any more is found out a detection time from now.
   */
  resume(before: BfdView, nowMs: number): void {
    this.packetsIn = before.packetsIn;
    this.packetsOut = before.packetsOut;
    this.flaps = before.flaps;
    if (before.state !== BfdState.up) return;
    this.state = BfdState.up;
    this.diagnostic = before.diagnostic;
    this.remoteState = before.remoteState ?? BfdState.up;
    this.remoteDiagnostic = before.remoteDiagnostic;
    this.remoteDiscriminator = before.remoteDiscriminator;
    this.remoteMultiplier = before.remoteMultiplier;
    this.remoteMinTxUs = before.remoteMinTxMs * 1000;
    this.remoteMinRxUs = before.remoteMinRxMs * 1000;
    // What was in effect; by the Poll Sequence that is opened here it becomes what is configured.
    const detectionUs = before.detectionMs * 1000;
    this.#currentMinTxUs = (before.transmitIntervalMs || this.#timers.minTxMs) * 1000;
    this.#currentMinRxUs = detectionUs / this.remoteMultiplier;
    this.#advertise();
    this.#detectAtMs = nowMs + detectionUs / 1000;
    this.#nextSendMs = nowMs;
  }

  /** When `tick` has something to do. */
  get dueMs(): number {
    return Math.min(this.#nextSendMs, this.#detectAtMs);
  }

  /** Between two packets of ours, before jitter; 0 = none are sent. */
  get transmitIntervalUs(): number {
    return this.#sendsPeriodically ? this.#intervalUs : 0;
  }

  /** RFC 5880 §6.8.4; 0 = nothing has been heard. */
  get detectionUs(): number {
    return this.remoteMultiplier * Math.max(this.#currentMinRxUs, this.remoteMinTxUs);
  }

  get timers(): BfdTimers {
    return this.#timers;
  }

  /** Something valid has come within the detection time. */
  get hears(): boolean {
    return this.#detectAtMs < Infinity;
  }

  get polling(): boolean {
    return this.#polling;
  }

  /** RFC 5880 §6.8.7: the next packet. */
  fill(packet: BfdControl, final: boolean): void {
    packet.diagnostic = this.diagnostic;
    packet.state = this.state;
    // "MUST NOT have both set".
    packet.poll = this.#polling && !final;
    packet.final = final;
    // We live and die with the speaker.
    packet.controlPlaneIndependent = false;
    packet.demand = false;
    packet.detectMultiplier = this.#timers.multiplier;
    packet.myDiscriminator = this.localDiscriminator;
    packet.yourDiscriminator = this.remoteDiscriminator;
    packet.desiredMinTxUs = this.#desiredMinTxUs;
    packet.requiredMinRxUs = this.#requiredMinRxUs;
    packet.requiredMinEchoRxUs = 0;
  }

  /** RFC 5880 §6.8.6, from where the session has been found. */
  receive(packet: BfdControl, nowMs: number): void {
    this.packetsIn++;
    this.remoteDiscriminator = packet.myDiscriminator;
    this.remoteDiagnostic = packet.diagnostic;
    this.remoteMultiplier = packet.detectMultiplier;
    this.remoteMinTxUs = packet.desiredMinTxUs;
    this.remoteMinRxUs = packet.requiredMinRxUs;
    this.remoteIndependent = packet.controlPlaneIndependent;
    this.#remoteDemand = packet.demand;
    const remoteBefore = this.remoteState;
    this.remoteState = packet.state;
    if (packet.final && this.#polling) this.#pollEnds(nowMs);
    if (this.state === BfdState.adminDown) return;
    const before = this.state;
    this.#apply(receivedEvents[packet.state]!, nowMs);
    if (before === this.state && remoteBefore !== packet.state) this.#host.stateChanged(this, before);
    this.#detectAtMs = nowMs + this.detectionUs / 1000;
    if (packet.poll) this.#send(true, nowMs);
    this.#reschedule();
  }

  /** Does what is due at `nowMs`. */
  tick(nowMs: number): void {
    if (nowMs >= this.#detectAtMs) {
      this.#detectAtMs = Infinity;
      // §6.8.1: without a valid packet for a Detection Time.
      this.remoteDiscriminator = 0;
      this.remoteState = BfdState.down;
      this.remoteMinRxUs = 1;
      this.#remoteDemand = false;
      this.#apply(DETECTION_TIME_EXPIRES, nowMs);
    }
    if (nowMs >= this.#nextSendMs) this.#send(false, nowMs);
  }

  /** New timers; while Up they are agreed on by a Poll Sequence. */
  configure(timers: BfdTimers, nowMs: number): void {
    this.#timers = timers;
    // §6.8.7: "between periodic packets when the contents would differ".
    if (this.#advertise() && this.#lastSentMs > -Infinity) this.#send(false, nowMs);
  }

  /** RFC 5880 §6.8.16: says AdminDown from now on, which is no failure for the peer. */
  disable(nowMs: number): void {
    this.#apply({ type: 'disable' }, nowMs);
  }

  get #sendsPeriodically(): boolean {
    // §6.8.7: not to whom wants nothing; not in the peer's Demand mode, unless we poll.
    if (this.remoteMinRxUs === 0) return false;
    if (!this.#remoteDemand || this.#polling) return true;
    return this.state !== BfdState.up || this.remoteState !== BfdState.up;
  }

  #apply(event: BfdEvent, nowMs: number): void {
    const before = this.state;
    const { state, diagnostic } = step(before, event);
    if (diagnostic !== undefined) this.diagnostic = diagnostic;
    if (state === before) return;
    this.state = state;
    if (before === BfdState.up) this.flaps++;
    this.#advertise();
    this.#host.stateChanged(this, before);
    // §6.8.7: a change of state is told at once.
    this.#send(false, nowMs);
  }

  /**
   * Brings what is advertised in line with state and settings; opens a Poll Sequence when an Up session needs one.
   * True = there is something new to tell.
   */
  #advertise(): boolean {
    const isUp = this.state === BfdState.up;
    const wantedTxUs = this.#timers.minTxMs * 1000;
    const desiredMinTxUs = isUp ? wantedTxUs : Math.max(wantedTxUs, SLOW_US);
    const requiredMinRxUs = this.#timers.minRxMs * 1000;
    const changed = desiredMinTxUs !== this.#desiredMinTxUs || requiredMinRxUs !== this.#requiredMinRxUs;
    this.#desiredMinTxUs = desiredMinTxUs;
    this.#requiredMinRxUs = requiredMinRxUs;
    if (!isUp) {
      this.#polling = false;
      this.#pollAgain = false;
      this.#takeEffect();
      return changed;
    }
    if (!changed) return false;
    // §6.8.3: slower sending and faster detection wait until the peer has said Final; the other direction is safe at once.
    this.#currentMinTxUs = Math.min(this.#currentMinTxUs, desiredMinTxUs);
    this.#currentMinRxUs = Math.max(this.#currentMinRxUs, requiredMinRxUs);
    if (this.#polling) this.#pollAgain = true;
    this.#polling = true;
    return true;
  }

  #takeEffect(): void {
    this.#currentMinTxUs = this.#desiredMinTxUs;
    this.#currentMinRxUs = this.#requiredMinRxUs;
    this.#reschedule();
  }

  #pollEnds(nowMs: number): void {
    if (this.#pollAgain) {
      this.#pollAgain = false;
      this.#send(false, nowMs);
      return;
    }
    this.#polling = false;
    this.#takeEffect();
  }

  #send(final: boolean, nowMs: number): void {
    this.packetsOut++;
    this.#host.transmit(this, final);
    // §6.8.7: a Final is sent "without respect to the transmission timer".
    if (final) return;
    this.#lastSentMs = nowMs;
    this.#intervalUs = Math.max(this.#currentMinTxUs, this.remoteMinRxUs);
    this.#nextSendMs = this.#sendsPeriodically ? nowMs + this.#jittered() : Infinity;
  }

  /** Interval or peer's wish has changed: the packet under way comes by the new one. */
  #reschedule(): void {
    const intervalUs = Math.max(this.#currentMinTxUs, this.remoteMinRxUs);
    const sends = this.#sendsPeriodically;
    if (intervalUs === this.#intervalUs && sends === this.#nextSendMs < Infinity) return;
    this.#intervalUs = intervalUs;
    if (this.#lastSentMs === -Infinity) return;
    this.#nextSendMs = sends ? this.#lastSentMs + this.#jittered() : Infinity;
  }

  /** §6.8.7: 75 to 100 % of the interval; with a multiplier of 1 at most 90 %. Milliseconds. */
  #jittered(): number {
    const range = this.#timers.multiplier === 1 ? 0.15 : 0.25;
    return (this.#intervalUs / 1000) * (0.75 + range * this.#host.random());
  }
}

const DETECTION_TIME_EXPIRES: BfdEvent = { type: 'detectionTimeExpires' };
/** By the state received. */
const receivedEvents: readonly BfdEvent[] = [BfdState.adminDown, BfdState.down, BfdState.init, BfdState.up].map(
  (state) => ({ type: 'received', state }),
);
