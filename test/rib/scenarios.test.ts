/** The real pipeline against the hand-made scenarios, each one clause of an RFC. */
import t from 'tap';
import { checkScenario } from '../model/check-scenario.js';
import { SPEAKER } from '../model/scenario-kit.js';
import { SCENARIOS } from '../model/scenarios.js';
import { RibHarness } from './fixtures/harness.js';

for (const scenario of SCENARIOS) {
  t.test(`${scenario.name} (${scenario.rfc})`, (t) => {
    checkScenario(t, scenario, new RibHarness({ ...SPEAKER, ...scenario.speaker }));
    t.end();
  });
}
