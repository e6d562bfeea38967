/**
 * Clients that mean no good, on the Unix socket and on TCP: what is no HTTP and no JSON, floods, readers that do not read,
 * guesses of the token. The server goes on answering others, and keeps nothing for long.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { Random } from '../fuzz/random.js';
import { ask, startHarness, until, type Harness, type Where } from './harness.js';

t.setTimeout(300_000);

const TOKEN = 'a-token-of-thirty-two-characters';

interface Both {
  readonly harness: Harness;
  readonly wheres: readonly Where[];
}

async function both(t: { teardown(run: () => Promise<void>): void }): Promise<Both> {
  const harness = await startHarness({ http: { host: '127.0.0.1', port: 0 }, token: () => TOKEN });
  t.teardown(() => harness.close());
  return {
    harness,
    wheres: [{ socketPath: harness.socket }, { host: '127.0.0.1', port: harness.server.httpPort! }],
  };
}

function raw(where: Where): Socket {
  const socket = 'socketPath' in where ? connect({ path: where.socketPath }) : connect(where);
  socket.on('error', () => undefined);
  return socket;
}

/** Says it, and resolves with the answer when the server has closed, or has said something and then nothing more. */
async function say(where: Where, words: string | Uint8Array): Promise<string> {
  const socket = raw(where);
  let heard = '';
  socket.on('data', (data) => (heard += String(data)));
  socket.end(words);
  await new Promise((resolve) => socket.once('close', resolve));
  return heard;
}

const LONG = 'x'.repeat(200_000);

t.test('requests that are none', async (t) => {
  const { wheres, harness } = await both(t);
  const cases: [string, string][] = [
    ['an endless line', LONG],
    ['an endless header', `GET /v1/summary HTTP/1.1\r\nhost: x\r\nx-long: ${LONG}\r\n\r\n`],
    ['many headers', `GET /v1/summary HTTP/1.1\r\n${'a: b\r\n'.repeat(30_000)}\r\n`],
    ['an endless path', `GET /v1/${LONG} HTTP/1.1\r\nhost: x\r\n\r\n`],
    ['percent signs', 'GET /v1/peers/%zz%00%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'],
    ['dots', 'GET /v1/../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'],
    ['two lengths', 'POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 9\r\n\r\n{}'],
    [
      'length and chunks',
      'POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a bad chunk', 'POST /v1/drain HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
    ['another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['BGP', '\xff'.repeat(16) + '\x00\x13\x04'],
    ['CONNECT', 'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n'],
    [
      'an upgrade to something else',
      'GET /v1/monitor HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n',
    ],
    [
      'an upgrade without a key',
      'GET /v1/monitor HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    ],
    ['an upgrade elsewhere', 'GET /v1/routes HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'],
    ['a NUL', 'GET /v1/summary\0 HTTP/1.1\r\nhost: x\r\n\r\n'],
  ];
  for (const where of wheres) {
    for (const [name, words] of cases) {
      const answer = await say(where, words);
      t.ok(answer === '' || /^HTTP\/1\.1 (4\d\d|431|503|101) /.test(answer), `${name}: ${answer.slice(0, 60)}`);
      t.notMatch(answer, /at .*\.js|node:/, `${name}: nothing of our insides`);
    }
    t.equal((await ask(where, '/v1/summary')).status, 200, 'it goes on');
  }
  t.same(harness.queries.commands, []);
});

t.test('bodies that are no JSON, or another JSON', async (t) => {
  const { wheres, harness } = await both(t);
  const authorization = `Bearer ${TOKEN}`;
  const bodies = [
    '{',
    'null',
    '[]',
    '"reset"',
    '1e999',
    '{"text": {}}',
    '{"text": null}',
    '{"hard": "yes"}',
    '{"__proto__": {"hard": true}}',
    '{"constructor": 1}',
    `{"text": "${'ä'.repeat(200)}"}`,
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    '\u0000',
    '{"text": "a"} x',
  ];
  for (const where of wheres) {
    for (const body of bodies) {
      const answer = await ask(where, '/v1/peers/192.168.245.172/reset', 'POST', body, { authorization });
      t.equal(answer.status, 400, JSON.stringify(body.slice(0, 40)));
      t.match(JSON.parse(answer.text), { error: { code: 'bad-request' } });
    }
    const big = await ask(where, '/v1/peers/192.168.245.172/reset', 'POST', `"${LONG}"`, { authorization }).catch(
      () => undefined,
    );
    t.ok(big === undefined || big.status === 413, 'too large');
  }
  t.same(harness.queries.commands, [], 'none was carried out');
});

t.test('random octets, and requests with random wounds', async (t) => {
  const { wheres, harness } = await both(t);
  const seed = Number(process.env['TORTIE_FUZZ_SEED'] ?? 4271);
  t.comment(`TORTIE_FUZZ_SEED=${seed}`);
  const random = new Random(seed);
  const good = `POST /v1/peers/192.168.245.172/refresh?x=1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{"text":"abc"}`;
  for (let round = 0; round < 150; round++) {
    const words = round % 3 === 0 ? Buffer.from(random.bytes(1 + random.below(3000))) : Buffer.from(good);
    for (let wounds = random.below(6); wounds > 0; wounds--) words[random.below(words.length)] = random.below(256);
    const cut = round % 4 === 0 ? words.subarray(0, random.below(words.length)) : words;
    await Promise.all(wheres.map((where) => say(where, cut)));
  }
  for (const where of wheres) t.equal((await ask(where, '/v1/summary')).status, 200, 'it goes on');
  t.ok(harness.queries.commands.every(([, command]) => command === 'refresh'));
});

t.test('a pipeline is not begun: one request at a time', async (t) => {
  const { wheres, harness } = await both(t);
  for (const where of wheres) {
    let begun = 0;
    harness.queries.routeSource = function* () {
      begun++;
      for (;;) yield harness.queries.peerList[0] as never;
    };
    const socket = raw(where);
    socket.resume();
    socket.write('GET /v1/routes HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2000));
    await new Promise((resolve) => socket.once('close', resolve));
    t.ok(begun <= 1, `${begun} of 2,000 were begun`);
  }
});

t.test('many readers of endless lists: the loop stays free, and others are answered', async (t) => {
  const { wheres, harness } = await both(t);
  harness.queries.routeSource = function* () {
    for (;;) yield harness.queries.peerList[0] as never;
  };
  const readers: Socket[] = [];
  t.teardown(() => readers.forEach((socket) => socket.destroy()));
  let octets = 0;
  for (let index = 0; index < 200; index++) {
    const socket = raw(wheres[1]!);
    readers.push(socket);
    socket.on('data', (data) => (octets += data.length));
    socket.write('GET /v1/routes HTTP/1.1\r\nhost: x\r\n\r\n');
  }
  await until(() => octets > 1_000_000, 'they read');
  // Steps of the loop while 200 answers are worked on: that each is one slice, turns.test.ts says.
  const steps: number[] = [];
  for (let step = 0; step < 100; step++) {
    const before = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    steps.push(performance.now() - before);
  }
  steps.sort((a, b) => a - b);
  t.comment(`an iteration took ${steps[50]!.toFixed(1)} ms (median), ${steps[99]!.toFixed(1)} ms at most`);
  for (const where of wheres) t.equal((await ask(where, '/v1/summary')).status, 200);
});

t.test('who fills all places of one server takes none of the other', async (t) => {
  const { wheres } = await both(t);
  const [unix, tcp] = wheres as [Where, Where];
  const sockets = Array.from({ length: 300 }, () => raw(tcp));
  t.teardown(() => sockets.forEach((socket) => socket.destroy()));
  await until(() => sockets.some(({ closed }) => closed), 'beyond the limit they are closed');
  t.equal((await ask(unix, '/v1/summary')).status, 200, 'bgpctl has its own places');

  const key = Buffer.from('0123456789abcdef').toString('base64');
  for (const socket of sockets) socket.destroy();
  const upgrade = `GET /v1/monitor HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`;
  const answers: string[] = [];
  const monitors = Array.from({ length: 70 }, () => raw(tcp));
  t.teardown(() => monitors.forEach((socket) => socket.destroy()));
  for (const socket of monitors) {
    socket.once('data', (data) => answers.push(String(data).slice(9, 12)));
    socket.write(upgrade);
  }
  await until(() => answers.length === 70, 'all are answered');
  t.equal(answers.filter((status) => status === '101').length, 64, 'monitors over TCP');
  t.equal(answers.filter((status) => status === '503').length, 6, 'and no more');
  const own = raw(unix);
  t.teardown(() => void own.destroy());
  own.write(upgrade);
  const [first] = (await once(own, 'data')) as [Buffer];
  t.match(String(first), /^HTTP\/1\.1 101 /, 'bgpctl monitor has its own');
});

t.test('guesses of the token take their time', async (t) => {
  const { wheres } = await both(t);
  const socket = raw(wheres[1]!);
  t.teardown(() => void socket.destroy());
  let answers = 0;
  let closed = false;
  socket.on('data', (data) => (answers += String(data).split('HTTP/1.1 401').length - 1));
  socket.on('close', () => (closed = true));
  const guess = 'POST /v1/reload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer guess\r\ncontent-length: 0\r\n\r\n';
  const startMs = performance.now();
  socket.write(guess);
  await until(() => answers === 1, 'an answer');
  t.ok(performance.now() - startMs > 900, 'not at once');
  socket.write(guess.repeat(50));
  await until(() => closed, 'closed');
  t.ok(answers <= 2, 'a connection makes one at a time');
  // The right one does not wait behind the wrong ones.
  const guesses = Array.from({ length: 20 }, () => raw(wheres[1]!));
  t.teardown(() => guesses.forEach((each) => each.destroy()));
  for (const each of guesses) each.write(guess);
  const headers = { authorization: `Bearer ${TOKEN}` };
  t.equal((await ask(wheres[1]!, '/v1/reload', 'POST', undefined, headers)).status, 200);
});
