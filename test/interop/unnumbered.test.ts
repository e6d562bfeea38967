/**
 * FRR's unnumbered peers (`neighbor eth1 interface`) and BIRD's link-local ones with ours: found, Established, and packets
 * pass both ways.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import type { Network } from '../../src/lab/network.js';
import { subnetAddresses } from '../../src/lab/scenarios.js';
import { build, config, connect, linkLocal, reach, untilRouted, type Side } from '../lab/cable-fixture.js';
import { cannotRunLab, skipUnless, testNetwork } from '../lab/lab-fixture.js';
import { DaemonProcess, hasProgram } from './fixtures/process.js';

const DAEMONS = '/usr/lib/frr';
const withFrr = cannotRunLab() || skipUnless(hasProgram(`${DAEMONS}/bgpd`), 'needs FRR (package frr)');
const withBird = cannotRunLab() || skipUnless(hasProgram('bird'), 'needs BIRD (package bird2)');
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

/** The kernel at the other end has our routes, however it spells an IPv4 route over IPv6. */
function untilTheirs(network: Network, ours: Side, theirs: Side): Promise<unknown> {
  return ours.node.until('our routes in the other kernel', WAIT_MS, async () => {
    const routes = await network.ip(theirs.host.namespace, 'route');
    const routes6 = await network.ip(theirs.host.namespace, '-6', 'route');
    const [four, six] = ([4, 6] as const).map((version) => subnetAddresses(ours.subnet, version).prefix);
    return routes.includes(four!) && routes6.includes(six!) ? true : undefined;
  });
}

t.test('FRR on the other end of the cable', { skip: withFrr }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [ours, theirs] = sides as [Side, Side];
  await connect(network, sides);
  const frr = await startFrr(network, theirs);
  t.teardown(async () => {
    if (!t.passing()) for (const daemon of frr) t.comment(daemon.output());
  });
  await ours.node.start();

  await t.test('found by interface', async (t) => {
    await untilRouted(network, ours, theirs);
    await untilTheirs(network, ours, theirs);
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
    await untilTheirs(network, ours, theirs);
    await reach(t, ours, theirs);
  });
});

t.test('BIRD, which is told our address and dials: found by its connection', { skip: withBird }, async (t) => {
  const { network, watch } = await testNetwork(t);
  const sides = await build(network, watch);
  const [ours, theirs] = sides as [Side, Side];
  await connect(network, sides);
  const [file, control, pid, log] = await Promise.all(
    ['bird.conf', 'bird.ctl', 'bird.pid', 'bird.out'].map((name) => network.path('bird', name)),
  );
  await writeFile(
    file!,
    `router id 10.255.0.2;
protocol device {}
protocol direct { ipv4; ipv6; interface "br0"; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol bgp p {
  local as 64514;
  neighbor ${await linkLocal(network, ours)} as 64513;
  interface "eth1";
  connect delay time 1;
  # It sends no router advertisements; its pair of next hops begins with ::.
  ipv4 { import all; export all; extended next hop on; next hop self; };
  ipv6 { import all; export all; next hop self; };
}
`,
  );
  const command = ['bird', '-f', '-c', file!, '-s', control!, '-P', pid!];
  const bird = await DaemonProcess.start(['ip', 'netns', 'exec', theirs.host.namespace, ...command], log!);
  t.teardown(() => {
    if (!t.passing()) t.comment(bird.output());
  });
  await ours.node.start();
  await untilRouted(network, ours, theirs);
  await untilTheirs(network, ours, theirs);
  await reach(t, ours, theirs);
  await reach(t, theirs, ours);
});
