/**
 * The keepalive, hold and send hold timers of all sessions, as one coarse ticker: no timer is started, moved or stopped
 * per message. A message only leaves its time in a number; the ticker compares.
 *
 * Invariant: nobody is declared dead because *we* were busy. A deadline found passed is looked at again after the loop
 * has read what was waiting in the sockets (`clock.soon`), and only then acted upon.
 * RFC 4271 §10 (timers), RFC 9687 (send hold).
 */
import type { Cancel, Clock } from '../support/clock.js';

/** How coarse: a timer fires up to this late, or half of it early. 2,000 sessions cost about 1 ms a tick. */
export const TICK_MS = 250;

export interface Timed {
  /** Cheap, called every tick: sends what is due, and says whether a deadline of the peer has passed. */
  tick(nowMs: number): boolean;
  /** Called after a turn of reading when `tick` returned true: looks again and ends the session if it still has. */
  expire(nowMs: number): void;
}

export class SessionTimers {
  readonly #clock: Clock;
  readonly #timed = new Set<Timed>();
  #cancel: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(timed: Timed): void {
    this.#timed.add(timed);
    this.#cancel ??= this.#clock.every(TICK_MS, () => this.#tick());
  }

  /** The ticker stops with the last one, so that an idle process may end. */
  delete(timed: Timed): void {
    this.#timed.delete(timed);
    if (this.#timed.size > 0 || !this.#cancel) return;
    this.#cancel();
    this.#cancel = undefined;
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs();
    let overdue: Timed[] | undefined;
    for (const timed of this.#timed) if (timed.tick(nowMs)) (overdue ??= []).push(timed);
    if (!overdue) return;
    const found = overdue;
    this.#clock.soon(() => {
      for (const timed of found) if (this.#timed.has(timed)) timed.expire(this.#clock.nowMs());
    });
  }
}
