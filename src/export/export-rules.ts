/**
 * What a peer's settings make of the attributes it is told, beside the rules that hold for everybody
 * (`outgoing-attributes.ts`): other AS numbers in the path, communities taken out, marks of RFC 8326 and RFC 9234. Done
 * once per attribute set and update group; the usual group has none.
 */
import { AttributeCode, AttributeFlag as WireFlag } from 'bgp-parse';
import {
  attributeValue,
  editAttributes,
  hasCommunity,
  mapAsPath,
  octets,
  withAsInFront,
  withCommunity,
} from '../rib/edit-attributes.js';
import { Community } from '../rib/ingress.js';

export interface ExportRules {
  /** AS number put in front of paths to external peers; 0 = none (RFC 7947 §2.2.2.1). undefined = our own. */
  readonly prependAs?: number | undefined;
  /** Our real AS number, between `prependAs` and the path; 0 or undefined = not shown. */
  readonly realAs?: number | undefined;
  /** This AS number in the path, the peer's, is replaced by ours. */
  readonly overrideAs?: number | undefined;
  readonly removePrivateAs?: 'whole' | 'all' | 'replace' | undefined;
  /** The peer's AS number, which `removePrivateAs` leaves alone: it is how the peer finds loops. */
  readonly peerAs?: number | undefined;
  /** To external peers the next hop stays what it is. */
  readonly nextHopUnchanged?: boolean | undefined;
  /** A MED of another AS is passed on to external peers (RFC 7947 §2.2.3). */
  readonly keepMed?: boolean | undefined;
  /** Attributes that are not sent: codes. */
  readonly without?: readonly number[] | undefined;
  /** GRACEFUL_SHUTDOWN goes with every route, and LOCAL_PREF 0 to internal peers (RFC 8326 §4.2). */
  readonly gracefulShutdown?: boolean | undefined;
  /** ONLY_TO_CUSTOMER with this AS number where there is none (RFC 9234 §5). */
  readonly addOtc?: number | undefined;
  /** What has ONLY_TO_CUSTOMER does not go to this peer. */
  readonly refuseOtc?: boolean | undefined;
  /** What has NOPEER does not go to this peer (RFC 3765). */
  readonly refuseNoPeer?: boolean | undefined;
  /** The peer understands LLGR_STALE (RFC 9494 §4.3). */
  readonly longLived?: boolean | undefined;
  /** Next hops in this subnet, the session's own, stay what they are (RFC 4271 §5.1.3). */
  readonly subnet?: { readonly bytes: Uint8Array; readonly prefixLength: number } | undefined;
}

/**
 * Rules with nothing in them are no rules: their groups are everybody's. All others have one shape, whoever wrote them
 * (see `oneShape`).
 */
export function rulesOrNone(rules: ExportRules): ExportRules | undefined {
  const all: Required<ExportRules> = {
    prependAs: rules.prependAs,
    realAs: rules.realAs,
    overrideAs: rules.overrideAs,
    removePrivateAs: rules.removePrivateAs,
    peerAs: rules.peerAs,
    nextHopUnchanged: rules.nextHopUnchanged,
    keepMed: rules.keepMed,
    without: rules.without,
    gracefulShutdown: rules.gracefulShutdown,
    addOtc: rules.addOtc,
    refuseOtc: rules.refuseOtc,
    refuseNoPeer: rules.refuseNoPeer,
    longLived: rules.longLived,
    subnet: rules.subnet,
  };
  return Object.values(all).some((value) => value !== undefined) ? all : undefined;
}

/** Part of the key of an update group. */
export function rulesKey(rules: ExportRules | undefined): string {
  return rules
    ? JSON.stringify(rules, (_name, value: unknown) => (value instanceof Uint8Array ? [...value] : value))
    : '-';
}

const OPTIONAL_TRANSITIVE = WireFlag.optional | WireFlag.transitive;

/** Whether `applyRules` has anything to do. */
export function editsAttributes(rules: ExportRules): boolean {
  const { realAs, overrideAs, removePrivateAs, without, gracefulShutdown, addOtc } = rules;
  return [realAs, overrideAs, removePrivateAs, without, gracefulShutdown, addOtc].some(Boolean);
}

/** Writes canonical bytes[start, end) as the rules have them to `out`; returns the length, -1 when it does not fit. */
export function applyRules(
  rules: ExportRules,
  external: boolean,
  ownAs: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): number {
  const edits = new Map<number, { flags: number; value: Uint8Array } | undefined>();
  for (const code of rules.without ?? []) edits.set(code, undefined);
  const communities = attributeValue(bytes, start, end, AttributeCode.communities);
  const kept = edits.has(AttributeCode.communities) ? wellKnownOnly(communities) : communities;
  const outgoing = rules.gracefulShutdown ? withCommunity(kept, Community.gracefulShutdown) : kept;
  if (outgoing !== communities) {
    const edit = outgoing && outgoing.length > 0 ? { flags: OPTIONAL_TRANSITIVE, value: outgoing } : undefined;
    edits.set(AttributeCode.communities, edit);
  } else edits.delete(AttributeCode.communities);
  if (external) {
    const path = attributeValue(bytes, start, end, AttributeCode.asPath) ?? new Uint8Array(0);
    edits.set(AttributeCode.asPath, { flags: WireFlag.transitive, value: outgoingPath(rules, ownAs, path) });
    if (rules.addOtc && !attributeValue(bytes, start, end, AttributeCode.otc)) {
      edits.set(AttributeCode.otc, { flags: OPTIONAL_TRANSITIVE, value: octets(rules.addOtc) });
    }
  } else if (rules.gracefulShutdown) {
    edits.set(AttributeCode.localPref, { flags: WireFlag.transitive, value: octets(0) });
  }
  return editAttributes(bytes, start, end, edits, out);
}

/** RFC 9494 §4.3: LLGR_STALE is never taken out. */
function wellKnownOnly(communities: Uint8Array | undefined): Uint8Array | undefined {
  if (!communities || !hasCommunity(communities, Community.longLivedStale)) return undefined;
  return octets(Community.longLivedStale);
}

function outgoingPath(rules: ExportRules, ownAs: number, path: Uint8Array): Uint8Array {
  const { overrideAs, peerAs, prependAs = ownAs, realAs } = rules;
  const shown = prependAs === 0 ? ownAs : prependAs;
  let out = path;
  switch (rules.removePrivateAs) {
    case 'whole':
      if (isAllPrivate(path)) out = mapAsPath(out, (asn) => (asn === peerAs ? asn : undefined));
      break;
    case 'all':
      out = mapAsPath(out, (asn) => (isPrivate(asn) && asn !== peerAs ? undefined : asn));
      break;
    case 'replace':
      out = mapAsPath(out, (asn) => (isPrivate(asn) && asn !== peerAs ? shown : asn));
      break;
    case undefined:
      break;
  }
  if (overrideAs) out = mapAsPath(out, (asn) => (asn === overrideAs ? shown : asn));
  return realAs ? withAsInFront(out, realAs) : out;
}

function isAllPrivate(path: Uint8Array): boolean {
  let all = true;
  mapAsPath(path, (asn) => {
    if (!isPrivate(asn)) all = false;
    return asn;
  });
  return all;
}

/** RFC 6996 §5. */
function isPrivate(asn: number): boolean {
  return (asn >= 64512 && asn <= 65534) || (asn >= 4_200_000_000 && asn <= 4_294_967_294);
}
