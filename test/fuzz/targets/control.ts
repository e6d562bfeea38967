/**
 * The control server on a real Unix socket and on TCP: requests with paths, parameters, tokens and bodies that nobody
 * meant, WebSockets whose frames are wrong, and octets that are no HTTP at all, whole or cut short. Every whole request is
 * answered; a refusal is `{error: {code, message}}` and never says that something failed inside; a command is given by
 * what is one, over TCP with the token, and by nothing else; and in the end the server answers and nobody listens any more.
 */
import assert from 'node:assert/strict';
import * as net from 'node:net';
import { systemClock } from '../../../src/support/clock.js';
import { route } from '../../control/fake-queries.js';
import { ask, startHarness } from '../../control/harness.js';
import type { Harness, Where } from '../../control/harness.js';
import { mutate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 60;
/** Of the event loop, until the end of a connection has been heard of. */
const MOST_TURNS = 5000;
const TOKEN = 'a-token-of-thirty-two-characters';
const PEER = '192.168.245.172';
const PARTS = ['v1', 'summary', 'peers', 'routes', 'fib', 'diff', 'reload', 'metrics', 'health', 'monitor', 'drain', 'undrain', PEER, 'fd00:245::172', '192.0.2.1', '2001:db8::1', 'fe80::1%25eth0', 'reset', 'refresh', 'enable', '..', '.', '%00', '%1b[2J', '%zz', '%2e%2e', '%2f', '', '__proto__', 'constructor', 'a'.repeat(300)]; // prettier-ignore
const PARAMETERS = ['family', 'match', 'longer', 'peer', 'direction', 'best', 'format', 'x', '__proto__', ''];
const VALUES = ['ipv4-unicast', '10.0.0.0/8', '::/0', '1', 'true', 'received', 'advertised', PEER, '192.0.2.1', 'ndjson', 'json', '%', '%ff', '%00', 'a'.repeat(500), '-1', '']; // prettier-ignore
const METHODS = ['GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];
const BODIES = ['', '{}', ' ', '{"text":"bye"}', '{"text":1}', '{"text":null}', '{"hard":true}', '{"hard":"x"}', '[', '[]', 'null', '{"__proto__":{"text":"x"}}', '{"constructor":1}', `{"text":"${'ü'.repeat(128)}"}`, '{"text":"\\ud800\\u0000"}', 'x'.repeat(70_000)]; // prettier-ignore

/** As they should be, so that what stands behind them is reached; and the bodies that commands take. */
const COMMANDS = [`/v1/peers/${PEER}/reset`, `/v1/peers/${PEER}/disable`, '/v1/peers/FD00:245:0::172/refresh', '/v1/reload', '/v1/drain', '/v1/undrain']; // prettier-ignore
const GOOD_BODIES = new Set(['', '{}', ' ', '{"text":"bye"}']);
const PATHS = [...COMMANDS, '/v1/routes', '/v1/routes?match=10.0.0.0/8', '/v1/summary', `/v1/peers/${PEER}`];
const GOOD_TOKENS = [`Bearer ${TOKEN}`, `bearer   ${TOKEN}`, `BEARER ${TOKEN}`];
const BAD_TOKENS = [undefined, '', 'Bearer', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, `Bearer ${TOKEN} x`, `x Bearer ${TOKEN}`, TOKEN, `Bearer "${TOKEN}"`, `Bearer ${TOKEN.toUpperCase()}`, `Bearer,${TOKEN}`, 'Bearer undefined', `Bearer ${'a'.repeat(5000)}`]; // prettier-ignore

/** Whoever guesses waits; not here. */
const impatient = {
  ...systemClock,
  after: (delayMs: number, run: () => void) => systemClock.after(Math.min(delayMs, 1), run),
};

class Scene {
  readonly random: Random;
  harness!: Harness;
  input = '';
  #reloads = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  async start(): Promise<void> {
    this.harness = await startHarness({
      http: { host: '127.0.0.1', port: 0 },
      token: () => TOKEN,
      clock: impatient,
      reload: () => Promise.resolve([`reload ${++this.#reloads}`]),
    });
  }

  get unix(): Where {
    return { socketPath: this.harness.socket };
  }

  get tcp(): Where {
    return { host: '127.0.0.1', port: this.harness.server.httpPort! };
  }

  /** So far. */
  get commands(): number {
    const { commands, drained } = this.harness.queries;
    return commands.length + drained.length + this.#reloads;
  }

  target(): string {
    const { random } = this;
    if (random.chance(50)) return random.pick(PATHS);
    const path = Array.from({ length: 1 + random.below(5) }, () => random.pick(PARTS)).join('/');
    const query = Array.from({ length: random.below(4) }, () => `${random.pick(PARAMETERS)}=${random.pick(VALUES)}`);
    return `${random.chance(80) ? '/v1/' : '/'}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`;
  }

  async whole(): Promise<void> {
    const { random } = this;
    const [method, path] = [random.pick(METHODS), this.target()];
    const body = method === 'GET' || method === 'HEAD' ? undefined : random.pick(BODIES);
    const overTcp = random.chance(50);
    const isTrusted = overTcp ? random.chance(40) : true;
    const authorization = isTrusted ? random.pick(GOOD_TOKENS) : random.pick(BAD_TOKENS);
    const before = this.commands;
    this.input = `${overTcp ? 'TCP' : 'Unix'} ${method} ${path}, ${authorization}: ${body?.slice(0, 200)}`;
    const headers = authorization === undefined ? {} : { authorization };
    const { status, text } = await ask(overTcp ? this.tcp : this.unix, path, method, body, headers);
    const what = `${status} ${text.slice(0, 200)}`;
    const given = this.commands - before;
    assert.ok(status >= 200 && status < 600 && status !== 500, what);
    assert.ok(given <= 1 && (given === 0 || (method === 'POST' && status === 200 && isTrusted)), `${given} given: ${what}`); // prettier-ignore
    if (COMMANDS.includes(path) && method === 'POST') {
      const isGood = isTrusted && (GOOD_BODIES.has(body!) || (!path.includes('peers') && body!.length < 65_536));
      if (isGood) assert.equal(given, 1, `not given: ${what}`);
      if (!isTrusted) assert.equal(status, 401, what);
    }
    assert.ok(!text.includes(TOKEN), 'the token in an answer');
    if (status < 400 || method === 'HEAD') return;
    const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } };
    assert.equal(typeof error?.code, 'string', what);
    assert.equal(typeof error?.message, 'string', what);
    assert.notEqual(error?.code, 'internal', what);
  }

  /** Octets that are nearly a request, and without the token: no command can come of them. */
  async octets(): Promise<void> {
    const { random } = this;
    const overTcp = random.chance(50);
    // Over the Unix socket it could become one, some time later.
    const methods = overTcp ? METHODS : METHODS.filter((method) => method !== 'POST');
    const head = `${random.pick(methods)} ${this.target()} HTTP/1.1\r\nhost: x\r\n`;
    const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'; // prettier-ignore
    const length = `content-length: ${random.pick([0, 5, 99999999999])}\r\n`;
    const text = `${head}${random.pick(['', upgrade, length, 'transfer-encoding: chunked\r\n'])}\r\n${random.pick(BODIES).slice(0, 100)}`;
    const octets = mutate(random, Buffer.from(text));
    const before = this.commands;
    this.input = `${overTcp ? 'TCP' : 'Unix'} ${Buffer.from(octets).toString('latin1')}`;
    const cut = random.chance(40);
    await new Promise<void>((resolve) => {
      const connection = net.connect(overTcp ? (this.tcp as net.TcpNetConnectOpts) : { path: this.harness.socket });
      connection.on('error', () => undefined);
      connection.on('close', () => resolve());
      connection.on('data', () => connection.end());
      if (cut) connection.write(octets, () => connection.destroy());
      else connection.end(octets);
    });
    if (overTcp) assert.equal(this.commands, before, 'a command without the token');
  }

  /** A monitor whose client says what clients do not say. */
  async webSocket(): Promise<void> {
    const { random } = this;
    const overTcp = random.chance(50);
    const frames = Array.from({ length: 1 + random.below(5) }, () => frame(random));
    this.input = `${overTcp ? 'TCP' : 'Unix'} frames ${frames.map((one) => one.toString('hex').slice(0, 60)).join(' ')}`;
    const connection = net.connect(overTcp ? (this.tcp as net.TcpNetConnectOpts) : { path: this.harness.socket });
    connection.on('error', () => undefined);
    let heard = '';
    // Told by events, not by the clock: the machine may be busy.
    const told = new Promise<void>((resolve) => {
      connection.on('close', () => resolve());
      connection.on('data', (data) => {
        heard += data.toString('latin1');
        if (heard.includes('end-of-snapshot')) resolve();
      });
    });
    connection.write(
      'GET /v1/monitor HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    await told;
    assert.ok(heard.includes('end-of-snapshot'), `no snapshot: ${heard.slice(0, 200)}`);
    for (const one of frames) {
      connection.write(one);
      this.harness.queries.emit({ type: 'route', route: route() });
    }
    const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()));
    if (random.chance(50)) connection.end();
    else setImmediate(() => connection.destroy());
    // What is left when we have said our part may keep the connection: that is for the pings.
    setTimeout(() => connection.destroy(), 5);
    await closed;
  }

  async finish(): Promise<void> {
    this.input = '(the end)';
    const { status } = await ask(this.unix, '/v1/summary');
    assert.equal(status, 200);
    const { listeners } = this.harness.queries;
    for (let turns = 0; turns < MOST_TURNS && listeners.size > 0; turns++)
      await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(listeners.size, 0, 'somebody listens who is gone');
  }
}

/** A frame of a client (RFC 6455 §5.2), mostly masked, as long as it says or not. */
function frame(random: Random): Buffer {
  const payload = random.bytes(random.pick([0, 1, 2, 5, 125, 126, 1024, 1025, 3000]));
  const masked = random.chance(85);
  const opcode = random.chance(80) ? random.pick([0, 1, 2, 8, 9, 10]) : random.below(16);
  const first = (random.chance(80) ? 0x80 : random.below(16) << 4) | opcode;
  const length = random.chance(90) ? payload.length : random.pick([0, 126, 65535, 2 ** 31]);
  const size = length < 126 ? [length] : length < 65536 ? [126, length >> 8, length & 255] : [127, 0, 0, 0, 0, (length / 2 ** 24) & 255, (length >> 16) & 255, (length >> 8) & 255, length & 255]; // prettier-ignore
  const octets = [first, size[0]! | (masked ? 0x80 : 0), ...size.slice(1), ...(masked ? [0, 0, 0, 0] : []), ...payload];
  return Buffer.from(random.chance(15) ? mutate(random, Uint8Array.from(octets)) : octets);
}

export const control: Target = {
  name: 'control',
  async episode(seed) {
    const scene = new Scene(seed);
    await scene.start();
    try {
      for (let i = 0; i < CASES; i++) {
        if (scene.random.chance(60)) await scene.whole();
        else if (scene.random.chance(80)) await scene.octets();
        else await scene.webSocket();
      }
      await scene.finish();
    } catch (error) {
      throw new FuzzFailure('control', scene.input, error);
    } finally {
      await scene.harness.close();
    }
    return CASES;
  },
};
