/** The model against the hand-made scenarios: each is one clause of an RFC. */
import t from 'tap';
import { checkScenario } from './check-scenario.js';
import { ModelUnderTest } from './operations.js';
import { SCENARIOS, SPEAKER } from './scenarios.js';

for (const scenario of SCENARIOS) {
  t.test(`${scenario.name} (${scenario.rfc})`, (t) => {
    checkScenario(t, scenario, new ModelUnderTest(SPEAKER));
    t.end();
  });
}
