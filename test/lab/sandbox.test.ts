/**
 * The daemon within what examples/systemd/tortied.service leaves it, as far as that can be had without systemd: the unit
 * is read, and the daemon runs as an ordinary user with its capabilities, in a file system that can be written to only
 * where the unit says, while every system call and every kind of socket is held against the unit's lists.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import { parseConfig } from '../../src/config/load.js';
import { scenario } from '../../src/lab/scenarios.js';
import { addSite, untilRouted, type Site } from '../../src/lab/site.js';
import { UNIT_CAPABILITIES, unprivilegedWrapper } from '../../src/lab/unprivileged.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { cannotRunLab, skipUnless, testNetwork } from './lab-fixture.js';

t.setTimeout(300_000);

const WAIT_MS = 40_000;
const UNIT = readFileSync(new URL('../../../examples/systemd/tortied.service', import.meta.url), 'utf8');
const values = (key: string): string[] =>
  [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1]!);
const has = (program: string): boolean => !spawnSync(program, ['--version']).error;

t.test('every path that the daemon writes by default is one that the unit gives', async (t) => {
  const settings = await parseConfig('asn: 64512\n', 'tortie.yaml');
  t.equal(dirname(settings.control.socket), `/run/${values('RuntimeDirectory')[0]}`, 'the control socket');
  t.same(values('ProtectSystem'), ['strict'], 'all else is read-only');
  t.same(values('ReadWritePaths'), []);
  t.same(values('StateDirectory'), [], 'it keeps no state in files');
  t.equal(dirname(values('ExecStart')[0]!.split(' ')[2]!), `/etc/${values('ConfigurationDirectory')[0]}`);
});

t.test(
  'systemd finds little exposed',
  { skip: skipUnless(has('systemd-analyze'), 'needs systemd-analyze (systemd)') },
  (t) => {
    const directory = temporaryDirectory();
    t.teardown(directory.remove);
    const file = join(directory.path, 'tortied.service');
    writeFileSync(file, UNIT);
    // Tenths: 25 is 2.5 of 10, and "OK" ends at 5.
    const argv = ['--no-pager', 'security', '--offline=yes', '--threshold=25', file];
    const { status, stdout, stderr } = spawnSync('systemd-analyze', argv, { encoding: 'utf8' });
    t.equal(status, 0, stdout.trimEnd().split('\n').at(-1) + stderr);
    t.end();
  },
);

/** Names of a set of system calls, with the sets in it; as `systemd-analyze syscall-filter` prints them. */
function systemCalls(set: string): Set<string> {
  const { stdout } = spawnSync('systemd-analyze', ['--no-pager', 'syscall-filter', set], { encoding: 'utf8' });
  const names = new Set<string>();
  for (const line of stdout.split('\n').slice(1)) {
    const name = line.trim();
    if (name.startsWith('@')) for (const inner of systemCalls(name)) names.add(inner);
    else if (name !== '' && !name.startsWith('#')) names.add(name);
  }
  return names;
}

/** systemd.exec(5): the first line makes it a list of what is allowed, `~` takes away, others add. */
function allowedCalls(): Set<string> {
  const allowed = new Set<string>();
  for (const value of values('SystemCallFilter')) {
    for (const word of value.replace(/^~/, '').split(' ')) {
      for (const name of word.startsWith('@') ? systemCalls(word) : [word]) {
        if (value.startsWith('~')) allowed.delete(name);
        else allowed.add(name);
      }
    }
  }
  return allowed;
}

/** Everything read-only but the given directory and a /tmp of its own. `/proc` stays (ProtectKernelTunables=no). */
const CONFINE = `
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
while read -r _ where _; do
  case "$where" in "$1"|/proc|/proc/*|/sys|/sys/*|/dev/*) ;; *) mount -o remount,bind,ro "$where" 2>/dev/null || true ;; esac
done < /proc/self/mounts
shift
exec "$@"`;

t.test(
  'a node in that sandbox does its work',
  {
    skip:
      cannotRunLab() ||
      skipUnless(
        has('setpriv') && has('strace') && has('systemd-analyze'),
        'needs setpriv, strace and systemd-analyze',
      ),
  },
  async (t) => {
    const { network, segment, watch } = await testNetwork(t, UNIT_CAPABILITIES);
    const plan = scenario('two-hosts', 4);
    const [one, two] = (await Promise.all(
      plan.hosts.map(async (site) => {
        const guards = {
          password: 'miaow',
          bfd: true,
          ttlSecurity: true,
          asn: 'external',
          import: 'accept',
          export: 'accept',
        };
        const peers = (site.config['peers'] as object[]).map((peer) => ({ ...peer, ...guards }));
        const config = {
          ...site.config,
          asn: 64000 + site.host,
          peers,
          fib: { masquerade: { pools: ['172.16.0.0/12'] } },
          encapsulation: { when: 'crossSubnet' },
        };
        const built = await addSite(network, segment, site, { versions: [4], config });
        watch.push(built.node);
        return built;
      }),
    )) as [Site, Site];
    const own = dirname(one.node.configFile);
    // The daemon keeps its process id, and so gets its signals.
    const trace = ['strace', '-D', '-ff', '-qq', '-s', '0', '-o', join(own, 'trace')];
    one.node.wrapper = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      CONFINE,
      'sh',
      own,
      ...unprivilegedWrapper(UNIT_CAPABILITIES),
      ...trace,
    ];
    await two.node.start();
    await one.node.start();
    await untilRouted(plan, [one, two], [4], WAIT_MS);
    await one.node.until('BFD', WAIT_MS, async () => {
      const { bfd, state } = await one.node.query<PeerDto>('show', 'peer', '192.168.245.172');
      return bfd?.state === 'Up' && state === 'Established' ? true : undefined;
    });
    one.node.reload();
    const log = (): string => readFileSync(one.node.logFile, 'utf8');
    await one.node.until('the reload', WAIT_MS, () => Promise.resolve(log().includes('"reloaded"') || undefined));
    t.match(await one.node.stop(), { code: 0 });
    t.notMatch(log(), /EROFS|EPERM|EACCES|"level":"error"/, 'nothing was refused');

    const calls = readdirSync(own)
      .filter((name) => name.startsWith('trace.'))
      .flatMap((name) => readFileSync(join(own, name), 'utf8').split('\n'));
    const used = new Set(calls.flatMap((line) => /^(\w+)\(/.exec(line)?.[1] ?? []));
    const allowed = allowedCalls();
    t.ok(
      used.size > 30 && used.has('sendto') && allowed.size > 200,
      `${used.size} system calls of ${allowed.size} allowed`,
    );
    // V8 asks once whether there are protection keys for memory, and goes without where the answer is EPERM.
    used.delete('pkey_alloc');
    t.same([...used].filter((name) => !allowed.has(name)).sort(), [], 'none beside');
    const families = new Set(calls.flatMap((line) => /^socket(?:pair)?\((\w+)/.exec(line)?.[1] ?? []));
    const given = values('RestrictAddressFamilies')[0]!.split(' ');
    t.same(
      [...families].filter((family) => !given.includes(family)),
      [],
      `sockets: ${[...families].join(', ')}`,
    );
    const opened = calls.flatMap(
      (line) => /^openat?\([^"]*"([^"]*)", O_(?:WRONLY|RDWR).* = \d+$/.exec(line)?.[1] ?? [],
    );
    t.same(
      [...new Set(opened)].filter((path) => !/^\/(dev|proc)\//.test(path)),
      [],
      'no file is written',
    );
  },
);
