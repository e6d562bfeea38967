/**
 * What both OPENs together allow: a feature is on only when both sides offered it. Pure.
 * RFC 4271 §4.2 (hold time), RFC 4760 §8, RFC 5492 §4, RFC 6793, RFC 7911 §4, RFC 8654 §4, RFC 8950 §4, RFC 4724 §3,
 * RFC 8538 §2, RFC 9494 §3, RFC 9234 §4.
 */
import {
  AddPathMode,
  Afi,
  BgpError,
  CapabilityCode,
  MAX_EXTENDED_MESSAGE_LENGTH,
  MAX_MESSAGE_LENGTH,
  NotificationCode,
  OpenSubcode,
  Safi,
  encodeCapability,
  familyOf,
  findCapability,
} from 'bgp-parse';
import type { Capability, Family, OpenMessage } from 'bgp-parse';
import type { LongLivedFamily, Negotiated } from './types.js';

/** What is known besides the OPENs. */
export type NegotiationContext = Pick<
  Negotiated,
  'localAsn' | 'peerAsn' | 'localAddress' | 'peerAddress' | 'localPort' | 'peerPort'
> & {
  /** As configured, for the hold time that we offered. */
  readonly keepaliveTimeSeconds: number;
};

/** Throws BgpError 2/7 when no family is common. */
export function negotiate(sent: OpenMessage, received: OpenMessage, context: NegotiationContext): Negotiated {
  const both = (kind: Capability['kind']): boolean =>
    findCapability(sent.capabilities, kind) !== undefined && findCapability(received.capabilities, kind) !== undefined;
  const families = commonFamilies(sent, received);
  // RFC 4271 §4.2: the smaller of the two.
  const holdTimeSeconds = Math.min(sent.holdTimeSeconds, received.holdTimeSeconds);
  return {
    type: context.peerAsn === context.localAsn ? 'internal' : 'external',
    localAsn: context.localAsn,
    offeredAsn: findCapability(sent.capabilities, 'fourOctetAs')?.asn ?? sent.asn,
    peerAsn: context.peerAsn,
    peerIdentifier: received.identifier,
    holdTimeSeconds,
    // RFC 4271 §4.4: no more often than once a second, a third of the hold time at most.
    keepaliveTimeSeconds:
      holdTimeSeconds === 0 ? 0 : Math.max(1, Math.min(context.keepaliveTimeSeconds, Math.floor(holdTimeSeconds / 3))),
    families,
    fourOctetAs: both('fourOctetAs'),
    routeRefresh: offersRefresh(sent) && offersRefresh(received),
    enhancedRouteRefresh: both('enhancedRouteRefresh'),
    maxMessageLength: both('extendedMessage') ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH,
    addPathReceive: families.filter(
      (family) =>
        (addPathMode(sent, family) & AddPathMode.receive) !== 0 &&
        (addPathMode(received, family) & AddPathMode.send) !== 0,
    ),
    addPathSend: families.filter(
      (family) =>
        (addPathMode(sent, family) & AddPathMode.send) !== 0 &&
        (addPathMode(received, family) & AddPathMode.receive) !== 0,
    ),
    extendedNextHop: offersExtendedNextHop(sent) && offersExtendedNextHop(received),
    gracefulRestart: both('gracefulRestart') ? gracefulRestart(sent, received) : undefined,
    // RFC 9494 §4.5: nothing without the capability of RFC 4724.
    longLived: both('gracefulRestart') && both('longLivedGracefulRestart') ? longLived(sent, received) : undefined,
    peerRole: both('role') ? findCapability(received.capabilities, 'role')!.role : undefined,
    localAddress: context.localAddress,
    peerAddress: context.peerAddress,
    localPort: context.localPort,
    peerPort: context.peerPort,
    peerCapabilities: received.capabilities.map(capabilityName),
  };
}

function commonFamilies(sent: OpenMessage, received: OpenMessage): Family[] {
  const theirs = offeredFamilies(received);
  const common = offeredFamilies(sent).filter((family) => theirs.includes(family));
  if (common.length > 0) return common;
  // RFC 5492 §5: the data lists the capabilities that were missed.
  const missed = sent.capabilities.filter((capability) => capability.kind === 'multiprotocol').map(encodeCapability);
  const data = Uint8Array.from(missed.flatMap((capability) => [...capability]));
  throw new BgpError(
    `OPEN of the peer: no common family (we offer ${offeredFamilies(sent).join(', ')})`,
    NotificationCode.open,
    OpenSubcode.unsupportedCapability,
    data,
  );
}

/** RFC 4760 §8: no multiprotocol capability at all means IPv4 unicast. */
function offeredFamilies(open: OpenMessage): Family[] {
  const offered = open.capabilities.filter((capability) => capability.kind === 'multiprotocol');
  if (offered.length === 0) return ['ipv4-unicast'];
  return offered.flatMap(({ afi, safi }) => familyOf(afi, safi) ?? []);
}

function offersRefresh(open: OpenMessage): boolean {
  return open.capabilities.some(({ kind }) => kind === 'routeRefresh' || kind === 'routeRefreshCisco');
}

function addPathMode(open: OpenMessage, family: Family): number {
  const entries = findCapability(open.capabilities, 'addPath')?.entries ?? [];
  return entries.find(({ afi, safi }) => familyOf(afi, safi) === family)?.mode ?? 0;
}

function offersExtendedNextHop(open: OpenMessage): boolean {
  const entries = findCapability(open.capabilities, 'extendedNextHop')?.entries ?? [];
  return entries.some(
    ({ afi, safi, nextHopAfi }) => afi === Afi.ipv4 && safi === Safi.unicast && nextHopAfi === Afi.ipv6,
  );
}

/** What the peer asks for, of the families that we do it in. */
function longLived(sent: OpenMessage, received: OpenMessage): LongLivedFamily[] {
  const of = (open: OpenMessage) => findCapability(open.capabilities, 'longLivedGracefulRestart')!.families;
  const ours = of(sent).map(({ afi, safi }) => familyOf(afi, safi));
  return of(received).flatMap(({ afi, safi, ...rest }) => {
    const family = familyOf(afi, safi);
    return family && ours.includes(family) ? [{ family, ...rest }] : [];
  });
}

function gracefulRestart(sent: OpenMessage, received: OpenMessage): NonNullable<Negotiated['gracefulRestart']> {
  const ours = findCapability(sent.capabilities, 'gracefulRestart')!;
  // RFC 4724 §3: of several the last one counts.
  const last = findCapability([...received.capabilities].reverse(), 'gracefulRestart')!;
  const { notification, restarting, restartTimeSeconds, families } = last;
  const known = families.flatMap(({ afi, safi, forwardingPreserved }) => {
    const family = familyOf(afi, safi);
    return family ? [{ family, forwardingPreserved }] : [];
  });
  return {
    restarting,
    notification: ours.notification && notification,
    restartTimeSeconds,
    families: known.map(({ family }) => family),
    forwardingPreserved: known.filter((each) => each.forwardingPreserved).map(({ family }) => family),
  };
}

const CODE_NAMES = new Map<number, string>(Object.entries(CapabilityCode).map(([name, code]) => [code, name]));

/** "multiprotocol ipv6-unicast", "routeRefresh", "capability 131". */
function capabilityName(capability: Capability): string {
  switch (capability.kind) {
    case 'multiprotocol':
      return `multiprotocol ${familyOf(capability.afi, capability.safi) ?? `${capability.afi}/${capability.safi}`}`;
    case 'unknown':
      return CODE_NAMES.get(capability.code) ?? `capability ${capability.code}`;
    default:
      return capability.kind;
  }
}
