/** Waiting by condition: asks again and again until the answer is there, the time is up, or the lab is interrupted. */
import type { Clock } from '../support/clock.js';

/** What was waited for did not come in time. */
export class TimeoutError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TimeoutError';
  }
}

/** Ctrl-C, SIGTERM or SIGHUP arrived. */
export class InterruptedError extends Error {
  constructor() {
    super('interrupted');
    this.name = 'InterruptedError';
  }
}

export interface UntilOptions {
  readonly clock: Clock;
  /** Completes "waited N s for …". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Arrived<T> {
  readonly value: T;
  readonly tookMs: number;
}

/**
 * Resolves with the first answer of `probe` that is not undefined, and the time it took. What `probe` throws ends the
 * wait at once. The probe is always asked once more at the deadline, so a busy machine does not fail a condition that
 * has come true.
 */
export async function until<T>(probe: () => Promise<T | undefined>, options: UntilOptions): Promise<Arrived<T>> {
  const { clock } = options;
  const start = clock.nowMs();
  for (;;) {
    const expired = clock.nowMs() - start >= options.timeoutMs;
    if (options.signal?.aborted) throw new InterruptedError();
    const value = await probe();
    if (value !== undefined) return { value, tookMs: clock.nowMs() - start };
    if (expired) throw new TimeoutError(`waited ${options.timeoutMs / 1000} s for ${options.what}`);
    await new Promise<void>((resolve) => clock.after(options.intervalMs ?? 25, resolve));
  }
}
