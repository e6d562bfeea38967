/**
 * `npm run lab -- compare`: what one TCP stream between containers of two hosts carries when the hosts route plainly,
 * when everything goes through VXLAN, and when both containers stand on one bridged Ethernet segment. Says what this
 * machine says and judges nothing.
 *
 * All hosts share the machine's processors, so the figures are about work per packet. Between namespaces the kernel
 * passes segments of 64 KB whole, as no wire does; so there is a second measurement with packets as large as on a wire.
 */
import { systemClock } from '../support/clock.js';
import type { Container, Network } from './network.js';
import { progress, type Print } from './report.js';
import { scenario, subnetAddresses } from './scenarios.js';
import { addSite, untilRouted, type Site } from './site.js';
import { throughput } from './throughput.js';

const ROUTES_TIMEOUT_MS = 60_000;
/** Each set-up is measured so often, and the best shown: what disturbs a measurement only slows it down. */
const ROUNDS = 2;

export interface CompareOptions {
  readonly network: Network;
  readonly print: Print;
  readonly signal: AbortSignal;
  readonly seconds: number;
  readonly onSite: (site: Site) => void;
}

interface Setup {
  readonly name: string;
  readonly from: Container;
  readonly to: Container;
  readonly address: string;
}

/** What is set on the sender's interface. */
const MANNERS = [
  { name: 'segments of 64 KB', link: ['gso_max_segs', '65535'] },
  { name: 'packet by packet', link: ['gso_max_segs', '1'] },
] as const;

/** Builds the three set-ups beside each other, measures in turns, prints the figures. */
export async function compare(options: CompareOptions): Promise<boolean> {
  const { network, print, seconds, signal } = options;
  const startMs = systemClock.nowMs();
  const say = (text: string) => {
    if (!signal.aborted) progress(print, systemClock.nowMs() - startMs, text);
  };
  print('\n== One TCP stream from container to container: plain routing, VXLAN, and a bridged segment\n\n');
  const setups = [await routed(options, 'plain'), await routed(options, 'vxlan'), await bridged(options)];
  say(`${setups.length} networks stand; measuring ${ROUNDS} times ${seconds} s each, in two ways`);
  const best = setups.map(() => MANNERS.map(() => 0));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [column, manner] of MANNERS.entries()) {
      for (const [row, { name, from, to, address }] of setups.entries()) {
        if (signal.aborted) return false;
        await network.ip(from.namespace, 'link', 'set', 'eth0', ...manner.link);
        const gigabits = await throughput(from, to, address, seconds);
        best[row]![column] = Math.max(best[row]![column]!, gigabits);
        say(`${name}, ${manner.name}: ${gigabits.toFixed(2)} Gbit/s`);
      }
    }
  }
  print(`\n${''.padEnd(17)}${MANNERS.map(({ name }) => name.padStart(28)).join('')}\n`);
  for (const [row, { name }] of setups.entries()) {
    const cells = MANNERS.map((_, column) => {
      const [gigabits, plain] = [best[row]![column]!, best[0]![column]!];
      return `${gigabits.toFixed(2)} Gbit/s, ${((gigabits / plain) * 100).toFixed(0)} %`.padStart(28);
    });
    print(`${name.padEnd(17)}${cells.join('')}\n`);
  }
  print('\nPer cent of plain routing; the best of all rounds counts.\n');
  return best.flat().every((gigabits) => gigabits > 0);
}

/** Two hosts with a `tortied` each. */
async function routed(options: CompareOptions, how: 'plain' | 'vxlan'): Promise<Setup> {
  const { network, signal } = options;
  const segment = await network.addSegment(how);
  const plan = scenario('two-hosts');
  const sites: Site[] = [];
  for (const site of plan.hosts) {
    const encapsulation = { mode: 'vxlan', when: how === 'vxlan' ? 'always' : 'never' };
    const built = await addSite(
      network,
      segment,
      { ...site, name: `${how}-${site.subnet}` },
      {
        versions: [4],
        config: { ...site.config, encapsulation },
        signal,
      },
    );
    sites.push(built);
    options.onSite(built);
  }
  await Promise.all(sites.map(({ node }) => node.start()));
  await untilRouted(plan, sites, [4], ROUTES_TIMEOUT_MS);
  const [from, to] = sites as [Site, Site];
  const address = subnetAddresses(to.plan.subnet!, 4).container;
  return { name: how === 'plain' ? 'plain routing' : 'VXLAN', from: from.container!, to: to.container!, address };
}

/** Two hosts that only bridge: the containers stand on the hosts' own segment. */
async function bridged({ network }: CompareOptions): Promise<Setup> {
  const segment = await network.addSegment('l2');
  const containers: Container[] = [];
  for (const number of [1, 2]) {
    const host = await network.addHost({
      name: `l2-${number}`,
      segment,
      interface: 'ens33',
      addresses: [],
      forwarding: false,
    });
    await network.addBridge(host, 'br0', []);
    await network.ip(host.namespace, 'link', 'set', 'ens33', 'master', 'br0');
    const options = { name: `c-l2-${number}`, bridge: 'br0', addresses: [`172.21.0.${number}/24`], gateways: [] };
    containers.push(await network.addContainer(host, options));
  }
  const [from, to] = containers as [Container, Container];
  return { name: 'bridged segment', from, to, address: '172.21.0.2' };
}
