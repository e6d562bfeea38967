/** Compiled policies against the naive reading of the same definitions, over random policies and routes. */
import fc from 'fast-check';
import t from 'tap';
import { decodeAttributes, encodeAttributes, formatAddress, parsePrefix } from 'bgp-parse';
import type { PathAttributes } from 'bgp-parse';
import { Policies } from '../../src/policy/policies.js';
import { definitions, routes } from './fixtures/arbitrary.js';
import { keyOf, runNaively } from './fixtures/naive.js';

const RUNS = Number(process.env['TORTIE_PROPERTY_RUNS'] ?? 1500);
const OWN = ['10.1.0.0/16', 'fd00:1::/32'];
const OWN_AS = 64512;

/** Attributes as plain text, so that two ways of writing them compare. */
function plain(attributes: PathAttributes): object {
  const asns = attributes.asPath.flatMap(({ asns: list }) => list);
  return {
    origin: attributes.origin,
    asns,
    nextHop: attributes.nextHop && formatAddress(attributes.nextHop),
    med: attributes.med,
    localPref: attributes.localPref,
    communities: attributes.communities?.map(keyOf),
    large: attributes.largeCommunities?.map(keyOf),
    extended: attributes.extendedCommunities?.map(keyOf),
  };
}

t.test('every verdict and every change is that of the naive reading', (t) => {
  let accepted = 0;
  let edited = 0;
  fc.assert(
    fc.property(
      definitions,
      fc.constantFrom('import' as const, 'export' as const),
      fc.constantFrom<string[]>(['first'], ['first', 'second'], ['third', 'accept'], ['node'], ['second', 'node']),
      fc.array(routes, { minLength: 1, maxLength: 12 }),
      (all, direction, chain, cases) => {
        const policies = new Policies(
          {
            definitions: all,
            ownAs: OWN_AS,
            ownNetworks: OWN.map((own) => parsePrefix(own)!),
            functions: {},
            failed: () => undefined,
          },
          undefined,
        );
        for (const { env, prefix, attributes } of cases) {
          const expected = runNaively(
            chain,
            { definitions: all, direction, own: OWN, ownAs: OWN_AS, env },
            { prefix, attributes },
          );
          const octets = encodeAttributes(attributes);
          const result = policies.trace(policies.chain(direction, chain), env, parsePrefix(prefix)!, octets);
          if (result.accepted !== expected.accepted) {
            throw new Error(`${prefix}: ${result.accepted}, not ${expected.accepted}: ${JSON.stringify(result.steps)}`);
          }
          const got = JSON.stringify(plain(decodeAttributes(result.attributes, 0, result.attributes.length)));
          const wanted = JSON.stringify(plain(expected.attributes));
          if (got !== wanted) throw new Error(`${prefix}: ${got}\nnot ${wanted}`);
          if (result.nextHop !== expected.nextHop)
            throw new Error(`next hop ${result.nextHop}, not ${expected.nextHop}`);
          if (result.accepted) accepted++;
          if (result.attributes.length !== octets.length) edited++;
        }
      },
    ),
    { numRuns: RUNS },
  );
  t.ok(accepted > RUNS, `${accepted} accepted`);
  t.ok(edited > RUNS / 2, `${edited} changed in length`);
  t.end();
});
