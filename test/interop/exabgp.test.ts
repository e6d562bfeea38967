/** ExaBGP as the peer of `tortied`: every scenario of the matrix. */
import t from 'tap';
import { Exabgp } from './fixtures/exabgp.js';
import { everyScenario } from './fixtures/matrix.js';
import { runSuite, skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

t.setTimeout(480_000);

const theirs = (): Exabgp => new Exabgp();
if (!skipWithout(t, 'ExaBGP as the peer', theirs())) {
  await runSuite(t, { ours: () => new Tortie(), theirs, scenarios: everyScenario(), results: 'exabgp' });
}
