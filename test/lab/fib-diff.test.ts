/**
 * `bgpctl fib diff` against a running daemon, with each kind of difference that it can have: exit code 1 and a line while it
 * is there, none and 0 afterwards. What it can repair is repaired before anybody can look (`missing`, that is: see
 * test/fib/fib-diff.test.ts), so here it cannot: a route of somebody else is in the way, or it has no CAP_NET_ADMIN.
 */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import type { FibDifferenceDto } from '../../src/control/dto.js';
import { CommandError } from '../../src/lab/command.js';
import type { LabNode } from '../../src/lab/node.js';
import { cannotRunLab, skipUnless, twoHosts, untilEstablished } from './lab-fixture.js';

const skip = cannotRunLab() || skipUnless(!spawnSync('setpriv', ['--version']).error, 'needs setpriv (util-linux)');
const WAIT_MS = 30_000;
const NODE_2 = '192.168.245.172';
const FIRST = '172.18.0.0/24';
const MORE = Array.from({ length: 3 }, (_, i) => `20.0.${i}.0/24`);
const [DELETED, CHANGED] = MORE as [string, string];

interface Told {
  readonly code: number | null;
  readonly text: string;
}

async function diff(node: LabNode): Promise<Told> {
  try {
    return { code: 0, text: await node.bgpctl('fib', 'diff') };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { code: error.exitCode, text: error.stdout };
  }
}

const untilEqual = (node: LabNode) =>
  node.until('no difference', WAIT_MS, async () => {
    const { code, text } = await diff(node);
    return code === 0 && text.startsWith('no differences') ? true : undefined;
  });

/** Waits until a line says so, with exit code 1. */
const untilTold = (node: LabNode, ...lines: RegExp[]) =>
  node.until(lines.join(' '), WAIT_MS, async () => {
    const { code, text } = await diff(node);
    return code === 1 && lines.every((line) => line.test(text)) ? text : undefined;
  });

t.test('each kind of difference', { skip }, async (t) => {
  const { network, one, two } = await twoHosts(t);
  const { node } = one;
  const ip = (line: string) => network.ip(node.host.namespace, ...line.split(' '));
  await two.node.configure({
    ...two.plan.config,
    networks: [{ interface: 'br0' }, ...MORE.map((prefix) => ({ prefix }))],
  });
  two.node.reload();
  await node.untilRoute(MORE.at(-1)!, NODE_2, WAIT_MS);
  await untilEqual(node);
  t.strictSame(await node.query('fib', 'diff'), [], 'the same as JSON');

  await ip(`route add ${FIRST} via 192.168.245.9 proto static`);
  await untilTold(node, /^172\.18\.0\.0\/24 +blocked +blocked by proto static metric 0$/m);
  await ip(`route del ${FIRST} proto static`);
  await untilEqual(node);
  t.pass('blocked');

  // Its path cannot be used then, so the speaker does not want the route, and nothing is amiss.
  await ip(`route add unreachable ${NODE_2}`);
  await node.untilRoute(FIRST, undefined, WAIT_MS);
  await untilEqual(node);
  await ip(`route del unreachable ${NODE_2}`);
  await node.untilRoute(FIRST, NODE_2, WAIT_MS);
  await untilEqual(node);
  t.pass('next hop not reachable');

  // A daemon that finds what a dead one has left, and may not change it.
  await node.stop('SIGKILL');
  await ip(`route del ${DELETED} proto bgp`);
  await ip(`route replace ${CHANGED} via 192.168.245.66 proto bgp metric 20`);
  await ip('route add 203.0.113.0/24 via 192.168.245.66 proto bgp metric 20');
  node.wrapper = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
  await node.start();
  await untilEstablished(node, NODE_2, WAIT_MS);
  await untilTold(
    node,
    /^20\.0\.0\.0\/24 +failed +EPERM$/m,
    /^20\.0\.1\.0\/24 +next hop +EPERM$/m,
    /^203\.0\.113\.0\/24 +extra/m,
  );
  const kinds = await node.bgpctl('--json', 'fib', 'diff').catch((error: CommandError) => error.stdout);
  const found = JSON.parse(kinds) as FibDifferenceDto[];
  t.match(
    found.find(({ prefix }) => prefix === CHANGED),
    { desired: { nextHops: [{ via: NODE_2 }] }, actual: { nextHops: [{ via: '192.168.245.66' }] } },
    'both sides',
  );
  await node.stop('SIGKILL');
  node.wrapper = [];
  await node.start();
  await untilEqual(node);
  await node.untilRoute(CHANGED, NODE_2, WAIT_MS);
  t.pass('failed, next hop, extra');
});
