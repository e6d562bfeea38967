/** Every example, as it stands in `examples/`, checked by `tortied --check` and started in a network it is for. */
import t from 'tap';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BOTH_VERSIONS, addSecondSegment, addSite, untilRouted, type Site } from '../../src/lab/site.js';
import { scenario, type ScenarioName, type SitePlan } from '../../src/lab/scenarios.js';
import { cannotRunLab, testNetwork, untilEstablished } from './lab-fixture.js';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));
const WAIT_MS = 30_000;
const skip = cannotRunLab();

const example = (name: string, file: string) => readFileSync(join(EXAMPLES, name, file), 'utf8');

const directories = readdirSync(EXAMPLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

/** Each host's file, by the host's name in the scenario of the same name. */
const STARTED: Record<ScenarioName, Record<string, string>> = {
  'two-hosts': { 'Node-1': 'node-1.yaml', 'Node-2': 'node-2.yaml' },
  'route-reflector': {
    Reflector: 'reflector.yaml',
    'Node-1': 'host.yaml',
    'Node-2': 'host.yaml',
    'Node-3': 'host.yaml',
  },
  gateway: { Gateway: 'gateway.yaml', 'Node-1': 'node-1.yaml', 'Node-2': 'node-2.yaml' },
  'two-subnets': { 'Node-1': 'node-1.yaml', 'Node-2': 'node-2.yaml', 'Node-3': 'node-3.yaml' },
};

t.test('the directories are those tested here', async (t) => {
  t.same(directories.sort(), [...Object.keys(STARTED), 'systemd', 'tor-switch', 'unnumbered'].sort());
});

t.test('every configuration passes tortied --check', async (t) => {
  for (const directory of directories) {
    const files = readdirSync(join(EXAMPLES, directory)).filter((file) => file.endsWith('.yaml'));
    for (const file of files) {
      const path = join(EXAMPLES, directory, file);
      const { status, stderr } = spawnSync(process.execPath, [DAEMON, '--check', '--config', path], {
        encoding: 'utf8',
      });
      t.equal(status, 0, `${directory}/${file} ${stderr}`);
    }
    const listed = new Set([...example(directory, 'README.md').matchAll(/\]\(([\w.-]+\.yaml)\)/g)].map((m) => m[1]));
    t.same([...listed].sort(), files.sort(), `${directory}/README.md names its files`);
  }
});

for (const [name, files] of Object.entries(STARTED) as [ScenarioName, Record<string, string>][]) {
  t.test(`${name} routes containers to each other`, { skip }, async (t) => {
    const { network, segment, watch } = await testNetwork(t);
    const plan = scenario(name);
    const behind = await addSecondSegment(network, segment, plan, BOTH_VERSIONS);
    const build = async (site: SitePlan): Promise<Site> => {
      const built = await addSite(network, segment, site, { behind, config: example(name, files[site.name]!) });
      watch.push(built.node);
      return built;
    };
    const routers = await Promise.all(plan.routers.map(build));
    const hosts = await Promise.all([...plan.hosts, ...plan.latecomers].map(build));
    t.equal(routers.length + hosts.length, Object.keys(files).length);
    await Promise.all(routers.map(({ node }) => node.start()));
    await Promise.all(hosts.map(({ node }) => node.start()));
    await t.resolves(untilRouted(plan, hosts, [4, 6], WAIT_MS));
  });
}

t.test('tor-switch: containers are announced to the switch, its routes are taken', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t);
  const [plan] = scenario('two-hosts').hosts;
  // Stands in for the switch, told the same as the one in the README.
  const switchPlan: SitePlan = {
    name: 'Tor',
    host: 1,
    subnet: undefined,
    forwarding: true,
    config: {
      asn: 65000,
      networks: [{ prefix: '10.20.0.0/16' }],
      groups: { hosts: { asn: 'external', ttlSecurity: true, import: 'accept', export: 'accept' } },
      listenRanges: [{ prefix: '192.168.245.0/24', group: 'hosts' }],
    },
  };
  const tor = await addSite(network, segment, switchPlan);
  const host = await addSite(network, segment, plan!, { config: example('tor-switch', 'host.yaml') });
  watch.push(tor.node, host.node);
  await tor.node.start();
  await host.node.start();
  await t.resolves(tor.node.untilRoute('172.17.0.0/24', '192.168.245.168', WAIT_MS));
  await t.resolves(host.node.untilRoute('10.20.0.0/16', '192.168.245.1', WAIT_MS));
  const peer = await untilEstablished(host.node, '192.168.245.1', WAIT_MS);
  t.match(peer, { asn: 65000, type: 'external', holdTimeSeconds: 9, families: ['ipv4-unicast'] });
});

t.test('the systemd unit runs the daemon with its own exit codes and files', async (t) => {
  const unit = example('systemd', 'tortied.service');
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];
  t.equal(value('ExecStart'), '/usr/local/bin/tortied --config /etc/tortie/tortie.yaml');
  t.equal(value('ExecReload'), '/bin/kill -HUP $MAINPID');
  t.equal(value('RestartPreventExitStatus'), '2');
  t.equal(value('RuntimeDirectory'), 'tortie');
  // What test/lab/unprivileged.test.ts runs with.
  for (const key of ['AmbientCapabilities', 'CapabilityBoundingSet'])
    t.equal(value(key), 'CAP_NET_ADMIN CAP_NET_BIND_SERVICE');
  if (spawnSync('systemd-analyze', ['--version']).error) {
    t.comment('systemd-analyze is not here: the unit was not verified');
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'tortie-unit-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'tortied.service');
  writeFileSync(file, unit.replaceAll('/usr/local/bin/tortied', '/bin/true'));
  const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
  t.notMatch(verified.stderr, /tortied\.service/, 'systemd has nothing to say against it');
});
