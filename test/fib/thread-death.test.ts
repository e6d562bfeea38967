/** The FIB thread dies under a speaker with routes in the kernel: another takes over, and the kernel is right again. */
import type { Worker } from 'node:worker_threads';
import t from 'tap';
import { Speaker, parseConfig, silentLog, systemClock } from '../../src/index.js';
import { RawPeer } from '../fixtures/raw-peer.js';
import { announce, endOfRib, withdraw } from '../reflector/fixtures/say.js';
import { until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ipBatch([
    'link add net0 type veth peer name far0',
    'link set net0 up',
    'link set far0 up',
    'addr add 10.99.0.254/24 dev net0',
    'addr add 10.98.0.1/32 dev lo',
    'addr add 10.98.0.2/32 dev lo',
  ]);
}

/** Prefixes and gateways in the kernel. */
const routes = (): string[] =>
  (JSON.parse(ip('-j route show proto 186') || '[]') as { dst: string; gateway?: string }[])
    .map(({ dst, gateway }) => `${dst} ${gateway ?? ''}`)
    .sort();
const prefix = (n: number): string => `10.1.${n}.0/24`;
const via = (n: number): string => `10.99.0.${n}`;

t.test('a FIB thread that dies is started again, and is told everything', options, async (t) => {
  const threads: Worker[] = [];
  const note = (worker: Worker): void => {
    if (worker.resourceLimits?.maxYoungGenerationSizeMb === 8) threads.push(worker);
  };
  process.on('worker', note);
  t.teardown(() => process.off('worker', note));
  const peer = await RawPeer.listen('10.98.0.2');
  t.teardown(() => peer.close());
  const config = {
    asn: 64512,
    routerId: '10.98.0.1',
    listen: [],
    // A route by nexthop objects has its gateway there.
    fib: { enabled: true, nexthopObjects: 'never' },
    peers: [{ address: '10.98.0.2', asn: 64512, port: peer.port, localAddress: '10.98.0.1', gracefulRestart: false }],
  };
  const speaker = new Speaker(await parseConfig(JSON.stringify(config), 'test'), {
    clock: systemClock,
    log: silentLog,
  });
  await speaker.start();
  t.teardown(() => speaker.stop());
  const connection = await peer.connection(0);
  await connection.establish();
  const say = (numbers: readonly number[], hop: number): void =>
    connection.send(announce(numbers.map(prefix), { nextHop: via(hop) }));
  say([1, 2, 3, 4], 1);
  connection.send(endOfRib(1), endOfRib(2));
  await until('routes', () => routes().length === 4);
  // Our own restart is over when the stale routes of a previous run are swept.
  ip('route add 10.1.200.0/24 via 10.99.0.9 proto 186 metric 20');
  await until('what is not ours to have goes', () => !routes().some((route) => route.startsWith('10.1.200.0')));
  const died = threads.length;
  t.equal(died, 1);
  await threads[0]!.terminate();
  // Nobody may have noticed yet: what is said now is for the next thread.
  say([2], 2);
  connection.send(withdraw([prefix(3)]));
  say([5], 3);
  const wanted = [
    `${prefix(1)} ${via(1)}`,
    `${prefix(2)} ${via(2)}`,
    `${prefix(4)} ${via(1)}`,
    `${prefix(5)} ${via(3)}`,
  ];
  await until('the kernel is as it should be', () => routes().join() === wanted.join());
  await until('and counted', () => speaker.summary().fib.installed === 4 && speaker.summary().fib.pending === 0);
  t.match(speaker.summary().warnings, [/^kernel side: the FIB thread ended: .*\(once so far\)$/]);
  t.equal(threads.length, 2);

  // A removal that was under way when the thread died.
  connection.send(withdraw([prefix(4)]));
  await threads[1]!.terminate();
  await until('it is made by the next one', () => routes().length === 3);
  await until('and counted', () => speaker.summary().fib.installed === 3);
  t.match(speaker.summary().warnings, [/2 times so far/]);

  // Repairs and next hops are followed as ever.
  ip(`route del ${prefix(1)} proto 186`);
  await until('put back', () => routes().length === 3 && routes()[0]!.startsWith(prefix(1)));
  ip('link set net0 down');
  await until('a next hop that is gone is seen', () => speaker.summary().fib.installed === 0);
  ip('link set net0 up');
  await until('and its return', () => routes().length === 3);
  t.equal(speaker.summary().families.find(({ family }) => family === 'ipv4-unicast')?.prefixes, 3);
});
