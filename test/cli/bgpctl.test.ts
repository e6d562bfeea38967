/** `bgpctl` as a process: exit codes, one clear line for each failure, pipes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { RouteDto } from '../../src/control/dto.js';
import { Client } from '../../src/cli/client.js';
import { manyRoutes, temporaryDirectory } from '../control/fake-queries.js';
import { startHarness } from '../control/harness.js';

const program = fileURLToPath(new URL('../../src/bgpctl.js', import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

t.test('against a daemon', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const at = ['--socket', harness.socket];

  const table = await run([...at, 'show', 'routes']);
  t.equal(table.code, 0, table.err);
  t.match(table.out, /\n\*K {2}172\.18\.0\.0\/24 /);
  const json = await run([
    ...at,
    '--json',
    'show',
    'routes',
    '172.16.0.0/12',
    '--longer',
    '--peer',
    '192.168.245.172',
    '--advertised',
    '--family',
    'ipv4',
    '--best',
  ]);
  t.equal((JSON.parse(json.out) as RouteDto[])[0]?.prefix, '172.18.0.0/24');
  t.same(harness.queries.filters.at(-1), {
    family: 'ipv4-unicast',
    match: '172.16.0.0/12',
    longer: true,
    peer: { address: '192.168.245.172', direction: 'advertised' },
    best: true,
  });
  t.match(
    JSON.parse((await run(['show', 'summary', '--json'], { TORTIE_SOCKET: harness.socket })).out),
    { asn: 64512 },
    'TORTIE_SOCKET, --json after the verb',
  );
  t.match((await run([...at, 'show', 'peer', '192.168.245.172'])).out, /^Peer +192/);
  t.equal((await run([...at, 'show', 'fib'])).out, 'no routes in the kernel\n');
  const equal = await run([...at, 'fib', 'diff']);
  t.same(equal, { code: 0, out: 'no differences: the kernel has what it should have\n', err: '' });
  t.same(await run([...at, '--json', 'fib', 'diff']), { code: 0, out: '[]\n', err: '' });
  const nothing = { nexthop: null, desired: null, actual: null, detail: null };
  harness.queries.differences = [{ ...nothing, kind: 'unreachable', prefix: '172.18.0.0/24' }];
  const different = await run([...at, 'fib', 'diff']);
  t.match(different, { code: 1, out: /^172\.18\.0\.0\/24 +unreachable/m, err: '' });
  t.equal((await run([...at, '--json', 'fib', 'diff'])).code, 1);
  harness.queries.fibError = new Error('the kernel side is off');
  t.same(await run([...at, 'fib', 'diff']), { code: 1, out: '', err: 'bgpctl: the kernel side is off\n' });

  const done = await run([...at, 'peer', '192.168.245.172', 'disable', '--text', 'maintenance']);
  t.same(done, { code: 0, out: 'peer 192.168.245.172: disable done\n', err: '' });
  t.same(harness.queries.commands, [['192.168.245.172', 'disable', 'maintenance']]);

  for (const args of [
    ['show', 'peer', '10.0.0.1'],
    ['show', 'routes', '--peer', '10.0.0.1'],
    ['peer', '10.0.0.1', 'reset'],
  ]) {
    t.same(
      await run([...at, ...args]),
      { code: 1, out: '', err: 'bgpctl: there is no peer 10.0.0.1\n' },
      args.join(' '),
    );
  }
  harness.queries.refusal = 'the peer is dynamic: it cannot be disabled';
  t.same(await run([...at, 'peer', '192.168.245.172', 'disable']), {
    code: 1,
    out: '',
    err: 'bgpctl: the peer is dynamic: it cannot be disabled\n',
  });
});

t.test('usage', async (t) => {
  const cases: [args: string[], message: RegExp][] = [
    [[], /Usage: bgpctl/],
    [['show'], /Usage: bgpctl show/],
    [['explode'], /unknown command 'explode'/],
    [['show', 'rotes'], /Did you mean routes/],
    [['show', 'routes', '--bset'], /unknown option '--bset'/],
    [['show', 'routes', '10.0.0'], /"10\.0\.0" is not an address or a prefix/],
    [['show', 'routes', '10.0.0.1', '--longer'], /needs a prefix/],
    [['show', 'routes', '--received'], /need --peer/],
    [['show', 'routes', '--peer', '10.0.0.1', '--received', '--advertised'], /not both/],
    [['show', 'routes', '--family', 'vpn'], /ipv4-unicast, ipv6-unicast/],
    [['show', 'peer', 'x'], /"x" is not an address/],
    [['show', 'peer'], /missing required argument/],
    [['peer', '10.0.0.1', 'explode'], /Allowed choices are enable, disable, reset, refresh/],
    [['show', 'peers', 'too', 'many'], /too many arguments/],
  ];
  for (const [args, message] of cases) {
    const outcome = await run(args);
    t.equal(outcome.code, 2, `bgpctl ${args.join(' ')}: exit code`);
    t.match(outcome.err, message, `bgpctl ${args.join(' ')}: text`);
    t.equal(outcome.out, '');
  }
  const help = await run(['--help']);
  t.equal(help.code, 0);
  t.match(help.out, /Exit codes: 0 done, 1 refused, 2 usage, 3 daemon not reachable/);
  t.notMatch(help.out, /explain|doctor/, 'only verbs that are built');
  t.match(await run(['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/ });
});

t.test('daemon not reachable', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const missing = join(directory.path, 'missing.sock');
  const outcome = await run(['--socket', missing, 'show', 'peers']);
  t.same(outcome, {
    code: 3,
    out: '',
    err: `bgpctl: tortied is not running: there is no socket ${missing} (another one: --socket PATH)\n`,
  });
  t.equal((await run(['--socket', missing, 'monitor'])).code, 3);
  const plain = join(directory.path, 'plain');
  writeFileSync(plain, '');
  const refused = await run(['--socket', plain, 'show', 'peers']);
  t.equal(refused.code, 3);
  t.match(refused.err, /^bgpctl: tortied is not running: nobody answers on .*\n$/);
});

t.test('no permission on the socket', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  chmodSync(harness.socket, 0);
  // Permissions do not bind root: as nobody, just while the connection is made.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid!(65534);
  const answer = new Client(harness.socket).get('/v1/summary');
  if (isRoot) process.seteuid!(0);
  await t.rejects(answer, { exit: 3, message: /no permission on .*: be root or a member of its group/ });
});

t.test('an answer that breaks off is no success', async (t) => {
  const directory = temporaryDirectory();
  const socket = join(directory.path, 'control.sock');
  const server = createServer((_request, response) => {
    response.write(`${JSON.stringify([...manyRoutes(1)][0])}\n`, () => response.destroy());
  }).listen(socket);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    directory.remove();
  });
  const outcome = await run(['--socket', socket, 'show', 'routes']);
  t.equal(outcome.code, 1);
  t.match(outcome.err, /ended the answer in the middle/);
});

t.test('monitor prints events until the daemon ends', async (t) => {
  const harness = await startHarness();
  const child = spawn(process.execPath, [program, '--socket', harness.socket, '--json', 'monitor'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  for await (const text of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    out += text;
    if (out.includes('end-of-snapshot')) break;
  }
  await harness.close();
  const [code] = (await once(child, 'exit')) as [number];
  t.equal(code, 3);
  t.match(err, /^bgpctl: .*\n$/, 'one line says why');
  t.equal(out.trimEnd().split('\n').length, 5);
});

t.test('a reader that has seen enough ends it quietly', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  harness.queries.routeSource = () => manyRoutes(1_000_000);
  for (const verb of [['show', 'routes'], ['--json', 'show', 'routes'], ['monitor']]) {
    const child = spawn(process.execPath, [program, '--socket', harness.socket, ...verb], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const [code] = (await once(child, 'exit')) as [number];
    t.equal(code, 0, verb.join(' '));
    t.equal(err, '');
  }
});

t.test('check', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const good = join(directory.path, 'good.yaml');
  const bad = join(directory.path, 'bad.yaml');
  writeFileSync(good, 'asn: 64512\n');
  writeFileSync(bad, 'asn: 64512\npeers:\n  - { address: 10.0.0.1, asn: 1, holdTime: 2 }\nprot: 1\n');
  t.same(await run(['check', good]), { code: 0, out: `${good}: good\n`, err: '' });
  const outcome = await run(['check', bad]);
  t.equal(outcome.code, 1);
  t.match(
    outcome.out,
    `${bad}:3:44: peers[0].holdTime: must be 0, or an integer 3..65535, not 2\n${bad}:4:1: prot: unknown key; did you mean port?\n`,
  );
  const json = await run(['--json', 'check', bad]);
  t.equal(json.code, 1);
  t.match(JSON.parse(json.out), {
    good: false,
    problems: [{ line: 3, column: 44, path: 'peers[0].holdTime' }, { line: 4 }],
  });
  t.equal((await run(['check', join(directory.path, 'none.yaml')])).code, 1);
});

t.test('lab has its own command line', async (t) => {
  const outcome = await run(['lab', '--help']);
  t.equal(outcome.code, 0, outcome.err);
  t.match(outcome.out, /lab/);
});
