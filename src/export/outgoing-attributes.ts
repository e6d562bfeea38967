// HOT: guarded by bench S1, S4 (once per attribute set, update group and batch).
/**
 * Writes an attribute set as it goes out to an update group: RFC 4271 §5.1 and §9.2, RFC 4456 §8 for reflected routes,
 * RFC 6793 §4.2 towards 2-octet speakers. The input is canonical, so nothing malformed can be passed on, and
 * attributes come in ascending order of their codes.
 *
 *                 to an external peer            to an internal peer
 *   AS_PATH       our AS in front                untouched
 *   NEXT_HOP      ours                           ours if originated here, or learned externally and nextHopSelf
 *   MED           only of our own routes         untouched
 *   LOCAL_PREF    never                          kept, or 100
 *   extended communities   the transitive ones   untouched
 *   ORIGINATOR_ID, CLUSTER_LIST   never          reflected: set / our cluster id in front
 *
 * Export policy has had its say before: its octets stand in for those of the set, and what it says of MED and next hop
 * wins over the table.
 */
import { AS_TRANS, AttributeCode, AttributeFlag, SegmentType, equalBytes, maskAddress } from 'bgp-parse';
import { DEFAULT_LOCAL_PREF } from '../rib/columns/attribute-pool.js';
import type { AttributePool, Identity } from '../rib/columns/attribute-pool.js';
import { SourceKind } from '../rib/rib-peers.js';
import type { EditedAttributes } from '../policy/export-filter.js';
import type { RibPeers } from '../rib/rib-peers.js';
import { applyRules, editsAttributes } from './export-rules.js';
import type { ExportRules } from './export-rules.js';
import type { GroupParameters } from './group-parameters.js';

const TRANSITIVE = AttributeFlag.transitive;
const OPTIONAL = AttributeFlag.optional;
/** In the type of an extended community. */
const NON_TRANSITIVE = 0x40;

export class OutgoingAttributes {
  /** Octets of the attributes, without MP_REACH_NLRI and, when `useMp`, without NEXT_HOP. */
  readonly bytes = new Uint8Array(1 << 17);
  length = 0;
  /** The next hop cannot be said in a NEXT_HOP attribute of this family: MP_REACH_NLRI is needed. */
  useMp = false;
  readonly nextHop = new Uint8Array(32);
  nextHopLength = 0;

  readonly #pool: AttributePool;
  readonly #identity: Identity;
  readonly #peers: RibPeers | undefined;
  /** Octets after the group's rules; made when first needed. */
  #changed: Uint8Array | undefined;

  constructor(pool: AttributePool, identity: Identity, peers?: RibPeers) {
    this.#peers = peers;
    this.#pool = pool;
    this.#identity = identity;
  }

  /**
   * Fills the fields with attribute set `id`, learned from a peer of `kind` with BGP identifier `sourceIdentifier`.
   * False when it cannot be said to this group (the next hop needs what the peer does not understand). `edited`: the
   * set as export policy left it.
   */
  write(
    group: GroupParameters,
    id: number,
    kind: SourceKind,
    sourceIdentifier: number,
    edited?: EditedAttributes,
    /** PeerId of the source, for what depends on its address. */
    source = 0,
  ): boolean {
    const pool = this.#pool;
    let input = edited ? edited.bytes : pool.bytes(id);
    let start = edited ? edited.start : pool.start(id);
    let end = edited ? edited.end : start + pool.length(id);
    const out = this.bytes;
    const { external, rules } = group;
    if (rules !== undefined && editsAttributes(rules)) {
      const changed = (this.#changed ??= new Uint8Array(this.bytes.length));
      end = applyRules(rules, external, this.#identity.asn, input, start, end, changed);
      if (end < 0) return false;
      input = changed;
      start = 0;
    }
    const prependAs = rules?.prependAs ?? this.#identity.asn;
    const reflected = kind === SourceKind.client || kind === SourceKind.nonClient;
    let nextHopSelf = external || kind === SourceKind.local || (kind === SourceKind.external && group.nextHopSelf);
    if (edited && edited.nextHop !== 'default') {
      // Our own routes have no next hop but us.
      nextHopSelf = edited.nextHop === 'self' || (edited.nextHop === 'unchanged' && kind === SourceKind.local);
    }
    const mayKeep = external && kind !== SourceKind.local && (edited === undefined || edited.nextHop === 'default');
    let to = 0;
    let hasLocalPref = false;
    let hasOriginator = false;
    let hasClusterList = false;
    let asPathAt = -1;
    let asPathEnd = -1;
    let aggregatorAt = -1;

    for (let at = start; at < end;) {
      const flags = input[at]!;
      const code = input[at + 1]!;
      const extended = (flags & AttributeFlag.extendedLength) !== 0;
      const length = extended ? (input[at + 2]! << 8) | input[at + 3]! : input[at + 2]!;
      const value = at + (extended ? 4 : 3);
      const next = value + length;
      if (!external && code > AttributeCode.localPref && !hasLocalPref) {
        hasLocalPref = true;
        to = put32(out, to, TRANSITIVE, AttributeCode.localPref, DEFAULT_LOCAL_PREF);
      }
      if (reflected && !external) {
        if (code > AttributeCode.originatorId && !hasOriginator) {
          hasOriginator = true;
          to = put32(out, to, OPTIONAL, AttributeCode.originatorId, sourceIdentifier);
        }
        if (code > AttributeCode.clusterList && !hasClusterList) {
          hasClusterList = true;
          to = put32(out, to, OPTIONAL, AttributeCode.clusterList, this.#identity.clusterId);
        }
      }
      if (!group.fourOctetAs && code > AttributeCode.as4Path) {
        to = this.#putAs4(group, input, to, asPathAt, asPathEnd, aggregatorAt);
        asPathAt = aggregatorAt = -1;
      }
      at = next;
      switch (code) {
        case AttributeCode.asPath:
          if (group.fourOctetAs && (!external || prependAs === 0)) break;
          asPathAt = value;
          asPathEnd = next;
          to = group.fourOctetAs
            ? this.#putPath(out, to, code, input, value, next, prependAs)
            : this.#putPath2(out, to, input, value, next, external ? prependAs : 0);
          continue;
        case AttributeCode.nextHop: {
          if (rules !== undefined && mayKeep && this.#keeps(group, rules, source, input, value)) nextHopSelf = false;
          const own = nextHopSelf ? group.nextHop : undefined;
          if (nextHopSelf && !own) return false;
          // RFC 2545 §3: a link-local next hop means something on its own link only.
          const hopLength = own ? own.length : Math.min(length, 16);
          if (!own && hopLength === 16 && input[value] === 0xfe && (input[value + 1]! & 0xc0) === 0x80) return false;
          for (let i = 0; i < hopLength; i++) this.nextHop[i] = own ? own[i]! : input[value + i]!;
          this.nextHopLength = hopLength;
          this.useMp = group.familyIndex === 1 || hopLength !== 4;
          if (group.familyIndex === 0 && this.useMp && !group.extendedNextHop) return false;
          // An IPv6 prefix cannot go out with an IPv4 next hop.
          if (group.familyIndex === 1 && hopLength === 4) return false;
          if (!this.useMp) {
            out[to++] = TRANSITIVE;
            out[to++] = AttributeCode.nextHop;
            out[to++] = 4;
            for (let i = 0; i < 4; i++) out[to++] = this.nextHop[i]!;
          }
          continue;
        }
        case AttributeCode.med:
          if (external && kind !== SourceKind.local && !edited?.keepMed && !rules?.keepMed) continue;
          break;
        case AttributeCode.localPref:
          if (external) continue;
          hasLocalPref = true;
          break;
        case AttributeCode.aggregator:
          if (group.fourOctetAs) break;
          aggregatorAt = value;
          out[to++] = flags & ~AttributeFlag.extendedLength;
          out[to++] = code;
          out[to++] = 6;
          to = putAs2(out, to, input, value);
          for (let i = 4; i < 8; i++) out[to++] = input[value + i]!;
          continue;
        case AttributeCode.extendedCommunities:
          // What policy has left there is meant.
          if (!external || kind === SourceKind.local || edited !== undefined) break;
          to = putTransitive(out, to, flags, input, value, next);
          continue;
        case AttributeCode.originatorId:
          if (external) continue;
          hasOriginator = true;
          break;
        case AttributeCode.clusterList:
          if (external) continue;
          if (reflected) {
            hasClusterList = true;
            to = putHeader(out, to, OPTIONAL, code, length + 4);
            to = putU32(out, to, this.#identity.clusterId);
            for (let i = value; i < next; i++) out[to++] = input[i]!;
            continue;
          }
          break;
      }
      for (let i = value - (extended ? 4 : 3); i < next; i++) out[to++] = input[i]!;
    }
    if (!external && !hasLocalPref) to = put32(out, to, TRANSITIVE, AttributeCode.localPref, DEFAULT_LOCAL_PREF);
    if (reflected && !external) {
      if (!hasOriginator) to = put32(out, to, OPTIONAL, AttributeCode.originatorId, sourceIdentifier);
      if (!hasClusterList) to = put32(out, to, OPTIONAL, AttributeCode.clusterList, this.#identity.clusterId);
    }
    if (!group.fourOctetAs) to = this.#putAs4(group, input, to, asPathAt, asPathEnd, aggregatorAt);
    this.length = to;
    return true;
  }

  /**
   * RFC 4271 §5.1.3: a route of a neighbour on the link that we share with the external peers keeps that neighbour as its
   * next hop. Only the source's own address, which the source is never told: no peer may be told its own.
   */
  #keeps(group: GroupParameters, rules: ExportRules, source: number, hop: Uint8Array, at: number): boolean {
    if (rules.nextHopUnchanged) return true;
    const { subnet } = rules;
    const address = this.#peers?.get(source)?.session.address;
    if (!subnet || !address || group.nextHopSelf || address.length !== subnet.bytes.length) return false;
    for (let i = 0; i < address.length; i++) if (hop[at + i] !== address[i]) return false;
    return equalBytes(maskAddress(address, subnet.prefixLength), maskAddress(subnet.bytes, subnet.prefixLength));
  }

  /** AS_PATH or AS4_PATH, 4 octets each, `prepend` in front unless 0 (RFC 4271 §5.1.2). */
  #putPath(
    out: Uint8Array,
    to: number,
    code: number,
    input: Uint8Array,
    start: number,
    end: number,
    prepend: number,
  ): number {
    const flags = code === AttributeCode.asPath ? TRANSITIVE : OPTIONAL | TRANSITIVE;
    if (prepend === 0) {
      to = putHeader(out, to, flags, code, end - start);
      for (let i = start; i < end; i++) out[to++] = input[i]!;
      return to;
    }
    // "If the first path segment is of type AS_SEQUENCE ... the local system prepends its own AS number as the last
    // element"; a full or other segment gets a new one in front.
    const joins = end > start && input[start] === SegmentType.sequence && input[start + 1]! < 255;
    to = putHeader(out, to, flags, code, end - start + (joins ? 4 : 6));
    out[to++] = SegmentType.sequence;
    out[to++] = joins ? input[start + 1]! + 1 : 1;
    to = putU32(out, to, prepend);
    for (let i = joins ? start + 2 : start; i < end; i++) out[to++] = input[i]!;
    return to;
  }

  /** AS_PATH for a 2-octet speaker: AS_TRANS where a number does not fit (RFC 6793 §4.2.2). */
  #putPath2(out: Uint8Array, to: number, input: Uint8Array, start: number, end: number, prepend: number): number {
    let body = 0;
    for (let at = start; at < end; at += 2 + input[at + 1]! * 4) body += 2 + input[at + 1]! * 2;
    const joins = prepend !== 0 && end > start && input[start] === SegmentType.sequence && input[start + 1]! < 255;
    if (prepend !== 0) body += joins ? 2 : 4;
    to = putHeader(out, to, TRANSITIVE, AttributeCode.asPath, body);
    if (prepend !== 0 && !joins) {
      out[to++] = SegmentType.sequence;
      out[to++] = 1;
      to = put16(out, to, prepend > 0xffff ? AS_TRANS : prepend);
    }
    for (let at = start; at < end;) {
      const count = input[at + 1]!;
      const first = joins && at === start;
      out[to++] = input[at]!;
      out[to++] = first ? count + 1 : count;
      if (first) to = put16(out, to, prepend > 0xffff ? AS_TRANS : prepend);
      at += 2;
      for (let i = 0; i < count; i++, at += 4) to = putAs2(out, to, input, at);
    }
    return to;
  }

  /** AS4_PATH and AS4_AGGREGATOR where 2 octets have lost something. */
  #putAs4(
    group: GroupParameters,
    input: Uint8Array,
    to: number,
    asPathAt: number,
    asPathEnd: number,
    aggregatorAt: number,
  ): number {
    const prepend = group.external ? (group.rules?.prependAs ?? this.#identity.asn) : 0;
    if (asPathAt >= 0 && (prepend > 0xffff || hasWideAs(input, asPathAt, asPathEnd))) {
      to = this.#putPath(this.bytes, to, AttributeCode.as4Path, input, asPathAt, asPathEnd, prepend);
    }
    if (aggregatorAt >= 0 && (input[aggregatorAt] !== 0 || input[aggregatorAt + 1] !== 0)) {
      to = putHeader(this.bytes, to, OPTIONAL | TRANSITIVE, AttributeCode.as4Aggregator, 8);
      for (let i = 0; i < 8; i++) this.bytes[to++] = input[aggregatorAt + i]!;
    }
    return to;
  }
}

function hasWideAs(input: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end;) {
    const count = input[at + 1]!;
    at += 2;
    for (let i = 0; i < count; i++, at += 4) if (input[at] !== 0 || input[at + 1] !== 0) return true;
  }
  return false;
}

function putAs2(out: Uint8Array, to: number, input: Uint8Array, at: number): number {
  if (input[at] !== 0 || input[at + 1] !== 0) return put16(out, to, AS_TRANS);
  out[to] = input[at + 2]!;
  out[to + 1] = input[at + 3]!;
  return to + 2;
}

/** RFC 4360 §6: extended communities that are non-transitive across ASes stay here. */
function putTransitive(
  out: Uint8Array,
  to: number,
  flags: number,
  input: Uint8Array,
  start: number,
  end: number,
): number {
  let count = 0;
  for (let at = start; at < end; at += 8) if ((input[at]! & NON_TRANSITIVE) === 0) count++;
  if (count === 0) return to;
  to = putHeader(out, to, flags & ~AttributeFlag.extendedLength, AttributeCode.extendedCommunities, count * 8);
  for (let at = start; at < end; at += 8) {
    if ((input[at]! & NON_TRANSITIVE) !== 0) continue;
    for (let i = 0; i < 8; i++) out[to++] = input[at + i]!;
  }
  return to;
}

function putHeader(out: Uint8Array, to: number, flags: number, code: number, length: number): number {
  if (length > 255) {
    out[to++] = flags | AttributeFlag.extendedLength;
    out[to++] = code;
    return put16(out, to, length);
  }
  out[to++] = flags;
  out[to++] = code;
  out[to++] = length;
  return to;
}

function put32(out: Uint8Array, to: number, flags: number, code: number, value: number): number {
  return putU32(out, putHeader(out, to, flags, code, 4), value);
}

function put16(out: Uint8Array, to: number, value: number): number {
  out[to] = value >>> 8;
  out[to + 1] = value;
  return to + 2;
}

function putU32(out: Uint8Array, to: number, value: number): number {
  out[to] = value >>> 24;
  out[to + 1] = value >>> 16;
  out[to + 2] = value >>> 8;
  out[to + 3] = value;
  return to + 4;
}
