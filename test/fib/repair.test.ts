/**
 * Right, always: what others do to our routes, objects, interfaces and addresses is put right, counted, and said once;
 * what is theirs stays theirs; refusals have names and are not hammered at. The real kernel, thread and all. How long a
 * repair took is told, not asserted: the order of things and the end are.
 */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { formatPrefix } from 'bgp-parse';
import t, { type Test } from 'tap';
import type { FibOptions } from '../../src/fib/fib.js';
import { FIRST_NEXT_HOP_SET } from '../../src/fib/port.js';
import { FibStatus, Harness, until } from './fixtures/harness.js';
import { turnsInASecond } from './fixtures/turns.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
const SET = FIRST_NEXT_HOP_SET;
if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up']);
  ipBatch(['addr add 192.168.245.168/24 dev ens33', 'addr add fd00:245::168/64 dev ens33 nodad']);
  makeBridge();
}

function makeBridge(): void {
  ipBatch([
    'link add br0 type bridge',
    'link add port0 type veth peer name port1',
    'link set port1 up',
    'link set port0 master br0 up',
    'link set br0 up',
  ]);
  ipBatch(['addr add 172.17.0.1/24 dev br0', 'addr add fd00:17::1/64 dev br0 nodad']);
}

class Node extends Harness {
  async different(): Promise<string[]> {
    return [...(await this.fib.diff())].map(
      ({ kind, route, detail }) =>
        `${route ? formatPrefix({ bytes: route.prefix, length: route.length }) : 'nexthop'} ${kind} ${detail ?? ''}`,
    );
  }

  /** Waits until the kernel is right, by a fresh reading; how many milliseconds that took. */
  async untilRight(what: string): Promise<number> {
    const began = performance.now();
    await until(what, async () => (await this.different()).length === 0);
    return performance.now() - began;
  }

  /** Repairs that the log has told of. */
  get told(): number {
    let told = 0;
    for (const { fields } of this.logs) {
      const { total, routes = 0, nexthops } = fields as { total?: number; routes?: number; nexthops?: unknown };
      if (total !== undefined) told += routes;
      else if (typeof nexthops === 'number') told += nexthops;
    }
    return told;
  }
}

async function started(t: Test, settings: ConstructorParameters<typeof Harness>[0] = {}): Promise<Node> {
  const node = new Node(settings);
  t.teardown(() => node.fib.stop(false));
  await node.fib.start();
  return node;
}

/** Through two gateways of ens33, a set of them, and one behind the bridge. */
async function withRoutes(t: Test, each: number, settings: FibOptions & { nexthopObjects?: 'auto' | 'never' } = {}) {
  const node = await started(t, settings);
  ['192.168.245.172', '192.168.245.173', 'fd00:245::172', '172.17.0.2', 'fd00:17::2'].forEach((address, i) =>
    node.track(i + 1, address),
  );
  node.define(SET, [1, 2]);
  const of = (target: number, prefix: (i: number) => string) =>
    Array.from({ length: each }, (_, i) => ({ id: target * 100_000 + i, prefix: prefix(i), nextHop: target }));
  node.submit(
    ...of(1, (i) => `20.${i >> 8}.${i & 255}.0/24`),
    ...of(3, (i) => `2001:db8:${i.toString(16)}::/48`),
    ...of(4, (i) => `30.${i >> 8}.${i & 255}.0/24`),
    ...of(5, (i) => `2001:db9:${i.toString(16)}::/48`),
    ...Array.from({ length: each }, (_, i) => ({
      id: 900_000 + i,
      prefix: `40.${i >> 8}.${i & 255}.0/24`,
      nextHop: SET,
    })),
  );
  await until('all installed', () => node.fib.counts().installed === 5 * each);
  await node.untilRight('asked for');
  return node;
}

for (const nexthopObjects of ['auto', 'never'] as const) {
  t.test(
    `sabotage, routes by ${nexthopObjects === 'auto' ? 'nexthop objects' : 'next hops of their own'}`,
    options,
    async (t) => {
      const each = 200;
      const node = await withRoutes(t, each, { nexthopObjects });
      // What `ip route flush` does; it cannot itself, where routes have nexthop objects (iproute2 names both in one request).
      const flush = () => {
        for (const six of ['', '-6 ']) {
          const there = ip(`${six}route show table main proto bgp`).trim().split('\n');
          const prefixes = there.filter((line) => /^[0-9a-f]+[.:]/.test(line)).map((line) => line.split(' ')[0]!);
          ipBatch(prefixes.map((prefix) => `route del ${prefix} proto bgp`));
        }
      };
      const acts: { what: string; lines: string[]; atLeast: number }[] = [
        {
          what: 'deleted',
          lines: ['route del 20.0.7.0/24', 'route del 2001:db8:7::/48', 'route del 40.0.7.0/24'],
          atLeast: 3,
        },
        {
          what: 'changed',
          lines: [
            'route replace 20.0.8.0/24 via 192.168.245.66 proto bgp metric 20',
            'route replace 2001:db8:8::/48 via fd00:245::66 proto bgp metric 20',
            'route replace 40.0.8.0/24 via 192.168.245.66 proto bgp metric 20',
            'route replace blackhole 30.0.8.0/24 proto bgp metric 20',
          ],
          atLeast: 4,
        },
        { what: 'flushed', lines: [], atLeast: 5 * each },
        ...(nexthopObjects === 'auto'
          ? [{ what: 'objects flushed', lines: ['nexthop flush protocol 186'], atLeast: 5 * each }]
          : []),
      ];
      for (const { what, lines, atLeast } of acts) {
        const before = node.fib.counts().repaired;
        if (lines.length === 0) flush();
        for (const line of lines) ip(line.startsWith('route') && line.includes('::') ? `-6 ${line}` : line);
        const tookMs = await node.untilRight(what);
        await until('counted', () => node.fib.counts().repaired - before >= atLeast);
        t.pass(`${what}: right ${tookMs.toFixed(0)} ms after the last command`);
        await until(`${what}: each told of once`, () => node.told === node.fib.counts().repaired);
        t.equal(node.fib.counts().installed, 5 * each);
      }
      const lines = node.logs.filter(({ level }) => level === 'warn').length;
      t.ok(lines < each / 2, `${lines} lines for ${node.fib.counts().repaired} repairs: not one a route`);
    },
  );
}

t.test('a new run on the routes and objects of a dead one: not one route is written', options, async (t) => {
  const each = 100;
  const texts = () => [ip('route show proto bgp'), ip('-6 route show proto bgp'), ip('nexthop show protocol 186')];
  const before = await withRoutes(t, each);
  await before.fib.stop(true);
  const left = texts();
  const monitor = spawn('ip', ['monitor', 'route'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => monitor.kill());
  let heard = '';
  monitor.stdout.setEncoding('utf8').on('data', (text: string) => (heard += text));
  const hears = async (prefix: string) => {
    await until('the monitor hears', () => {
      ip(`route add ${prefix} via 192.168.245.9 proto static`);
      ip(`route del ${prefix}`);
      return heard.includes(prefix);
    });
  };
  await hears('10.1.1.0/24');
  const node = await withRoutes(t, each);
  node.fib.sweepStale();
  await node.untilRight('swept');
  await hears('10.1.2.0/24');
  t.strictSame(texts(), left, 'the same routes on the same objects');
  // The kernel tells of routes of its own as well (a link-local address that has become usable).
  const lines = heard.split('\n').filter((line) => line !== '' && !/10\.1\.[12]\.0\/24| proto kernel /.test(line));
  t.strictSame(lines, [], 'and nothing has happened in between');
  t.equal(node.fib.counts().repaired, 0);
});

t.test('interface, address, bridge: right as soon as it can be', options, async (t) => {
  const each = 100;
  const node = await withRoutes(t, each);
  const throughBridge = () =>
    ip('route show table main proto bgp')
      .split('\n')
      .filter((line) => line.startsWith('30.')).length;

  ip('link set ens33 down');
  await until('only the bridge is left', () => node.fib.counts().installed === 2 * each);
  t.ok((await node.different()).every((line) => line.includes('unreachable')));
  ip('link set ens33 up');
  ip('addr add fd00:245::168/64 dev ens33 nodad');
  t.pass(`interface up: right after ${(await node.untilRight('interface up')).toFixed(0)} ms`);

  ipBatch(['link set ens33 down', 'link set ens33 up', 'addr add fd00:245::168/64 dev ens33 nodad']);
  t.pass(`interface down and up at once: ${(await node.untilRight('flapped')).toFixed(0)} ms`);

  ip('addr del 192.168.245.168/24 dev ens33');
  await until('IPv4 through ens33 is gone', () => node.fib.counts().installed === 3 * each);
  ip('addr add 192.168.245.168/24 dev ens33');
  t.pass(`address back: ${(await node.untilRight('address')).toFixed(0)} ms`);
  ipBatch(['addr del 192.168.245.168/24 dev ens33', 'addr add 192.168.245.168/24 dev ens33']);
  t.pass(`address away and back at once: ${(await node.untilRight('address')).toFixed(0)} ms`);

  ip('link del br0');
  await until('the bridge is gone', () => node.fib.counts().installed === 3 * each);
  t.equal(throughBridge(), 0);
  ip('link del port0');
  makeBridge();
  t.pass(`bridge made anew: ${(await node.untilRight('bridge')).toFixed(0)} ms`);
  ipBatch(['link del br0', 'link del port0']);
  makeBridge();
  t.pass(`bridge replaced at once: ${(await node.untilRight('bridge')).toFixed(0)} ms`);
  t.equal(throughBridge(), each);
  t.equal(node.fib.counts().installed, 5 * each);
  await until('each told of once', () => node.told === node.fib.counts().repaired);
  t.strictSame(node.fatals, []);
});

t.test('one owner: theirs is told, never touched, and ours follows when it goes', options, async (t) => {
  const node = await started(t);
  node.track(1, '192.168.245.172');
  node.track(2, 'fd00:245::172');
  node.submit({ id: 1, prefix: '172.18.0.0/24', nextHop: 1 }, { id: 2, prefix: 'fd00:18::/64', nextHop: 2 });
  const cases: [line: string, error: string][] = [
    ['172.18.0.0/24 via 192.168.245.9 proto static', 'proto static metric 0'],
    ['172.18.0.0/24 via 192.168.245.9 proto bird metric 32', 'proto bird metric 32'],
    ['172.18.0.0/24 via 192.168.245.9 proto bgp metric 21', 'proto bgp metric 21'],
    ['172.18.0.0/24 via 192.168.245.9 proto bgp', 'proto bgp metric 0'],
    ['172.18.0.0/24 via 192.168.245.9 proto 99 metric 5', 'proto 99 metric 5'],
    ['172.18.0.0/24 dev br0 proto kernel scope link', 'proto kernel dev br0'],
    ['blackhole 172.18.0.0/24 proto static', 'proto static metric 0'],
    ['fd00:18::/64 via fd00:245::9 proto static', 'proto static metric 1024'],
    ['fd00:18::/64 via fd00:245::9 proto ra metric 20', 'proto ra metric 20'],
    ['fd00:18::/64 dev br0 proto kernel metric 256', 'proto kernel dev br0'],
    ['unreachable fd00:18::/64 proto static metric 7', 'proto static metric 7'],
  ];
  for (const [line, error] of cases) {
    const six = line.includes('::');
    const [id, family, prefix] = six
      ? ([2, 'ipv6-unicast', 'fd00:18::/64'] as const)
      : ([1, 'ipv4-unicast', '172.18.0.0/24'] as const);
    const show = () =>
      ip(`${six ? '-6 ' : ''}route show ${prefix}`)
        .trim()
        .split('\n');
    await until('ours is in', () => node.statusOf(id, family) === FibStatus.installed);
    // With our metric too: it takes our place by force.
    ip(`${six ? '-6 ' : ''}route ${line.includes('metric 20') ? 'replace' : 'add'} ${line}`);
    await until('ours has made way', () => node.statusOf(id, family) === FibStatus.failed);
    t.equal(await node.errorOf(prefix), `blocked by ${error}`);
    t.strictSame(await node.different(), [`${prefix} blocked blocked by ${error}`]);
    t.equal(show().length, 1, 'only theirs is there');
    node.submit({ id, prefix, nextHop: id });
    node.status.delete(`${family} ${id}`);
    await until('asked for again: the same answer', () => node.statusOf(id, family) === FibStatus.failed);
    t.equal(show().length, 1);
    const [type] = line.split(' ');
    ip(
      `${six ? '-6 ' : ''}route del ${['blackhole', 'unreachable'].includes(type!) ? line : line.replace(/ via \S+/, '')}`,
    );
    await until('ours is in', () => node.statusOf(id, family) === FibStatus.installed);
    t.match(show(), [/proto bgp metric 20/]);
  }
  // A connected subnet comes with an address.
  ip('addr add 172.18.0.1/24 dev br0');
  await until('blocked', () => node.statusOf(1) === FibStatus.failed);
  t.equal(await node.errorOf('172.18.0.0/24'), 'blocked by proto kernel dev br0');
  ip('addr del 172.18.0.1/24 dev br0');
  await until('ours is in', () => node.statusOf(1) === FibStatus.installed);
  t.equal(node.fib.counts().repaired, 0, 'making way is no repair');
});

const MANY_TURNS = 200;

for (const nexthopObjects of ['auto', 'never'] as const) {
  t.test(`ENETUNREACH by name, retried with patience (nexthop objects: ${nexthopObjects})`, options, async (t) => {
    const node = await started(t, { nexthopObjects });
    node.track(1, '192.168.245.172');
    await until('answer', () => node.nextHops.get(1)?.resolvable === true);
    // The kernel looks the gateway up by the rules, and there is none left for it.
    ip('rule del table main');
    t.teardown(() => ip('rule show').includes('lookup main') || ip('rule add table main pref 32766'));
    node.submit(...Array.from({ length: 200 }, (_, i) => ({ id: i, prefix: `20.0.${i}.0/24`, nextHop: 1 })));
    await until('all refused', () => node.fib.counts().failed === 200);
    t.ok((await node.rows()).every((row) => row.error === 'ENETUNREACH'));
    t.ok((await node.different()).every((line) => line.endsWith('failed ENETUNREACH')));
    const count = await turnsInASecond(node.fib.threadId);
    t.ok(count < MANY_TURNS, `${count} turns of the thread in a second`);
    ip('rule add table main pref 32766');
    await node.untilRight('retried without being told');
    t.strictSame(node.fatals, []);
  });
}

const CHILD = fileURLToPath(new URL('./fixtures/without-permission.js', import.meta.url));
const noSetpriv = spawnSync('setpriv', ['--version']).error && process.env.TORTIE_NO_SKIP !== '1';
const setprivOptions = noSetpriv ? { skip: 'needs setpriv (util-linux)' } : options;

t.test('EPERM by name, said once, retried with patience', setprivOptions, (t) => {
  const drop = ['--bounding-set=-net_admin', '--inh-caps=-net_admin'];
  const { stdout, stderr } = spawnSync('setpriv', [...drop, process.execPath, CHILD], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const seen = JSON.parse(stdout || JSON.stringify({ stderr })) as { turns: number };
  t.match(seen, { errors: ['EPERM'], kinds: ['failed EPERM'], fatals: [/CAP_NET_ADMIN/] });
  t.ok(seen.turns < MANY_TURNS, `${seen.turns} turns of the thread in a second`);
  t.end();
});
