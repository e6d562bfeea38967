/**
 * When to read the kernel's whole state again. Requests are joined, and readings take at most a fifth of the time, so
 * a flood of changes cannot keep us reading for ever.
 */

const SHARE = 4;
/** After an interface went down the kernel drops its routes shortly afterwards, and says nothing. */
const SOON_MS = 20;
const LATER_MS = 300;

export class Resync {
  /** When the next reading is due, milliseconds; Infinity = none. */
  at = Infinity;
  #again = Infinity;
  #notBefore = 0;

  /** `atOnce`: what we know is known to be incomplete. */
  request(nowMs: number, atOnce = false): void {
    this.at = Math.min(this.at, Math.max(nowMs + (atOnce ? 0 : SOON_MS), this.#notBefore));
  }

  /** Soon, and once more in case that was too early. */
  requestTwice(nowMs: number): void {
    this.request(nowMs);
    this.#again = nowMs + LATER_MS;
  }

  due(nowMs: number): boolean {
    return nowMs >= this.at;
  }

  done(beganMs: number, endedMs: number): void {
    this.#notBefore = endedMs + SHARE * (endedMs - beganMs);
    this.at = this.#again === Infinity ? Infinity : Math.max(this.#again, this.#notBefore);
    this.#again = Infinity;
  }
}
