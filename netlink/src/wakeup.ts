/**
 * Wakes a thread that waits in `pollReadable` from another thread: an eventfd. The descriptor number is valid in every
 * thread of the process; the thread that made it closes it, when nobody waits on it any more.
 */
import * as libc from './libc.js';

/** A new eventfd. */
export function createWakeup(): number {
  return libc.eventfd();
}

/** Makes the descriptor readable; cheap enough for every message. */
export function wake(fd: number): void {
  libc.write(fd, one);
}

/** Makes the descriptor unreadable again. */
export function clearWakeup(fd: number): void {
  libc.read(fd, new Uint8Array(8));
}

const one = new Uint8Array(new BigUint64Array([1n]).buffer);
