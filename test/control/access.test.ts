/** Who may do what: mode, group and directory of the socket, and commands over HTTP with the token. */
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { silentLog, type Log } from '../../src/support/log.js';
import { temporaryDirectory } from './fake-queries.js';
import { ask, startHarness, type Where } from './harness.js';

const TOKEN = 's3cr3t-token-of-32-characters-ab';

function recordingLog(): { log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const warn = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { log: { ...silentLog, warn, error: warn, info: warn, debug: warn }, lines };
}

t.test('the socket has the mode and the group that were asked for', async (t) => {
  const plain = await startHarness();
  t.teardown(() => plain.close());
  t.equal(statSync(plain.socket).mode & 0o777, 0o660);
  const narrow = await startHarness({ guard: { mode: 0o600 } });
  t.teardown(() => narrow.close());
  t.equal(statSync(narrow.socket).mode & 0o777, 0o600);

  const gid = process.getgid!();
  const name = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => Number(fields[2]) === gid)?.[0];
  for (const group of name === undefined ? [gid] : [gid, name]) {
    const harness = await startHarness({ guard: { group } });
    t.teardown(() => harness.close());
    t.equal(statSync(harness.socket).gid, gid);
  }
  await t.rejects(startHarness({ guard: { group: 'no-such-group-here' } }), {
    message: /control\.group: there is no group no-such-group-here in \/etc\/group/,
  });
  const root = process.getuid!() === 0;
  if (root) {
    const other = await startHarness({ guard: { group: 65_432 } });
    t.teardown(() => other.close());
    t.equal(statSync(other.socket).gid, 65_432);
  }
});

t.test(
  'the directory: made for everybody to pass, whatever the umask; one that all may write to is warned of',
  async (t) => {
    const directory = temporaryDirectory();
    const umask = process.umask(0o077);
    t.teardown(() => {
      process.umask(umask);
      directory.remove();
    });
    const { log, lines } = recordingLog();
    const socket = join(directory.path, 'a', 'b', 'control.sock');
    const harness = await startHarness({ socket, log });
    t.teardown(() => harness.close());
    t.equal(statSync(join(directory.path, 'a')).mode & 0o777, 0o755);
    t.equal(statSync(join(directory.path, 'a', 'b')).mode & 0o777, 0o755);
    t.equal(statSync(socket).mode & 0o777, 0o660, 'the mode is not cut by the umask either');
    t.same(lines, []);

    const open = join(directory.path, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const second = await startHarness({ socket: join(open, 'control.sock'), log });
    t.teardown(() => second.close());
    t.match(lines.join('\n'), /everybody may write to .*open, and could put another socket in place of ours/);
    if (process.getuid!() === 0) t.doesNotThrow(() => chownSync(open, 0, 0));
  },
);

t.test('HTTP is read-only without a token', async (t) => {
  const harness = await startHarness({ http: { host: '127.0.0.1', port: 0 } });
  t.teardown(() => harness.close());
  const where = { host: '127.0.0.1', port: harness.server.httpPort! };
  t.equal((await ask(where, '/v1/summary')).status, 200);
  const refused = await ask(where, '/v1/reload', 'POST', undefined, { authorization: `Bearer ${TOKEN}` });
  t.equal(refused.status, 403);
  t.match(refused.text, /control\.tokenFile/);
});

t.test('commands over HTTP take the token, and the newest one', async (t) => {
  const { log, lines } = recordingLog();
  let token: string | undefined = TOKEN;
  const harness = await startHarness({ http: { host: '127.0.0.1', port: 0 }, token: () => token, log });
  t.teardown(() => harness.close());
  const where: Where = { host: '127.0.0.1', port: harness.server.httpPort! };
  const command = (authorization: string | undefined) =>
    ask(where, '/v1/peers/192.168.245.172/reset', 'POST', '{}', authorization === undefined ? {} : { authorization });

  const guesses = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
  ];
  // Each waits for its answer; that is the point of it.
  const answers = await Promise.all(guesses.map(command));
  for (const [index, wrong] of guesses.entries()) {
    const answer = answers[index]!;
    t.equal(answer.status, 401, `refused: ${wrong?.replaceAll(TOKEN, 'TOKEN')}`);
    t.equal(answer.headers['www-authenticate'], 'Bearer');
    t.notMatch(answer.text, /s3cr3t/i);
  }
  t.same(harness.queries.commands, [], 'none was carried out');
  t.match(lines, [/command refused: no token, or a wrong one.*"from":"127\.0\.0\.1"/]);
  t.equal(lines.length, 1, 'one line in the log, not one each');

  for (const method of ['PUT', 'DELETE', 'PATCH'])
    t.equal((await ask(where, '/v1/reload', method)).status, 405, `${method} does nothing`);
  t.equal((await command(`Bearer ${TOKEN}`)).status, 200);
  t.equal((await command(`bearer  ${TOKEN}`)).status, 200, 'the scheme is not case-sensitive (RFC 9110)');
  t.equal(harness.queries.commands.length, 2);
  t.equal((await ask(where, '/v1/summary')).status, 200, 'reading takes none');

  token = `${TOKEN}-new`;
  t.equal((await command(`Bearer ${TOKEN}`)).status, 401, 'the old one is void at once');
  t.equal((await command(`Bearer ${token}`)).status, 200);
  token = undefined;
  t.equal((await command(`Bearer ${TOKEN}`)).status, 403);
  t.equal((await ask({ socketPath: harness.socket }, '/v1/reload', 'POST')).status, 200, 'the socket asks for none');
  t.notMatch(lines.join('\n'), /s3cr3t/i);
});
