/**
 * Peers on a link without addresses: found by interface alone, or named by their link-local address; IPv4 routes go via
 * IPv6 next hops (RFC 8950), and packets of both families follow them from container to container.
 */
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import type { Container, Host, Network } from '../../src/lab/network.js';
import { LabNode } from '../../src/lab/node.js';
import { probe, startWitness } from '../../src/lab/probe.js';
import { subnetAddresses } from '../../src/lab/scenarios.js';
import { cannotRunLab, testNetwork } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;

interface Side {
  readonly host: Host;
  readonly container: Container;
  readonly subnet: number;
  node: LabNode;
}

const keys = { import: 'accept', export: 'accept' };

function config(number: number, peer: object, port = {}): Record<string, unknown> {
  return {
    asn: 64512 + number,
    routerId: `10.255.0.${number}`,
    networks: [{ interface: 'br0' }],
    peers: [{ ...keys, asn: 'external', ...peer }],
    ...port,
  };
}

async function connect(network: Network, sides: readonly Side[]): Promise<void> {
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

async function linkLocal(network: Network, side: Side): Promise<string> {
  const text = await network.ip(side.host.namespace, '-6', 'addr', 'show', 'dev', 'eth1');
  return /inet6 (fe80::\S+)\//.exec(text)![1]!;
}

/** Two hosts with containers, and between them a cable with nothing configured on it. */
async function build(network: Network, watch: LabNode[]): Promise<Side[]> {
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

async function untilRouted(network: Network, from: Side, to: Side): Promise<void> {
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

async function reach(t: Tap, from: Side, to: Side): Promise<void> {
  for (const version of [4, 6] as const) {
    const target = subnetAddresses(to.subnet, version).container;
    const [result] = await probe(from.container, [target]);
    const source = subnetAddresses(from.subnet, version).container;
    t.match(result, { reply: { from: target, ttl: 62 }, seenAs: source }, `${source} -> ${target}`);
  }
}

interface Tap {
  match(found: unknown, pattern: object, message: string): boolean;
}

t.test('interface alone: the neighbour is found, and found again', { skip }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [one, two] = sides as [Side, Side];
  // Before there is such an interface.
  await one.node.start();
  t.match(await one.node.query<PeerDto>('show', 'peer', '%eth1'), {
    address: '%eth1',
    state: 'Idle',
    notes: [/nobody has been heard on eth1 yet/],
  });
  await connect(network, sides);
  await two.node.start();
  await Promise.all([untilRouted(network, one, two), untilRouted(network, two, one)]);
  await reach(t, one, two);
  await reach(t, two, one);
  const peer = await one.node.query<PeerDto>('show', 'peer', '%eth1');
  t.match(peer, { address: `${await linkLocal(network, two)}%eth1`, state: 'Established', asn: 64514, received: 2 });
  t.equal((await one.node.query<PeerDto[]>('show', 'peers')).length, 1);

  await t.test('another cable, other addresses', async (t) => {
    await network.ip(one.host.namespace, 'link', 'del', 'eth1');
    await connect(network, sides);
    await Promise.all([untilRouted(network, one, two), untilRouted(network, two, one)]);
    await reach(t, one, two);
  });

  await t.test('a reload removes and adds it', async () => {
    await one.node.configure({ ...config(1, {}), peers: [] });
    one.node.reload();
    await one.node.until('no peers', WAIT_MS, async () =>
      (await one.node.query<PeerDto[]>('show', 'peers')).length === 0 ? true : undefined,
    );
    await one.node.configure(config(1, { interface: 'eth1', description: 'back' }));
    one.node.reload();
    await untilRouted(network, one, two);
  });
});

t.test('link-local addresses given', { skip }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [one, two] = sides as [Side, Side];
  await connect(network, sides);
  for (const [index, side] of sides.entries()) {
    const address = await linkLocal(network, sides[1 - index]!);
    await side.node.configure(config(index + 1, { address, interface: 'eth1', extendedNextHop: true }));
    await side.node.start();
  }
  await Promise.all([untilRouted(network, one, two), untilRouted(network, two, one)]);
  await reach(t, one, two);
  await reach(t, two, one);
});
