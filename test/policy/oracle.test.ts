/** Compiled policies against the naive reading of the same definitions, over random policies and routes. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { CHAINS, checkAgreement } from './fixtures/agree.js';
import { definitions, routes } from './fixtures/arbitrary.js';

const RUNS = runs(1500);

t.test('every verdict and every change is that of the naive reading', (t) => {
  const seen = { accepted: 0, edited: 0, lookedUp: 0, mixed: 0 };
  fc.assert(
    fc.property(
      definitions,
      fc.constantFrom('import' as const, 'export' as const),
      fc.constantFrom(...CHAINS),
      fc.array(routes, { minLength: 1, maxLength: 12 }),
      (all, direction, chain, cases) => checkAgreement(all, direction, chain, cases, seen),
    ),
    { numRuns: RUNS },
  );
  t.ok(seen.mixed > RUNS / 50, `${seen.mixed} chains with several verdicts`);
  t.ok(seen.lookedUp > RUNS, `${seen.lookedUp} judged by filters`);
  t.ok(seen.accepted > RUNS, `${seen.accepted} accepted`);
  t.ok(seen.edited > RUNS / 2, `${seen.edited} changed in length`);
  t.end();
});
