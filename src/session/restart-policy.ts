/**
 * What comes after an ending: how long to wait, whether the peer may end the wait by dialling us, and how much to offer
 * next time. Takes endings, gives numbers; the session keeps the timers.
 *
 * RFC 4271 §8.1.1 (DampPeerOscillations, IdleHoldTime), RFC 5492 §3 (fewer capabilities after a refusal).
 */
import { NotificationCode, OpenSubcode } from 'bgp-parse';
import type { Family } from 'bgp-parse';
import type { PeerOptions } from '../config/settings.js';
import type { Ending } from './attempt.js';
import { BackOff } from './back-off.js';
import { OfferLevel, nextOffer } from './open-offer.js';
import type { SessionState } from './types.js';

/** How long one TCP connection attempt may take, ms, unless ConnectRetryTime is shorter. */
const CONNECT_TIMEOUT_MS = 10_000;

/** NOTIFICATIONs, either way, that say nothing against trying again soon. */
const HARMLESS_CODES: ReadonlySet<number> = new Set([
  NotificationCode.cease,
  NotificationCode.holdTimerExpired,
  NotificationCode.sendHoldTimerExpired,
]);

/** Subcodes of OPEN errors after which fewer capabilities may help. Some routers refuse unknown ones as Unspecific. */
const CAPABILITY_REFUSALS: ReadonlySet<number> = new Set([
  0,
  OpenSubcode.unsupportedCapability,
  OpenSubcode.unsupportedOptionalParameter,
]);

export interface IdleHold {
  readonly waitMs: number;
  /** The wait is no punishment: a connection of the peer ends it. */
  readonly accepts: boolean;
  /** The peer has refused our capabilities, and the next OPEN has fewer. */
  readonly fellBack: boolean;
}

export class RestartPolicy {
  readonly #connectRetryMaxMs: number;
  readonly #families: readonly Family[];
  readonly #backOff: BackOff;
  readonly #dualAs: boolean;
  #offerLevel: OfferLevel = OfferLevel.full;
  /** With `localAs`: that one is offered; false = our real one, where the peer refuses the other (`dualAs`). */
  #usesLocalAs = true;

  constructor(peer: Pick<PeerOptions, 'connectRetryTimeSeconds' | 'families' | 'localAs'>, random: () => number) {
    this.#connectRetryMaxMs = peer.connectRetryTimeSeconds * 1000;
    this.#families = peer.families;
    this.#dualAs = peer.localAs?.dualAs ?? false;
    this.#backOff = new BackOff(this.#connectRetryMaxMs, random);
  }

  /** What the next OPEN offers. */
  get offerLevel(): OfferLevel {
    return this.#offerLevel;
  }

  get usesLocalAs(): boolean {
    return this.#usesLocalAs;
  }

  /** The ConnectRetryTime to start in Connect or Active, ms. */
  connectRetryMs(state: SessionState): number {
    // RFC 4271 §8.2.2: in Connect the timer bounds the attempt; the kernel repeats its SYN after 1, 3 and 7 s.
    if (state === 'Connect') return Math.min(this.#connectRetryMaxMs, CONNECT_TIMEOUT_MS);
    return this.#backOff.connectRetryMs();
  }

  /** The peer has sent an OPEN that we take. */
  reached(): void {
    this.#backOff.reached();
  }

  /** A session is up: what was left out for it is offered again next time. */
  established(): void {
    this.#offerLevel = OfferLevel.full;
  }

  /** An operator starts afresh. */
  forgive(): void {
    this.#backOff.forgive();
    this.#offerLevel = OfferLevel.full;
  }

  /** After an ending that led to Idle. `damp` as the machine says; `livedMs` of the session, 0 = it never came up. */
  idleHold({ notification }: Pick<Ending, 'notification'>, damp: boolean, livedMs: number): IdleHold {
    const fellBack = notification?.sent === false && this.#fallBack(notification.code, notification.subcode);
    if (!damp || !notification || fellBack || HARMLESS_CODES.has(notification.code)) {
      return { waitMs: this.#backOff.afterLossMs(livedMs), accepts: true, fellBack };
    }
    // What we found wrong ourselves comes back with every connection of the peer: then it has to wait as well.
    return { waitMs: this.#backOff.afterErrorMs(livedMs), accepts: !notification.sent, fellBack };
  }

  /** RFC 5492 §3. True = the next OPEN will differ; false when nothing is left to leave out, and all is offered again. */
  #fallBack(code: number, subcode: number): boolean {
    if (code !== NotificationCode.open) return false;
    if (subcode === OpenSubcode.badPeerAs && this.#dualAs) {
      this.#usesLocalAs = !this.#usesLocalAs;
      return true;
    }
    if (!CAPABILITY_REFUSALS.has(subcode)) return false;
    const next = nextOffer(this.#offerLevel, this.#families);
    this.#offerLevel = next ?? OfferLevel.full;
    return next !== undefined;
  }
}
