/**
 * The control API over HTTP: which request does what. Reads go to `Queries`; commands come over the Unix socket, whose
 * permissions say who may give them, or over TCP with the token.
 *
 *     GET  /v1/summary   /v1/peers   /v1/peers/ADDRESS   /v1/routes?…   /v1/fib   /v1/fib/diff
 *     POST /v1/peers/ADDRESS/{enable,disable,reset,refresh}   /v1/reload
 *     POST /v1/drain   /v1/undrain
 *     GET  /v1/monitor   (WebSocket; see stream.ts)
 *
 * Lists are a JSON array, or one object a line with `format=ndjson`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../support/clock.js';
import { ControlError } from './control-error.js';
import { streamList } from './list-stream.js';
import {
  quote,
  readCommandOptions,
  readPeerName,
  readParameters,
  readPeerCommand,
  readRouteFilter,
  ROUTE_PARAMETERS,
} from './parameters.js';
import type { Queries } from './queries.js';
import type { TokenGate } from './token-gate.js';
import type { Turns } from './turns.js';

export interface RouteContext {
  readonly queries: Queries;
  readonly clock: Clock;
  readonly turns: Turns;
  /** What commands have to pass; undefined = the permissions of the socket are enough. */
  readonly gate: TokenGate | undefined;
  /** Loads the configuration again; resolves with what changed, one line each, rejects with a `ControlError`. */
  reload(): Promise<readonly string[]>;
}

const MOST_BODY_OCTETS = 64 * 1024;

export async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  context: RouteContext,
): Promise<void> {
  const { path, search } = readTarget(request);
  const [version, noun, ...rest] = path;
  if (version !== 'v1') throw unknownRoute(path);
  if (noun === 'summary' && rest.length === 0) {
    readOnlyMethod(request);
    readParameters(search, []);
    sendJson(response, context.queries.summary());
  } else if (noun === 'peers') {
    await handlePeers(request, response, context, rest, search);
  } else if (noun === 'routes' && rest.length === 0) {
    readOnlyMethod(request);
    const parameters = readParameters(search, ROUTE_PARAMETERS);
    const filter = readRouteFilter(parameters);
    const rows = context.queries.routes(filter);
    if (!rows) throw unknownPeer(filter.peer?.address ?? '');
    await streamList(response, rows, readFormat(parameters), context.clock, context.turns);
  } else if (noun === 'fib' && rest.length === 0) {
    readOnlyMethod(request);
    const format = readFormat(readParameters(search, ['format']));
    await streamList(response, context.queries.fib(), format, context.clock, context.turns);
  } else if (noun === 'fib' && rest.length === 1 && rest[0] === 'diff') {
    readOnlyMethod(request);
    const format = readFormat(readParameters(search, ['format']));
    const differences = await context.queries.fibDiff().catch((error: unknown) => {
      throw new ControlError('refused', error instanceof Error ? error.message : String(error));
    });
    await streamList(response, differences, format, context.clock, context.turns);
  } else if (noun === 'reload' && rest.length === 0) {
    await commandMethod(request, context);
    readParameters(search, []);
    await readBody(request);
    sendJson(response, { changes: await context.reload() });
  } else if ((noun === 'drain' || noun === 'undrain') && rest.length === 0) {
    await commandMethod(request, context);
    readParameters(search, []);
    await readBody(request);
    const refusal = context.queries.drain(noun === 'drain');
    if (refusal !== undefined) throw new ControlError('refused', refusal);
    sendJson(response, { done: noun });
  } else if (noun === 'monitor' && rest.length === 0) {
    readOnlyMethod(request);
    throw new ControlError('bad-request', '/v1/monitor is a WebSocket: connect with the Upgrade header');
  } else {
    throw unknownRoute(path);
  }
}

async function handlePeers(
  request: IncomingMessage,
  response: ServerResponse,
  context: RouteContext,
  rest: readonly string[],
  search: URLSearchParams,
): Promise<void> {
  const [addressText, commandText, ...more] = rest;
  if (more.length > 0) throw unknownRoute(['v1', 'peers', ...rest]);
  if (addressText === undefined) {
    readOnlyMethod(request);
    const format = readFormat(readParameters(search, ['format']));
    return streamList(response, context.queries.eachPeer(), format, context.clock, context.turns);
  }
  const address = readPeerName(addressText);
  readParameters(search, []);
  if (commandText === undefined) {
    readOnlyMethod(request);
    const peer = context.queries.peer(address);
    if (!peer) throw unknownPeer(address);
    return sendJson(response, peer);
  }
  const command = readPeerCommand(commandText);
  await commandMethod(request, context);
  const options = readCommandOptions(await readBody(request), command);
  if (!context.queries.peer(address)) throw unknownPeer(address);
  const refusal = context.queries.command(address, command, options);
  if (refusal !== undefined) throw new ControlError('refused', refusal);
  sendJson(response, { done: command, peer: address });
}

/** The decoded parts of the path, and the query. */
export function readTarget(request: IncomingMessage): { path: string[]; search: URLSearchParams } {
  const target = request.url ?? '/';
  const question = target.indexOf('?');
  const path = question < 0 ? target : target.slice(0, question);
  try {
    const parts = path.split('/').filter((part) => part !== '');
    return {
      path: parts.map(decodeURIComponent),
      search: new URLSearchParams(question < 0 ? '' : target.slice(question + 1)),
    };
  } catch {
    throw new ControlError('bad-request', 'the path is not well-formed');
  }
}

function unknownRoute(path: readonly string[]): ControlError {
  return new ControlError('unknown-route', `there is nothing at ${quote(`/${path.join('/')}`)}`);
}

function unknownPeer(address: string): ControlError {
  return new ControlError('unknown-peer', `there is no peer ${address}`);
}

function readOnlyMethod(request: IncomingMessage): void {
  if (request.method !== 'GET') throw new ControlError('method-not-allowed', 'only GET is possible here');
}

async function commandMethod(request: IncomingMessage, context: RouteContext): Promise<void> {
  if (request.method !== 'POST') throw new ControlError('method-not-allowed', 'only POST is possible here');
  await context.gate?.pass(request.headers.authorization, request.socket.remoteAddress);
}

function readFormat(parameters: ReadonlyMap<string, string>): 'json' | 'ndjson' {
  const format = parameters.get('format') ?? 'json';
  if (format !== 'json' && format !== 'ndjson') throw new ControlError('bad-request', 'format must be json or ndjson');
  return format;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MOST_BODY_OCTETS)
      throw new ControlError('too-large', `the body is larger than ${MOST_BODY_OCTETS} octets`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(`${JSON.stringify(value)}\n`);
}
