/**
 * Who may work now: long answers are cut into slices, and in one iteration of the event loop there is one slice, however
 * many clients wait. So hundreds of readers take no more of the daemon's time than one, and sessions do not wait for them.
 */
import type { Clock } from '../support/clock.js';

export class Turns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs it when its turn has come: first come, first served. */
  call(run: () => void): void {
    this.#waiting.push(run);
    this.#schedule();
  }

  /** Resolves when the caller's turn has come. */
  take(): Promise<void> {
    return new Promise((resolve) => this.call(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      const next = this.#waiting.shift();
      this.#schedule();
      next?.();
    });
  }
}
