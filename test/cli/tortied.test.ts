/** `tortied` as a process: exit codes, signals, reload. No kernel routes and no privileges: fib off, a high port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createTerminalLog } from '../../src/daemon-log.js';
import type { PeerDto } from '../../src/control/dto.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { ask, until } from '../control/harness.js';

/** The packed program, as it is installed (`npm run build` makes it). */
const root = new URL('../../../', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { bin: { tortied: string } };
const program = fileURLToPath(new URL(manifest.bin.tortied, root));

class Daemon {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly exited: Promise<number | null>;

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.exited = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** The log so far: every complete line is an object. */
  get log(): { level: string; message: string; err?: { message: string } }[] {
    return this.out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { level: string; message: string });
  }

  async says(text: string): Promise<void> {
    await until(() => this.log.some(({ message }) => message.includes(text)) || this.child.exitCode !== null, text);
    if (!this.log.some(({ message }) => message.includes(text)))
      throw new Error(`ended without "${text}": ${this.out}${this.err}`);
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.exited;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function run(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const daemon = new Daemon(args);
  const code = await daemon.exited;
  return { code, out: daemon.out, err: daemon.err };
}

t.test('arguments and --check', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const good = join(directory.path, 'good.yaml');
  const bad = join(directory.path, 'bad.yaml');
  writeFileSync(good, 'asn: 64512\npeers: [{ address: 10.0.0.1, asn: 1 }]\n');
  writeFileSync(bad, 'asn: 0\nport: x\n');
  t.same(await run(['--check', '--config', good]), {
    code: 0,
    out: `${good}: good (asn 64512, router id derived, 1 peer)\n`,
    err: '',
  });
  const refused = await run(['--check', '--config', bad]);
  t.equal(refused.code, 2);
  t.match(refused.err, `${bad}:1:6: asn: must be an AS number`);
  t.match(refused.err, `${bad}:2:7: port: must be an integer 1..65535, not "x"\n`);
  t.same(await run(['--config', bad]), { ...refused }, 'without --check it is refused in the same way');
  const missing = await run(['--config', join(directory.path, 'none.yaml')]);
  t.equal(missing.code, 2);
  t.match(missing.err, /none\.yaml:1:1: there is no such file/);
  t.match(await run(['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/ });
  t.match(await run(['--help']), {
    code: 0,
    out: /--config <file>[^]*SIGHUP[^]*Exit codes: 0 clean, 1 runtime failure, 2/,
  });
  t.match(await run(['--chekc']), { code: 2, err: /unknown option '--chekc'/ });
  t.match(await run(['extra']), { code: 2, err: /too many arguments/ });
});

t.test('a life: start, reload, bad reload, stop', async (t) => {
  const directory = temporaryDirectory();
  const file = join(directory.path, 'tortie.json');
  const socket = join(directory.path, 'control.sock');
  const port = await freePort();
  const write = (peers: object[], more: object = {}): void => {
    const settings = {
      asn: 64512,
      routerId: '10.0.0.1',
      listen: ['127.0.0.1'],
      port,
      fib: { enabled: false },
      control: { socket },
    };
    writeFileSync(file, JSON.stringify({ ...settings, peers, ...more }));
  };
  write([{ address: '127.0.0.2', asn: 65001, passive: true, password: 's3cr3t-s3cr3t' }]);
  const daemon = new Daemon(['--config', file]);
  t.teardown(async () => {
    await daemon.end();
    directory.remove();
  });
  await daemon.says('startup: asn 64512, router id 10.0.0.1, 1 peer');
  t.match(daemon.log.at(-1), { level: 'info', asn: 64512, routerId: '10.0.0.1', peers: ['127.0.0.2'] });
  const peers = async (): Promise<string[]> => {
    const answer = await ask({ socketPath: socket }, '/v1/peers');
    return (JSON.parse(answer.text) as PeerDto[]).map((peer) => peer.address);
  };
  t.same(await peers(), ['127.0.0.2']);

  const second = await run(['--config', file]);
  t.equal(second.code, 1, 'a second daemon on the same socket does not start');
  t.match(second.err, /another daemon answers on/);
  t.same(await peers(), ['127.0.0.2'], 'and the first goes on');

  write([
    { address: '127.0.0.2', asn: 65001, passive: true, password: 's3cr3t-s3cr3t' },
    { address: '127.0.0.3', asn: 65001, passive: true },
  ]);
  daemon.child.kill('SIGHUP');
  await daemon.says('reloaded');
  t.same((await peers()).sort(), ['127.0.0.2', '127.0.0.3']);

  writeFileSync(file, 'asn: 64512\npeers: [{ address: 127.0.0.9, asn: 1, passwrd: s3cr3t-s3cr3t }]\nprot: 1\n');
  daemon.child.kill('SIGHUP');
  await daemon.says('reload refused');
  t.match(
    daemon.log.filter(({ level }) => level === 'error').map(({ message }) => message),
    [
      /tortie\.json:2:39: peers\[0\]\.passwrd: unknown key; did you mean password\?/,
      /tortie\.json:3:1: prot/,
      /everything goes on as before/,
    ],
  );
  t.same((await peers()).sort(), ['127.0.0.2', '127.0.0.3']);
  const refused = await ask({ socketPath: socket }, '/v1/reload', 'POST');
  t.equal(refused.status, 422);
  t.match(refused.text, /did you mean password/);

  write([{ address: '127.0.0.3', asn: 65001, passive: true }], { control: { socket: `${socket}2` } });
  const reload = await ask({ socketPath: socket }, '/v1/reload', 'POST');
  t.equal(reload.status, 200, reload.text);
  t.match(reload.text, /control\.socket: taken at the next start/);
  t.same(await peers(), ['127.0.0.3']);

  daemon.child.kill('SIGTERM');
  t.equal(await daemon.exited, 0, daemon.out + daemon.err);
  t.equal(daemon.log.at(-1)?.message, 'stopped');
  t.notOk(existsSync(socket), 'the socket is removed');
  t.notMatch(daemon.out + daemon.err, /s3cr3t/);
  t.equal(daemon.err, '');
});

t.test('what cannot be had at the start is exit code 1', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const file = join(directory.path, 'tortie.json');
  const socket = join(directory.path, 'control.sock');
  writeFileSync(socket, '');
  writeFileSync(
    file,
    JSON.stringify({ asn: 64512, routerId: '10.0.0.1', listen: [], fib: { enabled: false }, control: { socket } }),
  );
  t.match(await run(['--config', file]), { code: 1, err: /^tortied: control\.socket: .* exists and is not a socket/ });

  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const control = { socket: join(directory.path, 'other.sock') };
  writeFileSync(
    file,
    JSON.stringify({ asn: 64512, routerId: '10.0.0.1', listen: ['127.0.0.1'], port, fib: { enabled: false }, control }),
  );
  const outcome = await run(['--config', file]);
  t.equal(outcome.code, 1);
  t.match(outcome.err, new RegExp(String(port)), 'the port is named');
  t.notOk(existsSync(control.socket));
});

t.test('lines for people', (t) => {
  let text = '';
  const log = createTerminalLog(
    'info',
    (line) => (text += line),
    () => Date.UTC(2026, 0, 1, 10, 52, 1),
  );
  log.debug({}, 'not shown');
  log.info({ peer: '10.0.0.1', list: [1], text: 'two words', none: undefined }, 'session up');
  log.setLevel('error');
  log.warn({}, 'not shown');
  const error = new Error('broken');
  error.stack = 'Error: broken\n    at somewhere';
  log.error({ err: error }, 'failed');
  t.equal(
    text,
    '10:52:01 INFO  session up  peer=10.0.0.1  list=[1]  text="two words"\n' +
      '10:52:01 ERROR failed  err="broken"\nError: broken\n    at somewhere\n',
  );
  t.end();
});
