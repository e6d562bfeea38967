/**
 * The memory of message chunks, used again instead of left to the garbage collector: a session that is behind holds the
 * memory it was handed until its socket has taken everything.
 */

/** Large enough for a batch of 8,192 prefixes at the usual six per attribute set, and for any single message. */
const CHUNK_OCTETS = 256 * 1024;
/** Kept for later; more are left to the collector. */
const MAX_FREE = 16;

/** One piece of memory and how many sessions may still read from it. */
export interface ChunkMemory {
  readonly bytes: Buffer;
  holders: number;
  /** A holder went away without a word: its socket may read on, so the memory is never used again. */
  abandoned: boolean;
}

export class ChunkMemoryPool {
  readonly #free: ChunkMemory[] = [];

  take(): ChunkMemory {
    return this.#free.pop() ?? { bytes: Buffer.allocUnsafeSlow(CHUNK_OCTETS), holders: 0, abandoned: false };
  }

  /** A session has handed everything to the kernel. */
  release(memory: ChunkMemory): void {
    memory.holders--;
    if (memory.holders === 0 && !memory.abandoned && this.#free.length < MAX_FREE) this.#free.push(memory);
  }

  /** A session has ended with the memory in its hands. */
  abandon(memory: ChunkMemory): void {
    memory.holders--;
    memory.abandoned = true;
  }
}
