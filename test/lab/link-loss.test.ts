/**
 * Loss of link ends the session with a directly connected external peer long before its hold time, and a link that is
 * back brings it up again at once; an internal session stays. Times are reported, not asserted.
 */
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import { Network } from '../../src/lab/network.js';
import { LabNode } from '../../src/lab/node.js';
import { cannotRunLab, seconds, untilEstablished, untilReady } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;

t.test('an external session goes and comes with its link, an internal one stays', { skip }, async (t) => {
  const network = await Network.create({ ownerPid: process.pid });
  t.teardown(() => network.close());
  const segments = { internal: await network.addSegment('lan'), external: await network.addSegment('wan') };
  const add = async (name: string, octet: number, asn: number, segment: keyof typeof segments, config: object) => {
    const host = await network.addHost({
      name,
      segment: segments[segment],
      interface: 'ens33',
      addresses: [`192.168.245.${octet}/24`],
      forwarding: true,
    });
    return LabNode.create(network, host, { asn, ...config });
  };
  const accept = { import: 'accept', export: 'accept' };
  const node = await add('node', 168, 64512, 'internal', {
    peers: [
      { address: '192.168.245.172', asn: 64512 },
      { address: '192.168.246.1', asn: 64600, ...accept },
    ],
  });
  await network.sh(
    node.host.namespace,
    `ip link add ens34 type veth peer name node2 netns ${segments.external.namespace} && ` +
      'ip addr add 192.168.246.168/24 dev ens34 && ip link set ens34 up && ' +
      `ip -n ${segments.external.namespace} link set node2 master lan0 up`,
  );
  const inside = await add('inside', 172, 64512, 'internal', { peers: [{ address: '192.168.245.168', asn: 64512 }] });
  const outsideHost = await network.addHost({
    name: 'outside',
    segment: segments.external,
    interface: 'ens33',
    addresses: ['192.168.246.1/24'],
    forwarding: true,
  });
  const outside = await LabNode.create(network, outsideHost, {
    asn: 64600,
    networks: [{ prefix: '10.60.0.0/24' }],
    peers: [{ address: '192.168.246.168', asn: 64512, ...accept }],
  });
  await Promise.all([node.start(), inside.start(), outside.start()]);
  await untilReady(node, WAIT_MS);
  await untilEstablished(node, '192.168.246.1', WAIT_MS);
  await untilEstablished(node, '192.168.245.172', WAIT_MS);
  await node.untilRoute('10.60.0.0/24', '192.168.246.1', WAIT_MS);
  const state = async (address: string) => await node.query<PeerDto>('show', 'peer', address);

  for (const [what, down, up, where] of [
    ['carrier', 'ip link set node2 down', 'ip link set node2 up', segments.external.namespace],
    ['the interface', 'ip link set ens34 down', 'ip link set ens34 up', node.host.namespace],
  ] as const) {
    await network.sh(where, down);
    const lost = await node.until(`the end of the session without ${what}`, WAIT_MS, async () => {
      const { state: now } = await state('192.168.246.1');
      return now === 'Established' ? undefined : true;
    });
    t.match((await state('192.168.246.1')).lastError, /link of ens34 is down/, `${what}: ${seconds(lost.tookMs)}`);
    await node.untilRoute('10.60.0.0/24', undefined, WAIT_MS);
    await network.sh(where, up);
    const startedMs = performance.now();
    await untilEstablished(node, '192.168.246.1', WAIT_MS);
    await node.untilRoute('10.60.0.0/24', '192.168.246.1', WAIT_MS);
    t.comment(`${what}: back ${seconds(performance.now() - startedMs)} after the link`);
  }

  const before = (await state('192.168.245.172')).uptimeSeconds;
  const { sessionsEstablished } = await state('192.168.245.172');
  await network.sh(segments.internal.namespace, 'ip link set node down');
  await node.until('the link to be seen as lost', WAIT_MS, async () => {
    const rows = await network.ip(node.host.namespace, '-o', 'link', 'show', 'ens33');
    return rows.includes('NO-CARRIER') ? true : undefined;
  });
  await network.sh(segments.internal.namespace, 'ip link set node up');
  t.equal((await state('192.168.245.172')).state, 'Established', `internal, up for ${before} s`);
  t.equal((await state('192.168.245.172')).sessionsEstablished, sessionsEstablished);
});
