/**
 * The hot path allocates no object per route: JavaScript heap per route of each phase has a bound, over 100,000 routes
 * from UPDATE bytes to UPDATE bytes (`allocation/measure.ts`). An object with a single field takes 32 octets, so one per
 * route is over every bound; what is allowed is what goes by message, attribute set, batch and turn (six routes share an
 * attribute set and a message here).
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import type { Allocation, Phase } from './allocation/measure.js';
import { median } from './report.js';

const MEASURE = fileURLToPath(new URL('allocation/measure.js', import.meta.url));
/** Nothing is collected within a phase: it takes far less. */
const YOUNG_GENERATION_MB = 64;

/** Octets of JavaScript heap per route, garbage included. */
const ALLOCATED: Readonly<Record<'accept' | 'policy', Readonly<Record<Phase, number>>>> = {
  accept: { announce: 12, 'reannounce-same': 2, 'reannounce-new': 20, withdraw: 12 },
  // A few octets more by message, depending on what the compiler inlines; an object per route is still far over.
  policy: { announce: 20, 'reannounce-same': 10, 'reannounce-new': 26, withdraw: 12 },
};
/** Routes live in typed arrays: the JavaScript heap does not grow with them. */
const RETAINED = 2;

for (const [name, bounds] of Object.entries(ALLOCATED)) {
  t.test(`JavaScript heap per route: ${name}`, async (t) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      `--min-semi-space-size=${YOUNG_GENERATION_MB}`,
      `--max-semi-space-size=${YOUNG_GENERATION_MB}`,
      MEASURE,
      name,
    ]);
    const all = JSON.parse(stdout) as Allocation[];
    for (const [phase, bound] of Object.entries(bounds)) {
      const rounds = all.filter((one) => one.phase === phase && !one.collected);
      t.ok(rounds.length >= 3, `${phase}: ${rounds.length} rounds without a collection in between`);
      const allocated = median(rounds.map((round) => round.allocated));
      const retained = median(rounds.map((round) => round.retained));
      const external = median(rounds.map((round) => round.external));
      t.comment(`${phase}: typed arrays ${external.toFixed(1)} octets a route`);
      t.ok(allocated < bound, `${phase}: ${allocated.toFixed(2)} octets allocated a route, bound ${bound}`);
      t.ok(retained < RETAINED, `${phase}: ${retained.toFixed(2)} octets stay a route, bound ${RETAINED}`);
    }
  });
}
