/**
 * The lab's scenarios as data: which hosts there are, what each one's `tortied` is told, and what must come of it.
 *
 * Hosts stand on one Ethernet segment, 192.168.245.0/24 and fd00:245::/64, with interface ens33; in one scenario some
 * stand on a second one, 10.9.0.0/24 and fd00:9::/64, behind a router (.254) that knows nothing of BGP. A host with
 * containers has the bridge br0 with 172.S.0.1/24 and fd00:S::1/64, S being its subnet number, and one container .2.
 */

/** IP version the BGP sessions run over. Both families' routes are exchanged either way. */
export type Transport = 4 | 6;

export interface SitePlan {
  /** As shown to people; in lower case part of the namespace's name. */
  readonly name: string;
  /** Last part of the host's addresses. */
  readonly host: number;
  /** Ethernet segment it stands on; default the first. */
  readonly lan?: 1 | 2;
  /** Number of the container subnet; undefined = no containers. */
  readonly subnet: number | undefined;
  readonly forwarding: boolean;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface ScenarioPlan {
  readonly name: string;
  readonly title: string;
  /** Started first and waited for: those the hosts dial. */
  readonly routers: readonly SitePlan[];
  readonly hosts: readonly SitePlan[];
  /** Started when all hosts have each other's routes; nothing is changed anywhere for it. */
  readonly latecomers: readonly SitePlan[];
  /** Who the routes to a host's containers must point at: the host itself, or this router. */
  readonly via: 'owner' | SitePlan;
  /** TTL of an echo reply between containers: 64 less one for every router on the way. */
  readonly replyTtl: number;
}

export const SCENARIO_NAMES = ['two-hosts', 'route-reflector', 'gateway', 'two-subnets'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

/** What `npm run lab` shows. */
export const DEFAULT_SCENARIOS: readonly ScenarioName[] = ['two-hosts', 'route-reflector'];

export function hostAddress(site: { readonly host: number; readonly lan?: 1 | 2 }, version: 4 | 6): string {
  if (site.lan === 2) return version === 4 ? `10.9.0.${site.host}` : `fd00:9::${site.host}`;
  return version === 4 ? `192.168.245.${site.host}` : `fd00:245::${site.host}`;
}

/** Of the router between the segments. */
export const ROUTER_HOST = 254;

/** The container subnet, the bridge's address in it and the container's. */
export function subnetAddresses(
  subnet: number,
  version: 4 | 6,
): { prefix: string; gateway: string; container: string } {
  return version === 4
    ? { prefix: `172.${subnet}.0.0/24`, gateway: `172.${subnet}.0.1`, container: `172.${subnet}.0.2` }
    : { prefix: `fd00:${subnet}::/64`, gateway: `fd00:${subnet}::1`, container: `fd00:${subnet}::2` };
}

export function scenario(name: ScenarioName, transport: Transport = 4): ScenarioPlan {
  return { 'two-hosts': twoHosts, 'route-reflector': routeReflector, gateway, 'two-subnets': twoSubnets }[name](
    transport,
  );
}

const BRIDGE_NETWORKS = [{ interface: 'br0' }];

function host(name: string, number: number, subnet: number, config: Record<string, unknown>): SitePlan {
  return { name, host: number, subnet, forwarding: true, config: { ...config, networks: BRIDGE_NETWORKS } };
}

function twoHosts(transport: Transport): ScenarioPlan {
  const peer = (number: number) => ({ address: hostAddress({ host: number }, transport), asn: 64512 });
  return {
    name: 'two-hosts',
    title: 'Two hosts, each with a container bridge, peering with each other',
    routers: [],
    hosts: [
      host('Node-1', 168, 17, { asn: 64512, peers: [peer(172)] }),
      host('Node-2', 172, 18, { asn: 64512, peers: [peer(168)] }),
    ],
    latecomers: [],
    via: 'owner',
    replyTtl: 62,
  };
}

function routeReflector(transport: Transport): ScenarioPlan {
  const reflector: SitePlan = {
    name: 'Reflector',
    host: 10,
    subnet: undefined,
    forwarding: false,
    config: {
      asn: 64512,
      groups: { nodes: { asn: 64512, routeReflectorClient: true } },
      listenRanges: [{ prefix: transport === 4 ? '192.168.245.0/24' : 'fd00:245::/64', group: 'nodes' }],
      fib: { enabled: false },
    },
  };
  const config = { asn: 64512, peers: [{ address: hostAddress(reflector, transport), asn: 64512 }] };
  return {
    name: 'route-reflector',
    title: 'Three hosts that peer only with a route reflector; the third joins later',
    routers: [reflector],
    hosts: [host('Node-1', 168, 17, config), host('Node-2', 172, 18, config)],
    latecomers: [host('Node-3', 176, 19, config)],
    via: 'owner',
    replyTtl: 62,
  };
}

function gateway(transport: Transport): ScenarioPlan {
  // RFC 8212: nothing passes an eBGP session until policies are named.
  const open = { import: 'accept', export: 'accept' };
  const router: SitePlan = {
    name: 'Gateway',
    host: 1,
    subnet: undefined,
    forwarding: true,
    config: {
      asn: 64500,
      groups: { hosts: { asn: 'external', nextHopSelf: true, ...open } },
      listenRanges: [{ prefix: transport === 4 ? '192.168.245.0/24' : 'fd00:245::/64', group: 'hosts' }],
    },
  };
  const peers = [{ address: hostAddress(router, transport), asn: 64500, ...open }];
  return {
    name: 'gateway',
    title: "Two hosts that peer only with the LAN's gateway, which routes between them",
    routers: [router],
    // Each host has an AS of its own: a host refuses routes whose AS_PATH holds its own AS.
    hosts: [host('Node-1', 168, 17, { asn: 64513, peers }), host('Node-2', 172, 18, { asn: 64514, peers })],
    latecomers: [],
    via: router,
    replyTtl: 61,
  };
}

function twoSubnets(transport: Transport): ScenarioPlan {
  const places = [
    { name: 'Node-1', host: 168, subnet: 17 },
    { name: 'Node-2', host: 172, subnet: 18 },
    { name: 'Node-3', host: 176, subnet: 19, lan: 2 as const },
  ];
  const hosts = places.map((place) => {
    const others = places.filter((other) => other !== place);
    const peers = others.map((other) => ({ address: hostAddress(other, transport), asn: 64512 }));
    const config = { asn: 64512, networks: BRIDGE_NETWORKS, peers, encapsulation: { mode: 'vxlan' } };
    return { ...place, forwarding: true, config };
  });
  return {
    name: 'two-subnets',
    title: 'Two hosts on one segment, a third behind a router that knows nothing of containers: VXLAN where needed',
    routers: [],
    hosts,
    latecomers: [],
    via: 'owner',
    replyTtl: 62,
  };
}
