/**
 * The OPEN we send: what the settings offer, less what the peer has refused. Pure.
 *
 * Falling back (RFC 5492 §3): a peer that refuses our capabilities gets an OPEN with fewer of them next time: first
 * without all that a session can do without, then without any. RFC 4271 §4.2, RFC 4760, RFC 6793, RFC 8538, RFC 9234,
 * RFC 9494.
 */
import { AS_TRANS, AddPathMode, Afi, Role, Safi, afiOf } from 'bgp-parse';
import type { Capability, Family, OpenMessage } from 'bgp-parse';
import type { PeerOptions } from '../config/settings.js';

/** How much we offer: everything, only what changes the meaning of routes, or nothing. */
export const OfferLevel = { full: 0, essential: 1, none: 2 } as const;
export type OfferLevel = (typeof OfferLevel)[keyof typeof OfferLevel];

export interface OfferContext {
  readonly localAsn: number;
  /** BGP identifier, unsigned 32-bit. */
  readonly routerId: number;
  readonly level: OfferLevel;
  /** RFC 4724: we are restarting, and routes of these families still forward in the kernel. */
  readonly restarting: boolean;
  readonly forwardingPreserved: readonly Family[];
}

type Offered = Pick<
  PeerOptions,
  'families' | 'holdTimeSeconds' | 'gracefulRestart' | 'extendedMessages' | 'extendedNextHop' | 'addPath' | 'role'
>;

export function offerOpen(peer: Offered, context: OfferContext): OpenMessage {
  const { localAsn, routerId, level } = context;
  return {
    version: 4,
    // RFC 6793 §9: an AS number that does not fit in two octets travels as AS_TRANS.
    asn: localAsn > 0xffff ? AS_TRANS : localAsn,
    holdTimeSeconds: peer.holdTimeSeconds,
    identifier: routerId,
    capabilities: [
      ...(level === OfferLevel.none ? [] : essential(peer, localAsn)),
      ...(level === OfferLevel.full ? optional(peer, context) : []),
    ],
  };
}

/** The level to try after a refusal at `level`; undefined when there is nothing left to leave out. */
export function nextOffer(level: OfferLevel, families: readonly Family[]): OfferLevel | undefined {
  if (level === OfferLevel.full) return OfferLevel.essential;
  // RFC 4760 §8: without capabilities only IPv4 is left.
  return level === OfferLevel.essential && families.includes('ipv4-unicast') ? OfferLevel.none : undefined;
}

function essential(peer: Offered, localAsn: number): Capability[] {
  return [
    ...peer.families.map((family): Capability => ({ kind: 'multiprotocol', ...wire(family) })),
    { kind: 'fourOctetAs', asn: localAsn },
  ];
}

function optional(peer: Offered, context: OfferContext): Capability[] {
  const out: Capability[] = [{ kind: 'routeRefresh' }, { kind: 'enhancedRouteRefresh' }];
  if (peer.extendedMessages) out.push({ kind: 'extendedMessage' });
  if (peer.extendedNextHop && peer.families.includes('ipv4-unicast')) {
    out.push({ kind: 'extendedNextHop', entries: [{ ...wire('ipv4-unicast'), nextHopAfi: Afi.ipv6 }] });
  }
  if (peer.gracefulRestart) {
    out.push({
      kind: 'gracefulRestart',
      restarting: context.restarting,
      notification: true,
      restartTimeSeconds: peer.gracefulRestart.restartTimeSeconds,
      families: peer.families.map((family) => ({
        ...wire(family),
        forwardingPreserved: context.forwardingPreserved.includes(family),
      })),
    });
  }
  const longLived = peer.gracefulRestart?.longLived;
  if (longLived) {
    out.push({
      kind: 'longLivedGracefulRestart',
      families: peer.families.flatMap((family) => {
        const staleTimeSeconds = longLived.staleTimeSeconds[family];
        if (staleTimeSeconds === undefined) return [];
        const forwardingPreserved = context.forwardingPreserved.includes(family);
        return [{ ...wire(family), forwardingPreserved, staleTimeSeconds }];
      }),
    });
  }
  // RFC 9234 §4.1: not on internal sessions; the settings have no role there.
  if (peer.role) out.push({ kind: 'role', role: Role[peer.role] });
  const send = peer.addPath.send !== 'best';
  const { receive } = peer.addPath;
  if (send || receive) {
    const mode = send && receive ? AddPathMode.both : send ? AddPathMode.send : AddPathMode.receive;
    out.push({ kind: 'addPath', entries: peer.families.map((family) => ({ ...wire(family), mode })) });
  }
  return out;
}

function wire(family: Family): { afi: number; safi: number } {
  return { afi: afiOf(family), safi: Safi.unicast };
}
