/**
 * UPDATE as a value (RFC 4271 §4.3): for tools, tests and everything that is not hot. The RIB reads UPDATEs in place
 * with the same parts: locateUpdate, locateMp, scanAttributes.
 */
import { AttributeScan, scanAttributes } from '../attribute-scan.js';
import { type PathAttributes, attributeValues, decodeAttributes, encodeAsPath, pushAttribute } from '../attributes.js';
import { canonicalizeAttributes } from '../canonical-attributes.js';
import {
  AS_TRANS,
  AttributeCode,
  AttributeFlag,
  HEADER_LENGTH,
  MAX_MESSAGE_LENGTH,
  MessageType,
  SegmentType,
  UpdateSubcode,
} from '../constants.js';
import { endOfRibFamily } from '../end-of-rib.js';
import { BgpError, Disposition } from '../errors.js';
import { type Family, Safi, afiOf, familyOf } from '../family.js';
import { type Nlri, decodeNlri, encodeNlri, nlriLength } from '../nlri.js';
import { scanError } from '../update-error.js';
import { MpLayout, UpdateLayout, locateMp, locateUpdate, stripMp } from '../update-layout.js';
import { buildMessage } from './header.js';

/** What was negotiated. */
export interface UpdateContext {
  readonly external: boolean;
  readonly fourOctetAs: boolean;
  /** Families whose NLRI carry a path identifier in this direction (RFC 7911). */
  readonly addPath?: readonly Family[];
}

export interface EncodeUpdateContext extends Omit<UpdateContext, 'external'> {
  /** 4096 (default) or 65535 (RFC 8654). */
  readonly maxMessageLength?: number;
}

export interface MpReach {
  readonly family: Family;
  /** 4, 16 or 32 octets. */
  readonly nextHop: Uint8Array;
  readonly nlri: readonly Nlri[];
}

export interface MpUnreach {
  readonly family: Family;
  readonly nlri: readonly Nlri[];
}

export interface DecodedUpdate {
  /** The strongest verdict. sessionReset: end the session with the first such error; the lists may be incomplete. */
  readonly disposition: Disposition;
  /** treatAsWithdraw: the prefixes of `nlri` and `reach` are withdrawn. */
  readonly errors: readonly BgpError[];
  /** Set when the message is this family's End-of-RIB marker. */
  readonly endOfRib: Family | undefined;
  readonly withdrawn: readonly Nlri[];
  readonly nlri: readonly Nlri[];
  /** undefined also for families that are not ours. */
  readonly reach: MpReach | undefined;
  readonly unreach: MpUnreach | undefined;
  /** Those of `nlri` and `reach` (its next hop stands there); undefined without them, or from treatAsWithdraw on. */
  readonly attributes: PathAttributes | undefined;
}

/** Decodes the UPDATE body bytes[start, end). Does not throw: errors are part of the result, each with its disposition. */
export function decodeUpdate(bytes: Uint8Array, start: number, end: number, context: UpdateContext): DecodedUpdate {
  const errors: BgpError[] = [];
  const layout = new UpdateLayout();
  const mp = new MpLayout();
  const note = (error: BgpError | undefined): boolean => {
    if (error) errors.push(error);
    return (error?.disposition ?? Disposition.none) < Disposition.afiSafiDisable;
  };
  const read = (from: number, to: number, family: Family, inMp = false): Nlri[] => {
    try {
      return decodeNlri(bytes, from, to, family, context.addPath?.includes(family));
    } catch (error) {
      if (!(error instanceof BgpError)) throw error;
      // RFC 4760 §7: in an MP attribute it is an Optional Attribute Error.
      errors.push(inMp ? new BgpError(error.message, error.code, UpdateSubcode.optionalAttribute) : error);
      return [];
    }
  };
  const result = (parts: Partial<DecodedUpdate>): DecodedUpdate => {
    const disposition = errors.reduce<Disposition>((worst, e) => (e.disposition > worst ? e.disposition : worst), 0);
    const { attributes, ...rest } = parts;
    return {
      endOfRib: undefined,
      withdrawn: [],
      nlri: [],
      reach: undefined,
      unreach: undefined,
      ...rest,
      // Of a message that is treated as withdrawal nothing else counts (RFC 7606 §2).
      attributes: disposition >= Disposition.treatAsWithdraw ? undefined : attributes,
      disposition,
      errors,
    };
  };

  if (!note(locateUpdate(bytes, start, end, layout))) return result({});
  const { attributesStart, attributesEnd } = layout;
  const withdrawn = read(layout.withdrawnStart, layout.withdrawnEnd, 'ipv4-unicast');
  const nlri = read(layout.nlriStart, layout.nlriEnd, 'ipv4-unicast');
  if (!note(locateMp(bytes, attributesStart, attributesEnd, mp))) return result({ withdrawn, nlri });
  const reachFamily = mp.reachStart < 0 ? undefined : familyOf(mp.reachAfi, mp.reachSafi);
  const unreachFamily = mp.unreachStart < 0 ? undefined : familyOf(mp.unreachAfi, mp.unreachSafi);
  const reach = reachFamily && {
    family: reachFamily,
    nextHop: bytes.slice(mp.reachNextHopStart, mp.reachNextHopStart + mp.reachNextHopLength),
    nlri: read(mp.reachNlriStart, mp.reachNlriEnd, reachFamily, true),
  };
  const unreach = unreachFamily && {
    family: unreachFamily,
    nlri: read(mp.unreachNlriStart, mp.unreachNlriEnd, unreachFamily, true),
  };

  let attributes: PathAttributes | undefined;
  const hasNlri = layout.nlriEnd > layout.nlriStart;
  const hasReach = mp.reachNlriEnd > mp.reachNlriStart;
  if (hasReach) attributes = readAttributes(bytes, attributesStart, attributesEnd, context, mp, errors);
  // Both in one message (RFC 7606 §5.1): these are the attributes with NEXT_HOP.
  if (hasNlri) attributes = readAttributes(bytes, attributesStart, attributesEnd, context, undefined, errors);
  if (!hasReach && !hasNlri && attributesEnd > attributesStart) {
    checkWithoutPrefixes(bytes, attributesStart, attributesEnd, context, errors);
  }
  return result({ endOfRib: endOfRibFamily(bytes, start, end), withdrawn, nlri, reach, unreach, attributes });
}

/** `mp`: the attributes belong to MP_REACH_NLRI alone; its next hop stands for NEXT_HOP and is not in the result. */
function readAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: UpdateContext,
  mp: MpLayout | undefined,
  errors: BgpError[],
): PathAttributes | undefined {
  const scan = new AttributeScan();
  const scanContext = { ...context, mpNextHop: mp !== undefined };
  let block = bytes.subarray(start, end);
  if (mp) {
    // A family that is not ours may have a next hop that NEXT_HOP cannot hold: its attributes are of no use to us.
    if (!familyOf(mp.reachAfi, mp.reachSafi)) return undefined;
    const stripped = new Uint8Array(end - start + 35);
    block = stripped.subarray(0, stripMp(bytes, start, end, mp, stripped));
  }
  scanAttributes(block, 0, block.length, scanContext, scan);
  const error = scanError(scan, block);
  if (error) errors.push(error);
  if (scan.disposition >= Disposition.treatAsWithdraw) return undefined;
  const target = new Uint8Array(2 * block.length + 16);
  const length = canonicalizeAttributes(block, 0, block.length, scanContext, scan, target);
  const { nextHop, ...attributes } = decodeAttributes(target, 0, length);
  return mp || nextHop === undefined ? attributes : { ...attributes, nextHop };
}

/** RFC 7606 §5.2: path attributes besides MP_UNREACH_NLRI and no reachable prefix: any fault resets the session. */
function checkWithoutPrefixes(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: UpdateContext,
  errors: BgpError[],
): void {
  const scan = new AttributeScan();
  scanAttributes(bytes, start, end, { ...context, mpNextHop: false, withoutRoutes: true }, scan);
  const error = scanError(scan, bytes);
  if (!error) return;
  const isFatal = error.disposition >= Disposition.treatAsWithdraw;
  errors.push(isFatal ? new BgpError(error.message, error.code, error.subcode, error.data) : error);
}

/** What encodeUpdate takes: `attributes` are needed with `nlri` (NEXT_HOP too) and with `reach`. */
export interface Update {
  readonly withdrawn?: readonly Nlri[];
  readonly attributes?: PathAttributes;
  readonly nlri?: readonly Nlri[];
  readonly reach?: MpReach;
  readonly unreach?: MpUnreach;
}

/**
 * The messages that say it: withdrawals first, each part in messages of its own, as many as the message length asks for.
 * Throws RangeError when attributes are missing, or so large that not one prefix fits beside them.
 */
export function encodeUpdate(update: Update, context: EncodeUpdateContext): Uint8Array[] {
  const { attributes, reach, unreach, withdrawn = [], nlri = [] } = update;
  const room = (context.maxMessageLength ?? MAX_MESSAGE_LENGTH) - HEADER_LENGTH - 4;
  const out: Uint8Array[] = [];
  const add = (gone: ArrayLike<number>, block: ArrayLike<number>, prefixes: ArrayLike<number>): void => {
    const body = new Uint8Array(4 + gone.length + block.length + prefixes.length);
    body.set([gone.length >> 8, gone.length & 255]);
    body.set(gone, 2);
    body.set([block.length >> 8, block.length & 255], 2 + gone.length);
    body.set(block, 4 + gone.length);
    body.set(prefixes, 4 + gone.length + block.length);
    out.push(buildMessage(MessageType.update, body));
  };
  const withPaths = (family: Family): boolean => context.addPath?.includes(family) === true;

  const ipv4Paths = withPaths('ipv4-unicast');
  for (const part of split(withdrawn, room, ipv4Paths)) add(encodeNlri(part, ipv4Paths), [], []);
  if (unreach) {
    const paths = withPaths(unreach.family);
    for (const part of split(unreach.nlri, room - 7, paths)) {
      const block: number[] = [];
      const value = [0, afiOf(unreach.family), Safi.unicast, ...encodeNlri(part, paths)];
      pushAttribute(block, AttributeFlag.optional, AttributeCode.mpUnreach, value);
      add([], block, []);
    }
  }
  if (nlri.length > 0) {
    if (!attributes?.nextHop) throw new RangeError('UPDATE: nlri needs attributes with a next hop');
    const block = sessionAttributes(attributes, context.fourOctetAs);
    for (const part of split(nlri, room - block.length, ipv4Paths)) add([], block, encodeNlri(part, ipv4Paths));
  }
  if (reach && reach.nlri.length > 0) {
    if (!attributes) throw new RangeError('UPDATE: reach needs attributes');
    const { nextHop: _, ...others } = attributes;
    const block = sessionAttributes(others, context.fourOctetAs);
    const paths = withPaths(reach.family);
    const head = [0, afiOf(reach.family), Safi.unicast, reach.nextHop.length, ...reach.nextHop, 0];
    for (const part of split(reach.nlri, room - block.length - 4 - head.length, paths)) {
      // RFC 7606 §5.1: MP_REACH_NLRI first.
      const first: number[] = [];
      pushAttribute(first, AttributeFlag.optional, AttributeCode.mpReach, [...head, ...encodeNlri(part, paths)]);
      add([], [...first, ...block], []);
    }
  }
  return out;
}

/** Attributes as they travel on a session; without four-octet AS numbers: RFC 6793 §4.2.2. */
function sessionAttributes(attributes: PathAttributes, fourOctetAs: boolean): number[] {
  const values = attributeValues(attributes);
  const out: number[] = [];
  if (fourOctetAs) {
    for (const { flags, code, value } of values.sort((a, b) => a.code - b.code)) pushAttribute(out, flags, code, value);
    return out;
  }
  const { asPath, aggregator } = attributes;
  const two = (asn: number): number => (asn > 0xffff ? AS_TRANS : asn);
  const replaced = values.map((attribute) => {
    if (attribute.code === AttributeCode.asPath) {
      const segments = asPath.map(({ type, asns }) => ({ type, asns: asns.map(two) }));
      return { ...attribute, value: Uint8Array.from(encodeAsPath(segments, 2)) };
    }
    if (attribute.code === AttributeCode.aggregator && aggregator) {
      const asn = two(aggregator.asn);
      return { ...attribute, value: Uint8Array.of(asn >> 8, asn & 255, ...attribute.value.subarray(4)) };
    }
    return attribute;
  });
  const flags = AttributeFlag.optional | AttributeFlag.transitive;
  if (asPath.some(({ asns }) => asns.some((asn) => asn > 0xffff))) {
    const plain = asPath.filter(({ type }) => type === SegmentType.sequence || type === SegmentType.set);
    const value = Uint8Array.from(encodeAsPath(plain, 4));
    if (value.length > 0) replaced.push({ flags, code: AttributeCode.as4Path, value });
  }
  const wide = values.find(({ code }) => code === AttributeCode.aggregator);
  if (aggregator && aggregator.asn > 0xffff && wide) {
    replaced.push({ flags, code: AttributeCode.as4Aggregator, value: wide.value });
  }
  replaced.sort((a, b) => a.code - b.code);
  for (const attribute of replaced) pushAttribute(out, attribute.flags, attribute.code, attribute.value);
  return out;
}

/** Prefixes in parts of at most `room` octets. */
function* split(list: readonly Nlri[], room: number, addPath: boolean): Generator<Nlri[]> {
  let part: Nlri[] = [];
  let used = 0;
  for (const nlri of list) {
    const length = nlriLength(nlri, addPath);
    if (length > room) throw new RangeError('UPDATE: the attributes leave no room for a prefix');
    if (used + length > room) {
      yield part;
      part = [];
      used = 0;
    }
    part.push(nlri);
    used += length;
  }
  if (part.length > 0) yield part;
}
