/**
 * A peer's settings as rules for what it says and what it is told. Pure: options and the session's OPENs in, rules out.
 * RFC 9234 (roles), RFC 7947 (route servers), RFC 7705 (other AS numbers of ours), RFC 8326, RFC 9494, RFC 4271 §5.1.3.
 */
import { AttributeCode } from 'bgp-parse';
import type { PeerOptions } from './config/settings.js';
import { rulesOrNone } from './export/export-rules.js';
import type { ExportRules } from './export/export-rules.js';
import { PLAIN_INGRESS } from './rib/ingress.js';
import type { IngressRules, OtcRule } from './rib/ingress.js';
import type { Negotiated } from './session/types.js';

/** What the peer says is read by these rules; the interface is the RIB's own addition. */
export function ingressRules(options: PeerOptions, { type, peerAsn, offeredAsn, localAsn }: Negotiated): IngressRules {
  const { localAs, allowAsIn = 0, asSets, blackhole, gracefulRestart } = options;
  const otherAs = localAs && type === 'external' && offeredAsn !== localAsn ? localAs : undefined;
  return {
    ...PLAIN_INGRESS,
    allowAsIn,
    localAs: otherAs?.asn ?? 0,
    prependLocalAs: otherAs !== undefined && !otherAs.noPrepend,
    otc: type === 'external' ? otcRule(options.role, peerAsn) : undefined,
    acceptAsSets: asSets === 'accept',
    // RFC 9494 §4.3: from a neighbour to which the capability was advertised.
    longLived: gracefulRestart?.longLived !== undefined,
    blackhole: blackhole === 'accept',
  };
}

/** RFC 9234 §5, ingress. `role` is ours. */
function otcRule(role: PeerOptions['role'], peerAsn: number): OtcRule | undefined {
  switch (role) {
    case 'provider':
    case 'routeServer':
      return { refuse: true, asn: 0, anyValue: false };
    case 'peer':
      return { refuse: false, asn: peerAsn, anyValue: false };
    case 'customer':
    case 'routeServerClient':
      return { refuse: false, asn: peerAsn, anyValue: true };
    case undefined:
      return undefined;
  }
}

/** RFC 4271 §6.3: a route server does not put its own AS number in front (RFC 7947 §2.2.2.1). */
export function allowsAnyFirstAs({ enforceFirstAs, role }: PeerOptions): boolean {
  return !(enforceFirstAs ?? role !== 'routeServerClient');
}

export interface ExportContext {
  /** `bgpctl drain`: everything is on its way out. */
  readonly draining: boolean;
  /** The session's own subnet. */
  readonly subnet: ExportRules['subnet'];
}

/** What the peer is told follows these rules; undefined = none but everybody's. */
export function exportRules(
  options: PeerOptions,
  negotiated: Negotiated,
  { draining, subnet }: ExportContext,
): ExportRules | undefined {
  const { peerAsn, localAsn, offeredAsn, longLived } = negotiated;
  const { role, localAs, sendCommunity } = options;
  const external = negotiated.type === 'external';
  const isRouteServer = external && role === 'routeServer';
  const otherAs = external && offeredAsn !== localAsn ? localAs : undefined;
  const without = [
    ...(sendCommunity?.standard === false ? [AttributeCode.communities] : []),
    ...(sendCommunity?.extended === false
      ? [AttributeCode.extendedCommunities, AttributeCode.ipv6ExtendedCommunities]
      : []),
    ...(sendCommunity?.large === false ? [AttributeCode.largeCommunities] : []),
  ];
  const sendsOtc = role === 'provider' || role === 'peer' || role === 'routeServer';
  const refusesOtc = role === 'customer' || role === 'peer' || role === 'routeServerClient';
  return rulesOrNone({
    // RFC 7947 §2.2.2.1: a route server leaves the path alone.
    prependAs: isRouteServer ? 0 : otherAs?.asn,
    realAs: otherAs && !otherAs.replaceAs && !isRouteServer ? localAsn : undefined,
    overrideAs: external && options.asOverride ? peerAsn : undefined,
    removePrivateAs: external ? options.removePrivateAs : undefined,
    peerAs: external && options.removePrivateAs ? peerAsn : undefined,
    nextHopUnchanged: external && (options.nextHopUnchanged || isRouteServer) ? true : undefined,
    keepMed: isRouteServer ? true : undefined,
    without: without.length > 0 ? without : undefined,
    gracefulShutdown: draining || options.gracefulShutdown ? true : undefined,
    addOtc: external && sendsOtc ? (otherAs?.asn ?? localAsn) : undefined,
    refuseOtc: external && refusesOtc ? true : undefined,
    refuseNoPeer: external && role === 'peer' ? true : undefined,
    longLived: longLived ? true : undefined,
    subnet: external && !options.nextHopSelf ? subnet : undefined,
  });
}
