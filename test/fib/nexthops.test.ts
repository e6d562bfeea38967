/** Nexthop objects, groups and backups on the real kernel, in a network namespace of the test's own. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseAddress } from 'bgp-parse';
import { NetlinkSocket, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTPROT_BGP, RouteMessage, decodeRoute } from 'netlink';
import type { MessageReader } from 'netlink';
import t, { type Test } from 'tap';
import { NetlinkKernel } from '../../src/fib/netlink-kernel.js';
import { FIRST_NEXT_HOP_SET } from '../../src/fib/port.js';
import { Syncer } from '../../src/fib/syncer.js';
import { FibStatus, Harness, encodeRecords, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const SET = FIRST_NEXT_HOP_SET;
const EINVAL = 22;
const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  for (const n of [1, 2, 3]) {
    ip(`link add eth${n} type veth peer name far${n}`);
    ipBatch([`link set eth${n} up`, `link set far${n} up`, `addr add 10.0.${n}.1/24 dev eth${n}`]);
    ip(`addr add fd00:${n}::1/64 dev eth${n} nodad`);
  }
}

const lines = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
const routes = () => lines(ip('route show proto bgp')).filter((line) => line.includes('metric'));
const nexthops = () => lines(ip('nexthop show protocol 186'));
const groups = () => nexthops().filter((line) => line.includes('group'));
/** How many of the addresses are reached through the interface. */
function through(via: string, addresses: readonly string[]): number {
  const input = addresses.map((address) => `route get ${address}\n`).join('');
  const found = execFileSync('ip', ['-batch', '-'], { input, encoding: 'utf8' }).matchAll(/ dev (\S+)/g);
  return [...found].filter(([, dev]) => dev === via).length;
}
/** Interface that a packet takes. */
const way = (address: string) => / dev (\S+)/.exec(ip(`route get ${address}`))![1]!;

async function started(t: Test, settings: ConstructorParameters<typeof Harness>[0] = {}): Promise<Harness> {
  const harness = new Harness(settings);
  t.teardown(async () => {
    await harness.fib.stop(false);
    for (const left of [routes()[0], nexthops()[0]]) if (left) throw new Error(`left behind: ${left}`);
    if (harness.fatals.length) throw harness.fatals[0]!;
  });
  await harness.fib.start();
  for (const n of [1, 2, 3]) {
    harness.track(n, `10.0.${n}.2`);
    harness.track(n + 10, `fd00:${n}::2`);
  }
  return harness;
}

const installed = (h: Harness, count: number) => until(`${count} installed`, () => h.fib.counts().installed === count);

/** Takes the carrier away: the kernel drops the nexthop objects of the interface, and what points at them. */
async function withoutCarrier(n: number, act: () => Promise<void>): Promise<void> {
  ip(`link set far${n} down`);
  try {
    await act();
  } finally {
    ip(`link set far${n} up`);
  }
}

t.test('several next hops by weight: spread, and less when one goes', options, async (t) => {
  const h = await started(t);
  h.define(SET + 1, [
    [1, 3],
    [2, 1],
  ]);
  h.define(SET + 2, [11, 12]);
  h.submit({ id: 1, prefix: '20.0.0.0/16', nextHop: SET + 1 }, { id: 2, prefix: 'fd20::/32', nextHop: SET + 2 });
  await installed(h, 2);
  const rows = await h.rows();
  t.strictSame(
    rows.map((row) => row.nextHops.map((hop) => [hop.interface, hop.weight])),
    [
      [
        ['eth1', 3],
        ['eth2', 1],
      ],
      [
        ['eth1', 1],
        ['eth2', 1],
      ],
    ],
  );
  const share = (via: string, address: (i: number) => string) =>
    through(
      via,
      Array.from({ length: 200 }, (_, i) => address(i)),
    );
  const first = share('eth1', (i) => `20.0.${i}.${i}`);
  t.ok(first > 110 && first < 185, `three quarters through eth1: ${first} of 200`);
  const sixth = share('eth1', (i) => `fd20::${i}:1`);
  t.ok(sixth > 60 && sixth < 140, `half through eth1: ${sixth} of 200`);
  await withoutCarrier(1, async () => {
    await until('all through eth2', () => way('20.0.1.1') === 'eth2' && share('eth1', (i) => `20.0.${i}.1`) === 0);
    await until('the group has one left', () => groups().every((line) => !line.includes('/')));
    t.equal(h.fib.counts().installed, 2, 'the routes stayed');
  });
  await until('both again', () => groups().every((line) => line.includes('/')));
  h.fib.nextHopDown(2);
  await until('by hint', () => share('eth1', (i) => `20.0.${i}.1`) === 200);
  h.fib.nextHopUp(2);
  await until('both again', () => groups().every((line) => line.includes('/')));
});

t.test('a backup takes over: by the kernel itself, and by a hint; routes are not touched', options, async (t) => {
  const h = await started(t);
  h.define(SET + 1, [1], [2]);
  h.define(SET + 2, [11], [12]);
  const many = Array.from({ length: 300 }, (_, i) => ({
    id: i,
    prefix: `20.${i >> 8}.${i & 255}.0/24`,
    nextHop: SET + 1,
  }));
  h.submit(...many, { id: 1000, prefix: 'fd20::/32', nextHop: SET + 2 });
  await installed(h, 301);
  t.equal(way('20.0.1.1'), 'eth1');
  const before = routes();
  const nhid = (text: string) => /^\S+ nhid \d+/.exec(text)?.[0];
  ip('link set far1 down');
  await until('taken over', () => way('20.0.1.1') === 'eth2' && way('fd20::1') === 'eth2');
  await until('the group is as wanted', () => groups().every((line) => !line.includes('/')));
  t.strictSame(routes().map(nhid).sort(), before.map(nhid).sort(), 'the routes point where they pointed');
  ip('link set far1 up');
  await until('back', () => way('20.0.1.1') === 'eth1' && way('fd20::1') === 'eth1');
  h.fib.nextHopDown(1);
  await until('by hint', () => way('20.0.1.1') === 'eth2');
  t.equal(way('fd20::1'), 'eth1', 'the other set is not concerned');
  h.fib.nextHopUp(1);
  await until('back', () => way('20.0.1.1') === 'eth1');
  t.equal(h.fib.counts().installed, 301);
  t.equal(h.fib.counts().repaired, 0, 'nothing of this is a repair');
});

t.test('a hint moves all groups at once, and nobody is told of a route (nexthop_compat_mode 1)', options, async (t) => {
  t.equal(readFileSync('/proc/sys/net/ipv4/nexthop_compat_mode', 'utf8').trim(), '1', 'the default of the kernel');
  const h = await started(t);
  h.define(SET + 1, [1], [2]);
  h.define(SET + 2, [1, 2, 3]);
  h.define(SET + 3, [11], [12]);
  const many = Array.from({ length: 500 }, (_, i) => ({
    id: i,
    prefix: `20.${i >> 8}.${i & 255}.0/24`,
    nextHop: SET + 1 + (i & 1),
  }));
  h.submit(...many, { id: 1000, prefix: 'fd20::/32', nextHop: SET + 3 });
  await installed(h, 501);
  const listener = NetlinkSocket.open({ groups: [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] });
  t.teardown(() => listener.close());
  let told = 0;
  const route = new RouteMessage();
  const listen = () => {
    // The kernel tells of routes of its own as well (an IPv6 address that has become usable).
    const hear = (message: MessageReader): void => {
      decodeRoute(message, route);
      if (route.protocol === RTPROT_BGP) told++;
    };
    while (listener.receive(hear) === 'messages');
    return told;
  };
  const spread = Array.from({ length: 200 }, (_, i) => `20.0.${2 * (i % 100) + 1}.${i}`);
  h.fib.nextHopDown(1);
  await until('all by the others', () => way('20.0.0.1') === 'eth2' && through('eth1', spread) === 0);
  h.fib.nextHopDown(11);
  await until('both families', () => way('fd20::1') === 'eth2');
  t.equal(listen(), 0);
  const third = through('eth3', spread);
  t.ok(third > 60 && third < 140, `the rest shares: ${third} of 200 through eth3`);
  t.strictSame([h.fib.counts().installed, h.fib.counts().repaired], [501, 0]);
  t.strictSame([...(await h.fib.diff())], [], 'as wanted');
  h.fib.nextHopUp(1);
  await until('back', () => way('20.0.0.1') === 'eth1');
  t.ok(listen() >= 500, 'whoever comes back is a change of the object, which is told for every route');
});

t.test('the kernel fails over even when nobody runs', options, async (t) => {
  const before = new Harness();
  await before.fib.start();
  for (const n of [1, 2]) before.track(n, `10.0.${n}.2`);
  before.define(SET + 1, [1], [2]);
  before.submit({ id: 1, prefix: '20.0.0.0/24', nextHop: SET + 1 });
  await installed(before, 1);
  await before.fib.stop(true);
  t.equal(way('20.0.0.1'), 'eth1');
  await withoutCarrier(1, () => until('taken over', () => way('20.0.0.1') === 'eth2'));
  t.equal(way('20.0.0.1'), 'eth2');
  const h = await started(t);
  h.fib.sweepStale();
  await until('swept', () => routes().length === 0 && nexthops().length === 0);
});

t.test('a next hop without a backup is lost by hint: its routes go, nobody else does', options, async (t) => {
  const h = await started(t);
  const wanted = (nextHop: number, net: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      id: net * 10_000 + i,
      prefix: `${net}.${i >> 8}.${i & 255}.0/24`,
      nextHop,
    }));
  h.submit(...wanted(1, 20, 2000), ...wanted(2, 21, 100));
  await installed(h, 2100);
  h.fib.nextHopDown(1);
  await until('gone', () => h.fib.counts().pending === 2000);
  t.equal(routes().length, 100);
  t.equal(await h.errorOf('20.0.0.0/24'), 'next hop 10.0.1.2 is not reachable: its peer is down');
  h.fib.nextHopUp(1);
  await installed(h, 2100);
  // Withdrawn one by one, they go with their object all the same.
  h.submit(...wanted(1, 20, 2000).map((each) => ({ ...each, nextHop: 0 })));
  await installed(h, 100);
  t.equal(routes().length, 100);
  t.equal(nexthops().length, 1);
});

t.test('a route of somebody else on an object of ours is spared', options, async (t) => {
  const h = await started(t);
  const many = Array.from({ length: 500 }, (_, i) => ({ id: i, prefix: `20.${i >> 8}.${i & 255}.0/24`, nextHop: 1 }));
  h.submit(...many);
  await installed(h, 500);
  const id = /^id (\d+)/.exec(nexthops()[0]!)![1]!;
  ip(`route add 99.0.0.0/24 nhid ${id} proto static`);
  h.fib.nextHopDown(1);
  await until('ours are gone', () => routes().length === 0);
  t.match(ip('route show proto static'), /99\.0\.0\.0/);
  ip('route del 99.0.0.0/24');
  h.submit(...many.map((each) => ({ ...each, nextHop: 0 })));
  await until('the object, too', () => nexthops().length === 0);
});

t.test('objects deleted, changed or flushed by hand are put right, and counted', options, async (t) => {
  const h = await started(t);
  h.define(SET + 1, [1, 2], [3]);
  h.submit({ id: 1, prefix: '20.0.0.0/24', nextHop: 1 }, { id: 2, prefix: '20.0.1.0/24', nextHop: SET + 1 });
  await installed(h, 2);
  const idOf = (text: RegExp) => /^id (\d+)/.exec(nexthops().find((line) => text.test(line)) ?? 'id 0')![1]!;
  const nhid = (prefix: string) =>
    new RegExp(`^${prefix} nhid (\\d+)`, 'm').exec(ip('route show proto bgp'))?.[1] ?? '0';
  const right = () =>
    way('20.0.0.1') === 'eth1' &&
    groups().length === 1 &&
    groups()[0]!.split('/').length === 3 &&
    /via 10\.0\.1\.2 dev eth1/.test(ip('route show 20.0.0.0/24')) &&
    /via 10\.0\.1\.2 dev eth1[^]*via 10\.0\.2\.2 dev eth2/.test(ip('route show 20.0.1.0/24'));
  t.ok(right());
  const harm: [string, () => unknown][] = [
    ['single deleted', () => ip(`nexthop del id ${nhid('20.0.0.0/24')}`)],
    ['single changed', () => ip(`nexthop replace id ${nhid('20.0.0.0/24')} via 10.0.2.66 dev eth2 protocol 186`)],
    ['group deleted', () => ip(`nexthop del id ${idOf(/group/)}`)],
    ['member deleted', () => ip(`nexthop del id ${/group (\d+)/.exec(groups()[0]!)![1]!}`)],
    [
      'member changed',
      () => ip(`nexthop replace id ${/group (\d+)/.exec(groups()[0]!)![1]!} via 10.0.1.66 dev eth1 protocol 186`),
    ],
    ['all flushed', () => ip('nexthop flush')],
  ];
  for (const [what, change] of harm) {
    const before = h.fib.counts().repaired;
    change();
    await until(`right again after: ${what}`, () => {
      try {
        return right() && h.fib.counts().repaired > before;
      } catch {
        return false;
      }
    });
    t.pass(what);
  }
  await installed(h, 2);
});

t.test('a restart takes over routes and objects as they are, and leaves none over', options, async (t) => {
  const before = new Harness();
  await before.fib.start();
  for (const n of [1, 2, 3]) before.track(n, `10.0.${n}.2`);
  before.define(SET + 1, [1, 2], [3]);
  before.define(SET + 2, [3]);
  const wanted = [
    ...Array.from({ length: 50 }, (_, i) => ({ id: i, prefix: `20.0.${i}.0/24`, nextHop: 1 })),
    ...Array.from({ length: 50 }, (_, i) => ({ id: 100 + i, prefix: `20.1.${i}.0/24`, nextHop: SET + 1 })),
    { id: 200, prefix: '20.2.0.0/24', nextHop: SET + 2 },
  ];
  before.submit(...wanted);
  await installed(before, 101);
  await before.fib.stop(true);
  const was = [routes().sort(), nexthops().sort()];

  const h = await started(t);
  // Other ids, the same places.
  h.define(SET + 7, [2, 1], [3]);
  h.submit(...wanted.slice(0, 100).map((each) => ({ ...each, nextHop: each.nextHop === 1 ? 1 : SET + 7 })));
  await until('answers', () => h.statusOf(0) === FibStatus.installed && h.statusOf(149) === FibStatus.installed);
  t.strictSame([routes().sort(), nexthops().sort()], was, 'not a write');
  h.fib.sweepStale();
  await until('the last one is swept, with its object', () => h.fib.counts().installed === 100);
  await until('no object is left over', () => nexthops().length === 5);
});

t.test('a kernel that has groups, but no resilient ones: shares by hash threshold, failover by us', options, (t) => {
  const kernel = NetlinkKernel.open();
  const change = kernel.changeNexthop.bind(kernel);
  // As one before 5.13: it does not know the type.
  kernel.changeNexthop = (operation, nexthop) => (nexthop.resilient ? EINVAL : change(operation, nexthop));
  t.teardown(() => kernel.close());
  const logs: string[] = [];
  const events = {
    kernelChanged: () => undefined,
    nextHopsChanged: () => undefined,
    routesPresent: () => undefined,
    statusChanged: () => undefined,
    log: (_level: string, _fields: object, text: string) => void logs.push(text),
    fatal: (text: string) => t.fail(text),
  };
  const settings = { table: 254, protocol: 186, metric: 20, watchOnly: false, nexthopObjects: 'auto' } as const;
  const syncer = new Syncer(settings, kernel, events, () => performance.now(), new RouteMessage());
  t.teardown(() => syncer.removeAll());
  syncer.start();
  t.match(logs, [/groups by hash threshold, since this kernel has no resilient ones/]);
  const settle = () => {
    while (syncer.step() === 0);
  };
  for (const n of [1, 2, 3]) {
    syncer.trackNextHop(n, parseAddress(`10.0.${n}.2`)!, undefined);
    syncer.trackNextHop(n + 10, parseAddress(`fd00:${n}::2`)!, undefined);
  }
  const one = (nextHop: number, weight = 1) => ({ nextHop, weight });
  syncer.defineNextHopSet(SET + 1, { primary: [one(1, 3), one(2)], backup: [one(3)] });
  syncer.defineNextHopSet(SET + 2, { primary: [one(11), one(12)], backup: [] });
  syncer.defineNextHopSet(SET + 3, { primary: [one(1)], backup: [one(2)] });
  const want = (family: 'ipv4-unicast' | 'ipv6-unicast', id: number, prefix: string, nextHop: number) =>
    syncer.submit(family, encodeRecords(family, [{ id, prefix, nextHop }]), 1);
  want('ipv4-unicast', 1, '20.0.0.0/16', SET + 1);
  want('ipv6-unicast', 1, 'fd20::/32', SET + 2);
  want('ipv4-unicast', 2, '21.0.0.0/16', SET + 3);
  settle();
  t.equal(groups().length, 3);
  t.notMatch(groups().join(), /resilient/);
  const four = Array.from({ length: 200 }, (_, i) => `20.0.${i}.${i}`);
  const six = Array.from({ length: 200 }, (_, i) => `fd20::${i}:1`);
  const [first, sixth] = [through('eth1', four), through('eth1', six)];
  t.ok(first > 110 && first < 185, `three quarters through eth1: ${first} of 200`);
  t.ok(sixth > 60 && sixth < 140, `half through eth1: ${sixth} of 200`);
  t.equal(through('eth3', four), 0, 'the backup carries nothing');
  for (const id of [1, 11]) syncer.setNextHopDown(id, true);
  t.strictSame([through('eth2', four), through('eth2', six), way('21.0.0.1')], [200, 200, 'eth2'], 'at once');
  syncer.setNextHopDown(2, true);
  t.equal(through('eth3', four), 200, 'then the backup');
  settle();
  t.equal(syncer.repaired, 0);
  t.equal(ip('route show 21.0.0.0/16'), '', 'and what has none goes');
  t.end();
});

t.test('classic next hops, as configured: multipath, backup, and over from objects', options, async (t) => {
  const before = new Harness();
  await before.fib.start();
  before.track(1, '10.0.1.2');
  before.submit({ id: 1, prefix: '20.0.0.0/24', nextHop: 1 });
  await installed(before, 1);
  await before.fib.stop(true);
  const h = await started(t, { nexthopObjects: 'never' });
  h.define(SET + 1, [[1, 2], 2]);
  h.define(SET + 2, [1], [2]);
  h.define(SET + 3, [11, 12]);
  h.submit(
    { id: 1, prefix: '20.0.0.0/24', nextHop: 1 },
    { id: 2, prefix: '20.0.1.0/24', nextHop: SET + 1 },
    { id: 3, prefix: '20.0.2.0/24', nextHop: SET + 2 },
    { id: 4, prefix: 'fd20::/32', nextHop: SET + 3 },
  );
  await installed(h, 4);
  await until('no object is left', () => nexthops().length === 0);
  t.match(ip('route show 20.0.1.0/24'), /via 10\.0\.1\.2 dev eth1 weight 2[^]*via 10\.0\.2\.2 dev eth2 weight 1/);
  t.match(ip('-6 route show fd20::/32'), /eth1 weight 1[^]*eth2 weight 1/);
  t.notMatch(ip('route'), /nhid/);
  h.fib.nextHopDown(1);
  await until('the rest goes on', () => way('20.0.1.1') === 'eth2' && way('20.0.2.1') === 'eth2');
  h.fib.nextHopUp(1);
  await until('both again', () => way('20.0.2.1') === 'eth1');
  await installed(h, 4);
});
