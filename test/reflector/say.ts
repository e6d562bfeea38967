/** UPDATE messages as a client writes them, straight from RFC 4271 §4.3 and RFC 4760 §3, without bgp-parse's encoder. */
import { parseAddress, parsePrefix } from 'bgp-parse';

export interface Saying {
  readonly nextHop: string;
  readonly localPref?: number;
  readonly med?: number;
  /** One AS_SEQUENCE; default empty. */
  readonly asPath?: readonly number[];
  /** 32-bit values. */
  readonly communities?: readonly number[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  /** More attributes, as they are: sorted in by their code. */
  readonly raw?: readonly { readonly flags: number; readonly code: number; readonly value: readonly number[] }[];
}

/** UPDATE messages that announce the prefixes, all of one family, at most 500 in each. */
export function announce(prefixes: readonly string[], saying: Saying): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let from = 0; from < prefixes.length; from += 500) parts.push(one(prefixes.slice(from, from + 500), saying));
  return Buffer.concat(parts);
}

function one(prefixes: readonly string[], saying: Saying): Uint8Array {
  const nlri = prefixes.flatMap(octetsOf);
  const ipv6 = prefixes[0]!.includes(':');
  const hop = [...parseAddress(saying.nextHop)!];
  const attributes = attributesOf(saying);
  if (ipv6) attributes.push([14, encoded(0x80, 14, [0, 2, 1, hop.length, ...hop, 0, ...nlri])]);
  else attributes.push([3, encoded(0x40, 3, hop)]);
  const bytes = attributes.sort(([a], [b]) => a - b).flatMap(([, octets]) => octets);
  return message(2, [0, 0, bytes.length >> 8, bytes.length & 255, ...bytes, ...(ipv6 ? [] : nlri)]);
}

/** UPDATE messages that withdraw the prefixes, all of one family. */
export function withdraw(prefixes: readonly string[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let from = 0; from < prefixes.length; from += 500) {
    const nlri = prefixes.slice(from, from + 500).flatMap(octetsOf);
    if (prefixes[0]!.includes(':')) {
      const attribute = encoded(0x80, 15, [0, 2, 1, ...nlri]);
      parts.push(message(2, [0, 0, attribute.length >> 8, attribute.length & 255, ...attribute]));
    } else parts.push(message(2, [nlri.length >> 8, nlri.length & 255, ...nlri, 0, 0]));
  }
  return Buffer.concat(parts);
}

export function endOfRib(afi: 1 | 2): Uint8Array {
  return afi === 1 ? message(2, [0, 0, 0, 0]) : message(2, [0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]);
}

/** ROUTE-REFRESH (RFC 2918, RFC 7313). */
export function routeRefresh(afi: 1 | 2, subtype = 0): Uint8Array {
  return message(5, [0, afi, subtype, 1]);
}

/** The attributes that `announce` writes beside the next hop, as hex by code, for comparing octet for octet. */
export function wireAttributes(saying: Saying): Map<number, string> {
  return new Map(attributesOf(saying).map(([code, octets]) => [code, Buffer.from(octets).toString('hex')]));
}

function attributesOf(saying: Saying): [number, number[]][] {
  const { localPref = 100, med, asPath = [], communities, originatorId, clusterList, raw = [] } = saying;
  const out: [number, number[]][] = [
    [1, encoded(0x40, 1, [0])],
    [2, encoded(0x40, 2, asPath.length === 0 ? [] : [2, asPath.length, ...asPath.flatMap(u32)])],
    [5, encoded(0x40, 5, u32(localPref))],
  ];
  if (med !== undefined) out.push([4, encoded(0x80, 4, u32(med))]);
  if (communities) out.push([8, encoded(0xc0, 8, communities.flatMap(u32))]);
  if (originatorId) out.push([9, encoded(0x80, 9, [...parseAddress(originatorId)!])]);
  if (clusterList)
    out.push([
      10,
      encoded(
        0x80,
        10,
        clusterList.flatMap((id) => [...parseAddress(id)!]),
      ),
    ]);
  for (const { flags, code, value } of raw) out.push([code, encoded(flags, code, value)]);
  return out;
}

function encoded(flags: number, code: number, value: readonly number[]): number[] {
  const { length } = value;
  return length > 255
    ? [flags | 0x10, code, length >> 8, length & 255, ...value]
    : [flags & ~0x10, code, length, ...value];
}

function message(type: number, body: readonly number[]): Uint8Array {
  const length = 19 + body.length;
  return Uint8Array.from([...new Array<number>(16).fill(0xff), length >> 8, length & 255, type, ...body]);
}

function octetsOf(prefix: string): number[] {
  const { bytes, length } = parsePrefix(prefix)!;
  return [length, ...bytes.subarray(0, (length + 7) >> 3)];
}

export const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** Hex of a dotted quad, as it stands in ORIGINATOR_ID and CLUSTER_LIST. */
export const quad = (text: string): string => Buffer.from(parseAddress(text)!).toString('hex');
