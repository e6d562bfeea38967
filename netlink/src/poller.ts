/** Waits until one of a set of descriptors is readable. Unlike `pollReadable`, waiting allocates nothing. */
import * as libc from './libc.js';

const ENTRY_LENGTH = 8;

export class Poller {
  #entries = new Uint8Array(new ArrayBuffer(16 * ENTRY_LENGTH));
  #view = new DataView(this.#entries.buffer);
  #count = 0;

  /** Watches `fd`; the index that `isReady` takes is the order of adding. */
  add(fd: number): void {
    if ((this.#count + 1) * ENTRY_LENGTH > this.#entries.length) {
      const before = this.#entries;
      this.#entries = new Uint8Array(new ArrayBuffer(before.length * 2));
      this.#entries.set(before);
      this.#view = new DataView(this.#entries.buffer);
    }
    this.#view.setInt32(this.#count * ENTRY_LENGTH, fd, libc.littleEndian);
    this.#view.setInt16(this.#count * ENTRY_LENGTH + 4, libc.POLLIN, libc.littleEndian);
    this.#count++;
  }

  /** Watches nothing any more. */
  clear(): void {
    this.#count = 0;
  }

  /** How many are readable after at most `timeoutMs` (-1 = no limit); a signal ends the wait early. */
  wait(timeoutMs: number): number {
    const ready = libc.pollRaw(this.#entries, this.#count, timeoutMs);
    if (ready >= 0) return ready;
    for (let i = 0; i < this.#count; i++) this.#view.setInt16(i * ENTRY_LENGTH + 6, 0, libc.littleEndian);
    if (ready === -libc.Errno.EINTR) return 0;
    throw new libc.SystemError('poll', -ready);
  }

  /** Whether the descriptor added as number `index` was readable, or has an error, at the last `wait`. */
  isReady(index: number): boolean {
    return this.#view.getInt16(index * ENTRY_LENGTH + 6, libc.littleEndian) !== 0;
  }
}
