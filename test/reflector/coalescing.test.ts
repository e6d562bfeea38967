/** What changes within a turn goes out once, as it is at its end; and refreshes are answered from the table. */
import t from 'tap';
import { encodeRouteRefresh } from 'bgp-parse';
import { Client, reflectingPipeline } from './fixtures/pipeline-rig.js';
import { announce, endOfRib, routeRefresh, withdraw } from './fixtures/say.js';
import { Rig, blocks, until } from './fixtures/rig.js';

const HOP = '192.0.2.1';
const X = '10.1.0.0/24';
const med = (value: number): string => value.toString(16).padStart(8, '0');

function three() {
  const pipeline = reflectingPipeline();
  const clients = [11, 12, 13].map((number) => new Client(pipeline, number)) as [Client, Client, Client];
  pipeline.turn();
  for (const { heard } of clients) heard.events.length = 0;
  return { pipeline, clients };
}

t.test('ten changes of a prefix in one turn are one message with the last state', async (t) => {
  const { pipeline, clients } = three();
  const [a, b, c] = clients;
  for (let value = 0; value < 10; value++) a.says(announce([X], { nextHop: HOP, med: value }));
  pipeline.turn();
  for (const { heard } of [b, c]) {
    t.equal(heard.updates, 3, 'two End-of-RIB and one message');
    t.equal(heard.announced.get(X), 1);
    t.equal(heard.attribute(X, 4), med(9));
  }
  t.equal(a.heard.updates, 2, 'and nothing for its source');

  a.says(announce([X], { nextHop: HOP, med: 1 }), announce([X], { nextHop: HOP, med: 9 }));
  pipeline.turn();
  t.equal(b.heard.updates, 3, 'what is at the end as it was before is no change');

  a.says(withdraw([X]), announce([X], { nextHop: HOP, med: 10 }));
  pipeline.turn();
  t.equal(b.heard.withdrawn.size, 0, 'a withdrawal that was taken back is not told');
  t.equal(b.heard.attribute(X, 4), med(10));
});

t.test('announced and withdrawn in one turn: not at all', async (t) => {
  const { pipeline, clients } = three();
  const [a, b, c] = clients;
  const many = blocks(20, 1000);
  a.says(announce(many, { nextHop: HOP }), withdraw(many));
  pipeline.turn();
  for (const { heard } of clients) t.equal(heard.updates, 2, 'nothing but End-of-RIB');
  // The same with somebody else's path in between, which never becomes best for anybody.
  b.says(announce([X], { nextHop: HOP, localPref: 200 }));
  a.says(announce([X], { nextHop: HOP, localPref: 100 }));
  b.says(withdraw([X]));
  pipeline.turn();
  t.equal(c.heard.announced.get(X), 1);
  t.equal(c.heard.attribute(X, 9), '0a00010b', 'of the one who is left');
  t.equal(b.heard.announced.get(X), 1);
  t.equal(a.heard.updates, 2);
});

t.test('a source that changes: exactly who has to hears exactly what', async (t) => {
  const { pipeline, clients } = three();
  const [a, b, c] = clients;
  a.says(announce([X], { nextHop: HOP, localPref: 100 }));
  pipeline.turn();
  b.says(announce([X], { nextHop: HOP, localPref: 200 }));
  pipeline.turn();
  t.same([a.heard.announced.get(X), a.heard.withdrawn.get(X)], [1, undefined], 'a hears of b');
  t.same([b.heard.announced.get(X), b.heard.withdrawn.get(X)], [1, 1], 'b, now the source, gives a’s back');
  t.same([c.heard.announced.get(X), c.heard.withdrawn.get(X)], [2, undefined], 'c hears both, no withdrawal between');
  b.says(withdraw([X]));
  pipeline.turn();
  t.same([a.heard.announced.get(X), a.heard.withdrawn.get(X)], [1, 1], 'and back');
  t.same([b.heard.announced.get(X), b.heard.withdrawn.get(X)], [2, 1]);
  t.same([c.heard.announced.get(X), c.heard.withdrawn.get(X)], [3, undefined]);
});

t.test('a lagging peer hears the last state of what changed meanwhile, each prefix once', async (t) => {
  const { pipeline, clients } = three();
  const [a, b, c] = clients;
  const many = blocks(20, 2000);
  a.says(announce(many, { nextHop: HOP, med: 1 }));
  pipeline.turn();
  c.frozen = true;
  c.backlogBytes = 1 << 30;
  for (let round = 2; round < 50; round++) {
    a.says(announce(many.slice(0, 1000), { nextHop: HOP, med: round }));
    if (round % 2 === 0) a.says(withdraw(many.slice(1000, 1500)));
    else a.says(announce(many.slice(1000, 1500), { nextHop: HOP, med: round }));
    // A prefix that comes and goes while c looks away.
    if (round > 2) a.says(round % 2 === 0 ? announce([X], { nextHop: HOP }) : withdraw([X]));
    pipeline.turn();
  }
  t.equal(b.heard.announced.get(many[0]!), 49, 'b heard every turn');
  // It goes on talking: a prefix it had heard of from a, and one of its own.
  const taken = many[1800]!;
  const own = '10.2.0.0/24';
  c.says(announce([taken, own], { nextHop: HOP, localPref: 200 }));
  pipeline.turn();
  c.thaw();
  pipeline.turn();
  t.equal(pipeline.exporter.hasWork, false);
  t.same([c.heard.announced.get(taken), c.heard.withdrawn.get(taken)], [1, 1], 'it gives back what is its own now');
  t.equal(c.heard.announced.get(own), undefined, 'and hears nothing of its own');
  c.says(withdraw([taken, own]));
  pipeline.turn();
  t.same([...c.heard.routes.keys()].sort(), [...b.heard.routes.keys()].sort());
  for (const prefix of [many[0]!, many[1200]!, many[1700]!]) {
    t.equal(c.heard.attribute(prefix, 4), b.heard.attribute(prefix, 4), prefix);
  }
  // The first batch was on its way when c stopped; after that one word for each.
  t.ok(c.heard.announced.get(many[0]!)! <= 3, `${c.heard.announced.get(many[0]!)} announcements`);
  t.equal(c.heard.announced.get(many[1700]!), 1, 'what stood still is not said again');
  t.equal(c.heard.announced.get(X), undefined, 'what came and went was never said');
});

t.test('enhanced refresh: the table at once between its marks (RFC 7313)', async (t) => {
  const { pipeline, clients } = three();
  const [a, b, c] = clients;
  const many = blocks(20, 5000);
  a.says(announce(many, { nextHop: HOP }));
  b.says(announce(['2001:db8:1::/48'], { nextHop: '2001:db8::1' }));
  pipeline.turn();
  const before = [a, b].map(({ heard }) => heard.octets);
  c.heard.events.length = 0;
  c.heard.announced.clear();
  const [ipv4] = c.members;
  pipeline.exporter.refresh(ipv4!, {
    opening: encodeRouteRefresh({ family: 'ipv4-unicast', subtype: 1 }),
    closing: encodeRouteRefresh({ family: 'ipv4-unicast', subtype: 2 }),
  });
  // Changes meanwhile are part of the answer.
  a.says(withdraw([many[7]!]), announce([X], { nextHop: HOP }));
  while (pipeline.exporter.hasWork) pipeline.turn();
  t.equal(c.heard.events[0], 'refresh 1/1');
  t.equal(c.heard.count('refresh 1/2'), 1);
  t.equal(c.heard.count('eor 1'), 0, 'a refresh is no initial table');
  t.equal(c.heard.announced.size, 5000, 'everything but what has gone, and what is new');
  t.equal(c.heard.announced.get('2001:db8:1::/48'), undefined, 'only the family asked for');
  t.ok([...c.heard.announced.values()].every((count) => count === 1));
  t.equal(b.heard.octets > before[1]!, true, 'b hears the change');
  t.equal(a.heard.octets, before[0], 'and the source nothing');
});

t.test('refresh over a session: nobody else is asked', async (t) => {
  const rig = new Rig(t);
  const many = blocks(20, 3000);
  const reflector = await rig.reflector({
    address: rig.address(1),
    config: {
      peers: [11, 12, 13, 14].map((number) => ({
        address: rig.address(number),
        asn: 64512,
        passive: true,
        routeReflectorClient: true,
      })),
    },
  });
  const capabilities = [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'fourOctetAs', asn: 64512 },
    { kind: 'routeRefresh' },
  ] as const;
  const source = await rig.peer(reflector, { address: rig.address(11) });
  source.announce(many, { nextHop: HOP });
  const plain = await rig.peer(reflector, { address: rig.address(12), capabilities });
  const enhanced = await rig.peer(reflector, {
    address: rig.address(13),
    capabilities: [...capabilities, { kind: 'enhancedRouteRefresh' }],
  });
  const deaf = await rig.peer(reflector, { address: rig.address(14), capabilities });
  for (const peer of [plain, enhanced, deaf]) {
    await peer.until((heard) => heard.count('eor 1') === 1, 'the table');
    t.equal(peer.heard.routes.size, many.length);
    peer.heard.events.length = 0;
  }
  plain.say(routeRefresh(1));
  enhanced.say(routeRefresh(1));
  await plain.until(
    (heard) => heard.announced.get(many[0]!) === 2 && heard.announced.get(many[2999]!) === 2,
    'it again',
  );
  await enhanced.until((heard) => heard.events.includes('refresh 1/2'), 'the end');
  for (const { heard } of [plain, enhanced]) {
    t.ok(
      many.every((prefix) => heard.announced.get(prefix) === 2),
      'every route, once more',
    );
  }
  t.notOk(
    plain.heard.events.some((event) => event.startsWith('refresh')),
    'no marks without the capability',
  );
  t.equal(enhanced.heard.events[0], 'refresh 1/1');
  t.equal(enhanced.heard.events.at(-1), 'refresh 1/2');
  t.ok(
    [...deaf.heard.announced.values()].every((count) => count === 1),
    'nobody else hears it',
  );
  t.same(
    source.heard.events.filter((event) => event.startsWith('refresh')),
    [],
    'the source is not asked',
  );
  // A family that was not agreed on is ignored (RFC 2918 §4).
  plain.say(routeRefresh(2), endOfRib(1));
  source.announce([X], { nextHop: HOP });
  await plain.until((heard) => heard.routes.has(X), X);
  await until(() => reflector.peer(plain.address).state === 'Established', 'the session');
  t.equal(plain.heard.announced.get(many[0]!), 2);
});
