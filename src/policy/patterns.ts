/**
 * The small texts inside of policies: prefixes with lengths, ranges of numbers, communities with wildcards. Pure parsers,
 * used by the configuration's checks and by the compiler; undefined = malformed.
 */
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity, parsePrefix } from 'bgp-parse';
import type { Prefix } from 'bgp-parse';

/** Names of lists and policies: a letter first, so that they are never taken for a pattern. */
export function isName(text: string): boolean {
  return /^[A-Za-z][\w.-]{0,63}$/.test(text);
}

export interface PrefixPattern {
  readonly prefix: Prefix;
  /** Lengths of matching routes. */
  readonly ge: number;
  readonly le: number;
}

/** `10.0.0.0/8` (exactly), `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16`, `10.0.0.0/8 ge 16 le 24`. No host bits. */
export function parsePrefixPattern(text: string): PrefixPattern | undefined {
  const match = /^(\S+)(?: ge (\d{1,3}))?(?: le (\d{1,3}))?$/.exec(text);
  const prefix = match && parsePrefix(match[1]!, true);
  if (!match || !prefix) return undefined;
  const longest = prefix.bytes.length * 8;
  const ge = match[2] === undefined ? prefix.length : Number(match[2]);
  const le = match[3] === undefined ? (match[2] === undefined ? prefix.length : longest) : Number(match[3]);
  return ge >= prefix.length && ge <= le && le <= longest ? { prefix, ge, le } : undefined;
}

export interface NumberRange {
  readonly least: number;
  readonly most: number;
}

const MAX_U32 = 0xffffffff;

/** 5, "5", "1..5", "..5" or "5..": numbers of 32 bits. */
export function parseRange(value: number | string): NumberRange | undefined {
  if (typeof value === 'number') {
    return Number.isInteger(value) && value >= 0 && value <= MAX_U32 ? { least: value, most: value } : undefined;
  }
  const match = /^(\d{0,10})(\.\.)?(\d{0,10})$/.exec(value);
  if (!match || value === '' || value === '..') return undefined;
  const [, from, dots, to] = match;
  if (dots === undefined && to !== '') return undefined;
  const least = from === '' ? 0 : Number(from);
  const most = dots === undefined ? least : to === '' ? MAX_U32 : Number(to);
  return least <= most && most <= MAX_U32 ? { least, most } : undefined;
}

/** A number, or "+= 10" / "-= 10" = that much more or less ("+10" alone would be the number 10 to YAML). */
export interface Adjustment {
  readonly relative: boolean;
  readonly value: number;
}

export function parseAdjustment(value: number | string): Adjustment | undefined {
  const text = String(value);
  const match = /^(?:([+-])= ?)?(\d{1,10})$/.exec(text);
  if (!match || Number(match[2]) > MAX_U32) return undefined;
  const amount = Number(match[2]);
  return { relative: match[1] !== undefined, value: match[1] === '-' ? -amount : amount };
}

export type CommunityKind = 'standard' | 'large' | 'extended';

/** Matches a community whose octets, where `mask` has ones, are those of `octets`. */
export interface CommunityPattern {
  readonly kind: CommunityKind;
  readonly octets: Uint8Array;
  readonly mask: Uint8Array;
}

/** RFC 1997, 7999, 8326, 9494. */
const WELL_KNOWN: Readonly<Record<string, number>> = {
  'graceful-shutdown': 0xffff0000,
  'accept-own': 0xffff0001,
  'llgr-stale': 0xffff0006,
  'no-llgr': 0xffff0007,
  blackhole: 0xffff029a,
  'no-export': 0xffffff01,
  'no-advertise': 0xffffff02,
  'no-export-subconfed': 0xffffff03,
  'no-peer': 0xffffff04,
};

export const WELL_KNOWN_COMMUNITIES = Object.keys(WELL_KNOWN);

/** What a community may be, for messages. */
export const COMMUNITY_FORMS =
  '64512:1, 64512:1:2, rt:64512:1, soo:64512:1, lb:64512:125000, 0x and 16 digits, or a well-known name such as no-export';

/** `wildcards`: parts may be `*`, also to match "lb:*:*" and all of "rt:*:*". Several patterns: forms share a text. */
export function parseCommunityPatterns(text: string, wildcards: boolean): CommunityPattern[] | undefined {
  const known = Object.hasOwn(WELL_KNOWN, text) ? WELL_KNOWN[text] : undefined;
  if (known !== undefined) return [exactly('standard', u32(known))];
  if (!text.includes('*')) {
    const standard = parseCommunity(text);
    if (standard !== undefined) return [exactly('standard', u32(standard))];
    const large = parseLargeCommunity(text);
    if (large)
      return [
        exactly(
          'large',
          large.flatMap((part) => [...u32(part)]),
        ),
      ];
    const extended = parseExtendedCommunity(text);
    return extended ? [exactly('extended', extended)] : undefined;
  }
  if (!wildcards) return undefined;
  const parts = text.split(':');
  if (/^\d|^\*/.test(text)) return numbersPattern(parts);
  return extendedPatterns(parts);
}

function exactly(kind: CommunityKind, octets: ArrayLike<number>): CommunityPattern {
  return { kind, octets: Uint8Array.from(octets), mask: new Uint8Array(octets.length).fill(255) };
}

function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** "64512:*", "*:1", "64512:*:2". */
function numbersPattern(parts: readonly string[]): CommunityPattern[] | undefined {
  if (parts.length !== 2 && parts.length !== 3) return undefined;
  const width = parts.length === 2 ? 2 : 4;
  const octets: number[] = [];
  const mask: number[] = [];
  for (const part of parts) {
    const value = part === '*' ? 0 : parseNumber(part, width === 2 ? 0xffff : MAX_U32);
    if (value === undefined) return undefined;
    octets.push(...u32(value).slice(4 - width));
    mask.push(...Array<number>(width).fill(part === '*' ? 0 : 255));
  }
  const kind = parts.length === 2 ? 'standard' : 'large';
  return [{ kind, octets: Uint8Array.from(octets), mask: Uint8Array.from(mask) }];
}

/** "rt:64512:*", "rt:*:*", "lb:*:*": in each of the encodings the text can stand for (RFC 4360, RFC 5668). */
function extendedPatterns(parts: readonly string[]): CommunityPattern[] | undefined {
  const [name, administrator, value] = parts;
  if (parts.length !== 3 || value !== '*') return undefined;
  const types = name === 'rt' ? [2] : name === 'soo' ? [3] : name === 'lb' ? [4] : undefined;
  if (!types) return undefined;
  const subtype = types[0]!;
  if (administrator === '*') {
    const encodings = name === 'lb' ? [0x40] : [0, 1, 2];
    return encodings.map((type) => masked([type, subtype, 0, 0, 0, 0, 0, 0], 2));
  }
  const sample = parseExtendedCommunity(`${name}:${administrator}:0`);
  if (!sample) return undefined;
  return [masked([...sample], sample[0] === 0 || sample[0] === 0x40 ? 4 : 6)];
}

/** The first octets count. */
function masked(octets: readonly number[], count: number): CommunityPattern {
  const mask = octets.map((_, i) => (i < count ? 255 : 0));
  return {
    kind: 'extended',
    octets: Uint8Array.from(octets.map((octet, i) => octet & mask[i]!)),
    mask: Uint8Array.from(mask),
  };
}

function parseNumber(text: string, most: number): number | undefined {
  return /^(0|[1-9]\d{0,9})$/.test(text) && Number(text) <= most ? Number(text) : undefined;
}
