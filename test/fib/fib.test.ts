/** The whole kernel side, thread and all, against the real kernel in a network namespace of the test's own. */
import t, { type Test } from 'tap';
import { FibStatus, Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up', 'link add br0 type bridge', 'link set br0 up']);
  ipBatch(['addr add 192.168.245.168/24 dev ens33', 'addr add fd00:245::168/64 dev ens33 nodad']);
  ip('addr add 172.17.0.1/24 dev br0');
}

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.trim().replace(/ nhid \d+/, ''));
const routes = () => lines(ip('route show proto bgp'));
const routes6 = () => lines(ip('-6 route show proto bgp'));
const nexthops = () => lines(ip('nexthop show protocol 186'));

async function started(t: Test, settings: ConstructorParameters<typeof Harness>[0] = {}): Promise<Harness> {
  const harness = new Harness(settings);
  t.teardown(async () => {
    await harness.fib.stop(false);
    for (const left of [routes()[0], nexthops()[0]]) if (left) throw new Error(`left behind: ${left}`);
    if (harness.fatals.length) throw harness.fatals[0]!;
  });
  harness.state = await harness.fib.start();
  return harness;
}

t.test('the first state names links and addresses, and follows them', options, async (t) => {
  const h = await started(t);
  const ens33 = h.state?.links.find((link) => link.name === 'ens33');
  t.match(ens33, { up: true });
  t.match(
    h.state?.addresses.find((address) => String(address.bytes) === '192,168,245,168'),
    { ifindex: ens33?.index, prefixLength: 24, local: false, tentative: false },
  );
  ip('addr del 172.17.0.1/24 dev br0');
  ip('addr add 172.19.0.1/24 dev br0');
  const has = (text: string) => h.state!.addresses.some((address) => String(address.bytes) === text);
  await until('the new bridge address', () => has('172,19,0,1') && !has('172,17,0,1'));
  ip('addr del 172.19.0.1/24 dev br0');
  ip('addr add 172.17.0.1/24 dev br0');
});

t.test('install, change, remove: exactly as ip route shows it', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  h.track(2, '192.168.245.173');
  h.track(3, 'fd00:245::172');
  h.submit({ id: 10, prefix: '172.18.0.0/24', nextHop: 1 }, { id: 11, prefix: 'fd00:18::/64', nextHop: 3 });
  await until('both installed', () => h.statusOf(10) === 2 && h.statusOf(11, 'ipv6-unicast') === 2);
  t.match(h.nextHops.get(1), { resolvable: true, metric: 0, detail: 'connected dev ens33' });
  t.strictSame(routes(), ['172.18.0.0/24 via 192.168.245.172 dev ens33 metric 20']);
  t.match(ip('route'), /^172\.18\.0\.0\/24 nhid \d+ via 192\.168\.245\.172 dev ens33 proto bgp metric 20 *$/m);
  t.match(routes6(), [/^fd00:18::\/64 via fd00:245::172 dev ens33 metric 20 pref medium$/]);
  h.submit({ id: 10, prefix: '172.18.0.0/24', nextHop: 2 });
  await until('changed', () => routes()[0]!.includes('192.168.245.173'));
  t.equal(routes().length, 1);
  t.same(h.fib.counts(), { installed: 2, pending: 0, failed: 0, repaired: 0 });
  t.match(
    (await h.rows()).find((row) => row.length === 24),
    { status: FibStatus.installed, error: undefined, nextHops: [{ interface: 'ens33', weight: 1 }] },
  );
  h.submit({ id: 10, prefix: '172.18.0.0/24', nextHop: 0 }, { id: 11, prefix: 'fd00:18::/64', nextHop: 0 });
  await until('both removed', () => h.statusOf(10) === 0 && h.statusOf(11, 'ipv6-unicast') === 0);
  t.strictSame([...routes(), ...routes6()], []);
});

t.test('an IPv4 route over an IPv6 link-local next hop (RFC 8950)', options, async (t) => {
  const h = await started(t);
  h.track(1, 'fe80::1', 'ens33');
  h.track(2, 'fe80::1', 'nowhere');
  h.track(3, 'fe80::1');
  h.submit({ id: 1, prefix: '172.18.0.0/24', nextHop: 1 }, { id: 2, prefix: 'fd00:18::/64', nextHop: 1 });
  await until('installed', () => h.statusOf(1) === 2 && h.statusOf(2, 'ipv6-unicast') === 2);
  t.strictSame(routes(), ['172.18.0.0/24 via inet6 fe80::1 dev ens33 metric 20']);
  t.match(routes6(), [/^fd00:18::\/64 via fe80::1 dev ens33 metric 20/]);
  await until('answers', () => h.nextHops.size === 3);
  t.match(h.nextHops.get(2), { resolvable: false, detail: 'no interface nowhere' });
  t.match(h.nextHops.get(3), { resolvable: false, detail: 'link-local address without an interface' });
});

t.test('a next hop behind a gateway, and its coming and going', options, async (t) => {
  const h = await started(t);
  h.track(1, '10.99.0.1');
  h.submit({ id: 1, prefix: '172.18.0.0/24', nextHop: 1 });
  await until('pending', () => h.statusOf(1) === FibStatus.pending);
  t.equal(await h.errorOf('172.18.0.0/24'), 'next hop 10.99.0.1 is not reachable: no route');
  ip('route add 10.99.0.0/16 via 192.168.245.1 metric 7');
  await until('installed', () => h.statusOf(1) === FibStatus.installed);
  t.strictSame(routes(), ['172.18.0.0/24 via 192.168.245.1 dev ens33 metric 20']);
  t.match(h.nextHops.get(1), { resolvable: true, metric: 7, detail: 'via 192.168.245.1 dev ens33' });
  ip('route add 10.99.0.1/32 via 192.168.245.2');
  await until('follows the longer match', () => routes()[0]!.includes('192.168.245.2'));
  ip('route del 10.99.0.1/32');
  ip('route del 10.99.0.0/16 via 192.168.245.1');
  await until('pending again', () => h.statusOf(1) === FibStatus.pending);
  t.strictSame(routes(), []);
  ip('route add blackhole 10.99.0.0/16');
  await until('detail', () => h.nextHops.get(1)?.detail === 'blackhole route');
  ip('route del blackhole 10.99.0.0/16');
});

t.test('our own address is no next hop', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.168');
  await until('answer', () => h.nextHops.has(1));
  t.match(h.nextHops.get(1), { resolvable: false, detail: "this node's own address" });
});

t.test('never over a connected or foreign route; ours goes in when it goes', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  h.track(2, 'fd00:245::172');
  ip('route add 172.20.0.0/24 via 192.168.245.9 proto static');
  ip('-6 route add fd00:20::/64 via fd00:245::9 proto static');
  h.submit(
    { id: 1, prefix: '172.17.0.0/24', nextHop: 1 },
    { id: 2, prefix: '172.20.0.0/24', nextHop: 1 },
    { id: 3, prefix: 'fd00:20::/64', nextHop: 2 },
  );
  const failed = () => h.fib.counts().failed === 3;
  await until('all refused', failed);
  t.equal(await h.errorOf('172.17.0.0/24'), 'blocked by proto kernel dev br0');
  t.equal(await h.errorOf('172.20.0.0/24'), 'blocked by proto static metric 0');
  t.equal(await h.errorOf('fd00:20::/64'), 'blocked by proto static metric 1024');
  t.strictSame([...routes(), ...routes6()], []);
  ip('route del 172.20.0.0/24');
  ip('-6 route del fd00:20::/64');
  await until('ours is in', () => h.statusOf(2) === 2 && h.statusOf(3, 'ipv6-unicast') === 2);
  ip('route add 172.20.0.0/24 via 192.168.245.9 proto static');
  await until('ours makes way', () => h.statusOf(2) === FibStatus.failed);
  t.strictSame(routes(), []);
  // A foreign route of our very prefix and metric takes the place of ours: still not touched.
  ip('route del 172.20.0.0/24');
  await until('ours is in again', () => h.statusOf(2) === 2);
  ip('route replace 172.20.0.0/24 via 192.168.245.9 proto static metric 20');
  await until('blocked by its metric', () => h.statusOf(2) === FibStatus.failed);
  t.match(ip('route show 172.20.0.0/24'), /proto static metric 20/);
  ip('route del 172.20.0.0/24');
  await until('and in at last', () => h.statusOf(2) === 2);
});

t.test('what somebody deletes, changes or adds is put right, and counted', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  h.track(2, 'fd00:245::172');
  h.submit({ id: 1, prefix: '172.18.0.0/24', nextHop: 1 }, { id: 2, prefix: 'fd00:18::/64', nextHop: 2 });
  await until('installed', () => h.fib.counts().installed === 2);
  ip('route del 172.18.0.0/24');
  await until('repaired', () => h.fib.counts().repaired === 1);
  ip('route change 172.18.0.0/24 via 192.168.245.66 proto bgp metric 20');
  await until('repaired', () => h.fib.counts().repaired === 2);
  ip('-6 route del fd00:18::/64');
  await until('repaired', () => h.fib.counts().repaired === 3);
  t.strictSame(routes(), ['172.18.0.0/24 via 192.168.245.172 dev ens33 metric 20']);
  ip('route replace 172.18.0.0/24 via 192.168.245.66 dev ens33 proto bgp metric 20 onlink');
  await until('repaired', () => h.fib.counts().repaired === 4);
  ip('route add 172.30.0.0/24 via 192.168.245.66 proto bgp metric 20');
  await until('what nobody asked for goes', () => routes().length === 1);
  t.match(
    h.logs.filter((log) => log.level === 'warn').map((log) => log.fields),
    [{ first: '172.18.0.0/24', total: 1 }, { total: 2 }, { first: 'fd00:18::/64', total: 3 }, { total: 4 }],
  );
});

t.test('interface down and up, address away and back', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  h.track(2, 'fd00:245::172');
  const wanted = Array.from({ length: 50 }, (_, i) => ({ id: i, prefix: `172.18.${i}.0/24`, nextHop: 1 }));
  h.submit(...wanted, { id: 1000, prefix: 'fd00:18::/64', nextHop: 2 });
  const installed = (count: number) => until(`${count} installed`, () => h.fib.counts().installed === count);
  await installed(51);
  ip('link set ens33 down');
  await installed(0);
  t.match(h.nextHops.get(1), { resolvable: false });
  t.strictSame(routes(), []);
  ip('link set ens33 up');
  // IPv6 addresses do not survive an interface going down.
  ip('addr add fd00:245::168/64 dev ens33 nodad');
  await installed(51);
  t.equal(routes().length, 50);
  // Down and up before anybody can look.
  ipBatch(['link set ens33 down', 'link set ens33 up', 'addr add fd00:245::168/64 dev ens33 nodad']);
  await until('all are back', () => routes().length === 50 && routes6().length === 1);
  ipBatch(['addr del 192.168.245.168/24 dev ens33', 'addr add 192.168.245.168/24 dev ens33']);
  await until('all are back', () => routes().length === 50);
  await installed(51);
});

t.test('a restart adopts, confirms without a write, and sweeps the rest', options, async (t) => {
  const before = new Harness();
  await before.fib.start();
  before.track(1, '192.168.245.172');
  before.submit(...[0, 1, 2].map((i) => ({ id: i, prefix: `172.18.${i}.0/24`, nextHop: 1 })), {
    id: 9,
    prefix: '172.18.9.0/24',
    nextHop: 1,
  });
  await until('installed', () => before.fib.counts().installed === 4);
  await before.fib.stop(true);
  t.equal(routes().length, 4, 'kept');

  const h = await started(t);
  t.equal(h.fib.counts().installed, 4);
  h.track(7, '192.168.245.172');
  h.track(8, '192.168.245.173');
  h.submit({ id: 100, prefix: '172.18.0.0/24', nextHop: 7 }, { id: 101, prefix: '172.18.1.0/24', nextHop: 8 });
  h.submit({ id: 102, prefix: '172.18.2.0/24', nextHop: 0 });
  await until('answers', () => h.statusOf(100) === 2 && h.statusOf(101) === 2 && h.statusOf(102) === 0);
  t.equal(routes().length, 3, 'what nobody spoke of keeps forwarding');
  h.fib.sweepStale();
  await until('swept', () => routes().length === 2);
  t.strictSame(routes(), [
    '172.18.0.0/24 via 192.168.245.172 dev ens33 metric 20',
    '172.18.1.0/24 via 192.168.245.173 dev ens33 metric 20',
  ]);
  t.equal(h.fib.counts().repaired, 0);
});

t.test('an overrun by thousands of foreign routes: no exit, and right afterwards', options, async (t) => {
  const h = await started(t, { receiveBuffer: 1 });
  h.track(1, '192.168.245.172');
  const wanted = Array.from({ length: 500 }, (_, i) => ({
    id: i,
    prefix: `172.${64 + (i >> 8)}.${i & 255}.0/24`,
    nextHop: 1,
  }));
  h.submit(...wanted);
  await until('installed', () => h.fib.counts().installed === 500);
  const foreign = Array.from({ length: 5000 }, (_, i) => `30.${i >> 8}.${i & 255}.0/24 via 192.168.245.9 proto static`);
  ipBatch([
    ...foreign.map((line) => `route add ${line}`),
    ...wanted.slice(0, 100).map((each) => `route del ${each.prefix}`),
    ...wanted.slice(100, 200).map((each) => `route add ${each.prefix} via 192.168.245.9 proto static`),
  ]);
  await until('right again', () => {
    const { installed, failed } = h.fib.counts();
    return installed === 400 && failed === 100 && routes().length === 400;
  });
  t.ok(
    h.logs.some((log) => /faster than they were read/.test(log.text)),
    'there was an overrun',
  );
  ipBatch([
    ...foreign.map((line) => `route del ${line}`),
    ...wanted.slice(100, 200).map((each) => `route del ${each.prefix} via 192.168.245.9 proto static`),
  ]);
  await until('all in', () => h.fib.counts().installed === 500 && routes().length === 500);
});

t.test('another table and metric', options, async (t) => {
  const h = await started(t, { table: 1000, metric: 33 });
  h.track(1, '192.168.245.172');
  // The same prefix in the main table is none of our business.
  h.submit({ id: 1, prefix: '172.17.0.0/24', nextHop: 1 });
  await until('installed', () => h.statusOf(1) === 2);
  t.match(
    ip('route show table 1000'),
    /^172\.17\.0\.0\/24 nhid \d+ via 192\.168\.245\.172 dev ens33 proto bgp metric 33/,
  );
});

t.test('watching only: next hops and interfaces, no route', options, async (t) => {
  ip('route add 172.18.0.0/24 via 192.168.245.9 proto bgp metric 20');
  const h = new Harness({ watchOnly: true });
  await h.fib.start();
  h.track(1, '192.168.245.172');
  h.submit({ id: 1, prefix: '172.30.0.0/24', nextHop: 1 });
  h.fib.sweepStale();
  await until('answer', () => h.nextHops.get(1)?.resolvable === true);
  ip('addr add 172.31.0.1/24 dev br0');
  await until('state', () => h.state?.addresses.some((each) => String(each.bytes) === '172,31,0,1') ?? false);
  ip('addr del 172.31.0.1/24 dev br0');
  await h.fib.stop(false);
  t.strictSame(routes(), ['172.18.0.0/24 via 192.168.245.9 dev ens33 metric 20'], 'untouched');
  ip('route del 172.18.0.0/24');
});

t.test('many submissions at once: credits, and shuffled or not everything arrives', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  let id = 0;
  for (let batch = 0; batch < 40; batch++) {
    await until('room', () => h.fib.canSubmit);
    h.submit(...Array.from({ length: 1000 }, () => ({ id, prefix: `20.${id >> 8}.${id++ & 255}.0/24`, nextHop: 1 })));
  }
  await until('all installed', () => h.fib.counts().installed === 40_000);
  t.ok(h.rooms > 0);
  t.equal(routes().length, 40_000);
  t.equal(h.status.size, 40_000);
  t.ok([...h.status.values()].every((status) => status === FibStatus.installed));
  let rows = 0;
  for await (const row of h.fib.rows()) rows += row.length === 24 ? 1 : 0;
  t.equal(rows, 40_000);
});
