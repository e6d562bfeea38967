/**
 * The default route that a peer gets from this node (`defaultOriginate`): whether, and how it looks. Pure but for what it
 * asks. What the peer's `export` says does not matter here: the key is as explicit as a policy (RFC 8212 §2).
 */
import { Origin, encodeAttributes, parsePrefix } from 'bgp-parse';
import type { Family } from 'bgp-parse';
import type { DefaultOriginateSettings } from './config/settings.js';
import type { DefaultRoute } from './export/group-parameters.js';
import type { PolicyPeer } from './policy/condition.js';
import type { Policies } from './policy/policies.js';

export interface OriginateContext {
  readonly policies: Policies;
  readonly peer: PolicyPeer;
  /** Whether there is a route to the prefix that is not from the peer itself. */
  readonly hasRoute: (prefix: string) => boolean;
}

const DEFAULT = { 'ipv4-unicast': parsePrefix('0.0.0.0/0')!, 'ipv6-unicast': parsePrefix('::/0')! } as const;

/** undefined = none now. */
export function originateDefault(
  settings: DefaultOriginateSettings,
  family: Family,
  { policies, peer, hasRoute }: OriginateContext,
): DefaultRoute | undefined {
  const { families, when, policy } = settings;
  if (families && !families.includes(family)) return undefined;
  if (when && !when.some((prefix) => isOf(family, prefix) && hasRoute(prefix))) return undefined;
  const prefix = DEFAULT[family];
  const nextHop = new Uint8Array(prefix.bytes.length);
  const attributes = encodeAttributes({ origin: Origin.igp, asPath: [], nextHop });
  return policy === undefined
    ? { attributes, nextHop: 'default' }
    : policies.judgeOwn(policy, family, peer, prefix, attributes);
}

function isOf(family: Family, prefix: string): boolean {
  return (prefix.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast') === family;
}
