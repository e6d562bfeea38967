/**
 * `fib diff` finds every kind of difference in a real kernel. The core runs here without its thread and does only what it
 * is told to, so nothing is put right while somebody looks; with the thread, what cannot be put right stays to be seen.
 */
import { formatAddress, formatPrefix, parseAddress } from 'bgp-parse';
import { RouteMessage } from 'netlink';
import t, { type Test } from 'tap';
import { type FibDifference, type RouteLead, unpackDifferences } from '../../src/fib/differences.js';
import { DiffRunner } from '../../src/fib/diff-runner.js';
import { compareWithKernel } from '../../src/fib/fib-diff.js';
import { KernelOperation } from '../../src/fib/kernel.js';
import { NetlinkKernel } from '../../src/fib/netlink-kernel.js';
import { BLACKHOLE_TARGET, FIRST_NEXT_HOP_SET } from '../../src/fib/port.js';
import { Syncer, type SyncerSettings } from '../../src/fib/syncer.js';
import { Harness, encodeRecords, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up', 'link add br0 type bridge', 'link set br0 up']);
  ipBatch(['addr add 192.168.245.168/24 dev ens33', 'addr add fd00:245::168/64 dev ens33 nodad']);
  ip('addr add 172.17.0.1/24 dev br0');
}

const SETTINGS = { table: 254, protocol: 186, metric: 20, watchOnly: false, nexthopObjects: 'auto' } as const;

/** The core on the kernel of this namespace; `settle` is the only time it writes. */
class Core {
  readonly kernel = NetlinkKernel.open();
  readonly syncer: Syncer;

  constructor(settings: Partial<SyncerSettings> = {}) {
    const nothing = (): void => undefined;
    const events = {
      ...{ kernelChanged: nothing, nextHopsChanged: nothing, statusChanged: nothing, log: nothing },
      routesPresent: nothing,
    };
    const fatal = (text: string): never => {
      throw new Error(text);
    };
    const nowMs = () => performance.now();
    this.syncer = new Syncer(
      { ...SETTINGS, ...settings },
      this.kernel,
      { ...events, fatal },
      nowMs,
      new RouteMessage(),
    );
    this.syncer.start();
    ['192.168.245.172', '192.168.245.173', 'fd00:245::172', 'fd00:245::173', '10.99.0.1'].forEach((address, i) =>
      this.syncer.trackNextHop(i + 1, parseAddress(address)!, undefined),
    );
    const weigh = (nextHop: number) => ({ nextHop, weight: 1 });
    this.syncer.defineNextHopSet(SET, { primary: [1, 2].map(weigh), backup: [] });
    this.syncer.defineNextHopSet(WITH_BACKUP, { primary: [weigh(1)], backup: [weigh(2)] });
  }

  want(prefix: string, nextHop: number): void {
    const family = prefix.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast';
    this.syncer.submit(family, encodeRecords(family, [{ id: this.#id++, prefix, nextHop }]), 1);
  }

  settle(): void {
    while (this.syncer.step() === 0);
  }

  diff(): string[] {
    return [...unpackDifferences(compareWithKernel(this.syncer, this.kernel)!)].map(text).sort();
  }

  #id = 1;
}

const SET = FIRST_NEXT_HOP_SET;
const WITH_BACKUP = FIRST_NEXT_HOP_SET + 1;

function text({ kind, route, nexthop, desired, actual, detail }: FibDifference): string {
  const what = route ? formatPrefix({ bytes: route.prefix, length: route.length }) : `nexthop ${nexthop! & 0xff}`;
  return `${what} ${kind}: ${leadText(desired)} | ${leadText(actual)}${detail === undefined ? '' : ` (${detail})`}`;
}

function leadText(lead: RouteLead | undefined): string {
  if (!lead) return '-';
  const hops = lead.nextHops.map(({ via, interface: name, weight }) => {
    const gateway = via ? `${formatAddress(via)} ` : '';
    return `${gateway}${name}${weight === 1 ? '' : ` *${weight}`}`;
  });
  const source = lead.source ? ` src ${formatAddress(lead.source)}` : '';
  return `${lead.type === 'unicast' ? '' : lead.type}${hops.join(' + ')}${source} ${lead.by}`;
}

function core(t: Test, settings: Partial<SyncerSettings> = {}): Core {
  const made = new Core(settings);
  t.teardown(() => {
    made.syncer.removeAll();
    made.kernel.close();
  });
  return made;
}

for (const nexthopObjects of ['auto', 'never'] as const) {
  const by = nexthopObjects === 'auto' ? 'object' : 'hops';
  t.test(`each kind of difference, routes by ${by}`, options, async (t) => {
    const c = core(t, { nexthopObjects });
    const kinds = ['lost', 'changed', 'kept'] as const;
    kinds.forEach((_, i) => c.want(`172.18.${i}.0/24`, 1));
    kinds.forEach((_, i) => c.want(`fd00:18:${i}::/64`, 3));
    c.want('172.18.7.0/24', BLACKHOLE_TARGET);
    c.want('172.18.8.0/24', SET);
    c.want('172.18.9.0/24', WITH_BACKUP);
    c.settle();
    t.strictSame(c.diff(), [], 'equal');

    await t.test('missing', (t) => {
      ipBatch(['route del 172.18.0.0/24', 'route del fd00:18::/64', 'route del 172.18.7.0/24']);
      t.strictSame(c.diff(), [
        `172.18.0.0/24 missing: 192.168.245.172 ens33 ${by} | -`,
        '172.18.7.0/24 missing: blackhole hops | -',
        `fd00:18::/64 missing: fd00:245::172 ens33 ${by} | -`,
      ]);
      c.settle();
      t.strictSame(c.diff(), [], 'put right');
      t.end();
    });

    await t.test('next hop: both sides', (t) => {
      ipBatch([
        'route change 172.18.1.0/24 via 192.168.245.66 proto bgp metric 20',
        'route replace blackhole 172.18.2.0/24 proto bgp metric 20',
        'route replace 172.18.8.0/24 proto bgp metric 20 nexthop via 192.168.245.172 nexthop via 192.168.245.66',
        'route change fd00:18:1::/64 via fd00:245::66 proto bgp metric 20',
      ]);
      const both = by === 'object' ? ' *256' : '';
      t.strictSame(c.diff(), [
        `172.18.1.0/24 nextHop: 192.168.245.172 ens33 ${by} | 192.168.245.66 ens33 hops`,
        `172.18.2.0/24 nextHop: 192.168.245.172 ens33 ${by} | blackhole hops`,
        `172.18.8.0/24 nextHop: 192.168.245.172 ens33${both} + 192.168.245.173 ens33${both} ${by} | 192.168.245.172 ens33 + 192.168.245.66 ens33 hops`,
        `fd00:18:1::/64 nextHop: fd00:245::172 ens33 ${by} | fd00:245::66 ens33 hops`,
      ]);
      c.settle();
      t.strictSame(c.diff(), [], 'put right');
      t.end();
    });

    await t.test('extra', (t) => {
      ipBatch([
        'route add 172.30.0.0/24 via 192.168.245.66 proto bgp metric 20',
        'route add fd00:30::/64 via fd00:245::66 proto bgp metric 20',
        // Somebody else's, by protocol, metric or table.
        'route add 172.31.0.0/24 via 192.168.245.66 proto static metric 20',
        'route add 172.31.0.0/24 via 192.168.245.66 proto bgp metric 21',
        'route add 172.31.0.0/24 via 192.168.245.66 proto bgp metric 20 table 77',
      ]);
      t.strictSame(c.diff(), [
        '172.30.0.0/24 extra: - | 192.168.245.66 ens33 hops',
        'fd00:30::/64 extra: - | fd00:245::66 ens33 hops',
      ]);
      c.settle();
      t.strictSame(c.diff(), [], 'put right');
      ipBatch(['route del 172.31.0.0/24 metric 20', 'route del 172.31.0.0/24 metric 21']);
      ip('route del 172.31.0.0/24 table 77');
      t.end();
    });

    await t.test('blocked, in and out of the way', (t) => {
      ipBatch(['route add 172.18.0.0/24 via 192.168.245.9 proto static', 'route add 172.18.1.0/24 dev br0 metric 7']);
      const seen = [
        `172.18.0.0/24 blocked: 192.168.245.172 ens33 ${by} | - (blocked by proto static metric 0)`,
        `172.18.1.0/24 blocked: 192.168.245.172 ens33 ${by} | - (blocked by proto boot metric 7)`,
      ];
      t.strictSame(
        c.diff(),
        seen.map((line) => line.replace('| -', `| 192.168.245.172 ens33 ${by}`)),
        'ours is still in',
      );
      c.settle();
      t.strictSame(c.diff(), seen);
      ipBatch(['route del 172.18.0.0/24 proto static', 'route del 172.18.1.0/24 dev br0']);
      c.settle();
      t.strictSame(c.diff(), [], 'put right');
      t.end();
    });

    await t.test('unreachable, and waiting', (t) => {
      c.want('172.18.3.0/24', 5);
      c.want('172.18.4.0/24', 1);
      t.strictSame(c.diff(), [
        '172.18.3.0/24 unreachable: - | - (waits to be written)',
        `172.18.4.0/24 missing: 192.168.245.172 ens33 ${by} | - (waits to be written)`,
      ]);
      c.settle();
      t.strictSame(c.diff(), ['172.18.3.0/24 unreachable: - | - (next hop 10.99.0.1 is not reachable: no route)']);
      c.want('172.18.3.0/24', 0);
      c.want('172.18.4.0/24', 0);
      t.match(c.diff(), [/^172\.18\.4\.0\/24 extra: - \| .* \(waits to be written\)$/]);
      c.settle();
      t.end();
    });

    await t.test('failed: by the name of the refusal', (t) => {
      // The kernel looks a gateway up by the rules, and there is none left for it.
      ip('rule del table main');
      ip('nexthop flush');
      c.want('172.18.5.0/24', 2);
      c.settle();
      ip('rule add table main pref 32766');
      t.ok(c.diff().includes(`172.18.5.0/24 failed: 192.168.245.173 ens33 ${by} | - (ENETUNREACH)`), String(c.diff()));
      t.end();
    });
  });
}

t.test('nexthop objects behind our back', options, async (t) => {
  const c = core(t);
  c.want('172.18.0.0/24', 1);
  c.want('172.18.8.0/24', SET);
  c.want('172.18.9.0/24', WITH_BACKUP);
  c.settle();
  t.strictSame(c.diff(), []);
  const objects = ip('nexthop show protocol 186').trim().split('\n');
  const idOf = (pattern: RegExp) => /id (\d+)/.exec(objects.find((line) => pattern.test(line))!)![1]!;
  const group = idOf(/group \d+,256\/\d+,256/);
  const withBackup = idOf(/group \d+,256\/\d+ /);

  ip(`nexthop replace id ${idOf(/192\.168\.245\.173/)} via 192.168.245.66 dev ens33 protocol 186`);
  t.match(c.diff(), [
    /^172\.18\.8\.0\/24 nextHop: .*\.173 ens33 \*256 object \| .*\.66 ens33 \*256 object$/,
    /^172\.18\.9/,
  ]);
  c.settle();
  t.strictSame(c.diff(), []);

  ip(`nexthop del id ${group}`);
  t.match(c.diff(), [/^172\.18\.8\.0\/24 missing: /]);
  c.settle();
  t.strictSame(c.diff(), []);

  const [primary] = /(?<=group )\d+/.exec(objects.find((line) => line.startsWith(`id ${withBackup} `))!)!;
  ip(`nexthop replace id ${withBackup} group ${primary} type resilient buckets 1 protocol 186`);
  t.match(
    c.diff(),
    [/^172\.18\.9\.0\/24 nextHop: .*\.172 ens33 \*256 \+ .*\.173 ens33 object \| .*\.172 ens33 object$/],
    'the backup is missing',
  );
  c.settle();
  t.strictSame(c.diff(), []);

  const unused = Number(group) + 100;
  ip(`nexthop add id ${unused} via 192.168.245.66 dev ens33 protocol 186`);
  ip('nexthop add id 77 via 192.168.245.66 dev ens33');
  t.match(c.diff(), [/^nexthop \d+ extra: - \| 192\.168\.245\.66 ens33 object \(no route uses it\)$/]);
  c.settle();
  t.strictSame(c.diff(), []);
  ip('route replace 172.18.0.0/24 nhid 77 proto bgp metric 20');
  t.match(c.diff(), [/^172\.18\.0\.0\/24 nextHop: .* object \| 192\.168\.245\.66 ens33 foreignObject$/]);
  c.settle();
  ip('nexthop del id 77');
  t.strictSame(c.diff(), []);
});

t.test('routes of a previous run are extra until they are swept', options, async (t) => {
  const before = new Core();
  before.want('172.18.0.0/24', 1);
  before.settle();
  before.kernel.close();
  const c = core(t);
  t.strictSame(c.diff(), [
    '172.18.0.0/24 extra: - | 192.168.245.172 ens33 object (of a previous run, kept until End-of-RIB or the end of the restart time)',
  ]);
  c.syncer.sweepStale();
  c.settle();
  t.strictSame(c.diff(), []);
});

t.test('preferred source, VRF-like tables and another metric', options, async (t) => {
  const prefSrc = { ipv4: parseAddress('172.17.0.1')!, ipv6: undefined };
  const c = core(t, { prefSrc, table: 1000, metric: 0 });
  c.want('172.18.0.0/24', 1);
  c.want('fd00:18::/64', 3);
  c.settle();
  t.strictSame(c.diff(), []);
  ip('route change 172.18.0.0/24 via 192.168.245.172 proto bgp table 1000');
  t.match(c.diff(), [/ens33 src 172\.17\.0\.1 object \| 192\.168\.245\.172 ens33 hops$/]);
  c.settle();
  t.strictSame(c.diff(), []);
});

for (const nexthopObjects of ['auto', 'never'] as const) {
  t.test(`read in slices while routes are written (nexthop objects: ${nexthopObjects})`, options, (t) => {
    const c = core(t, { nexthopObjects });
    const many = 3000;
    const name = (i: number) => (i % 2 ? `20.${i >> 8}.${i & 255}.0/24` : `2001:db8:${i.toString(16)}::/48`);
    const nextHopOf = (i: number, other = 0) => (i % 2 ? 1 + other : 3 + other);
    for (let i = 0; i < many; i++) c.want(name(i), nextHopOf(i));
    c.settle();
    // By the socket whose echo the mirror does not hear, so nobody but the reading can know.
    const remove = (address: string, length: number) => {
      const message = new RouteMessage();
      const bytes = parseAddress(address)!;
      Object.assign(message, { family: bytes.length === 4 ? 2 : 10, dstLength: length, table: 254, priority: 20 });
      Object.assign(message, { protocol: 186, scope: 255, type: 0 });
      message.dst.set(bytes);
      c.kernel.queue(KernelOperation.remove, message);
      t.equal(
        c.kernel.commit((_, errno) => t.fail(`errno ${errno}`)),
        'done',
      );
    };
    const answers: string[][] = [];
    let now = 0;
    const runner = new DiffRunner(
      c.syncer,
      c.kernel,
      () => (now += 10),
      (requests, differences) => requests.forEach(() => answers.push([...unpackDifferences(differences!)].map(text))),
    );
    let slices = 0;
    const compare = (between: (slice: number) => void) => {
      runner.request(1);
      for (slices = 0; runner.step(); slices++) between(slices);
      t.ok(slices > 5, `${slices} slices`);
      return answers.pop();
    };
    let turn = 0;
    const churn = () => {
      // Some are led elsewhere, some go, some come back, some are new.
      for (let k = 0; k < 60; k++) {
        const i = (turn * 61 + k * 37) % (many + 200);
        c.want(name(i), (turn + k) % 5 === 0 ? 0 : nextHopOf(i, (turn + k) % 2));
      }
      turn++;
      c.settle();
    };
    t.strictSame(
      compare(() => undefined),
      [],
    );
    t.strictSame(compare(churn), [], 'what is written meanwhile is no difference');
    for (let i = 1; i < many; i += 4) c.want(name(i), WITH_BACKUP);
    c.settle();
    const swing = (slice: number) => {
      c.syncer.setNextHopDown(1, slice % 2 === 0);
      c.settle();
    };
    const unreachable = compare(swing)!;
    c.syncer.setNextHopDown(1, false);
    t.ok(
      unreachable.every((line) => line.includes('its peer is down')),
      'nor are next hops that move to their backup and back',
    );
    t.notMatch(unreachable.join(), /20\.0\.1\.0/);
    for (let i = 0; i < many; i++) c.want(name(i), nextHopOf(i));
    c.settle();
    remove('20.5.1.0', 24);
    remove('2001:db8:500::', 48);
    const by = nexthopObjects === 'auto' ? 'object' : 'hops';
    const lost = [
      `20.5.1.0/24 missing: 192.168.245.172 ens33 ${by} | -`,
      `2001:db8:500::/48 missing: fd00:245::172 ens33 ${by} | -`,
    ];
    t.strictSame(
      compare(() => undefined),
      lost,
    );
    const others = () => {
      for (let k = 0; k < 40; k++) {
        const i = 2000 + ((turn * 41 + k) % 900);
        c.want(name(i), turn % 3 === 0 ? 0 : nextHopOf(i));
      }
      turn++;
      c.settle();
    };
    t.strictSame(compare(others)?.sort(), lost, 'and what nobody else knows is found beside it');
    runner.close();
    t.end();
  });
}

t.test('through the thread', options, async (t) => {
  const h = new Harness();
  t.teardown(() => h.fib.stop(false));
  await h.fib.start();
  h.track(1, '192.168.245.172');
  h.track(2, '10.99.0.1');
  const many = Array.from({ length: 3000 }, (_, i) => ({ id: i, prefix: `20.${i >> 8}.${i & 255}.0/24`, nextHop: 1 }));
  h.submit(...many, { id: 5000, prefix: '172.18.0.0/24', nextHop: 2 });
  h.submit({ id: 5001, prefix: '172.17.0.0/24', nextHop: 1 });
  await until('all installed', () => h.fib.counts().installed === 3000 && h.statusOf(5001) === 3);
  t.strictSame([...(await h.fib.diff())].map(text).sort(), [
    '172.17.0.0/24 blocked: 192.168.245.172 ens33 object | - (blocked by proto kernel dev br0)',
    '172.18.0.0/24 unreachable: - | - (next hop 10.99.0.1 is not reachable: no route)',
  ]);
  // Two at once, and more differences than the first room for them.
  ip('link set ens33 down');
  await until('all waiting', () => h.fib.counts().pending === 3001);
  const [one, two] = await Promise.all([h.fib.diff(), h.fib.diff()]);
  t.equal([...one].filter(({ kind }) => kind === 'unreachable').length, 3001);
  t.equal([...two].length, 3002);
  ip('link set ens33 up');
  ip('addr add fd00:245::168/64 dev ens33 nodad');
});
