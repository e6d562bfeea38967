/** GoBGP as the peer of `tortied`: every scenario of the matrix. */
import t from 'tap';
import { Gobgp } from './fixtures/gobgp.js';
import { everyScenario } from './fixtures/matrix.js';
import { runSuite, skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

t.setTimeout(480_000);

const theirs = (): Gobgp => new Gobgp();
if (!skipWithout(t, 'GoBGP as the peer', theirs())) {
  await runSuite(t, { ours: () => new Tortie(), theirs, scenarios: everyScenario(), results: 'gobgp' });
}
