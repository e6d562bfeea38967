/**
 * Netlink framing: nlmsghdr and rtattr, written and read in place.
 *
 * Both directions are bounds-checked: a writer grows instead of running over, a reader that meets a length that lies
 * throws `NetlinkFormatError`. Integers are in host byte order unless a field is an address (network order).
 */
// HOT: 200,000 routes are one writer and one reader, no object per message.
import { littleEndian } from './libc.js';

export class NetlinkFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NetlinkFormatError';
  }
}

const HEADER_LENGTH = 16;
const ATTRIBUTE_HEADER_LENGTH = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are not part of the type. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

/** Packs any number of messages into one buffer. */
export class MessageWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #messageStart = 0;

  /** What has been written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Opens a message; `end` closes it. */
  begin(type: number, flags: number, sequence: number): void {
    this.#messageStart = this.#length;
    this.#reserve(HEADER_LENGTH);
    const view = this.#view;
    view.setUint16(this.#messageStart + 4, type, littleEndian);
    view.setUint16(this.#messageStart + 6, flags, littleEndian);
    view.setUint32(this.#messageStart + 8, sequence, littleEndian);
    view.setUint32(this.#messageStart + 12, 0, littleEndian);
  }

  end(): void {
    this.#view.setUint32(this.#messageStart, this.#length - this.#messageStart, littleEndian);
  }

  /** Adds flags to the message opened last. */
  addFlags(flags: number): void {
    const at = this.#messageStart + 6;
    this.#view.setUint16(at, this.#view.getUint16(at, littleEndian) | flags, littleEndian);
  }

  /** Appends a whole message as written before, with another sequence number; where it begins. */
  copy(message: Uint8Array, sequence: number): number {
    const at = this.#reserve(message.length);
    this.#bytes.set(message, at);
    this.#view.setUint32(at + 8, sequence, littleEndian);
    this.#messageStart = at;
    return at;
  }

  /** Changes what has been written. */
  setU8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  setBytes(at: number, bytes: Uint8Array, length: number): void {
    for (let i = 0; i < length; i++) this.#bytes[at + i] = bytes[i]!;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, littleEndian);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, littleEndian);
  }

  /** Raw octets, unpadded. */
  raw(bytes: Uint8Array, length = bytes.length): void {
    const at = this.#reserve(length);
    for (let i = 0; i < length; i++) this.#bytes[at + i] = bytes[i]!;
  }

  attribute(type: number, bytes: Uint8Array, length = bytes.length): void {
    this.#attributeHeader(type, length);
    this.raw(bytes, length);
    this.#align();
  }

  attributeU32(type: number, value: number): void {
    this.#attributeHeader(type, 4);
    this.u32(value);
  }

  attributeU16(type: number, value: number): void {
    this.#attributeHeader(type, 2);
    this.u16(value);
    this.#align();
  }

  /** A string with its terminating zero. */
  attributeText(type: number, text: string): void {
    this.attribute(type, new TextEncoder().encode(`${text}\0`));
  }

  /** Opens an attribute whose value is written next; give the result to `endNested`. */
  beginNested(type: number): number {
    const start = this.#length;
    this.#attributeHeader(type, 0);
    return start;
  }

  endNested(start: number): void {
    this.#view.setUint16(start, this.#length - start, littleEndian);
    this.#align();
  }

  #attributeHeader(type: number, length: number): void {
    const at = this.#reserve(ATTRIBUTE_HEADER_LENGTH);
    this.#view.setUint16(at, ATTRIBUTE_HEADER_LENGTH + length, littleEndian);
    this.#view.setUint16(at + 2, type, littleEndian);
  }

  #align(): void {
    while (this.#length & 3) this.u8(0);
  }

  #reserve(length: number): number {
    const at = this.#length;
    this.#length = at + length;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Walks over the messages of one datagram, and over the attributes of the message it stands on. */
export class MessageReader {
  bytes: Uint8Array;
  view: DataView;
  /** Of the message stood on. */
  type = 0;
  flags = 0;
  sequence = 0;
  portId = 0;
  /** Message body: `bytes[start, end)`. */
  start = 0;
  end = 0;
  /** Of the attribute stood on: `bytes[valueStart, valueStart + valueLength)`. */
  attributeType = 0;
  valueStart = 0;
  valueLength = 0;
  #next = 0;
  #limit = 0;
  #nextAttribute = 0;
  #attributesEnd = 0;

  constructor(bytes: Uint8Array, length = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.reset(length);
  }

  /** Starts over with `length` new octets in the same buffer. */
  reset(length: number): void {
    if (length > this.bytes.length) throw new NetlinkFormatError(`datagram of ${length} octets was cut short`);
    this.#next = 0;
    this.#limit = length;
  }

  /** Steps to the next message; false at the end. */
  nextMessage(): boolean {
    const at = this.#next;
    if (at + HEADER_LENGTH > this.#limit) {
      if (at < this.#limit) throw new NetlinkFormatError(`${this.#limit - at} octets after the last message`);
      return false;
    }
    const length = this.view.getUint32(at, littleEndian);
    if (length < HEADER_LENGTH || at + length > this.#limit) {
      throw new NetlinkFormatError(`message length ${length} with ${this.#limit - at} octets left`);
    }
    this.type = this.view.getUint16(at + 4, littleEndian);
    this.flags = this.view.getUint16(at + 6, littleEndian);
    this.sequence = this.view.getUint32(at + 8, littleEndian);
    this.portId = this.view.getUint32(at + 12, littleEndian);
    this.start = at + HEADER_LENGTH;
    this.end = at + length;
    this.#next = Math.min(at + ((length + 3) & ~3), this.#limit);
    this.#nextAttribute = this.end;
    this.#attributesEnd = this.end;
    return true;
  }

  /** The fixed header of the message kind must be there; attributes are read from behind it. */
  header(length: number): number {
    if (this.start + length > this.end) {
      throw new NetlinkFormatError(`message type ${this.type} has ${this.end - this.start} octets, not ${length}`);
    }
    this.within(this.start + length, this.end);
    return this.start;
  }

  /** Reads the attributes of `bytes[start, end)` from now on. */
  within(start: number, end: number): void {
    this.#nextAttribute = start;
    this.#attributesEnd = end;
  }

  nextAttribute(): boolean {
    const at = this.#nextAttribute;
    if (at + ATTRIBUTE_HEADER_LENGTH > this.#attributesEnd) return false;
    const length = this.view.getUint16(at, littleEndian);
    if (length < ATTRIBUTE_HEADER_LENGTH || at + length > this.#attributesEnd) {
      throw new NetlinkFormatError(`attribute length ${length} with ${this.#attributesEnd - at} octets left`);
    }
    this.attributeType = this.view.getUint16(at + 2, littleEndian) & ATTRIBUTE_TYPE_MASK;
    this.valueStart = at + ATTRIBUTE_HEADER_LENGTH;
    this.valueLength = length - ATTRIBUTE_HEADER_LENGTH;
    this.#nextAttribute = at + ((length + 3) & ~3);
    return true;
  }

  /** Where the attribute walk stands, to come back to with `within` after a nested walk. */
  get attributesRest(): { start: number; end: number } {
    return { start: this.#nextAttribute, end: this.#attributesEnd };
  }

  u8(at: number): number {
    this.#check(at, 1);
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    this.#check(at, 2);
    return this.view.getUint16(at, littleEndian);
  }

  u32(at: number): number {
    this.#check(at, 4);
    return this.view.getUint32(at, littleEndian);
  }

  i32(at: number): number {
    this.#check(at, 4);
    return this.view.getInt32(at, littleEndian);
  }

  /** Value of the attribute stood on. */
  valueU32(): number {
    if (this.valueLength < 4) throw new NetlinkFormatError(`attribute ${this.attributeType} is no 32-bit number`);
    return this.view.getUint32(this.valueStart, littleEndian);
  }

  /** A copy. */
  valueBytes(): Uint8Array {
    return this.bytes.slice(this.valueStart, this.valueStart + this.valueLength);
  }

  /** Without the terminating zero. */
  valueText(): string {
    let end = this.valueStart;
    while (end < this.valueStart + this.valueLength && this.bytes[end] !== 0) end++;
    return new TextDecoder().decode(this.bytes.subarray(this.valueStart, end));
  }

  /** Copies the value into `target` (zero-filled behind it); returns its length. */
  copyValue(target: Uint8Array): number {
    return this.copy(target, this.valueStart, this.valueLength);
  }

  copy(target: Uint8Array, at: number, length: number): number {
    if (length > target.length) throw new NetlinkFormatError(`attribute ${this.attributeType}: ${length} octets`);
    for (let i = 0; i < length; i++) target[i] = this.bytes[at + i]!;
    for (let i = length; i < target.length; i++) target[i] = 0;
    return length;
  }

  #check(at: number, length: number): void {
    if (at + length > this.end) throw new NetlinkFormatError(`message type ${this.type} ends inside a field`);
  }
}
