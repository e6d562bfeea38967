/**
 * What a session's settings make of the attributes it brings, before any policy: what is added to them, and what makes
 * them unfit. Rules are part of the key that attribute sets are interned by, so all this is done once per set, and the
 * usual session has none.
 *
 *   from an external peer, GRACEFUL_SHUTDOWN   LOCAL_PREF 0                                  RFC 8326 §4.1
 *   role                                       ONLY_TO_CUSTOMER added where it is missing    RFC 9234 §5
 *   localAs                                    our other AS number in front of the path
 *   blackhole: accept                          NO_EXPORT added to BLACKHOLE routes           RFC 7999 §3.2
 */
import { AttributeCode, AttributeFlag as WireFlag } from 'bgp-parse';
import type { AttributeScan } from 'bgp-parse';
import {
  attributeValue,
  editAttributes,
  hasCommunity,
  octets,
  withAsInFront,
  withCommunity,
} from './edit-attributes.js';

export const Community = {
  /** RFC 8326 §5. */
  gracefulShutdown: 0xffff0000,
  /** RFC 9494 §2.2, §2.3. */
  longLivedStale: 0xffff0006,
  noLongLived: 0xffff0007,
  /** RFC 7999 §2. */
  blackhole: 0xffff029a,
  /** RFC 1997. */
  noExport: 0xffffff01,
  noAdvertise: 0xffffff02,
  noExportSubconfed: 0xffffff03,
  /** RFC 3765: not over bilateral peering. */
  noPeer: 0xffffff04,
} as const;

/** How ONLY_TO_CUSTOMER is read and set (RFC 9234 §5), by what the peer is to us. */
export interface OtcRule {
  /** It has no business here: a customer or route server client has leaked the route. */
  readonly refuse: boolean;
  /** The AS number it must name, and is set to where it is missing; 0 = any, and not set. */
  readonly asn: number;
  /** Any value is taken, only its absence is mended: from a provider or a route server. */
  readonly anyValue: boolean;
}

export interface IngressRules {
  /** Of link-local next hops; undefined elsewhere. */
  readonly interfaceName: string | undefined;
  /** How often our own AS number may stand in the path. */
  readonly allowAsIn: number;
  /** Our other AS number towards this peer: a loop like the real one. 0 = none. */
  readonly localAs: number;
  /** `localAs` is put in front of what the peer says. */
  readonly prependLocalAs: boolean;
  readonly otc: OtcRule | undefined;
  /** AS_SET segments are taken (RFC 9774 §3 refuses them). */
  readonly acceptAsSets: boolean;
  /** RFC 9494 was offered: LLGR_STALE means something. */
  readonly longLived: boolean;
  /** BLACKHOLE means something. */
  readonly blackhole: boolean;
}

export const PLAIN_INGRESS: IngressRules = {
  interfaceName: undefined,
  allowAsIn: 0,
  localAs: 0,
  prependLocalAs: false,
  otc: undefined,
  acceptAsSets: false,
  longLived: false,
  blackhole: false,
};

const OPTIONAL_TRANSITIVE = WireFlag.optional | WireFlag.transitive;

/** Whether canonical attributes with this `scan` change under the rules. `bytes` is what the scan points into. */
export function isChanged(rules: IngressRules, external: boolean, scan: AttributeScan, bytes: Uint8Array): boolean {
  if (rules.prependLocalAs || (rules.otc && rules.otc.asn !== 0 && !scan.hasOtc)) return true;
  if (scan.communitiesCount === 0 || (!external && !rules.blackhole)) return false;
  // In place: asked for every new set.
  let at = scan.communitiesStart;
  for (let i = 0; i < scan.communitiesCount; i++, at += 4) {
    if (bytes[at] !== 0xff || bytes[at + 1] !== 0xff) continue;
    const low = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    if (external && low === (Community.gracefulShutdown & 0xffff)) return true;
    if (rules.blackhole && low === (Community.blackhole & 0xffff)) return true;
  }
  return false;
}

/** Writes canonical bytes[0, end) as the rules have them to `out`; returns the length, -1 when it does not fit. */
export function applyIngress(
  rules: IngressRules,
  external: boolean,
  bytes: Uint8Array,
  end: number,
  out: Uint8Array,
): number {
  const edits = new Map<number, { flags: number; value: Uint8Array }>();
  const value = (code: number): Uint8Array | undefined => attributeValue(bytes, 0, end, code);
  if (rules.prependLocalAs) {
    const path = value(AttributeCode.asPath) ?? new Uint8Array(0);
    edits.set(AttributeCode.asPath, { flags: WireFlag.transitive, value: withAsInFront(path, rules.localAs) });
  }
  if (rules.otc && rules.otc.asn !== 0 && !value(AttributeCode.otc)) {
    edits.set(AttributeCode.otc, { flags: OPTIONAL_TRANSITIVE, value: octets(rules.otc.asn) });
  }
  const communities = value(AttributeCode.communities);
  if (communities && external && hasCommunity(communities, Community.gracefulShutdown)) {
    edits.set(AttributeCode.localPref, { flags: WireFlag.transitive, value: octets(0) });
  }
  if (communities && rules.blackhole && hasCommunity(communities, Community.blackhole)) {
    const kept =
      hasCommunity(communities, Community.noAdvertise) || hasCommunity(communities, Community.noExport)
        ? communities
        : withCommunity(communities, Community.noExport);
    edits.set(AttributeCode.communities, { flags: OPTIONAL_TRANSITIVE, value: kept });
  }
  return editAttributes(bytes, 0, end, edits, out);
}

/** RFC 9234 §5, ingress: the route has come the wrong way. */
export function isLeak(rule: OtcRule, scan: AttributeScan): boolean {
  if (!scan.hasOtc) return false;
  return rule.refuse || (!rule.anyValue && scan.otc !== rule.asn);
}
