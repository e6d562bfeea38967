/** A peer that stops reading: what it costs the others and the memory, and what becomes of it. Over real sockets. */
import t from 'tap';
import { systemClock } from '../../src/index.js';
import type { Clock } from '../../src/index.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, blocks, until } from './fixtures/rig.js';
import type { Reflector, ScriptedPeer } from './fixtures/rig.js';
import type { Heard } from './fixtures/heard.js';
import { announce } from './fixtures/say.js';

t.setTimeout(300_000);

const HOP = '192.0.2.1';
const TABLE = blocks(20, 5000);
/** 3,000 octets of an unknown attribute for every 25 prefixes: a round is 640 kB for each receiver. */
const PER_SET = 25;
const OCTETS = 3000;
/** Different contents; round N has those of N modulo this. */
const VARIANTS = 8;
/** Rounds that are compared, and a bound on those it takes until the kernel's buffers are full. */
const MEASURED = 15;
const MAX_ROUNDS = 150;
/** Twice what the exporter lets wait in a socket. */
const BACKLOG_BOUND_OCTETS = 4 * 1024 * 1024;

/** Everything anew under other attributes. */
const ROUNDS = Array.from({ length: VARIANTS }, (_, variant) => {
  const messages: Uint8Array[] = [];
  for (let from = 0; from < TABLE.length; from += PER_SET) {
    const value = Array.from({ length: OCTETS }, (_, index) => (variant * 7 + from * 3 + index) & 255);
    const raw = [{ flags: 0xe0, code: 200, value }];
    messages.push(announce(TABLE.slice(from, from + PER_SET), { nextHop: HOP, med: variant, raw }));
  }
  return Buffer.concat(messages);
});

const sayRound = (peer: ScriptedPeer, round: number): void => peer.say(ROUNDS[round % VARIANTS]!);

const hasRound = (heard: Heard, round: number): boolean => {
  const med = (round % VARIANTS).toString(16).padStart(8, '0');
  return heard.attribute(TABLE.at(-1)!, 4) === med && heard.attribute(TABLE[0]!, 4) === med;
};

/** Prefixes and which round they are of: quick to compare. */
const outline = (heard: Heard): string =>
  [...heard.routes.keys()]
    .sort()
    .map((prefix) => `${prefix} ${heard.attribute(prefix, 4)}`)
    .join();

const contents = ({ routes }: Heard): string =>
  [...routes]
    .map(([prefix, { attributes, nextHop }]) => `${prefix} ${nextHop} ${JSON.stringify(attributes)}`)
    .sort()
    .join('\n');

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

const NUMBERS = [11, 12, 13, 14, 15];

async function build(
  t: ConstructorParameters<typeof Rig>[0],
  { clock = systemClock, dynamic = false }: { clock?: Clock; dynamic?: boolean } = {},
) {
  const rig = new Rig(t);
  const keys = { asn: 64512, routeReflectorClient: true, gracefulRestart: false };
  const reflector = await rig.reflector({
    address: rig.address(1),
    clock,
    config: dynamic
      ? { listenRanges: [{ ...keys, prefix: rig.range }] }
      : { peers: NUMBERS.map((number) => ({ ...keys, address: rig.address(number), passive: true })) },
  });
  const peers: ScriptedPeer[] = [];
  for (const number of NUMBERS) peers.push(await rig.dial(reflector, { address: rig.address(number) }));
  await until(() => reflector.speaker.summary().peers.established === NUMBERS.length, 'all sessions');
  const [source, ...receivers] = peers as [ScriptedPeer, ...ScriptedPeer[]];
  const slow = receivers.pop()!;
  return { rig, reflector, source, receivers, slow };
}

/** Rounds until all receivers have them; returns the milliseconds of each. */
async function rounds(
  source: ScriptedPeer,
  receivers: readonly ScriptedPeer[],
  from: number,
  count: number,
): Promise<number[]> {
  const out: number[] = [];
  for (let round = from; round < from + count; round++) {
    const startMs = performance.now();
    sayRound(source, round);
    for (const receiver of receivers) await receiver.until((heard) => hasRound(heard, round), `round ${round}`);
    out.push(performance.now() - startMs);
  }
  return out;
}

const backlog = (reflector: Reflector, peer: ScriptedPeer): number => reflector.peer(peer.address).sendBacklogBytes;

t.test('frozen: the others are as fast as without it, memory is bounded; awake: exactly the table', async (t) => {
  const { reflector, source, receivers, slow } = await build(t);
  // The same with nobody frozen, to compare with: both meet the same machine.
  const beside = await build(t);
  const everyone = [...beside.receivers, beside.slow];
  // Nothing but rounds is on its way to anybody from here on.
  for (const peer of [...receivers, slow]) {
    await peer.until((heard) => heard.count('eor 1') === 1 && heard.count('eor 2') === 1, 'End-of-RIB');
  }
  // Warm: what is compared below is compiled.
  await rounds(source, [...receivers, slow], 1, 10);
  await rounds(beside.source, everyone, 1, 10);

  slow.freeze();
  let round = 200;
  let last = -1;
  // Until it is out of the stream: then nothing is written to it any more.
  for (; backlog(reflector, slow) === 0 || backlog(reflector, slow) !== last; round++) {
    if (round === 200 + MAX_ROUNDS) throw new Error(`it still takes octets: backlog ${last}`);
    last = backlog(reflector, slow);
    await rounds(source, receivers, round, 1);
  }
  t.ok(last <= BACKLOG_BOUND_OCTETS, `${last} octets wait for it after ${round - 200} rounds`);
  const [frozen, awake]: [number[], number[]] = [[], []];
  for (let i = 0; i < MEASURED; i++) {
    frozen.push(...(await rounds(source, receivers, round + i, 1)));
    awake.push(...(await rounds(beside.source, everyone, round + i, 1)));
  }
  const [meanwhile, otherwise] = [median(frozen), median(awake)];
  t.comment(`a round: ${otherwise.toFixed(1)} ms where all are awake, ${meanwhile.toFixed(1)} ms beside a frozen peer`);
  t.ok(meanwhile < 3 * otherwise, `a round took ${(meanwhile / otherwise).toFixed(2)} times as long`);
  // Fewer, should the kernel still have found room for some.
  const now = backlog(reflector, slow);
  t.ok(now <= last, `not an octet more waits for it: ${now} after ${last}`);
  t.match(reflector.peer(slow.address).notes.join(), /5000 ipv4-unicast prefixes to send/, 'the operator sees it');
  for (const receiver of receivers) t.equal(backlog(reflector, receiver), 0);

  // Gone, new and changed while it sleeps.
  source.withdraw(TABLE.slice(0, 1000));
  source.announce(['10.99.0.0/16'], { nextHop: HOP });
  for (const receiver of receivers) {
    await receiver.until(({ routes }) => routes.size === TABLE.length - 1000 + 1, 'the withdrawals');
  }
  const heardBefore = slow.heard.octets;
  slow.thaw();
  await until(() => outline(slow.heard) === outline(receivers[0]!.heard), 'the table at the one that slept');
  t.ok(contents(slow.heard) === contents(receivers[0]!.heard), 'exactly, to the last octet');
  const resync = slow.heard.octets - heardBefore;
  t.ok(resync < 40 * 1024 * 1024, `${resync} octets: what was on its way and the table, not the history`);
  const waits = (): boolean => reflector.peer(slow.address).notes.some((note) => note.includes('to send'));
  await until(() => !waits(), 'it is back in the stream');
  source.announce(['10.98.0.0/16'], { nextHop: HOP });
  await slow.until(({ routes }) => routes.has('10.98.0.0/16'), 'a change after that');
  t.equal(reflector.peer(slow.address).sessionsEstablished, 1);
});

t.test('frozen for good: the send hold timer ends it, and it alone (RFC 9687)', async (t) => {
  const clock = new FakeClock();
  const { reflector, source, receivers, slow } = await build(t, { clock, dynamic: true });
  slow.freeze();
  for (let round = 1; backlog(reflector, slow) === 0; round++) {
    if (round === MAX_ROUNDS) throw new Error('it still takes octets');
    await rounds(source, receivers, round, 1);
  }
  const state = (): string | undefined => reflector.speaker.peer(slow.address)?.state;
  // RFC 9687 §6: 8 minutes, or twice the hold time if that is more.
  for (let second = 0; second < 470; second++) {
    clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(state(), 'Established', 'not before its time');
  for (let second = 0; second < 20 && state() === 'Established'; second++) {
    clock.advance(1000);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => state() === undefined, 'the end of the frozen session');
  t.equal(reflector.speaker.summary().peers.established, 4, 'the others stay');
  source.announce(['10.98.0.0/16'], { nextHop: HOP });
  for (const receiver of receivers)
    await receiver.until(({ routes }) => routes.has('10.98.0.0/16'), 'a change after that');
  t.pass('and go on');
});
