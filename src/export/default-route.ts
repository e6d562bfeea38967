/**
 * The default route that an update group gets from us, whatever the Loc-RIB holds (`defaultOriginate`). It is no route of
 * ours: nothing is decided by it and nothing is installed. It stands in the place of any other default route towards the
 * group: the filter keeps those back (`WithoutDefault`), `GroupWriter` leaves the prefix out of withdrawals, and the two
 * messages made here are all that the members hear of it.
 *
 * RFC 4271 §4.3 (UPDATE), RFC 4760 (MP_REACH_NLRI), RFC 7911 (path identifier).
 */
import { AttributeCode, AttributeFlag, MessageType } from 'bgp-parse';
import type { FamilyRib } from '../rib/family-rib.js';
import { SourceKind } from '../rib/rib-peers.js';
import { MIXED, Verdict } from '../policy/export-filter.js';
import type { EditedAttributes, ExportFilter } from '../policy/export-filter.js';
import type { DefaultRoute, GroupParameters } from './group-parameters.js';
import type { OutgoingAttributes } from './outgoing-attributes.js';

/** Whole messages, and what is in the first for those who ask. */
export interface DefaultMessages {
  readonly announcement: Uint8Array;
  readonly withdrawal: Uint8Array;
  /** Without MP_REACH_NLRI. */
  readonly attributes: Uint8Array;
  readonly hop: Uint8Array;
}

/** In groups with ADD-PATH: no other path of the prefix is ever told to such a group. */
const PATH_ID = [0, 0, 0, 1];

/** What a group with a default route of its own is told; undefined when it cannot be said: we have no next hop for it. */
export function defaultMessages(
  group: GroupParameters,
  route: DefaultRoute,
  outgoing: OutgoingAttributes,
): DefaultMessages | undefined {
  const { attributes, nextHop } = route;
  const edited = { bytes: attributes, start: 0, end: attributes.length, keepMed: true, nextHop };
  // With whole AS numbers for those who ask; on the wire as the group reads them.
  if (!outgoing.write({ ...group, fourOctetAs: true }, 0, SourceKind.local, 0, edited)) return undefined;
  const shown = outgoing.bytes.slice(0, outgoing.length);
  outgoing.write(group, 0, SourceKind.local, 0, edited);
  const own = outgoing.bytes.subarray(0, outgoing.length);
  const hop = outgoing.nextHop.slice(0, outgoing.nextHopLength);
  const nlri = [...(group.addPathLimit > 0 ? PATH_ID : []), 0];
  const afi = group.familyIndex + 1;
  const announcement = outgoing.useMp
    ? update([], [...mp(AttributeCode.mpReach, [0, afi, 1, hop.length, ...hop, 0, ...nlri]), ...own], [])
    : update([], [...own], nlri);
  const withdrawal =
    group.familyIndex === 0 ? update(nlri, [], []) : update([], mp(AttributeCode.mpUnreach, [0, afi, 1, ...nlri]), []);
  if (announcement.length > group.maxMessageLength) return undefined;
  return { announcement, withdrawal, attributes: shown, hop };
}

function mp(code: number, value: readonly number[]): number[] {
  return [AttributeFlag.optional, code, value.length, ...value];
}

function update(withdrawn: readonly number[], attributes: readonly number[], nlri: readonly number[]): Uint8Array {
  const body = [...two(withdrawn.length), ...withdrawn, ...two(attributes.length), ...attributes, ...nlri];
  const length = 19 + body.length;
  return Uint8Array.from([...Array<number>(16).fill(0xff), ...two(length), MessageType.update, ...body]);
}

function two(value: number): number[] {
  return [value >>> 8, value & 255];
}

/** The filter of a group with a default route of its own: others' default routes do not go there. */
export class WithoutDefault implements ExportFilter {
  readonly id: number;
  readonly seesPrefix = true;
  readonly isUnsure: boolean;
  readonly hasRejected = true;
  readonly #base: ExportFilter | undefined;

  constructor(base: ExportFilter | undefined) {
    this.#base = base;
    this.id = base?.id ?? 0;
    this.isUnsure = base?.isUnsure ?? false;
  }

  judge(rib: FamilyRib, prefixId: number, attribute: number, source: number): number {
    if (rib.prefixes.length[prefixId] === 0) return Verdict.rejected;
    return this.#base ? this.#base.judge(rib, prefixId, attribute, source) : Verdict.asIs;
  }

  judgeChain(
    rib: FamilyRib,
    ids: Int32Array,
    next: Int32Array,
    head: number,
    attribute: number,
    source: number,
    verdicts: Int32Array,
  ): number {
    let isSame = true;
    for (let at = head; at >= 0; at = next[at]!) {
      verdicts[at] = this.judge(rib, ids[at]!, attribute, source);
      if (verdicts[at] !== verdicts[head]) isSame = false;
    }
    return isSame ? verdicts[head]! : MIXED;
  }

  keepTold(rib: FamilyRib, ids: Int32Array, attributes: Int32Array, count: number, source: number): number {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (this.judge(rib, ids[i]!, attributes[i]!, source) !== Verdict.rejected) ids[kept++] = ids[i]!;
    }
    return kept;
  }

  edit(rib: FamilyRib, prefixId: number, attribute: number, source: number): EditedAttributes {
    return this.#base!.edit(rib, prefixId, attribute, source);
  }
}

/** ids[0, count) without default routes, `pathIds` beside them; returns how many are left. */
export function dropDefault(rib: FamilyRib, ids: Int32Array, pathIds: Int32Array | undefined, count: number): number {
  const { length } = rib.prefixes;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (length[ids[i]!] === 0) continue;
    if (pathIds) pathIds[kept] = pathIds[i]!;
    ids[kept++] = ids[i]!;
  }
  return kept;
}
