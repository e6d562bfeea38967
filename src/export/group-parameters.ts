/** What makes two peers get the same bytes: the key of an update group. */
import type { Family } from 'bgp-parse';
import type { EditedAttributes, ExportFilter } from '../policy/export-filter.js';
import { rulesKey } from './export-rules.js';
import type { ExportRules } from './export-rules.js';

/** Canonical octets of a default route before the rules of the wire, as a policy may have left them. */
export interface DefaultRoute {
  readonly attributes: Uint8Array;
  readonly nextHop: EditedAttributes['nextHop'];
}

export interface GroupParameters {
  readonly family: Family;
  /** 0 = IPv4, 1 = IPv6. */
  readonly familyIndex: 0 | 1;
  readonly external: boolean;
  /** The members are our route reflector clients. */
  readonly client: boolean;
  /** Clients only: they hear of other clients' routes. */
  readonly clientToClient: boolean;
  /** Export policy: false = nothing goes out (RFC 8212 until a policy is named). */
  readonly accept: boolean;
  /** Judges what `accept` lets through; undefined = all goes out as it is. */
  readonly filter?: ExportFilter | undefined;
  readonly fourOctetAs: boolean;
  readonly extendedNextHop: boolean;
  /** Paths per prefix (RFC 7911), 0 = only the best, without path identifiers. */
  readonly addPathLimit: number;
  readonly maxMessageLength: number;
  /** What the peer's own settings change; undefined = nothing. */
  readonly rules?: ExportRules | undefined;
  /** Ours replaces the next hop of externally learned routes towards internal peers. */
  readonly nextHopSelf: boolean;
  /** What "ourselves" is as a next hop of this family: 4, 16 or 32 octets; undefined = we have none. */
  readonly nextHop: Uint8Array | undefined;
  /** The group gets this default route and no other one; undefined = those of the Loc-RIB. */
  readonly defaultRoute?: DefaultRoute | undefined;
}

/** With every field there is: one left out does not compile. */
type Whole = { readonly [K in keyof Required<GroupParameters>]: GroupParameters[K] };

/** The same with its fields in one order, whoever made it: code that reads them is compiled for one shape. */
export function oneShape(parameters: GroupParameters): Whole {
  return {
    family: parameters.family,
    familyIndex: parameters.familyIndex,
    external: parameters.external,
    client: parameters.client,
    clientToClient: parameters.clientToClient,
    accept: parameters.accept,
    filter: parameters.filter,
    fourOctetAs: parameters.fourOctetAs,
    extendedNextHop: parameters.extendedNextHop,
    addPathLimit: parameters.addPathLimit,
    maxMessageLength: parameters.maxMessageLength,
    rules: parameters.rules,
    nextHopSelf: parameters.nextHopSelf,
    nextHop: parameters.nextHop,
    defaultRoute: parameters.defaultRoute,
  };
}

export function groupKey(parameters: GroupParameters): string {
  const { family, external, client, clientToClient, accept, fourOctetAs, extendedNextHop } = parameters;
  const { addPathLimit, maxMessageLength, nextHopSelf } = parameters;
  const nextHop = parameters.nextHop ? Array.from(parameters.nextHop).join('.') : '-';
  return [
    family,
    external,
    client,
    clientToClient,
    accept,
    parameters.filter?.id ?? '-',
    fourOctetAs,
    extendedNextHop,
    addPathLimit,
    maxMessageLength,
    nextHopSelf,
    rulesKey(parameters.rules),
    nextHop,
    defaultRouteKey(parameters.defaultRoute),
  ].join('|');
}

export function defaultRouteKey(route: DefaultRoute | undefined): string {
  return route ? `${route.nextHop} ${Array.from(route.attributes).join('.')}` : '-';
}
