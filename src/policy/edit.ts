// HOT: once per attribute set that a statement changes.
/**
 * The `set` of a statement: writes the canonical octets of a subject anew, with its changes, in ascending order of codes.
 */
import { AttributeCode, AttributeFlag, Origin, SegmentType, parseAddress } from 'bgp-parse';
import { CommunitySet } from './community-set.js';
import type { PrependDefinition, SetDefinition } from './definition.js';
import { many } from './definition.js';
import { MOST_PREPENDS } from './limits.js';
import { parseAdjustment, parseCommunityPatterns } from './patterns.js';
import type { Adjustment, CommunityKind, CommunityPattern } from './patterns.js';
import type { NextHopRule, Subject } from './subject.js';
import { readU32 } from './subject.js';

const MAX_U32 = 0xffffffff;
/** RFC 9494 §2.2. */
const LLGR_STALE = 0xffff0006;
/** Longest block of attributes. */
const MAX_LENGTH = 65535;
const OPTIONAL_TRANSITIVE = AttributeFlag.optional | AttributeFlag.transitive;

const CODES: Readonly<Record<CommunityKind, number>> = {
  standard: AttributeCode.communities,
  extended: AttributeCode.extendedCommunities,
  large: AttributeCode.largeCommunities,
};
const WIDTHS: Readonly<Record<CommunityKind, number>> = { standard: 4, extended: 8, large: 12 };

interface CommunityEdit {
  readonly kind: CommunityKind;
  readonly removed: CommunitySet | 'all' | undefined;
  /** LLGR_STALE stays: a last resort must not pass for a good route (RFC 9494 §4.3). Not where it is named itself. */
  readonly keepsStale: boolean;
  /** Octets of those that come, one after the other. */
  readonly added: Uint8Array;
}

export class Edit {
  /** For people: `localPref 200, prepend own 2 times`. */
  readonly text: string;
  readonly #ownAs: number;
  readonly #localPref: Adjustment | undefined;
  readonly #med: Adjustment | 'none' | undefined;
  readonly #origin: number | undefined;
  readonly #nextHop: NextHopRule;
  readonly #address: Uint8Array | undefined;
  readonly #prependLast: boolean;
  readonly #prependTimes: number;
  readonly #communities: readonly CommunityEdit[];
  /** Codes this edit may write, ascending. */
  readonly #codes: readonly number[];
  #out = new Uint8Array(1024);
  #spare = new Uint8Array(1024);
  #to = 0;

  /** `list`: the patterns that a name stands for. */
  constructor(set: SetDefinition, ownAs: number, list: (name: string) => readonly CommunityPattern[]) {
    this.text = describeSet(set);
    this.#ownAs = ownAs;
    this.#localPref = given('localPref', set.localPref, parseAdjustment);
    this.#med = set.med === 'none' ? 'none' : given('med', set.med, parseAdjustment);
    this.#origin = given('origin', set.origin, (origin) => Origin[origin]);
    const { nextHop } = set;
    this.#nextHop =
      nextHop === undefined ? 'default' : nextHop === 'self' || nextHop === 'unchanged' ? nextHop : 'given';
    this.#address = this.#nextHop === 'given' ? given('nextHop', nextHop, parseAddress) : undefined;
    const prepend = prependOf(set.prepend);
    this.#prependLast = prepend.as === 'last';
    this.#prependTimes = given('prepend', prepend.times, (times) => {
      return Number.isInteger(times) && times >= 0 && times <= MOST_PREPENDS ? times : undefined;
    })!;
    this.#communities = communityEdits(set, list);
    const codes = new Set(this.#communities.map(({ kind }) => CODES[kind]));
    if (this.#origin !== undefined) codes.add(AttributeCode.origin);
    if (this.#prependTimes > 0) codes.add(AttributeCode.asPath);
    if (this.#address) codes.add(AttributeCode.nextHop);
    if (this.#med !== undefined) codes.add(AttributeCode.med);
    if (this.#localPref) codes.add(AttributeCode.localPref);
    this.#codes = [...codes].sort((a, b) => a - b);
  }

  /** Changes the subject. False: the result fits into no UPDATE. */
  apply(subject: Subject): boolean {
    if (this.#med !== undefined) subject.keepMed = this.#med !== 'none';
    if (this.#nextHop === 'self' || this.#nextHop === 'unchanged') {
      subject.nextHop = this.#nextHop;
      subject.isEdited = true;
    }
    // An address of the other family says nothing of this route.
    const addressFits = this.#address?.length === (subject.familyIndex === 0 ? 4 : 16);
    if (addressFits) subject.nextHop = 'given';
    if (this.#codes.length === 0) return true;
    const { bytes, start, end } = subject;
    const room =
      end - start + this.#prependTimes * 4 + 64 + this.#communities.reduce((sum, { added }) => sum + added.length, 0);
    // The subject may stand in what the last call wrote.
    [this.#out, this.#spare] = [this.#spare, this.#out];
    if (this.#out.length < room) this.#out = new Uint8Array(room * 2);
    this.#to = 0;
    let pending = 0;
    const codes = this.#codes;
    for (let at = start; at < end;) {
      const code = bytes[at + 1]!;
      const extended = (bytes[at]! & AttributeFlag.extendedLength) !== 0;
      const value = at + (extended ? 4 : 3);
      const next = value + (extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!);
      while (pending < codes.length && codes[pending]! < code)
        this.#write(subject, codes[pending++]!, 0, 0, addressFits);
      if (codes[pending] === code) {
        this.#write(subject, codes[pending++]!, value, next, addressFits);
      } else {
        for (let i = at; i < next; i++) this.#out[this.#to++] = bytes[i]!;
      }
      at = next;
    }
    while (pending < codes.length) this.#write(subject, codes[pending++]!, 0, 0, addressFits);
    subject.isEdited = true;
    subject.locate(this.#out, 0, this.#to);
    return this.#to <= MAX_LENGTH;
  }

  /** One attribute of ours: its value was bytes[start, end), which is empty when it was absent. */
  #write(subject: Subject, code: number, start: number, end: number, addressFits: boolean): void {
    const { bytes } = subject;
    switch (code) {
      case AttributeCode.origin:
        this.#header(AttributeFlag.transitive, code, 1);
        this.#out[this.#to++] = this.#origin!;
        return;
      case AttributeCode.asPath:
        this.#writePath(bytes, start, end);
        return;
      case AttributeCode.nextHop:
        if (addressFits) this.#copyValue(AttributeFlag.transitive, code, this.#address!, 0, this.#address!.length);
        else if (end > start) this.#copyValue(AttributeFlag.transitive, code, bytes, start, end);
        return;
      case AttributeCode.med:
        if (this.#med === 'none') return;
        this.#number(AttributeFlag.optional, code, adjusted(this.#med!, end > start ? readU32(bytes, start) : 0));
        return;
      case AttributeCode.localPref:
        this.#number(AttributeFlag.transitive, code, adjusted(this.#localPref!, subject.localPref));
        return;
      default:
        for (const edit of this.#communities) {
          if (CODES[edit.kind] === code) this.#writeCommunities(edit, bytes, start, end);
        }
    }
  }

  /** RFC 4271 §5.1.2: in front of the first sequence, or as one of its own. */
  #writePath(bytes: Uint8Array, start: number, end: number): void {
    const isSequence = end > start && bytes[start] === SegmentType.sequence;
    const asn = this.#prependLast ? (isSequence ? readU32(bytes, start + 2) : 0) : this.#ownAs;
    const times = asn === 0 ? 0 : this.#prependTimes;
    const joins = isSequence && bytes[start + 1]! + times <= 255;
    this.#header(
      AttributeFlag.transitive,
      AttributeCode.asPath,
      end - start + times * 4 + (joins || times === 0 ? 0 : 2),
    );
    let from = start;
    if (times > 0) {
      this.#out[this.#to++] = SegmentType.sequence;
      this.#out[this.#to++] = joins ? bytes[start + 1]! + times : times;
      for (let i = 0; i < times; i++) this.#u32(asn);
      if (joins) from = start + 2;
    }
    while (from < end) this.#out[this.#to++] = bytes[from++]!;
  }

  #writeCommunities(edit: CommunityEdit, bytes: Uint8Array, start: number, end: number): void {
    const { kind, removed, keepsStale, added } = edit;
    const width = WIDTHS[kind];
    const headerAt = this.#to;
    // Room for a long header; moved back when it is short.
    const valueAt = headerAt + 4;
    let to = valueAt;
    for (let at = start; at < end; at += width) {
      if (removed === 'all' || removed?.has(kind, bytes, at)) {
        if (!keepsStale || readU32(bytes, at) !== LLGR_STALE) continue;
      }
      for (let i = 0; i < width; i++) this.#out[to++] = bytes[at + i]!;
    }
    for (let at = 0; at < added.length; at += width) {
      let isThere = false;
      for (let old = valueAt; old < to && !isThere; old += width) {
        isThere = true;
        for (let i = 0; i < width && isThere; i++) isThere = this.#out[old + i] === added[at + i];
      }
      if (!isThere) for (let i = 0; i < width; i++) this.#out[to++] = added[at + i]!;
    }
    const length = to - valueAt;
    if (length === 0) return;
    this.#header(OPTIONAL_TRANSITIVE, CODES[kind], length);
    if (this.#to !== valueAt) this.#out.copyWithin(this.#to, valueAt, to);
    this.#to += length;
  }

  #number(flags: number, code: number, value: number): void {
    this.#header(flags, code, 4);
    this.#u32(value);
  }

  #copyValue(flags: number, code: number, bytes: Uint8Array, start: number, end: number): void {
    this.#header(flags, code, end - start);
    for (let i = start; i < end; i++) this.#out[this.#to++] = bytes[i]!;
  }

  #header(flags: number, code: number, length: number): void {
    const out = this.#out;
    out[this.#to++] = length > 255 ? flags | AttributeFlag.extendedLength : flags;
    out[this.#to++] = code;
    if (length > 255) out[this.#to++] = length >> 8;
    out[this.#to++] = length & 255;
  }

  #u32(value: number): void {
    const out = this.#out;
    out[this.#to++] = value >>> 24;
    out[this.#to++] = (value >>> 16) & 255;
    out[this.#to++] = (value >>> 8) & 255;
    out[this.#to++] = value & 255;
  }
}

/** The configuration has checked its values; those of functions come unchecked. */
function given<T, U>(key: string, value: T | undefined, parse: (value: T) => U | undefined): U | undefined {
  const parsed = value === undefined ? undefined : parse(value);
  if (value !== undefined && parsed === undefined) throw new TypeError(`set.${key}: ${String(value)} is not allowed`);
  return parsed;
}

function adjusted({ relative, value }: Adjustment, base: number): number {
  return relative ? Math.min(MAX_U32, Math.max(0, base + value)) : value;
}

export function prependOf(prepend: PrependDefinition | undefined): { as: 'own' | 'last'; times: number } {
  if (prepend === undefined) return { as: 'own', times: 0 };
  if (typeof prepend === 'number') return { as: 'own', times: prepend };
  return { as: prepend.as ?? 'own', times: prepend.times ?? 1 };
}

function communityEdits(set: SetDefinition, list: (name: string) => readonly CommunityPattern[]): CommunityEdit[] {
  const { remove, add, replace } = set.community ?? {};
  const resolve = (text: string): readonly CommunityPattern[] => parseCommunityPatterns(text, true) ?? list(text);
  const removed = many(remove).flatMap(resolve);
  const added = many(add).flatMap(resolve);
  const replaced = many(replace).flatMap(resolve);
  if ([...added, ...replaced].some(({ mask }) => mask.includes(0)))
    throw new TypeError('set.community: a wildcard cannot be added');
  const edits: CommunityEdit[] = [];
  for (const kind of ['standard', 'extended', 'large'] as const) {
    const of = (patterns: readonly CommunityPattern[]): CommunityPattern[] =>
      patterns.filter((one) => one.kind === kind);
    const coming = [...of(replaced), ...of(added)];
    const going = of(removed);
    if (coming.length + going.length === 0) continue;
    edits.push({
      kind,
      removed: of(replaced).length > 0 ? 'all' : going.length > 0 ? new CommunitySet(going) : undefined,
      keepsStale: kind === 'standard' && !going.some(namesStale),
      added: Uint8Array.from(coming.flatMap(({ octets }) => [...octets])),
    });
  }
  return edits;
}

function namesStale({ octets, mask }: CommunityPattern): boolean {
  return mask.every((octet) => octet === 255) && readU32(octets, 0) === LLGR_STALE;
}

function describeSet(set: SetDefinition): string {
  const parts: string[] = [];
  for (const key of ['localPref', 'med', 'origin', 'nextHop'] as const) {
    if (set[key] !== undefined) parts.push(`${key} ${set[key]}`);
  }
  const { as, times } = prependOf(set.prepend);
  if (times > 0)
    parts.push(`prepend ${as === 'own' ? 'our AS' : 'the last AS'} ${times === 1 ? 'once' : `${times} times`}`);
  for (const key of ['remove', 'replace', 'add'] as const) {
    const values = many(set.community?.[key]);
    if (values.length > 0) parts.push(`${key} community ${values.join(' ')}`);
  }
  return parts.join(', ');
}
