/**
 * Whether the peer's OPEN is one to accept (RFC 4271 §6.2). Pure; the codec has judged the form, this judges the meaning.
 * Each rule throws the BgpError whose NOTIFICATION the RFC asks for.
 */
import { AS_TRANS, BgpError, NotificationCode, OpenSubcode, Role, findCapability } from 'bgp-parse';
import type { OpenMessage } from 'bgp-parse';

export interface OpenExpectation {
  readonly localAsn: number;
  /** The AS number of our own OPEN, where that is another one (`localAs`). */
  readonly offeredAsn?: number | undefined;
  /** Ours, unsigned 32-bit. */
  readonly localIdentifier: number;
  /** The peer's AS as configured. */
  readonly peerAsn: number | 'internal' | 'external';
  /** Our own role towards the peer (RFC 9234). */
  readonly role?: keyof typeof Role | undefined;
  /** A peer without a role is refused. */
  readonly roleStrict?: boolean | undefined;
}

/** The peer's real AS number. Throws BgpError 2/2, 2/3, 2/6 or 2/11. */
export function checkOpen(open: OpenMessage, expected: OpenExpectation): number {
  const peerAsn = realAsn(open);
  checkAsn(peerAsn, expected);
  // RFC 6286 §2.2: an identifier of zero is wrong, and one like ours from a peer of our own AS; elsewhere equal ones are fine.
  if (open.identifier === 0) throw refuse('BGP identifier is 0.0.0.0', OpenSubcode.badIdentifier);
  if (open.identifier === expected.localIdentifier && peerAsn === expected.localAsn) {
    throw refuse('BGP identifier of the peer is our own (two nodes with one routerId?)', OpenSubcode.badIdentifier);
  }
  // RFC 4271 §4.2: zero, or at least three seconds.
  if (open.holdTimeSeconds === 1 || open.holdTimeSeconds === 2) {
    throw refuse(`hold time ${open.holdTimeSeconds} s`, OpenSubcode.unacceptableHoldTime);
  }
  if (expected.role && peerAsn !== expected.localAsn) checkRole(open, expected.role, expected.roleStrict === true);
  return peerAsn;
}

/** RFC 9234 §4.2, table 2: who stands on the other side of whom. */
const COUNTERPARTS = {
  provider: 'customer',
  customer: 'provider',
  routeServer: 'routeServerClient',
  routeServerClient: 'routeServer',
  peer: 'peer',
} as const;

function checkRole(open: OpenMessage, ours: keyof typeof Role, strict: boolean): void {
  const wanted = COUNTERPARTS[ours];
  const roles = open.capabilities.filter((capability) => capability.kind === 'role').map(({ role }) => role);
  if (roles.length === 0) {
    // RFC 9234 §4.2: only in strict mode.
    if (strict) throw refuse(`no role, expected ${wanted} (roleStrict)`, OpenSubcode.roleMismatch);
    return;
  }
  if (roles.every((role) => role === Role[wanted])) return;
  const names = roles.map((role) => Object.entries(Role).find(([, value]) => value === role)?.[0] ?? role);
  throw refuse(`role ${names.join(' and ')}, expected ${wanted} (ours is ${ours})`, OpenSubcode.roleMismatch);
}

/** RFC 6793 §4.1: the capability has the AS number, if there is one; the two-octet field else. */
function realAsn(open: OpenMessage): number {
  const capability = findCapability(open.capabilities, 'fourOctetAs');
  if (capability) return capability.asn;
  // AS_TRANS is nobody's own number.
  if (open.asn === AS_TRANS) {
    throw badAsn(open.asn, 'AS 23456 (AS_TRANS) without the 4-octet AS capability');
  }
  return open.asn;
}

function checkAsn(peerAsn: number, { localAsn, offeredAsn, peerAsn: wanted }: OpenExpectation): void {
  // RFC 7607 §2.
  if (peerAsn === 0) throw badAsn(peerAsn, 'AS 0');
  if (wanted === 'internal' && peerAsn !== localAsn)
    throw badAsn(peerAsn, `AS ${peerAsn}, expected ${localAsn} (internal)`);
  // To a peer of the AS that we say we are, the session would be an internal one.
  if (wanted === 'external' && (peerAsn === localAsn || peerAsn === offeredAsn))
    throw badAsn(peerAsn, `AS ${peerAsn} is our own, expected another (external)`);
  if (typeof wanted === 'number' && peerAsn !== wanted) throw badAsn(peerAsn, `AS ${peerAsn}, expected ${wanted}`);
}

function badAsn(asn: number, text: string): BgpError {
  // Not asked for by the RFC, but what the peer's operator wants to see first: the AS number we saw.
  const data = asn > 0xffff ? Uint8Array.of(asn >>> 24, asn >>> 16, asn >>> 8, asn) : Uint8Array.of(asn >>> 8, asn);
  return refuse(text, OpenSubcode.badPeerAs, data);
}

function refuse(text: string, subcode: number, data?: Uint8Array): BgpError {
  return new BgpError(`OPEN of the peer: ${text}`, NotificationCode.open, subcode, data);
}
