/** Hosts in two subnets: plain routes where that works, a tunnel where it does not, packets through both, loss-free. */
import t from 'tap';
import { startStream } from '../../src/lab/probe.js';
import { runScenario } from '../../src/lab/run-scenario.js';
import { scenario, subnetAddresses } from '../../src/lab/scenarios.js';
import { untilRouted, type Site } from '../../src/lab/site.js';
import { Network } from '../../src/lab/network.js';
import { cannotRunLab } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;

t.test('two subnets: plain on the segment, VXLAN beyond the router', { skip }, async (t) => {
  const network = await Network.create({ ownerPid: process.pid });
  t.teardown(() => network.close());
  let said = '';
  const sites: Site[] = [];
  const plan = scenario('two-subnets');
  const good = await runScenario({
    network,
    plan,
    versions: [4, 6],
    print: (text) => (said += text),
    signal: new AbortController().signal,
    onSite: (site) => sites.push(site),
  });
  t.ok(good, said);
  said = said.replaceAll(/ nhid \d+/g, '');
  sites.sort((a, b) => a.plan.host - b.plan.host);
  const [one, , three] = sites as [Site, Site, Site];
  t.match(said, /^172\.18\.0\.0\/24 via 192\.168\.245\.172 dev ens33 proto bgp metric 20 *$/m);
  t.match(said, /^172\.19\.0\.0\/24 via 10\.9\.0\.176 dev tortie-vxlan proto bgp metric 20 onlink *$/m);
  t.match(said, /^fd00:18::\/64 via fd00:245::172 dev ens33 /m);
  t.match(said, /^fd00:19::\/64 via fd00:9::176 dev tortie-vxlan6 /m);

  await t.test('kill -9 and restart at both ends of the tunnel: nothing is lost', async (t) => {
    const stream = startStream(one.container!, subnetAddresses(19, 4).container);
    const device = async () =>
      (await network.ip(one.node.host.namespace, '-o', 'link', 'show', 'tortie-vxlan')).split(':')[0];
    const before = await device();
    for (const { node } of [one, three]) {
      await node.stop('SIGKILL');
      await node.start();
    }
    await untilRouted(plan, sites, [4, 6], WAIT_MS);
    await one.node.until('the session again', WAIT_MS, async () => {
      const peers = await one.node.query<{ state: string }[]>('show', 'peers');
      return peers.every(({ state }) => state === 'Established') ? true : undefined;
    });
    const { sent, answered } = await stream.end();
    t.equal(answered, sent, `${sent} pings through the tunnel`);
    t.ok(sent > 10);
    t.equal(await device(), before, 'the same device');
  });

  await t.test('a clean stop removes the device; the other hosts notice', async (t) => {
    await three.node.stop();
    t.notMatch(await network.ip(three.node.host.namespace, 'link'), /tortie-vxlan/);
    await one.node.untilRoute(subnetAddresses(19, 4).prefix, undefined, WAIT_MS);
  });
});
