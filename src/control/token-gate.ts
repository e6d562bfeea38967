/**
 * Who may give commands over TCP: whoever shows the token of `control.tokenFile` (RFC 6750 §2.1, `Authorization: Bearer`).
 * Without a token there are no commands over TCP at all.
 *
 * The token is compared in a time that does not depend on it, and is never in a log line or an answer.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import { ControlError } from './control-error.js';

/** At most one line in the log per this time about wrong tokens. */
const REFUSAL_LOG_INTERVAL_MS = 10_000;
/** How long whoever shows a wrong token waits for the answer: with the connections of the server this bounds guesses. */
const REFUSAL_DELAY_MS = 1000;

export class TokenGate {
  readonly #token: () => string | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  #lastLogMs = -Infinity;
  #refusedSinceLog = 0;

  constructor(token: () => string | undefined, clock: Clock, log: Log) {
    this.#token = token;
    this.#clock = clock;
    this.#log = log;
  }

  /** Rejects with the refusal: `read-only` where no token is configured, `unauthorized` where it is missing or wrong. */
  async pass(authorization: string | undefined, from: string | undefined): Promise<void> {
    const token = this.#token();
    if (token === undefined) {
      throw new ControlError(
        'read-only',
        'commands are taken only over the Unix socket; over HTTP they need control.tokenFile',
      );
    }
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given !== undefined && equalSecrets(given, token)) return;
    this.#refusedSinceLog++;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastLogMs >= REFUSAL_LOG_INTERVAL_MS) {
      this.#log.warn({ from, refused: this.#refusedSinceLog }, 'control: command refused: no token, or a wrong one');
      this.#lastLogMs = nowMs;
      this.#refusedSinceLog = 0;
    }
    // Guesses take time, and a connection makes one at a time: what is not said within it is not heard.
    await new Promise<void>((resolve) => this.#clock.after(REFUSAL_DELAY_MS, resolve));
    throw new ControlError('unauthorized', 'commands over HTTP need the token: Authorization: Bearer TOKEN');
  }
}

/** Digests have one length, so neither the content nor the length shows in the time. */
function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
