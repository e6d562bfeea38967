/** Two hosts with containers and between them a cable with nothing configured on it, for tests of unnumbered peers. */
import type { Container, Host, Network } from '../../src/lab/network.js';
import { LabNode } from '../../src/lab/node.js';
import { probe, startWitness } from '../../src/lab/probe.js';
import { subnetAddresses } from '../../src/lab/scenarios.js';

const WAIT_MS = 20_000;

export interface Side {
  readonly host: Host;
  readonly container: Container;
  readonly subnet: number;
  node: LabNode;
}

const keys = { import: 'accept', export: 'accept' };

export function config(number: number, peer: object, port = {}): Record<string, unknown> {
  return {
    asn: 64512 + number,
    routerId: `10.255.0.${number}`,
    networks: [{ interface: 'br0' }],
    peers: [{ ...keys, asn: 'external', ...peer }],
    ...port,
  };
}

export async function connect(network: Network, sides: readonly Side[]): Promise<void> {
  const [one, two] = sides as [Side, Side];
  await network.ip(
    one.host.namespace,
    'link',
    'add',
    'eth1',
    'type',
    'veth',
    'peer',
    'eth1',
    'netns',
    two.host.namespace,
  );
  for (const { host } of sides) await network.ip(host.namespace, 'link', 'set', 'eth1', 'up');
}

export async function linkLocal(network: Network, side: Side): Promise<string> {
  const text = await network.ip(side.host.namespace, '-6', 'addr', 'show', 'dev', 'eth1');
  return /inet6 (fe80::\S+)\//.exec(text)![1]!;
}

/** Two hosts with containers, and between them a cable with nothing configured on it. */
export async function build(network: Network, watch: LabNode[]): Promise<Side[]> {
  const sides: Side[] = [];
  for (const number of [1, 2]) {
    const name = `node-${number}`;
    const namespace = await network.addNamespace(name, { forwarding: true });
    const host: Host = { name, namespace, interface: 'eth1' };
    const subnet = 16 + number;
    const parts = ([4, 6] as const).map((version) => ({
      ...subnetAddresses(subnet, version),
      bits: version === 4 ? 24 : 64,
    }));
    await network.addBridge(
      host,
      'br0',
      parts.map(({ gateway, bits }) => `${gateway}/${bits}`),
    );
    const container = await network.addContainer(host, {
      name: `c-${name}`,
      bridge: 'br0',
      addresses: parts.map((part) => `${part.container}/${part.bits}`),
      gateways: parts.map((part) => part.gateway),
    });
    await startWitness(container);
    const node = await LabNode.create(network, host, config(number, { interface: 'eth1' }));
    watch.push(node);
    sides.push({ host, container, subnet, node });
  }
  return sides;
}

export async function untilRouted(network: Network, from: Side, to: Side): Promise<void> {
  const via = await linkLocal(network, to);
  await from.node.until(`routes of ${from.host.name}`, WAIT_MS, async () => {
    const routes =
      (await network.ip(from.host.namespace, 'route')) + (await network.ip(from.host.namespace, '-6', 'route'));
    const plain = routes.replaceAll(/ nhid \d+/g, '');
    const has = (text: string) => plain.includes(`${text} dev eth1 proto bgp metric 20`);
    return has(`${subnetAddresses(to.subnet, 4).prefix} via inet6 ${via}`) &&
      has(`${subnetAddresses(to.subnet, 6).prefix} via ${via}`)
      ? true
      : undefined;
  });
}

export async function reach(t: Tap, from: Side, to: Side): Promise<void> {
  for (const version of [4, 6] as const) {
    const target = subnetAddresses(to.subnet, version).container;
    const [result] = await probe(from.container, [target]);
    const source = subnetAddresses(from.subnet, version).container;
    t.match(result, { reply: { from: target, ttl: 62 }, seenAs: source }, `${source} -> ${target}`);
  }
}

export interface Tap {
  match(found: unknown, pattern: object, message: string): boolean;
}
