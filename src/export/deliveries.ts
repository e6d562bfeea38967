// HOT: guarded by bench S4, S4b.
/**
 * Chunks on their way to the members of wide groups. Writing one chunk to two thousand sockets takes a tenth of a second,
 * nearly all of it in the kernel; it is done in slices, so that sockets are read and timers run meanwhile.
 *
 * Invariants: chunks of a group reach each member in the order they were packed in; while anything is on its way no
 * further batch is decided, so at most one batch's chunks exist. A member that leaves the stream gets nothing more of
 * them (`drop`), and whoever takes it out marks the batch instead.
 */
import type { ChunkMemoryPool } from './chunk-memory.js';
import type { Member } from './member.js';
import { MessageChunk } from './message-chunk.js';

/** Members written to between two looks at the clock. */
const MEMBERS_PER_LOOK = 16;
const MAX_SPARE = 8;

interface Delivery {
  readonly chunk: MessageChunk;
  /** From the last to the first; undefined = has left. */
  readonly members: (Member | undefined)[];
}

export class Deliveries {
  readonly #memory: ChunkMemoryPool;
  readonly #write: (chunk: MessageChunk, member: Member) => void;
  readonly #outOfTime: () => boolean;
  #queue: Delivery[] = [];
  readonly #spare: MessageChunk[] = [];

  constructor(memory: ChunkMemoryPool, write: (chunk: MessageChunk, member: Member) => void, outOfTime: () => boolean) {
    this.#memory = memory;
    this.#write = write;
    this.#outOfTime = outOfTime;
  }

  get pending(): boolean {
    return this.#queue.length > 0;
  }

  /** Takes a packed chunk for these members, and gives an empty one to pack on with. */
  exchange(chunk: MessageChunk, members: readonly Member[]): MessageChunk {
    this.#queue.push({ chunk, members: [...members] });
    return this.#spare.pop() ?? new MessageChunk(this.#memory.take());
  }

  /** Writes until time is up, at least to some; true when nothing is left. */
  run(): boolean {
    for (;;) {
      const delivery = this.#queue[0];
      if (!delivery) return true;
      const { chunk, members } = delivery;
      while (members.length > 0) {
        for (let i = 0; i < MEMBERS_PER_LOOK && members.length > 0; i++) {
          const member = members.pop();
          if (member) this.#write(chunk, member);
        }
        if (members.length > 0 && this.#outOfTime()) return false;
      }
      this.#queue.shift();
      this.#recycle(chunk);
      if (this.pending && this.#outOfTime()) return false;
    }
  }

  /** The member gets nothing more of what is on its way; true when something was. */
  drop(member: Member): boolean {
    let dropped = false;
    for (const { members } of this.#queue) {
      const at = members.indexOf(member);
      if (at < 0) continue;
      members[at] = undefined;
      dropped = true;
    }
    return dropped;
  }

  #recycle(chunk: MessageChunk): void {
    if (chunk.memory.holders > 0) chunk.memory = this.#memory.take();
    chunk.clear();
    if (this.#spare.length < MAX_SPARE) this.#spare.push(chunk);
  }
}
