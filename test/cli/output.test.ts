/** What people and programs see of each result. */
import t from 'tap';
import type { FibDifferenceDto, FibLeadDto, FibRowDto, PeerDto, RouteDto } from '../../src/control/dto.js';
import { createJsonOutput } from '../../src/cli/output/json.js';
import { createTableOutput } from '../../src/cli/output/table.js';
import { formatAsPath, formatBytes, formatDuration } from '../../src/cli/output/text.js';
import type { JsonLines, Result } from '../../src/cli/result.js';
import { FakeQueries, peer, route } from '../control/fake-queries.js';

async function* batches(...rows: readonly (readonly unknown[])[]): JsonLines {
  for (const batch of rows) yield await Promise.resolve(batch.map((row) => JSON.stringify(row)));
}

async function render(result: Result, columns = 80): Promise<string> {
  let text = '';
  await createTableOutput((part) => Promise.resolve(void (text += part)), columns).print(result);
  return text;
}

async function renderJson(result: Result): Promise<string> {
  let text = '';
  await createJsonOutput((part) => Promise.resolve(void (text += part))).print(result);
  return text;
}

const routes: RouteDto[] = [
  route(),
  route({
    best: false,
    installed: false,
    nextHop: '10.255.255.254',
    asPath: [65001, 65002, [1, 2], 65003],
    origin: 'incomplete',
    reason: 'longer AS path than the best one',
  }),
  route({
    prefix: '2001:db8:1234:5678:9abc::/80',
    family: 'ipv6-unicast',
    nextHop: 'fd00:245:1:2:3:4:5:172',
    stale: true,
  }),
  route({ prefix: 'fd00:18::/64', family: 'ipv6-unicast', peer: null, nextHop: 'fd00::1' }),
];

t.test('show routes', async (t) => {
  const text = await render({ kind: 'routes', lines: batches(routes) });
  t.equal(
    text,
    `* best, = multipath, b backup, K in the kernel, S stale
     Prefix                  Next hop              AS path        Why
*K   172.18.0.0/24           192.168.245.172       i              only path
     172.18.0.0/24           10.255.255.254        65001 65002    longer AS path
                                                   {1 2} 65003 ?  than the best
                                                                  one
*KS  2001:db8:1234:5678:9abc::/80
                             fd00:245:1:2:3:4:5:172
                                                   i              only path
*K   fd00:18::/64            fd00::1               i              only path
`,
  );
  for (const line of text.split('\n')) t.ok(line.length <= 80, line);
  const wide = await render({ kind: 'routes', lines: batches(routes) }, 160);
  t.match(wide, /\*KS +2001:db8:1234:5678:9abc::\/80 +fd00:245:1:2:3:4:5:172 +192\.168\.245\.172 +i +only path\n/);
  t.match(wide, /fd00:18::\/64 .* this node /, 'a wide terminal shows the peer');
  t.equal(await render({ kind: 'routes', lines: batches() }), 'no routes\n');
});

t.test('the first batch fixes the columns', async (t) => {
  const text = await render({ kind: 'routes', lines: batches([routes[0]], [routes[2], routes[0]]) });
  const lines = text.split('\n').filter((line) => line.includes('172.18.0.0/24'));
  t.equal(lines.length, 2);
  t.equal(lines[0], lines[1]);
  t.equal(text.match(/Prefix/g)?.length, 1, 'one heading');
});

t.test('show peers', async (t) => {
  const peers: PeerDto[] = [
    ...new FakeQueries().peerList,
    peer({
      address: '2001:db8:1234:5678:9abc:def0:1234:5678',
      asn: 4294967294,
      received: 1_234_567,
      accepted: 1_234_567,
      advertised: 1_234_567,
    }),
    peer({
      address: '10.0.0.9',
      asn: null,
      state: 'OpenConfirm',
      uptimeSeconds: null,
      received: 0,
      accepted: 0,
      advertised: 0,
    }),
  ];
  const text = await render({ kind: 'peers', lines: batches(peers) });
  t.equal(
    text,
    `Peer                      AS  State              Up  Received  Accepted  Advert.
192.168.245.172        64512  Established  00:12:33         3         3        1
fd00:245::172     4200000001  Active              -         0         0        0
    last error: connection refused
    external peer without import and export policy: no routes pass (RFC 8212);
    set import and export
2001:db8:1234:5678:9abc:def0:1234:5678
                  4294967294  Established  00:12:33   1234567   1234567  1234567
10.0.0.9                   -  OpenConfirm         -         0         0        0
`,
  );
});

t.test('show peer: BFD', async (t) => {
  const bfd: PeerDto['bfd'] = {
    ...{ state: 'Up', remoteState: 'Up', diagnostic: 'none', remoteDiagnostic: 'none', multihop: true, upSeconds: 61 },
    ...{ intervalMs: 50, detectionMs: 150, minTxMs: 50, minRxMs: 50, multiplier: 3, error: null },
    ...{ remoteMinTxMs: 40, remoteMinRxMs: 30, remoteMultiplier: 5, localDiscriminator: 1, remoteDiscriminator: 2 },
    ...{ flaps: 1, lastDown: 'path down', packetsIn: 7, packetsOut: 8, packetsDiscarded: 9 },
  };
  const text = await render({ kind: 'peer', peer: peer({ bfd }) });
  t.match(text, /BFD +Up for 00:01:01, the peer's is Up, multihop\n/);
  t.match(text, /BFD timers +sends every 50 ms, detects in 150 ms\n/);
  t.match(text, /BFD peer +sends every 40 ms, takes every 30 ms, multiplier 5\n/);
  t.match(text, /BFD packets +7 in, 8 out, 9 discarded\nBFD flaps +1, last: path down\n/);
  const lost = {
    state: 'Down',
    remoteState: null,
    diagnostic: 'path down',
    upSeconds: null,
    remoteMultiplier: null,
  } as const;
  const down = await render({
    kind: 'peer',
    peer: peer({ bfd: { ...bfd, ...lost, detectionMs: null, error: 'no way' } }),
  });
  t.match(down, /BFD +Down \(path down\), nothing heard of the peer, multihop\nBFD error +no way\n/);
  t.match(down, /detects in -\nBFD peer +not known\n/);
  t.notMatch(await render({ kind: 'peer', peer: peer() }), /BFD/, 'nothing where it is not configured');
});

t.test('show peer, show summary', async (t) => {
  const text = await render({
    kind: 'peer',
    peer: peer({ description: 'the other host', lastError: 'hold timer expired', notes: ['a note'] }),
  });
  t.match(text, /^Peer +192\.168\.245\.172\nState +Established for 00:12:33\nAS +64512 \(internal\)\n/);
  t.match(text, /\nNote +a note\n/);
  t.match(text, /\nLast error +hold timer expired\n/);
  const summary = await render({
    kind: 'summary',
    summary: { ...new FakeQueries().summary(), clusterId: '10.0.0.1', warnings: ['low'] },
  });
  t.match(summary, /\nRouter id +192\.168\.245\.168\nCluster id +10\.0\.0\.1\nUp +1d03h\n/);
  t.match(summary, /\nWarning +low\n$/);
  for (const line of (text + summary).split('\n')) t.ok(line.length <= 80, line);
});

t.test('show fib', async (t) => {
  const row: FibRowDto = {
    prefix: '172.18.0.0/24',
    nextHops: [{ via: '192.168.245.172', interface: 'ens33', weight: 1 }],
    table: 254,
    metric: 20,
    protocol: 186,
    state: 'installed',
    error: null,
  };
  const failed: FibRowDto = {
    ...row,
    prefix: 'fd00:18::/64',
    nextHops: [
      { via: 'fe80::1', interface: 'eth0', weight: 1 },
      { via: null, interface: 'eth1', weight: 3 },
    ],
    state: 'failed',
    error: 'a route of another program (proto static) stands there',
  };
  t.equal(
    await render({ kind: 'fib', lines: batches([row, failed]) }),
    `Prefix              Next hop                       Metric  State
172.18.0.0/24       via 192.168.245.172 dev ens33      20  installed
fd00:18::/64        via fe80::1 dev eth0 weight 1      20  failed
                    dev eth1 weight 3
    a route of another program (proto static) stands there
`,
  );
});

t.test('fib diff', async (t) => {
  const lead: FibLeadDto = {
    type: 'unicast',
    nextHops: [{ via: '192.168.245.172', interface: 'ens33', onlink: false, weight: 1 }],
    source: null,
    by: 'object',
  };
  const blackhole: FibLeadDto = { type: 'blackhole', nextHops: [], source: null, by: 'hops' };
  const base = { prefix: '172.18.0.0/24', nexthop: null, desired: lead, actual: null, detail: null };
  const rows: FibDifferenceDto[] = [
    { ...base, kind: 'missing' },
    { ...base, kind: 'nextHop', actual: blackhole },
    { ...base, kind: 'extra', prefix: null, nexthop: 3124, desired: null, actual: { ...lead, source: '10.0.0.1' } },
    { ...base, kind: 'blocked', detail: 'blocked by proto static metric 0' },
  ];
  t.equal(
    await render({ kind: 'fibDiff', lines: batches(rows) }),
    `Prefix              Difference   Why
172.18.0.0/24       missing
    desired  via 192.168.245.172 dev ens33
172.18.0.0/24       next hop
    desired  via 192.168.245.172 dev ens33, by a nexthop object
    actual   blackhole, without a nexthop object
nexthop 3124        extra
    actual   via 192.168.245.172 dev ens33, src 10.0.0.1
172.18.0.0/24       blocked      blocked by proto static metric 0
    desired  via 192.168.245.172 dev ens33
`,
  );
});

t.test('monitor', async (t) => {
  async function* events() {
    yield await Promise.resolve([
      { type: 'peer' as const, peer: peer({ state: 'Idle', lastError: 'hold timer expired' }) },
      { type: 'route' as const, route: route({ asPath: [65001] }) },
      { type: 'end-of-snapshot' as const },
      { type: 'withdrawn' as const, prefix: '172.18.0.0/24', family: 'ipv4-unicast' as const },
      { type: 'lagged' as const, missed: 7 },
    ]);
  }
  t.equal(
    await render({ kind: 'monitor', events: events() }),
    `peer 192.168.245.172 Idle (hold timer expired)
+ 172.18.0.0/24 via 192.168.245.172 from peer 192.168.245.172 path 65001 i (only path)
-- end of snapshot, changes follow
- 172.18.0.0/24
!! 7 changes were missed: this end reads too slowly
`,
  );
  const lines = (await renderJson({ kind: 'monitor', events: events() })).trimEnd().split('\n');
  t.same(
    lines.map((line) => (JSON.parse(line) as { type: string }).type),
    ['peer', 'route', 'end-of-snapshot', 'withdrawn', 'lagged'],
    'one object a line',
  );
});

t.test('JSON is one document', async (t) => {
  t.same(JSON.parse(await renderJson({ kind: 'routes', lines: batches(routes.slice(0, 1), routes.slice(1)) })), routes);
  t.equal(await renderJson({ kind: 'routes', lines: batches() }), '[]\n');
  t.same(JSON.parse(await renderJson({ kind: 'peer', peer: peer() })), peer());
  t.same(JSON.parse(await renderJson({ kind: 'done', peer: '10.0.0.1', command: 'reset' })), {
    peer: '10.0.0.1',
    done: 'reset',
  });
  const problem = { line: 1, column: 2, path: 'asn', message: 'is missing' };
  t.same(JSON.parse(await renderJson({ kind: 'check', file: 'a.yaml', problems: [problem] })), {
    file: 'a.yaml',
    good: false,
    problems: [problem],
  });
});

t.test('values', (t) => {
  t.equal(formatAsPath([1, [2, 3], { confedSequence: [4, 5] }, { confedSet: [6] }]), '1 {2 3} (4 5) [6]');
  t.equal(formatDuration(0), '00:00:00');
  t.equal(formatDuration(86_399), '23:59:59');
  t.equal(formatDuration(3 * 86_400 + 4 * 3600), '3d04h');
  t.equal(formatDuration(743 * 86_400), '2y13d');
  t.equal(formatBytes(5 * 1024 * 1024), '5.0 MB');
  t.end();
});
