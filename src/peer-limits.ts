/**
 * The prefix limits of one peer, in and out: what is logged, which Cease ends the session, and how long it then stays
 * down: `restartAfter`, or until an operator enables the peer. RFC 4271 §6.7, RFC 4486 §4.
 *
 * Outwards there is nothing to refuse one by one, since what a peer is told is not stored: a peer that would be told more
 * than its limit is told nothing more, and the session ends. It is looked at before the first table, after each batch and
 * after a change of what may be told at all.
 */
import type { BgpError } from 'bgp-parse';
import type { PeerOptions } from './config/settings.js';
import type { Member } from './export/member.js';
import type { Exporter } from './export/exporter.js';
import { PrefixLimit, maximumPrefixesReached } from './rib/prefix-limit.js';
import type { Cancel, Clock } from './support/clock.js';
import type { Log } from './support/log.js';

export interface PeerLimitsHost {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the session stays Idle after its end; false starts it again. */
  holdDown(held: boolean): void;
  /** Ends the session. */
  cease(error: BgpError): void;
}

export class PeerLimits {
  /** Of received prefixes; undefined = none. */
  incoming: PrefixLimit | undefined;
  /** Why the session is kept down, for people; undefined = it is not. */
  heldDown: string | undefined;
  readonly #host: PeerLimitsHost;
  #options: PeerOptions;
  #cancelRestart: Cancel | undefined;
  #warnedOut: [boolean, boolean] = [false, false];

  constructor(options: PeerOptions, host: PeerLimitsHost) {
    this.#host = host;
    this.#options = options;
    this.incoming = this.#createIncoming();
  }

  /** True when the limit of received prefixes is another one now. Another limit ends the wait for the old one. */
  reconfigure(options: PeerOptions): boolean {
    const before = this.#options;
    this.#options = options;
    const incoming = JSON.stringify(options.prefixLimit) !== JSON.stringify(before.prefixLimit);
    if (incoming) this.incoming = this.#createIncoming();
    if (incoming || JSON.stringify(options.prefixLimitOut) !== JSON.stringify(before.prefixLimitOut)) this.release();
    return incoming;
  }

  begin(): void {
    this.incoming?.begin();
    this.#warnedOut = [false, false];
  }

  /** An operator, or the end of the wait: the session may come up again. */
  release(): void {
    this.#cancelRestart?.();
    if (this.heldDown === undefined) return;
    this.heldDown = undefined;
    this.#host.holdDown(false);
  }

  dispose(): void {
    this.#cancelRestart?.();
  }

  /** Whether anything has to be looked at outwards. */
  get watchesOut(): boolean {
    return this.#options.prefixLimitOut !== undefined;
  }

  /** Ends the session when one of its members is told more than allowed. */
  checkOut(members: readonly (Member | undefined)[], exporter: Exporter): void {
    const limit = this.#options.prefixLimitOut;
    if (!limit) return;
    for (const member of members) {
      if (!member) continue;
      const { family, familyIndex } = member.group.parameters;
      const count = exporter.plannedCount(member);
      if (count > limit.max) {
        const text = `more than ${limit.max} ${family} prefixes to advertise (prefixLimitOut)`;
        this.#end(text, limit.restartAfterSeconds);
        this.#host.cease(maximumPrefixesReached(text, family, limit.max));
        return;
      }
      const above = limit.warnAt !== undefined && count >= limit.warnAt;
      if (above && !this.#warnedOut[familyIndex]) {
        this.#warn(
          { family, count, warnAt: limit.warnAt },
          `${count} ${family} prefixes advertised, limit ${limit.max}`,
        );
      }
      this.#warnedOut[familyIndex] = above;
    }
  }

  #createIncoming(): PrefixLimit | undefined {
    const limit = this.#options.prefixLimit;
    if (!limit) return undefined;
    return new PrefixLimit(limit, {
      warned: (family, count) => {
        this.#warn({ family, count, warnAt: limit.warnAt }, `${count} ${family} prefixes received, limit ${limit.max}`);
      },
      reached: (family) => {
        const text = `more than ${limit.max} ${family} prefixes (prefixLimit)`;
        if (limit.action === 'reset') this.#end(text, limit.restartAfterSeconds);
        else this.#warn({ family, max: limit.max }, `${text}: the others are not taken`);
      },
    });
  }

  #end(text: string, restartAfterSeconds: number | undefined): void {
    const { clock, name } = this.#host;
    const wait = restartAfterSeconds === undefined ? `bgpctl peer ${name} enable` : `${restartAfterSeconds} s are over`;
    this.heldDown = `${text}: kept down until ${wait}`;
    this.#host.holdDown(true);
    this.#cancelRestart?.();
    if (restartAfterSeconds !== undefined) {
      this.#cancelRestart = clock.after(restartAfterSeconds * 1000, () => this.release());
    }
  }

  #warn(fields: object, text: string): void {
    const { log, name } = this.#host;
    log.warn({ peer: name, ...fields }, `peer ${name}: ${text}`);
  }
}
