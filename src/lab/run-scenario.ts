/** One scenario from beginning to end: build, start, wait for the routes, measure, report. */
import { systemClock } from '../support/clock.js';
import type { Network } from './network.js';
import { probe } from './probe.js';
import { fault, printCommand, printFindings, progress, type Finding, type Print } from './report.js';
import { hostAddress, subnetAddresses, type ScenarioPlan, type SitePlan } from './scenarios.js';
import { addSecondSegment, addSite, pairs, untilRouted, type Site } from './site.js';

/** Also covers a machine far slower than any seen; a working lab needs a second or two. */
const ROUTES_TIMEOUT_MS = 60_000;

export interface RunOptions {
  readonly network: Network;
  readonly plan: ScenarioPlan;
  readonly versions: readonly (4 | 6)[];
  readonly print: Print;
  readonly signal: AbortSignal;
  /** Told of every site as soon as there is one, so that a failure can be looked into. */
  readonly onSite: (site: Site) => void;
}

/** Resolves with whether every ping was answered as it should be. */
export async function runScenario(options: RunOptions): Promise<boolean> {
  const { network, plan, versions, print } = options;
  const startMs = systemClock.nowMs();
  const say = (text: string) => {
    if (!options.signal.aborted) progress(print, systemClock.nowMs() - startMs, text);
  };
  print(`\n== ${plan.title}\n\n`);

  const segment = await network.addSegment('lan');
  const behind = await addSecondSegment(network, segment, plan, versions);
  const build = async (site: SitePlan): Promise<Site> => {
    const built = await addSite(network, segment, site, { versions, behind, signal: options.signal });
    options.onSite(built);
    const containers = site.subnet === undefined ? '' : `, containers in ${subnetAddresses(site.subnet, 4).prefix}`;
    say(`${site.name}: ${versions.map((version) => hostAddress(site, version)).join(', ')}${containers}`);
    return built;
  };
  const routers = await eachOf(plan.routers, build);
  const hosts = await eachOf(plan.hosts, build);

  await eachOf(routers, (site) => site.node.start());
  await eachOf(hosts, (site) => site.node.start());
  say(`tortied runs on ${names([...routers, ...hosts])}`);
  await untilRouted(plan, hosts, versions, ROUTES_TIMEOUT_MS);
  say(`${names(hosts)} have each other's routes in their kernels`);

  for (const latecomer of plan.latecomers) {
    const site = await build(latecomer);
    hosts.push(site);
    await site.node.start();
    await untilRouted(plan, hosts, versions, ROUTES_TIMEOUT_MS);
    say(`${latecomer.name} has joined; nothing was changed on ${names(routers.concat(hosts.slice(0, -1)))}`);
  }

  const findings = await measure(hosts, versions);
  say('pings sent between all containers');
  await report(options, hosts, findings);
  const wrong = findings.filter((finding) => fault(plan, finding) !== undefined).length;
  print(`\n${wrong === 0 ? 'Every ping answered.' : `${wrong} of ${findings.length} pings FAILED.`}\n`);
  return wrong === 0;
}

async function measure(hosts: readonly Site[], versions: readonly (4 | 6)[]): Promise<Finding[]> {
  const perHost = await eachOf(hosts, async (from) => {
    const targets = pairs(hosts)
      .filter(([source]) => source === from)
      .flatMap(([, to]) => versions.map((version) => ({ to, version })));
    const address = (site: Site, version: 4 | 6) => subnetAddresses(site.plan.subnet!, version).container;
    const results = await probe(
      from.container!,
      targets.map(({ to, version }) => address(to, version)),
    );
    return results.map((result, i): Finding => {
      const { to, version } = targets[i]!;
      return { from, to, source: address(from, version), result };
    });
  });
  return perHost.flat();
}

async function report(options: RunOptions, hosts: readonly Site[], findings: readonly Finding[]): Promise<void> {
  const { network, plan, versions, print } = options;
  for (const { plan: host, node } of hosts) {
    printCommand(print, host.name, 'ip route', await network.ip(node.host.namespace, 'route'));
    if (!versions.includes(6)) continue;
    const routes = await network.ip(node.host.namespace, '-6', 'route', 'show', 'proto', 'bgp');
    printCommand(print, host.name, 'ip -6 route show proto bgp', routes);
  }
  printFindings(print, plan, findings);
  const first = hosts[0]!;
  for (const verb of ['routes', 'peers']) {
    printCommand(print, first.plan.name, `bgpctl show ${verb}`, await first.node.bgpctl('show', verb));
  }
}

/** `Promise.all` that waits for the others when one fails: nobody is left working on what is being removed. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = await Promise.allSettled(items.map(work));
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason as Error;
    return result.value;
  });
}

function names(sites: readonly Site[]): string {
  const all = sites.map((site) => site.plan.name);
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)!}`;
}
