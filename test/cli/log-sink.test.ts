/** Where the log goes may be full, deaf or gone: nobody waits for it, nobody dies of it, and what is lost is counted. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LogSink } from '../../src/daemon-log-sink.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { ask, until } from '../control/harness.js';

const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));

function readAll(fd: number): string {
  const bytes = Buffer.alloc(1 << 16);
  let text = '';
  try {
    for (;;) text += bytes.toString('utf8', 0, readSync(fd, bytes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return text;
}

t.test('a pipe that nobody reads: whole lines, and how many are lost', (t) => {
  const directory = temporaryDirectory();
  t.teardown(() => directory.remove());
  const path = join(directory.path, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  // Blocking: a write too many would wait for ever.
  const writer = openSync(path, constants.O_WRONLY);
  const sink = new LogSink(writer, (count) => `lost ${count}\n`);
  const line = (n: number): string => `${n} ${'x'.repeat(n % 37 === 0 ? 9000 : 90)}\n`;
  for (let n = 0; n < 3000; n++) sink.write(line(n));
  let text = readAll(reader);
  t.ok(text.length > 30_000, 'as much as there was room for');
  sink.write(line(3000));
  sink.write(line(3001));
  text += readAll(reader);
  closeSync(reader);
  closeSync(writer);
  const lines = text.split('\n').slice(0, -1);
  t.same(
    lines.slice(-2),
    [line(3000), line(3001)].map((whole) => whole.slice(0, -1)),
  );
  const lost = Number(/^lost (\d+)$/.exec(lines.find((each) => each.startsWith('lost'))!)?.[1]);
  t.equal(lines.length - 1 + lost, 3002);
  for (const each of lines) {
    if (!each.startsWith('lost')) t.equal(each, line(Number(each.split(' ')[0])).slice(0, -1));
  }
  t.end();
});

t.test('a disk that is full, a descriptor that is closed', (t) => {
  const full = openSync('/dev/full', 'w');
  const sink = new LogSink(full, (count) => `lost ${count}\n`);
  for (let n = 0; n < 10; n++) sink.write('a line\n');
  closeSync(full);
  sink.write('a line\n');
  t.pass('nothing is thrown');
  t.end();
});

t.test('the daemon goes on without its log', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(() => directory.remove());
  const socket = join(directory.path, 'c.sock');
  const config = { asn: 64512, routerId: '10.0.0.1', listen: [], fib: { enabled: false }, control: { socket } };
  const file = join(directory.path, 'tortie.json');
  writeFileSync(file, JSON.stringify(config));
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [DAEMON, '--config', file], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  t.teardown(() => child.kill('SIGKILL'));
  let answers = false;
  const look = (): void => {
    ask({ socketPath: socket }, '/v1/summary').then(
      ({ status }) => (answers = status === 200),
      () => undefined,
    );
  };
  await until(() => {
    look();
    return answers || child.exitCode !== null;
  }, 'an answer');
  t.equal(child.exitCode, null, 'it lives');
  child.kill('SIGHUP');
  t.equal((await ask({ socketPath: socket }, '/v1/reload', 'POST')).status, 200);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  t.equal(code, 0);
});
