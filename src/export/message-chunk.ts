// HOT: guarded by bench S1, S2, S4.
/**
 * A buffer of whole UPDATE messages for one update group, cut into segments by the peer the routes came from: every
 * member gets all segments but its own (exact split horizon), at the cost of one encoding.
 *
 *   |----- source 7 -----|-- source 9 --|----- source 12 -----|   member 9 gets the first and the third
 */
import { AttributeCode, AttributeFlag, MessageType } from 'bgp-parse';
import type { ChunkMemory } from './chunk-memory.js';
import { grow } from '../rib/columns/grow.js';
import type { FamilyRib } from '../rib/family-rib.js';
import type { OutgoingAttributes } from './outgoing-attributes.js';

const HEADER = 19;
/** Octets of MP_REACH_NLRI or MP_UNREACH_NLRI in front of next hop or NLRI: flags, code, length 2, AFI, SAFI. */
const MP_HEAD = 7;

export class MessageChunk {
  memory: ChunkMemory;
  end = 0;
  segments = 0;
  segmentSource = new Uint16Array(64);
  segmentEnd = new Int32Array(64);
  /** Messages in the chunk up to the end of a segment. */
  segmentMessages = new Int32Array(64);
  messages = 0;
  #next = 0;

  constructor(memory: ChunkMemory) {
    this.memory = memory;
  }

  get bytes(): Buffer {
    return this.memory.bytes;
  }

  /** Forgets the contents. */
  clear(): void {
    this.end = 0;
    this.segments = 0;
    this.messages = 0;
  }

  /** True when one more message of this size may not fit. */
  isFull(maxMessageLength: number): boolean {
    return this.end + maxMessageLength > this.bytes.length;
  }

  /** What was written since the last mark came from this source. */
  mark(source: number): void {
    const last = this.segments - 1;
    const begin = last < 0 ? 0 : this.segmentEnd[last]!;
    if (this.end === begin) return;
    if (last >= 0 && this.segmentSource[last] === source) {
      this.segmentEnd[last] = this.end;
      this.segmentMessages[last] = this.messages;
      return;
    }
    if (this.segments === this.segmentEnd.length) {
      this.segmentSource = grow(this.segmentSource, this.segments * 2);
      this.segmentEnd = grow(this.segmentEnd, this.segments * 2);
      this.segmentMessages = grow(this.segmentMessages, this.segments * 2);
    }
    this.segmentSource[this.segments] = source;
    this.segmentMessages[this.segments] = this.messages;
    this.segmentEnd[this.segments++] = this.end;
  }

  /**
   * One message announcing prefixes of ids[from, to) with these attributes, as many as fit. Returns the index of the
   * first that did not fit, -1 when not even one does. With `pathIds` each prefix is preceded by its path identifier
   * (RFC 7911 §3).
   */
  announce(
    rib: FamilyRib,
    attributes: OutgoingAttributes,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    from: number,
    to: number,
    maxMessageLength: number,
  ): number {
    return attributes.useMp
      ? this.#announceMp(rib, attributes, ids, pathIds, from, to, maxMessageLength)
      : this.#announceClassic(rib, attributes, ids, pathIds, from, to, maxMessageLength);
  }

  #announceClassic(
    rib: FamilyRib,
    attributes: OutgoingAttributes,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    from: number,
    to: number,
    maxMessageLength: number,
  ): number {
    const out = this.bytes;
    const begin = this.end;
    const limit = begin + maxMessageLength;
    const length = attributes.length;
    let at = begin + HEADER;
    if (at + 4 + length + 9 > limit) return -1;
    out[at] = 0;
    out[at + 1] = 0;
    out[at + 2] = length >>> 8;
    out[at + 3] = length;
    at += 4;
    const source = attributes.bytes;
    for (let i = 0; i < length; i++) out[at + i] = source[i]!;
    at += length;
    at = this.#putPrefixes(rib, ids, pathIds, from, to, at, limit);
    this.#finish(begin, at);
    return this.#next;
  }

  #announceMp(
    rib: FamilyRib,
    attributes: OutgoingAttributes,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    from: number,
    to: number,
    maxMessageLength: number,
  ): number {
    const out = this.bytes;
    const begin = this.end;
    const length = attributes.length;
    const limit = begin + maxMessageLength - length;
    // RFC 7606 §5.1: MP_REACH_NLRI first, so that a receiver finds the prefixes even where a later attribute is broken.
    const mp = begin + HEADER + 4;
    let at = mp + MP_HEAD;
    if (at + 2 + attributes.nextHopLength + 21 > limit) return -1;
    out[mp] = AttributeFlag.optional | AttributeFlag.extendedLength;
    out[mp + 1] = AttributeCode.mpReach;
    out[mp + 4] = 0;
    out[mp + 5] = rib.index + 1;
    out[mp + 6] = 1;
    out[at++] = attributes.nextHopLength;
    for (let i = 0; i < attributes.nextHopLength; i++) out[at++] = attributes.nextHop[i]!;
    out[at++] = 0;
    let index = from;
    at = this.#putPrefixes(rib, ids, pathIds, index, to, at, limit);
    index = this.#next;
    const value = at - mp - 4;
    out[mp + 2] = value >>> 8;
    out[mp + 3] = value;
    const source = attributes.bytes;
    for (let i = 0; i < length; i++) out[at + i] = source[i]!;
    at += length;
    const total = at - mp;
    out[mp - 4] = 0;
    out[mp - 3] = 0;
    out[mp - 2] = total >>> 8;
    out[mp - 1] = total;
    this.#finish(begin, at);
    return index;
  }

  /** One message withdrawing prefixes of ids[from, to), as many as fit; returns the index of the first that did not. */
  withdraw(
    rib: FamilyRib,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    from: number,
    to: number,
    maxMessageLength: number,
  ): number {
    const out = this.bytes;
    const begin = this.end;
    const limit = begin + maxMessageLength - 2;
    let at = begin + HEADER + 2;
    let index = from;
    if (rib.index === 0) {
      at = this.#putPrefixes(rib, ids, pathIds, index, to, at, limit);
      index = this.#next;
      const length = at - begin - HEADER - 2;
      out[begin + HEADER] = length >>> 8;
      out[begin + HEADER + 1] = length;
      out[at++] = 0;
      out[at++] = 0;
    } else {
      out[begin + HEADER] = 0;
      out[begin + HEADER + 1] = 0;
      const mp = at + 2;
      out[mp] = AttributeFlag.optional | AttributeFlag.extendedLength;
      out[mp + 1] = AttributeCode.mpUnreach;
      out[mp + 4] = 0;
      out[mp + 5] = rib.index + 1;
      out[mp + 6] = 1;
      at = mp + MP_HEAD;
      at = this.#putPrefixes(rib, ids, pathIds, index, to, at, limit);
      index = this.#next;
      const value = at - mp - 4;
      out[mp + 2] = value >>> 8;
      out[mp + 3] = value;
      out[mp - 2] = (value + 4) >>> 8;
      out[mp - 1] = value + 4;
    }
    this.#finish(begin, at);
    return index;
  }

  /** Prefixes of ids[from, to) as long as they fit before `limit`; `#next` is the first that did not. Returns the end. */
  #putPrefixes(
    rib: FamilyRib,
    ids: Int32Array,
    pathIds: Int32Array | undefined,
    from: number,
    to: number,
    at: number,
    limit: number,
  ): number {
    const out = this.bytes;
    const room = 1 + rib.prefixes.words * 4 + (pathIds ? 4 : 0);
    let index = from;
    for (; index < to && at + room <= limit; index++) {
      if (pathIds) {
        const pathId = pathIds[index]!;
        out[at] = pathId >>> 24;
        out[at + 1] = pathId >>> 16;
        out[at + 2] = pathId >>> 8;
        out[at + 3] = pathId;
        at += 4;
      }
      at = this.#putPrefix(rib, ids[index]!, at);
    }
    this.#next = index;
    return at;
  }

  #putPrefix(rib: FamilyRib, id: number, at: number): number {
    const out = this.bytes;
    const { words, address, length } = rib.prefixes;
    let bits = length[id]!;
    out[at++] = bits;
    for (let cell = id * words; bits > 0; cell++, bits -= 32) {
      const word = address[cell]!;
      out[at++] = word >>> 24;
      if (bits > 8) out[at++] = word >>> 16;
      if (bits > 16) out[at++] = word >>> 8;
      if (bits > 24) out[at++] = word;
    }
    return at;
  }

  #finish(begin: number, end: number): void {
    const out = this.bytes;
    for (let i = 0; i < 16; i++) out[begin + i] = 0xff;
    const length = end - begin;
    out[begin + 16] = length >>> 8;
    out[begin + 17] = length;
    out[begin + 18] = MessageType.update;
    this.end = end;
    this.messages++;
  }
}
