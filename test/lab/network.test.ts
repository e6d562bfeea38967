/** The lab's networks without a daemon: routes put in by hand carry the containers' packets, and all is removed. */
import t from 'tap';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { CommandError, ipBatch } from '../../src/lab/command.js';
import { deadNetworks, removeNetwork } from '../../src/lab/leftovers.js';
import { Network } from '../../src/lab/network.js';
import { probe } from '../../src/lab/probe.js';
import { fault } from '../../src/lab/report.js';
import { hostAddress, scenario, subnetAddresses } from '../../src/lab/scenarios.js';
import { addSite, pairs } from '../../src/lab/site.js';
import { cannotRunLab, testNetwork, tracesOf } from './lab-fixture.js';

const skip = cannotRunLab();

t.test('containers of two hosts reach each other by hand-made routes, without NAT', { skip }, async (t) => {
  const { network, segment } = await testNetwork(t);
  const plan = scenario('two-hosts');
  const sites = await Promise.all(plan.hosts.map((site) => addSite(network, segment, site)));
  const [first, second] = sites as [(typeof sites)[0], (typeof sites)[0]];

  const [before] = await probe(first.container!, ['172.18.0.2']);
  t.same(before, { address: '172.18.0.2', reply: null, seenAs: null }, 'no answer while there is no route');

  for (const [from, to] of pairs(sites)) {
    for (const version of [4, 6] as const) {
      const { prefix } = subnetAddresses(to.plan.subnet!, version);
      const route = ['route', 'add', prefix, 'via', hostAddress(to.plan, version), 'proto', 'bgp', 'metric', '20'];
      await network.ip(from.node.host.namespace, ...route);
    }
  }
  t.match(
    (await network.ip(first.node.host.namespace, 'route')).split('\n').map((line) => line.trim()),
    ['172.17.0.0/24 dev br0', '172.18.0.0/24 via 192.168.245.172 dev ens33 proto bgp metric 20', '192.168.245.0/24'],
  );
  for (const version of [4, 6] as const) {
    const source = subnetAddresses(17, version).container;
    const address = subnetAddresses(18, version).container;
    const [result] = await probe(first.container!, [address]);
    t.match(result, { address, reply: { from: address, ttl: 62 }, seenAs: source }, `IPv${version}`);
  }

  await t.test('NAT, another number of routers, or no answer is a fault', async (t) => {
    const finding = { from: first, to: second, source: '172.17.0.2' };
    const good = { address: '172.18.0.2', reply: { from: '172.18.0.2', ttl: 62, rttMs: 1 }, seenAs: '172.17.0.2' };
    t.equal(fault(plan, { ...finding, result: good }), undefined);
    t.match(fault(plan, { ...finding, result: { ...good, seenAs: '192.168.245.168' } }), /NAT/);
    t.match(fault(plan, { ...finding, result: { ...good, reply: { ...good.reply, ttl: 61 } } }), /TTL 61/);
    t.match(fault(plan, { ...finding, result: { ...good, reply: null } }), /no answer/);
  });

  await network.close();
  t.same(tracesOf(network.id), [], 'nothing is left');
  await network.close();
});

t.test('removing takes the processes inside along, also half-way through building', { skip }, async (t) => {
  const { network } = await testNetwork(t);
  const namespace = await network.addNamespace('busy');
  const child = spawn('ip', ['netns', 'exec', namespace, 'sleep', '1000'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await t.rejects(ipBatch(['link set lo up', 'link set nonsense up'], namespace), {
    name: 'CommandError',
    message: /link set nonsense up: Cannot find device/,
  });
  await network.close();
  t.match(await exited, [null, 'SIGKILL']);
  t.same(tracesOf(network.id), []);
});

t.test('two networks of one process stand beside each other', { skip }, async (t) => {
  const one = await testNetwork(t);
  const two = await testNetwork(t);
  t.not(one.network.id, two.network.id);
  const sites = await Promise.all(
    [one, two].map(({ network, segment }) => addSite(network, segment, scenario('two-hosts').hosts[0]!)),
  );
  t.ok(sites.every((site) => site.node.host.name === 'node-1'));
  await one.network.close();
  t.match(await two.network.ip(two.segment.namespace, 'link'), /lan0/, 'removing one leaves the other alone');
});

t.test('what a dead process left is found and removed; what a living one owns is not', { skip }, async (t) => {
  const { network: living } = await testNetwork(t);
  const owner = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const network = await Network.create({ ownerPid: owner.pid! });
  t.teardown(() => network.close());
  await network.addNamespace('left');
  t.notOk((await deadNetworks()).includes(network.id), 'its owner lives');
  const exited = once(owner, 'exit');
  owner.kill('SIGKILL');
  await exited;
  const dead = await deadNetworks();
  t.ok(dead.includes(network.id));
  t.notOk(dead.includes(living.id));
  await removeNetwork(network.id);
  t.same(tracesOf(network.id), []);
  t.ok(existsSync(join(tmpdir(), living.id)));
  await t.rejects(removeNetwork('../etc'), /not the name of a lab network/);
});

t.test('a failed command says which and why', async (t) => {
  const { runCommand } = await import('../../src/lab/command.js');
  await t.rejects(runCommand(['no-such-program-here']), { notFound: true, message: 'no-such-program-here: not found' });
  const error = (await runCommand(['sh', '-c', 'echo bad >&2; exit 7']).catch((e: unknown) => e)) as CommandError;
  t.type(error, CommandError);
  t.equal(error.exitCode, 7);
  t.equal(error.stderr, 'bad');
});
