/**
 * The control server: HTTP on a Unix socket (for `bgpctl`; see unix-socket.ts) and, when configured, HTTP on TCP, where
 * commands are taken only with the token.
 *
 * Invariants: a request never throws out of the server, every refusal is `{error: {code, message}}`; a socket left by a
 * dead daemon is replaced, the socket of a living one never; one that is removed while we run is made again.
 */
import { lstat, unlink } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Duplex } from 'node:stream';
import type { Cancel, Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import { ControlError } from './control-error.js';
import type { Queries } from './queries.js';
import { handleRequest, readTarget } from './routes.js';
import type { Monitors } from './stream.js';
import { TokenGate } from './token-gate.js';
import { Turns } from './turns.js';
import { guardSocket, prepareDirectory, type SocketGuard } from './unix-socket.js';

export interface ControlOptions {
  /** Path of the Unix socket. */
  readonly socket: string;
  /** Who may use the socket; undefined = 0660, the group of the process. */
  readonly guard?: SocketGuard | undefined;
  /** TCP listener; undefined = none. Port 0 = any free one, see `ControlServer.httpPort`. */
  readonly http?: { readonly host: string; readonly port: number } | undefined;
  /** What commands over TCP must show, as of now; undefined = there are none over TCP. */
  readonly token?: (() => string | undefined) | undefined;
  /** undefined = not ready yet: requests are answered with the code `starting`. */
  queries(): Queries | undefined;
  /** Loads the configuration again; resolves with what changed, one line each, rejects with a `ControlError`. */
  reload(): Promise<readonly string[]>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ControlServer {
  /** The TCP port that was opened; undefined = none. */
  readonly httpPort: number | undefined;
  /** Ends all connections and removes the socket. */
  close(): Promise<void>;
}

const MOST_CONNECTIONS = 256;
/** How long a TCP connection may neither send nor take anything. */
const STALLED_MS = 30_000;
/** How long a daemon that holds the socket may take to show that it lives. */
const PROBE_MS = 2000;
/** How often it is looked whether the socket is still there: who cleans up /run takes it along. */
export const LOOK_MS = 5000;

/** Opens the listeners. Rejects with one clear sentence when the socket or the port cannot be had. */
export async function startControl(options: ControlOptions): Promise<ControlServer> {
  const turns = new Turns(options.clock);
  const monitors: Promise<Monitors>[] = [];
  /** Each server has its own: who reads over TCP takes no place of `bgpctl`. */
  const monitorLoader = (): (() => Promise<Monitors>) => {
    let loaded: Promise<Monitors> | undefined;
    // ws takes longer to load than the rest of the server, and is needed only by who monitors.
    return () => {
      if (!loaded) {
        const loading = import('./stream.js').then(({ createMonitors }) =>
          createMonitors(options.clock, options.log, turns),
        );
        loaded = loading;
        loading.then(
          () => monitors.push(loading),
          // The next one may find a descriptor free to read it with.
          () => (loaded = undefined),
        );
      }
      return loaded;
    };
  };

  const unix = newServer(options, turns, monitorLoader(), false);
  await listenUnix(unix, options);
  const servers = [unix];
  const cancelLook = watchSocket(unix, options);
  let httpPort: number | undefined;
  const close = async (): Promise<void> => {
    cancelLook();
    for (const each of monitors) (await each).close();
    await Promise.all(servers.map((server) => closeServer(server)));
  };
  if (options.http) {
    const { host, port } = options.http;
    const tcp = newServer(options, turns, monitorLoader(), true);
    try {
      await listen(tcp, { host, port });
    } catch (error) {
      await close();
      throw new Error(`control.http: cannot listen on ${host} port ${port}: ${explain(error)}`, { cause: error });
    }
    servers.push(tcp);
    const bound = tcp.address();
    httpPort = typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }
  return { httpPort, close };
}

function newServer(
  options: ControlOptions,
  turns: Turns,
  loadMonitors: () => Promise<Monitors>,
  overTcp: boolean,
): Server {
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, connectionsCheckingInterval: 5000 });
  server.maxConnections = MOST_CONNECTIONS;
  // Over the socket a person may read slowly (a pager); a stranger may not keep a place for nothing.
  if (overTcp) server.setTimeout(STALLED_MS);
  const gate = overTcp ? new TokenGate(options.token ?? (() => undefined), options.clock, options.log) : undefined;
  const context = () => {
    const queries = options.queries();
    if (!queries) throw new ControlError('starting', 'the daemon is still starting; try again');
    return { queries, clock: options.clock, turns, gate, reload: options.reload };
  };
  const busy = new WeakSet<Duplex>();
  server.on('request', (request, response) => {
    // Node begins every request of a pipeline at once, and would hold all answers: one at a time.
    if (busy.has(request.socket)) {
      request.socket.destroy();
      return;
    }
    busy.add(request.socket);
    const { socket } = request;
    response.on('close', () => busy.delete(socket));
    answer(request, response, options.log, async () => handleRequest(request, response, context()));
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy());
    const refuse = (error: unknown): void => endStream(stream, toControlError(error, options.log));
    try {
      checkUpgrade(request);
      const { queries } = context();
      loadMonitors()
        .then((loaded) => loaded.accept(request, stream, head, queries))
        .catch(refuse);
    } catch (error) {
      refuse(error);
    }
  });
  server.on('clientError', (_error, stream: Duplex) => {
    endStream(stream, new ControlError('bad-request', 'this is not HTTP that can be understood'));
  });
  return server;
}

function answer(request: IncomingMessage, response: ServerResponse, log: Log, handle: () => Promise<void>): void {
  handle().catch((error: unknown) => {
    const refusal = toControlError(error, log);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    response.statusCode = refusal.status;
    response.setHeader('content-type', 'application/json');
    if (refusal.code === 'unauthorized') response.setHeader('www-authenticate', 'Bearer');
    if (refusal.code === 'method-not-allowed') response.setHeader('allow', request.method === 'GET' ? 'POST' : 'GET');
    // What is left of a body that was not read would be taken for the next request.
    if (!request.complete) response.setHeader('connection', 'close');
    response.end(refusal.toJson());
  });
}

function toControlError(error: unknown, log: Log): ControlError {
  if (error instanceof ControlError) return error;
  log.error({ err: error }, 'control: a request failed');
  return new ControlError('internal', 'the request failed inside the daemon; its log says more');
}

function endStream(stream: Duplex, error: ControlError): void {
  if (stream.destroyed || !stream.writable) return;
  const body = error.toJson();
  stream.end(
    `HTTP/1.1 ${error.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function checkUpgrade(request: IncomingMessage): void {
  const { path, search } = readTarget(request);
  if (path.join('/') !== 'v1/monitor') throw new ControlError('unknown-route', 'the only WebSocket is /v1/monitor');
  if ([...search].length > 0) throw new ControlError('bad-request', '/v1/monitor takes no parameters');
  // Web pages of other sites may open WebSockets to this host, and read them.
  const origin = request.headers.origin;
  if (origin !== undefined && !origin.endsWith(`//${request.headers.host}`)) {
    throw new ControlError('read-only', 'WebSockets are not open to pages of other sites');
  }
}

/** Opens the socket anew where it has gone; connections that are open go on. */
function watchSocket(server: Server, options: ControlOptions): Cancel {
  const { socket: path, log, clock } = options;
  let looking = false;
  let stopped = false;
  let failed = false;
  const look = async (): Promise<void> => {
    const gone = await lstat(path).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
    if (!gone || stopped) return;
    // Waiting for its end would be waiting for the last connection.
    if (server.listening) server.close();
    await listenUnix(server, options);
    if (stopped) server.close();
    log.warn({ socket: path }, `control: the socket ${path} was removed; it has been made again`);
  };
  const cancel = clock.every(LOOK_MS, () => {
    if (looking) return;
    looking = true;
    look().then(
      () => (looking = failed = false),
      (error: unknown) => {
        looking = false;
        if (!failed) log.error({ err: error }, 'control: the socket was removed and cannot be made again');
        failed = true;
      },
    );
  });
  return () => {
    stopped = true;
    cancel();
  };
}

async function listenUnix(server: Server, { socket: path, guard, log }: ControlOptions): Promise<void> {
  const failed = (error: unknown): Error =>
    new Error(`control.socket: cannot listen on ${path}: ${explain(error)}`, { cause: error });
  try {
    await prepareDirectory(path, log);
    await listen(server, { path });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw failed(error);
    await removeStale(path);
    try {
      await listen(server, { path });
    } catch (again) {
      throw failed(again);
    }
  }
  try {
    await guardSocket(path, guard);
  } catch (error) {
    await closeServer(server);
    throw error;
  }
}

async function removeStale(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (!status) return;
  if (!status.isSocket()) {
    throw new Error(`control.socket: ${path} exists and is not a socket; remove it or name another path`);
  }
  if (await isAlive(path)) {
    throw new Error(`control.socket: another daemon answers on ${path}; stop it or name another path`);
  }
  await unlink(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}

/** Whether anybody accepts connections there; what does not answer in time counts as living, too. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = httpRequest({ socketPath: path, path: '/v1/summary', timeout: PROBE_MS });
    probe.on('response', (response) => {
      response.resume();
      probe.destroy();
      resolve(true);
    });
    probe.on('timeout', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
    probe.end();
  });
}

function listen(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function explain(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM') return 'no permission';
  if (code === 'EADDRINUSE') return 'the address is in use';
  if (code === 'EADDRNOTAVAIL') return 'this host does not have the address';
  if (code === 'EINVAL' || code === 'ENAMETOOLONG') return 'the path is too long or not valid';
  return error instanceof Error ? error.message : String(error);
}
