/**
 * BFD with BIRD and FRR in namespaces: single hop over IPv4, IPv6 and link-local addresses, multihop between loopback
 * addresses; detection of a frozen daemon and of lost packets; a route that fails over end to end. Orders and ratios are
 * asserted, times are reported.
 */
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import { BFD_MS, BFD_MULTIPLIER, BirdDaemon, FrrDaemons, Tortied, skipWithout } from '../bfd/fixtures/daemons.js';
import { Namespaces } from './fixtures/namespace.js';
import type { Lane, Namespace } from './fixtures/namespace.js';
import { DaemonProcess, waitFor } from './fixtures/process.js';

t.setTimeout(300_000);

const BFD = { minTxMs: BFD_MS, minRxMs: BFD_MS, multiplier: BFD_MULTIPLIER };
const ASN = 65101;
const THEIR_ASN = 65102;
const OPTIONS = { asn: THEIR_ASN, bfd: BFD, connectRetryTime: 1, holdTime: 90, import: 'accept', export: 'accept' };

/** Link addresses, and a loopback address each that the other reaches by a static route. */
async function address(lane: Lane): Promise<void> {
  const hosts: [Namespace, number][] = [
    [lane.ours, 1],
    [lane.theirs, 2],
    [lane.feeder, 3],
  ];
  for (const [host, number] of hosts) {
    await host.addAddress(`10.91.0.${number}`, 24);
    await host.addAddress(`fd91::${number}`, 64);
    await host.addAddress(`10.255.91.${number}`, 32, 'lo');
  }
  await lane.ours.ip('route', 'add', '10.255.91.2/32', 'via', '10.91.0.2');
  await lane.theirs.ip('route', 'add', '10.255.91.1/32', 'via', '10.91.0.1');
}

async function linkLocal(host: Namespace): Promise<string> {
  return waitFor('a link-local address', async () => {
    const text = await host.ip('-6', '-j', 'addr', 'show', 'dev', 'eth0');
    const [device] = JSON.parse(text) as { addr_info: { local?: string; scope?: string }[] }[];
    return device?.addr_info.find(({ scope }) => scope === 'link')?.local;
  });
}

const isUp = (peer: PeerDto): boolean => peer.state === 'Established' && peer.bfd?.state === 'Up';
/** The agreed timers are in force both ways. */
const isFast = ({ bfd }: PeerDto): boolean => bfd?.intervalMs === BFD_MS && bfd.detectionMs === BFD_MS * BFD_MULTIPLIER;

async function allUp(ours: Tortied, addresses: readonly string[], log: () => string): Promise<PeerDto[]> {
  return waitFor(
    `BFD Up with ${addresses.join(', ')}`,
    async () => {
      const peers = await Promise.all(addresses.map((address) => ours.peer(address)));
      return peers.every((peer) => isUp(peer) && isFast(peer)) && peers;
    },
    {
      timeoutMs: 40_000,
      note: async () => [
        (await Promise.all(addresses.map((address) => ours.peer(address)))).map(({ state, lastError, bfd }) => ({
          ...{ state, lastError, bfd },
        })),
        log().slice(-2000),
      ],
    },
  );
}

/** tortied's log line of the first event whose text matches, with its time. */
function logged(ours: Tortied, text: RegExp, sinceMs: number): number | undefined {
  for (const line of ours.log().split('\n')) {
    if (!line.startsWith('{')) continue;
    const entry = JSON.parse(line) as { time: string; message: string };
    const time = Date.parse(entry.time);
    if (time >= sinceMs && text.test(entry.message)) return time;
  }
  return undefined;
}

if (!skipWithout(t, 'BFD with BIRD', ['bird', 'birdc'])) {
  await t.test('BIRD: IPv4, IPv6, link-local, multihop; packets lost; frozen', async (t) => {
    const namespaces = new Namespaces('tf');
    t.teardown(() => namespaces.close());
    const lane = await namespaces.createLane();
    await address(lane);
    const [ourLocal, theirLocal] = [await linkLocal(lane.ours), await linkLocal(lane.theirs)];
    const bird = new BirdDaemon(namespaces, lane.theirs);
    await bird.start(
      '10.91.0.2',
      `protocol static { ipv4; route 198.51.100.0/24 blackhole; }
protocol bgp v4 from tpl { local 10.91.0.2 as ${THEIR_ASN}; neighbor 10.91.0.1 as ${ASN}; }
protocol bgp v6 from tpl { local fd91::2 as ${THEIR_ASN}; neighbor fd91::1 as ${ASN}; }
protocol bgp ll from tpl { local ${theirLocal} as ${THEIR_ASN}; neighbor ${ourLocal}%eth0 as ${ASN}; }
protocol bgp far from tpl { local 10.255.91.2 as ${THEIR_ASN}; neighbor 10.255.91.1 as ${ASN}; multihop; }`,
    );
    const ours = new Tortied(namespaces, lane.ours);
    await ours.start({
      asn: ASN,
      routerId: '10.91.0.1',
      peers: [
        { address: '10.91.0.2', ...OPTIONS },
        { address: 'fd91::2', ...OPTIONS },
        { address: theirLocal, interface: 'eth0', ...OPTIONS },
        { address: '10.255.91.2', localAddress: '10.255.91.1', multihop: true, ...OPTIONS },
      ],
    });
    const addresses = ['10.91.0.2', 'fd91::2', theirLocal, '10.255.91.2'];
    const peers = await allUp(ours, addresses, () => bird.log());
    t.same(
      peers.map(({ bfd }) => bfd!.multihop),
      [false, false, false, true],
      'the last one is several hops away',
    );
    t.ok(peers.every(({ bfd }) => bfd!.flaps === 0 && bfd!.packetsDiscarded === 0 && bfd!.error === null));
    const sessions = await bird.control('show', 'bfd', 'sessions');
    t.equal(sessions.match(/ Up /g)?.length, 4, 'BIRD says so, too');

    // Only BFD over IPv4 is lost, both ways: the NOTIFICATION gets through, the other sessions do not notice.
    const before = Date.now();
    const rules =
      'table inet lost { chain in { type filter hook input priority 0; ip daddr 10.91.0.1 udp dport 3784 drop; }; }';
    await lane.ours.run('nft', rules.replace(/; \}/g, ';\n}').replace(/\{ /g, '{\n'));
    await waitFor('detection', async () => (await ours.peer('10.91.0.2')).bfd?.flaps === 1, { everyMs: 20 });
    await waitFor("BIRD's word for it", () =>
      /Received: (BFD down|Cease|.*6\.?\/?10)|BFD session down/i.test(bird.log()),
    );
    const down = await ours.peer('10.91.0.2');
    t.equal(down.bfd!.lastDown, 'control detection time expired', 'why BFD went down');
    t.match(down.lastError, /BFD Down/, 'and BGP with it');
    t.comment(`BIRD, packets dropped: detected within ${logged(ours, /BFD Down/, before)! - before} ms`);
    t.ok((await ours.peer('fd91::2')).sessionsEstablished === 1, 'the others stay');
    await lane.ours.run('nft', 'delete', 'table', 'inet', 'lost');
    await allUp(ours, ['10.91.0.2'], () => bird.log());

    const frozenAt = Date.now();
    bird.freeze();
    await waitFor(
      'all sessions down',
      async () =>
        (await Promise.all(addresses.map((address) => ours.peer(address)))).every(
          ({ state }) => state !== 'Established',
        ),
      { timeoutMs: 20_000, everyMs: 20 },
    );
    t.comment(`BIRD frozen: BFD Down after ${logged(ours, /BFD Down/, frozenAt)! - frozenAt} ms`);
    bird.thaw();
    await allUp(ours, addresses, () => bird.log());
  });

  await t.test('a frozen gateway: its route moves to the other one, end to end', async (t) => {
    const namespaces = new Namespaces('tg');
    t.teardown(() => namespaces.close());
    const lane = await namespaces.createLane();
    await address(lane);
    const gateways = [new BirdDaemon(namespaces, lane.theirs), new BirdDaemon(namespaces, lane.feeder)];
    await Promise.all(
      gateways.map((gateway, index) =>
        gateway.start(
          `10.91.0.${index + 2}`,
          `protocol static { ipv4; route 198.51.100.0/24 blackhole { bgp_med = ${index}; }; }
protocol bgp v4 from tpl { local 10.91.0.${index + 2} as ${THEIR_ASN}; neighbor 10.91.0.1 as ${ASN}; }`,
        ),
      ),
    );
    const ours = new Tortied(namespaces, lane.ours);
    await ours.start({
      asn: ASN,
      routerId: '10.91.0.1',
      peers: ['10.91.0.2', '10.91.0.3'].map((address) => ({ address, ...OPTIONS })),
    });
    await allUp(ours, ['10.91.0.2', '10.91.0.3'], () => gateways[0]!.log());
    const via = async (): Promise<string | null | undefined> =>
      (await lane.ours.kernelRoutes('bgp')).find(({ prefix }) => prefix === '198.51.100.0/24')?.via;
    await waitFor('the route by the first gateway', async () => (await via()) === '10.91.0.2', { note: via });

    const watch = await DaemonProcess.start(
      lane.ours.command('ip', '-ts', '-o', 'monitor', 'route', 'nexthop'),
      `${namespaces.directory}/monitor`,
    );
    await waitFor('the monitor listens', async () => {
      for (const verb of ['add', 'del']) await lane.ours.ip('route', verb, '203.0.113.9/32', 'dev', 'lo');
      return watch.output() !== '';
    });
    const seen = watch.output().length;
    const frozenAt = Date.now();
    gateways[0]!.freeze();
    const line = await waitFor(
      'a change in the kernel',
      () =>
        watch
          .output()
          .slice(seen)
          .split('\n')
          .find((text) => text.includes('10.91.0.3') || text.includes('198.51.100')),
      { everyMs: 20 },
    );
    await waitFor('the route by the second gateway', async () => (await via()) === '10.91.0.3', {
      note: via,
      everyMs: 20,
    });
    const changedAt = Date.parse(/\[([^\]]+)\]/.exec(line)![1]!.slice(0, 23));
    const detectedAt = logged(ours, /BFD Down/, frozenAt)!;
    const endedAt = logged(ours, /: down: BFD Down/, frozenAt)!;
    t.comment(
      `frozen gateway: BFD Down after ${detectedAt - frozenAt} ms, kernel changed after ${changedAt - frozenAt} ms`,
    );
    t.ok(
      detectedAt >= frozenAt && endedAt >= detectedAt && changedAt >= detectedAt,
      'detected, then closed and changed',
    );
    t.ok(changedAt - frozenAt < 90_000 / 2, 'long before the hold time');
    const peer = await ours.peer('10.91.0.2');
    t.match(peer.bfd, { flaps: 1, lastDown: 'control detection time expired' }, 'once');
    t.equal(peer.received, 0, 'its routes are gone, not stale');
    t.equal((await ours.peer('10.91.0.3')).sessionsEstablished, 1, 'the other session stays');
    gateways[0]!.thaw();
    await allUp(ours, ['10.91.0.2'], () => gateways[0]!.log());
    await waitFor('the route by the first gateway again', async () => (await via()) === '10.91.0.2', { note: via });
  });
}

if (!skipWithout(t, 'BFD with FRR', ['vtysh', '/usr/lib/frr/bfdd', '/usr/lib/frr/bgpd', '/usr/lib/frr/zebra'])) {
  await t.test('FRR: IPv4, IPv6, multihop; bfdd frozen; neighbor without BFD again', async (t) => {
    const namespaces = new Namespaces('th');
    t.teardown(() => namespaces.close());
    const lane = await namespaces.createLane();
    await address(lane);
    const frr = new FrrDaemons(namespaces, lane.theirs);
    const neighbors = ['10.91.0.1', 'fd91::1', '10.255.91.1'];
    const lines = neighbors.flatMap((address) => [
      ` neighbor ${address} remote-as ${ASN}`,
      ` neighbor ${address} timers connect 1`,
      ` neighbor ${address} bfd profile fast`,
      ...(address.startsWith('10.255')
        ? [` neighbor ${address} ebgp-multihop 5`, ` neighbor ${address} update-source 10.255.91.2`]
        : []),
    ]);
    await frr.start(
      '0.0.0.0',
      `frr defaults traditional
log stdout
router bgp ${THEIR_ASN}
 bgp router-id 10.91.0.2
 no bgp ebgp-requires-policy
 bgp log-neighbor-changes
${lines.join('\n')}
exit
`,
      `bfd
 profile fast
  receive-interval ${BFD_MS}
  transmit-interval ${BFD_MS}
  detect-multiplier ${BFD_MULTIPLIER}
 exit
exit
`,
    );
    const ours = new Tortied(namespaces, lane.ours);
    await ours.start({
      asn: ASN,
      routerId: '10.91.0.1',
      peers: [
        { address: '10.91.0.2', ...OPTIONS },
        { address: 'fd91::2', ...OPTIONS },
        { address: '10.255.91.2', localAddress: '10.255.91.1', multihop: true, ...OPTIONS },
      ],
    });
    const addresses = ['10.91.0.2', 'fd91::2', '10.255.91.2'];
    const peers = await allUp(ours, addresses, () => frr.log());
    t.same(
      peers.map(({ bfd }) => bfd!.multihop),
      [false, false, true],
      'the last one is several hops away',
    );
    t.ok(peers.every(({ bfd }) => bfd!.error === null));
    // At its start bgpd makes its sessions anew, and Down is what the old ones say (not AdminDown): count from here.
    const { flaps } = peers[0]!.bfd!;

    const bfdd = frr.processes[1]!;
    const frozenAt = Date.now();
    bfdd.signalAll('SIGSTOP');
    await waitFor('detection', async () => (await ours.peer('10.91.0.2')).bfd?.flaps === flaps + 1, { everyMs: 20 });
    t.comment(`bfdd frozen: BFD Down after ${logged(ours, /BFD Down/, frozenAt)! - frozenAt} ms`);
    // In its log, which keeps it: what it shows of the neighbour is the last end, of a collision that follows as well.
    await waitFor(
      "bgpd's word for it",
      () => /NOTIFICATION.*: received from neighbor 10\.91\.0\.1 .*BFD Down/.test(frr.log()),
      {
        note: () => frr.log().slice(-2000),
      },
    );
    bfdd.signalAll('SIGCONT');
    await allUp(ours, addresses, () => frr.log());

    // RFC 5882 §3.2: shut down over there, it takes nothing along here.
    const { sessionsEstablished } = await ours.peer('fd91::2');
    await frr.vtysh('bfdd', 'configure terminal', 'bfd', 'profile fast', 'shutdown');
    await waitFor('the end of BFD', async () => (await ours.peer('fd91::2')).bfd?.state !== 'Up');
    t.match(await ours.peer('fd91::2'), {
      state: 'Established',
      sessionsEstablished,
      bfd: { remoteState: 'AdminDown' },
    });
    await frr.vtysh('bfdd', 'configure terminal', 'bfd', 'profile fast', 'no shutdown');
    await allUp(ours, ['fd91::2'], () => frr.log());
    t.match(await ours.peer('fd91::2'), { state: 'Established', sessionsEstablished });
  });
}
