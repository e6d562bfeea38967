/**
 * What becomes of the routes when a daemon dies or starts again: with and without graceful restart. Times are reported,
 * not asserted (see two-hosts.test.ts).
 */
import t from 'tap';
import type { PeerDto, RouteDto } from '../../src/control/dto.js';
import { startTraffic } from '../../src/lab/probe.js';
import { cannotRunLab, seconds, twoHosts, untilEstablished } from './lab-fixture.js';

const skip = cannotRunLab();
/** In each direction. */
const PER_SECOND = 1000;
const WAIT_MS = 20_000;
const NODE_1 = '192.168.245.168';
const NODE_2 = '192.168.245.172';

t.test('kill -9 with graceful restart off', { skip }, async (t) => {
  const holdTime = 3;
  const peerKeys = { gracefulRestart: false, holdTime, keepaliveTime: 1 };
  const { network, segment, one, two } = await twoHosts(t, { peerKeys });
  t.match(await untilEstablished(one.node, NODE_2, WAIT_MS), { holdTimeSeconds: holdTime });

  await t.test("the daemon dies: Node-1's route goes", async (t) => {
    t.match(await two.node.stop('SIGKILL'), { signal: 'SIGKILL' });
    const gone = await one.node.untilRoute('172.18.0.0/24', undefined, WAIT_MS);
    t.comment(`gone after ${seconds(gone.tookMs)}, hold time ${holdTime} s`);
    const startedMs = performance.now();
    await two.node.start();
    await one.node.untilRoute('172.18.0.0/24', NODE_2, WAIT_MS);
    t.comment(`back ${seconds(performance.now() - startedMs)} after the start`);
    await two.node.untilRoute('172.17.0.0/24', NODE_1, WAIT_MS);
  });

  await t.test('the host falls silent: the hold timer ends it', async (t) => {
    // The switch's port is unplugged, so not even a TCP reset reaches Node-1.
    await network.ip(segment.namespace, 'link', 'set', 'node-2', 'nomaster');
    await two.node.stop('SIGKILL');
    const gone = await one.node.untilRoute('172.18.0.0/24', undefined, WAIT_MS);
    t.comment(`gone after ${seconds(gone.tookMs)}, hold time ${holdTime} s`);
    t.match((await one.node.query<PeerDto>('show', 'peer', NODE_2)).lastError, /hold/i, 'and says so');
    await network.ip(segment.namespace, 'link', 'set', 'node-2', 'master', 'lan0');
    await two.node.start();
    await one.node.untilRoute('172.18.0.0/24', NODE_2, WAIT_MS);
  });
});

t.test('kill -9 and start with graceful restart lose no packet', { skip }, async (t) => {
  const { one, two } = await twoHosts(t);
  const traffic = await Promise.all([
    startTraffic(one.container!, two.container!, '172.18.0.2', PER_SECOND),
    startTraffic(two.container!, one.container!, '172.17.0.2', PER_SECOND),
  ]);
  await two.node.stop('SIGKILL');
  await one.node.until('Node-1 to notice', WAIT_MS, async () => {
    const peer = await one.node.query<PeerDto>('show', 'peer', NODE_2);
    return peer.state === 'Established' ? undefined : true;
  });
  t.ok(
    (await one.node.kernelRoutes()).some((route) => route.dst === '172.18.0.0/24'),
    'the route is held',
  );
  await two.node.start();
  await untilEstablished(one.node, NODE_2, WAIT_MS);
  await one.node.until('the route to be fresh again', WAIT_MS, async () => {
    const [route] = await one.node.query<RouteDto[]>('show', 'routes', '172.18.0.0/24');
    return route && !route.stale ? true : undefined;
  });
  await untilEstablished(two.node, NODE_1, WAIT_MS);
  for (const each of traffic) {
    const { sent, arrived } = await each.end();
    t.ok(sent > 500, `${sent} packets at ${PER_SECOND} a second`);
    t.equal(arrived, sent, 'none lost');
  }
  for (const { node } of [one, two]) t.strictSame(await node.query('fib', 'diff'), [], 'and the kernel is right');
});

t.test(
  'both killed, one with another subnet now: what nobody announces any more leaves the kernel',
  { skip },
  async (t) => {
    const { network, one, two } = await twoHosts(t);
    await Promise.all([one.node.stop('SIGKILL'), two.node.stop('SIGKILL')]);
    await network.ip(two.node.host.namespace, 'addr', 'del', '172.18.0.1/24', 'dev', 'br0');
    await network.ip(two.node.host.namespace, 'addr', 'add', '172.19.0.1/24', 'dev', 'br0');
    // Both restart, so neither may wait for the other's End-of-RIB (RFC 4724 §4.1).
    await Promise.all([one.node.start(), two.node.start()]);
    await one.node.untilRoute('172.19.0.0/24', NODE_2, WAIT_MS);
    await t.resolves(one.node.untilRoute('172.18.0.0/24', undefined, WAIT_MS));
  },
);
