/**
 * Writes malformed UPDATE messages of one peer to the log, with their prefixes and all their octets, so that the cause
 * can be found (RFC 7606 §6). Cold; a peer that sends nothing else cannot fill the log: what is beyond the first few of
 * a minute is only counted.
 */
import { decodeUpdate, formatPrefix } from 'bgp-parse';
import type { Nlri, UpdateContext } from 'bgp-parse';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';

const WINDOW_MS = 60_000;
const MESSAGES_PER_WINDOW = 10;
/** More prefixes than this of one message are counted; all of them are in its octets. */
const PREFIXES_SHOWN = 50;

export class MalformedLog {
  readonly #peer: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #windowStartMs = -Infinity;
  #inWindow = 0;

  constructor(peer: string, clock: Clock, log: Log) {
    this.#peer = peer;
    this.#clock = clock;
    this.#log = log;
  }

  /** The UPDATE body bytes[start, end) is at fault; `what` says how, `fatal` that the session ends with it. */
  note(what: string, bytes: Uint8Array, start: number, end: number, context: UpdateContext, fatal: boolean): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      const unsaid = this.#inWindow - MESSAGES_PER_WINDOW;
      if (unsaid > 0)
        this.#log.warn({ peer: this.#peer, unsaid }, `peer ${this.#peer}: ${unsaid} more malformed UPDATEs`);
      this.#windowStartMs = nowMs;
      this.#inWindow = 0;
    }
    if (++this.#inWindow > MESSAGES_PER_WINDOW) return;
    const { nlri, reach, withdrawn, unreach } = decodeUpdate(bytes, start, end, context);
    this.#log.warn(
      {
        peer: this.#peer,
        prefixes: shown([...nlri, ...(reach?.nlri ?? [])]),
        withdrawn: shown([...withdrawn, ...(unreach?.nlri ?? [])]),
        update: Buffer.from(bytes.subarray(start, end)).toString('hex'),
      },
      `peer ${this.#peer}: malformed UPDATE: ${what}${fatal ? '; the session ends' : ''}`,
    );
  }
}

function shown(list: readonly Nlri[]): string[] {
  const out = list.slice(0, PREFIXES_SHOWN).map((nlri) => formatPrefix(nlri));
  if (list.length > PREFIXES_SHOWN) out.push(`and ${list.length - PREFIXES_SHOWN} more`);
  return out;
}
