/** `bgpctl lab` itself: what it prints, its exit codes, and that nothing is left behind however it ends. */
import t from 'tap';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeNetwork } from '../../src/lab/leftovers.js';
import { parseLabArguments, USAGE } from '../../src/lab/options.js';
import { BGPCTL, cannotRunLab, skipUnless, tracesOf } from './lab-fixture.js';

const skip = cannotRunLab();

interface Running {
  readonly child: ChildProcess;
  /** Resolves when standard output has come to hold the text; rejects when the lab ends without it. */
  said(text: string): Promise<void>;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function lab(argv: string[], options: { env?: NodeJS.ProcessEnv; wrapper?: string[] } = {}): Running {
  const command = [...(options.wrapper ?? []), process.execPath, BGPCTL, 'lab', ...argv];
  const child = spawn(command[0]!, command.slice(1), { env: options.env ?? process.env });
  let stdout = '';
  let stderr = '';
  const waiting: { text: string; resolve: () => void; reject: (error: Error) => void }[] = [];
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    stdout += part;
    for (const wait of waiting) if (stdout.includes(wait.text)) wait.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      for (const wait of waiting) wait.reject(new Error(`ended before saying '${wait.text}': ${stdout}${stderr}`));
      resolve({ code, stdout, stderr });
    });
  });
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      if (stdout.includes(text)) resolve();
      else waiting.push({ text, resolve, reject });
    });
  return { child, said, ended };
}

/** What the lab of that process has left. */
const traces = (running: Running) => tracesOf(`tortie-${running.child.pid}`);

t.test('npm run lab: two hosts, then a route reflector', { skip }, async (t) => {
  const running = lab([]);
  const { code, stdout, stderr } = await running.ended;
  t.equal(code, 0, stderr + stdout);
  for (const expected of [
    /^172\.18\.0\.0\/24 (nhid \d+ )?via 192\.168\.245\.172 dev ens33 proto bgp metric 20$/m,
    /^172\.17\.0\.0\/24 (nhid \d+ )?via 192\.168\.245\.168 dev ens33 proto bgp metric 20$/m,
    /172\.17\.0\.2 -> 172\.18\.0\.2 +ttl 62 .* seen there as 172\.17\.0\.2$/m,
    /Node-3 has joined; nothing was changed on Reflector/,
    /^Node-1# bgpctl show routes\n.*\S/m,
    /^Node-1# bgpctl show peers\n.*\S/m,
  ]) {
    t.match(stdout, expected);
  }
  t.equal(stdout.match(/^Every ping answered\.$/gm)?.length, 2);
  t.same(traces(running), [], 'nothing is left');
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  t.test(`${signal} removes everything`, { skip }, async (t) => {
    const running = lab(['two-hosts']);
    // In the midst of it: namespaces stand, daemons are being started.
    await running.said('Node-2:');
    t.not(traces(running).length, 0);
    running.child.kill(signal);
    const end = await running.ended;
    t.equal(end.code, code, end.stderr);
    t.match(end.stdout, new RegExp(`${signal}: removing everything`));
    t.same(traces(running), []);
  });
}

t.test('a reader that goes away (lab | head) removes everything', { skip }, async (t) => {
  const running = lab(['two-hosts']);
  await running.said('== Two hosts');
  running.child.stdout!.destroy();
  const { code } = await running.ended;
  t.equal(code, 141);
  t.same(traces(running), []);
});

t.test(
  'gateway over IPv6, --keep: it stays up, says how to look around, and --clean removes it',
  { skip },
  async (t) => {
    const running = lab(['gateway', '--ipv6', '--keep']);
    const { code, stdout, stderr } = await running.ended;
    const id = `tortie-${running.child.pid}-1`;
    t.teardown(() => removeNetwork(id));
    t.equal(code, 0, stderr + stdout);
    t.match(stdout, /fd00:17::2 -> fd00:18::2 +ttl 61 .* seen there as fd00:17::2$/m);
    const commands = stdout
      .slice(stdout.indexOf('stays up'))
      .split('\n')
      .map((line) => line.trim());
    const run = (line: string | undefined) =>
      spawnSync('sh', ['-c', line ?? 'false'], { encoding: 'utf8', env: { ...process.env, PATH: pathWithNode() } });
    const routes = run(commands.find((line) => line.includes('node-1 ip route')));
    t.match(routes.stdout, /^172\.18\.0\.0\/24 (nhid \d+ )?via 192\.168\.245\.1 dev ens33 proto bgp metric 20 *$/m);
    const shown = run(commands.find((line) => /node-1.*show routes$/.test(line)));
    t.match([shown.status, shown.stdout], [0, /172\.18\.0\.0\/24 +192\.168\.245\.1 /], shown.stderr);
    const cleaned = run(commands.find((line) => line.includes('--clean')));
    t.same([cleaned.status, cleaned.stdout], [0, `removed ${id}\n`], cleaned.stderr);
    t.same(traces(running), []);
    const again = run(commands.find((line) => line.includes('--clean')));
    t.equal(again.status, 1, 'there is none any more');
    t.match(again.stderr, id);
  },
);

t.test('a killed lab is cleaned up by name', { skip }, async (t) => {
  const running = lab(['two-hosts']);
  await running.said('Node-2:');
  running.child.kill('SIGKILL');
  await running.ended;
  const id = `tortie-${running.child.pid}-1`;
  t.teardown(() => removeNetwork(id));
  t.not(traces(running).length, 0);
  t.match(await lab(['--clean', id]).ended, { code: 0, stdout: `removed ${id}\n` });
  t.same(traces(running), []);
});

t.test('where it cannot run it says what is missing', async (t) => {
  await t.test('no ip', { skip: skipUnless(process.getuid?.() === 0, 'needs root') }, async (t) => {
    const empty = await mkdtemp(join(tmpdir(), `tortie-test-${process.pid}-`));
    t.teardown(() => rm(empty, { recursive: true, force: true }));
    const { code, stderr } = await lab([], { env: { ...process.env, PATH: empty } }).ended;
    t.equal(code, 1);
    t.match(stderr, /install iproute2/);
  });
  await t.test('not root', async (t) => {
    const code = `const { preflight } = await import(${JSON.stringify(new URL('../../src/lab/preflight.js', import.meta.url).href)});
      await preflight(1000).catch((error) => console.log(error.name, error.message));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
    t.match(stdout, /CannotRunError .*as root/);
  });
  const noSetpriv = skipUnless(!spawnSync('setpriv', ['--version']).error, 'needs setpriv (util-linux)');
  for (const capability of ['sys_admin', 'net_admin']) {
    await t.test(`no namespaces: without ${capability}`, { skip: skip || noSetpriv }, async (t) => {
      const running = lab(['two-hosts'], { wrapper: ['setpriv', '--bounding-set', `-${capability}`] });
      const { code, stderr } = await running.ended;
      t.equal(code, 1);
      t.match(stderr, /does not permit network namespaces/);
      t.same(traces(running), []);
    });
  }
});

t.test('the command line', async (t) => {
  t.same(parseLabArguments([]), {
    kind: 'run',
    scenarios: ['two-hosts', 'route-reflector'],
    transport: 4,
    keep: false,
    unprivileged: false,
  });
  t.same(parseLabArguments(['gateway', '--ipv6', '--keep']), {
    kind: 'run',
    scenarios: ['gateway'],
    transport: 6,
    keep: true,
    unprivileged: false,
  });
  t.same(parseLabArguments(['--clean', 'tortie-1-1']), { kind: 'clean', networks: ['tortie-1-1'] });
  t.throws(() => parseLabArguments(['three-hosts']), {
    name: 'UsageError',
    message: /two-hosts, route-reflector, gat/,
  });
  t.throws(() => parseLabArguments(['--nonsense']), { name: 'UsageError', message: /--nonsense/ });
  t.throws(() => parseLabArguments(['--clean', '--keep']), { name: 'UsageError' });

  const wrong = await lab(['three-hosts']).ended;
  t.equal(wrong.code, 2);
  t.match(wrong.stderr, /unknown scenario 'three-hosts'/);
  t.match(await lab(['--help']).ended, { code: 0, stdout: USAGE });
});

/** PATH with this very Node in front, for the commands the lab prints. */
function pathWithNode(): string {
  return `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`;
}
