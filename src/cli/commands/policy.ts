/**
 * `bgpctl policy test FILE`: runs policies of a configuration file over a route that is given, or over those that the
 * running daemon has received from a peer, and tells every step. The same code decides in the daemon.
 */
import {
  asPathToJson,
  decodeAttributes,
  formatAddress,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  formatOrigin,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from 'bgp-parse';
import { loadConfig } from '../../config/load.js';
import { ConfigError } from '../../config/problems.js';
import type { PeerOptions, Settings } from '../../config/settings.js';
import type { Environment, PolicyPeer } from '../../policy/condition.js';
import { PolicyError } from '../../policy/names.js';
import { Policies, describeRejection } from '../../policy/policies.js';
import type { TraceStep } from '../../policy/program.js';
import { CliError, Exit } from '../cli-error.js';
import type { Client } from '../client.js';
import type { JsonLines, Result } from '../result.js';
import { readRoute, readRouteJson } from './route-input.js';
import type { RouteInput } from './route-input.js';
import { checkPeerName } from './show.js';

export interface PolicyTestOptions {
  readonly policy: readonly string[];
  readonly route?: string;
  readonly fromPeer?: string;
  readonly peer?: string;
  readonly export?: boolean;
  readonly expect?: string;
}

/** One route's way through the policies. */
export interface PolicyTestDto {
  readonly prefix: string;
  readonly accepted: boolean;
  /** What has decided. */
  readonly reason: string;
  readonly steps: readonly TraceStep[];
  /** Attributes that policy has changed: before and after. */
  readonly changes: { readonly [key: string]: { readonly before: unknown; readonly after: unknown } };
}

export async function testPolicy(
  client: () => Client,
  file: string,
  options: PolicyTestOptions,
  unexpected: () => void,
): Promise<Result> {
  const settings = await load(file);
  if ((options.route === undefined) === (options.fromPeer === undefined)) {
    throw new CliError(Exit.usage, 'give one of --route ROUTE and --from-peer ADDRESS');
  }
  if (options.expect !== undefined && options.expect !== 'accept' && options.expect !== 'reject') {
    throw new CliError(Exit.usage, '--expect is accept or reject');
  }
  const run = createRun(settings, options);
  const test = (input: RouteInput): string => {
    const result = run(input);
    if (options.expect !== undefined && result.accepted !== (options.expect === 'accept')) unexpected();
    return JSON.stringify(result);
  };
  if (options.route !== undefined) {
    const line = test(readRoute(options.route));
    return { kind: 'policy', lines: oneBatch([line]) };
  }
  const query = new URLSearchParams({ peer: checkPeerName(options.fromPeer!), direction: 'received' });
  return { kind: 'policy', lines: mapLines(client().lines('/v1/routes', query.toString()), test) };
}

async function load(file: string): Promise<Settings> {
  try {
    return await loadConfig(file);
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(Exit.refused, error.message);
    throw error;
  }
}

function createRun(settings: Settings, options: PolicyTestOptions): (input: RouteInput) => PolicyTestDto {
  const direction = options.export ? 'export' : 'import';
  const networks = settings.networks.flatMap((network) => ('prefix' in network ? [parsePrefix(network.prefix)!] : []));
  const policies = new Policies(
    {
      definitions: settings.policy,
      ownAs: settings.asn,
      ownNetworks: networks,
      functions: {},
      failed: () => undefined,
    },
    undefined,
  );
  const chain = chainOf(policies, direction, options.policy);
  const given = options.peer ?? (options.export ? undefined : options.fromPeer);
  return (input) => {
    const { prefix, octets } = input;
    const from = input.peer === undefined ? undefined : peerOf(settings, input.peer, input.peerAsn);
    const peer = given === undefined ? (from ?? NOBODY) : peerOf(settings, given, undefined);
    const source = direction === 'import' ? peer : from;
    const env: Environment = {
      family: prefix.bytes.length === 4 ? 'ipv4-unicast' : 'ipv6-unicast',
      type: input.type ?? (source === undefined ? 'local' : source.asn === settings.asn ? 'internal' : 'external'),
      peer,
      from: source,
    };
    const trace = policies.trace(chain, env, prefix, octets);
    const decided = trace.decidedBy;
    return {
      prefix: formatPrefix(prefix),
      accepted: trace.accepted,
      reason: trace.accepted
        ? `accepted by policy ${decided!.policy} ${decided!.statement === 0 ? 'default' : `statement ${decided!.statement}`}`
        : describeRejection(chain.names, decided),
      steps: trace.steps,
      changes: changesOf(octets, trace.attributes, trace.nextHop),
    };
  };
}

const NOBODY: PolicyPeer = { address: new Uint8Array(4), asn: 0, group: undefined };

function chainOf(policies: Policies, direction: 'import' | 'export', names: readonly string[]) {
  try {
    return policies.chain(direction, names);
  } catch (error) {
    if (error instanceof PolicyError) throw new CliError(Exit.usage, error.message);
    throw error;
  }
}

/** The peer of the file with this address, or one that only has the address. */
function peerOf(settings: Settings, text: string, asn: number | undefined): PolicyPeer {
  const name = checkPeerName(text);
  // An unnumbered peer is known by its interface.
  const address = parseAddress(name.replace(/%.*/, '')) ?? new Uint8Array(16);
  const configured: PeerOptions | undefined =
    settings.peers.find((peer) => peer.address === name || peer.address === formatAddress(address)) ??
    settings.listenRanges.find(({ prefix }) => covers(prefix, address))?.peer;
  const known = configured?.asn === 'internal' ? settings.asn : configured?.asn;
  return { address, asn: asn ?? (typeof known === 'number' ? known : 0), group: configured?.group };
}

function covers(text: string, address: Uint8Array): boolean {
  const prefix = parsePrefix(text)!;
  const inner = parsePrefix(`${formatAddress(address)}/${prefix.length}`);
  return inner !== undefined && formatPrefix(inner) === formatPrefix(prefix);
}

function changesOf(before: Uint8Array, after: Uint8Array, nextHop: string): PolicyTestDto['changes'] {
  const [a, b] = [fieldsOf(before), fieldsOf(after)];
  const changes: Record<string, { before: unknown; after: unknown }> = {};
  for (const key of Object.keys(b)) {
    if (JSON.stringify(a[key]) !== JSON.stringify(b[key])) changes[key] = { before: a[key], after: b[key] };
  }
  if (nextHop === 'self' || nextHop === 'unchanged') changes.nextHop = { before: a.nextHop, after: nextHop };
  return changes;
}

function fieldsOf(octets: Uint8Array): Record<string, unknown> {
  const attributes = decodeAttributes(octets, 0, octets.length);
  return {
    origin: formatOrigin(attributes.origin),
    asPath: asPathToJson(attributes.asPath),
    nextHop: attributes.nextHop ? formatAddress(attributes.nextHop) : null,
    med: attributes.med ?? null,
    localPref: attributes.localPref ?? null,
    communities: attributes.communities?.map(formatCommunity) ?? null,
    largeCommunities: attributes.largeCommunities?.map((one) => formatLargeCommunity(one)) ?? null,
    extendedCommunities: attributes.extendedCommunities?.map(formatExtendedCommunity) ?? null,
  };
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* oneBatch(lines: readonly string[]): JsonLines {
  yield lines;
}

async function* mapLines(batches: JsonLines, test: (input: RouteInput) => string): JsonLines {
  for await (const lines of batches) yield lines.map((line) => test(readRouteJson(line)));
}
