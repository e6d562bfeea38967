/** Hosts that peer only with a route reflector, and hosts that peer only with the LAN's gateway. */
import t from 'tap';
import { readFile } from 'node:fs/promises';
import type { PeerDto, RouteDto } from '../../src/control/dto.js';
import { probe, startStream } from '../../src/lab/probe.js';
import { hostAddress, scenario, subnetAddresses, type ScenarioPlan } from '../../src/lab/scenarios.js';
import { addSite, pairs, untilRouted, type Site } from '../../src/lab/site.js';
import { cannotRunLab, seconds, testNetwork, untilEstablished } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 30_000;

interface Assertions {
  match(found: unknown, pattern: object, message: string): boolean;
}

/** Every container pings every other, both families. */
async function allReach(t: Assertions, plan: ScenarioPlan, hosts: readonly Site[]): Promise<void> {
  for (const [from, to] of pairs(hosts)) {
    for (const version of [4, 6] as const) {
      const source = subnetAddresses(from.plan.subnet!, version).container;
      const target = subnetAddresses(to.plan.subnet!, version).container;
      const [result] = await probe(from.container!, [target]);
      t.match(result, { reply: { from: target, ttl: plan.replyTtl }, seenAs: source }, `${source} -> ${target}`);
    }
  }
}

t.test('route reflector: routes point at the owning host; a host joins by itself', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t);
  const plan = scenario('route-reflector');
  const build = async (site: (typeof plan.hosts)[0]): Promise<Site> => {
    const built = await addSite(network, segment, site);
    watch.push(built.node);
    return built;
  };
  const [reflector] = (await Promise.all(plan.routers.map(build))) as [Site];
  const hosts = await Promise.all(plan.hosts.map(build));
  await reflector.node.start();
  await Promise.all(hosts.map(({ node }) => node.start()));
  await untilRouted(plan, hosts, [4, 6], WAIT_MS);

  const config = await readFile(reflector.node.configFile, 'utf8');
  const { pid } = reflector.node;
  for (const latecomer of plan.latecomers) {
    const site = await build(latecomer);
    hosts.push(site);
    await site.node.start();
    const { tookMs } = await hosts[0]!.node.untilRoute(
      subnetAddresses(latecomer.subnet!, 4).prefix,
      hostAddress(latecomer, 4),
      WAIT_MS,
    );
    t.comment(`Node-1 has the route to ${latecomer.name} ${seconds(tookMs)} after its control socket`);
  }
  await untilRouted(plan, hosts, [4, 6], WAIT_MS);
  t.equal(await readFile(reflector.node.configFile, 'utf8'), config, "the reflector's configuration is the same");
  t.equal(reflector.node.pid, pid, 'and its process too');

  await t.test('packets do not pass the reflector', async (t) => {
    const forwarding = await network.sh(reflector.node.host.namespace, 'cat /proc/sys/net/ipv4/ip_forward');
    t.equal(forwarding.trim(), '0');
    t.same(
      (await reflector.node.kernelRoutes()).map((route) => route.dst),
      ['192.168.245.0/24'],
      'its kernel has learnt nothing',
    );
    await allReach(t, plan, hosts);
  });

  await t.test('the reflector shows its dynamic peers', async (t) => {
    const peers = await reflector.node.query<PeerDto[]>('show', 'peers');
    t.same(peers.map((peer) => peer.address).sort(), hosts.map((site) => hostAddress(site.plan, 4)).sort());
    for (const peer of peers) {
      t.match(peer, { state: 'Established', dynamic: true, type: 'internal', group: 'nodes', asn: 64512 });
    }
    const [route] = await hosts[0]!.node.query<RouteDto[]>('show', 'routes', '172.19.0.0/24');
    t.match(route, { nextHop: '192.168.245.176', peer: '192.168.245.10', best: true, installed: true });
    t.ok(route!.originatorId, 'ORIGINATOR_ID is there');
    t.equal(route!.clusterList?.length, 1, 'CLUSTER_LIST has the one reflector');
  });

  await t.test('packets flow on while the reflector is killed and started again', async (t) => {
    const stream = startStream(hosts[0]!.container!, '172.18.0.2');
    await reflector.node.stop('SIGKILL');
    await reflector.node.start();
    for (const { node, plan: site } of hosts) {
      await untilEstablished(node, '192.168.245.10', WAIT_MS);
      await untilEstablished(reflector.node, hostAddress(site, 4), WAIT_MS);
    }
    await untilRouted(plan, hosts, [4, 6], WAIT_MS);
    const { sent, answered } = await stream.end();
    t.ok(sent > 10, `${sent} pings`);
    t.equal(answered, sent, 'all answered');
  });

  await t.test('a host that leaves is gone everywhere', async (t) => {
    const leaving = hosts.pop()!;
    await leaving.node.stop();
    for (const { node } of hosts) {
      const gone = [4, 6].map((version) => ({
        prefix: subnetAddresses(leaving.plan.subnet!, version as 4 | 6).prefix,
        gateway: undefined,
      }));
      await t.resolves(node.untilRoutes(gone, WAIT_MS));
    }
    await untilRouted(plan, hosts, [4, 6], WAIT_MS);
  });
});

t.test('gateway: everything goes through it', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t);
  const plan = scenario('gateway');
  const [gateway, ...hosts] = (await Promise.all(
    [...plan.routers, ...plan.hosts].map(async (site) => {
      const built = await addSite(network, segment, site);
      watch.push(built.node);
      return built;
    }),
  )) as [Site, ...Site[]];
  await gateway.node.start();
  await Promise.all(hosts.map(({ node }) => node.start()));
  await untilRouted(plan, hosts, [4, 6], WAIT_MS);
  await allReach(t, plan, hosts);

  const [route] = await hosts[0]!.node.query<RouteDto[]>('show', 'routes', '172.18.0.0/24');
  t.match(route, { nextHop: '192.168.245.1', asPath: [64500, 64514], peer: '192.168.245.1', best: true });
  t.match(
    (await gateway.node.kernelRoutes()).filter((kernel) => kernel.protocol === 'bgp'),
    [
      { dst: '172.17.0.0/24', gateway: '192.168.245.168' },
      { dst: '172.18.0.0/24', gateway: '192.168.245.172' },
    ],
    "the gateway's own routes point at the hosts",
  );

  await t.test('without policies nothing passes, and show peers says why (RFC 8212)', async (t) => {
    const [first, second] = hosts as [Site, Site];
    const peers = [{ address: '192.168.245.1', asn: 64500 }];
    await first.node.configure({ ...first.plan.config, peers });
    first.node.reload();
    await first.node.untilRoutes(
      [
        { prefix: '172.18.0.0/24', gateway: undefined },
        { prefix: 'fd00:18::/64', gateway: undefined },
      ],
      WAIT_MS,
    );
    await second.node.untilRoute('172.17.0.0/24', undefined, WAIT_MS);
    const peer = await first.node.query<PeerDto>('show', 'peer', '192.168.245.1');
    t.match(peer.notes.join('\n'), /RFC 8212/);
  });
});
