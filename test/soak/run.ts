/** `npm run soak [-- --minutes 30] [--seed N]`: runs the soak, prints what was seen. Exit code 1 when something is wrong. */
import { parseArgs } from 'node:util';
import { needsNamespaces } from '../fib/fixtures/own-namespace.js';
import { settled, slopePerHour, span } from './figures.js';
import { soak } from './soak.js';
import { verdict } from './verdict.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
});
const seconds = Number(values.minutes) * 60;
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run soak [-- --minutes 30] [--seed 1]\n');
  process.exit(2);
}
const { skip } = needsNamespaces();
if (skip !== undefined) {
  process.stderr.write(`the soak cannot run: ${skip}\n`);
  process.exit(1);
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const result = await soak({ seconds, seed, heapEvery: Math.min(30, seconds / 10), print });
const { peers, loopDelayMs, differences } = result;
const resident = settled(result.resident);
const heap = settled(result.heap);
const range = (samples: typeof heap): string => {
  const { least, most } = span(samples);
  const { perHour, error } = slopePerHour(samples);
  return `${least.toFixed(1)} to ${most.toFixed(1)} MB, slope ${perHour.toFixed(2)} ± ${error.toFixed(2)} MB/h`;
};
print(`
time          ${(seconds / 60).toFixed(1)} min, seed ${seed}, Node ${process.version}
sessions      ${result.peerCount}, hold time 3 s, keepalive 1 s; ${result.gracefulCount} restart gracefully, ${result.addPathCount} with ADD-PATH,
              ${result.bfdSessions} with BFD (${peers.bfdFlaps} went down)
table         ${result.prefixes} prefixes, ${result.paths} paths, ${result.kernelRoutes} routes in the kernel
disturbance   ${peers.changes} changes of routes, ${peers.resets} lost sessions, ${peers.pauses} pauses of slow peers,
              ${result.reloads} reloads, ${result.noise} rounds of netlink noise
heard         ${peers.updatesHeard} updates, ${peers.keepalivesHeard} keepalives
longest gap   ${peers.longestGapMs} ms (witness ${peers.gapsByPart.witness}, churner ${peers.gapsByPart.churner}, slow ${peers.gapsByPart.slow}); the measuring peers themselves were late by ${peers.ownDelayMs} ms at most
late          ${peers.lateKeepalives} gaps over 1.5 s; ${peers.unexpected.length} sessions lost that nobody ended,
              ${peers.starved} lost because the peers themselves got no processor for 1.8 s or more
loop delay    ${JSON.stringify(loopDelayMs)} ms; of an idle process beside it ${JSON.stringify(result.machineDelayMs)} ms;
              the daemon waited for a processor for ${result.starvedMs} ms of 3 s at most
RSS           ${range(resident)} (after the first third)
  without V8  ${range(settled(result.uncommitted))} (without what V8 has taken for its heaps)
heap          ${range(heap)} (main thread, after collections, after the first third)
other heaps   ${range(settled(result.otherHeaps))} (of the other threads together, likewise)
differences   ${differences.received.length} in the RIB, ${differences.kernel.length} in the kernel, ${differences.fresh.length} against a fresh daemon`);
const wrong = verdict(result);
for (const line of result.said.slice(-40)) print(line);
for (const text of wrong) print(`WRONG: ${text}`);
print(wrong.length === 0 ? 'good' : 'not good');
process.exit(wrong.length === 0 ? 0 : 1);
