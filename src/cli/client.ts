/** The control API from the side of `bgpctl`: HTTP over the Unix socket. Every failure becomes a `CliError`. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { MonitorEventDto } from '../control/dto.js';
import { CliError, Exit } from './cli-error.js';
import type { JsonLines } from './result.js';

/** How long the daemon may be silent. It answers at once, and streams without long pauses. */
const SILENCE_MS = 60_000;

export class Client {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse(await readAll(await this.#request('GET', path))) as T;
  }

  async post(path: string, body: object): Promise<void> {
    await readAll(await this.#request('POST', path, JSON.stringify(body)));
  }

  /** A list as NDJSON; `query` without the `?`. */
  async *lines(path: string, query = ''): JsonLines {
    const response = await this.#request('GET', `${path}?${query === '' ? '' : `${query}&`}format=ndjson`);
    let rest = '';
    try {
      for await (const chunk of response as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        if (lines.length > 0) yield lines;
      }
    } catch {
      throw new CliError(Exit.refused, 'the daemon ended the answer in the middle: what is shown is not complete');
    }
    if (rest !== '') yield [rest];
  }

  /** Events as they come, until the daemon ends the connection (which is an error). */
  async *monitor(): AsyncIterable<readonly MonitorEventDto[]> {
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(`ws+unix:${this.#socket}:/v1/monitor`);
    let waiting: MonitorEventDto[] = [];
    let end: CliError | undefined;
    let wake: () => void = () => undefined;
    socket.on('message', (data: Buffer) => {
      waiting.push(JSON.parse(data.toString('utf8')) as MonitorEventDto);
      if (waiting.length >= MOST_WAITING) socket.pause();
      wake();
    });
    socket.on('unexpected-response', (_request, response) => {
      response.setEncoding('utf8');
      readAll(response)
        .then(
          (text) => (end = refusal(response.statusCode ?? 0, text)),
          () => (end = new CliError(Exit.refused, 'the daemon refused')),
        )
        .finally(() => wake());
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      end ??= this.#explain(error);
      wake();
    });
    socket.on('close', () => {
      end ??= new CliError(Exit.notReachable, 'the daemon has ended the connection');
      wake();
    });
    try {
      for (;;) {
        while (waiting.length === 0) {
          if (end) throw end;
          await new Promise<void>((resolve) => (wake = resolve));
        }
        const batch = waiting;
        waiting = [];
        if (socket.isPaused) socket.resume();
        yield batch;
      }
    } finally {
      socket.terminate();
    }
  }

  #request(method: string, path: string, body?: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers =
        body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const request = httpRequest({
        socketPath: this.#socket,
        method,
        path,
        headers,
        timeout: SILENCE_MS,
        agent: false,
      });
      request.on('timeout', () =>
        request.destroy(new CliError(Exit.notReachable, `the daemon has not answered for ${SILENCE_MS / 1000} s`)),
      );
      request.on('error', (error) => reject(error instanceof CliError ? error : this.#explain(error)));
      request.on('response', (response) => {
        response.setEncoding('utf8');
        const status = response.statusCode ?? 0;
        if (status === 200) resolve(response);
        else readAll(response).then((text) => reject(refusal(status, text)), reject);
      });
      request.end(body);
    });
  }

  #explain(error: NodeJS.ErrnoException): CliError {
    switch (error.code) {
      case 'ENOENT':
        return new CliError(
          Exit.notReachable,
          `tortied is not running: there is no socket ${this.#socket} (another one: --socket PATH)`,
        );
      case 'ECONNREFUSED':
        return new CliError(Exit.notReachable, `tortied is not running: nobody answers on ${this.#socket}`);
      case 'EACCES':
      case 'EPERM':
        return new CliError(Exit.notReachable, `no permission on ${this.#socket}: be root or a member of its group`);
      default:
        return new CliError(Exit.notReachable, `tortied cannot be reached on ${this.#socket}: ${error.message}`);
    }
  }
}

/** Events kept while the output is behind; then reading stops, and the daemon counts what it has to drop. */
const MOST_WAITING = 4096;

async function readAll(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response as AsyncIterable<string>) text += chunk;
  } catch {
    throw new CliError(Exit.notReachable, 'the daemon ended the connection in the middle of its answer');
  }
  return text;
}

function refusal(status: number, text: string): CliError {
  try {
    const { error } = JSON.parse(text) as { error: { message: string } };
    return new CliError(Exit.refused, error.message);
  } catch {
    return new CliError(Exit.refused, `the daemon refused with the status ${status}`);
  }
}
