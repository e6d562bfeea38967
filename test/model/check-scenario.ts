/** Plays a scenario to a RIB and compares what is seen with what the scenario expects. */
import type { Test } from 'tap';
import type { Scenario } from './scenario-kit.js';
import type { RibUnderTest } from './operations.js';

export function checkScenario(t: Test, scenario: Scenario, rib: RibUnderTest): void {
  for (const operation of scenario.operations) rib.apply(operation);
  for (const [prefix, expected] of Object.entries(scenario.verdicts ?? {})) {
    const verdicts = rib.verdicts(prefix);
    const best = verdicts.filter((verdict) => verdict.best);
    t.ok(best.length <= 1, 'one path is best at most');
    t.equal(best[0] ? (best[0].peer ?? 'us') : null, expected.best, `best for ${prefix}`);
    t.strictSame(
      Object.fromEntries(verdicts.map(({ peer, reason }) => [peer ?? 'us', reason])),
      expected.reasons,
      'reasons',
    );
  }
  for (const [peer, routes] of Object.entries(scenario.advertised ?? {})) {
    const advertised = rib.advertised(peer);
    for (const [prefix, attributes] of Object.entries(routes)) {
      t.strictSame(advertised.get(prefix) ?? null, attributes, `${prefix} as advertised to ${peer}`);
    }
  }
  const fib = scenario.fib && rib.fib();
  for (const [prefix, nextHop] of Object.entries(scenario.fib ?? {})) {
    t.equal(fib!.get(prefix) ?? null, nextHop, `next hop of ${prefix}`);
  }
}
