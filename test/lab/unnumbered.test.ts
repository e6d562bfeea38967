/**
 * Peers on a link without addresses: found by interface alone, or named by their link-local address; IPv4 routes go via
 * IPv6 next hops (RFC 8950), and packets of both families follow them from container to container.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import { build, config, connect, linkLocal, reach, untilRouted, type Side } from './cable-fixture.js';
import { cannotRunLab, testNetwork } from './lab-fixture.js';

const EXAMPLES = new URL('../../../examples/unnumbered/', import.meta.url);
const example = (file: string) => readFileSync(new URL(file, EXAMPLES), 'utf8');
const skip = cannotRunLab();
const WAIT_MS = 20_000;

t.test('interface alone: the neighbour is found, and found again', { skip }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [one, two] = sides as [Side, Side];
  // As in the examples.
  for (const [index, { node }] of sides.entries()) await node.configure(example(`node-${index + 1}.yaml`));
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
