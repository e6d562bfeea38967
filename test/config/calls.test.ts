/** Policies that call each other: how deep, and how much it comes to. What the checks take can be compiled. */
import t from 'tap';
import { parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';
import { MOST_CALLS_DEEP, MOST_STEPS } from '../../src/policy/limits.js';
import { Policies } from '../../src/policy/policies.js';

/** The problems; compiled when there are none. */
async function judged(policies: object): Promise<readonly string[]> {
  try {
    const { policy, asn } = await parseConfig(JSON.stringify({ asn: 65001, policies }), 'calls');
    const made = new Policies(
      { definitions: policy, ownAs: asn, ownNetworks: [], functions: {}, failed: () => undefined },
      undefined,
    );
    for (const name of Object.keys(policies)) made.seesOwn('import', [name, name, 'accept']);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

function row(depth: number, backwards = false): object {
  const names = Array.from({ length: depth + 1 }, (_, i) => i);
  if (backwards) names.reverse();
  return Object.fromEntries(
    names.map((i) => [`p${i}`, i < depth ? { statements: [{ call: `p${i + 1}` }] } : { default: 'accept' }]),
  );
}

t.test('calls in calls', async (t) => {
  for (const backwards of [false, true]) {
    t.strictSame(await judged(row(MOST_CALLS_DEEP, backwards)), [], 'as deep as may be');
    const problems = await judged(row(MOST_CALLS_DEEP + 1, backwards));
    t.match(problems[0], /^policies\.p0\..*more than 100 deep/, 'one deeper');
    t.match((await judged(row(20_000, backwards)))[0], /more than 100 deep/, 'far deeper');
  }
});

t.test('calls of calls of calls', async (t) => {
  const doubling = (depth: number): object =>
    Object.fromEntries(
      Array.from({ length: depth + 1 }, (_, i) => [
        `p${i}`,
        i < depth
          ? { statements: [{ call: `p${i + 1}`, then: 'accept' }, { call: `p${i + 1}` }] }
          : { default: 'reject' },
      ]),
    );
  t.strictSame(await judged(doubling(8)), []);
  t.match((await judged(doubling(40)))[0], new RegExp(`more than ${MOST_STEPS} steps`));
});
