/**
 * How many messages of one connection are read in a second (`limits.messageRate`): what is beyond waits in the peer's own
 * send queue, nothing is lost and nobody else waits for it. A second's worth may come at once.
 */

const BURST_MS = 1000;
/** Less is not waited for but added up: a pause is a timer, and there is none per message. */
const LEAST_PAUSE_MS = 50;

export class MessagePace {
  /** When all that has been read would have come in at the rate. */
  #dueMs = -Infinity;

  /** What has been read would not all have come in at the rate yet. */
  isAhead(nowMs: number): boolean {
    return this.#dueMs > nowMs;
  }

  /** So many messages have been read, of which `perSecond` may be. Returns how long to read no further, ms. */
  read(count: number, perSecond: number, nowMs: number): number {
    this.#dueMs = Math.max(this.#dueMs, nowMs - BURST_MS) + (count * 1000) / perSecond;
    const pauseMs = Math.ceil(this.#dueMs - nowMs);
    return pauseMs < LEAST_PAUSE_MS ? 0 : pauseMs;
  }
}
