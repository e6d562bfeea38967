/**
 * Which descriptors the BFD thread has open, in memory that outlives it: a thread that dies closes nothing, and its ports
 * would stay taken. Written by the thread, read by the main thread once the thread is gone.
 */
import { closeSocket } from 'netlink';

/** Descriptors beyond this are not kept account of. */
const MAX_DESCRIPTORS = 65_536;

/** One octet for each descriptor there may be. */
export function createOpenSockets(): SharedArrayBuffer {
  return new SharedArrayBuffer(MAX_DESCRIPTORS);
}

export class OpenSockets {
  readonly #isOpen: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#isOpen = new Uint8Array(memory);
  }

  opened(fd: number): number {
    this.#isOpen[fd] = 1;
    return fd;
  }

  close(fd: number): void {
    // In this order: once closed the number may be somebody else's.
    this.#isOpen[fd] = 0;
    closeSocket(fd);
  }

  /** Closes what a thread that has ended left behind. */
  closeAll(): void {
    for (let fd = this.#isOpen.indexOf(1); fd >= 0; fd = this.#isOpen.indexOf(1, fd + 1)) this.close(fd);
  }
}
