/** `fib.prefSrc`: the source address that packets of this host itself get when they leave by a route of ours. */
import type { RouteMessage } from './kernel.js';

const AF_INET = 2;

/** At most one address of each family; 4 or 16 octets. */
export interface PreferredSource {
  readonly ipv4: Uint8Array | undefined;
  readonly ipv6: Uint8Array | undefined;
}

export const NO_SOURCE: PreferredSource = { ipv4: undefined, ipv6: undefined };

/** For routes of a family; undefined = the kernel's choice. */
export function preferredSource(source: PreferredSource, addressFamily: number): Uint8Array | undefined {
  return addressFamily === AF_INET ? source.ipv4 : source.ipv6;
}

// HOT: asked for each route that the kernel tells of.
export function hasPreferredSource(route: RouteMessage, source: PreferredSource): boolean {
  const wanted = route.family === AF_INET ? source.ipv4 : source.ipv6;
  if (wanted === undefined) return route.prefSrcLength === 0;
  if (route.prefSrcLength !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (route.prefSrc[i] !== wanted[i]) return false;
  return true;
}
