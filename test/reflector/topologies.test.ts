/** RFC 4456 with several reflectors: two of one cluster, two clusters, a hierarchy, and a ring that must not go round. */
import t from 'tap';
import { Rig, until } from './fixtures/rig.js';
import type { Reflector, ScriptedPeer } from './fixtures/rig.js';
import { quad } from './fixtures/say.js';

t.setTimeout(300_000);

const HOP = '192.0.2.1';
const X = '10.1.0.0/24';

interface Plan {
  /** Last octet of the address, and of the router id 10.0.0.N. */
  readonly number: number;
  readonly clusterId: string;
  /** Scripted clients, by the last octet of their addresses. */
  readonly clients?: readonly number[];
  /** Other reflectors: true = it is our client. */
  readonly links: Readonly<Record<number, boolean>>;
}

/** Reflectors that dial each other, all links Established. */
async function build(rig: Rig, plans: readonly Plan[]): Promise<Map<number, Reflector>> {
  const ports = new Map<number, number>();
  for (const { number } of plans) ports.set(number, await rig.freePort(rig.address(number)));
  const reflectors = new Map<number, Reflector>();
  for (const { number, clusterId, clients = [], links } of plans) {
    const address = rig.address(number);
    const peers = [
      ...clients.map((client) => ({
        address: rig.address(client),
        asn: 64512,
        passive: true,
        routeReflectorClient: true,
      })),
      ...Object.entries(links).map(([other, isClient]) => ({
        address: rig.address(Number(other)),
        asn: 64512,
        localAddress: address,
        port: ports.get(Number(other))!,
        connectRetryTime: 1,
        routeReflectorClient: isClient,
      })),
    ];
    reflectors.set(number, await rig.reflector({ address, port: ports.get(number)!, config: { clusterId, peers } }));
  }
  for (const { number, links } of plans) {
    for (const other of Object.keys(links)) {
      const reflector = reflectors.get(number)!;
      const isUp = (): boolean => reflector.peer(rig.address(Number(other))).state === 'Established';
      await until(isUp, () => `${number} with ${other}: ${reflector.peer(rig.address(Number(other))).lastError}`);
    }
  }
  return reflectors;
}

const clusterList = (peer: ScriptedPeer, prefix: string): string | undefined => peer.heard.attribute(prefix, 10);
const list = (...ids: string[]): string => ids.map(quad).join('');

t.test(
  'two reflectors of one cluster: each client hears a route from both, neither passes on what the other did',
  async (t) => {
    const rig = new Rig(t);
    const cluster = '10.9.9.9';
    const reflectors = await build(rig, [
      { number: 1, clusterId: cluster, clients: [11, 12, 13], links: { 2: false } },
      { number: 2, clusterId: cluster, clients: [11, 12], links: { 1: false } },
    ]);
    const [one, two] = [reflectors.get(1)!, reflectors.get(2)!];
    const at = (number: number) => ({ address: rig.address(number), routerId: `10.0.1.${number}` });
    // c1 and c2 have a session with each reflector, c3 only with the first.
    const c1 = [await rig.peer(one, at(11)), await rig.peer(two, at(11))];
    const c2 = [await rig.peer(one, at(12)), await rig.peer(two, at(12))];
    const c3 = await rig.peer(one, at(13));

    for (const session of c1) session.announce([X], { nextHop: HOP });
    for (const session of c2) {
      await session.until((heard) => heard.routes.has(X), X);
      t.equal(clusterList(session, X), list(cluster));
      t.equal(session.heard.attribute(X, 9), quad('10.0.1.11'));
    }
    // The other's reflection of it has come, too, and is not used.
    for (const [reflector, other] of [
      [one, 2],
      [two, 1],
    ] as const) {
      const paths = () => [...reflector.speaker.routes({ match: X })!];
      await until(() => paths().length === 2, 'both paths');
      t.match(
        paths().find((path) => path.peer === rig.address(other)),
        { best: false, reason: /cluster/ },
        'the other reflector’s path is a loop',
      );
    }
    for (const session of c1) t.equal(session.heard.announced.get(X), undefined, 'its own route does not come back');

    // RFC 4456 §7: in one cluster a client has to have a session with every reflector.
    c3.announce(['10.3.0.0/24'], { nextHop: HOP });
    await c2[0]!.until((heard) => heard.routes.has('10.3.0.0/24'), 'c3 by the first');
    await until(() => [...two.speaker.routes({ match: '10.3.0.0/24' })!].length === 1, 'c3 at the second');
    t.same(two.best(), [X], 'the second does not use what came over the first');

    for (const session of c1) session.withdraw([X]);
    for (const session of c2) await session.until((heard) => !heard.routes.has(X), `no ${X}`);
    await until(() => one.best().length === 1 && two.best().length === 0, 'an empty table');
  },
);

t.test('two clusters: routes of one reach the clients of the other, once', async (t) => {
  const rig = new Rig(t);
  const reflectors = await build(rig, [
    { number: 1, clusterId: '10.9.0.1', clients: [11], links: { 2: false } },
    { number: 2, clusterId: '10.9.0.2', clients: [21, 22], links: { 1: false } },
  ]);
  const at = (number: number) => ({ address: rig.address(number), routerId: `10.0.1.${number}` });
  const c1 = await rig.peer(reflectors.get(1)!, at(11));
  const c2 = await rig.peer(reflectors.get(2)!, { ...at(21), routerId: '10.0.1.5' });
  const c3 = await rig.peer(reflectors.get(2)!, at(22));
  c1.announce([X], { nextHop: HOP, med: 7 });
  for (const peer of [c2, c3]) {
    await peer.until((heard) => heard.routes.has(X), X);
    t.equal(clusterList(peer, X), list('10.9.0.2', '10.9.0.1'));
    t.equal(peer.heard.attribute(X, 9), quad('10.0.1.11'));
    t.equal(peer.heard.routes.get(X)!.nextHop, HOP);
  }
  c3.announce(['10.3.0.0/24'], { nextHop: HOP });
  await c1.until((heard) => heard.routes.has('10.3.0.0/24'), 'the other way');
  t.equal(clusterList(c1, '10.3.0.0/24'), list('10.9.0.1', '10.9.0.2'));
  // c2 announces X as well (a block that moves): its identifier is lower than the originator's (RFC 4456 §9).
  c2.announce([X], { nextHop: '192.0.2.22', med: 7 });
  await c3.until((heard) => heard.routes.get(X)?.nextHop === '192.0.2.22', 'the nearer one');
  t.equal(clusterList(c3, X), list('10.9.0.2'));
  c2.withdraw([X]);
  await c3.until((heard) => heard.routes.get(X)?.nextHop === HOP, 'the first again');
  t.equal(c1.heard.routes.get(X)?.nextHop, undefined, 'c1 sees the path of others only while it is best');
  c1.withdraw([X]);
  await c3.until((heard) => !heard.routes.has(X), `no ${X}`);
});

t.test('a hierarchy: reflectors that are clients of a reflector', async (t) => {
  const rig = new Rig(t);
  const reflectors = await build(rig, [
    { number: 1, clusterId: '10.9.0.1', links: { 2: true, 3: true } },
    { number: 2, clusterId: '10.9.0.2', clients: [21, 22], links: { 1: false } },
    { number: 3, clusterId: '10.9.0.3', clients: [31], links: { 1: false } },
  ]);
  const at = (number: number) => ({ address: rig.address(number), routerId: `10.0.1.${number}` });
  const from = await rig.peer(reflectors.get(2)!, at(21));
  const near = await rig.peer(reflectors.get(2)!, at(22));
  const far = await rig.peer(reflectors.get(3)!, at(31));
  from.announce([X], { nextHop: HOP, localPref: 77 });
  await far.until((heard) => heard.routes.has(X), X);
  await near.until((heard) => heard.routes.has(X), X);
  t.equal(clusterList(near, X), list('10.9.0.2'));
  t.equal(clusterList(far, X), list('10.9.0.3', '10.9.0.1', '10.9.0.2'));
  t.equal(far.heard.attribute(X, 9), quad('10.0.1.21'), 'the originator, not a reflector on the way');
  t.equal(far.heard.routes.get(X)!.nextHop, HOP);
  t.equal(far.heard.attribute(X, 5), '0000004d');
  t.equal(from.heard.announced.size, 0);
  from.withdraw([X]);
  await far.until((heard) => !heard.routes.has(X), `no ${X}`);
  for (const [number, reflector] of reflectors) t.same(reflector.best(), [], `nothing is left at ${number}`);
});

t.test(
  'a ring of reflectors, each the client of the one before: a route goes round once and is gone when withdrawn',
  async (t) => {
    const rig = new Rig(t);
    const ring = [1, 2, 3, 4];
    const reflectors = await build(
      rig,
      ring.map((number) => {
        const next = (number % 4) + 1;
        const before = ((number + 2) % 4) + 1;
        return {
          number,
          clusterId: `10.9.0.${number}`,
          clients: [10 + number],
          links: { [next]: true, [before]: false },
        };
      }),
    );
    const peers = new Map<number, ScriptedPeer>();
    for (const number of ring) {
      const options = { address: rig.address(10 + number), routerId: `10.0.1.${10 + number}` };
      peers.set(number, await rig.peer(reflectors.get(number)!, options));
    }
    const origin = peers.get(1)!;
    for (let round = 0; round < 20; round++) {
      origin.announce([X], { nextHop: HOP, med: round });
      const value = round.toString(16).padStart(8, '0');
      for (const number of [2, 3, 4]) {
        const peer = peers.get(number)!;
        await peer.until((heard) => heard.attribute(X, 4) === value, `round ${round}`);
        const clusters = clusterList(peer, X)!.match(/.{8}/g)!;
        t.ok(clusters.length <= 3, 'no cluster stands in the list twice');
        t.equal(new Set(clusters).size, clusters.length);
        t.equal(clusters[0], quad(`10.9.0.${number}`));
      }
      origin.withdraw([X]);
      // RFC 4456 §8: what comes round is a loop, so nobody keeps it alive.
      for (const number of [2, 3, 4]) await peers.get(number)!.until((heard) => !heard.routes.has(X), 'the withdrawal');
      for (const number of ring)
        await until(() => reflectors.get(number)!.best().length === 0, `no route at ${number}`);
    }
    t.equal(origin.heard.announced.get(X), undefined, 'it has never come back to its origin');
  },
);
