/** RFC 9494: stale paths outlive the restart time as a last resort, and only for who understands. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { ScriptedPeer } from '../reflector/fixtures/rig.js';
import { endOfRib } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const LLGR_STALE = 0xffff0006;
const NO_LLGR = 0xffff0007;

interface Asks {
  readonly restartTime?: number;
  readonly staleTime?: number;
  /** Of the node under test. */
  readonly ours?: number | object;
  readonly preserved?: boolean;
  readonly restartFamilies?: readonly number[];
}

function capabilities({
  restartTime = 10,
  staleTime = 100,
  preserved = true,
  restartFamilies = [1, 2],
}: Asks): Capability[] {
  const family = (afi: number) => ({ afi, safi: 1, forwardingPreserved: preserved });
  return [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'multiprotocol', afi: 2, safi: 1 },
    { kind: 'fourOctetAs', asn: 64512 },
    {
      kind: 'gracefulRestart',
      restarting: false,
      notification: true,
      restartTimeSeconds: restartTime,
      families: restartFamilies.map(family),
    },
    {
      kind: 'longLivedGracefulRestart',
      families: [1, 2].map((afi) => ({ ...family(afi), staleTimeSeconds: staleTime })),
    },
  ];
}

/** `a` says routes, `knows` and `old` hear of them; only `knows` understands LLGR_STALE. */
async function scene(t: Test, asks: Asks = {}) {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const [a, b, knows, old] = [2, 3, 4, 5].map((number) => rig.address(number)) as [string, string, string, string];
  const gracefulRestart = { longLived: { staleTime: asks.ours ?? 3600 } };
  const peers = [a, b, knows, old].map((address) => ({
    ...{ address, asn: 64512, passive: true, gracefulRestart, routeReflectorClient: true },
  }));
  const reflector = await rig.reflector({ address: rig.address(1), clock, config: { peers } });
  const connect = (address: string, wants: Asks = asks, said = true): Promise<ScriptedPeer> =>
    rig.peer(reflector, { address, capabilities: capabilities(wants), endOfRib: said });
  const sessions = {
    a: await connect(a),
    knows: await connect(knows),
    old: await rig.peer(reflector, { address: old }),
  };
  const down = async (): Promise<void> => {
    await sessions.a.close();
    await until(() => reflector.peer(a).state !== 'Established', 'the loss');
  };
  const routes = (prefix?: string) => [...reflector.speaker.routes(prefix === undefined ? {} : { match: prefix })!];
  return { rig, clock, reflector, a, b, sessions, connect, down, routes };
}

t.test('restart time, then the long-lived stale time: marked, least, not for everybody, gone', async (t) => {
  const { clock, rig, reflector, b, sessions, down, routes } = await scene(t);
  sessions.a.announce(['10.1.0.0/24', '10.2.0.0/24'], { nextHop: HOP, localPref: 900, communities: [7] });
  sessions.a.announce(['10.3.0.0/24'], { nextHop: HOP, communities: [NO_LLGR] });
  const other = await rig.peer(reflector, { address: b });
  other.announce(['10.2.0.0/24'], { nextHop: HOP, localPref: 1, asPath: [65001, 65002] });
  await sessions.old.until((heard) => heard.routes.size === 3, 'three routes');
  await down();
  clock.advance(9_000);
  t.same(
    routes('10.2.0.0/24').map((route) => [route.localPref, route.best]),
    [
      [900, true],
      [1, false],
    ],
    'as good as ever',
  );

  clock.advance(1_000);
  await until(() => routes('10.3.0.0/24').length === 0, 'NO_LLGR: not kept');
  await sessions.old.until((heard) => !heard.routes.has('10.1.0.0/24'), 'taken back from who does not understand');
  await sessions.knows.until(
    (heard) => heard.attribute('10.1.0.0/24', 8) === '00000007ffff0006',
    'LLGR_STALE for who does',
  );
  t.same(
    routes('10.2.0.0/24').map(({ localPref, best, reason }) => [localPref, best, reason]),
    [
      [1, true, 'long-lived-stale'],
      [900, false, 'long-lived-stale'],
    ],
    'least preferred, whatever else',
  );
  t.equal(sessions.old.heard.routes.get('10.2.0.0/24') !== undefined, true, 'the other path goes to everybody');
  t.match(routes('10.1.0.0/24'), [{ stale: true, best: true, communities: ['0:7', '65535:6'] }]);

  clock.advance(99_000);
  t.equal(routes('10.1.0.0/24').length, 1);
  clock.advance(1_000);
  await until(() => routes('10.1.0.0/24').length === 0, 'the long-lived stale time is over');
  t.equal(routes('10.2.0.0/24').length, 1);
});

t.test('it comes back: the time runs on until End-of-RIB, over further losses; then routes are as ever', async (t) => {
  const { clock, reflector, a, sessions, connect, down, routes } = await scene(t);
  sessions.a.announce(['10.1.0.0/24', '10.2.0.0/24'], { nextHop: HOP });
  await until(() => routes().length === 2, 'two routes');
  await down();
  clock.advance(10_000);
  await until(() => routes('10.1.0.0/24')[0]?.communities?.includes('65535:6') === true, 'marked');
  clock.advance(50_000);

  const again = await connect(a, {}, false);
  t.equal(routes().length, 2, 'kept: preserved');
  again.announce(['10.1.0.0/24'], { nextHop: HOP });
  await until(() => routes('10.1.0.0/24')[0]?.stale === false, 'heard again');
  t.equal(routes('10.1.0.0/24')[0]!.communities, null, 'without the mark');
  await again.close();
  await until(() => reflector.peer(a).state !== 'Established', 'lost again');
  t.equal(routes().length, 2, 'RFC 9494 §4.2: not deleted by a second loss');
  clock.advance(10_000);
  t.equal(routes().length, 2);
  clock.advance(39_000);
  t.equal(routes().length, 2);
  clock.advance(1_000);
  await until(() => routes().length === 0, 'a hundred seconds after the first restart time');

  const last = await connect(a, {}, false);
  last.announce(['10.1.0.0/24'], { nextHop: HOP });
  last.say(endOfRib(1), endOfRib(2));
  await until(() => routes().length === 1, 'a route');
  await last.close();
  await until(() => reflector.peer(a).state !== 'Established', 'lost');
  clock.advance(109_000);
  t.equal(routes().length, 1, 'a new stale time after End-of-RIB');
  clock.advance(1_000);
  await until(() => routes().length === 0, 'over');
});

t.test('not preserved: gone with the new session; no restart time, and families without one', async (t) => {
  const first = await scene(t);
  first.sessions.a.announce(['10.1.0.0/24'], { nextHop: HOP });
  await until(() => first.routes().length === 1, 'a route');
  await first.down();
  first.clock.advance(20_000);
  t.equal(first.routes().length, 1);
  await first.connect(first.a, { preserved: false }, false);
  await until(() => first.routes().length === 0, 'the F bit is not set');

  const second = await scene(t, { restartTime: 0, staleTime: 30, restartFamilies: [1] });
  second.sessions.a.announce(['10.1.0.0/24'], { nextHop: HOP });
  second.sessions.a.announce(['2001:db8::/48'], { nextHop: '2001:db8::1' });
  await until(() => second.routes().length === 2, 'two routes');
  await second.down();
  second.clock.advance(1);
  await until(() => second.routes().every(({ communities }) => communities?.includes('65535:6')), 'at once');
  second.clock.advance(30_000);
  await until(() => second.routes().length === 0, 'gone');

  const third = await scene(t, { restartTime: 5, staleTime: 0 });
  third.sessions.a.announce(['10.1.0.0/24'], { nextHop: HOP });
  await until(() => third.routes().length === 1, 'a route');
  await third.down();
  third.clock.advance(5_000);
  await until(() => third.routes().length === 0, 'a stale time of zero asks for nothing');
});

t.test('in one family alone: the other goes with the restart time', async (t) => {
  const { clock, sessions, down, routes } = await scene(t, { ours: { 'ipv6-unicast': 60 } });
  // Capability 71: AFI 2, SAFI 1, flags, 60 seconds, and nothing of IPv4.
  t.match(Buffer.from(sessions.a.heard.opens[0]!).toString('hex'), /4707000201.000003c/);
  sessions.a.announce(['10.1.0.0/24'], { nextHop: HOP });
  sessions.a.announce(['2001:db8::/48'], { nextHop: '2001:db8::1' });
  await until(() => routes().length === 2, 'two routes');
  await down();
  clock.advance(10_000);
  await until(() => routes().length === 1, 'one is kept longer');
  t.match(routes()[0], { prefix: '2001:db8::/48', communities: ['65535:6'] });
  clock.advance(100_000);
  await until(() => routes().length === 0, 'for as long as the peer has asked');
});

t.test('LLGR_STALE of others: least preferred, passed on marked; without the key an ordinary community', async (t) => {
  const { rig, reflector, b, sessions, routes } = await scene(t);
  sessions.a.announce(['10.1.0.0/24'], { nextHop: HOP, localPref: 900, communities: [LLGR_STALE] });
  const other = await rig.peer(reflector, { address: b });
  other.announce(['10.1.0.0/24'], { nextHop: HOP, localPref: 1 });
  await until(() => routes().length === 2, 'two paths');
  t.same(
    routes().map((route) => [route.localPref, route.best]),
    [
      [1, true],
      [900, false],
    ],
  );
  other.withdraw(['10.1.0.0/24']);
  await sessions.knows.until((heard) => heard.attribute('10.1.0.0/24', 8) === 'ffff0006', 'passed on');
  await sessions.old.until((heard) => !heard.routes.has('10.1.0.0/24'), 'not to who does not understand');

  const plain = new Rig(t);
  const [x, y] = [plain.address(2), plain.address(3)];
  const peers = [x, y].map((address) => ({ address, asn: 64512, passive: true, routeReflectorClient: true }));
  const node = await plain.reflector({ address: plain.address(1), config: { peers } });
  const from = await plain.peer(node, { address: x });
  const to = await plain.peer(node, { address: y });
  from.announce(['10.1.0.0/24'], { nextHop: HOP, communities: [LLGR_STALE] });
  await to.until((heard) => heard.attribute('10.1.0.0/24', 8) === 'ffff0006', 'an ordinary community');
  const [open] = to.heard.opens;
  t.notMatch(Buffer.from(open!).toString('hex'), /470e/, 'RFC 9494 §5: not offered by default');
});
