/**
 * The `match` of a statement as a tree of conditions: what depends on the peers alone is decided when a program is made
 * for them, the rest is asked per attribute set or per prefix.
 */
import { Origin, parseAddress, parsePrefix, prefixContains } from 'bgp-parse';
import type { Family, Prefix } from 'bgp-parse';
import { many } from './definition.js';
import type { MatchDefinition, OneOrMore, RouteType } from './definition.js';
import type { Names } from './names.js';
import { parseRange } from './patterns.js';
import type { NumberRange } from './patterns.js';
import type { PrefixSet } from './prefix-classes.js';
import type { Subject } from './subject.js';

/** Whom a policy is run for, and where the route is from. */
export interface PolicyPeer {
  readonly address: Uint8Array;
  readonly asn: number;
  readonly group: string | undefined;
}

export interface Environment {
  readonly family: Family;
  readonly type: RouteType;
  readonly peer: PolicyPeer;
  /** undefined = originated here. */
  readonly from: PolicyPeer | undefined;
}

export type Condition =
  | { readonly kind: 'attribute'; readonly text: string; readonly holds: (subject: Subject) => boolean }
  | { readonly kind: 'prefix'; readonly text: string; readonly set: PrefixSet }
  | {
      readonly kind: 'peer' | 'source' | 'family';
      readonly text: string;
      readonly holds: (env: Environment) => boolean;
    }
  | { readonly kind: 'not'; readonly text: string; readonly all: readonly Condition[] };

export function compileMatch(match: MatchDefinition, names: Names): Condition[] {
  const out: Condition[] = [];
  const say = (key: keyof MatchDefinition): string => `${key} ${many(match[key] as OneOrMore<unknown>).join(' or ')}`;
  const attribute = (key: keyof MatchDefinition, holds: (subject: Subject) => boolean): void => {
    out.push({ kind: 'attribute', text: say(key), holds });
  };
  const environment = (
    kind: 'peer' | 'source' | 'family',
    key: keyof MatchDefinition,
    holds: (env: Environment) => boolean,
  ): void => {
    out.push({ kind, text: say(key), holds });
  };

  // What costs least and decides most comes first.
  const { family, type, peer, group, from, fromGroup } = match;
  if (family !== undefined) environment('family', 'family', (env) => many(family).includes(env.family));
  if (type !== undefined) environment('source', 'type', (env) => many(type).includes(env.type));
  if (peer !== undefined) {
    const prefixes = many(peer).map(hostOrPrefix);
    environment('peer', 'peer', (env) => covers(prefixes, env.peer.address));
  }
  if (group !== undefined) environment('peer', 'group', (env) => many(group).includes(env.peer.group ?? ''));
  if (from !== undefined) {
    const prefixes = many(from).map(hostOrPrefix);
    environment('source', 'from', (env) => env.from !== undefined && covers(prefixes, env.from.address));
  }
  if (fromGroup !== undefined) {
    environment(
      'source',
      'fromGroup',
      (env) => env.from !== undefined && many(fromGroup).includes(env.from.group ?? ''),
    );
  }
  if (match.prefix !== undefined) {
    out.push({ kind: 'prefix', text: say('prefix'), set: names.prefixSet(many(match.prefix)) });
  }
  if (match.own !== undefined) {
    const own: Condition = { kind: 'prefix', text: 'inside our own networks', set: names.ownNetworks };
    out.push(match.own ? own : { kind: 'not', text: 'not inside our own networks', all: [own] });
  }
  if (match.origin !== undefined) {
    const origins = many(match.origin).map((origin): number => Origin[origin]);
    attribute('origin', (subject) => origins.includes(subject.origin));
  }
  if (match.localPref !== undefined) {
    const range = parseRange(match.localPref)!;
    attribute('localPref', (subject) => within(range, subject.localPref));
  }
  if (match.med !== undefined) {
    const range = parseRange(match.med)!;
    attribute('med', (subject) => subject.medAt >= 0 && within(range, subject.med));
  }
  if (match.neighborAs !== undefined) {
    const ranges = many(match.neighborAs).map((value) => parseRange(value)!);
    attribute('neighborAs', (subject) => withinAny(ranges, subject.neighborAs));
  }
  if (match.originAs !== undefined) {
    const ranges = many(match.originAs).map((value) => parseRange(value)!);
    attribute('originAs', (subject) => withinAny(ranges, subject.originAs));
  }
  if (match.asPathLength !== undefined) {
    const range = parseRange(match.asPathLength)!;
    attribute('asPathLength', (subject) => within(range, subject.asPathLength));
  }
  if (match.nextHop !== undefined) {
    const prefixes = many(match.nextHop).flatMap((text) => names.nextHops(text));
    attribute('nextHop', (subject) => coversNextHop(prefixes, subject));
  }
  if (match.community !== undefined) {
    const set = names.communitySet(many(match.community));
    attribute('community', (subject) => set.matches(subject));
  }
  if (match.allCommunities !== undefined) {
    const sets = many(match.allCommunities).map((one) => names.communitySet([one]));
    attribute('allCommunities', (subject) => {
      for (let i = 0; i < sets.length; i++) if (!sets[i]!.matches(subject)) return false;
      return true;
    });
  }
  if (match.asPath !== undefined) {
    const patterns = many(match.asPath).flatMap((text) => names.asPaths(text));
    attribute('asPath', (subject) => {
      const { bytes, asPathStart, asPathEnd } = subject;
      for (let i = 0; i < patterns.length; i++) if (patterns[i]!.matches(bytes, asPathStart, asPathEnd)) return true;
      return false;
    });
  }
  if (match.not !== undefined) {
    const all = compileMatch(match.not, names);
    out.push({ kind: 'not', text: `not (${all.map(({ text }) => text).join(' and ')})`, all });
  }
  return out;
}

/** An address stands for itself alone. */
export function hostOrPrefix(text: string): Prefix {
  const bytes = parseAddress(text);
  return bytes ? { bytes, length: bytes.length * 8 } : parsePrefix(text)!;
}

function covers(prefixes: readonly Prefix[], address: Uint8Array): boolean {
  return prefixes.some((prefix) => prefixContains(prefix, address));
}

/** Of a global and a link-local next hop (RFC 2545 §3) the first counts. */
function coversNextHop(prefixes: readonly Prefix[], subject: Subject): boolean {
  const { bytes, nextHopStart, nextHopEnd } = subject;
  const width = Math.min(nextHopEnd - nextHopStart, 16);
  for (const prefix of prefixes) {
    if (prefix.bytes.length !== width) continue;
    let at = 0;
    const whole = prefix.length >> 3;
    while (at < whole && prefix.bytes[at] === bytes[nextHopStart + at]) at++;
    if (at < whole) continue;
    const rest = prefix.length & 7;
    if (rest === 0 || ((prefix.bytes[whole]! ^ bytes[nextHopStart + whole]!) & (0xff00 >> rest) & 0xff) === 0)
      return true;
  }
  return false;
}

function within({ least, most }: NumberRange, value: number): boolean {
  return value >= least && value <= most;
}

/** 0 = there is no such AS. */
function withinAny(ranges: readonly NumberRange[], asn: number): boolean {
  if (asn === 0) return false;
  for (let i = 0; i < ranges.length; i++) if (within(ranges[i]!, asn)) return true;
  return false;
}
