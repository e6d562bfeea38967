/** OpenBGPD as the peer of `tortied`: every scenario of the matrix. */
import t from 'tap';
import { Openbgpd } from './fixtures/openbgpd.js';
import { everyScenario } from './fixtures/matrix.js';
import { runSuite, skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

t.setTimeout(480_000);

const theirs = (): Openbgpd => new Openbgpd();
if (!skipWithout(t, 'OpenBGPD as the peer', theirs())) {
  await runSuite(t, { ours: () => new Tortie(), theirs, scenarios: everyScenario(), results: 'openbgpd' });
}
