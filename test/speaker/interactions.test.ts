/** Two features at once: what each of them does rightly alone, and only the other brings out. */
import t from 'tap';
import { keepaliveMessage } from 'bgp-parse';
import type { Capability } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, blocks, until } from '../reflector/fixtures/rig.js';
import type { ScriptedPeer } from '../reflector/fixtures/rig.js';
import { announce, endOfRib, routeRefresh, withdraw } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const [A, B, C] = ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'] as const;

interface Asks {
  readonly addPath?: number;
  readonly enhanced?: boolean;
  readonly restart?: boolean;
  readonly longLived?: boolean;
}

function capabilities({ addPath = 0, enhanced = true, restart = true, longLived = false }: Asks): Capability[] {
  const family = { afi: 1, safi: 1, forwardingPreserved: true };
  return [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'multiprotocol', afi: 2, safi: 1 },
    { kind: 'routeRefresh' },
    { kind: 'fourOctetAs', asn: 64512 },
    ...(enhanced ? [{ kind: 'enhancedRouteRefresh' } as const] : []),
    ...(addPath > 0 ? [{ kind: 'addPath', entries: [{ afi: 1, safi: 1, mode: addPath }] } as const] : []),
    ...(restart
      ? [
          {
            ...{ kind: 'gracefulRestart', restarting: false, notification: true, restartTimeSeconds: 60 },
            families: [family],
          } as Capability,
        ]
      : []),
    ...(longLived
      ? [{ kind: 'longLivedGracefulRestart', families: [{ ...family, staleTimeSeconds: 100 }] } as Capability]
      : []),
  ];
}

/** A node and a peer of it, internal, on a clock that is told. */
async function scene(t: Test, keys: object = {}) {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const address = rig.address(2);
  const peers = (more: object): object[] => [{ address, asn: 64512, passive: true, ...keys, ...more }];
  const node = await rig.reflector({ address: rig.address(1), clock, config: { peers: peers({}) } });
  const connect = (asks: Asks = {}, said = true): Promise<ScriptedPeer> =>
    rig.peer(node, { address, capabilities: capabilities(asks), endOfRib: said });
  const lose = async (peer: ScriptedPeer): Promise<void> => {
    await peer.close();
    await until(() => node.peer(address).state !== 'Established', 'the loss');
  };
  const routes = () => [...node.speaker.routes({})!];
  return { rig, clock, address, node, peers, connect, lose, routes };
}

t.test('enhanced refresh and graceful restart: what a refresh has not come to yet is not stale', async (t) => {
  const { node, connect, lose, routes } = await scene(t);
  const peer = await connect();
  peer.announce([A, B], { nextHop: HOP });
  await until(() => node.best().length === 2, 'two routes');
  peer.say(routeRefresh(1, 1), announce([A], { nextHop: HOP, med: 1 }));
  await until(() => routes().some(({ med }) => med === 1), 'half of the refresh');
  await lose(peer);
  t.same(node.best(), [A, B], 'both outlive the loss');

  const again = await connect({}, false);
  again.announce([A], { nextHop: HOP });
  again.say(endOfRib(1), endOfRib(2));
  await until(() => node.best().join() === A, 'End-of-RIB ends what was not said again');
});

t.test('a refresh long after a restart is not ended by the time of the restart', async (t) => {
  const { clock, node, connect, lose, routes } = await scene(t);
  const peer = await connect();
  peer.announce([A, B], { nextHop: HOP });
  await until(() => node.best().length === 2, 'two routes');
  await lose(peer);
  const again = await connect({}, false);
  again.say(announce([A, B], { nextHop: HOP }), endOfRib(1), endOfRib(2));
  await until(() => routes().every(({ stale }) => !stale), 'said again');
  clock.advance(359_000);
  again.say(routeRefresh(1, 1), announce([A], { nextHop: HOP, med: 1 }));
  await until(() => routes().some(({ med }) => med === 1), 'half of the refresh');
  clock.advance(2_000);
  t.same(node.best(), [A, B]);
  again.say(routeRefresh(1, 2));
  await until(() => node.best().join() === A, 'the refresh is over');
});

t.test('prefixLimit counts what the peer has said in this session, not what is stale', async (t) => {
  const { node, address, connect, lose } = await scene(t, { prefixLimit: { max: 3, action: 'reset' } });
  const peer = await connect();
  peer.announce(blocks(1, 3), { nextHop: HOP });
  await until(() => node.best().length === 3, 'three');
  await lose(peer);
  const again = await connect({}, false);
  again.announce(blocks(5, 2), { nextHop: HOP });
  again.announce(blocks(1, 1), { nextHop: HOP });
  again.say(endOfRib(1), endOfRib(2));
  const others = [...blocks(1, 1), ...blocks(5, 2)].join();
  await until(() => node.best().join() === others, 'three others');
  t.equal(node.peer(address).state, 'Established');
  // A refresh at the limit.
  again.say(routeRefresh(1, 1), announce(blocks(7, 3), { nextHop: HOP }), routeRefresh(1, 2));
  await until(() => node.best().join() === blocks(7, 3).join(), 'other prefixes within a refresh');
  again.announce(blocks(8, 1), { nextHop: HOP });
  await until(() => again.closed, 'one more is too many');
  t.equal(again.heard.notifications.join(), '0609' + '0601' + '000101' + '00000003');
});

t.test('path identifiers of a session do not outlive it into one without them', async (t) => {
  const { node, connect, lose, routes } = await scene(t);
  const peer = await connect({ addPath: 2 });
  peer.say(announce([A, B], { nextHop: HOP, pathId: 1 }), announce([A, B], { nextHop: '192.0.2.2', pathId: 2 }));
  await until(() => [...node.speaker.routes({})!].length === 4, 'four paths');
  await lose(peer);
  const again = await connect({}, false);
  again.announce([A, B], { nextHop: HOP, localPref: 50 });
  await until(() => routes().filter(({ localPref }) => localPref === 50).length === 2, 'said again');
  again.say(withdraw([A]), endOfRib(1), endOfRib(2));
  again.announce([C], { nextHop: HOP });
  await until(() => node.best().includes(C), 'all is read');
  t.same(
    [...node.speaker.routes({})!].map(({ prefix }) => prefix).sort(),
    [B, C],
    'what was withdrawn is gone, one path is left of the other',
  );
});

t.test('LLGR: what was heard between two losses is a last resort, too, after the restart time', async (t) => {
  const { clock, node, connect, lose, routes } = await scene(t, {
    gracefulRestart: { longLived: { staleTime: 3600 } },
  });
  const peer = await connect({ longLived: true });
  peer.announce([A], { nextHop: HOP });
  await until(() => node.best().length === 1, 'a route');
  await lose(peer);
  clock.advance(60_000);
  await until(() => routes()[0]?.communities?.includes('65535:6') === true, 'marked');
  const again = await connect({ longLived: true }, false);
  again.announce([B], { nextHop: HOP });
  await until(() => node.best().length === 2, 'another one, and no End-of-RIB');
  await lose(again);
  clock.advance(60_000);
  await until(() => routes().every(({ communities }) => communities?.includes('65535:6')), 'both are marked');
  clock.advance(40_000);
  await until(() => routes().length === 0, 'and go when the time of the first loss is over');
});

t.test('ROUTE-REFRESH: subtypes that are not known are ignored, without the capability all are requests', async (t) => {
  const { node, address, connect, lose, rig } = await scene(t);
  const other = rig.address(3);
  await node.reconfigure({
    peers: [
      { address, asn: 64512, passive: true, routeReflectorClient: true },
      { address: other, asn: 64512, passive: true },
    ],
  });
  const source = await rig.peer(node, { address: other });
  source.announce([A], { nextHop: HOP });
  const peer = await connect();
  await peer.until((heard) => heard.routes.size === 1, 'a route');
  peer.say(routeRefresh(1, 7), routeRefresh(1, 255));
  source.announce([B], { nextHop: HOP });
  await peer.until((heard) => heard.routes.size === 2, 'another');
  t.equal(peer.heard.announced.get(A), 1, 'RFC 7313 §5: ignored');
  peer.announce([C], { nextHop: HOP });
  await until(() => node.best().length === 3, 'a route of its own');
  await lose(peer);
  const plain = await connect({ enhanced: false, restart: false });
  plain.announce([C], { nextHop: HOP });
  await plain.until((heard) => heard.routes.size === 2, 'two routes');
  plain.say(routeRefresh(1, 1));
  await plain.until((heard) => heard.announced.get(A) === 2, 'RFC 2918 §3: a reserved octet says nothing');
  plain.say(routeRefresh(1, 2));
  await plain.until((heard) => heard.announced.get(A) === 3, 'nor does this one');
  t.ok(node.best().includes(C), 'and nothing of the peer was stale');
});

t.test('LLGR and policy: neither import nor export policies take LLGR_STALE away unless they name it', async (t) => {
  for (const [community, marked] of [
    [{ replace: '64512:1' }, true],
    [{ remove: '*:*' }, true],
    [{ remove: ['65535:6', '65535:7'] }, false],
  ] as const) {
    const rig = new Rig(t);
    const clock = new FakeClock();
    const [from, to] = [rig.address(2), rig.address(3)];
    const keys = { asn: 64512, passive: true, routeReflectorClient: true };
    const gracefulRestart = { longLived: { staleTime: 3600 } };
    const node = await rig.reflector({
      address: rig.address(1),
      clock,
      config: {
        policies: { tidy: { statements: [{ set: { community }, then: 'accept' }] } },
        peers: [
          { ...keys, address: from, gracefulRestart, import: 'tidy' },
          { ...keys, address: to, gracefulRestart, export: 'tidy' },
        ],
      },
    });
    const talker = await rig.peer(node, { address: from, capabilities: capabilities({ longLived: true }) });
    const listener = await rig.peer(node, { address: to, capabilities: capabilities({ longLived: true }) });
    talker.announce([A], { nextHop: HOP, communities: [0xfc000007] });
    await listener.until((heard) => heard.routes.has(A), 'the route');
    await talker.close();
    await until(() => node.peer(from).state !== 'Established', 'the loss');
    clock.advance(60_000);
    const wanted = marked ? /ffff0006/ : /^(?!.*ffff0006)/;
    if (marked)
      await listener.until((heard) => wanted.test(heard.attribute(A, 8) ?? ''), 'marked, whatever policy says');
    else await until(() => [...node.speaker.routes({})!].every(({ stale }) => stale), 'stale');
    t.match(listener.heard.attribute(A, 8) ?? '', wanted);
    const [route] = [...node.speaker.routes({})!];
    t.equal(route?.communities?.includes('65535:6') ?? false, marked, 'here, too');
  }
});

t.test('limits.messageRate and graceful restart: what waits to be read is not gone', async (t) => {
  const { clock, node, address, connect, lose, routes } = await scene(t);
  const peer = await connect();
  peer.announce([A, B], { nextHop: HOP });
  await until(() => node.best().length === 2, 'two routes');
  await lose(peer);
  await node.reconfigure({ limits: { messageRate: 10 } });
  const again = await connect({}, false);
  again.say(...Array.from({ length: 12_000 }, () => keepaliveMessage));
  await until(() => /has waited/.test(node.peer(address).notes.join()), 'more than may be read');
  again.say(announce([A], { nextHop: HOP }), endOfRib(1), endOfRib(2));
  for (let seconds = 0; seconds < 400; seconds += 5) {
    clock.advance(5_000);
    // What may be read again is.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  t.same(node.best(), [A, B], 'six minutes are over, but not for who may not be read');
  await until(() => {
    clock.advance(30_000);
    return routes().some(({ stale }) => !stale);
  }, 'what it had to say');
  await until(() => {
    clock.advance(1_000);
    return node.best().join() === A;
  }, 'and End-of-RIB');
});

t.test('who comes back with another AS number is somebody else', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const listenRanges = [{ prefix: rig.range, asn: 'external', import: 'accept' }];
  const node = await rig.reflector({ address: rig.address(1), clock: new FakeClock(), config: { listenRanges } });
  const as = (asn: number) => {
    const own = capabilities({}).map((one) => (one.kind === 'fourOctetAs' ? { ...one, asn } : one));
    return rig.peer(node, { address, asn, capabilities: own, endOfRib: false });
  };
  const first = await as(65001);
  first.announce([A], { nextHop: HOP, asPath: [65001] });
  await until(() => node.best().length === 1, 'a route');
  await first.close();
  await until(() => node.peer(address).state !== 'Established', 'the loss');
  t.same(node.best(), [A], 'kept');
  const second = await as(65002);
  second.announce([B], { nextHop: HOP, asPath: [65002] });
  await until(() => node.best().includes(B), 'a route of its own');
  t.same(node.best(), [B]);
});
