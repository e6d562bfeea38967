/** What tells two routes to one prefix apart, in one form for what the kernel has and for what it should have. */
import type { RouteLead } from './differences.js';
import type { Gateway } from './gateways.js';
import { inProportion } from './group-weights.js';
import type { NexthopMessage, RouteMessage } from './kernel.js';

const AF_INET = 2;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;

export interface FormHop {
  readonly family: number;
  readonly bytes: Uint8Array | undefined;
  readonly interfaceIndex: number;
  readonly onlink: boolean;
  readonly weight: number;
}

export interface RouteForm {
  readonly type: number;
  readonly tos: number;
  readonly source: Uint8Array | undefined;
  readonly by: RouteLead['by'];
  /** Of a resilient group; 0 = a group by hash threshold, `NO_GROUP` = no group. */
  readonly buckets: number;
  readonly hops: readonly FormHop[];
}

export const NO_GROUP = -1;
export const PLAIN: RouteForm = {
  ...{ type: RTN_UNICAST, tos: 0, source: undefined },
  ...{ by: 'hops', buckets: NO_GROUP, hops: [] },
};

/** Of a route with hops of its own, or with none. */
export function formOf(route: RouteMessage): RouteForm {
  const { type, tos, prefSrc, prefSrcLength, nexthopId } = route;
  const source = prefSrcLength ? prefSrc.slice(0, prefSrcLength) : undefined;
  const base = { ...PLAIN, type, tos, source };
  if (nexthopId !== 0 || type !== RTN_UNICAST) return base;
  if (route.hops.length === 0) {
    const { gatewayFamily: family, gateway: bytes, interfaceIndex, flags } = route;
    return { ...base, hops: [hop({ family, bytes, interfaceIndex, onlink: isOnlink(flags) }, 1)] };
  }
  const hops = route.hops.map(({ gatewayFamily, gateway, interfaceIndex, weight, flags }) =>
    hop({ family: gatewayFamily, bytes: gateway, interfaceIndex, onlink: isOnlink(flags) }, weight),
  );
  return { ...base, hops };
}

/** The same for what does the same. */
export function keyOfForm({ type, tos, source, by, buckets, hops }: RouteForm): string {
  const texts = inProportion(hops).map(
    ({ family, bytes, interfaceIndex, onlink, weight }) =>
      `${family}/${bytes?.join('.') ?? ''}/${interfaceIndex}/${onlink}*${weight}`,
  );
  return [type, tos, source?.join('.') ?? '', by, buckets, ...texts.sort()].join(' ');
}

export function hop({ family, bytes, interfaceIndex, onlink }: Gateway, weight: number): FormHop {
  const length = family === AF_INET ? 4 : 16;
  return { family, bytes: family === 0 ? undefined : bytes.slice(0, length), interfaceIndex, onlink, weight };
}

export function hopOf({ family, gateway, interfaceIndex, flags }: NexthopMessage, weight: number): FormHop {
  return { family: gateway ? family : 0, bytes: gateway, interfaceIndex, onlink: isOnlink(flags), weight };
}

function isOnlink(flags: number): boolean {
  return (flags & RTNH_F_ONLINK) !== 0;
}
