/**
 * Policies in a whole speaker: what is received stays visible, a change of policy takes effect at once, without a reset
 * or a refresh, and says only what differs.
 */
import t from 'tap';
import type { Log, PolicyFunction, RouteDto } from '../../src/index.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { Reflector, ScriptedPeer } from '../reflector/fixtures/rig.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const COMMUNITIES = 8;
const LOCAL_PREF = 5;

interface Scene {
  readonly rig: Rig;
  readonly speaker: Reflector;
  readonly sender: ScriptedPeer;
  readonly receiver: ScriptedPeer;
  /** Other keys of the two peers. */
  peers(sender: object, receiver: object): object[];
}

/** A sender and a receiver, both clients of the speaker. */
async function scene(
  t: Test,
  config: object,
  sender: object,
  receiver: object,
  more: { policies?: { readonly [name: string]: PolicyFunction }; log?: Log } = {},
): Promise<Scene> {
  const rig = new Rig(t);
  const [from, to] = [rig.address(2), rig.address(3)];
  const plain = { asn: 64512, passive: true, routeReflectorClient: true };
  const peers = (one: object, other: object): object[] => [
    { address: from, ...plain, ...one },
    { address: to, ...plain, ...other },
  ];
  const speaker = await rig.reflector({
    address: rig.address(1),
    config: { ...config, peers: peers(sender, receiver) },
    ...more,
  });
  const both = [await rig.peer(speaker, { address: from }), await rig.peer(speaker, { address: to })];
  return { rig, speaker, sender: both[0]!, receiver: both[1]!, peers };
}

function received(speaker: Reflector, address: string): RouteDto[] {
  return [...speaker.speaker.routes({ peer: { address, direction: 'received' } })!];
}

const heardRoutes = (peer: ScriptedPeer): string => [...peer.heard.routes.keys()].sort().join(' ');

/** Routes that go through everything after what was said before. */
async function fence(sender: ScriptedPeer, receiver: ScriptedPeer, prefix: string): Promise<void> {
  sender.announce([prefix], { nextHop: HOP });
  await receiver.until((heard) => heard.routes.has(prefix), `the route ${prefix}`);
}

const STEPS = {
  policies: {
    clean: {
      statements: [
        { name: 'bad', match: { prefix: 'bad' }, then: 'reject' },
        { match: { community: '64512:7' }, set: { localPref: 200 }, then: 'accept' },
      ],
      default: 'accept',
    },
  },
  prefixLists: { bad: ['10.1.0.0/16 le 24'] },
};

t.test('import: rejected and changed paths, seen as received; another list changes only what differs', async (t) => {
  const { speaker, sender, receiver } = await scene(t, STEPS, { import: 'clean' }, {});
  const address = sender.address;
  sender.announce(['10.1.1.0/24', '10.2.1.0/24'], { nextHop: HOP });
  sender.announce(['10.3.1.0/24'], { nextHop: HOP, communities: [64512 * 65536 + 7] });
  await fence(sender, receiver, '10.9.0.0/24');
  t.equal(heardRoutes(receiver), '10.2.1.0/24 10.3.1.0/24 10.9.0.0/24');
  t.equal(receiver.heard.attribute('10.3.1.0/24', LOCAL_PREF), '000000c8');
  t.equal(receiver.heard.attribute('10.2.1.0/24', LOCAL_PREF), '00000064');
  t.match(speaker.peer(address), { received: 4, accepted: 3 });
  const rows = received(speaker, address);
  t.equal(rows.find((row) => row.prefix === '10.1.1.0/24')!.reason, 'rejected by policy clean statement 1 (bad)');
  t.equal(rows.find((row) => row.prefix === '10.3.1.0/24')!.localPref, 100, 'as it was received');
  const [used] = [...speaker.speaker.routes({ match: '10.3.1.0/24' })!];
  t.equal(used!.localPref, 200, 'as it is used');

  const before = receiver.heard.announced.get('10.3.1.0/24');
  await speaker.reconfigure({ prefixLists: { bad: ['10.2.0.0/16 le 24'] } });
  await receiver.until((heard) => heard.routes.has('10.1.1.0/24'), 'what was rejected');
  await receiver.until((heard) => !heard.routes.has('10.2.1.0/24'), 'what is rejected now goes');
  t.equal(receiver.heard.announced.get('10.3.1.0/24'), before, 'what is the same is not said again');
  t.equal(receiver.heard.withdrawn.size, 1);
  t.equal(sender.heard.events.filter((event) => event.startsWith('refresh')).length, 0, 'nobody was asked');
  t.match(speaker.peer(address), { received: 4, accepted: 3, sessionsEstablished: 1 });

  await speaker.reconfigure({
    peers: [
      { address, asn: 64512, passive: true, routeReflectorClient: true },
      { address: receiver.address, asn: 64512, passive: true, routeReflectorClient: true },
    ],
  });
  await receiver.until((heard) => heard.routes.size === 4, 'all without a policy');
  await receiver.until((heard) => heard.attribute('10.3.1.0/24', LOCAL_PREF) === '00000064', 'as it was sent');
  t.match(speaker.peer(address), { received: 4, accepted: 4, sessionsEstablished: 1 });

  sender.withdraw(['10.1.1.0/24', '10.2.1.0/24', '10.3.1.0/24', '10.9.0.0/24']);
  await receiver.until((heard) => heard.routes.size === 0, 'nothing is left');
  t.match(speaker.peer(address), { received: 0, accepted: 0 });
});

t.test('export: another policy says only what differs', async (t) => {
  const tag = (add: string, prefix: string): object => ({
    statements: [
      { match: { prefix }, set: { community: { add } }, then: 'accept' },
      { match: { prefix: '10.3.0.0/16 le 24' }, then: 'reject' },
    ],
    default: 'accept',
  });
  const config = { policies: { tag: tag('64512:1', '10.1.0.0/16 le 24') } };
  const { speaker, sender, receiver } = await scene(t, config, {}, { export: 'tag' });
  sender.announce(['10.1.1.0/24', '10.2.1.0/24', '10.3.1.0/24', '10.4.1.0/24'], { nextHop: HOP });
  await fence(sender, receiver, '10.9.0.0/24');
  t.equal(heardRoutes(receiver), '10.1.1.0/24 10.2.1.0/24 10.4.1.0/24 10.9.0.0/24');
  t.equal(receiver.heard.attribute('10.1.1.0/24', COMMUNITIES), 'fc000001');
  t.equal(receiver.heard.attribute('10.2.1.0/24', COMMUNITIES), undefined);
  t.equal(speaker.peer(receiver.address).advertised, 4);
  const told = [...speaker.speaker.routes({ peer: { address: receiver.address, direction: 'advertised' } })!];
  t.same(told.find((row) => row.prefix === '10.1.1.0/24')!.communities, ['64512:1']);

  await speaker.reconfigure({ policies: { tag: tag('64512:1', '10.2.0.0/16 le 24') } });
  await receiver.until((heard) => heard.attribute('10.2.1.0/24', COMMUNITIES) === 'fc000001', 'the other one');
  await receiver.until((heard) => heard.attribute('10.1.1.0/24', COMMUNITIES) === undefined, 'no more');
  t.equal(receiver.heard.announced.get('10.4.1.0/24'), 1, 'not said again');
  t.equal(receiver.heard.announced.get('10.9.0.0/24'), 1);
  t.equal(receiver.heard.withdrawn.size, 0);
  t.match(speaker.peer(receiver.address), { advertised: 4, sessionsEstablished: 1 });

  // Saying the same in other words changes nothing.
  const octets = receiver.heard.octets;
  await speaker.reconfigure({ communityLists: { unused: ['64512:9'] } });
  await fence(sender, receiver, '10.9.1.0/24');
  t.ok(receiver.heard.octets - octets < 80, 'one short message');

  sender.withdraw(['10.2.1.0/24', '10.3.1.0/24']);
  await receiver.until((heard) => !heard.routes.has('10.2.1.0/24'), 'the withdrawal');
  t.notOk(receiver.heard.withdrawn.has('10.3.1.0/24'), 'what was never told is not withdrawn');
});

t.test('functions: they may change routes, and fail closed', async (t) => {
  const errors: string[] = [];
  const ignore = (): void => undefined;
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (_fields, message) => void errors.push(message),
  };
  const policies: { readonly [name: string]: PolicyFunction } = {
    mine: (route, peer) => {
      if (route.prefix === '10.1.1.0/24') throw new Error('a mistake');
      if (route.prefix === '10.1.2.0/24') return 'perhaps' as 'accept';
      if (route.prefix === '10.1.3.0/24') return 'reject';
      if (route.prefix === '10.1.4.0/24')
        return { then: 'accept', set: { community: { add: `64512:${peer.asn === 64512 ? 1 : 2}` } } };
      if (route.prefix === '10.1.5.0/24') return { then: 'accept', set: { localPref: 'many' } };
      return 'next';
    },
  };
  const { speaker, sender, receiver } = await scene(t, {}, { import: ['mine', 'accept'] }, {}, { policies, log });
  sender.announce(
    [1, 2, 3, 4, 5, 6].map((number) => `10.1.${number}.0/24`),
    { nextHop: HOP },
  );
  await fence(sender, receiver, '10.9.0.0/24');
  t.equal(heardRoutes(receiver), '10.1.4.0/24 10.1.6.0/24 10.9.0.0/24');
  t.equal(receiver.heard.attribute('10.1.4.0/24', COMMUNITIES), 'fc000001');
  t.equal(errors.length, 1, 'logged once');
  t.match(speaker.speaker.summary().warnings, [/policy mine: its function failed 3 times/]);
  t.match(speaker.peer(sender.address), { received: 7, accepted: 3 });
});

t.test('node: own networks out; inside pools in, never our own', async (t) => {
  const config = { pools: ['10.0.0.0/8'], networks: [{ prefix: '10.5.0.0/24' }] };
  const { speaker, sender, receiver } = await scene(t, config, { import: 'node' }, { export: 'node' });
  sender.announce(['10.1.0.0/24', '10.5.0.128/25', '0.0.0.0/0', '192.168.0.0/24'], { nextHop: HOP });
  await until(() => speaker.peer(sender.address).received === 4, 'all of them');
  await receiver.until((heard) => heard.routes.has('10.5.0.0/24'), 'our own');
  t.same(speaker.best(), ['10.1.0.0/24', '10.5.0.0/24']);
  t.equal(heardRoutes(receiver), '10.5.0.0/24', 'nothing that was learned');
  t.match(speaker.peer(sender.address), { accepted: 1 });
  const [own] = received(speaker, sender.address).filter(({ prefix }) => prefix === '10.5.0.128/25');
  t.match(own!.reason, /^rejected by policy node statement 1 \(own networks\)$/);

  // The network moves: what was ours may be another's now.
  await speaker.reconfigure({ networks: [{ prefix: '10.1.0.0/24' }] });
  await until(() => speaker.best().join(' ') === '10.1.0.0/24 10.5.0.128/25', 'judged by the networks of now');
  await receiver.until((heard) => heard.routes.has('10.1.0.0/24') && heard.routes.size === 1, 'the network of now');
});

t.test('RFC 8212: an external peer without a policy gets and gives nothing, also between changes', async (t) => {
  const rig = new Rig(t);
  const [from, to] = [rig.address(2), rig.address(3)];
  const peers = (names: object): object[] => [
    { address: from, asn: 64513, passive: true, ...names },
    { address: to, asn: 64512, passive: true },
  ];
  const policies = { all: { default: 'accept' } };
  const speaker = await rig.reflector({
    address: rig.address(1),
    config: { policies, peers: peers({}), networks: [{ prefix: '10.7.0.0/24' }] },
  });
  const external = await rig.peer(speaker, { address: from, asn: 64513 });
  const internal = await rig.peer(speaker, { address: to });
  external.announce(['10.1.0.0/24'], { nextHop: HOP, asPath: [64513] });
  await until(() => speaker.peer(from).received === 1, 'the route');
  t.same(speaker.best(), ['10.7.0.0/24']);
  t.equal(external.heard.routes.size, 0);
  await speaker.reconfigure({ peers: peers({ import: 'all', export: 'all' }) });
  await internal.until((heard) => heard.routes.has('10.1.0.0/24'), 'let in');
  await external.until((heard) => heard.routes.has('10.7.0.0/24'), 'let out');
  await speaker.reconfigure({ peers: peers({}) });
  await internal.until((heard) => !heard.routes.has('10.1.0.0/24'), 'shut again');
  await external.until((heard) => !heard.routes.has('10.7.0.0/24'), 'taken back');
});
