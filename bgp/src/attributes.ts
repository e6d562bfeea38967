/**
 * Path attributes as a plain value, from and to canonical octets (see canonical-attributes.ts). For showing, logging,
 * policies' edges and locally originated routes; the hot path never makes one.
 */
import { AttributeCode, AttributeFlag, Origin, SegmentType } from './constants.js';

export interface AsPathSegment {
  /** One of SegmentType. */
  readonly type: number;
  readonly asns: readonly number[];
}

/** An optional transitive attribute without a form here, kept byte for byte. */
export interface UnknownAttribute {
  readonly flags: number;
  readonly code: number;
  readonly value: Uint8Array;
}

/** Absent attributes are absent keys. Numbers are unsigned 32-bit unless said otherwise. */
export interface PathAttributes {
  /** One of Origin. */
  readonly origin: number;
  readonly asPath: readonly AsPathSegment[];
  /** 4 octets; 16 or 32 (global, link-local) from MP_REACH_NLRI. */
  readonly nextHop?: Uint8Array;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: boolean;
  /** `address`: BGP identifier of the aggregating speaker. */
  readonly aggregator?: { readonly asn: number; readonly address: number };
  readonly communities?: readonly number[];
  readonly originatorId?: number;
  readonly clusterList?: readonly number[];
  /** 8 octets each. */
  readonly extendedCommunities?: readonly Uint8Array[];
  /** 20 octets each. */
  readonly ipv6ExtendedCommunities?: readonly Uint8Array[];
  readonly largeCommunities?: readonly (readonly [number, number, number])[];
  readonly otc?: number;
  readonly unknown?: readonly UnknownAttribute[];
  /** Codes of the attributes above (not of `unknown`) that carry the Partial bit. */
  readonly partial?: readonly number[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The value of canonical octets bytes[start, end). Nothing is validated; a block without ORIGIN or AS_PATH (never
 * interned) reads as incomplete and empty.
 */
export function decodeAttributes(bytes: Uint8Array, start: number, end: number): PathAttributes {
  const out: Mutable<PathAttributes> = { origin: Origin.incomplete, asPath: [] };
  const unknown: UnknownAttribute[] = [];
  const partial: number[] = [];
  let at = start;
  while (end - at >= 3) {
    const flags = bytes[at]!;
    const code = bytes[at + 1]!;
    const extended = (flags & AttributeFlag.extendedLength) !== 0;
    const valueStart = at + (extended ? 4 : 3);
    const length = extended ? u16(bytes, at + 2) : bytes[at + 2]!;
    const value = bytes.subarray(valueStart, Math.min(valueStart + length, end));
    if (!decodeValue(out, code, value)) {
      unknown.push({ flags: flags & ~AttributeFlag.extendedLength, code, value: value.slice() });
    } else if (flags & AttributeFlag.partial) partial.push(code);
    at = valueStart + length;
  }
  if (unknown.length > 0) out.unknown = unknown;
  if (partial.length > 0) out.partial = partial;
  return out;
}

/** Sets the field of an attribute; false when the code has none. */
function decodeValue(out: Mutable<PathAttributes>, code: number, value: Uint8Array): boolean {
  switch (code) {
    case AttributeCode.origin:
      out.origin = value[0] ?? Origin.incomplete;
      return true;
    case AttributeCode.asPath:
      out.asPath = decodeAsPath(value, 0, value.length);
      return true;
    case AttributeCode.nextHop:
      out.nextHop = value.slice();
      return true;
    case AttributeCode.med:
      out.med = u32(value, 0);
      return true;
    case AttributeCode.localPref:
      out.localPref = u32(value, 0);
      return true;
    case AttributeCode.atomicAggregate:
      out.atomicAggregate = true;
      return true;
    case AttributeCode.aggregator:
      out.aggregator = { asn: u32(value, 0), address: u32(value, 4) };
      return true;
    case AttributeCode.communities:
      out.communities = numbers(value);
      return true;
    case AttributeCode.originatorId:
      out.originatorId = u32(value, 0);
      return true;
    case AttributeCode.clusterList:
      out.clusterList = numbers(value);
      return true;
    case AttributeCode.extendedCommunities:
      out.extendedCommunities = pieces(value, 8);
      return true;
    case AttributeCode.ipv6ExtendedCommunities:
      out.ipv6ExtendedCommunities = pieces(value, 20);
      return true;
    case AttributeCode.largeCommunities:
      out.largeCommunities = pieces(value, 12).map((piece) => [u32(piece, 0), u32(piece, 4), u32(piece, 8)] as const);
      return true;
    case AttributeCode.otc:
      out.otc = u32(value, 0);
      return true;
    default:
      return false;
  }
}

/** Segments of a four-octet AS_PATH value. */
export function decodeAsPath(bytes: Uint8Array, start: number, end: number): AsPathSegment[] {
  const out: AsPathSegment[] = [];
  let at = start;
  while (end - at >= 2) {
    const next = Math.min(at + 2 + bytes[at + 1]! * 4, end);
    out.push({ type: bytes[at]!, asns: numbers(bytes.subarray(at + 2, next)) });
    at = next;
  }
  return out;
}

/** Canonical octets of the attributes. `unknown` may hold optional transitive attributes only (RangeError). */
export function encodeAttributes(attributes: PathAttributes): Uint8Array {
  const list = attributeValues(attributes);
  list.sort((a, b) => a.code - b.code);
  const out: number[] = [];
  for (const { flags, code, value } of list) pushAttribute(out, flags, code, value);
  return Uint8Array.from(out);
}

/** Each attribute with flags (extended length apart) and value, in no order. */
export function attributeValues(attributes: PathAttributes): UnknownAttribute[] {
  const { transitive, optional, partial } = AttributeFlag;
  const out: UnknownAttribute[] = [];
  const add = (flags: number, code: number, value: ArrayLike<number> | undefined): void => {
    if (value === undefined) return;
    const marked = flags === (optional | transitive) && attributes.partial?.includes(code) === true;
    out.push({ flags: marked ? flags | partial : flags, code, value: Uint8Array.from(value) });
  };
  const { med, localPref, aggregator, originatorId, otc } = attributes;
  const both = optional | transitive;
  add(transitive, AttributeCode.origin, [attributes.origin]);
  add(transitive, AttributeCode.asPath, encodeAsPath(attributes.asPath, 4));
  add(transitive, AttributeCode.nextHop, attributes.nextHop);
  add(optional, AttributeCode.med, med === undefined ? undefined : be32(med));
  add(transitive, AttributeCode.localPref, localPref === undefined ? undefined : be32(localPref));
  add(transitive, AttributeCode.atomicAggregate, attributes.atomicAggregate ? [] : undefined);
  add(both, AttributeCode.aggregator, aggregator && [...be32(aggregator.asn), ...be32(aggregator.address)]);
  add(both, AttributeCode.communities, nonEmpty(attributes.communities?.flatMap(be32)));
  add(optional, AttributeCode.originatorId, originatorId === undefined ? undefined : be32(originatorId));
  add(optional, AttributeCode.clusterList, nonEmpty(attributes.clusterList?.flatMap(be32)));
  add(both, AttributeCode.extendedCommunities, nonEmpty(attributes.extendedCommunities?.flatMap((e) => [...e])));
  add(
    both,
    AttributeCode.ipv6ExtendedCommunities,
    nonEmpty(attributes.ipv6ExtendedCommunities?.flatMap((e) => [...e])),
  );
  add(both, AttributeCode.largeCommunities, nonEmpty(attributes.largeCommunities?.flatMap((e) => e.flatMap(be32))));
  add(both, AttributeCode.otc, otc === undefined ? undefined : be32(otc));
  for (const { flags, code, value } of attributes.unknown ?? []) {
    if ((flags & both) !== both) throw new RangeError(`attribute ${code}: only optional transitive ones are passed on`);
    out.push({ flags: both | partial, code, value });
  }
  return out;
}

/** Octets of an AS_PATH value; segments above 255 AS numbers are divided. `width` 2 takes numbers that fit (RFC 6793). */
export function encodeAsPath(segments: readonly AsPathSegment[], width: 2 | 4): number[] {
  const out: number[] = [];
  for (const { type, asns } of segments) {
    for (let first = 0; first < asns.length; first += 255) {
      const part = asns.slice(first, first + 255);
      out.push(type, part.length);
      for (const asn of part) out.push(...(width === 4 ? be32(asn) : [(asn >> 8) & 255, asn & 255]));
    }
  }
  return out;
}

/** Appends one attribute; the extended length only where it is needed. RangeError above 65535 octets. */
export function pushAttribute(out: number[], flags: number, code: number, value: ArrayLike<number>): void {
  const { length } = value;
  if (length > 65535) throw new RangeError(`attribute ${code}: ${length} octets, at most 65535 fit`);
  if (length > 255) out.push(flags | AttributeFlag.extendedLength, code, length >> 8, length & 255);
  else out.push(flags, code, length);
  for (let i = 0; i < length; i++) out.push(value[i]!);
}

/** How many AS numbers a path has for route selection (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3). */
export function asPathHops(segments: readonly AsPathSegment[]): number {
  let hops = 0;
  for (const { type, asns } of segments) {
    if (type === SegmentType.sequence) hops += asns.length;
    else if (type === SegmentType.set) hops += 1;
  }
  return hops;
}

function nonEmpty(list: number[] | undefined): number[] | undefined {
  return list !== undefined && list.length > 0 ? list : undefined;
}

function pieces(value: Uint8Array, size: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at + size <= value.length; at += size) out.push(value.slice(at, at + size));
  return out;
}

function numbers(value: Uint8Array): number[] {
  const out: number[] = [];
  for (let at = 0; at + 4 <= value.length; at += 4) out.push(u32(value, at));
  return out;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function be32(value: number): [number, number, number, number] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
