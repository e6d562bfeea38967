/**
 * A route as somebody gives it to `bgpctl policy test`: the fields of `bgpctl --json show routes`, all but the prefix may
 * be absent or null; as JSON, or as `10.0.0.0/24 asPath=64500,64501 communities=64512:1 med=10`. Every field is checked
 * here, and what is not known of it is named.
 */
import { Origin, SegmentType, encodeAttributes, parseAddress, parsePrefix } from 'bgp-parse';
import type { AsPathSegment, PathAttributes, Prefix } from 'bgp-parse';
import { parseCommunityPatterns } from '../../policy/patterns.js';
import { CliError, Exit } from '../cli-error.js';
import { checkPeerName } from './show.js';

const ROUTE_TYPES = ['local', 'internal', 'external'] as const;
const ROUTE_KEYS = 'asPath, communities (of all kinds), med, localPref, origin, nextHop, peer, peerAsn, type';
/** One attribute has room for no more. */
const MOST_OCTETS = 65535;

/** A route that policies can be run over. */
export interface RouteInput {
  readonly prefix: Prefix;
  /** In its normal form. */
  readonly peer: string | undefined;
  readonly peerAsn: number | undefined;
  readonly type: (typeof ROUTE_TYPES)[number] | undefined;
  /** Canonical attributes. */
  readonly octets: Uint8Array;
}

type Fields = { readonly [key: string]: unknown };

const bad = (message: string): CliError => new CliError(Exit.usage, `--route: ${message}`);

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** What follows `--route`. */
export function readRoute(text: string): RouteInput {
  if (text.trimStart().startsWith('{')) return readRouteJson(text);
  const [prefix, ...pairs] = text.trim().split(/\s+/);
  const fields: Record<string, unknown> = { prefix };
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 0) throw bad(`${quote(pair)} is not KEY=VALUE`);
    const [key, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (key === 'asPath') fields[key] = value === '' ? [] : value.split(',').map(numberOf);
    else if (key === 'communities') fields[key] = value === '' ? [] : value.split(',');
    else if (key === 'med' || key === 'localPref' || key === 'peerAsn') fields[key] = numberOf(value);
    else if (key === 'nextHop' || key === 'origin' || key === 'peer' || key === 'type') fields[key] = value;
    else throw bad(`unknown key ${quote(key)}; keys are ${ROUTE_KEYS}`);
  }
  return routeOf(fields);
}

/** The text stays what it is where it is no number, so that it can be named. */
function numberOf(text: string): number | string {
  return /^\d{1,10}$/.test(text) ? Number(text) : text;
}

/** One line of JSON. */
export function readRouteJson(text: string): RouteInput {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(`is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null) throw bad('is not a JSON object');
  return routeOf(value as Fields);
}

function routeOf(fields: Fields): RouteInput {
  const prefix = typeof fields.prefix === 'string' ? parsePrefix(fields.prefix, true) : undefined;
  if (!prefix) throw new CliError(Exit.usage, `${quote(fields.prefix)} is not a prefix`);
  const peer = given(fields, 'peer');
  if (peer !== undefined && typeof peer !== 'string') throw bad(`peer ${quote(peer)} is not an address`);
  const peerAsn = given(fields, 'peerAsn');
  return {
    prefix,
    peer: peer === undefined || peer === '' ? undefined : checkPeerName(peer),
    peerAsn: peerAsn === undefined ? undefined : number('peerAsn', peerAsn),
    type: oneOf(fields, 'type', ROUTE_TYPES),
    octets: octetsOf(attributesOf(fields, prefix.bytes.length)),
  };
}

function octetsOf(attributes: PathAttributes): Uint8Array {
  const { asPath, communities = [], largeCommunities = [], extendedCommunities = [] } = attributes;
  const path = asPath.reduce((sum, { asns }) => sum + 2 + asns.length * 4, 0);
  const longest = Math.max(path, communities.length * 4, largeCommunities.length * 12, extendedCommunities.length * 8);
  if (longest > MOST_OCTETS) throw bad('the AS path or the communities are longer than an attribute can be');
  return encodeAttributes(attributes);
}

/** null means absent, as `show routes` has it. */
function given(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? (fields[key] ?? undefined) : undefined;
}

function oneOf<const T extends string>(fields: Fields, key: string, values: readonly T[]): T | undefined {
  const value = given(fields, key);
  if (value === undefined) return undefined;
  const known = values.find((one) => one === value);
  if (known === undefined) throw bad(`${key} ${quote(value)} must be ${values.join(', ')}`);
  return known;
}

function list(fields: Fields, key: string): readonly unknown[] {
  const value = given(fields, key) ?? [];
  if (!Array.isArray(value)) throw bad(`${key} ${quote(value)} must be a list`);
  return value as unknown[];
}

function attributesOf(fields: Fields, width: number): PathAttributes {
  const octets = { standard: [] as Uint8Array[], large: [] as Uint8Array[], extended: [] as Uint8Array[] };
  for (const text of ['communities', 'largeCommunities', 'extendedCommunities'].flatMap((key) => list(fields, key))) {
    const [pattern] = (typeof text === 'string' ? parseCommunityPatterns(text, false) : undefined) ?? [];
    if (!pattern) throw bad(`${quote(text)} is not a community`);
    octets[pattern.kind].push(pattern.octets);
  }
  const words = (bytes: Uint8Array): number[] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4));
  };
  const [med, localPref] = [given(fields, 'med'), given(fields, 'localPref')];
  return {
    origin: Origin[oneOf(fields, 'origin', ['igp', 'egp', 'incomplete']) ?? 'igp'],
    asPath: segmentsOf(list(fields, 'asPath')),
    nextHop: nextHopOf(given(fields, 'nextHop')) ?? new Uint8Array(width),
    ...(med !== undefined && { med: number('med', med) }),
    ...(localPref !== undefined && { localPref: number('localPref', localPref) }),
    ...(octets.standard.length > 0 && { communities: octets.standard.map((one) => words(one)[0]!) }),
    ...(octets.large.length > 0 && {
      largeCommunities: octets.large.map((one) => words(one) as unknown as readonly [number, number, number]),
    }),
    ...(octets.extended.length > 0 && { extendedCommunities: octets.extended }),
  };
}

/** undefined = our own, or none that is known. */
function nextHopOf(value: unknown): Uint8Array | undefined {
  if (value === undefined || value === '' || value === 'self') return undefined;
  const bytes = typeof value === 'string' ? parseAddress(value) : undefined;
  if (!bytes) throw bad(`nextHop ${quote(value)} is not an address`);
  return bytes;
}

function number(key: string, value: unknown): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff) return value as number;
  throw bad(`${key} must be a number, not ${quote(value)}`);
}

/** AS numbers, lists of them (AS_SET), and `{confedSequence: […]}` or `{confedSet: […]}`. */
function segmentsOf(path: readonly unknown[]): AsPathSegment[] {
  const segments: { type: AsPathSegment['type']; asns: number[] }[] = [];
  const others = (type: AsPathSegment['type'], asns: unknown): void => {
    if (!Array.isArray(asns) || asns.length === 0 || asns.length > 255)
      throw bad('asPath: a set, or a segment of a confederation, is a list of 1..255 AS numbers');
    segments.push({ type, asns: asns.map((asn) => number('asPath', asn)) });
  };
  for (const one of path) {
    const last = segments.at(-1);
    if (Array.isArray(one)) others(SegmentType.set, one);
    else if (typeof one === 'object' && one !== null && 'confedSequence' in one)
      others(SegmentType.confedSequence, one.confedSequence);
    else if (typeof one === 'object' && one !== null && 'confedSet' in one)
      others(SegmentType.confedSet, one.confedSet);
    else if (last?.type === SegmentType.sequence && last.asns.length < 255) last.asns.push(number('asPath', one));
    else segments.push({ type: SegmentType.sequence, asns: [number('asPath', one)] });
  }
  return segments;
}
