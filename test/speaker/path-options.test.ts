/** What a peer's own settings make of paths, communities and next hops, in and out, seen on the wire. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { Reflector, ScriptedPeer } from '../reflector/fixtures/rig.js';
import { u32 } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const OWN = 64512;
const P = '10.1.0.0/24';

interface Scene {
  readonly rig: Rig;
  readonly reflector: Reflector;
  readonly from: ScriptedPeer;
  readonly to: ScriptedPeer;
  readonly addresses: readonly [string, string];
  /** Other keys for the two peers. */
  change(from: object, to: object): Promise<void>;
}

/** A node between two peers; `asn` of either 64512 makes it internal. */
async function between(
  t: Test,
  from: { asn?: number; keys?: object },
  to: { asn?: number; keys?: object },
): Promise<Scene> {
  const rig = new Rig(t);
  const addresses = [rig.address(2), rig.address(3)] as const;
  const asns = [from.asn ?? 65001, to.asn ?? 65002];
  const config = (keys: readonly (object | undefined)[]) => ({
    peers: addresses.map((address, index) => ({
      ...{ address, asn: asns[index], passive: true, import: 'accept', export: 'accept', ...keys[index] },
    })),
  });
  const reflector = await rig.reflector({ address: rig.address(1), config: config([from.keys, to.keys]) });
  const peers = [];
  for (const [index, address] of addresses.entries()) {
    peers.push(await rig.peer(reflector, { address, asn: asns[index]!, routerId: address }));
  }
  return {
    ...{ rig, reflector, addresses, from: peers[0]!, to: peers[1]! },
    change: async (one, other) => void (await reflector.reconfigure(config([one, other]))),
  };
}

/** One AS_SEQUENCE as it stands on the wire. */
const sequence = (...asns: number[]): string =>
  asns.length === 0 ? '' : Buffer.from([2, asns.length, ...asns.flatMap(u32)]).toString('hex');
const pathOf = (peer: ScriptedPeer, prefix = P): string | undefined => peer.heard.attribute(prefix, 2);
const becomes = (peer: ScriptedPeer, path: string, prefix = P): Promise<void> =>
  peer.until((heard) => heard.attribute(prefix, 2) === path, `the path ${path}, not ${pathOf(peer, prefix)}`);
const reason = (reflector: Reflector, prefix = P): string | undefined =>
  [...reflector.speaker.routes({ match: prefix })!][0]?.reason;

t.test('removePrivateAs and asOverride, live', async (t) => {
  const { from, to, change } = await between(t, { asn: 64999 }, { asn: 65002 });
  from.announce([P], { nextHop: HOP, asPath: [64999, 65002, 4_200_000_001] });
  from.announce(['10.2.0.0/24'], { nextHop: HOP, asPath: [64999, 3356, 65010] });
  await becomes(to, sequence(OWN, 64999, 65002, 4_200_000_001));
  await change({}, { removePrivateAs: true });
  await becomes(to, sequence(OWN, 65002));
  t.equal(pathOf(to, '10.2.0.0/24'), sequence(OWN, 64999, 3356, 65010), 'not private as a whole');
  await change({}, { removePrivateAs: 'all' });
  await becomes(to, sequence(OWN, 3356), '10.2.0.0/24');
  await change({}, { removePrivateAs: 'replace' });
  await becomes(to, sequence(OWN, OWN, 3356, OWN), '10.2.0.0/24');
  t.equal(pathOf(to), sequence(OWN, OWN, 65002, OWN), "the peer's own number stays");
  await change({}, { asOverride: true });
  await becomes(to, sequence(OWN, 64999, OWN, 4_200_000_001));
  await change({}, {});
  await becomes(to, sequence(OWN, 64999, 65002, 4_200_000_001));
  t.notOk(to.closed, 'all in one session');
});

t.test('allowAsIn: our own AS so often, and no more', async (t) => {
  const { from, to, reflector } = await between(t, { keys: { allowAsIn: 1 } }, {});
  from.announce([P], { nextHop: HOP, asPath: [65001, OWN] });
  from.announce(['10.2.0.0/24'], { nextHop: HOP, asPath: [65001, OWN, OWN] });
  await becomes(to, sequence(OWN, 65001, OWN));
  await until(() => reason(reflector, '10.2.0.0/24') === 'as-loop', 'twice is a loop');
  const plain = await between(t, {}, {});
  plain.from.announce([P], { nextHop: HOP, asPath: [65001, OWN] });
  await until(() => reason(plain.reflector) === 'as-loop', 'without the key once is');
});

t.test('localAs: in OPEN, from the peer, to the peer, and as a loop', async (t) => {
  const one = await between(t, { keys: { localAs: 64700 } }, {});
  t.match(Buffer.from(one.from.heard.opens[0]!).toString('hex'), /4104[0-9a-f]{8}/);
  t.match(Buffer.from(one.from.heard.opens[0]!).toString('hex'), /41040000fcbc/, 'the capability names it');
  one.from.announce([P], { nextHop: HOP, asPath: [65001] });
  await becomes(one.to, sequence(OWN, 64700, 65001));
  one.to.announce(['10.9.0.0/24'], { nextHop: HOP, asPath: [65002] });
  await becomes(one.from, sequence(64700, OWN, 65002), '10.9.0.0/24');
  one.from.announce(['10.3.0.0/24'], { nextHop: HOP, asPath: [65001, 64700] });
  await until(() => reason(one.reflector, '10.3.0.0/24') === 'as-loop', 'a loop as well');

  const two = await between(t, { keys: { localAs: { asn: 64700, noPrepend: true, replaceAs: true } } }, {});
  two.from.announce([P], { nextHop: HOP, asPath: [65001] });
  await becomes(two.to, sequence(OWN, 65001));
  two.to.announce(['10.9.0.0/24'], { nextHop: HOP, asPath: [65002] });
  await becomes(two.from, sequence(64700, 65002), '10.9.0.0/24');
});

t.test('localAs with dualAs: a peer that refuses the one is offered the other', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const peers = [
    {
      address,
      asn: 65001,
      passive: true,
      export: 'accept',
      localAs: { asn: 64700, dualAs: true },
      connectRetryTime: 1,
    },
  ];
  const config = { peers, networks: [{ prefix: P }] };
  const reflector = await rig.reflector({ address: rig.address(1), config });
  const first = await rig.dial(reflector, { address, asn: 65001 });
  await until(() => first.heard.opens.length > 0, 'an OPEN');
  const badPeerAs = Uint8Array.of(...Array<number>(16).fill(255), 0, 21, 3, 2, 2);
  first.say(badPeerAs);
  await until(() => first.closed, 'the end');
  await until(() => reflector.peer(address).state === 'Active', 'another try');
  const second = await rig.peer(reflector, { address, asn: 65001 });
  t.match(Buffer.from(second.heard.opens[0]!).toString('hex'), /41040000fc00/, 'the real number');
  await becomes(second, sequence(OWN));
});

t.test('enforceFirstAs and AS_SETs', async (t) => {
  const strict = await between(t, {}, {});
  strict.from.announce([P], { nextHop: HOP, asPath: [65009] });
  const set = { nextHop: HOP, asPath: [65001], raw: [] };
  strict.from.announce(['10.2.0.0/24'], set);
  await strict.to.until((heard) => heard.routes.has('10.2.0.0/24'), 'the good one');
  t.notOk(strict.to.heard.routes.has(P), 'another first AS: treated as withdrawn');
  t.equal(reason(strict.reflector), undefined, 'not even kept');

  const loose = await between(t, { keys: { enforceFirstAs: false } }, {});
  loose.from.announce([P], { nextHop: HOP, asPath: [65009] });
  await becomes(loose.to, sequence(OWN, 65009));

  // An AS_PATH of AS_SEQUENCE 65001, AS_SET {7, 8}.
  const value = [2, 1, ...u32(65001), 1, 2, ...u32(7), ...u32(8)];
  const withSet = { nextHop: HOP, raw: [{ flags: 0x40, code: 2, value }] };
  for (const [keys, taken] of [
    [{}, false],
    [{ asSets: 'accept' }, true],
  ] as const) {
    const scene = await between(t, { keys }, {});
    scene.from.announce([P], withSet);
    scene.from.announce(['10.2.0.0/24'], { nextHop: HOP, asPath: [65001] });
    await scene.to.until((heard) => heard.routes.has('10.2.0.0/24'), 'the next one');
    t.equal(scene.to.heard.routes.has(P), taken, `AS_SET ${JSON.stringify(keys)}`);
  }
});

t.test(
  'GRACEFUL_SHUTDOWN: localPref 0 from external peers; drain and gracefulShutdown send it (RFC 8326)',
  async (t) => {
    const { from, to, reflector, change } = await between(t, { asn: 65001 }, { asn: OWN });
    from.announce([P], { nextHop: HOP, asPath: [65001], communities: [0xffff0000] });
    await to.until((heard) => heard.attribute(P, 5) === '00000000', 'localPref 0');
    from.announce([P], { nextHop: HOP, asPath: [65001], communities: [5] });
    await to.until((heard) => heard.attribute(P, 5) === '00000064', 'and 100 again');

    t.equal(reflector.speaker.drain(true), undefined);
    t.equal(reflector.speaker.drain(true), 'already draining');
    t.match(reflector.speaker.summary().warnings.join(), /drain/);
    await to.until(
      (heard) => heard.attribute(P, 8) === '00000005ffff0000' && heard.attribute(P, 5) === '00000000',
      'drain',
    );
    to.announce(['10.9.0.0/24'], { nextHop: HOP });
    await from.until(
      (heard) => heard.attribute('10.9.0.0/24', 8) === 'ffff0000',
      'to external peers the community alone',
    );
    t.equal(from.heard.attribute('10.9.0.0/24', 5), undefined);
    t.equal(reflector.speaker.drain(false), undefined);
    await to.until((heard) => heard.attribute(P, 8) === '00000005' && heard.attribute(P, 5) === '00000064', 'undrain');
    await change({}, { gracefulShutdown: true });
    await to.until((heard) => heard.attribute(P, 8) === '00000005ffff0000', 'one peer');
    t.equal(from.heard.attribute('10.9.0.0/24', 8), undefined, 'not the other');
    t.notOk(to.closed);
  },
);

t.test('sendCommunity, live; BLACKHOLE; well-known communities', async (t) => {
  const { from, to, change, reflector } = await between(t, { keys: { blackhole: 'accept' } }, {});
  const rich = {
    ...{ nextHop: HOP, asPath: [65001], communities: [5, 6] },
    raw: [
      { flags: 0xc0, code: 16, value: [0, 2, 0, 1, 0, 0, 0, 1] },
      { flags: 0xc0, code: 32, value: [...u32(1), ...u32(2), ...u32(3)] },
    ],
  };
  from.announce([P], rich);
  const codes = (): number[] => to.heard.routes.get(P)?.attributes.map(({ code }) => code) ?? [];
  await to.until(() => codes().includes(32), 'everything');
  t.same(codes(), [1, 2, 3, 8, 16, 32]);
  await change({ blackhole: 'accept' }, { sendCommunity: { standard: false, extended: false } });
  await to.until(() => !codes().includes(8), 'less');
  t.same(codes(), [1, 2, 3, 32]);
  await change({ blackhole: 'accept' }, { sendCommunity: { large: false } });
  await to.until(() => codes().includes(8), 'others');
  t.same(codes(), [1, 2, 3, 8, 16]);

  from.announce(['10.66.0.1/32'], { nextHop: HOP, asPath: [65001], communities: [0xffff029a] });
  from.announce(['10.67.0.0/24'], { nextHop: HOP, asPath: [65001], communities: [0xffffff01] });
  from.announce(['10.68.0.0/24'], { nextHop: HOP, asPath: [65001], communities: [0xffffff03] });
  from.announce(['10.69.0.0/24'], { nextHop: HOP, asPath: [65001], communities: [0xffffff04] });
  await to.until((heard) => heard.routes.has('10.69.0.0/24'), 'NOPEER means nothing without a role');
  for (const prefix of ['10.66.0.1/32', '10.67.0.0/24', '10.68.0.0/24']) t.notOk(to.heard.routes.has(prefix), prefix);
  t.same([...reflector.speaker.routes({ match: '10.66.0.1/32' })!][0]!.communities, ['65535:666', '65535:65281']);
});

t.test('next hops: unchanged', async (t) => {
  const { from, to, change, reflector } = await between(t, {}, {});
  from.announce([P], { nextHop: '198.51.100.7', asPath: [65001] });
  await to.until((heard) => heard.routes.get(P)?.nextHop === reflector.address, 'ours');
  await change({}, { nextHopUnchanged: true });
  await to.until((heard) => heard.routes.get(P)?.nextHop === '198.51.100.7', 'as it came');
});

t.test('families beyond unicast are not negotiated, and what comes of them is not parsed', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const reflector = await rig.reflector({
    address: rig.address(1),
    config: { peers: [{ address, asn: OWN, passive: true }] },
  });
  const families = [
    [1, 2],
    [1, 4],
    [1, 128],
    [1, 133],
    [2, 4],
    [25, 70],
    [16388, 71],
  ] as const;
  const capabilities: Capability[] = [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    ...families.map(([afi, safi]): Capability => ({ kind: 'multiprotocol', afi, safi })),
    { kind: 'fourOctetAs', asn: OWN },
  ];
  const peer = await rig.peer(reflector, { address, capabilities });
  t.same(reflector.peer(address).families, ['ipv4-unicast']);
  for (const [afi, safi] of families) {
    // MP_REACH_NLRI and MP_UNREACH_NLRI full of what would be nonsense in any family.
    const junk = [afi >> 8, afi & 255, safi, 4, 1, 2, 3, 4, 0, 255, 255, 255, 7];
    peer.announce([`10.${safi}.${afi & 255}.0/24`], { nextHop: HOP, raw: [{ flags: 0x80, code: 14, value: junk }] });
    const unreach = { flags: 0x80, code: 15, value: [afi >> 8, afi & 255, safi, 255, 255] };
    peer.announce([`10.${safi}.${afi & 255}.128/25`], { nextHop: HOP, raw: [unreach] });
  }
  await until(() => reflector.best().length === 2 * families.length, 'the prefixes beside it are taken');
  t.equal(reflector.peer(address).state, 'Established');
  t.equal(reflector.peer(address).malformedUpdates, 0);
});

t.test('a next hop that a peer cannot be told: the route is not told, and show peer says why', async (t) => {
  const capabilities: Capability[] = [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'fourOctetAs', asn: OWN },
    { kind: 'extendedNextHop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
  ];
  const rig = new Rig(t);
  const [from, to] = [rig.address(2), rig.address(3)];
  const peers = [from, to].map((address) => ({
    ...{ address, asn: OWN, passive: true, routeReflectorClient: true, extendedNextHop: address === from },
  }));
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers } });
  const talker = await rig.peer(reflector, { address: from, capabilities });
  const listener = await rig.peer(reflector, { address: to });
  const reach = [0, 1, 1, 16, ...[0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(11).fill(0), 1], 0, 24, 10, 1, 0];
  talker.announce(['10.9.0.0/24'], { nextHop: HOP, raw: [{ flags: 0x80, code: 14, value: reach }] });
  await listener.until((heard) => heard.routes.has('10.9.0.0/24'), 'the other route');
  t.ok(reflector.best().includes(P));
  t.notOk(listener.heard.routes.has(P), 'RFC 8950: not agreed on with this peer');
  t.match(reflector.peer(to).notes.join(), /1 times ipv4-unicast routes were not told.*next hop/);
});
