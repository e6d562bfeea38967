/** A host of a scenario in its network: namespaces, bridge, container and the daemon, ready to be started. */
import { startWitness } from './probe.js';
import type { Container, Network, Segment } from './network.js';
import { LabNode, type ExpectedRoute, type NodeConfig } from './node.js';
import { ROUTER_HOST, hostAddress, subnetAddresses, type ScenarioPlan, type SitePlan } from './scenarios.js';

export interface Site {
  readonly plan: SitePlan;
  readonly node: LabNode;
  /** undefined = a router without containers. */
  readonly container: Container | undefined;
}

export interface SiteOptions {
  /** IP versions to give addresses of; default both. */
  readonly versions?: readonly (4 | 6)[];
  /** The second segment, with a router to it. */
  readonly behind?: Segment | undefined;
  /** Instead of the plan's. */
  readonly config?: NodeConfig;
  readonly signal?: AbortSignal | undefined;
}

export const BOTH_VERSIONS = [4, 6] as const;

/** Builds the site; its daemon is not started yet, its container answers pings and witnesses. */
export async function addSite(
  network: Network,
  segment: Segment,
  plan: SitePlan,
  options: SiteOptions = {},
): Promise<Site> {
  const versions = options.versions ?? BOTH_VERSIONS;
  const name = plan.name.toLowerCase();
  const host = await network.addHost({
    name,
    segment: plan.lan === 2 && options.behind ? options.behind : segment,
    interface: 'ens33',
    addresses: versions.map((version) => `${hostAddress(plan, version)}/${version === 4 ? 24 : 64}`),
    forwarding: plan.forwarding,
    gateways: options.behind ? versions.map((version) => hostAddress({ ...plan, host: ROUTER_HOST }, version)) : [],
  });
  const container = plan.subnet === undefined ? undefined : await addContainer(network, host, plan.subnet, versions);
  const node = await LabNode.create(network, host, options.config ?? plan.config, options.signal);
  return { plan, node, container };
}

/** The segment behind a plain router, and the router, where the scenario has hosts there. */
export async function addSecondSegment(
  network: Network,
  first: Segment,
  plan: ScenarioPlan,
  versions: readonly (4 | 6)[],
): Promise<Segment | undefined> {
  if (![...plan.routers, ...plan.hosts, ...plan.latecomers].some((site) => site.lan === 2)) return undefined;
  const second = await network.addSegment('lan-2');
  const addresses = (lan: 1 | 2) =>
    versions.map((version) => `${hostAddress({ host: ROUTER_HOST, lan }, version)}/${version === 4 ? 24 : 64}`);
  await network.addRouter('router', [
    { segment: first, addresses: addresses(1) },
    { segment: second, addresses: addresses(2) },
  ]);
  return second;
}

async function addContainer(
  network: Network,
  host: { readonly name: string; readonly namespace: string; readonly interface: string },
  subnet: number,
  versions: readonly (4 | 6)[],
): Promise<Container> {
  const parts = versions.map((version) => ({ ...subnetAddresses(subnet, version), bits: version === 4 ? 24 : 64 }));
  await network.addBridge(
    host,
    'br0',
    parts.map((part) => `${part.gateway}/${part.bits}`),
  );
  const container = await network.addContainer(host, {
    name: `c-${host.name}`,
    bridge: 'br0',
    addresses: parts.map((part) => `${part.container}/${part.bits}`),
    gateways: parts.map((part) => part.gateway),
  });
  await startWitness(container);
  return container;
}

/** Ordered pairs of sites with containers: who must reach whom. */
export function pairs(sites: readonly Site[]): [Site, Site][] {
  const hosts = sites.filter((site) => site.container !== undefined);
  return hosts.flatMap((from) => hosts.filter((to) => to !== from).map((to): [Site, Site] => [from, to]));
}

/** What a site's kernel must hold: the routes to every other site's containers, pointing where the plan says. */
export function expectedRoutes(
  plan: ScenarioPlan,
  site: Site,
  sites: readonly Site[],
  versions: readonly (4 | 6)[],
): ExpectedRoute[] {
  return pairs(sites)
    .filter(([from]) => from === site)
    .flatMap(([, to]) =>
      versions.map((version) => ({
        prefix: subnetAddresses(to.plan.subnet!, version).prefix,
        gateway: hostAddress(plan.via === 'owner' ? to.plan : plan.via, version),
      })),
    );
}

/** Waits until every host of the scenario has the routes to all the others' containers in its kernel. */
export async function untilRouted(
  plan: ScenarioPlan,
  sites: readonly Site[],
  versions: readonly (4 | 6)[],
  timeoutMs: number,
): Promise<void> {
  const hosts = sites.filter((site) => site.container !== undefined);
  const waits = hosts.map((site) => site.node.untilRoutes(expectedRoutes(plan, site, hosts, versions), timeoutMs));
  // All are waited for, also when one fails, so that nobody works on a network that is being removed.
  const failed = (await Promise.allSettled(waits)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason as Error;
}
