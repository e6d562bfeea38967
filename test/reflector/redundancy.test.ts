/**
 * Two reflectors, two hosts with containers: one reflector is killed, comes back, is stopped in good order. The kernels
 * of the hosts must not notice: `ip monitor route` stays silent, and the routes are the same to the letter.
 */
import t from 'tap';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { PeerDto, RouteDto } from '../../src/control/dto.js';
import { addSite } from '../../src/lab/site.js';
import type { Site } from '../../src/lab/site.js';
import { hostAddress } from '../../src/lab/scenarios.js';
import type { SitePlan } from '../../src/lab/scenarios.js';
import { cannotRunLab, testNetwork, untilEstablished } from '../lab/lab-fixture.js';

t.setTimeout(300_000);

const WAIT_MS = 30_000;
/** Short, so that the end of the graceful restart is part of the test. */
const RESTART_SECONDS = 1;
const gracefulRestart = { restartTime: RESTART_SECONDS };

const reflectorPlan = (number: number, clusterId: string): SitePlan => ({
  name: `Reflector-${number}`,
  host: number,
  subnet: undefined,
  forwarding: false,
  config: {
    asn: 64512,
    clusterId,
    fib: { enabled: false },
    groups: { nodes: { asn: 64512, routeReflectorClient: true, gracefulRestart } },
    listenRanges: [{ prefix: '192.168.245.128/25', group: 'nodes' }],
    peers: [{ address: hostAddress({ host: number === 10 ? 11 : 10 }, 4), asn: 64512, gracefulRestart }],
  },
});

const hostPlan = (name: string, host: number, subnet: number): SitePlan => ({
  name,
  host,
  subnet,
  forwarding: true,
  config: {
    asn: 64512,
    networks: [{ interface: 'br0' }],
    groups: { reflectors: { asn: 64512, connectRetryTime: 1, gracefulRestart } },
    peers: [10, 11].map((reflector) => ({ address: hostAddress({ host: reflector }, 4), group: 'reflectors' })),
  },
});

/** Lines of `ip monitor route` in the site's namespace, from now on. */
class RouteMonitor {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;

  constructor(site: Site) {
    this.#child = spawn('ip', ['-n', site.node.host.namespace, 'monitor', 'route'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.lines.push(...text.split('\n').filter((line) => line.trim() !== ''));
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

for (const [what, clusters] of [
  ['of one cluster', ['10.9.9.9', '10.9.9.9']],
  ['of two clusters', ['10.9.0.1', '10.9.0.2']],
] as const) {
  t.test(`two reflectors ${what}`, { skip: cannotRunLab(), timeout: 300_000 }, async (t) => {
    const { network, segment, watch } = await testNetwork(t);
    const plans = [
      reflectorPlan(10, clusters[0]),
      reflectorPlan(11, clusters[1]),
      hostPlan('Node-1', 168, 17),
      hostPlan('Node-2', 172, 18),
    ];
    const sites: Site[] = [];
    for (const plan of plans) sites.push(await addSite(network, segment, plan));
    watch.push(...sites.map(({ node }) => node));
    const [first, second, one, two] = sites as [Site, Site, Site, Site];
    for (const { node } of sites) await node.start();
    const hosts = [one, two];
    for (const { node } of hosts) {
      for (const number of [10, 11]) await untilEstablished(node, hostAddress({ host: number }, 4), WAIT_MS);
    }
    const complete = async (): Promise<void> => {
      await one.node.untilRoutes(
        [
          { prefix: '172.18.0.0/24', gateway: '192.168.245.172' },
          { prefix: 'fd00:18::/64', gateway: 'fd00:245::172' },
        ],
        WAIT_MS,
      );
      await two.node.untilRoutes([{ prefix: '172.17.0.0/24', gateway: '192.168.245.168' }], WAIT_MS);
    };
    const untilPaths = (site: Site, prefix: string, count: number): Promise<unknown> =>
      site.node.until(`${count} paths to ${prefix} on ${site.plan.name}`, WAIT_MS, async () => {
        const rows = await site.node.query<RouteDto[]>('show', 'routes', prefix);
        return rows.length === count && rows.every(({ stale }) => !stale) ? true : undefined;
      });
    const untilBoth = async (): Promise<void> => {
      await untilPaths(one, '172.18.0.0/24', 2);
      await untilPaths(two, '172.17.0.0/24', 2);
    };
    await complete();
    await untilBoth();

    const table = async (): Promise<string> =>
      (
        await Promise.all(
          hosts.flatMap(({ node }) => ['-4', '-6'].map((family) => network.ip(node.host.namespace, family, 'route'))),
        )
      ).join('\n');
    const before = await table();
    t.match(before, /172\.18\.0\.0\/24 (nhid \d+ )?via 192\.168\.245\.172/);
    const monitors = hosts.map((site) => new RouteMonitor(site));
    t.teardown(() => Promise.all(monitors.map((monitor) => monitor.stop())));
    // The monitor listens as soon as it shows a change of ours.
    for (const [index, { node }] of hosts.entries()) {
      await node.until('the monitor', WAIT_MS, async () => {
        await network.ip(node.host.namespace, 'route', 'replace', '203.0.113.0/24', 'dev', 'lo');
        await network.ip(node.host.namespace, 'route', 'del', '203.0.113.0/24', 'dev', 'lo');
        return monitors[index]!.lines.length > 0 ? true : undefined;
      });
    }
    const events = (): string[] =>
      monitors.flatMap(({ lines }) => lines.filter((line) => !line.includes('203.0.113.0/24')));

    const untilAlone = async (gone: Site): Promise<void> => {
      for (const { node } of hosts) {
        await node.until(`the end of ${gone.plan.name}`, WAIT_MS, async () => {
          const peer = await node.query<PeerDto>('show', 'peer', hostAddress(gone.plan, 4));
          return peer.state !== 'Established' ? true : undefined;
        });
      }
      // Its paths go when its restart time is over.
      await untilPaths(one, '172.18.0.0/24', 1);
      await untilPaths(two, '172.17.0.0/24', 1);
    };

    for (const [victim, survivor, signal] of [
      [first, second, 'SIGKILL'],
      [second, first, 'SIGTERM'],
    ] as const) {
      await victim.node.stop(signal);
      await untilAlone(victim);
      t.equal(await table(), before, `${victim.plan.name}, ${signal}: the kernels are as before`);
      t.match(
        await one.node.query<RouteDto[]>('show', 'routes', '172.18.0.0/24'),
        [{ peer: hostAddress(survivor.plan, 4), best: true, nextHop: '192.168.245.172' }],
        'by the other reflector',
      );
      await victim.node.start();
      await untilBoth();
      t.equal(await table(), before, `${victim.plan.name} is back: the kernels are as before`);
    }
    t.same(events(), [], 'no kernel heard of anything');
  });
}
