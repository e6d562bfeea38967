/**
 * When to read the kernel's whole state again. Requests are joined, and readings take at most a fifth of the time, so
 * a flood of changes cannot keep us reading for ever.
 */

const SHARE = 4;
/** More of the same kind may follow. */
const SOON_MS = 20;
/** What forwards is settled first. */
const AFTER_SETTLING_MS = 1;

export class Resync {
  /** When the next reading is due, milliseconds; Infinity = none. */
  at = Infinity;
  #notBefore = 0;

  /** `atOnce`: what we know is known to be incomplete. */
  request(nowMs: number, atOnce = false): void {
    this.at = Math.min(this.at, Math.max(nowMs + (atOnce ? 0 : SOON_MS), this.#notBefore));
  }

  /** Routes have gone, or are about to go, without a word: with their interface, or with its last address. */
  requestAfterLoss(nowMs: number): void {
    this.at = Math.min(this.at, Math.max(nowMs + AFTER_SETTLING_MS, this.#notBefore));
  }

  due(nowMs: number): boolean {
    return nowMs >= this.at;
  }

  done(beganMs: number, endedMs: number): void {
    this.#notBefore = endedMs + SHARE * (endedMs - beganMs);
    this.at = Infinity;
  }
}
