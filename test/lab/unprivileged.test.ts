/**
 * The daemons as an ordinary user with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE and nothing else: sessions on port 179 with
 * TCP MD5 and BFD, kernel routes, masquerading and a tunnel work; what needs more is said in the log, and nothing else
 * suffers.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { probe } from '../../src/lab/probe.js';
import type { LabNode } from '../../src/lab/node.js';
import { scenario } from '../../src/lab/scenarios.js';
import { addSite, untilRouted, type Site } from '../../src/lab/site.js';
import type { PeerDto } from '../../src/control/dto.js';
import { cannotRunLab, skipUnless, testNetwork, untilEstablished } from './lab-fixture.js';

const WAIT_MS = 20_000;
/** Of nobody and nogroup. */
const USER = 65_534;
const CAPABILITIES = ['net_admin', 'net_bind_service'];
const WRAPPER = [
  'setpriv',
  ...['--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--no-new-privs'],
  ...['--inh-caps', '--ambient-caps', '--bounding-set'].flatMap((option) => [
    option,
    `-all,${CAPABILITIES.map((name) => `+${name}`).join(',')}`,
  ]),
  // tap's tracer would write files where this user may not.
  ...['env', '-u', 'NODE_OPTIONS'],
];
const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));

const skip =
  cannotRunLab() ||
  skipUnless(!spawnSync('setpriv', ['--version']).error, 'needs setpriv (util-linux)') ||
  skipUnless(
    spawnSync(WRAPPER[0]!, [...WRAPPER.slice(1), execPath, DAEMON, '--version'], { cwd: '/' }).status === 0,
    'needs a checkout that every user may read',
  );

/** The daemon's files belong to its user, and it may pass through to them. */
function giveAway(node: LabNode): void {
  const own = dirname(node.configFile);
  chmodSync(dirname(own), 0o755);
  for (const path of [own, node.configFile]) chownSync(path, USER, USER);
  node.wrapper = WRAPPER;
}

t.test('two hosts, as an ordinary user with two capabilities', { skip }, async (t) => {
  const { network, segment, watch } = await testNetwork(t);
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
      giveAway(built.node);
      return built;
    }),
  )) as [Site, Site];
  await Promise.all([one.node.start(), two.node.start()]);

  await t.test('that is all they have', (t) => {
    const status = readFileSync(`/proc/${one.node.pid}/status`, 'utf8');
    const mask = ((1n << 12n) | (1n << 10n)).toString(16).padStart(16, '0');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      t.match(status, new RegExp(`^${set}:\\s+${mask}$`, 'm'), `${set}: CAP_NET_ADMIN and CAP_NET_BIND_SERVICE`);
    t.match(status, new RegExp(`^Uid:\\s+${USER}\\s+${USER}`, 'm'));
    const socket = statSync(one.node.socket);
    t.equal(socket.mode & 0o777, 0o660);
    t.equal(socket.uid, USER);
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
