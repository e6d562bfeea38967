/**
 * Two BFD engines on a simulated wire, and somebody who sends them packets of his own making. From where he is (another
 * address, too low a TTL, the wrong kind of session) nothing that he says may change a session; from the peer's own
 * address anything may happen, but nothing throws, no timer runs wild, and when he is quiet the session comes back. A side that falls silent is found in the
 * detection time of RFC 5880.
 */
import assert from 'node:assert/strict';
import { BfdState, createBfdControl, decodeBfdControl, encodeBfdControl } from 'bgp-parse';
import type { BfdTimers } from '../../../src/bfd/port.js';
import { Side, Wire } from '../../bfd/fixtures/simulation.js';
import { mutate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const STEPS = 200;
/** Packets a second that a side may send: its own at 50 ms less jitter, and one for each it got with Poll. */
const MOST_PER_SECOND = 40;
/** The way takes one, and times are rounded. */
const TOLERANCE_MS = 3;

function randomPacket(random: Random, known: readonly number[]): Uint8Array {
  const packet = createBfdControl();
  packet.diagnostic = random.below(32);
  packet.state = random.below(4) as BfdState;
  packet.poll = random.chance(20);
  packet.final = random.chance(20);
  packet.demand = random.chance(10);
  packet.detectMultiplier = random.pick([0, 1, 3, 255]);
  packet.myDiscriminator = random.chance(50) ? random.pick(known) : random.u32();
  packet.yourDiscriminator = random.chance(70) ? random.pick(known) : random.pick([0, random.u32()]);
  const interval = (): number => random.pick([0, 1, 999, 50_000, 1_000_000, 0xffffffff, random.u32()]);
  packet.desiredMinTxUs = interval();
  packet.requiredMinRxUs = interval();
  packet.requiredMinEchoRxUs = interval();
  const bytes = new Uint8Array(24);
  encodeBfdControl(packet, bytes);
  return random.chance(40) ? mutate(random, bytes) : bytes;
}

/** RFC 5880 §6.8.6, once more: whether the octets are a packet at all. */
function isSound(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 24 || bytes[0]! >> 5 !== 1 || bytes[3]! > bytes.length || bytes[3]! < 24) return false;
  // Authentication, multipoint: nobody here speaks them.
  if (bytes[2] === 0 || (bytes[1]! & 0x05) !== 0 || view.getUint32(4) === 0) return false;
  return view.getUint32(8) !== 0 || bytes[1]! >> 6 <= 1;
}

export const bfd: Target = {
  name: 'bfd',
  episode(seed) {
    const random = new Random(seed);
    const wire = new Wire(seed);
    const [a, b] = [wire.add(), wire.add()];
    let messages = 0;
    let input: Uint8Array = new Uint8Array(0);
    const multihop = random.chance(50);
    const minTtl = multihop ? 250 : 255;
    const timers = (): BfdTimers => ({
      minTxMs: random.pick([50, 50, 70, 200]),
      minRxMs: random.pick([50, 50, 90, 300]),
      multiplier: random.pick([2, 3, 5, 20]),
    });
    const [timersA, timersB] = [timers(), timers()];
    const inject = (to: Side, source: Uint8Array, ttl: number, overHops: boolean): void => {
      const known = [a.view().localDiscriminator, b.view().localDiscriminator];
      input = randomPacket(random, known);
      messages++;
      assert.equal(decodeBfdControl(input, input.length, createBfdControl()) === undefined, isSound(input));
      // In a buffer like the receiver's: what is behind the packet is of another one.
      const buffer = new Uint8Array(2048).fill(random.pick([0, 0xff]));
      buffer.set(input);
      const origin = { source, sourceLength: source.length, interfaceIndex: 0 };
      to.engine.received(buffer, input.length, origin, ttl, { id: 1, multihop: overHops }, wire.nowMs);
    };
    try {
      a.open(1, b, timersA, { multihop, minTtl });
      b.open(1, a, timersB, { multihop, minTtl });
      wire.run(5000);
      assert.equal(a.view().state, BfdState.up);
      const changes = [a.changes.length, b.changes.length];
      const elsewhere = [Uint8Array.of(192, 0, 2, 66), Uint8Array.from([...new Array<number>(15).fill(0), 1])];
      for (let step = 0; step < STEPS; step++) {
        const [to, from] = random.chance(50) ? [a, b] : [b, a];
        for (let count = random.below(20); count > 0; count--) {
          const how = random.below(3);
          if (how === 0) inject(to, random.pick(elsewhere), 255, multihop);
          else if (how === 1) inject(to, from.address, random.below(minTtl), multihop);
          else inject(to, from.address, 255, !multihop);
        }
        wire.run(random.below(60));
      }
      assert.deepEqual([a.changes.length, b.changes.length], changes, 'a stranger has changed a session');
      for (const side of [a, b]) assert.equal(side.view().state, BfdState.up);
      // RFC 5880 §6.8.4: as many as the peer says, at the slower of what it wishes to send and what is taken here.
      const [silent, hearing] = random.pick([
        [a, b],
        [b, a],
      ]);
      const [theirs, ours] = silent === a ? [timersA, timersB] : [timersB, timersA];
      const intervalMs = Math.max(theirs.minTxMs, ours.minRxMs);
      wire.run(1000);
      silent.muted = true;
      const fromMs = wire.nowMs;
      const before = hearing.changes.length;
      wire.run(intervalMs * (theirs.multiplier + 2));
      const lost = hearing.changes[before];
      assert.ok(lost, 'a peer that is silent was not found');
      const tookMs = lost.atMs - fromMs;
      const leastMs = intervalMs * (theirs.multiplier - 1) - TOLERANCE_MS;
      assert.ok(
        tookMs >= leastMs && tookMs <= intervalMs * theirs.multiplier + TOLERANCE_MS,
        `found after ${tookMs} ms`,
      );
      silent.muted = false;
      wire.run(20_000);
      for (const side of [a, b]) assert.equal(side.view().state, BfdState.up, 'it is back');
      for (let step = 0; step < STEPS; step++) {
        const fromMs = wire.nowMs;
        const sent = a.sent.length;
        const told = random.below(10);
        for (let count = told; count > 0; count--) inject(a, b.address, 255, multihop);
        wire.run(1000);
        const most = MOST_PER_SECOND + told;
        assert.ok(a.since(fromMs).length <= most, `${a.sent.length - sent} packets in a second`);
      }
      // He may have asked for intervals of more than an hour: what was said last counts until the session is down.
      for (const side of [a, b]) side.engine.close(1, wire.nowMs);
      wire.run(10_000);
      a.open(2, b, timersA, { multihop, minTtl });
      b.open(2, a, timersB, { multihop, minTtl });
      wire.run(10_000);
      for (const side of [a, b]) assert.equal(side.view(2).state, BfdState.up, 'it comes up anew');
    } catch (error) {
      return Promise.reject(new FuzzFailure('bfd', input, error));
    }
    return Promise.resolve(messages);
  },
};
