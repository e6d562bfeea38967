/**
 * The control server on a real Unix socket: requests with paths, parameters and bodies that nobody meant, and octets that
 * are no HTTP at all, whole or cut short. Every whole request is answered; a refusal is `{error: {code, message}}` and never
 * says that something failed inside; no command is given by what is not one; and the server answers afterwards.
 */
import assert from 'node:assert/strict';
import * as net from 'node:net';
import { ask, startHarness } from '../../control/harness.js';
import type { Harness } from '../../control/harness.js';
import { mutate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 60;
const PARTS = ['v1', 'summary', 'peers', 'routes', 'fib', 'fib-diff', 'reload', 'metrics', 'health', 'monitor', 'drain', 'undrain', '192.0.2.1', '2001:db8::1', 'fe80::1%25eth0', 'reset', 'refresh', 'enable', '..', '%00', '%zz', '%2e%2e', '', 'a'.repeat(300)]; // prettier-ignore
const PARAMETERS = ['family', 'match', 'longer', 'peer', 'direction', 'best', 'format', 'x', ''];
const VALUES = ['ipv4-unicast', '10.0.0.0/8', '::/0', '1', 'true', 'received', 'advertised', '192.0.2.1', 'ndjson', 'json', '%', '%ff', 'a'.repeat(500), '-1', '']; // prettier-ignore
const METHODS = ['GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];
const BODIES = ['', '{}', '{"text":"bye"}', '{"text":1}', '{"hard":true}', '[', 'null', '{"__proto__":{"text":"x"}}', 'x'.repeat(70_000)]; // prettier-ignore

/** As they should be, so that what stands behind them is reached. */
const PATHS = ['/v1/peers/192.0.2.1/reset', '/v1/peers/192.0.2.1/disable', '/v1/routes', '/v1/routes?match=10.0.0.0/8', '/v1/reload', '/v1/drain', '/v1/peers/192.0.2.1']; // prettier-ignore

function target(random: Random): string {
  if (random.chance(40)) return random.pick(PATHS);
  const path = Array.from({ length: 1 + random.below(5) }, () => random.pick(PARTS)).join('/');
  const query = Array.from({ length: random.below(4) }, () => `${random.pick(PARAMETERS)}=${random.pick(VALUES)}`);
  return `${random.chance(80) ? '/v1/' : '/'}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

async function whole({ socket }: Harness, random: Random): Promise<string> {
  const method = random.pick(METHODS);
  const path = target(random);
  const body = method === 'GET' || method === 'HEAD' ? undefined : random.pick(BODIES);
  const { status, text } = await ask({ socketPath: socket }, path, method, body);
  const what = `${method} ${path}: ${status} ${text.slice(0, 200)}`;
  assert.ok(status >= 200 && status < 600 && status !== 500, what);
  if (status < 400 || method === 'HEAD') return what;
  const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } };
  assert.equal(typeof error?.code, 'string', what);
  assert.equal(typeof error?.message, 'string', what);
  assert.notEqual(error?.code, 'internal', what);
  return what;
}

/** Octets, and the connection ends: by the server, or by us when it waits for more. */
function raw({ socket }: Harness, octets: Uint8Array, cut: boolean): Promise<void> {
  return new Promise((resolve) => {
    const connection = net.connect(socket);
    connection.on('error', () => undefined);
    connection.on('close', () => resolve());
    connection.on('data', () => connection.end());
    if (cut) connection.write(octets, () => connection.destroy());
    else connection.end(octets);
  });
}

export const control: Target = {
  name: 'control',
  async episode(seed) {
    const random = new Random(seed);
    const harness = await startHarness();
    let input = '';
    try {
      for (let i = 0; i < CASES; i++) {
        if (random.chance(60)) {
          input = '(the request before)';
          input = await whole(harness, random);
          continue;
        }
        const head = `${random.pick(METHODS)} ${target(random)} HTTP/1.1\r\nhost: x\r\n`;
        const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'; // prettier-ignore
        const length = `content-length: ${random.pick([0, 5, 99999999999])}\r\n`;
        const text = `${head}${random.pick(['', upgrade, length, 'transfer-encoding: chunked\r\n'])}\r\n${random.pick(BODIES).slice(0, 100)}`;
        const octets = mutate(random, Buffer.from(text));
        input = Buffer.from(octets).toString('latin1');
        await raw(harness, octets, random.chance(40));
      }
      const { status } = await ask({ socketPath: harness.socket }, '/v1/summary');
      assert.equal(status, 200);
    } catch (error) {
      throw new FuzzFailure('control', input, error);
    } finally {
      await harness.close();
    }
    return CASES;
  },
};
