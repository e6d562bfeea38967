/**
 * Whether a session that does not come up may be a matter of its TCP MD5 password. The kernel drops such segments
 * without a word to either end and counts them for the whole host, so all that can be known is: such segments have come
 * since this session has been waited for.
 */
import type { Clock } from '../support/clock.js';
import { md5Difference, type TcpMd5Counters } from '../support/tcp-md5.js';

/** Many peers ask in one moment. */
const FRESH_MS = 500;

export class Md5Watch {
  readonly #clock: Clock;
  readonly #read: () => TcpMd5Counters | undefined;
  readonly #first: TcpMd5Counters | undefined;
  #last: TcpMd5Counters | undefined;
  #lastMs = -Infinity;

  constructor(clock: Clock, read: () => TcpMd5Counters | undefined) {
    this.#clock = clock;
    this.#read = read;
    this.#first = this.now();
  }

  /** At most half a second old. */
  now(): TcpMd5Counters | undefined {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastMs >= FRESH_MS) {
      this.#last = this.#read();
      this.#lastMs = nowMs;
    }
    return this.#last;
  }

  /** Since this was made. */
  get total(): TcpMd5Counters | undefined {
    const now = this.now();
    return now && this.#first && md5Difference(now, this.#first);
  }

  /**
   * What the segments that have been dropped since `before` suggest about a silent peer; undefined = nothing. No numbers:
   * the same suspicion is the same text.
   */
  suspicion(before: TcpMd5Counters | undefined, hasPassword: boolean): string | undefined {
    const now = this.now();
    if (!now || !before) return undefined;
    const { wrong, unsigned, unexpected } = md5Difference(now, before);
    if (!hasPassword) {
      return unexpected > 0
        ? 'segments with a TCP MD5 signature come to this host from where no password is set: does the peer have one?'
        : undefined;
    }
    if (wrong > 0) return "segments with a wrong TCP MD5 signature come to this host: is the password the peer's?";
    if (unsigned > 0)
      return 'segments without a TCP MD5 signature come to this host from where a password is set: does the peer have one?';
    return undefined;
  }
}
