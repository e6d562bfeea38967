/**
 * How long to wait before trying again: the IdleHoldTimer after errors (RFC 4271 §8.1.1, DampPeerOscillations) and the
 * ConnectRetryTimer after connections that could not be made. Pure but for the counters it keeps.
 *
 * Errors double the wait from 1 s up to 60 s, and are forgiven once a session has lived for a while. A lost or ceased
 * session is no error of configuration: the peer is likely to be back at once, so the wait stays short.
 */

/** First and largest IdleHoldTime after an error, ms. */
const ERROR_FIRST_MS = 1000;
const ERROR_MAX_MS = 60_000;
/** A session that lived this long forgives earlier errors. */
const FORGIVEN_AFTER_MS = 60_000;
/** After a lost session: soon enough to meet a restarted peer, long enough not to spin. */
const LOSS_FIRST_MS = 250;
const LOSS_MAX_MS = 30_000;
/** Sessions shorter than this are a circle of establishing and losing, and double the wait. */
const SHORT_SESSION_MS = 3000;
const CONNECT_RETRY_FIRST_MS = 1000;

export class BackOff {
  readonly #random: () => number;
  readonly #connectRetryMaxMs: number;
  #errors = 0;
  #shortSessions = 0;
  #connectFailures = 0;

  /** `random` gives [0, 1); `connectRetryMaxMs` is the configured ConnectRetryTime. */
  constructor(connectRetryMaxMs: number, random: () => number) {
    this.#connectRetryMaxMs = connectRetryMaxMs;
    this.#random = random;
  }

  /** The IdleHoldTime after an error of the protocol or a refusal; `livedMs` 0 = the session never came up. */
  afterErrorMs(livedMs: number): number {
    if (livedMs >= FORGIVEN_AFTER_MS) this.forgive();
    return this.#doubling(ERROR_FIRST_MS, this.#errors++, ERROR_MAX_MS);
  }

  /** The IdleHoldTime after a connection was lost, or ceased by an operator. */
  afterLossMs(livedMs: number): number {
    if (livedMs >= FORGIVEN_AFTER_MS) this.forgive();
    this.#shortSessions = livedMs < SHORT_SESSION_MS ? this.#shortSessions + 1 : 0;
    return this.#doubling(LOSS_FIRST_MS, this.#shortSessions, LOSS_MAX_MS);
  }

  /** The ConnectRetryTime: 1 s, 2 s, 4 s … up to the configured one. */
  connectRetryMs(): number {
    return this.#doubling(CONNECT_RETRY_FIRST_MS, this.#connectFailures++, this.#connectRetryMaxMs);
  }

  /** The peer answered with an OPEN that we take: it can be reached. */
  reached(): void {
    this.#connectFailures = 0;
  }

  /** An operator started or reset the peer, or a session has lived long: nothing is held against it. */
  forgive(): void {
    this.#errors = 0;
    this.#shortSessions = 0;
    this.#connectFailures = 0;
  }

  // RFC 4271 §10: times are spread over 0.75..1 so that peers do not move in step.
  #doubling(firstMs: number, times: number, maxMs: number): number {
    const waitMs = Math.min(firstMs * 2 ** Math.min(times, 16), maxMs);
    return Math.round(waitMs * (0.75 + 0.25 * this.#random()));
  }
}
