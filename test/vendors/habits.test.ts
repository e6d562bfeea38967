/** One habit at a time: refusals of capabilities, hold times, long paths, MED and ORIGIN, communities, next hops. */
import t from 'tap';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import { address as octetsOf, attribute, nlri, notification, sequence, u32, update } from './fixtures/octets.js';
import { HIGH_COMMUNITY, LOW_COMMUNITY, eos, iosXe, junos, nxOs, srOs } from './fixtures/routers.js';
import { StandIn } from './fixtures/stand-in.js';
import type { Habits } from './fixtures/stand-in.js';

const HOP = '192.0.2.1';
const PREFIX = '10.1.0.0/24';

type Test = ConstructorParameters<typeof Rig>[0] & { teardown(run: () => void): void };

/** A speaker with a router and an internal client. */
async function scene(t: Test, habits: Habits, clock?: FakeClock, keys: object = {}) {
  const rig = new Rig(t);
  const address = rig.address(2);
  const client = rig.address(3);
  const outside = { address, asn: habits.asn, passive: true, import: 'accept', export: 'accept', ...keys };
  const host = await rig.reflector({
    address: rig.address(1),
    ...(clock ? { clock } : {}),
    config: { peers: [outside, { address: client, asn: 64512, passive: true, routeReflectorClient: true }] },
  });
  const dial = (as: Habits = habits): Promise<StandIn> => StandIn.dial(t, host, address, as);
  const route = (prefix = PREFIX) => [...host.speaker.routes({ best: true })!].find((row) => row.prefix === prefix);
  return { rig, host, address, client, dial, route };
}

/** Codes of the capabilities in an OPEN. */
function offered(open: Uint8Array): number[] {
  const codes: number[] = [];
  for (let at = 10; at < open.length; at += 2 + open[at + 1]!) {
    const end = at + 2 + open[at + 1]!;
    for (let inner = at + 2; inner < end; inner += 2 + open[inner + 1]!) codes.push(open[inner]!);
  }
  return codes;
}

// Cisco document 116189 shows 2/7 with the refused capability as data; FRRouting/frr issue 6915 (Cisco CSCva92216) shows
// IOS-XE 16 answer an unknown capability with 2/0 and no data; ExaBGP issue 289 shows 2/4.
for (const [subcode, data] of [
  [7, [70, 0]],
  [0, []],
  [4, []],
] as const) {
  t.test(`unknown capabilities are refused with 2/${subcode}: the next OPEN has fewer, in the end none`, async (t) => {
    const clock = new FakeClock();
    const { host, address, dial } = await scene(t, iosXe, clock);
    const seen: number[][] = [];
    for (let attempt = 0; attempt < 2; attempt++) {
      const router = await dial();
      await until(() => router.heard.opens.length > 0, 'our OPEN');
      seen.push(offered(router.heard.opens[0]!));
      router.say(notification(2, subcode, data));
      await until(() => router.closed, 'the end of the attempt');
      await until(() => host.peer(address).state !== 'OpenConfirm' && host.peer(address).state !== 'OpenSent', 'over');
    }
    const router = await dial({ ...iosXe, capabilities: [] });
    await router.establish([], HOP);
    seen.push(offered(router.heard.opens[0]!));
    t.ok(seen[0]!.includes(70) && seen[0]!.includes(64), `first all: ${seen[0]!.join()}`);
    t.same(seen[1]!.sort(), [1, 1, 65], 'then what matters');
    t.same(seen[2], [], 'then none');
    await until(() => host.peer(address).state === 'Established', 'Established without capabilities');
    t.same(host.peer(address).families, ['ipv4-unicast']);
  });
}

t.test('hold time 0: no timers on either side', async (t) => {
  const clock = new FakeClock();
  const { host, address, dial, route } = await scene(t, srOs, clock);
  const router = await dial({ ...srOs, holdTime: 0 });
  await router.establish([{ prefix: PREFIX }], HOP);
  await until(() => route() !== undefined, 'the route');
  const keepalives = router.heard.count('keepalive');
  clock.advance(3_600_000);
  t.equal(host.peer(address).state, 'Established', 'after an hour of silence');
  t.equal(host.peer(address).holdTimeSeconds, 0);
  router.say(srOs.announce(srOs, { prefix: '10.3.0.0/24' }, HOP));
  await until(() => route('10.3.0.0/24') !== undefined, 'and it still speaks');
  t.equal(router.heard.count('keepalive'), keepalives, 'no KEEPALIVE');
});

t.test('hold time 3: keepalives each second, down after three', async (t) => {
  const clock = new FakeClock();
  const { host, address, dial, route } = await scene(t, nxOs, clock);
  const router = await dial({ ...nxOs, holdTime: 3, capabilities: iosXe.capabilities.slice(0, 4) });
  await router.establish([{ prefix: PREFIX }], HOP);
  await until(() => route() !== undefined, 'the route');
  t.equal(host.peer(address).holdTimeSeconds, 3);
  t.equal(host.peer(address).keepaliveTimeSeconds, 1);
  const before = router.heard.count('keepalive');
  clock.advance(1000);
  clock.advance(1000);
  await until(() => router.heard.count('keepalive') >= before + 2, 'a KEEPALIVE each second');
  router.drop();
  await until(() => host.peer(address).state !== 'Established', 'the end');
});

t.test('ORIGIN incomplete and MED 0 of redistributed routes, MED absent of others', async (t) => {
  for (const [habits, origin, med] of [
    [iosXe, 'incomplete', 0],
    [junos, 'igp', null],
  ] as const) {
    const { rig, host, client, dial, route } = await scene(t, habits);
    const watcher = await rig.peer(host, { address: client });
    const router = await dial();
    await router.establish([{ prefix: PREFIX }], HOP);
    await until(() => route() !== undefined, 'the route');
    t.match(route(), { origin, med });
    await watcher.until((heard) => heard.routes.has(PREFIX), 'passed on');
    t.equal(watcher.heard.attribute(PREFIX, 1), origin === 'igp' ? '00' : '02');
    t.equal(watcher.heard.attribute(PREFIX, 4), med === null ? undefined : '00000000', 'to internal peers as it came');
  }
});

t.test('long paths: several segments, extended length', async (t) => {
  // FRRouting/frr issue 1114 shows an AS_PATH of more than 255 ASNs as it came from a router.
  const { rig, host, address, client, dial, route } = await scene(t, iosXe);
  const watcher = await rig.peer(host, { address: client });
  const router = await dial();
  await router.establish([], HOP);
  const asPath = [65001, ...Array.from({ length: 299 }, (_, index) => 100_000 + index)];
  router.say(
    update(
      [attribute(0x40, 1, [0]), attribute(0x50, 2, sequence(asPath, 4)), attribute(0x40, 3, octetsOf(HOP))],
      nlri(PREFIX),
    ),
  );
  await until(() => route() !== undefined || host.peer(address).malformedUpdates > 0, 'the route');
  t.same(route()?.asPath, asPath);
  await watcher.until((heard) => heard.routes.has(PREFIX), 'passed on');
  t.equal(watcher.heard.attribute(PREFIX, 2), Buffer.from(sequence(asPath, 4)).toString('hex'));
});

t.test('extended lengths and communities out of order are passed on in canonical form', async (t) => {
  const { rig, host, client, dial } = await scene(t, srOs);
  const watcher = await rig.peer(host, { address: client });
  const router = await dial();
  await router.establish([{ prefix: PREFIX }], HOP);
  await watcher.until((heard) => heard.routes.has(PREFIX), 'passed on');
  const { attributes, nextHop } = watcher.heard.routes.get(PREFIX)!;
  for (const { flags, code } of attributes) t.equal(flags & 0x10, 0, `attribute ${code} has a plain length`);
  t.same(
    attributes.map(({ code }) => code),
    attributes.map(({ code }) => code).sort((a, b) => a - b),
    'in ascending order',
  );
  t.equal(nextHop, HOP, 'an IPv4 next hop of MP_REACH_NLRI is a NEXT_HOP to others');
  const communities = new Set(watcher.heard.attribute(PREFIX, 8)!.match(/.{8}/g));
  const hex = (value: number): string => Buffer.from(u32(value)).toString('hex');
  t.same(communities, new Set([hex(LOW_COMMUNITY), hex(HIGH_COMMUNITY)]), 'no community is lost');
});

t.test('a pair of next hops: the global address is the next hop', async (t) => {
  for (const habits of [junos, nxOs]) {
    const { dial, route } = await scene(t, habits);
    const router = await dial();
    await router.establish([{ prefix: '2001:db8:1::/48' }], HOP);
    await until(() => route('2001:db8:1::/48') !== undefined, 'the route');
    t.equal(route('2001:db8:1::/48')!.nextHop, '2001:db8:99::1', habits.name);
  }
});

t.test('ADD-PATH offered to receive only, and an IPv4 route with an IPv6 next hop', async (t) => {
  const { host, address, dial, route } = await scene(t, eos, undefined, {
    extendedNextHop: true,
    addPath: { send: 'all', receive: true },
  });
  const router = await dial();
  await router.establish([{ prefix: PREFIX }], HOP);
  await until(() => route() !== undefined, 'the route');
  t.equal(route()!.nextHop, '2001:db8:99::1');
  t.equal(route()!.pathId, null, 'the router sends no path identifiers');
  t.equal(host.peer(address).malformedUpdates, 0);
});

t.test('families and capabilities that we do not know: the session has what is common', async (t) => {
  const { host, address, dial } = await scene(t, junos);
  // VPNv4, L2VPN EVPN, flow specification; a host name (73).
  const many = [
    ...junos.capabilities,
    [1, [0, 1, 0, 128]],
    [1, [0, 25, 0, 70]],
    [1, [0, 1, 0, 133]],
    [73, [2, 114, 49, 0]],
  ];
  const again = await dial({ ...junos, capabilities: many as Habits['capabilities'] });
  await again.establish([], HOP);
  await until(() => host.peer(address).state === 'Established', 'Established');
  t.same(host.peer(address).families, ['ipv4-unicast', 'ipv6-unicast']);
});
