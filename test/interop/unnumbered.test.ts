/** FRR's unnumbered peers (`neighbor eth1 interface`) with ours: found, Established, and packets pass both ways. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import type { Network } from '../../src/lab/network.js';
import { subnetAddresses } from '../../src/lab/scenarios.js';
import { build, config, connect, linkLocal, reach, untilRouted, type Side } from '../lab/cable-fixture.js';
import { cannotRunLab, skipUnless, testNetwork } from '../lab/lab-fixture.js';
import { DaemonProcess, hasProgram } from './fixtures/process.js';

const DAEMONS = '/usr/lib/frr';
const skip = cannotRunLab() || skipUnless(hasProgram(`${DAEMONS}/bgpd`), 'needs FRR (package frr)');
const WAIT_MS = 30_000;

/** zebra and bgpd on one side of the cable; FRR installs routes itself. */
async function startFrr(network: Network, side: Side): Promise<DaemonProcess[]> {
  const directory = await network.path('frr', '.');
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o777);
  await chmod(network.directory, 0o755);
  await writeFile(`${directory}/zebra.conf`, 'hostname zebra\n');
  await writeFile(
    `${directory}/bgpd.conf`,
    `log stdout
router bgp 64514
 bgp router-id 10.255.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor eth1 interface remote-as external
 neighbor eth1 timers connect 1
 address-family ipv4 unicast
  network ${subnetAddresses(side.subnet, 4).prefix}
 exit-address-family
 address-family ipv6 unicast
  network ${subnetAddresses(side.subnet, 6).prefix}
  neighbor eth1 activate
 exit-address-family
`,
  );
  const daemon = (name: string, ...more: string[]) =>
    DaemonProcess.start(
      [
        ...['ip', 'netns', 'exec', side.host.namespace, `${DAEMONS}/${name}`, '-A', '127.0.0.1', '-P', '0'],
        ...['--log', 'stdout', '-f', `${directory}/${name}.conf`, '-i', `${directory}/${name}.pid`],
        ...['--vty_socket', directory, '-z', `${directory}/zserv.api`, ...more],
      ],
      `${directory}/${name}.out`,
    );
  return [await daemon('zebra', '-s', '90000000'), await daemon('bgpd', '-l', '::1')];
}

t.test('FRR on the other end of the cable', { skip }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [ours, theirs] = sides as [Side, Side];
  await connect(network, sides);
  const frr = await startFrr(network, theirs);
  t.teardown(async () => {
    if (!t.passing()) for (const daemon of frr) t.comment(daemon.output());
  });
  await ours.node.start();

  /** FRR's kernel has our routes, however it spells an IPv4 route over IPv6. */
  const untilTheirs = () =>
    ours.node.until('our routes in the kernel of FRR', WAIT_MS, async () => {
      const routes = await network.ip(theirs.host.namespace, 'route');
      const routes6 = await network.ip(theirs.host.namespace, '-6', 'route');
      const [four, six] = ([4, 6] as const).map((version) => subnetAddresses(ours.subnet, version).prefix);
      return routes.includes(four!) && routes6.includes(six!) ? true : undefined;
    });

  await t.test('found by interface', async (t) => {
    await untilRouted(network, ours, theirs);
    await untilTheirs();
    await reach(t, ours, theirs);
    await reach(t, theirs, ours);
    t.match(await ours.node.query<PeerDto>('show', 'peer', '%eth1'), {
      address: `${await linkLocal(network, theirs)}%eth1`,
      state: 'Established',
      asn: 64514,
    });
  });

  await t.test('its address given', async (t) => {
    const address = await linkLocal(network, theirs);
    await ours.node.configure(config(1, { address, interface: 'eth1', extendedNextHop: true, description: 'given' }));
    ours.node.reload();
    await ours.node.until('the configured peer', WAIT_MS, async () => {
      const peers = await ours.node.query<PeerDto[]>('show', 'peers');
      return peers.some((peer) => peer.description === 'given' && peer.state === 'Established') ? true : undefined;
    });
    await untilRouted(network, ours, theirs);
    await untilTheirs();
    await reach(t, ours, theirs);
  });
});
