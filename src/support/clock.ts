/**
 * The only source of time and timers. Everything that waits takes a `Clock`, so the whole speaker runs on a fake one.
 */

/** Cancels what it stands for; calling it twice is harmless. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. */
  nowMs(): number;
  /** Wall clock, milliseconds since the epoch; for people only, never for intervals. */
  wallMs(): number;
  after(delayMs: number, run: () => void): Cancel;
  every(intervalMs: number, run: () => void): Cancel;
  /** Runs after the input that is ready now has been read (Node's check phase). */
  soon(run: () => void): void;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    return () => clearInterval(timer);
  },
  soon(run) {
    setImmediate(run);
  },
};
