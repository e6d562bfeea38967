/** `advertise: whenInstalled` with real kernels: peers hear of a route when it is in the kernel of the node between. */
import t from 'tap';
import type { FibRowDto, PeerDto } from '../../src/control/dto.js';
import { Network } from '../../src/lab/network.js';
import { LabNode } from '../../src/lab/node.js';
import { cannotRunLab, untilReady } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;
const PREFIX = '10.61.0.0/24';
const accept = { import: 'accept', export: 'accept' };

t.test('a route that somebody else keeps out of the kernel is not passed on', { skip }, async (t) => {
  const network = await Network.create({ ownerPid: process.pid });
  t.teardown(() => network.close());
  const segment = await network.addSegment('lan');
  const add = async (name: string, octet: number, config: object): Promise<LabNode> => {
    const addresses = [`192.168.245.${octet}/24`];
    const host = await network.addHost({ name, segment, interface: 'ens33', addresses, forwarding: true });
    return LabNode.create(network, host, { ...config });
  };
  const between = (advertise: string): object => ({
    asn: 64602,
    advertise,
    peers: [
      { address: '192.168.245.1', asn: 64601, ...accept },
      { address: '192.168.245.3', asn: 64603, ...accept, nextHopSelf: true },
    ],
  });
  const source = await add('source', 1, {
    asn: 64601,
    networks: [{ prefix: PREFIX }],
    peers: [{ address: '192.168.245.2', asn: 64602, ...accept }],
  });
  const node = await add('node', 2, between('whenInstalled'));
  const receiver = await add('receiver', 3, {
    asn: 64603,
    peers: [{ address: '192.168.245.2', asn: 64602, ...accept }],
  });
  const block = ['route', 'add', PREFIX, 'via', '192.168.245.9', 'proto', 'static'];
  await network.ip(node.host.namespace, ...block);
  await Promise.all([source.start(), node.start(), receiver.start()]);
  await untilReady(node, WAIT_MS);
  const row = async (state: string): Promise<void> => {
    await node.until(`${PREFIX} ${state}`, WAIT_MS, async () => {
      const [found] = await node.query<FibRowDto[]>('show', 'fib');
      return found?.state === state ? true : undefined;
    });
  };
  const advertised = async (): Promise<number> =>
    (await node.query<PeerDto>('show', 'peer', '192.168.245.3')).advertised ?? 0;

  await row('failed');
  await node.until('the receiver to be there', WAIT_MS, async () => {
    const peer = await node.query<PeerDto>('show', 'peer', '192.168.245.3');
    return peer.state === 'Established' ? true : undefined;
  });
  t.equal(await advertised(), 0, 'blocked: not advertised');
  await receiver.untilRoute(PREFIX, undefined, WAIT_MS);

  await network.ip(node.host.namespace, 'route', 'del', PREFIX, 'proto', 'static');
  await row('installed');
  await receiver.untilRoute(PREFIX, '192.168.245.2', WAIT_MS);
  t.equal(await advertised(), 1, 'installed: advertised');

  await network.ip(node.host.namespace, ...block);
  await row('failed');
  await receiver.untilRoute(PREFIX, undefined, WAIT_MS);
  t.equal(await advertised(), 0, 'blocked again: withdrawn');

  await node.configure(between('always') as Record<string, unknown>);
  node.reload();
  await receiver.untilRoute(PREFIX, '192.168.245.2', WAIT_MS);
  t.equal(await advertised(), 1, 'switched off: advertised all the same');
});
