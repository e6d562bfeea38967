/** The control server: routes, refusals, the life of the socket. */
import { once } from 'node:events';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { spawn } from 'node:child_process';
import t from 'tap';
import { ControlError } from '../../src/control/control-error.js';
import type { PeerDto, RouteDto } from '../../src/control/dto.js';
import { LOOK_MS, startControl } from '../../src/control/server.js';
import { systemClock } from '../../src/support/clock.js';
import { silentLog } from '../../src/support/log.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { FakeQueries, manyRoutes, temporaryDirectory } from './fake-queries.js';
import { ask, startHarness, until } from './harness.js';

const errorOf = (text: string) => (JSON.parse(text) as { error: { code: string; message: string } }).error;

t.test('reads', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const where = { socketPath: harness.socket };

  const summary = await ask(where, '/v1/summary');
  t.equal(summary.status, 200);
  t.equal(summary.headers['content-type'], 'application/json');
  t.match(JSON.parse(summary.text), { asn: 64512 });

  const peers = JSON.parse((await ask(where, '/v1/peers')).text) as PeerDto[];
  t.same(
    peers.map((peer) => peer.address),
    ['192.168.245.172', 'fd00:245::172'],
  );
  const one = await ask(where, `/v1/peers/${encodeURIComponent('FD00:245:0::172')}`);
  t.match(JSON.parse(one.text), { address: 'fd00:245::172' }, 'any spelling of an address is understood');

  const routes = await ask(
    where,
    '/v1/routes?family=ipv6-unicast&match=fd00:0::1/16&longer=1&peer=fd00:245:0::172&direction=advertised&best',
  );
  t.equal((JSON.parse(routes.text) as RouteDto[]).length, 2);
  t.same(harness.queries.filters.at(-1), {
    family: 'ipv6-unicast',
    match: 'fd00::/16',
    longer: true,
    peer: { address: 'fd00:245::172', direction: 'advertised' },
    best: true,
  });
  await ask(where, '/v1/routes?match=10.0.0.1');
  t.match(harness.queries.filters.at(-1), { match: '10.0.0.1', longer: false, best: false });

  const lines = await ask(where, '/v1/routes?format=ndjson');
  t.equal(lines.headers['content-type'], 'application/x-ndjson');
  t.equal(lines.text.split('\n').length, 3, 'one object a line, the last with its newline');

  harness.queries.routeSource = () => [];
  t.equal((await ask(where, '/v1/routes')).text, '[]\n');
  t.equal((await ask(where, '/v1/routes?format=ndjson')).text, '');
  t.equal((await ask(where, '/v1/fib')).text, '[]\n');
  t.equal((await ask(where, '/v1/fib/diff')).text, '[]\n');
  harness.queries.fibError = new Error('the kernel side is off');
  const refused = await ask(where, '/v1/fib/diff');
  t.equal(refused.status, 409);
  t.same(errorOf(refused.text), { code: 'refused', message: 'the kernel side is off' });
});

t.test('commands', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const where = { socketPath: harness.socket };
  const path = '/v1/peers/192.168.245.172';
  t.equal((await ask(where, `${path}/reset`, 'POST')).status, 200);
  t.equal((await ask(where, `${path}/disable`, 'POST', '{"text":"maintenance"}')).status, 200);
  t.same(harness.queries.commands, [
    ['192.168.245.172', 'reset', undefined],
    ['192.168.245.172', 'disable', 'maintenance'],
  ]);
  harness.queries.refusal = 'the peer is dynamic';
  const refused = await ask(where, `${path}/enable`, 'POST', '{}');
  t.equal(refused.status, 409);
  t.same(errorOf(refused.text), { code: 'refused', message: 'the peer is dynamic' });

  const reload = await ask(where, '/v1/reload', 'POST');
  t.same(JSON.parse(reload.text), { changes: ['peer 192.0.2.1: added'] });
});

t.test('refusals have a status, a stable code and a text', async (t) => {
  const harness = await startHarness({
    reload: () => Promise.reject(new ControlError('bad-configuration', 'tortie.yaml:1:1: asn: is missing')),
  });
  t.teardown(() => harness.close());
  const peer = '/v1/peers/192.168.245.172';
  const cases: [method: string, path: string, status: number, code: string, message: RegExp, body?: string][] = [
    ['GET', '/', 404, 'unknown-route', /nothing at/],
    ['GET', '/v2/summary', 404, 'unknown-route', /nothing at/],
    ['GET', '/v1/%zz', 400, 'bad-request', /well-formed/],
    ['GET', '/v1/summary?a=1', 400, 'bad-request', /unknown parameter "a"/],
    ['GET', '/v1/peers/10.0.0.1', 404, 'unknown-peer', /10\.0\.0\.1/],
    ['GET', '/v1/peers/nobody', 400, 'bad-request', /"nobody" is not an address/],
    ['GET', `${peer}/reset/now`, 404, 'unknown-route', /nothing/],
    ['POST', `${peer}/explode`, 404, 'unknown-route', /enable, disable/],
    ['GET', `${peer}/reset`, 405, 'method-not-allowed', /POST/],
    ['DELETE', '/v1/summary', 405, 'method-not-allowed', /GET/],
    ['POST', '/v1/peers/10.0.0.1/reset', 404, 'unknown-peer', /10\.0\.0\.1/],
    ['POST', `${peer}/reset`, 400, 'bad-request', /not JSON/, '{'],
    ['POST', `${peer}/reset`, 400, 'bad-request', /object/, '[]'],
    ['POST', `${peer}/reset`, 400, 'bad-request', /string/, '{"text":1}'],
    ['POST', `${peer}/reset`, 400, 'bad-request', /unknown key "txt"/, '{"txt":"a"}'],
    ['POST', `${peer}/reset`, 400, 'bad-request', /255 octets/, JSON.stringify({ text: 'ä'.repeat(128) })],
    ['POST', `${peer}/reset`, 413, 'too-large', /larger/, 'x'.repeat(70_000)],
    ['GET', '/v1/routes?family=ipv4', 400, 'bad-request', /ipv4-unicast, ipv6-unicast/],
    ['GET', '/v1/routes?match=10.0.0', 400, 'bad-request', /not an address or a prefix/],
    ['GET', '/v1/routes?match=10.0.0.0/33', 400, 'bad-request', /not an address or a prefix/],
    ['GET', '/v1/routes?match=::/0&family=ipv4-unicast', 400, 'bad-request', /not of the family/],
    ['GET', '/v1/routes?match=10.0.0.1&longer', 400, 'bad-request', /needs a prefix/],
    ['GET', '/v1/routes?best=perhaps', 400, 'bad-request', /true or false/],
    ['GET', '/v1/routes?best&best', 400, 'bad-request', /twice/],
    ['GET', '/v1/routes?direction=received', 400, 'bad-request', /needs the parameter peer/],
    ['GET', '/v1/routes?peer=192.168.245.172&direction=up', 400, 'bad-request', /received or advertised/],
    ['GET', '/v1/routes?peer=10.0.0.1', 404, 'unknown-peer', /10\.0\.0\.1/],
    ['GET', '/v1/routes?format=xml', 400, 'bad-request', /json or ndjson/],
    ['GET', '/v1/monitor', 400, 'bad-request', /WebSocket/],
    ['POST', '/v1/reload', 422, 'bad-configuration', /asn: is missing/],
  ];
  for (const [method, path, status, code, message, body] of cases) {
    const answer = await ask({ socketPath: harness.socket }, path, method, body);
    t.equal(answer.status, status, `${method} ${path}: status`);
    t.equal(errorOf(answer.text).code, code, `${method} ${path}: code`);
    t.match(errorOf(answer.text).message, message, `${method} ${path}: text`);
  }
  t.same(harness.queries.commands, [], 'nothing of it reached the speaker');
});

t.test('a defect inside is an error of that request only', async (t) => {
  const logged: string[] = [];
  const harness = await startHarness({ log: { ...silentLog, error: (_fields, message) => logged.push(message) } });
  t.teardown(() => harness.close());
  const where = { socketPath: harness.socket };
  harness.queries.routeSource = () => {
    throw new Error('column 7 is torn');
  };
  const answer = await ask(where, '/v1/routes');
  t.equal(answer.status, 500);
  t.notMatch(answer.text, /torn/);
  harness.queries.fibError = new Error('the worker is gone');
  harness.queries.fibRows = Array.from({ length: 2000 }, () => ({
    prefix: '10.0.0.0/8',
    nextHops: [],
    table: 254,
    metric: 20,
    protocol: 186,
    state: 'installed' as const,
    error: null,
  }));
  await t.rejects(ask(where, '/v1/fib'), 'a list that breaks off does not look complete');
  t.equal(logged.length, 2);
  t.equal((await ask(where, '/v1/summary')).status, 200);
});

t.test('while the daemon starts', async (t) => {
  const harness = await startHarness({ queries: () => undefined });
  t.teardown(() => harness.close());
  const answer = await ask({ socketPath: harness.socket }, '/v1/summary');
  t.equal(answer.status, 503);
  t.equal(errorOf(answer.text).code, 'starting');
});

t.test('the TCP listener only reads', async (t) => {
  const harness = await startHarness({ http: { host: '127.0.0.1', port: 0 } });
  t.teardown(() => harness.close());
  const where = { host: '127.0.0.1', port: harness.server.httpPort! };
  t.equal((await ask(where, '/v1/summary')).status, 200);
  for (const path of ['/v1/peers/192.168.245.172/reset', '/v1/reload']) {
    const answer = await ask(where, path, 'POST');
    t.equal(answer.status, 403);
    t.equal(errorOf(answer.text).code, 'read-only');
  }
  t.same(harness.queries.commands, []);
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const socket = join(directory.path, 'second.sock');
  await t.rejects(
    startControl({
      socket,
      http: where,
      queries: () => harness.queries,
      reload: () => Promise.resolve([]),
      clock: systemClock,
      log: silentLog,
    }),
    /control\.http: cannot listen on 127\.0\.0\.1 port \d+: the address is in use/,
  );
  t.notOk(existsSync(socket), 'the Unix socket is taken back');
});

t.test('the socket', async (t) => {
  const harness = await startHarness();
  const { socket } = harness;
  t.equal(statSync(socket).mode & 0o777, 0o660);
  const options = {
    socket,
    queries: () => new FakeQueries(),
    reload: () => Promise.resolve([]),
    clock: systemClock,
    log: silentLog,
  };
  await t.rejects(startControl(options), /another daemon answers on .*stop it or name another path/);
  t.equal((await ask({ socketPath: socket }, '/v1/summary')).status, 200, 'and that one goes on');
  await harness.server.close();
  t.notOk(existsSync(socket), 'is removed at the end');
  await harness.close();
});

t.test('a socket left by a dead daemon is replaced, a file is not', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const socket = join(directory.path, 'control.sock');
  const child = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  await once(child, 'exit');
  t.ok(existsSync(socket), 'the dead one has left its socket');
  const harness = await startHarness({ socket });
  t.equal((await ask({ socketPath: socket }, '/v1/summary')).status, 200);
  await harness.close();

  writeFileSync(socket, 'precious');
  await t.rejects(startHarness({ socket }), /exists and is not a socket/);
  t.ok(existsSync(socket));
});

t.test('a socket that is removed is made again, with its permissions', async (t) => {
  const clock = new FakeClock();
  const said: string[] = [];
  const log = { ...silentLog, warn: (_: object, text: string) => void said.push(text) };
  const harness = await startHarness({ clock, log });
  t.teardown(() => harness.close());
  const { mode } = statSync(harness.socket);
  rmSync(dirname(harness.socket), { recursive: true });
  clock.advance(LOOK_MS);
  await until(() => said.some((text) => text.includes('made again')), 'the socket');
  t.equal(statSync(harness.socket).mode, mode);
  t.equal((await ask({ socketPath: harness.socket }, '/v1/summary')).status, 200);
  clock.advance(LOOK_MS);
  t.equal((await ask({ socketPath: harness.socket }, '/v1/summary')).status, 200);
  t.equal(said.filter((text) => text.includes('made again')).length, 1);
});

t.test('who is silent on the socket counts as living', async (t) => {
  const directory = temporaryDirectory();
  const socket = join(directory.path, 'control.sock');
  const mute = createServer().listen(socket);
  await once(mute, 'listening');
  t.teardown(() => {
    mute.close();
    directory.remove();
  });
  await t.rejects(startHarness({ socket }), /another daemon answers/);
});

t.test('what is not HTTP', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const { connect } = await import('node:net');
  const stream = connect(harness.socket);
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  stream.on('error', () => undefined);
  stream.write('\x16\x03\x01 hello\r\n\r\n');
  await once(stream, 'close');
  t.match(text, /^HTTP\/1\.1 400 /);
});

t.test('a million routes are streamed in bounded memory', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const COUNT = 1_000_000;
  let pulled = 0;
  let turns = 0;
  const ticker = setInterval(() => turns++, 1);
  t.teardown(() => clearInterval(ticker));
  harness.queries.routeSource = () => manyRoutes(COUNT, (index) => (pulled = index));
  const { request } = await import('node:http');
  const call = request({ socketPath: harness.socket, path: '/v1/routes', agent: false });
  call.end();
  const [response] = (await once(call, 'response')) as [import('node:http').IncomingMessage];

  // Nothing is read: the server must stop pulling instead of filling memory.
  let before = -1;
  await until(() => {
    const still = pulled === before && turns > 20;
    before = pulled;
    if (!still) turns = Math.min(turns, 20);
    return still;
  }, 'the server stops while the client does not read');
  t.ok(pulled < COUNT / 10, `only ${pulled} routes were pulled`);

  const startHeap = process.memoryUsage().heapUsed;
  let mostHeap = 0;
  let rows = 0;
  turns = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (const octet of chunk) if (octet === 10) rows++;
    mostHeap = Math.max(mostHeap, process.memoryUsage().heapUsed);
  }
  t.equal(rows, COUNT, 'all rows arrived');
  t.ok(mostHeap - startHeap < 64 * 1024 * 1024, `the heap grew by ${(mostHeap - startHeap) >> 20} MB at most`);
  t.ok(turns > 100, `the event loop turned meanwhile (${turns} times)`);
});

t.test('a client that goes away ends the walk', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  let ended = false;
  harness.queries.routeSource = function* () {
    try {
      yield* manyRoutes(10_000_000);
    } finally {
      ended = true;
    }
  };
  const { request } = await import('node:http');
  const call = request({ socketPath: harness.socket, path: '/v1/routes', agent: false });
  call.on('error', () => undefined);
  call.end();
  await once(call, 'response');
  call.destroy();
  await until(() => ended, 'the iterator is returned');
  t.ok(ended);
});
