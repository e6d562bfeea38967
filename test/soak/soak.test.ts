/** The soak in short (test/soak/run.ts is the long one): the same disturbance for a quarter of a minute. */
import t from 'tap';
import { needsNamespaces } from '../fib/fixtures/own-namespace.js';
import { settled, slopePerHour } from './figures.js';
import { soak } from './soak.js';
import { verdict } from './verdict.js';

t.setTimeout(300_000);

const SEED = 4271;

t.test('slope and settled part of a series', (t) => {
  const line = [0, 1, 2, 3, 4, 5].map((n) => ({ seconds: n * 60, value: 10 + n }));
  t.equal(Math.round(slopePerHour(line).perHour), 60);
  t.ok(slopePerHour(line).error < 0.001);
  t.equal(settled(line).length, 4);
  t.equal(slopePerHour(line.slice(0, 2)).perHour, 0);
  t.end();
});

t.test('soak', needsNamespaces(), async (t) => {
  const result = await soak({ seconds: 12, seed: SEED, heapEvery: 2, print: (text) => t.comment(text) });
  const { peers } = result;
  t.comment(`seed ${SEED}; ${JSON.stringify({ ...peers, unexpected: undefined })}; ${result.reloads} reloads`);
  t.ok(peers.resets > 0 && peers.pauses > 0 && result.reloads > 1 && peers.changes > 500, 'it was disturbed');
  t.ok(peers.keepalivesHeard > 0 && peers.updatesHeard > 1000, 'and heard');
  t.ok(result.kernelRoutes > 100, `${result.kernelRoutes} routes in the kernel`);
  for (const line of result.said.slice(-40)) t.comment(line);
  t.comment(`an idle process beside it was late by ${JSON.stringify(result.machineDelayMs)} ms`);
  t.comment(`the daemon waited for a processor for ${result.starvedMs} ms of 3 s at most`);
  t.comment(`heaps of the other threads: ${result.otherHeaps.map(({ value }) => value.toFixed(1)).join(', ')} MB`);
  t.same(verdict(result), []);
});
