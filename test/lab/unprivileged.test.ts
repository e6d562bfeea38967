/**
 * The daemons as an ordinary user with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE and nothing else: sessions on port 179 with
 * TCP MD5 and BFD, kernel routes, masquerading and a tunnel work; what needs more is said in the log, and nothing else
 * suffers. Every scenario of the lab runs so. (All of the lab's tests do with TORTIE_LAB_CAPABILITIES, see lab-fixture.ts.)
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Network } from '../../src/lab/network.js';
import { probe } from '../../src/lab/probe.js';
import { runScenario } from '../../src/lab/run-scenario.js';
import { SCENARIO_NAMES, scenario } from '../../src/lab/scenarios.js';
import { addSite, untilRouted, type Site } from '../../src/lab/site.js';
import { UNIT_CAPABILITIES, UNPRIVILEGED_USER, unprivilegedWrapper } from '../../src/lab/unprivileged.js';
import type { PeerDto } from '../../src/control/dto.js';
import { build, connect, reach, untilRouted as untilLinked, type Side } from './cable-fixture.js';
import { cannotRunLab, skipUnless, testNetwork, untilEstablished } from './lab-fixture.js';

const WAIT_MS = 20_000;
const WRAPPER = unprivilegedWrapper(UNIT_CAPABILITIES);
const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));

const skip =
  cannotRunLab() ||
  skipUnless(!spawnSync('setpriv', ['--version']).error, 'needs setpriv (util-linux)') ||
  skipUnless(
    spawnSync(WRAPPER[0]!, [...WRAPPER.slice(1), execPath, DAEMON, '--version'], { cwd: '/' }).status === 0,
    'needs a checkout that every user may read',
  );

t.test('two hosts, as an ordinary user with two capabilities', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t, UNIT_CAPABILITIES);
  const plan = scenario('two-hosts', 4);
  const [one, two] = (await Promise.all(
    plan.hosts.map(async (site) => {
      const peers = (site.config['peers'] as object[]).map((peer) => ({ ...peer, password: 'miaow', bfd: true }));
      // Finding routers on a link takes a raw socket, which takes CAP_NET_RAW.
      const unnumbered = { interface: 'ens33', asn: 'external' };
      const config = {
        ...site.config,
        peers: [...peers, unnumbered],
        networks: [...(site.config['networks'] as object[]), { prefix: `10.${site.host}.0.0/24`, blackhole: true }],
        fib: { masquerade: { pools: ['172.16.0.0/12'] } },
        encapsulation: { when: 'crossSubnet' },
      };
      const built = await addSite(network, segment, site, { versions: [4], config });
      watch.push(built.node);
      return built;
    }),
  )) as [Site, Site];
  await Promise.all([one.node.start(), two.node.start()]);

  await t.test('that is all they have', (t) => {
    const status = readFileSync(`/proc/${one.node.pid}/status`, 'utf8');
    const mask = ((1n << 12n) | (1n << 10n)).toString(16).padStart(16, '0');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      t.match(status, new RegExp(`^${set}:\\s+${mask}$`, 'm'), `${set}: CAP_NET_ADMIN and CAP_NET_BIND_SERVICE`);
    t.match(status, new RegExp(`^Uid:\\s+${UNPRIVILEGED_USER}\\s+${UNPRIVILEGED_USER}`, 'm'));
    const socket = statSync(one.node.socket);
    t.equal(socket.mode & 0o777, 0o660);
    t.equal(socket.uid, UNPRIVILEGED_USER);
    t.end();
  });

  await untilRouted(plan, [one, two], [4], WAIT_MS);
  t.match(
    await probe(one.container!, ['172.18.0.2']),
    [{ reply: { ttl: 62 }, seenAs: '172.17.0.2' }],
    'container reaches container',
  );
  const { namespace } = one.node.host;
  const peer = await untilEstablished(one.node, '192.168.245.172', WAIT_MS);
  t.equal(peer.state, 'Established');
  const sockets = spawnSync('ip', ['netns', 'exec', namespace, 'ss', '-tnoieH'], { encoding: 'utf8' }).stdout;
  t.match(sockets, /md5keys/, 'the session is signed');
  await one.node.until('BFD', WAIT_MS, async () => {
    const { bfd } = await one.node.query<PeerDto>('show', 'peer', '192.168.245.172');
    return bfd?.state === 'Up' ? true : undefined;
  });
  t.match(await network.ip(namespace, 'route', 'show', 'type', 'blackhole'), /10\.168\.0\.0\/24/, 'own blackholes');
  const tables = spawnSync('ip', ['netns', 'exec', namespace, 'nft', 'list', 'tables'], { encoding: 'utf8' }).stdout;
  t.match(tables, /table inet tortie/, 'masquerading');

  const log = readFileSync(one.node.logFile, 'utf8');
  for (const line of log.split('\n').filter((each) => /"level":"(warn|error)"/.test(each))) t.comment(line);
  t.match(log, /BFD thread runs without real-time priority.*CAP_SYS_NICE/, 'what it may not do is told');
  t.match(log, /ens33.*CAP_NET_RAW/, 'and so is that peers cannot be found on a link');
  t.notMatch(log, /uncaughtException|unhandledRejection|"level":"error"/);
  t.match(await Promise.all([one.node.stop(), two.node.stop()]), [{ code: 0 }, { code: 0 }]);
  t.same(
    (await one.node.kernelRoutes()).filter((route) => route.protocol === 'bgp'),
    [],
    'and takes its routes along',
  );
});

t.test('kernel settings are set without CAP_SYS_ADMIN', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t, UNIT_CAPABILITIES);
  const [plan] = scenario('two-hosts', 4).hosts;
  const { node } = await addSite(network, segment, plan!, { config: { ...plan!.config, fib: { setSysctls: true } } });
  watch.push(node);
  const mode = (): string => {
    const argv = ['netns', 'exec', node.host.namespace, 'cat', '/proc/sys/net/ipv4/nexthop_compat_mode'];
    return spawnSync('ip', argv, { encoding: 'utf8' }).stdout.trim();
  };
  t.equal(mode(), '1', 'as a new namespace has it');
  await node.start();
  t.equal(mode(), '0', 'fib.setSysctls: who administers the network may write its settings');
});

// The first is above, with more to do.
for (const name of SCENARIO_NAMES.filter((each) => each !== 'two-hosts')) {
  t.test(`the scenario ${name}, as this user`, { skip }, async (t) => {
    const network = await Network.create({ ownerPid: process.pid, capabilities: UNIT_CAPABILITIES });
    t.teardown(() => network.close());
    let said = '';
    const sites: Site[] = [];
    const good = await runScenario({
      network,
      plan: scenario(name, name === 'gateway' ? 6 : 4),
      versions: [4, 6],
      print: (text) => (said += text),
      signal: new AbortController().signal,
      onSite: (site) => sites.push(site),
    });
    t.ok(good, said);
    for (const { node } of sites) {
      t.match(readFileSync(`/proc/${node.pid}/status`, 'utf8'), new RegExp(`^Uid:\\s+${UNPRIVILEGED_USER}\\s`, 'm'));
      t.notMatch(readFileSync(node.logFile, 'utf8'), /EPERM|EACCES|not permitted|"level":"error"/, node.host.name);
    }
  });
}

t.test('unnumbered peers, with CAP_NET_RAW as well', { skip }, async (t) => {
  const { network, watch } = await testNetwork(t, [...UNIT_CAPABILITIES, 'net_raw']);
  const sides = (await build(network, watch)) as [Side, Side];
  await connect(network, sides);
  await Promise.all(sides.map(({ node }) => node.start()));
  await Promise.all([untilLinked(network, ...sides), untilLinked(network, sides[1], sides[0])]);
  await reach(t, ...sides);
});
