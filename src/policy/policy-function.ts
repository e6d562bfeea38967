/**
 * Policies written as functions by a program that embeds the speaker. Slower than declared ones, since each call gets an
 * object of its own; nothing is memoised. They fail closed: what throws, or answers with anything but a verdict, rejects
 * the route; it is counted, and logged once.
 */
import { asPathToJson, decodeAttributes, formatAddress, formatCommunity, formatExtendedCommunity } from 'bgp-parse';
import { formatLargeCommunity, formatOrigin, formatPrefix } from 'bgp-parse';
import type { AsPathJson, Family } from 'bgp-parse';
import type { Environment } from './condition.js';
import type { RouteType, SetDefinition, Then } from './definition.js';
import type { PrefixAt } from './program.js';
import type { Subject } from './subject.js';

/** A route as a policy function sees it: before the changes that the wire brings, after those of earlier policies. */
export interface RouteView {
  readonly prefix: string;
  readonly family: Family;
  readonly type: RouteType;
  /** Address of the peer it was learned from; undefined = originated here. */
  readonly from: string | undefined;
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly asPath: AsPathJson;
  readonly nextHop: string | undefined;
  readonly med: number | undefined;
  /** 100 when the route has none. */
  readonly localPref: number;
  readonly communities: readonly string[];
  readonly largeCommunities: readonly string[];
  readonly extendedCommunities: readonly string[];
}

/** The peer the policy is run for: the sender on import, the receiver on export. */
export interface PeerView {
  readonly address: string;
  readonly asn: number;
  readonly group: string | undefined;
}

/** A bare word, or what is to be done and what is to be set before (the shape of the configuration's `set`). */
export type Verdict = Then | { readonly then: Then; readonly set?: SetDefinition };

/** Must answer the same to the same question: what a peer has been told is worked out again, not stored. */
export type PolicyFunction = (route: RouteView, peer: PeerView) => Verdict;

export interface PolicyFailure {
  readonly policy: string;
  readonly error: unknown;
}

export function viewRoute(subject: Subject, place: PrefixAt, env: Environment): RouteView {
  const attributes = decodeAttributes(subject.bytes, subject.start, subject.end);
  const { nextHop } = attributes;
  return {
    prefix: formatPrefix({ bytes: place.octets(), length: place.length }),
    family: env.family,
    type: env.type,
    from: env.from && formatAddress(env.from.address),
    origin: formatOrigin(attributes.origin),
    asPath: asPathToJson(attributes.asPath),
    nextHop: nextHop && formatAddress(nextHop.length === 32 ? nextHop.subarray(0, 16) : nextHop),
    med: attributes.med,
    localPref: attributes.localPref ?? subject.localPref,
    communities: attributes.communities?.map(formatCommunity) ?? [],
    largeCommunities: attributes.largeCommunities?.map((one) => formatLargeCommunity(one)) ?? [],
    extendedCommunities: attributes.extendedCommunities?.map(formatExtendedCommunity) ?? [],
  };
}

export function viewPeer({ peer }: Environment): PeerView {
  return { address: formatAddress(peer.address), asn: peer.asn, group: peer.group };
}

const WORDS: readonly unknown[] = ['accept', 'reject', 'next'];

/** The parts of an answer; undefined = it is none. */
export function readVerdict(answer: unknown): { then: Then; set: SetDefinition | undefined } | undefined {
  if (WORDS.includes(answer)) return { then: answer as Then, set: undefined };
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { then, set } = answer as { then?: unknown; set?: unknown };
  if (!WORDS.includes(then) || (set !== undefined && (typeof set !== 'object' || set === null))) return undefined;
  return { then: then as Then, set: set as SetDefinition | undefined };
}
