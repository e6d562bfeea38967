/**
 * What runner and load generator say to each other, in JSON: a `Plan` as argument; `READY` when the generator could dial;
 * then `SpeakerStarted` and what fib-watch says on its standard input, and a `Result` per phase on its output.
 */
import type { Phase, Scenario } from '../scenarios.js';

export interface Session {
  /** Where it dials from. */
  readonly address: string;
  readonly asn: number;
  /** BGP identifier and next hop, an unsigned 32-bit number. */
  readonly identifier: number;
}

export interface Plan {
  readonly scenario: Scenario;
  readonly speaker: { readonly address: string; readonly port: number; readonly asn: number };
  /** Session by session, senders first. */
  readonly sessions: readonly Session[];
  readonly settleMs: number;
  readonly timeoutMs: number;
}

/** First line of the generator. */
export const READY = 'ready';

export interface SpeakerStarted {
  readonly event: 'started';
  /** Monotonic milliseconds. */
  readonly atMs: number;
  readonly pid: number;
}

export interface Result {
  readonly phase: Phase | 'start';
  readonly ok: boolean;
  readonly error?: string;
  /** From the first octet sent until the last receiver (or the kernel) had everything; of `start`: from process start. */
  readonly seconds: number;
  /** Until the kernel had taken all that was sent. */
  readonly sentSeconds?: number;
  readonly prefixes: number;
  readonly sessions: number;
  /** Over all receivers. */
  readonly updatesReceived?: number;
  readonly prefixesReceived?: number;
  readonly ownRoutesReturned?: number;
  readonly latencyMs?: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly speakerCpuSeconds: number;
  readonly generatorCpuSeconds: number;
  /** The rest of the machine meanwhile, kernel threads included. */
  readonly otherCpuSeconds: number;
  readonly rssMb: number;
  readonly peakRssMb: number;
}

/** What fib-watch says, and the runner hands on to the generator's standard input. */
export interface FibEvent {
  readonly event: 'ready' | 'all' | 'none' | 'restored';
  /** Monotonic milliseconds. */
  readonly atMs: number;
  readonly overruns: number;
}
