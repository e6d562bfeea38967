/** ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3.2): | AFI 2 | subtype 1 | SAFI 1 |. ORF (RFC 5291) is never negotiated. */
import { HEADER_LENGTH, MessageType, NotificationCode, RouteRefreshSubcode } from '../constants.js';
import { BgpError } from '../errors.js';
import { type Family, Safi, afiOf, familyOf } from '../family.js';
import { buildMessage, writeMessageHeader } from './header.js';

/** RFC 7313 §3.2: a request; the markers around a re-advertisement. Others are to be ignored. */
export const RouteRefreshSubtype = { request: 0, beginOfRefresh: 1, endOfRefresh: 2 } as const;

export interface RouteRefreshMessage {
  readonly afi: number;
  readonly safi: number;
  /** undefined: not a family of ours; the message is to be ignored (RFC 2918 §4). */
  readonly family: Family | undefined;
  readonly subtype: number;
}

/**
 * Decodes the body bytes[start, end). Throws BgpError (7/1) when its length is wrong. `enhanced`: RFC 7313 was agreed on;
 * else the octet of the subtype is the reserved one of RFC 2918 §3, which says nothing, and every message is a request.
 */
export function decodeRouteRefresh(
  bytes: Uint8Array,
  start: number,
  end: number,
  enhanced = true,
): RouteRefreshMessage {
  const length = end - start;
  const subtype = enhanced && length > 2 ? bytes[start + 2]! : RouteRefreshSubtype.request;
  const marker = subtype === RouteRefreshSubtype.beginOfRefresh || subtype === RouteRefreshSubtype.endOfRefresh;
  // A request may be longer: what would be ORF entries is not read. RFC 7313 §5 is strict for the markers.
  if (length < 4 || (marker && length !== 4)) {
    // "The Data field of the NOTIFICATION message MUST contain the complete ROUTE-REFRESH message."
    const data = new Uint8Array(HEADER_LENGTH + length);
    writeMessageHeader(data, 0, data.length, MessageType.routeRefresh);
    data.set(bytes.subarray(start, end), HEADER_LENGTH);
    const { invalidMessageLength } = RouteRefreshSubcode;
    throw new BgpError(`ROUTE-REFRESH: length ${length}`, NotificationCode.routeRefresh, invalidMessageLength, data);
  }
  const afi = (bytes[start]! << 8) | bytes[start + 1]!;
  const safi = bytes[start + 3]!;
  return { afi, safi, family: familyOf(afi, safi), subtype };
}

/** The whole message, header included. */
export function encodeRouteRefresh(refresh: { readonly family: Family; readonly subtype?: number }): Uint8Array {
  const body = [0, afiOf(refresh.family), refresh.subtype ?? RouteRefreshSubtype.request, Safi.unicast];
  return buildMessage(MessageType.routeRefresh, body);
}
