/** Masquerading seen from the other end: who the container is to a host outside, and to a container. */
import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import type { SummaryDto } from '../../src/control/dto.js';
import { probe, startWitness } from '../../src/lab/probe.js';
import { BOTH_VERSIONS } from '../../src/lab/site.js';
import { cannotRunLab, skipUnless, twoHosts } from './lab-fixture.js';

const skip = cannotRunLab() || skipUnless(!spawnSync('nft', ['--version']).error, 'needs nft (package nftables)');
const WAIT_MS = 20_000;

t.test('outside a container is its node, inside it is itself', { skip }, async (t) => {
  const pools = ['172.16.0.0/12', 'fd00:10::/28'];
  const { network, segment, one, two } = await twoHosts(t, {
    versions: BOTH_VERSIONS,
    keys: { fib: { masquerade: { pools } } },
  });
  // It has no route to the containers: only what comes from the node's address is answered.
  const outside = await network.addHost({
    name: 'outside',
    segment: { ...segment, bridge: 'lan0' },
    interface: 'ens33',
    addresses: ['192.168.245.9/24', 'fd00:245::9/64'],
    forwarding: false,
  });
  await startWitness(outside);
  const addresses = (site: typeof one) => site.container!;
  const seen = async (target: string) => (await probe(addresses(one), [target]))[0];
  const own = (await network.ip(one.container!.namespace, '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'global'))
    .split('\n')
    .flatMap((line) => /inet6? ([^/]+)/.exec(line)?.[1] ?? []);
  const others = (await network.ip(two.container!.namespace, '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'global'))
    .split('\n')
    .flatMap((line) => /inet6? ([^/]+)/.exec(line)?.[1] ?? []);
  const node = (await network.ip(one.node.host.namespace, '-o', 'addr', 'show', 'dev', 'ens33', 'scope', 'global'))
    .split('\n')
    .flatMap((line) => /inet6? ([^/]+)/.exec(line)?.[1] ?? []);
  t.same([own.length, others.length, node.length], [2, 2, 2], `${own.join(' ')}, ${others.join(' ')}`);

  const check = async (t: Test) => {
    for (const [index, target] of ['192.168.245.9', 'fd00:245::9'].entries()) {
      t.match(await seen(target), { reply: { from: target }, seenAs: node[index] }, `outside: ${target}`);
    }
    for (const [index, target] of others.entries()) {
      t.match(await seen(target), { reply: { from: target }, seenAs: own[index] }, `container: ${target}`);
    }
  };
  await t.test('both ways', check);

  await t.test('the rules are flushed by hand', async (t) => {
    await network.sh(one.node.host.namespace, 'nft flush ruleset');
    await one.node.until('the repair', WAIT_MS, async () => {
      const { masquerade } = await one.node.query<SummaryDto>('show', 'summary');
      return masquerade?.repaired === 1 ? true : undefined;
    });
    await check(t);
  });

  await t.test('a reload without pools takes the rules away', async (t) => {
    const tables = () => network.sh(one.node.host.namespace, 'nft list tables');
    t.match(await tables(), 'table inet tortie');
    await one.node.configure(one.plan.config);
    one.node.reload();
    await one.node.until('no table', WAIT_MS, async () => ((await tables()) === '' ? true : undefined));
  });

  await t.test('a clean stop leaves nothing', async (t) => {
    t.match(await network.sh(two.node.host.namespace, 'nft list tables'), 'table inet tortie');
    await two.node.stop('SIGTERM');
    t.equal(await network.sh(two.node.host.namespace, 'nft list tables'), '');
  });
});
