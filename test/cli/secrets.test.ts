/**
 * Every key that holds a secret is given one that can be found again, and then everything that leaves the programs is
 * searched for it: the log at its most talkative, every answer of the API and of `bgpctl`, errors of files in which a
 * secret stands in the wrong place or is of the wrong kind, the title of the process, and Node's report of its state.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { GROUP_KEYS, PEER_KEYS, RANGE_KEYS, ROOT_KEYS } from '../../src/config/schema.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { ask, until } from '../control/harness.js';

t.setTimeout(300_000);

const program = (name: string): string => fileURLToPath(new URL(`../../src/${name}.js`, import.meta.url));
const [DAEMON, CONTROL] = [program('daemon'), program('bgpctl')];
/** Every secret begins with this, and none is anything else. */
const MARK = 'Zq7sEcReT';
/** As a number in YAML. */
const NUMBER = '739182645091';
const found = (text: string): boolean => text.includes(MARK) || text.includes(NUMBER);

t.test('these are all the keys with secrets', (t) => {
  const secret = /password|token|secret|key|auth/i;
  const named = [PEER_KEYS, GROUP_KEYS, RANGE_KEYS, ROOT_KEYS]
    .flatMap((keys) => Object.keys(keys))
    .filter((key) => secret.test(key));
  t.same([...new Set(named)].sort(), ['password', 'passwordFile'], 'and control.tokenFile');
  t.end();
});

function env(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return rest;
}

function run(script: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(execPath, [script, ...args], { encoding: 'utf8', env: env(), timeout: 60_000 });
  return stdout + stderr;
}

t.test('a daemon that runs', async (t) => {
  const directory = temporaryDirectory();
  const file = (name: string): string => join(directory.path, name);
  // No two runs of this test share addresses.
  const net = `127.${128 + (process.pid & 63)}.${(process.pid >> 6) & 255}`;
  const config = (round: string): object => ({
    asn: 64512,
    routerId: '10.0.0.1',
    listen: [`${net}.1`],
    port: 20_000 + (process.pid % 10_000),
    fib: { enabled: false },
    groups: { rack: { asn: 64513, password: `${MARK}-group${round}` } },
    peers: [
      { address: `${net}.2`, asn: 64513, password: `${MARK}-peer${round}`, connectRetryTime: 1 },
      { address: `${net}.3`, group: 'rack' },
      { address: `${net}.4`, asn: 64512, passwordFile: 'key' },
      { address: `${net}.5`, asn: 64513, interface: 'no-such-if0', password: `${MARK}-refused${round}` },
    ],
    listenRanges: [{ prefix: '198.51.100.0/24', asn: 64513, password: `${MARK}-range${round}` }],
    control: { socket: file('control'), http: `${net}.1:${30_000 + (process.pid % 10_000)}`, tokenFile: 'token' },
    log: { level: 'debug' },
  });
  const secretFile = (name: string, text: string): void => {
    writeFileSync(file(name), `${text}\n`);
    chmodSync(file(name), 0o600);
  };
  secretFile('key', `${MARK}-file`);
  secretFile('token', `${MARK}-token-of-the-api`);
  const good = (round: string): void => writeFileSync(file('tortie.json'), JSON.stringify(config(round)));
  good('');
  const reports = ['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${directory.path}`];
  const child = spawn(execPath, [...reports, DAEMON, '--config', file('tortie.json')], { env: env() });
  const exited = once(child, 'exit');
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += String(data)));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
    directory.remove();
  });
  await until(() => said.includes('startup: ') || child.exitCode !== null, 'the start');
  const unix = { socketPath: file('control') };
  const tcp = { host: `${net}.1`, port: 30_000 + (process.pid % 10_000) };

  const answers: string[] = [];
  const everything = async (): Promise<void> => {
    const paths = ['summary', 'peers', 'routes', 'fib', 'fib/diff', 'nothing'].concat(
      [2, 3, 4, 5].map((n) => `peers/${net}.${n}`),
    );
    for (const where of [unix, tcp]) for (const path of paths) answers.push((await ask(where, `/v1/${path}`)).text);
    const shows = [['summary'], ['peers'], ['peer', `${net}.2`], ['peer', `${net}.5`], ['routes'], ['fib']];
    for (const show of shows)
      for (const json of [[], ['--json']])
        answers.push(run(CONTROL, '--socket', file('control'), ...json, 'show', ...show));
  };
  await everything();
  t.ok(
    answers.some((text) => text.includes(`${net}.5`)),
    'there is something to search',
  );

  const authorization = `Bearer ${MARK}-token-of-the-api`;
  t.equal((await ask(tcp, '/v1/reload', 'POST', undefined, { authorization })).status, 200, 'the token is in use');
  answers.push((await ask(tcp, '/v1/reload', 'POST', undefined, { authorization: `Bearer ${MARK}-wrong` })).text);
  answers.push((await ask(tcp, `/v1/peers/${MARK.toLowerCase()}`, 'POST', '{', { authorization })).text);

  // A monitor hears the reload.
  const monitor = connect({ path: file('control') });
  t.teardown(() => void monitor.destroy());
  monitor.on('data', (data) => answers.push(String(data)));
  monitor.write(
    `GET /v1/monitor HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.from('0123456789abcdef').toString('base64')}\r\n\r\n`,
  );
  await until(() => answers.some((text) => text.includes('end-of-snapshot')), 'the snapshot');

  await t.test('reloads: other secrets, and files in which they are out of place', async (t) => {
    good('-2');
    secretFile('key', `${MARK}-file-2`);
    const changed = await ask(unix, '/v1/reload', 'POST');
    t.match(changed.text, /changed password/, 'the change is told');
    answers.push(changed.text);
    const peer = (more: object): object => ({ ...config(''), peers: [{ address: `${net}.2`, asn: 1, ...more }] });
    const token = (text: string): object => (secretFile('token', text), config(''));
    const bad: [string, () => object | string][] = [
      ['a number', () => peer({ password: Number(NUMBER) })],
      ['a list', () => peer({ password: [`${MARK}-list`] })],
      ['a map', () => peer({ password: { value: `${MARK}-map` } })],
      ['too long', () => peer({ password: `${MARK}${'x'.repeat(90)}` })],
      ['control characters', () => peer({ password: `${MARK}\n` })],
      ['a misspelt key', () => peer({ pasword: `${MARK}-misspelt` })],
      ['both forms', () => peer({ password: `${MARK}-both`, passwordFile: 'key' })],
      ['TCP-AO', () => peer({ tcpAo: { key: `${MARK}-ao` } })],
      ['TCP-AO, a text', () => peer({ tcpAo: `${MARK}-ao` })],
      ['a bad file', () => (secretFile('key', `${MARK}\n${MARK}`), peer({ passwordFile: 'key' }))],
      ['a short token', () => token(`${MARK}-x`)],
      ['a token with spaces', () => token(`${MARK} and more of the same`)],
      ['no JSON', () => `{"asn": 1, "peers": [{"password": "${MARK}-open]`],
      ['YAML, an alias', () => `asn: 1\npeers:\n  - { address: 192.0.2.1, asn: 2, password: *${MARK} }\n`],
      ['YAML, a tag', () => `asn: 1\npeers:\n  - { address: 192.0.2.1, asn: 2, password: !${MARK} x }\n`],
      [
        'YAML, twice',
        () => `asn: 1\npeers:\n  - address: 192.0.2.1\n    password: ${MARK}-a\n    password: ${MARK}-b\n`,
      ],
      ['YAML, a colon', () => `asn: 1\npeers:\n  - address: 192.0.2.1\n    password: ${MARK}: x: y\n`],
      ['YAML, a quote', () => `asn: 1\npeers:\n  - address: 192.0.2.1\n    password: "${MARK}\n`],
      ['YAML, a number', () => `asn: 1\npeers:\n  - address: 192.0.2.1\n    password: ${NUMBER}\n`],
      ['YAML, %', () => `asn: 1\npeers:\n  - address: 192.0.2.1\n    password: %${MARK}\n`],
    ];
    for (const [name, make] of bad) {
      const content = make();
      writeFileSync(file('tortie.json'), typeof content === 'string' ? content : JSON.stringify(content));
      const answer = await ask(unix, '/v1/reload', 'POST');
      t.equal(answer.status, 422, `${name}: refused`);
      t.notOk(found(answer.text), `${name}: ${answer.text.replaceAll(MARK, 'MARK').slice(0, 160)}`);
      if (!name.startsWith('YAML, a') && !name.startsWith('TCP')) continue;
      t.notOk(found(run(DAEMON, '--check', '--config', file('tortie.json'))), `${name}: tortied --check`);
      t.notOk(found(run(CONTROL, 'check', file('tortie.json'))), `${name}: bgpctl check`);
    }
    secretFile('key', `${MARK}-file`);
    secretFile('token', `${MARK}-token-of-the-api`);
    good('-3');
    child.kill('SIGHUP');
    await until(() => (said.match(/"reloaded"/g)?.length ?? 0) >= 3, 'the reload');
    await everything();
  });

  await t.test('what the system shows of the process', async (t) => {
    const title = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
    t.notOk(found(title));
    child.kill('SIGUSR2');
    const report = (): string | undefined => readdirSync(directory.path).find((name) => name.startsWith('report.'));
    await until(() => report() !== undefined, "Node's report");
    const text = (): string => readFileSync(file(report()!), 'utf8');
    await until(() => text().trimEnd().endsWith('}'), 'all of it');
    t.match(text(), /"javascriptStack"/);
    t.notOk(found(text()), 'of the state of the process');
  });

  child.kill('SIGTERM');
  await exited;
  t.match(said, /"level":"debug"/, 'the log was at its most talkative');
  const line = (text: string): string | undefined => text.split('\n').find(found)?.replaceAll(MARK, 'MARK');
  t.equal(line(said), undefined, 'nothing in the log');
  for (const text of answers) if (found(text)) t.fail(`in an answer: ${line(text)}`);
});
