/** Two features at once, towards peers that are told several paths (RFC 7911), or may be told so much only. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, blocks, until } from '../reflector/fixtures/rig.js';
import { routeRefresh } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const GRACEFUL_SHUTDOWN = 'ffff0000';

const RECEIVES: Capability[] = [
  { kind: 'multiprotocol', afi: 1, safi: 1 },
  { kind: 'routeRefresh' },
  { kind: 'fourOctetAs', asn: 64512 },
  { kind: 'addPath', entries: [{ afi: 1, safi: 1, mode: 1 }] },
];

/** Two clients that talk, and two peers that hear of every path; `keys` of the latter. */
async function scene(t: Test, keys: object = {}) {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const [a, b, one, two] = [2, 3, 4, 5].map((number) => rig.address(number)) as [string, string, string, string];
  const config = (more: object) => ({
    peers: [
      ...[a, b].map((address) => ({ address, asn: 64512, passive: true, routeReflectorClient: true })),
      ...[one, two].map((address) => ({
        ...{ address, asn: 64512, passive: true, routeReflectorClient: true, addPath: { send: 'all' } },
        ...more,
      })),
    ],
  });
  const node = await rig.reflector({ address: rig.address(1), clock, config: config(keys) });
  const hears = (address: string) => rig.peer(node, { address, capabilities: RECEIVES, withPaths: true });
  const [left, right] = [await rig.peer(node, { address: a }), await rig.peer(node, { address: b })];
  return { rig, clock, node, config, a, b, one, two, hears, left, right };
}

t.test('drain with ADD-PATH: every path is told anew, none is taken away meanwhile', async (t) => {
  const { node, one, two, hears, left, right, config } = await scene(t);
  left.announce(blocks(1, 50), { nextHop: HOP });
  right.announce(blocks(1, 50), { nextHop: '192.0.2.2' });
  const peers = [await hears(one), await hears(two)];
  for (const peer of peers) await peer.until((heard) => heard.routes.size === 100, 'a hundred paths');
  // At no moment is a prefix without a path.
  const gaps: string[] = [];
  for (const peer of peers) {
    const { routes } = peer.heard;
    const remove = routes.delete.bind(routes);
    routes.delete = (key) => {
      const known = remove(key);
      const prefix = key.split('#')[0]!;
      if (known && ![...routes.keys()].some((other) => other.startsWith(`${prefix}#`))) gaps.push(prefix);
      return known;
    };
  }
  const told = (marked: boolean) => async (): Promise<void> => {
    for (const peer of peers) {
      await peer.until(
        (heard) =>
          heard.routes.size === 100 &&
          [...heard.routes.keys()].every((key) => (heard.attribute(key, 8) === GRACEFUL_SHUTDOWN) === marked),
        `all ${marked ? '' : 'not '}marked`,
      );
    }
  };
  node.speaker.drain(true);
  await told(true)();
  node.speaker.drain(false);
  await told(false)();
  // One of them alone, then the other: its group is there already.
  const with8326 = (first: boolean, second: boolean) => {
    const { peers } = config({});
    return { peers: peers.map((peer, at) => ({ ...peer, gracefulShutdown: at === 2 ? first : at === 3 && second })) };
  };
  await node.reconfigure(with8326(true, false));
  await peers[0]!.until((heard) => heard.attribute([...heard.routes.keys()][0]!, 8) === GRACEFUL_SHUTDOWN, 'one');
  left.announce(blocks(3, 1), { nextHop: HOP });
  for (const peer of peers) await peer.until((heard) => heard.routes.size === 101, 'one more');
  await node.reconfigure(with8326(true, true));
  await peers[1]!.until(
    (heard) =>
      heard.routes.size === 101 &&
      [...heard.routes.keys()].every((key) => heard.attribute(key, 8) === GRACEFUL_SHUTDOWN),
    'the other',
  );
  t.same(gaps, [], 'no prefix was without a path');
  left.withdraw(blocks(1, 50));
  for (const peer of peers)
    await peer.until((heard) => heard.routes.size === 51, 'identifiers still mean what they did');
});

t.test('ADD-PATH: changed over and over, faster than it is read', async (t) => {
  const { node, one, hears, left, right } = await scene(t);
  left.announce(blocks(1, 400), { nextHop: HOP });
  right.announce(blocks(1, 400), { nextHop: '192.0.2.2' });
  const peer = await hears(one);
  await peer.until((heard) => heard.routes.size === 800, 'all paths');
  peer.freeze();
  for (let round = 1; round <= 12; round++) {
    node.speaker.drain(round % 2 === 1);
    right.announce(blocks(1, 400), { nextHop: '192.0.2.2', med: round });
    if (round % 3 === 0) left.withdraw(blocks(1, round));
    const seen = (): boolean => [...node.speaker.routes({ match: '10.1.9.0/24' })!].some(({ med }) => med === round);
    await until(seen, `round ${round}`);
  }
  peer.thaw();
  const wanted = (): boolean =>
    [...peer.heard.routes.keys()].every((key) => {
      const isRight = peer.heard.routes.get(key)!.nextHop === '192.0.2.2';
      return peer.heard.attribute(key, 8) === undefined && (!isRight || peer.heard.attribute(key, 4) === '0000000c');
    });
  await peer.until((heard) => heard.routes.size === 788 && wanted(), 'what is there, as it is now');
});

t.test('prefixLimitOut with ADD-PATH: own paths do not count, what is said again counts once', async (t) => {
  const { node, one, two, hears, left, right } = await scene(t, { prefixLimitOut: { max: 50 } });
  left.announce(blocks(1, 10), { nextHop: HOP });
  right.announce(blocks(1, 10), { nextHop: '192.0.2.2' });
  await until(() => [...node.speaker.routes({})!].length === 20, 'twenty paths');
  const peers = [await hears(one), await hears(two)];
  for (const [index, peer] of peers.entries()) {
    await peer.until((heard) => heard.routes.size >= 20, 'twenty paths');
    peer.announce(blocks(10 + index, 25), { nextHop: `192.0.2.${10 + index}` });
  }
  for (const peer of peers) await peer.until((heard) => heard.routes.size === 45, 'and those of the other');
  peers[0]!.say(routeRefresh(1));
  await peers[0]!.until((heard) => [...heard.announced.values()].every((times) => times >= 2), 'all of them again');
  left.withdraw(blocks(1, 10));
  for (const peer of peers) await peer.until((heard) => heard.routes.size === 35, 'ten less');
  t.equal(node.peer(one).state, 'Established');
  t.equal(node.peer(one).advertised, 35);
  left.announce(blocks(2, 20), { nextHop: HOP });
  await until(() => peers.every((peer) => peer.closed), 'more than fifty');
});

t.test(
  'prefixLimitOut and policy: what is rejected does not count, another policy is counted before it speaks',
  async (t) => {
    for (const addPath of [{ send: 'all' }, { send: 'best' }] as const) {
      const { rig, node, one, two, config, left } = await scene(t);
      const policies = { few: { statements: [{ match: { prefix: '10.1.0.0/16 le 24' }, then: 'accept' }] } };
      const keys = { addPath, prefixLimitOut: { max: 10 } };
      await node.reconfigure({ ...config({ ...keys, export: 'few' }), policies });
      left.announce([...blocks(1, 5), ...blocks(7, 100)], { nextHop: HOP });
      await until(() => node.best().length === 105, 'the table');
      const options = addPath.send === 'all' ? { capabilities: RECEIVES, withPaths: true } : {};
      const peers = [
        await rig.peer(node, { address: one, ...options }),
        await rig.peer(node, { address: two, ...options }),
      ];
      for (const peer of peers) await peer.until((heard) => heard.routes.size === 5, 'five');
      await node.reconfigure({ ...config({ ...keys, export: 'accept' }), policies });
      for (const peer of peers) {
        await until(() => peer.closed, 'the end');
        t.equal(peer.heard.routes.size, 5, 'not one more was told');
      }
      await until(() => /prefixLimitOut.*kept down/.test(node.peer(one).notes.join()), 'kept down');
    }
  },
);

t.test('prefixLimitOut with ADD-PATH: the first table', async (t) => {
  const { rig, node, one, left, hears } = await scene(t, { prefixLimitOut: { max: 30 } });
  left.announce(blocks(1, 31), { nextHop: HOP });
  await until(() => node.best().length === 31, 'the table');
  const peer = await rig.dial(node, { address: one, capabilities: RECEIVES, withPaths: true });
  await until(() => peer.closed, 'the end');
  t.equal(peer.heard.routes.size, 0, 'nothing was told');
  left.withdraw(blocks(1, 1));
  await until(() => node.best().length === 30, 'one less');
  t.equal(node.speaker.command(one, 'enable'), undefined);
  await (await hears(one)).until((heard) => heard.routes.size === 30, 'as many as allowed');
});

t.test('prefixLimitOut: what a community keeps back is not told, and does not count', async (t) => {
  const rig = new Rig(t);
  const [inside, outside] = [rig.address(2), rig.address(3)];
  const node = await rig.reflector({
    address: rig.address(1),
    config: {
      peers: [
        { address: inside, asn: 64512, passive: true },
        { address: outside, asn: 65001, passive: true, export: 'accept', prefixLimitOut: { max: 3 } },
      ],
    },
  });
  const talker = await rig.peer(node, { address: inside });
  const peer = await rig.peer(node, { address: outside, asn: 65001 });
  talker.announce(blocks(1, 20), { nextHop: HOP, communities: [0xffffff01] });
  talker.announce(blocks(2, 3), { nextHop: HOP });
  await peer.until((heard) => heard.routes.size === 3, 'three');
  talker.announce(blocks(3, 5), { nextHop: HOP, communities: [0xffffff01] });
  await until(() => node.best().length === 28, 'more that is kept back');
  t.equal(node.peer(outside).state, 'Established', 'NO_EXPORT does not count');
  t.notOk(peer.closed);
  talker.announce(blocks(4, 1), { nextHop: HOP });
  await until(() => peer.closed, 'a fourth is too many');
});
