/** RFC 4456: who is told what, and what is in it, seen by scripted peers of a real reflector. */
import t from 'tap';
import { Rig, until } from './fixtures/rig.js';
import type { Reflector, ScriptedPeer } from './fixtures/rig.js';
import { quad, u32, wireAttributes } from './fixtures/say.js';
import type { Saying } from './fixtures/say.js';

const CLUSTER = '10.9.9.9';
const HOP = '192.0.2.1';
const MARKER = '10.255.0.0/16';

type Name = 'c1' | 'c2' | 'n1' | 'n2' | 'e1' | 'e2';
type Peers = Record<Name, ScriptedPeer>;

const NUMBERS: Record<Name, number> = { c1: 11, c2: 12, n1: 21, n2: 22, e1: 31, e2: 32 };
const asnOf = (name: string): number => (name.startsWith('e') ? 65000 + NUMBERS[name as Name] : 64512);

/** Two clients, two non-clients, two external peers, all Established. */
async function sixPeers(rig: Rig, config: Record<string, unknown> = {}) {
  const names = Object.keys(NUMBERS) as Name[];
  const configured = (exportPolicy: string) =>
    names.map((name) => ({
      address: rig.address(NUMBERS[name]),
      asn: asnOf(name),
      passive: true,
      routeReflectorClient: name.startsWith('c'),
      group: 'all',
      import: 'accept',
      export: name === 'c2' ? exportPolicy : 'accept',
    }));
  const reflector = await rig.reflector({
    address: rig.address(1),
    config: { clusterId: CLUSTER, peers: configured('accept'), groups: { all: {} }, ...config },
  });
  const peers = {} as Peers;
  for (const name of names) {
    peers[name] = await rig.peer(reflector, {
      address: rig.address(NUMBERS[name]),
      asn: asnOf(name),
      routerId: `10.0.1.${NUMBERS[name]}`,
    });
  }
  return { reflector, peers, configured };
}

/** Waits until everything that the reflector had to say until now has been heard by everyone. */
async function settled(reflector: Reflector, peers: Peers, routes: number): Promise<void> {
  await until(
    () => reflector.best().length === routes,
    () => `${routes} routes, not ${reflector.best().join(' ')}`,
  );
  // A route that everyone is told, after all others; then it goes again.
  await reflector.reconfigure({ networks: [{ prefix: MARKER }] });
  for (const peer of Object.values(peers)) await peer.until((heard) => heard.routes.has(MARKER), 'the marker');
  await reflector.reconfigure({ networks: [] });
  for (const peer of Object.values(peers)) await peer.until((heard) => !heard.routes.has(MARKER), 'no marker');
}

function holders(peers: Peers, prefix: string): string {
  return (Object.keys(peers) as Name[]).filter((name) => peers[name].heard.routes.has(prefix)).join(' ');
}

t.test('who is told what (§6)', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers } = await sixPeers(rig);
  const said: [Name, string, string, Saying][] = [
    ['c1', '10.1.0.0/24', 'c2 n1 n2 e1 e2', { nextHop: HOP }],
    ['n1', '10.2.0.0/24', 'c1 c2 e1 e2', { nextHop: HOP }],
    ['e1', '10.3.0.0/24', 'c1 c2 n1 n2 e2', { nextHop: HOP, asPath: [65031] }],
    ['c1', '2001:db8:1::/48', 'c2 n1 n2', { nextHop: '2001:db8::1' }],
    ['n1', '2001:db8:2::/48', 'c1 c2', { nextHop: '2001:db8::1' }],
    ['e1', '2001:db8:3::/48', 'c1 c2 n1 n2', { nextHop: '2001:db8::1', asPath: [65031] }],
  ];
  for (const [name, prefix, , saying] of said) peers[name].announce([prefix], saying);
  await settled(reflector, peers, said.length);
  for (const [name, prefix, expected] of said) t.equal(holders(peers, prefix), expected, `${prefix} of ${name}`);

  for (const [name, prefix] of said) peers[name].withdraw([prefix]);
  await settled(reflector, peers, 0);
  for (const peer of Object.values(peers)) t.equal(peer.heard.routes.size, 0, `${peer.address} holds nothing`);
  for (const [name, prefix] of said) {
    t.equal(peers[name].heard.announced.get(prefix), undefined, `${name} has never heard of its own ${prefix}`);
    t.equal(peers[name].heard.withdrawn.get(prefix), undefined, `${name} was told no withdrawal of it`);
  }
});

/** One of everything a reflector could touch; unknown attributes have the Partial bit already (RFC 4271 §5). */
const RICH: Saying = {
  nextHop: '198.51.100.77',
  localPref: 123,
  med: 4_000_000_000,
  asPath: [65010, 4_200_000_000, ...Array.from({ length: 200 }, (_, index) => 64600 + index)],
  communities: [0xfde80001, 0x00000000, 0xfde80001],
  raw: [
    { flags: 0x40, code: 6, value: [] },
    { flags: 0xc0, code: 7, value: [...u32(4_200_000_001), 198, 51, 100, 9] },
    { flags: 0xc0, code: 16, value: [0, 2, 0xfd, 0xe8, 0, 0, 0, 1] },
    { flags: 0xc0, code: 32, value: [...u32(64512), ...u32(1), ...u32(2)] },
    { flags: 0xe0, code: 200, value: Array.from({ length: 300 }, (_, index) => index & 255) },
  ],
};

for (const [family, prefix, nextHop] of [
  ['IPv4', '10.1.0.0/24', '198.51.100.77'],
  ['IPv6', '2001:db8:1::/48', '2001:db8::77'],
] as const) {
  t.test(`${family}: nothing is touched but ORIGINATOR_ID and CLUSTER_LIST (§8, §10)`, async (t) => {
    const rig = new Rig(t);
    // That is for externally learned routes only: it must leave reflected ones alone.
    const { peers } = await sixPeers(rig, { groups: { all: { nextHopSelf: true } } });
    const saying = { ...RICH, nextHop };
    peers.c1.announce([prefix], saying);
    for (const name of ['c2', 'n1'] as const) {
      await peers[name].until((heard) => heard.routes.has(prefix), prefix);
      const route = peers[name].heard.routes.get(prefix)!;
      t.equal(route.nextHop, nextHop);
      const expected = wireAttributes(saying);
      const got = route.attributes.filter(({ code }) => ![3, 9, 10, 14].includes(code));
      t.same(
        got.map(({ code }) => code).sort((a, b) => a - b),
        [...expected.keys()].sort((a, b) => a - b),
        'the same attributes',
      );
      for (const { code, flags, value } of got) {
        const wire = Buffer.from(expected.get(code)!, 'hex');
        const long = (wire[0]! & 0x10) !== 0;
        t.equal(flags & 0xe0, wire[0]! & 0xe0, `flags of ${code}`);
        t.equal(value, wire.subarray(long ? 4 : 3).toString('hex'), `value of ${code}`);
      }
      t.equal(peers[name].heard.attribute(prefix, 9), quad('10.0.1.11'), 'the identifier of its originator');
      t.equal(peers[name].heard.attribute(prefix, 10), quad(CLUSTER));
      for (const code of [9, 10]) {
        t.equal(route.attributes.find((attribute) => attribute.code === code)!.flags, 0x80, 'optional, non-transitive');
      }
    }
  });
}

t.test('ORIGINATOR_ID is kept, the cluster is put in front (§8)', async (t) => {
  const rig = new Rig(t);
  const { peers } = await sixPeers(rig);
  const prefix = '10.1.0.0/24';
  const clusters = ['10.7.7.7', '10.8.8.8'];
  peers.n1.announce([prefix], { nextHop: HOP, originatorId: '10.0.5.5', clusterList: clusters });
  for (const name of ['c1', 'c2'] as const) {
    await peers[name].until((heard) => heard.routes.has(prefix), prefix);
    t.equal(peers[name].heard.attribute(prefix, 9), quad('10.0.5.5'));
    t.equal(peers[name].heard.attribute(prefix, 10), [CLUSTER, ...clusters].map(quad).join(''));
    const codes = peers[name].heard.routes.get(prefix)!.attributes.map(({ code }) => code);
    t.same(codes, [...new Set(codes)], 'each attribute once');
  }
});

t.test('neither leaves the AS, and what comes in with an external route is no word of ours', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers } = await sixPeers(rig);
  peers.c1.announce(['10.1.0.0/24'], { nextHop: HOP });
  // RFC 7606 §7.9, §7.10: from an external peer they are discarded.
  peers.e1.announce(['10.3.0.0/24'], {
    nextHop: HOP,
    asPath: [65031],
    originatorId: '10.0.0.1',
    clusterList: [CLUSTER],
  });
  await reflector.reconfigure({ networks: [{ prefix: MARKER }] });
  await peers.e2.until((heard) => heard.routes.size === 3, 'three routes');
  for (const [prefix, { attributes }] of peers.e2.heard.routes) {
    const codes = attributes.map(({ code }) => code);
    for (const code of [5, 9, 10])
      t.notOk(codes.includes(code), `${prefix} has no attribute ${code} for an external peer`);
  }
  await peers.c2.until((heard) => heard.routes.size === 3, 'three routes');
  t.equal(peers.c2.heard.attribute('10.3.0.0/24', 9), undefined, 'an external route is advertised, not reflected');
  t.equal(peers.c2.heard.attribute('10.3.0.0/24', 10), undefined);
  t.equal(peers.c2.heard.attribute(MARKER, 9), undefined, 'neither is our own');
  t.equal(peers.c2.heard.attribute(MARKER, 10), undefined);
});

t.test('loops end here: our ORIGINATOR_ID, our cluster (§8)', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers } = await sixPeers(rig);
  const good = { nextHop: HOP };
  peers.n1.announce(['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'], good);
  await settled(reflector, peers, 3);
  // 10.0.0.1 is the reflector's router id.
  peers.n1.announce(['10.1.0.0/24'], { ...good, originatorId: '10.0.0.1', clusterList: ['10.7.7.7'] });
  peers.n1.announce(['10.2.0.0/24'], {
    ...good,
    originatorId: '10.0.5.5',
    clusterList: ['10.7.7.7', CLUSTER, '10.8.8.8'],
  });
  peers.n1.announce(['10.3.0.0/24'], { ...good, originatorId: '10.0.5.5', clusterList: ['10.0.0.1'] });
  peers.n1.announce(['10.4.0.0/24'], { ...good, originatorId: '10.0.0.1' });
  peers.n1.announce(['10.5.0.0/24'], { ...good, clusterList: [CLUSTER] });
  await settled(reflector, peers, 1);
  t.same(reflector.best(), ['10.3.0.0/24'], 'the router id is no cluster id when another is configured');
  t.same([...peers.c1.heard.routes.keys()], ['10.3.0.0/24'], 'what turned into a loop was withdrawn');
  const looped = [...reflector.speaker.routes({ match: '10.1.0.0/24' })!];
  t.match(looped, [{ best: false, reason: /originator/i }], 'and the table says why it is not used');
  t.match([...reflector.speaker.routes({ match: '10.2.0.0/24' })!], [{ best: false, reason: /cluster/i }]);
});

t.test('the cluster id is the router id unless configured', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers } = await sixPeers(rig, { clusterId: undefined });
  peers.c1.announce(['10.1.0.0/24'], { nextHop: HOP });
  peers.n1.announce(['10.2.0.0/24'], { nextHop: HOP, clusterList: ['10.0.0.1'] });
  await settled(reflector, peers, 1);
  t.equal(peers.c2.heard.attribute('10.1.0.0/24', 10), quad('10.0.0.1'));
});

t.test('clientToClientReflection: false (clients are meshed among themselves)', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers } = await sixPeers(rig, { clientToClientReflection: false });
  const said: [Name, string, string, Saying][] = [
    ['c1', '10.1.0.0/24', 'n1 n2 e1 e2', { nextHop: HOP }],
    ['n1', '10.2.0.0/24', 'c1 c2 e1 e2', { nextHop: HOP }],
    ['e1', '10.3.0.0/24', 'c1 c2 n1 n2 e2', { nextHop: HOP, asPath: [65031] }],
  ];
  for (const [name, prefix, , saying] of said) peers[name].announce([prefix], saying);
  await settled(reflector, peers, said.length);
  for (const [name, prefix, expected] of said) t.equal(holders(peers, prefix), expected, `${prefix} of ${name}`);

  const sessions = (): number[] =>
    Object.values(peers).map(({ address }) => reflector.peer(address).sessionsEstablished);
  t.match(await reflector.reconfigure({ clientToClientReflection: true }), ['reflection between clients: on']);
  await settled(reflector, peers, said.length);
  t.equal(holders(peers, '10.1.0.0/24'), 'c2 n1 n2 e1 e2', 'switched on');
  t.same(sessions(), [1, 1, 1, 1, 1, 1], 'nobody lost its session');
  t.equal(peers.n1.heard.announced.get('10.1.0.0/24'), 1, 'who had it is not told again');

  await reflector.reconfigure({ clientToClientReflection: false });
  await settled(reflector, peers, said.length);
  for (const [name, prefix, expected] of said) t.equal(holders(peers, prefix), expected, `${prefix} of ${name} again`);
  t.same(sessions(), [1, 1, 1, 1, 1, 1]);
  t.equal(peers.c1.heard.announced.get('10.1.0.0/24'), undefined);
});

t.test('an export policy that changes while sessions run', async (t) => {
  const rig = new Rig(t);
  const { reflector, peers, configured } = await sixPeers(rig);
  peers.c1.announce(['10.1.0.0/24', '10.2.0.0/24'], { nextHop: HOP });
  await settled(reflector, peers, 2);
  await reflector.reconfigure({ peers: configured('reject') });
  await peers.c2.until(({ routes }) => routes.size === 0, 'the withdrawals');
  peers.c1.announce(['10.3.0.0/24'], { nextHop: HOP });
  await peers.n1.until(({ routes }) => routes.size === 3, 'the third route');
  t.equal(peers.c2.heard.announced.get('10.3.0.0/24'), undefined);
  await reflector.reconfigure({ peers: configured('accept') });
  await peers.c2.until(({ routes }) => routes.size === 3, 'all of them again');
  t.equal(reflector.peer(peers.c2.address).sessionsEstablished, 1, 'in the same session');
  t.equal(peers.n1.heard.announced.get('10.1.0.0/24'), 1, 'nobody else hears of it');
});
