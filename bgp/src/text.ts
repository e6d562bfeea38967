/**
 * Attributes as people and scripts see them: "64512:1", "64512:1:2", "rt:64512:100", AS paths as text and as JSON.
 * Every form that is written can be read again; what has no form is hexadecimal ("0x0102…").
 */
import type { AsPathSegment } from './attributes.js';
import { Origin, SegmentType } from './constants.js';
import { formatAddress, formatIpv4Number, parseIpv4Number } from './ip.js';

export type LargeCommunity = readonly [number, number, number];

/** A path as JSON: AS numbers; a nested array is an AS_SET; confederation segments are objects. */
export type AsPathJson = (number | number[] | { confedSequence: number[] } | { confedSet: number[] })[];

export function formatOrigin(origin: number): 'igp' | 'egp' | 'incomplete' {
  return origin === Origin.igp ? 'igp' : origin === Origin.egp ? 'egp' : 'incomplete';
}

/** The address of a NEXT_HOP of 4, 16 or 32 octets; of 32 the first, global one. */
export function formatNextHop(nextHop: Uint8Array): string {
  return formatAddress(nextHop.length === 32 ? nextHop.subarray(0, 16) : nextHop);
}

/** RFC 1997 community: "64512:1". */
export function formatCommunity(community: number): string {
  return `${community >>> 16}:${community & 0xffff}`;
}

/** Unsigned 32-bit number of "64512:1"; undefined when malformed. */
export function parseCommunity(text: string): number | undefined {
  const [high, low] = parseNumbers(text, [0xffff, 0xffff]) ?? [];
  return high === undefined || low === undefined ? undefined : high * 0x10000 + low;
}

/** RFC 8092 §5: "64512:1:2". */
export function formatLargeCommunity(community: LargeCommunity): string {
  return community.join(':');
}

export function parseLargeCommunity(text: string): LargeCommunity | undefined {
  const [a, b, c] = parseNumbers(text, [0xffffffff, 0xffffffff, 0xffffffff]) ?? [];
  return a === undefined || b === undefined || c === undefined ? undefined : [a, b, c];
}

const KINDS: Readonly<Record<string, number>> = { rt: 2, soo: 3 };

/**
 * RFC 4360 §4, RFC 5668: route targets "rt:64512:100", "rt:10.0.0.1:100", "rt:4200000000:100" and origins "soo:…"; a
 * four-octet AS number that would fit in two is marked: "rt:64512L:100". Link bandwidth, octets per second:
 * "lb:64512:1250000". Others, and anything ambiguous: hexadecimal.
 */
export function formatExtendedCommunity(community: Uint8Array): string {
  const [type, subtype] = [community[0]!, community[1]!];
  const view = new DataView(community.buffer, community.byteOffset, community.byteLength);
  const kind = subtype === 2 ? 'rt' : subtype === 3 ? 'soo' : undefined;
  if (kind && type === 0) return `${kind}:${view.getUint16(2)}:${view.getUint32(4)}`;
  if (kind && type === 1) return `${kind}:${formatIpv4Number(view.getUint32(2))}:${view.getUint16(6)}`;
  if (kind && type === 2) {
    const asn = view.getUint32(2);
    return `${kind}:${asn}${asn <= 0xffff ? 'L' : ''}:${view.getUint16(6)}`;
  }
  if (type === 0x40 && subtype === 4) {
    const rate = view.getFloat32(4);
    if (rate >= 0 && rate < Infinity && !Object.is(rate, -0)) return `lb:${view.getUint16(2)}:${rate}`;
  }
  return formatHex(community);
}

/** The 8 octets of such a text; undefined when malformed. */
export function parseExtendedCommunity(text: string): Uint8Array | undefined {
  if (text.startsWith('0x')) return /^0x[0-9a-fA-F]{16}$/.test(text) ? parseHex(text) : undefined;
  const [name, administrator, value, rest] = text.split(':');
  if (name === undefined || administrator === undefined || value === undefined || rest !== undefined) return undefined;
  const out = new Uint8Array(8);
  const view = new DataView(out.buffer);
  if (name === 'lb') {
    const asn = parseNumber(administrator, 0xffff);
    const rate = /^\d+(\.\d+)?(e[+-]\d+)?$/.test(value) ? Math.fround(Number(value)) : Infinity;
    if (asn === undefined || rate === Infinity) return undefined;
    out.set([0x40, 4]);
    view.setUint16(2, asn);
    view.setFloat32(4, rate);
    return out;
  }
  const subtype = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (subtype === undefined) return undefined;
  const address = parseIpv4Number(administrator);
  const marked = administrator.endsWith('L');
  const asn = parseNumber(marked ? administrator.slice(0, -1) : administrator, 0xffffffff);
  const short = address === undefined && !marked && asn !== undefined && asn <= 0xffff;
  const number = parseNumber(value, short ? 0xffffffff : 0xffff);
  if (number === undefined || (address ?? asn) === undefined) return undefined;
  out.set([short ? 0 : address !== undefined ? 1 : 2, subtype]);
  if (short) {
    view.setUint16(2, asn);
    view.setUint32(4, number);
  } else {
    view.setUint32(2, (address ?? asn)!);
    view.setUint16(6, number);
  }
  return out;
}

export function asPathToJson(segments: readonly AsPathSegment[]): AsPathJson {
  return segments.flatMap(({ type, asns }): AsPathJson => {
    if (type === SegmentType.sequence) return [...asns];
    if (type === SegmentType.set) return [[...asns]];
    return [type === SegmentType.confedSequence ? { confedSequence: [...asns] } : { confedSet: [...asns] }];
  });
}

/** "64512 64513 {1 2} (3 4) [5 6]": AS_SET in braces, confederation sequence in parentheses, its set in brackets. */
export function formatAsPath(segments: readonly AsPathSegment[]): string {
  return segments
    .map(({ type, asns }) => {
      const list = asns.join(' ');
      if (type === SegmentType.sequence) return list;
      if (type === SegmentType.set) return `{${list}}`;
      return type === SegmentType.confedSequence ? `(${list})` : `[${list}]`;
    })
    .join(' ');
}

/** "0x" and two digits an octet. */
export function formatHex(bytes: Uint8Array): string {
  return `0x${Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('')}`;
}

function parseHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 - 1 }, (_, i) => parseInt(text.slice(2 + i * 2, 4 + i * 2), 16));
}

function parseNumbers(text: string, limits: readonly number[]): number[] | undefined {
  const parts = text.split(':');
  if (parts.length !== limits.length) return undefined;
  const out = parts.map((part, i) => parseNumber(part, limits[i]!));
  return out.every((value) => value !== undefined) ? out : undefined;
}

function parseNumber(text: string, limit: number): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= limit ? value : undefined;
}
