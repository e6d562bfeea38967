/**
 * The main job, end to end: two hosts with a container bridge each, a `tortied` on both, told nothing but their AS,
 * their peer and their bridge. Times are reported, not asserted: what must happen is waited for, within a bound that no
 * machine reaches unless something waits for the wrong timer (a connect retry is 30 s by default).
 */
import t from 'tap';
import type { PeerDto, RouteDto } from '../../src/control/dto.js';
import { probe } from '../../src/lab/probe.js';
import { hostAddress, scenario, subnetAddresses } from '../../src/lab/scenarios.js';
import { addSite, untilRouted, type Site } from '../../src/lab/site.js';
import { cannotRunLab, seconds, testNetwork, twoHosts } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;
const NODE_1 = '192.168.245.168';
const NODE_2 = '192.168.245.172';

/** Without the numbers of nexthop objects. */
const lines = (text: string) => text.split('\n').map((line) => line.trim().replace(/ nhid \d+/, ''));

t.test('IPv4, as by hand but by itself', { skip }, async (t) => {
  const { network, one, two } = await twoHosts(t);

  t.ok(
    lines(await network.ip(one.node.host.namespace, 'route')).includes(
      '172.18.0.0/24 via 192.168.245.172 dev ens33 proto bgp metric 20',
    ),
    "Node-1's route to Node-2's containers",
  );
  t.ok(
    lines(await network.ip(two.node.host.namespace, 'route')).includes(
      '172.17.0.0/24 via 192.168.245.168 dev ens33 proto bgp metric 20',
    ),
    "Node-2's route to Node-1's containers",
  );
  t.match(
    await probe(one.container!, ['172.18.0.2']),
    [{ reply: { from: '172.18.0.2', ttl: 62 }, seenAs: '172.17.0.2' }],
    'container reaches container, no NAT',
  );
  t.match(await probe(two.container!, ['172.17.0.2']), [{ reply: { ttl: 62 }, seenAs: '172.18.0.2' }], 'and back');

  await t.test('bgpctl shows it', async (t) => {
    const routes = await one.node.query<RouteDto[]>('show', 'routes');
    const route = (prefix: string) => routes.find((candidate) => candidate.prefix === prefix);
    t.match(route('172.18.0.0/24'), { best: true, installed: true, peer: NODE_2, peerAsn: 64512, nextHop: NODE_2 });
    t.match(route('172.17.0.0/24'), { best: true, peer: null, asPath: [] });
    t.equal(routes.length, 2, 'and nothing else');
    t.match(await one.node.query<PeerDto>('show', 'peer', NODE_2), { state: 'Established', received: 1, accepted: 1 });
  });

  await t.test("a changed bridge address is followed by the other host's kernel, nothing restarted", async (t) => {
    const pids = [one.node.pid, two.node.pid];
    const sessions = (await one.node.query<PeerDto>('show', 'peer', NODE_2)).sessionsEstablished;
    const { namespace } = two.node.host;
    await network.ip(namespace, 'addr', 'del', '172.18.0.1/24', 'dev', 'br0');
    await network.ip(namespace, 'addr', 'add', '172.19.0.1/24', 'dev', 'br0');
    const { tookMs } = await one.node.untilRoutes(
      [
        { prefix: '172.18.0.0/24', gateway: undefined },
        { prefix: '172.19.0.0/24', gateway: NODE_2 },
      ],
      WAIT_MS,
    );
    t.comment(`followed after ${seconds(tookMs)}`);
    await network.ip(two.container!.namespace, 'addr', 'add', '172.19.0.2/24', 'dev', 'eth0');
    await network.ip(two.container!.namespace, 'route', 'replace', 'default', 'via', '172.19.0.1');
    t.match(await probe(one.container!, ['172.19.0.2']), [{ reply: { ttl: 62 }, seenAs: '172.17.0.2' }]);
    t.same([one.node.pid, two.node.pid], pids, 'the same processes');
    t.equal((await one.node.query<PeerDto>('show', 'peer', NODE_2)).sessionsEstablished, sessions, 'the same session');
    await network.ip(namespace, 'addr', 'del', '172.19.0.1/24', 'dev', 'br0');
    await network.ip(namespace, 'addr', 'add', '172.18.0.1/24', 'dev', 'br0');
    await one.node.untilRoute('172.18.0.0/24', NODE_2, WAIT_MS);
  });

  await t.test('a clean stop takes the routes along; a start brings them back', async (t) => {
    const stopped = two.node.stop('SIGTERM');
    const gone = await one.node.untilRoute('172.18.0.0/24', undefined, WAIT_MS);
    t.comment(`gone ${seconds(gone.tookMs)} after SIGTERM`);
    t.same(await stopped, { code: 0, signal: null }, 'exit code 0');
    t.same(
      (await two.node.kernelRoutes()).filter((route) => route.protocol === 'bgp'),
      [],
      'nor is one left on Node-2',
    );
    const startedMs = performance.now();
    await two.node.start();
    await one.node.untilRoute('172.18.0.0/24', NODE_2, WAIT_MS);
    t.comment(`back ${seconds(performance.now() - startedMs)} after the start`);
    await two.node.untilRoute('172.17.0.0/24', NODE_1, WAIT_MS);
  });
});

t.test('a refresh leaves everything as it was', { skip }, async (t) => {
  const { one } = await twoHosts(t);
  const before = await one.node.query<PeerDto>('show', 'peer', NODE_2);
  await one.node.bgpctl('peer', NODE_2, 'refresh');
  await one.node.until('the refresh to be over', WAIT_MS, async () => {
    const peer = await one.node.query<PeerDto>('show', 'peer', NODE_2);
    return peer.updatesIn > before.updatesIn && peer.notes.length === 0 ? true : undefined;
  });
  t.match(await one.node.query<RouteDto[]>('show', 'routes', '172.18.0.0/24'), [{ stale: false, installed: true }]);
});

t.test('IPv6 alone', { skip }, async (t) => {
  // A host without any IPv4 address has nothing to derive a router id from.
  const { network, segment, watch } = await testNetwork(t);
  const plan = scenario('two-hosts', 6);
  const [one, two] = (await Promise.all(
    plan.hosts.map(async (site) => {
      const config = { ...site.config, routerId: `10.0.0.${site.host}` };
      const built = await addSite(network, segment, site, { versions: [6], config });
      watch.push(built.node);
      return built;
    }),
  )) as [Site, Site];
  await Promise.all([one.node.start(), two.node.start()]);
  await untilRouted(plan, [one, two], [6], WAIT_MS);
  t.ok(
    lines(await network.ip(one.node.host.namespace, '-6', 'route')).includes(
      'fd00:18::/64 via fd00:245::172 dev ens33 proto bgp metric 20 pref medium',
    ),
  );
  t.match(await probe(one.container!, ['fd00:18::2']), [{ reply: { ttl: 62 }, seenAs: 'fd00:17::2' }]);
  await two.node.stop();
  await t.resolves(one.node.untilRoute('fd00:18::/64', undefined, WAIT_MS), 'a clean stop takes it away');
});

for (const transport of [4, 6] as const) {
  t.test(`both families on one session over IPv${transport}`, { skip }, async (t) => {
    const { one, two } = await twoHosts(t, { transport, versions: [4, 6] });
    const peers = await one.node.query<PeerDto[]>('show', 'peers');
    t.match(peers, [{ address: hostAddress(two.plan, transport), state: 'Established' }]);
    t.equal(peers.length, 1);
    t.same([...peers[0]!.families].sort(), ['ipv4-unicast', 'ipv6-unicast']);
    const targets = [4, 6] as const;
    const results = await probe(
      one.container!,
      targets.map((version) => subnetAddresses(18, version).container),
    );
    t.match(results, [
      { reply: { ttl: 62 }, seenAs: '172.17.0.2' },
      { reply: { ttl: 62 }, seenAs: 'fd00:17::2' },
    ]);
  });
}
