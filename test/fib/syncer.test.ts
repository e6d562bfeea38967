/** The core on a kernel of Maps: whatever happens in whatever order, the kernel ends as wanted. */
import { parseAddress } from 'bgp-parse';
import fc, { runs } from '../fixtures/properties.js';
import { RouteMessage } from 'netlink';
import t from 'tap';
import { unpackDifferences } from '../../src/fib/differences.js';
import { compareWithKernel } from '../../src/fib/fib-diff.js';
import type { NexthopSupport } from '../../src/fib/kernel.js';
import { FIRST_NEXT_HOP_SET, FibStatus, type NextHopState } from '../../src/fib/port.js';
import { Syncer, type SyncerEvents } from '../../src/fib/syncer.js';
import { FakeKernel, type FakeRoute, keyOf } from './fixtures/fake-kernel.js';
import { encodeRecords } from './fixtures/harness.js';

const settings = { table: 254, protocol: 186, metric: 20, watchOnly: false, nexthopObjects: 'auto' } as const;

class Bench implements SyncerEvents {
  nowMs = 0;
  readonly kernel = new FakeKernel();
  readonly nextHops = new Map<number, NextHopState>();
  readonly status = new Map<number, number>();
  readonly fatals: string[] = [];
  readonly logs: string[] = [];
  syncer: Syncer;

  constructor(support: NexthopSupport = 'resilientGroups') {
    this.kernel.support = support;
    this.kernel.setLink(1, 'eth0', true);
    this.kernel.setLink(2, 'eth1', true);
    this.kernel.addForeign(connected([10, 0, 1, 0], 1));
    this.kernel.addForeign(connected([10, 0, 2, 0], 2));
    this.kernel.discard();
    this.syncer = this.restart();
  }

  /** A new process on the same kernel. */
  restart(): Syncer {
    this.syncer = new Syncer(settings, this.kernel, this, () => this.nowMs, new RouteMessage());
    this.syncer.start();
    return this.syncer;
  }

  kernelChanged(): void {}
  routesPresent(): void {}
  nextHopsChanged(changes: readonly NextHopState[]): void {
    for (const change of changes) this.nextHops.set(change.id, change);
  }
  statusChanged(_family: string, pairs: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) this.status.set(pairs[i * 2]!, pairs[i * 2 + 1]!);
  }
  log(_level: string, _fields: object, message: string): void {
    this.logs.push(message);
  }
  fatal(message: string): void {
    this.fatals.push(message);
  }

  track(id: number, address: string): void {
    this.syncer.trackNextHop(id, parseAddress(address)!, undefined);
  }

  want(id: number, prefix: string, nextHop: number): void {
    this.syncer.submit('ipv4-unicast', encodeRecords('ipv4-unicast', [{ id, prefix, nextHop }]), 1);
  }

  define(id: number, primary: readonly number[], backup: readonly number[] = []): number {
    const weigh = (nextHop: number) => ({ nextHop, weight: 1 });
    const set = FIRST_NEXT_HOP_SET + id;
    this.syncer.defineNextHopSet(set, { primary: primary.map(weigh), backup: backup.map(weigh) });
    return set;
  }

  /** Steps until nothing is left to do by itself, letting time pass; how many steps that took. */
  settle(limitMs = 120_000): number {
    const end = this.nowMs + limitMs;
    for (let steps = 1; ; steps++) {
      const wait = this.syncer.step();
      if (wait === Infinity || this.nowMs + wait > end) return steps;
      this.nowMs += wait;
      if (steps > 100_000) throw new Error('never comes to rest');
    }
  }

  ours(): string[] {
    return [...this.kernel.routes.values()]
      .filter((route) => route.protocol === 186 && route.priority === 20)
      .map((route) => `${route.dst.join('.')}/${route.dstLength} via ${this.kernel.viaOf(route)}`)
      .sort();
  }
}

function connected(dst: number[], interfaceIndex: number): FakeRoute {
  return foreign(dst, { protocol: 2, interfaceIndex, gateway: [], gatewayFamily: 0 });
}

function foreign(dst: number[], more: Partial<FakeRoute> = {}): FakeRoute {
  const base = { family: 2, dst, dstLength: 24, table: 254, protocol: 4, priority: 0, type: 1 } as const;
  return { ...base, gateway: [10, 0, 1, 9], gatewayFamily: 2, interfaceIndex: 1, ...more };
}

const own = (third: number, gateway = [10, 0, 1, 5]) =>
  foreign([20, 0, third, 0], { protocol: 186, priority: 20, gateway });

t.test('one route: in, moved, out', (t) => {
  const b = new Bench();
  b.track(1, '10.0.1.5');
  b.track(2, '10.0.2.5');
  b.want(7, '20.0.0.0/24', 1);
  b.settle();
  t.strictSame(b.ours(), ['20.0.0.0/24 via 10.0.1.5 1']);
  b.want(7, '20.0.0.0/24', 2);
  b.settle();
  t.strictSame(b.ours(), ['20.0.0.0/24 via 10.0.2.5 2']);
  t.equal(b.kernel.writes, 2, 'replaced in one write');
  b.want(7, '20.0.0.0/24', 2);
  b.status.clear();
  b.settle();
  t.equal(b.kernel.writes, 2, 'said again: no write');
  t.equal(b.status.get(7), FibStatus.installed, 'but an answer');
  b.want(7, '20.0.0.0/24', 0);
  b.settle();
  t.strictSame(b.ours(), []);
  t.equal(b.status.get(7), FibStatus.absent);
  t.equal(b.syncer.mirror.tables[0].rows.used, 2, 'only the connected prefixes are remembered');
  t.end();
});

for (const [errno, error] of [
  [12, 'ENOMEM'],
  [17, 'EEXIST'],
  [28, 'ENOSPC'],
  [101, 'ENETUNREACH'],
  [105, 'ENOBUFS'],
] as const) {
  t.test(`${error}: by name, tried again with growing delays, gone when it ends`, (t) => {
    const b = new Bench();
    b.track(1, '10.0.1.5');
    b.kernel.refusals.set('20.0.0.0/24', errno);
    b.want(7, '20.0.0.0/24', 1);
    const steps = b.settle(60_000);
    t.ok(steps < 40, `${steps} steps in a minute: not spinning`);
    t.equal(b.status.get(7), FibStatus.failed);
    t.match(b.syncer.rows({ table: 0, row: 0 }, 10).rows, [{ error }]);
    t.match([...unpackDifferences(compareWithKernel(b.syncer, b.kernel)!)], [{ kind: 'failed', detail: error }]);
    b.kernel.refusals.clear();
    b.settle();
    t.equal(b.status.get(7), FibStatus.installed);
    t.same(b.syncer.counts[FibStatus.installed], 1);
    t.end();
  });
}

t.test('EPERM is fatal, and said once', (t) => {
  const b = new Bench();
  b.track(1, '10.0.1.5');
  for (let i = 0; i < 5; i++) {
    b.kernel.refusals.set(`20.0.${i}.0/24`, 1);
    b.want(i, `20.0.${i}.0/24`, 1);
  }
  b.settle(60_000);
  t.match(b.fatals, [/CAP_NET_ADMIN/]);
  t.equal(b.fatals.length, 1);
  t.end();
});

t.test('EEXIST by a route of ours that we did not know of is cleared away', (t) => {
  const b = new Bench();
  b.track(1, '10.0.1.5');
  b.kernel.routes.set(keyOf(own(0)), own(0, [10, 0, 1, 77]));
  b.want(7, '20.0.0.0/24', 1);
  b.settle();
  t.strictSame(b.ours(), ['20.0.0.0/24 via 10.0.1.5 1']);
  // One of somebody else, which we have not been told of yet, is not.
  const theirs = foreign([20, 0, 1, 0], { priority: 20 });
  b.kernel.routes.set(keyOf(theirs), theirs);
  b.want(8, '20.0.1.0/24', 1);
  b.settle();
  t.equal(b.status.get(8), FibStatus.failed);
  t.equal(b.kernel.routes.get(keyOf(theirs))?.protocol, 4);
  t.match(b.syncer.rows({ table: 0, row: 0 }, 10).rows[1], { error: 'blocked by proto static metric 20' });
  t.end();
});

t.test('a restart adopts; what is asked for again costs no write; the rest is swept', (t) => {
  const b = new Bench();
  b.track(1, '10.0.1.5');
  for (let i = 0; i < 3; i++) b.want(i, `20.0.${i}.0/24`, 1);
  b.settle();
  const { writes } = b.kernel;
  b.restart();
  t.equal(b.syncer.counts[FibStatus.installed], 3);
  b.track(9, '10.0.1.5');
  b.want(5, '20.0.1.0/24', 9);
  b.settle();
  t.equal(b.kernel.writes, writes);
  b.syncer.sweepStale();
  b.settle();
  t.strictSame(b.ours(), ['20.0.1.0/24 via 10.0.1.5 1']);
  b.syncer.removeAll();
  t.strictSame(b.ours(), []);
  t.end();
});

t.test('an object that is lost while its next hop moves is buried once', (t) => {
  const b = new Bench();
  const via = (gateway: number[], interfaceIndex: number) => foreign([40, 0, 0, 0], { gateway, interfaceIndex });
  b.kernel.addForeign(via([10, 0, 2, 1], 2));
  b.track(1, '40.0.0.1');
  b.want(1, '20.0.0.0/24', 1);
  b.settle();
  for (let round = 0; round < 3; round++) {
    for (const id of [...b.kernel.nexthops.keys()]) b.kernel.removeNexthop(id);
    b.kernel.addForeign(round % 2 ? via([10, 0, 2, 1], 2) : via([10, 0, 1, 1], 1));
    b.kernel.overrun();
    b.settle();
    t.strictSame(b.ours(), [`20.0.0.0/24 via ${round % 2 ? '10.0.2.1 2' : '10.0.1.1 1'}`]);
  }
  // Each has an index of its own.
  for (let i = 2; i < 10; i++) {
    b.track(i, `10.0.1.${i}`);
    b.want(i, `20.0.${i}.0/24`, i);
  }
  b.settle();
  t.equal(b.ours().length, 9);
  for (let i = 2; i < 10; i++) t.ok(b.ours().includes(`20.0.${i}.0/24 via 10.0.1.${i} 1`), String(i));
  for (let i = 2; i < 10; i++) b.want(i, `20.0.${i}.0/24`, 0);
  b.settle();
  t.equal(b.kernel.nexthops.size, 1);
  t.end();
});

t.test('routes that wait to be led elsewhere keep their object until they are', (t) => {
  const b = new Bench();
  const count = 3000;
  b.track(1, '10.0.1.5');
  b.track(2, '10.0.1.6');
  const set = b.define(1, [1], [2]);
  const all = (target: number) => {
    for (let i = 0; i < count; i++) b.want(i + 1, `20.${i >> 8}.${i & 255}.0/24`, target);
  };
  all(set);
  b.settle();
  t.equal(b.ours().length, count);
  // The peer is lost; the speaker decides anew, and names the set no more before the kernel has heard of any route.
  b.syncer.setNextHopDown(1, true);
  all(2);
  b.syncer.forgetNextHopSet(set);
  b.syncer.forgetNextHop(1);
  let least = count;
  for (let wait = 0; wait !== Infinity;) {
    wait = b.syncer.step();
    least = Math.min(least, b.ours().length);
    if (wait !== Infinity) b.nowMs += wait;
  }
  t.equal(least, count, 'no route was gone at any step');
  t.ok(b.ours().every((route) => route.endsWith(' via 10.0.1.6 1')));
  t.equal(b.kernel.nexthops.size, 1, 'and the old object goes afterwards');
  t.end();
});

t.test('a next hop leaves all its groups in one message, if nobody keeps it', (t) => {
  const b = new Bench();
  b.kernel.setLink(3, 'eth2', true);
  b.kernel.addForeign(connected([10, 0, 3, 0], 3));
  ['10.0.1.5', '10.0.2.5', '10.0.3.5', '10.0.1.5'].forEach((address, i) => b.track(i + 1, address));
  const sets = [b.define(1, [1], [2]), b.define(2, [1, 2, 3]), b.define(3, [2], [1])];
  sets.forEach((set, i) => b.want(i, `20.0.${i}.0/24`, set));
  b.settle();
  const before = b.kernel.nexthopWrites;
  b.syncer.setNextHopDown(1, true);
  t.equal(b.kernel.nexthopWrites, before + 1, 'one');
  const leads = ['20.0.0.0/24 via 10.0.2.5 2', '20.0.1.0/24 via 10.0.2.5 2 + 10.0.3.5 3', '20.0.2.0/24 via 10.0.2.5 2'];
  t.strictSame(b.ours(), leads);
  b.settle();
  t.equal(b.kernel.nexthopWrites, before + 1, 'and nothing is left to do: the shares are as they should be');
  t.equal(b.syncer.repaired, 0);

  b.syncer.setNextHopDown(1, false);
  b.settle();
  // Another next hop leads there as well, and its routes stay.
  const other = b.define(4, [4], [3]);
  b.want(4, '20.0.4.0/24', other);
  b.settle();
  b.syncer.setNextHopDown(1, true);
  b.settle();
  t.strictSame(b.ours(), [...leads, '20.0.4.0/24 via 10.0.1.5 1']);
  b.syncer.setNextHopDown(4, true);
  t.strictSame(b.ours(), [...leads, '20.0.4.0/24 via 10.0.3.5 3']);

  // A group that would be left with nobody is led elsewhere first.
  b.want(5, '20.0.5.0/24', b.define(5, [2]));
  b.settle();
  b.syncer.setNextHopDown(1, false);
  b.syncer.setNextHopDown(4, false);
  b.syncer.setNextHopDown(2, true);
  b.settle();
  t.strictSame(b.ours(), [
    '20.0.0.0/24 via 10.0.1.5 1',
    '20.0.1.0/24 via 10.0.1.5 1 + 10.0.3.5 3',
    '20.0.2.0/24 via 10.0.1.5 1',
    '20.0.4.0/24 via 10.0.1.5 1',
  ]);
  b.syncer.removeAll();
  t.same(b.kernel.nexthops, new Map());
  t.end();
});

t.test('a route of somebody else on what groups are made of is spared', (t) => {
  const b = new Bench();
  b.track(1, '10.0.1.5');
  b.track(2, '10.0.2.5');
  b.want(1, '20.0.0.0/24', b.define(1, [1], [2]));
  b.settle();
  const member = [...b.kernel.nexthops.values()].find(({ group }) => group.length)!.group[0]!;
  b.kernel.addForeign(foreign([99, 0, 0, 0], { gateway: [], gatewayFamily: 0, nexthopId: member.id }));
  b.settle();
  b.syncer.setNextHopDown(1, true);
  b.settle();
  t.strictSame(b.ours(), ['20.0.0.0/24 via 10.0.2.5 2']);
  t.ok(
    [...b.kernel.routes.values()].some(({ dst }) => dst[0] === 99),
    'theirs is still there',
  );
  t.end();
});

t.test('recursion through foreign routes only, never through our own', (t) => {
  const b = new Bench();
  b.track(1, '20.0.0.5');
  b.track(2, '10.0.1.5');
  b.want(1, '20.0.0.0/24', 2);
  b.want(2, '30.0.0.0/24', 1);
  b.settle();
  t.match(b.nextHops.get(1), { resolvable: false, detail: 'no route' });
  b.kernel.addForeign(
    foreign([0, 0, 0, 0], { dstLength: 0, gateway: [10, 0, 2, 1], interfaceIndex: 2, priority: 100 }),
  );
  b.settle();
  t.match(b.nextHops.get(1), { resolvable: true, metric: 100, detail: 'via 10.0.2.1 dev eth1 (default route)' });
  t.strictSame(b.ours(), ['20.0.0.0/24 via 10.0.1.5 1', '30.0.0.0/24 via 10.0.2.1 2']);
  t.end();
});

/** What prefixes may be led to: next hops, and sets of them by primaries and backups. */
const choices: readonly (readonly [readonly number[], readonly number[]])[] = [
  ...[[], [1], [2], [3], [4]].map((primary) => [primary, []] as const),
  ...([
    [[1, 2], []],
    [[1], [2]],
    [[2], [3]],
    [[3, 1], []],
    [[4], [1, 2]],
    [[1, 2], [3]],
  ] as const),
];
const prefixCount = 6;
const wantedStep = fc.record({
  kind: fc.constant('want' as const),
  prefix: fc.nat(prefixCount - 1),
  choice: fc.nat(choices.length - 1),
});
const otherSteps = fc.oneof(
  fc.record({
    kind: fc.constant('foreign' as const),
    prefix: fc.nat(prefixCount - 1),
    metric: fc.constantFrom(0, 20, 50),
  }),
  fc.record({
    kind: fc.constant('foreignGone' as const),
    prefix: fc.nat(prefixCount - 1),
    metric: fc.constantFrom(0, 20, 50),
  }),
  fc.record({ kind: fc.constant('delete' as const), prefix: fc.nat(prefixCount - 1) }),
  fc.record({ kind: fc.constant('change' as const), prefix: fc.nat(prefixCount - 1) }),
  fc.record({ kind: fc.constant('link' as const), index: fc.constantFrom(1, 2), up: fc.boolean() }),
  fc.record({ kind: fc.constant('overrun' as const) }),
  fc.record({ kind: fc.constant('moved' as const), index: fc.constantFrom(1, 2) }),
  fc.record({ kind: fc.constant('hint' as const), nextHop: fc.integer({ min: 1, max: 3 }), down: fc.boolean() }),
  fc.record({ kind: fc.constant('nexthopGone' as const), which: fc.nat(7) }),
  fc.record({ kind: fc.constant('nexthopChanged' as const), which: fc.nat(7), other: fc.nat(7) }),
  fc.record({ kind: fc.constant('step' as const), times: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.nat(500) }),
);
const steps = fc.array(fc.oneof({ weight: 2, arbitrary: wantedStep }, { weight: 3, arbitrary: otherSteps }), {
  maxLength: 60,
});

const supports = fc.constantFrom<NexthopSupport>('none', 'groups', 'resilientGroups');

t.test('any history of wishes, foreign routes, sabotage, links, hints and overruns ends as wanted', (t) => {
  fc.assert(
    fc.property(supports, steps, (support, history) => {
      const b = new Bench(support);
      // 1: on eth0; 2: on eth1; 3: behind a gateway, when that route is there; 4: nowhere.
      ['10.0.1.5', '10.0.2.5', '40.0.0.1', '50.0.0.1'].forEach((address, i) => b.track(i + 1, address));
      b.kernel.addForeign(foreign([40, 0, 0, 0], { gateway: [10, 0, 2, 1], interfaceIndex: 2 }));
      const targets = choices.map(([primary, backup], i) =>
        primary.length + backup.length > 1 ? b.define(i, primary, backup) : (primary[0] ?? 0),
      );
      const wanted = new Map<number, number>();
      const down = new Set<number>();
      for (const step of history) {
        switch (step.kind) {
          case 'want':
            wanted.set(step.prefix, step.choice);
            b.want(step.prefix, `20.0.${step.prefix}.0/24`, targets[step.choice]!);
            break;
          case 'hint':
            if (step.down) down.add(step.nextHop);
            else down.delete(step.nextHop);
            b.syncer.setNextHopDown(step.nextHop, step.down);
            break;
          case 'nexthopGone':
            b.kernel.removeNexthop([...b.kernel.nexthops.keys()][step.which] ?? 0);
            break;
          case 'nexthopChanged': {
            const all = [...b.kernel.nexthops.values()];
            const [it, other] = [all[step.which], all[step.other]];
            if (it && other && it.group.length > 0 === other.group.length > 0)
              b.kernel.setNexthop({ ...other, id: it.id });
            break;
          }
          case 'foreign':
            if (b.kernel.links.get(1)!.flags)
              b.kernel.addForeign(foreign([20, 0, step.prefix, 0], { priority: step.metric }));
            break;
          case 'foreignGone': {
            const key = keyOf(foreign([20, 0, step.prefix, 0], { priority: step.metric }));
            if (b.kernel.routes.get(key)?.protocol === 4) b.kernel.remove(key);
            break;
          }
          case 'delete':
            b.kernel.remove(keyOf(own(step.prefix)));
            break;
          case 'change':
            if (b.kernel.routes.get(keyOf(own(step.prefix)))?.protocol === 186)
              b.kernel.addForeign(own(step.prefix, [10, 0, 1, 66]));
            break;
          case 'link':
            if (!b.kernel.links.get(step.index)!.flags === step.up) {
              b.kernel.setLink(step.index, `eth${step.index - 1}`, step.up);
              if (step.up) b.kernel.addForeign(connected([10, 0, step.index, 0], step.index));
            }
            break;
          case 'moved':
            if (b.kernel.links.get(step.index)!.flags)
              b.kernel.addForeign(
                foreign([40, 0, 0, 0], { gateway: [10, 0, step.index, 1], interfaceIndex: step.index }),
              );
            break;
          case 'overrun':
            b.kernel.overrun();
            break;
          case 'step':
            for (let i = 0; i < step.times; i++) b.syncer.step();
            break;
          case 'time':
            b.nowMs += step.ms;
            break;
        }
      }
      b.settle();
      const further = b.kernel.routes.get(keyOf(foreign([40, 0, 0, 0])));
      const via: Record<number, [number, string] | undefined> = {
        1: [1, '10.0.1.5 1'],
        2: [2, '10.0.2.5 2'],
        3: further && [further.interfaceIndex, `10.0.${further.interfaceIndex}.1 ${further.interfaceIndex}`],
      };
      const usable = (nextHops: readonly number[]) =>
        nextHops
          .filter((each) => !down.has(each) && via[each] && b.kernel.links.get(via[each][0])!.flags !== 0)
          .map((each) => via[each]![1])
          .sort();
      const expected: string[] = [];
      for (const [prefix, choice] of wanted) {
        const [primary, backup] = choices[choice]!;
        const leads = usable(primary).length ? usable(primary) : usable(backup);
        const blocked = [...b.kernel.routes.values()].some(
          (route) => route.protocol === 4 && route.dst[0] === 20 && route.dst[2] === prefix,
        );
        const installed = leads.length > 0 && !blocked;
        if (installed) expected.push(`20.0.${prefix}.0/24 via ${leads.join(' + ')}`);
        const status = choice === 0 ? 0 : installed ? 2 : blocked ? 3 : 1;
        if (b.status.get(prefix) !== status)
          throw new Error(`status of ${prefix}: ${b.status.get(prefix)}, not ${status}`);
      }
      t.strictSame(b.ours(), expected.sort());
      const unexpected = [...unpackDifferences(compareWithKernel(b.syncer, b.kernel)!)].filter(
        ({ kind }) => kind !== 'blocked' && kind !== 'unreachable',
      );
      t.strictSame(unexpected, [], 'a fresh reading finds nothing that could be otherwise');
      const { counts } = b.syncer;
      if (counts[FibStatus.installed] !== expected.length) throw new Error(`counts ${String(counts)}`);
      b.syncer.removeAll();
      t.same(b.kernel.nexthops, new Map(), 'no object is left behind');
    }),
    { numRuns: runs(1000) },
  );
  t.end();
});
