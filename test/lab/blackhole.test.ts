/** A blackhole for the node's own prefix: what nobody has is dropped, instead of going round until its TTL is used up. */
import t from 'tap';
import { Network } from '../../src/lab/network.js';
import { LabNode } from '../../src/lab/node.js';
import { probe } from '../../src/lab/probe.js';
import { cannotRunLab } from './lab-fixture.js';

const skip = cannotRunLab();
const WAIT_MS = 20_000;

t.test('packets to addresses that nobody has', { skip }, async (t) => {
  const network = await Network.create({ ownerPid: process.pid });
  t.teardown(() => network.close());
  const segment = await network.addSegment('lan');
  const options = { segment, interface: 'ens33', forwarding: true };
  const host = await network.addHost({
    ...options,
    name: 'node',
    addresses: ['192.168.245.168/24', 'fd00:245::168/64'],
  });
  const gateway = await network.addHost({
    ...options,
    name: 'gateway',
    addresses: ['192.168.245.1/24', 'fd00:245::1/64'],
  });
  await network.ip(host.namespace, 'route', 'add', 'default', 'via', '192.168.245.1');
  await network.ip(host.namespace, '-6', 'route', 'add', 'default', 'via', 'fd00:245::1');
  await network.ip(gateway.namespace, 'route', 'add', '172.17.0.0/16', 'via', '192.168.245.168');
  await network.ip(gateway.namespace, '-6', 'route', 'add', 'fd00:17::/48', 'via', 'fd00:245::168');
  const config = (blackhole: boolean) => ({
    asn: 64512,
    networks: [
      { prefix: '172.17.0.0/16', blackhole },
      { prefix: 'fd00:17::/48', blackhole },
    ],
  });
  const node = await LabNode.create(network, host, config(false));
  t.teardown(() => node.stop());
  await node.start();

  /** How often the node has forwarded one packet of each family to an address that nobody has. */
  const circles = async (): Promise<number> => {
    const count = async (): Promise<number> => {
      const [header, values] = (await network.sh(host.namespace, 'grep ^Ip: /proc/net/snmp')).trim().split('\n');
      const v4 = Number(values!.split(' ')[header!.split(' ').indexOf('ForwDatagrams')]);
      const v6 = await network.sh(host.namespace, 'grep Ip6OutForwDatagrams /proc/net/snmp6');
      return v4 + Number(v6.trim().split(/\s+/)[1]);
    };
    const before = await count();
    await probe(gateway, ['172.17.9.9', 'fd00:17:0:9::9']);
    return (await count()) - before;
  };
  const without = await circles();
  t.ok(without > 20, `without a blackhole: forwarded ${without} times`);

  await node.configure(config(true));
  node.reload();
  const blackholes = async (): Promise<number> => {
    const both = await network.sh(host.namespace, 'ip route show type blackhole; ip -6 route show type blackhole');
    return both.split('\n').filter((line) => line.startsWith('blackhole')).length;
  };
  await node.until('the blackholes', WAIT_MS, async () => ((await blackholes()) === 2 ? true : undefined));
  t.equal(await circles(), 0, 'with one: never');
  await node.stop();
  t.equal(await blackholes(), 0, 'none after the stop');
});
