/**
 * What the senders send, encoded before the clock starts: whole UPDATE messages, one buffer per sender and phase.
 *
 * Attribute sets hold six prefixes in the mean (geometric), prefixes of one set lie near each other, and the sets go out
 * in shuffled order. Withdrawals go in the same manner, without attributes and packed full.
 */
import { Random } from './random.js';
import { LARGE_COMMUNITIES, MARK, MAX_SPAN, tagWord, winnerOf } from './tag.js';
import type { Prefixes } from './prefixes.js';

const MAX_MESSAGE_LENGTH = 4096;
const HEADER_LENGTH = 19;
const UPDATE = 2;
const MEAN_SET_SIZE = 6;

/** Where the sets of a sender begin and end in `prefixes.indexes`. */
export interface AttributeSets {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** Order of sending. */
  readonly order: Int32Array;
}

export interface SenderIdentity {
  /** Number of the sender, from 0. */
  readonly number: number;
  readonly asn: number;
  /** Unsigned 32 bits. */
  readonly nextHop: number;
  readonly internal: boolean;
}

/** Cuts `indexes[from, to)` into attribute sets; `wholeAsOne` = a single set (a node's own blocks). */
export function attributeSets(
  prefixes: Prefixes,
  from: number,
  to: number,
  wholeAsOne: boolean,
  orderSeed: number,
): AttributeSets {
  // The same sets for every sender of the same prefixes, in an order of its own.
  const random = new Random(from);
  const starts: number[] = [];
  const ends: number[] = [];
  const { indexes } = prefixes;
  for (let at = from; at < to;) {
    let end = at + 1;
    while (end < to && indexes[end]! - indexes[at]! <= MAX_SPAN && (wholeAsOne || random.below(MEAN_SET_SIZE) > 0))
      end++;
    starts.push(at);
    ends.push(end);
    at = end;
  }
  const order = Int32Array.from(starts.keys());
  new Random(orderSeed).shuffle(order);
  return { starts: Int32Array.from(starts), ends: Int32Array.from(ends), order };
}

/** Grows as it is written. */
class Output {
  bytes = Buffer.allocUnsafeSlow(1 << 14);
  length = 0;

  reserve(octets: number): void {
    if (this.length + octets <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(this.bytes.length * 2);
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  header(): void {
    this.bytes.fill(0xff, this.length, this.length + 16);
    this.bytes[this.length + 18] = UPDATE;
    this.length += HEADER_LENGTH;
  }

  u16(value: number): void {
    this.length = this.bytes.writeUInt16BE(value, this.length);
  }

  u32(value: number): void {
    this.length = this.bytes.writeUInt32BE(value >>> 0, this.length);
  }

  octets(...values: number[]): void {
    for (const value of values) this.bytes[this.length++] = value;
  }

  prefix(prefixes: Prefixes, index: number): void {
    const address = prefixes.address(index);
    const length = prefixes.length(index);
    this.bytes[this.length++] = length;
    for (let bit = 0; bit < length; bit += 8) this.bytes[this.length++] = (address >>> (24 - bit)) & 255;
  }

  finish(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }
}

/**
 * All sets of a sender in this generation. `competitors`: how many senders have the same prefixes; `primary`: the first of
 * them has the best paths to all.
 */
export function announcements(
  prefixes: Prefixes,
  sets: AttributeSets,
  sender: SenderIdentity,
  generation: number,
  competitors: number,
  primary = false,
): Buffer {
  const out = new Output();
  const random = new Random(generation * 1000 + sender.number);
  const attributes = new Output();
  for (const set of sets.order) {
    const from = sets.starts[set]!;
    const to = sets.ends[set]!;
    const first = prefixes.indexes[from]!;
    const wins = competitors === 1 || (primary ? 0 : winnerOf(first, competitors)) === sender.number;
    const span = prefixes.indexes[to - 1]! - first;
    const hops = competitors === 1 ? 0 : wins ? 3 : 4;
    writeAttributes(attributes, sender, generation, first, span, hops, random);
    for (let at = from; at < to;) at = announce(out, prefixes, attributes, at, to);
  }
  return out.finish();
}

/** One message for each of these places in `prefixes.indexes`, with an attribute set of its own. */
export function singleAnnouncements(
  prefixes: Prefixes,
  places: Int32Array,
  sender: SenderIdentity,
  generation: number,
): Buffer[] {
  const random = new Random(generation);
  const attributes = new Output();
  return Array.from(places, (place) => {
    const out = new Output();
    writeAttributes(attributes, sender, generation, prefixes.indexes[place]!, 0, 0, random);
    announce(out, prefixes, attributes, place, place + 1);
    return out.finish();
  });
}

export function withdrawals(prefixes: Prefixes, sets: AttributeSets): Buffer {
  const out = new Output();
  let start = -1;
  const close = (): void => {
    if (start < 0) return;
    out.bytes.writeUInt16BE(out.length - start - HEADER_LENGTH - 2, start + HEADER_LENGTH);
    out.u16(0);
    out.bytes.writeUInt16BE(out.length - start, start + 16);
    start = -1;
  };
  for (const set of sets.order) {
    for (let at = sets.starts[set]!; at < sets.ends[set]!; at++) {
      if (start >= 0 && out.length - start > MAX_MESSAGE_LENGTH - 8) close();
      if (start < 0) {
        out.reserve(MAX_MESSAGE_LENGTH);
        start = out.length;
        out.header();
        out.u16(0);
      }
      out.prefix(prefixes, prefixes.indexes[at]!);
    }
  }
  close();
  return out.finish();
}

/** Writes one message from `at` on; returns where the next one begins. */
function announce(out: Output, prefixes: Prefixes, attributes: Output, at: number, to: number): number {
  out.reserve(MAX_MESSAGE_LENGTH);
  const start = out.length;
  out.header();
  out.u16(0);
  out.u16(attributes.length);
  out.length += attributes.bytes.copy(out.bytes, out.length, 0, attributes.length);
  while (at < to && out.length - start <= MAX_MESSAGE_LENGTH - 5) out.prefix(prefixes, prefixes.indexes[at++]!);
  out.bytes.writeUInt16BE(out.length - start, start + 16);
  return at;
}

/** `hops`: length of the AS_PATH to external peers; 0 = three to six. */
function writeAttributes(
  out: Output,
  sender: SenderIdentity,
  generation: number,
  first: number,
  span: number,
  hops: number,
  random: Random,
): void {
  out.length = 0;
  out.octets(0x40, 1, 1, 0);
  if (sender.internal) {
    out.octets(0x40, 2, 0);
  } else {
    const length = hops === 3 ? 3 : hops > 0 ? hops + random.below(3) : 3 + random.below(4);
    out.octets(0x40, 2, 2 + length * 4, 2, length);
    out.u32(sender.asn);
    for (let hop = 1; hop < length; hop++) out.u32(1000 + random.below(60_000));
  }
  out.octets(0x40, 3, 4);
  out.u32(sender.nextHop);
  if (sender.internal) {
    out.octets(0x40, 5, 4);
    out.u32(100);
  } else {
    out.octets(0xc0, 8, 8);
    // Ascending: some speakers sort them.
    out.u32(((1000 + random.below(30_000)) << 16) | random.below(1000));
    out.u32((((32_000 + random.below(30_000)) << 16) | random.below(1000)) >>> 0);
  }
  out.octets(0xc0, LARGE_COMMUNITIES, 12);
  out.u32(MARK);
  out.u32(first);
  out.u32(tagWord(generation, sender.number, span));
}
