/**
 * Where the lines of the log go: a descriptor that is never waited for and whose errors kill nobody. A full disk, a reader
 * that is gone or does not read, a terminal that was closed: lines are lost then, and counted; the first one that goes out
 * again says how many. Written at once, so that nothing is lost when the process ends.
 */
import { writeSync } from 'node:fs';
import { pollWritable } from 'netlink';

/** A pipe that is writable takes so much without waiting (PIPE_BUF). */
const CHUNK_OCTETS = 4096;
const NEW_LINE = Buffer.from('\n');

export class LogSink {
  readonly #fd: number;
  readonly #lostLine: (count: number) => string;
  #lost = 0;
  /** What is left of a line of which a part has gone out. */
  #rest: Uint8Array | undefined;

  /** `lostLine`: the line that says that so many are lost. */
  constructor(fd: number, lostLine: (count: number) => string) {
    this.#fd = fd;
    this.#lostLine = lostLine;
  }

  /** Whole lines, with their end. */
  write(line: string): void {
    if (!this.#finish() || !this.#put(Buffer.from(line))) this.#lost++;
  }

  /** True when there is nothing to make up for. */
  #finish(): boolean {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest && !this.#put(rest)) {
      this.#rest ??= rest;
      return false;
    }
    if (this.#lost === 0) return true;
    const count = this.#lost;
    this.#lost = 0;
    if (this.#put(Buffer.from(this.#lostLine(count)))) return true;
    this.#lost = count;
    return false;
  }

  /** False = none of it went out. */
  #put(bytes: Uint8Array): boolean {
    let at = 0;
    try {
      while (at < bytes.length && pollWritable(this.#fd)) {
        at += writeSync(this.#fd, bytes, at, Math.min(bytes.length - at, CHUNK_OCTETS));
      }
      if (at > 0 && at < bytes.length) this.#rest = bytes.slice(at);
    } catch (error) {
      // Somebody has made it non-blocking: as if it were not writable.
      const isFull = (error as NodeJS.ErrnoException).code === 'EAGAIN';
      if (at > 0) this.#rest = isFull ? bytes.slice(at) : NEW_LINE;
    }
    return at > 0;
  }
}
