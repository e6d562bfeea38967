/**
 * Path attributes, prefixes and peers as plain values: the vocabulary of the naive model. Addresses and identifiers are
 * text, absent attributes are absent keys; nothing here is shared, interned or mutated after it was handed over.
 */
import { parseAddress, parseIpv4Number, type Family } from 'bgp-parse';

/** RFC 4271 §4.3 (set, sequence) and RFC 5065 §3 (confederation kinds). */
export interface Segment {
  readonly kind: 'sequence' | 'set' | 'confedSequence' | 'confedSet';
  readonly asns: readonly number[];
}

/** An optional transitive attribute that this speaker does not recognise (RFC 4271 §5). */
export interface UnknownAttribute {
  readonly type: number;
  readonly partial: boolean;
  readonly hex: string;
}

export interface PathAttributes {
  /** 0 IGP, 1 EGP, 2 INCOMPLETE. */
  readonly origin: 0 | 1 | 2;
  readonly asPath: readonly Segment[];
  /** The global next hop; of the prefix's family, or IPv6 for an IPv4 prefix (RFC 8950). */
  readonly nextHop: string;
  /** RFC 2545 §3: the same next hop's address on the link that the sender shares with us. */
  readonly linkLocalNextHop?: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: { readonly asn: number; readonly address: string };
  readonly communities?: readonly number[];
  /** `global:data1:data2` each. */
  readonly largeCommunities?: readonly string[];
  /** Dotted quad. */
  readonly originatorId?: string;
  /** Dotted quads, the nearest reflector first. */
  readonly clusterList?: readonly string[];
  /** Octets per second, of a link bandwidth extended community. */
  readonly linkBandwidth?: number;
  readonly unknown?: readonly UnknownAttribute[];
}

/** Who a session is with, and what configuration says about it. */
export interface Peer {
  readonly id: string;
  readonly address: string;
  readonly type: 'internal' | 'external';
  readonly asn: number;
  /** BGP identifier, dotted quad. */
  readonly routerId: string;
  /** Internal peer that is a route reflector client (RFC 4456 §5). */
  readonly client: boolean;
  /** Negotiated families: no other family goes in or out. */
  readonly families: readonly Family[];
  /** What the import and export policies say; absent = the default of the session type. */
  readonly importAccept?: boolean;
  readonly exportAccept?: boolean;
  readonly nextHopSelf: boolean;
  /** RFC 9774: AS_SETs are treated as withdrawn. */
  readonly refusesAsSets?: boolean;
  /** BLACKHOLE (RFC 7999) means something; not known to the model. */
  readonly blackhole?: boolean;
  /** RFC 9494 was negotiated. */
  readonly longLived?: boolean;
  /** RFC 8950 was negotiated: IPv4 prefixes may have IPv6 next hops. */
  readonly extendedNextHop?: boolean;
  /** Our own address towards this peer, per family; absent = we have none and cannot be the next hop. */
  readonly localAddress4?: string;
  readonly localAddress6?: string;
}

/** A candidate for a prefix. `peer` is undefined for what this speaker originates itself. */
export interface Path {
  readonly prefix: string;
  readonly peer: Peer | undefined;
  /** RFC 7911 §3; 0 without ADD-PATH. */
  readonly pathId: number;
  readonly attributes: PathAttributes;
  /** RFC 4724 §4.2: kept from a session that is gone. */
  readonly stale: boolean;
}

/** RFC 1997 "Well-known Communities". */
export const NO_EXPORT = 0xffffff01;
export const NO_ADVERTISE = 0xffffff02;
export const NO_EXPORT_SUBCONFED = 0xffffff03;
/** RFC 8326 §5, RFC 9494 §2.2. */
export const GRACEFUL_SHUTDOWN = 0xffff0000;
export const LLGR_STALE = 0xffff0006;

export const familyOfPrefix = (prefix: string): Family => (prefix.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast');

/** RFC 8950 §3: an IPv4 prefix whose next hop is an IPv6 address. */
export const isExtendedNextHop = (prefix: string, nextHop: string): boolean =>
  familyOfPrefix(prefix) === 'ipv4-unicast' && nextHop.includes(':');

/** RFC 4271 §9.1.2.2 a: an AS_SET counts as 1. RFC 5065 §5.3: confederation segments count as 0. */
export function asPathLength(asPath: readonly Segment[]): number {
  let length = 0;
  for (const { kind, asns } of asPath) length += kind === 'sequence' ? asns.length : kind === 'set' ? 1 : 0;
  return length;
}

/** The AS the path was last sent by, read from the AS_PATH; undefined when it is empty or begins with an AS_SET. */
export function firstAsn(asPath: readonly Segment[]): number | undefined {
  const first = asPath.find(({ kind }) => kind === 'sequence' || kind === 'set');
  return first?.kind === 'sequence' ? first.asns[0] : undefined;
}

/** BGP identifiers are compared as unsigned integers (RFC 4271 §9.1.2.2 f, RFC 6286 §2.3). */
export function identifierNumber(text: string): number {
  const value = parseIpv4Number(text);
  if (value === undefined) throw new Error(`not a dotted quad: ${text}`);
  return value;
}

/** Text that orders as the addresses do: IPv4 before IPv6, then by octets. */
export function addressOrder(text: string): string {
  const bytes = parseAddress(text);
  if (!bytes) throw new Error(`not an address: ${text}`);
  return (bytes.length === 4 ? '4' : '6') + Buffer.from(bytes).toString('hex');
}
