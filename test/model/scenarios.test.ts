/** The model against the hand-made scenarios: each is one clause of an RFC. */
import t from 'tap';
import { checkScenario } from './check-scenario.js';
import { ModelUnderTest } from './operations.js';
import { SPEAKER } from './scenario-kit.js';
import { SCENARIOS } from './scenarios.js';

for (const scenario of SCENARIOS) {
  t.test(`${scenario.name} (${scenario.rfc})`, (t) => {
    checkScenario(t, scenario, new ModelUnderTest({ ...SPEAKER, ...scenario.speaker }));
    t.end();
  });
}
