/**
 * Sending at sizes that the random histories do not reach: many messages a batch, messages filled to the last octet, a
 * member that stops reading in the middle, attributes that no message can hold.
 */
import t from 'tap';
import type { PathAttributes, Peer } from '../model/attributes.js';
import type { Operation } from '../model/operations.js';
import { PEERS, sequence, SPEAKER } from '../model/scenario-kit.js';
import { PLAIN_MANNER, RibHarness } from './fixtures/harness.js';
import type { Manner } from './fixtures/wire.js';

const attributes: PathAttributes = { origin: 0, asPath: sequence(65001), nextHop: '192.0.2.1' };
const attributes6: PathAttributes = { ...attributes, nextHop: '2001:db8::1' };
const prefix = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`;
const prefix6 = (i: number): string => `2001:db8:${i.toString(16)}::/48`;

/**
 * Octets of communities with which an announcement still fits into 4,096, our own AS not yet in front: without header 19,
 * lengths 4, ORIGIN 4, AS_PATH 9, NEXT_HOP 7, the communities' header 4, one prefix 5.
 */
const ROOM = 4096 - 19 - 4 - 4 - 9 - 7 - 4 - 5;

function rig(peers: readonly Peer[], manners?: ReadonlyMap<string, Manner>): RibHarness {
  const rib = new RibHarness(SPEAKER, manners);
  for (const peer of peers) rib.apply({ op: 'establish', peer });
  for (const address of ['192.0.2.1', '2001:db8::1', '10.0.0.1']) rib.apply({ op: 'nextHop', address, metric: 0 });
  rib.settle();
  return rib;
}

const announce = (peer: string, name: string, more: Partial<PathAttributes> = {}): Operation => ({
  op: 'announce',
  peer,
  prefix: name,
  attributes: { ...(name.includes(':') ? attributes6 : attributes), ...more },
});

t.test('prefixes of one attribute set share messages, filled as far as they go', (t) => {
  for (const [family, name, count, octets] of [
    ['IPv4', prefix, 20000, 5],
    ['IPv6', (i: number) => prefix6(i + 1), 20000, 7],
  ] as const) {
    // The sender hears nothing, so that one update group does all the encoding.
    const rib = rig([{ ...PEERS.e1, exportAccept: false }, PEERS.i1]);
    const before = rib.pipeline.exporter.updatesEncoded;
    for (let i = 0; i < count; i++) rib.apply(announce('e1', name(i)));
    rib.settle();
    t.equal(rib.advertised('i1').size, count, `${family}: all arrive`);
    // One message less full per batch of 8,192, and one octet in ten for headers and attributes.
    const announced = rib.pipeline.exporter.updatesEncoded - before;
    t.ok(announced <= Math.ceil((count * octets) / 3686) + 3, `${family}: ${announced} messages`);
    for (let i = 0; i < count; i++) rib.apply({ op: 'withdraw', peer: 'e1', prefix: name(i) });
    t.equal(rib.advertised('i1').size, 0, `${family}: all are withdrawn`);
    const withdrawn = rib.pipeline.exporter.updatesEncoded - before - announced;
    t.ok(withdrawn <= Math.ceil((count * octets) / 3686) + 3, `${family}: ${withdrawn} messages of withdrawals`);
  }
  t.end();
});

t.test('ten changes of a prefix in one turn are one change', (t) => {
  const rib = rig([{ ...PEERS.e1, exportAccept: false }, PEERS.i1]);
  const before = rib.pipeline.exporter.updatesEncoded;
  for (let med = 0; med < 10; med++) rib.apply(announce('e1', prefix(1), { med }));
  rib.settle();
  t.equal(rib.pipeline.exporter.updatesEncoded - before, 1);
  t.equal(rib.advertised('i1').get(prefix(1))?.med, 9);
  rib.apply(announce('e1', prefix(1), { med: 9 }));
  rib.apply(announce('e1', prefix(2)));
  rib.apply({ op: 'withdraw', peer: 'e1', prefix: prefix(2) });
  rib.settle();
  t.equal(rib.pipeline.exporter.updatesEncoded - before, 1, 'nothing to say about what is as it was');
  t.end();
});

t.test('a member that stops reading in the middle of a batch misses nothing', (t) => {
  for (const withdraw of [false, true]) {
    const rib = rig([PEERS.e1, PEERS.i1, PEERS.i2]);
    // Each prefix with attributes of its own: a batch is several chunks long.
    const say = (med: number): void => {
      for (let i = 0; i < 8000; i++) rib.apply(announce('e1', prefix(i), { med: med + i, communities: [1, 2, 3, 4] }));
    };
    say(0);
    rib.settle();
    const session = rib.session('i1');
    session.stallAfterWrites(1);
    if (withdraw) for (let i = 0; i < 8000; i += 2) rib.apply({ op: 'withdraw', peer: 'e1', prefix: prefix(i) });
    else say(10000);
    rib.settle();
    t.ok(session.stalled, 'it has stopped reading');
    rib.stall(new Set());
    rib.settle();
    t.strictSame(rib.advertised('i1'), rib.advertised('i2'), withdraw ? 'withdrawals' : 'announcements');
    t.equal(rib.advertised('i1').size, withdraw ? 4000 : 8000);
  }
  t.end();
});

t.test('attributes that no message holds take back what was said before', (t) => {
  const rib = rig([PEERS.e1, PEERS.i1, PEERS.e2]);
  rib.apply(announce('e1', prefix(1)));
  t.equal(rib.advertised('e2').size, 1);
  // Fits as it comes in, and not with our AS in front: RFC 4271 §9.2, the path is not advertised.
  const full = { communities: new Array<number>(ROOM >> 2).fill(7) };
  rib.apply(announce('e1', prefix(1), full));
  t.equal(rib.advertised('e2').size, 0, 'not with our AS in front');
  rib.apply(announce('e1', prefix(1)));
  t.equal(rib.advertised('e2').size, 1, 'and back');
  t.end();
});

t.test('what a large message brought goes to those who take large messages (RFC 8654 §4)', (t) => {
  const large = { ...PLAIN_MANNER, extendedMessages: true };
  const manners = new Map([
    ['e1', large],
    ['i1', large],
  ]);
  const rib = rig([PEERS.e1, PEERS.i1, PEERS.i2], manners);
  rib.apply(announce('e1', prefix(1)));
  t.equal(rib.advertised('i2').size, 1);
  rib.apply(announce('e1', prefix(1), { communities: new Array<number>(10000).fill(7) }));
  t.equal(rib.advertised('i1').get(prefix(1))?.communities?.length, 10000);
  t.equal(rib.advertised('i2').size, 0, 'the others hear that it is gone');
  t.end();
});

t.test('a joining peer gets the table and then End-of-RIB, in each family (RFC 4724 §2)', (t) => {
  const rib = rig([PEERS.e1]);
  rib.apply(announce('e1', prefix(1)));
  rib.apply(announce('e1', prefix6(1)));
  rib.settle();
  rib.apply({ op: 'establish', peer: PEERS.i1 });
  rib.stall(new Set(['i1']));
  rib.settle();
  t.equal(rib.endOfRibSeen('i1').size, 0, 'not before the table');
  rib.stall(new Set());
  t.equal(rib.advertised('i1').size, 2);
  t.strictSame([...rib.endOfRibSeen('i1')].sort(), ['ipv4-unicast', 'ipv6-unicast']);
  t.end();
});

t.test('within our own restart End-of-RIB is held back until it is released (RFC 4724 §4.1)', (t) => {
  const rib = rig([PEERS.e1]);
  const { exporter } = rib.pipeline;
  exporter.holdEndOfRib = true;
  rib.apply({ op: 'establish', peer: PEERS.i1 });
  rib.apply({ op: 'establish', peer: PEERS.i2 });
  rib.apply(announce('e1', prefix(1)));
  t.equal(rib.advertised('i1').size, 1, 'routes are not');
  rib.stall(new Set(['i2']));
  rib.apply({ op: 'askRefresh', peer: 'i2', family: 'ipv4-unicast' });
  rib.settle();
  t.equal(rib.endOfRibSeen('i1').size, 0);
  exporter.releaseEndOfRib();
  rib.settle();
  t.equal(rib.endOfRibSeen('i1').size, 2);
  rib.stall(new Set());
  rib.settle();
  t.equal(rib.advertised('i2').size, 1);
  t.equal(rib.endOfRibSeen('i2').size, 2, 'who lags gets it after what it still has to be told');
  t.end();
});

t.test('how many prefixes a peer is told', (t) => {
  const rib = rig([PEERS.e1, PEERS.i1, PEERS.i2]);
  for (let i = 0; i < 10; i++) rib.apply(announce('e1', prefix(i)));
  rib.apply(announce('i1', prefix(20), { nextHop: '10.0.0.1', localPref: 100 }));
  rib.settle();
  const counts = ['e1', 'i1', 'i2'].map((name) => rib.pipeline.exporter.advertisedCount(rib.members(name)[0]!));
  t.strictSame(
    counts,
    ['e1', 'i1', 'i2'].map((name) => rib.advertised(name).size),
  );
  t.strictSame(counts, [1, 10, 10]);
  t.end();
});

t.test('a prefix id is not used again while somebody has still to be told of its end', (t) => {
  const rib = rig([PEERS.e1, PEERS.i1, PEERS.i2]);
  for (let i = 0; i < 20000; i++) rib.apply(announce('e1', prefix(i)));
  rib.settle();
  rib.stall(new Set(['i1']));
  for (let i = 0; i < 20000; i++) rib.apply({ op: 'withdraw', peer: 'e1', prefix: prefix(i) });
  // The first change finds i1 full, and it leaves the stream.
  rib.settle();
  for (let i = 0; i < 20000; i++) rib.apply(announce('e1', prefix(100000 + i)));
  rib.settle();
  rib.stall(new Set());
  t.strictSame([...rib.advertised('i1').keys()].sort(), [...rib.advertised('i2').keys()].sort());
  t.equal(rib.advertised('i2').size, 20000);
  t.end();
});

t.test('prefix ids are used again when most of a large table is gone', (t) => {
  const rib = rig([PEERS.e1, PEERS.i1]);
  for (let round = 0; round < 3; round++) {
    const first = round * 20000;
    for (let i = 0; i < 20000; i++) rib.apply(announce('e1', prefix(first + i)));
    rib.settle();
    t.equal(rib.advertised('i1').size, 20000);
    t.equal(rib.fib().size, 20000);
    for (let i = 0; i < 20000; i++) rib.apply({ op: 'withdraw', peer: 'e1', prefix: prefix(first + i) });
    rib.settle();
    t.equal(rib.advertised('i1').size, 0);
    t.equal(rib.fib().size, 0);
  }
  rib.checkCounters();
  const { prefixes } = rib.pipeline.rib.families[0];
  t.ok(prefixes.end <= 40001, `${prefixes.end} ids for 60,000 prefixes, 20,000 at a time`);
  t.end();
});
