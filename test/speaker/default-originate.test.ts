/** `defaultOriginate` on the wire: a default route towards one peer, whatever the table holds. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import type { PolicyFunction } from '../../src/index.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { PeerOptions, Reflector, ScriptedPeer } from '../reflector/fixtures/rig.js';
import { routeRefresh, u32 } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const OWN = 64512;
const V4 = '0.0.0.0/0';
const V6 = '::/0';
const P = '10.1.0.0/24';
const HOP = '192.0.2.1';

const sequence = (...asns: number[]): string =>
  Buffer.from(asns.length === 0 ? [] : [2, asns.length, ...asns.flatMap(u32)]).toString('hex');

interface Scene {
  readonly rig: Rig;
  readonly reflector: Reflector;
  /** Says routes, and is sent all. */
  readonly from: ScriptedPeer;
  /** The one with the keys. */
  readonly to: ScriptedPeer;
  readonly address: string;
  /** Other keys of `to`, and other keys of the top level. */
  change(keys: object, more?: object): Promise<readonly string[]>;
}

async function scene(
  t: Test,
  keys: object,
  more: object = {},
  peer: Partial<PeerOptions> = {},
  policies: Record<string, PolicyFunction> = {},
): Promise<Scene> {
  const rig = new Rig(t);
  const asn = peer.asn ?? 65002;
  const config = (own: object, top: object) => ({
    ...top,
    peers: [
      { address: rig.address(2), asn: 65001, passive: true, import: 'accept', export: 'accept' },
      { address: rig.address(3), asn, passive: true, import: 'accept', export: 'accept', ...own },
    ],
  });
  const reflector = await rig.reflector({ address: rig.address(1), config: config(keys, more), policies });
  const from = await rig.peer(reflector, { address: rig.address(2), asn: 65001 });
  const to = await rig.peer(reflector, { address: rig.address(3), ...peer, asn });
  return {
    ...{ rig, reflector, from, to, address: rig.address(3) },
    change: (own, top = more) => reflector.reconfigure(config(own, top)),
  };
}

const has = (peer: ScriptedPeer, path: string, prefix = V4): Promise<void> =>
  peer.until((heard) => heard.attribute(prefix, 2) === path, `${prefix} with the path ${path}`);
const lacks = (peer: ScriptedPeer, prefix = V4): Promise<void> =>
  peer.until((heard) => !heard.routes.has(prefix), `no ${prefix}`);
/** What was said before has been heard. */
const hears = (peer: ScriptedPeer, prefix: string): Promise<void> =>
  peer.until((heard) => heard.routes.has(prefix), prefix);

t.test('to one peer, beside its export policy, without a route of our own; on and off in the session', async (t) => {
  const { reflector, from, to, address, change } = await scene(t, { export: undefined, defaultOriginate: true });
  await has(to, sequence(OWN));
  await to.until((heard) => heard.count('eor 1') > 0, 'End-of-RIB');
  t.equal(to.heard.routes.get(V4)?.nextHop, reflector.address, 'this node is the next hop');
  t.same(
    to.heard.routes.get(V4)?.attributes.map(({ code }) => code),
    [1, 2, 3],
  );
  t.ok(to.heard.events.indexOf('update') < to.heard.events.indexOf('eor 1'), 'before End-of-RIB');
  t.notOk(from.heard.routes.has(V4), 'not to others');
  t.same(reflector.best(), [], 'it stands in no table');
  t.equal(reflector.peer(address).advertised, 1);
  t.match(reflector.peer(address).notes.join(), /nothing but a default route is advertised .*8212/);
  const [shown, ...others] = reflector.speaker.routes({ peer: { address, direction: 'advertised' } })!;
  t.same(others, []);
  t.match(shown, { prefix: V4, nextHop: reflector.address, asPath: [OWN], peer: null, reason: 'default-originate' });
  from.announce([P], { nextHop: HOP, asPath: [65001] });
  await until(() => reflector.best().includes(P), 'a route of others');

  await change({ export: undefined });
  await lacks(to);
  t.equal(to.heard.withdrawn.get(V4), 1);
  t.notOk(to.heard.routes.has(P), 'RFC 8212 still holds');
  await change({ export: undefined, defaultOriginate: true });
  await has(to, sequence(OWN));
  t.notOk(to.closed);
});

t.test('to an internal peer, and IPv6 where there is an address of ours', async (t) => {
  const rig = new Rig(t);
  const routerId = '10.0.0.1';
  const config = { routerId, peers: [{ address: '::1', asn: OWN, passive: true, defaultOriginate: true }] };
  const reflector = await rig.reflector({ address: '::1', config, port: await rig.freePort('::1') });
  const peer = await rig.peer(reflector, { address: '::1', routerId: '10.0.0.9' });
  await has(peer, '', V6);
  t.equal(peer.heard.routes.get(V6)?.nextHop, '::1');
  t.equal(peer.heard.attribute(V6, 5), '00000064', 'LOCAL_PREF');
  await reflector.reconfigure({ peers: [{ address: '::1', asn: OWN, passive: true }] });
  await lacks(peer, V6);
});

t.test('in the place of a learned one, which comes back when it goes', async (t) => {
  const { from, to, change, reflector } = await scene(t, { defaultOriginate: true });
  from.announce([V4, P], { nextHop: HOP, asPath: [65001] });
  await hears(to, P);
  t.equal(to.heard.attribute(V4, 2), sequence(OWN), 'ours');
  t.same(reflector.best(), [V4, P], 'decision is not concerned');
  t.equal(to.heard.announced.get(V4), 1);
  await change({});
  await has(to, sequence(OWN, 65001));
  t.equal(to.heard.withdrawn.get(V4), undefined, 'replaced, not withdrawn');
  await change({ defaultOriginate: true });
  await has(to, sequence(OWN));
  from.withdraw([V4]);
  from.announce(['10.2.0.0/24'], { nextHop: HOP, asPath: [65001] });
  await hears(to, '10.2.0.0/24');
  t.ok(to.heard.routes.has(V4), 'still ours when the learned one has gone');
  await change({});
  await lacks(to);
  // With other rules (the table is said anew) at the same time.
  await change({ defaultOriginate: true, sendCommunity: { standard: false } });
  await has(to, sequence(OWN));
  await change({});
  await lacks(to);
  t.equal(to.heard.withdrawn.get(V4), 2);
  t.notOk(to.closed);
});

t.test('a route refresh brings it again; draining marks it', async (t) => {
  const { to, reflector } = await scene(t, { defaultOriginate: true });
  await has(to, sequence(OWN));
  to.say(routeRefresh(1));
  await to.until((heard) => heard.announced.get(V4) === 2, 'said again');
  reflector.speaker.drain(true);
  await to.until((heard) => heard.attribute(V4, 8) === 'ffff0000', 'GRACEFUL_SHUTDOWN');
  reflector.speaker.drain(false);
  await to.until((heard) => heard.attribute(V4, 8) === undefined, 'without');
  t.equal(to.heard.withdrawn.get(V4), undefined);
});

t.test('a member that is told the table anew, and policies that are never sure, leave it alone', async (t) => {
  const policies = { odd: () => 'accept' as const };
  const { from, to, change } = await scene(t, { defaultOriginate: true, export: 'odd' }, {}, {}, policies);
  await has(to, sequence(OWN));
  for (const asPath of [[65001], [65001, 7]]) {
    from.announce([V4, P], { nextHop: HOP, asPath });
    await to.until((heard) => heard.attribute(P, 2) === sequence(OWN, ...asPath), 'the route beside it');
  }
  from.withdraw([V4, P]);
  await lacks(to, P);
  t.ok(to.heard.routes.has(V4));
  t.equal(to.heard.withdrawn.get(V4), undefined);
  from.announce([V4, P], { nextHop: HOP, asPath: [65001] });
  await change({ defaultOriginate: true, export: 'accept' });
  await hears(to, P);
  to.say(routeRefresh(1));
  await to.until((heard) => heard.announced.get(P)! >= 2, 'the table again');
  t.equal(to.heard.attribute(V4, 2), sequence(OWN));
  t.equal(to.heard.withdrawn.get(V4), undefined);
});

t.test('when: only while there is a route, and not one of the peer itself', async (t) => {
  // Prefixes that no test beside this one has in the kernel, which is asked, too.
  const when = ['100.126.41.0/24', '100.127.213.0/24', 'fd4b:1a2c:77::/48'];
  const { from, to, change, reflector, address } = await scene(t, { defaultOriginate: { when } });
  to.announce(['100.126.41.0/24'], { nextHop: HOP, asPath: [65002] });
  await hears(from, '100.126.41.0/24');
  from.announce([P, '100.126.41.0/25'], { nextHop: HOP, asPath: [65001] });
  await hears(to, P);
  t.notOk(to.heard.routes.has(V4), 'neither its own route nor a part of the prefix counts');
  t.match(reflector.peer(address).notes.join(), /no ipv4-unicast default route is originated/);
  from.announce(['100.127.213.0/24'], { nextHop: HOP, asPath: [65001] });
  await has(to, sequence(OWN));
  from.withdraw(['100.127.213.0/24']);
  await lacks(to);
  // Another source of the same prefix, which is better: the first AS_PATH has one AS more.
  to.announce(['100.126.41.0/24'], { nextHop: HOP, asPath: [65002, 7, 8] });
  from.announce(['100.126.41.0/24'], { nextHop: HOP, asPath: [65001] });
  await has(to, sequence(OWN));
  await change({ defaultOriginate: { when: '100.125.97.0/24' } });
  await lacks(to);
  await change({ defaultOriginate: { when: '100.125.97.0/24' } }, { networks: [{ prefix: '100.125.97.0/24' }] });
  await has(to, sequence(OWN));
  await change({ defaultOriginate: { when: 'fd4b:1a2c:77::/48' } });
  await lacks(to);
  t.notOk(to.closed);
});

t.test('policy: may change or reject it, also by a change of the policy alone', async (t) => {
  const keys = { export: 'node', defaultOriginate: { policy: 'default' } };
  const policies = (set: object) => ({
    pools: ['10.0.0.0/8'],
    policies: { default: { statements: [{ match: { prefix: V4 }, set, then: 'accept' }] } },
  });
  const first = policies({ med: 7, community: { add: '64512:1' } });
  const { to, change } = await scene(t, keys, first);
  await to.until((heard) => heard.attribute(V4, 4) === '00000007', 'a MED');
  t.equal(to.heard.attribute(V4, 8), 'fc000001');
  await change(keys, policies({ med: 8, prepend: 2 }));
  await to.until((heard) => heard.attribute(V4, 4) === '00000008', 'another one');
  t.equal(to.heard.attribute(V4, 2), sequence(OWN, OWN, OWN));
  await change(keys, { pools: ['10.0.0.0/8'], policies: { default: { default: 'reject' } } });
  await lacks(to);
  await change({ ...keys, defaultOriginate: { policy: 'accept' } }, first);
  await has(to, sequence(OWN));
  await change({ ...keys, defaultOriginate: { policy: 'reject' } }, first);
  await lacks(to);
  t.equal(to.heard.withdrawn.get(V4), 2);
  await change({ ...keys, defaultOriginate: true }, first);
  await has(to, sequence(OWN));
  await change({ ...keys, defaultOriginate: { families: ['ipv6-unicast'] } }, first);
  await lacks(to);
  t.equal(to.heard.withdrawn.get(V4), 3, 'one family less');
});

t.test('to a peer that takes several paths of a prefix (RFC 7911), and to one with 2-octet AS numbers', async (t) => {
  const capabilities: Capability[] = [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'fourOctetAs', asn: 65002 },
    { kind: 'addPath', entries: [{ afi: 1, safi: 1, mode: 1 }] },
  ];
  const keys = { addPath: { send: 'all' } };
  const { from, to, change } = await scene(t, keys, {}, { capabilities });
  // The test's reader knows no path identifiers: to it each is the prefix 0.0.0.0/0 three times, then the real one.
  const before = to.heard.updates;
  from.announce([V4], { nextHop: HOP, asPath: [65001] });
  const bodies: string[] = [];
  const { message } = to.heard;
  to.heard.message = (type, body) => (type === 2 ? void bodies.push(Buffer.from(body).toString('hex')) : undefined);
  await until(() => bodies.length > 0 || to.heard.updates > before, 'the learned one');
  bodies.length = 0;
  await change({ ...keys, defaultOriginate: true });
  await until(() => bodies.some((body) => body.endsWith('0000000100') && body.includes(sequence(OWN))), 'ours');
  t.ok(
    bodies.some((body) => body.startsWith('0005')),
    'the learned one is taken back: it had an identifier of its own',
  );
  bodies.length = 0;
  await change(keys);
  await until(() => bodies.some((body) => body.startsWith('0005000000010000')), 'ours is withdrawn');
  to.heard.message = message;

  const old = await scene(
    t,
    { defaultOriginate: true },
    {},
    { capabilities: [{ kind: 'multiprotocol', afi: 1, safi: 1 }] },
  );
  await old.to.until((heard) => heard.attribute(V4, 2) === '0201fc00', 'AS_PATH of 2 octets');
});
