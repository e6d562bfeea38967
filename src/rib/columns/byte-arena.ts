// HOT: guarded by bench S1 (166,000 attribute sets).
/**
 * Storage for many short byte strings outside the JavaScript heap: chunks of 1 MiB cut into cells of a multiple of
 * 16 octets, freed cells chained per size class. A handle is chunk number and offset in one integer.
 */
const CHUNK_BITS = 20;
const CHUNK_OCTETS = 1 << CHUNK_BITS;
const CELL = 16;
/** Largest string: raw and canonical form of the attributes of an extended message (RFC 8654). */
const MAX_OCTETS = 1 << 18;

export class ByteArena {
  /** `chunks[handle >>> 20]` holds the string at `handle & 0xfffff`. */
  readonly chunks: Uint8Array[] = [];
  #next = CHUNK_OCTETS;
  readonly #freeHeads = new Float64Array(MAX_OCTETS / CELL + 1).fill(-1);
  octetsInUse = 0;

  /** Room for `length` octets; at most 4 GiB in all. */
  allocate(length: number): number {
    const size = length === 0 ? 1 : (length + CELL - 1) >>> 4;
    this.octetsInUse += size * CELL;
    const head = this.#freeHeads[size]!;
    if (head >= 0) {
      const chunk = this.chunks[head >>> CHUNK_BITS]!;
      const at = head & (CHUNK_OCTETS - 1);
      const next = readU32(chunk, at);
      this.#freeHeads[size] = next === 0xffffffff ? -1 : next;
      return head;
    }
    if (this.#next + size * CELL > CHUNK_OCTETS) {
      this.chunks.push(new Uint8Array(CHUNK_OCTETS));
      this.#next = 0;
    }
    const handle = (this.chunks.length - 1) * CHUNK_OCTETS + this.#next;
    this.#next += size * CELL;
    return handle;
  }

  free(handle: number, length: number): void {
    const size = length === 0 ? 1 : (length + CELL - 1) >>> 4;
    this.octetsInUse -= size * CELL;
    const head = this.#freeHeads[size]!;
    const chunk = this.chunks[handle >>> CHUNK_BITS]!;
    writeU32(chunk, handle & (CHUNK_OCTETS - 1), head < 0 ? 0xffffffff : head);
    this.#freeHeads[size] = handle;
  }

  store(bytes: Uint8Array, start: number, end: number): number {
    const handle = this.allocate(end - start);
    const chunk = this.chunks[handle >>> CHUNK_BITS]!;
    let at = handle & (CHUNK_OCTETS - 1);
    for (let i = start; i < end; i++) chunk[at++] = bytes[i]!;
    return handle;
  }
}

export function chunkOf(arena: ByteArena, handle: number): Uint8Array {
  return arena.chunks[handle >>> CHUNK_BITS]!;
}

export function offsetOf(handle: number): number {
  return handle & (CHUNK_OCTETS - 1);
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
