/**
 * `bgpctl policy test FILE`: runs policies of a configuration file over a route that is given, or over those that the
 * running daemon has received from a peer, and tells every step. The same code decides in the daemon.
 */
import {
  Origin,
  SegmentType,
  asPathToJson,
  decodeAttributes,
  encodeAttributes,
  formatAddress,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  formatOrigin,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from 'bgp-parse';
import type { AsPathSegment, PathAttributes } from 'bgp-parse';
import { loadConfig } from '../../config/load.js';
import { ConfigError } from '../../config/problems.js';
import type { PeerOptions, Settings } from '../../config/settings.js';
import type { RouteDto } from '../../control/dto.js';
import type { Environment, PolicyPeer } from '../../policy/condition.js';
import { PolicyError } from '../../policy/names.js';
import { parseCommunityPatterns } from '../../policy/patterns.js';
import { Policies, describeRejection } from '../../policy/policies.js';
import type { TraceStep } from '../../policy/program.js';
import { CliError, Exit } from '../cli-error.js';
import type { Client } from '../client.js';
import type { JsonLines, Result } from '../result.js';
import { checkPeerName } from './show.js';

export interface PolicyTestOptions {
  readonly policy: readonly string[];
  readonly route?: string;
  readonly fromPeer?: string;
  readonly peer?: string;
  readonly export?: boolean;
  readonly expect?: string;
}

/** A route as it is given: the fields of `bgpctl --json show routes`, all but the prefix may be absent. */
type RouteInput = Partial<Omit<RouteDto, 'prefix'>> & {
  readonly prefix: string;
  readonly type?: 'local' | 'internal' | 'external';
};

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
    const prefix = parsePrefix(input.prefix, true);
    if (!prefix) throw new CliError(Exit.usage, `${JSON.stringify(input.prefix)} is not a prefix`);
    const from = input.peer ? peerOf(settings, input.peer, input.peerAsn ?? undefined) : undefined;
    const peer = given === undefined ? (from ?? NOBODY) : peerOf(settings, given, undefined);
    const source = direction === 'import' ? peer : from;
    const env: Environment = {
      family: prefix.bytes.length === 4 ? 'ipv4-unicast' : 'ipv6-unicast',
      type: input.type ?? (source === undefined ? 'local' : source.asn === settings.asn ? 'internal' : 'external'),
      peer,
      from: source,
    };
    const octets = encodeAttributes(attributesOf(input, prefix.bytes.length));
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

/** JSON, or `10.0.0.0/24 asPath=64500,64501 communities=64512:1,64512:2 med=10`. */
function readRoute(text: string): RouteInput {
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text) as RouteInput;
    } catch (error) {
      throw new CliError(Exit.usage, `--route is not JSON: ${(error as Error).message}`);
    }
  }
  const [prefix, ...pairs] = text.trim().split(/\s+/);
  const fields: Record<string, unknown> = {};
  for (const pair of pairs) {
    const [key, value] = pair.split('=', 2);
    if (value === undefined) throw new CliError(Exit.usage, `--route: ${JSON.stringify(pair)} is not KEY=VALUE`);
    if (key === 'asPath') fields[key] = value === '' ? [] : value.split(',').map(Number);
    else if (key === 'communities') fields[key] = value.split(',');
    else if (key === 'med' || key === 'localPref' || key === 'peerAsn') fields[key] = Number(value);
    else if (key === 'nextHop' || key === 'origin' || key === 'peer' || key === 'type') fields[key] = value;
    else throw new CliError(Exit.usage, `--route: unknown key ${key}; keys are ${ROUTE_KEYS}`);
  }
  return { ...fields, prefix: prefix! };
}

const ROUTE_KEYS = 'asPath, communities (of all kinds), med, localPref, origin, nextHop, peer, peerAsn, type';

function attributesOf(input: RouteInput, width: number): PathAttributes {
  const texts = [input.communities, input.largeCommunities, input.extendedCommunities].flatMap((list) => list ?? []);
  const octets = { standard: [] as Uint8Array[], large: [] as Uint8Array[], extended: [] as Uint8Array[] };
  for (const text of texts) {
    const [pattern] = parseCommunityPatterns(text, false) ?? [];
    if (!pattern) throw new CliError(Exit.usage, `--route: ${JSON.stringify(text)} is not a community`);
    octets[pattern.kind].push(pattern.octets);
  }
  const words = (bytes: Uint8Array): number[] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4));
  };
  const nextHop = input.nextHop === undefined || input.nextHop === 'self' ? undefined : parseAddress(input.nextHop);
  const { med, localPref } = input;
  return {
    origin: Origin[input.origin ?? 'igp'],
    asPath: segmentsOf(input.asPath ?? []),
    nextHop: nextHop ?? new Uint8Array(width),
    ...(med !== undefined && med !== null && { med: number('med', med) }),
    ...(localPref !== undefined && localPref !== null && { localPref: number('localPref', localPref) }),
    ...(octets.standard.length > 0 && { communities: octets.standard.map((one) => words(one)[0]!) }),
    ...(octets.large.length > 0 && {
      largeCommunities: octets.large.map((one) => words(one) as unknown as readonly [number, number, number]),
    }),
    ...(octets.extended.length > 0 && { extendedCommunities: octets.extended }),
  };
}

function number(key: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw new CliError(Exit.usage, `--route: ${key} must be a number`);
}

function segmentsOf(path: RouteDto['asPath']): AsPathSegment[] {
  const segments: { type: AsPathSegment['type']; asns: number[] }[] = [];
  for (const one of path) {
    const last = segments.at(-1);
    if (Array.isArray(one)) segments.push({ type: SegmentType.set, asns: one.map((asn) => number('asPath', asn)) });
    else if (typeof one !== 'number')
      throw new CliError(Exit.usage, '--route: asPath holds AS numbers and sets of them');
    else if (last?.type === SegmentType.sequence && last.asns.length < 255) last.asns.push(number('asPath', one));
    else segments.push({ type: SegmentType.sequence, asns: [number('asPath', one)] });
  }
  return segments;
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
  for await (const lines of batches) yield lines.map((line) => test(JSON.parse(line) as RouteInput));
}
