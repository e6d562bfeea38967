/**
 * What `ip -j route` says, made whole: with `net.ipv4.nexthop_compat_mode` 0 the kernel names a route's nexthop object and
 * nothing else, and where it leads stands in `ip -j nexthop`. Pure.
 */

export interface KernelHop {
  readonly gateway?: string;
  readonly dev?: string;
  readonly weight?: number;
}

/** One line of `ip -j route`, as far as anybody looks at it. */
export interface KernelRoute extends KernelHop {
  readonly dst: string;
  readonly protocol?: string;
  readonly metric?: number;
  /** Of the nexthop object that it points at. */
  readonly nhid?: number;
  /** An IPv4 route through an IPv6 gateway. */
  readonly via?: { readonly family: string; readonly host: string };
  readonly nexthops?: readonly KernelHop[];
}

/** One line of `ip -j nexthop`. */
export interface KernelNexthop {
  readonly id: number;
  readonly gateway?: string;
  readonly dev?: string;
  readonly group?: readonly { readonly id: number; readonly weight?: number }[];
}

/** Whether `ip -j nexthop` has to be asked. */
export function hidesNexthops(routes: readonly KernelRoute[]): boolean {
  return routes.some(isHidden);
}

/** The same routes with gateways and devices, as the kernel itself tells them in its other mode. */
export function withNexthops(routes: readonly KernelRoute[], nexthops: readonly KernelNexthop[]): KernelRoute[] {
  const byId = new Map(nexthops.map((each) => [each.id, each]));
  const hop = (id: number): KernelHop => {
    const { gateway, dev } = byId.get(id) ?? {};
    return { ...(gateway !== undefined && { gateway }), ...(dev !== undefined && { dev }) };
  };
  return routes.map((route) => {
    if (!isHidden(route)) return route;
    const group = byId.get(route.nhid!)?.group;
    if (group) return { ...route, nexthops: group.map(({ id, weight = 1 }) => ({ ...hop(id), weight })) };
    const { gateway, dev } = hop(route.nhid!);
    if (gateway === undefined) return { ...route, ...(dev !== undefined && { dev }) };
    const mixed = gateway.includes(':') && !route.dst.includes(':');
    return { ...route, ...(mixed ? { via: { family: 'inet6', host: gateway } } : { gateway }), ...(dev && { dev }) };
  });
}

function isHidden({ nhid, gateway, dev, via, nexthops }: KernelRoute): boolean {
  return nhid !== undefined && gateway === undefined && dev === undefined && !via && !nexthops;
}
