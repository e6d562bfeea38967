/** A control server on a socket in a temporary directory, and plain HTTP against it. */
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { startControl, type ControlOptions, type ControlServer } from '../../src/control/server.js';
import { systemClock } from '../../src/support/clock.js';
import { silentLog } from '../../src/support/log.js';
import { FakeQueries, temporaryDirectory } from './fake-queries.js';

export interface Harness {
  readonly socket: string;
  readonly queries: FakeQueries;
  readonly server: ControlServer;
  close(): Promise<void>;
}

export async function startHarness(options: Partial<ControlOptions> = {}): Promise<Harness> {
  const directory = temporaryDirectory();
  const socket = options.socket ?? join(directory.path, 'deeper', 'control.sock');
  const queries = new FakeQueries();
  const server = await startControl({
    socket,
    queries: () => queries,
    reload: () => Promise.resolve(['peer 192.0.2.1: added']),
    clock: systemClock,
    log: silentLog,
    ...options,
  }).catch((error: unknown) => {
    directory.remove();
    throw error;
  });
  return {
    socket,
    queries,
    server,
    async close() {
      await server.close();
      directory.remove();
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

export type Where = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export function ask(
  where: Where,
  path: string,
  method = 'GET',
  body?: string,
  headers: NodeJS.Dict<string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...where, path, method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Resolves when the condition holds; looks again after each turn of the event loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
