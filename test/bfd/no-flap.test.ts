/**
 * BFD between two `tortied` while both take a big table from BIRD, pass it on, write it into their kernels and lose it
 * again: no flap. Detection takes less than the main threads are late meanwhile, and more than a virtual machine may be
 * without its processors. 200,000 routes; TORTIE_BFD_ROUTES=1000000 takes a million, TORTIE_BFD_MS=50 and
 * TORTIE_BFD_MULTIPLIER=3 what a machine of one's own does.
 */
import t from 'tap';
import type { PeerBfdDto, SummaryDto } from '../../src/control/dto.js';
import { Namespaces } from '../interop/fixtures/namespace.js';
import { waitFor } from '../interop/fixtures/process.js';
import { BirdDaemon, Tortied, skipWithout } from './fixtures/daemons.js';

t.setTimeout(300_000);

const ROUTES = Number(process.env['TORTIE_BFD_ROUTES'] ?? 200_000);
const INTERVAL_MS = Number(process.env['TORTIE_BFD_MS'] ?? 100);
const MULTIPLIER = Number(process.env['TORTIE_BFD_MULTIPLIER'] ?? 4);
const BFD = { minTxMs: INTERVAL_MS, minRxMs: INTERVAL_MS, multiplier: MULTIPLIER };
const PEER = { families: ['ipv4-unicast'], import: 'accept', export: 'accept', connectRetryTime: 1 };

/** Routes of as many attribute sets as a full table has: about one in six. */
function table(): string {
  const lines = ['ipv4;'];
  for (let i = 0; i < ROUTES; i++) {
    lines.push(
      `route ${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24 blackhole { bgp_med = ${Math.floor(i / 6)}; };`,
    );
  }
  return lines.join('\n');
}

if (!skipWithout(t, 'BFD under load', ['bird', 'birdc'])) {
  await t.test(`no flap while ${ROUTES} routes come and go`, async (t) => {
    const namespaces = new Namespaces('tn');
    t.teardown(() => namespaces.close());
    const lane = await namespaces.createLane();
    for (const [host, number] of [
      [lane.ours, 1],
      [lane.theirs, 2],
      [lane.feeder, 3],
    ] as const) {
      await host.addAddress(`10.92.0.${number}`, 24);
    }
    const feeder = new BirdDaemon(namespaces, lane.feeder);
    await feeder.start(
      '10.92.0.3',
      `protocol static feed { disabled; ${table()} }
protocol bgp ours from tpl { local 10.92.0.3 as 65103; neighbor 10.92.0.1 as 65101; bfd off; }`,
    );
    const a = new Tortied(namespaces, lane.ours);
    const b = new Tortied(namespaces, lane.theirs);
    await a.start({
      asn: 65101,
      routerId: '10.92.0.1',
      peers: [
        { address: '10.92.0.2', asn: 65102, bfd: BFD, ...PEER },
        { address: '10.92.0.3', asn: 65103, ...PEER },
      ],
    });
    await b.start({
      asn: 65102,
      routerId: '10.92.0.2',
      peers: [{ address: '10.92.0.1', asn: 65101, bfd: BFD, ...PEER }],
    });
    const bfd = async (): Promise<PeerBfdDto[]> =>
      (await Promise.all([a.peer('10.92.0.2'), b.peer('10.92.0.1')])).map((peer) => peer.bfd!);
    await waitFor(
      'BFD Up and fast',
      async () => (await bfd()).every(({ detectionMs }) => detectionMs === INTERVAL_MS * MULTIPLIER),
      {
        note: bfd,
      },
    );
    await waitFor('the session with the feeder', async () => (await a.peer('10.92.0.3')).state === 'Established');
    const before = await bfd();
    const startedAt = Date.now();

    const installed = async (): Promise<number[]> => {
      const summaries = await Promise.all([a.get('/v1/summary'), b.get('/v1/summary')]);
      return (summaries as SummaryDto[]).map(({ fib }) => fib.installed);
    };
    for (const [verb, count] of [
      ['enable', ROUTES],
      ['disable', 0],
    ] as const) {
      await feeder.control(verb, 'feed');
      await waitFor(
        `${count} routes in both kernels`,
        async () => (await installed()).every((value) => value === count),
        {
          timeoutMs: 100_000,
          note: async () => [await installed(), await bfd()],
        },
      );
    }
    const seconds = (Date.now() - startedAt) / 1000;
    const after = await bfd();
    const { loopDelayMs } = (await a.get('/v1/summary')) as SummaryDto;
    for (const [index, name] of ['a', 'b'].entries()) {
      const [was, is] = [before[index]!, after[index]!];
      t.match(is, { state: 'Up', remoteState: 'Up', flaps: 0, lastDown: null }, `${name}: no flap`);
      // The interval less jitter: 20 to 27 a second of 50 ms.
      const rate = (is.packetsOut - was.packetsOut) / seconds;
      t.ok(rate > 750 / INTERVAL_MS && rate < 1500 / INTERVAL_MS, `${name}: ${rate.toFixed(1)} packets a second`);
    }
    t.comment(
      `${ROUTES} routes in and out in ${seconds.toFixed(1)} s; main loop late by ${loopDelayMs?.max} ms at most`,
    );
    t.match(await a.peer('10.92.0.2'), { state: 'Established', sessionsEstablished: 1 });
  });
}
