/**
 * Policies: random ones over random routes against the naive reading (test/policy), patterns of AS paths that nobody
 * meant, and `bgpctl policy test` with routes and names from anywhere. Every pattern is taken or refused and every run of
 * it ends; the command line ends with 0, 1 or 2 and says what is wrong, without a code that moves the cursor; and of a
 * route that is right it says what the naive reading says.
 */
import assert from 'node:assert/strict';
import { rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from '../../fixtures/properties.js';
import { asPathToJson, formatAddress, formatOrigin } from 'bgp-parse';
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from 'bgp-parse';
import type { PolicyTestDto } from '../../../src/cli/commands/policy.js';
import { AsPathPattern, AsPathPatternError } from '../../../src/policy/as-path-pattern.js';
import type { PolicyDefinitions } from '../../../src/policy/definition.js';
import { u32 } from '../../malformed/fixtures/compose.js';
import { CHAINS, OWN, OWN_AS, checkAgreement } from '../../policy/fixtures/agree.js';
import { cli } from '../../cli/run-cli.js';
import { definitions, routes } from '../../policy/fixtures/arbitrary.js';
import type { Case } from '../../policy/fixtures/arbitrary.js';
import { runNaively } from '../../policy/fixtures/naive.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 20;
const PATTERNS = 40;
const COMMANDS = 6;
/** Of the processor. */
const LONGEST_MS = 5000;
const HIDDEN = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const TOKENS = ['1', '2', '65001', '4294967295', '4294967296', '0', '.', '*', '+', '?', '{2}', '{0}', '{255}', '{1,255}', '{2,}', '{256}', '{,2}', '{', '}', '(', '(', ')', ')', '()', '|', '^', '$', '[', ']', '[1 2]', '[^1]', '[1..5]', '[5..1]', '[]', ' ', '_', ',', 'a', '\u0000', '\u202e']; // prettier-ignore
const WORDS = ['10.0.0.0/8', '10.0.0.1/8', '::/0', '2001:db8::/48', 'x', '', 'asPath=', 'asPath=1,2', 'asPath=1,x', 'asPath=,', 'communities=', 'communities=64512:1', 'communities=1:1,*:*', 'communities=rt:1:1', 'med=1', 'med=-1', 'med=1e9', 'med=', 'med=5=6', 'localPref=4294967296', 'origin=igp', 'origin=toString', 'nextHop=self', 'nextHop=::1', 'nextHop=\u001b[2J', 'peer=192.0.2.1', 'peer=%eth0', 'peer=fe80::1%eth0', 'peer=%', 'peerAsn=1', 'type=local', 'type=__proto__', '__proto__=1', 'constructor=2', '=', 'a=b']; // prettier-ignore
const FIELDS = ['prefix', 'communities', 'largeCommunities', 'extendedCommunities', 'asPath', 'origin', 'nextHop', 'peer', 'peerAsn', 'type', 'med', 'localPref', '__proto__', 'constructor', 'stale']; // prettier-ignore
const VALUES: readonly unknown[] = [null, true, 0, -1, 1.5, 5, 4294967296, '', 'x', '10.0.0.0/8', '::1', 'igp', 'local', 'self', '192.0.2.1', '%eth0', '\u009b2J', [], [1, 2], [[1, 2]], [[]], [[[1]]], ['64512:1'], ['1:1:1', 'rt:1:1'], ['*:*'], [null], [{}], [{ confedSequence: [1] }], [{ confedSet: [2, 3] }, 4], [{ confedSet: 5 }], {}, { length: 3 }, Array(300).fill(1), [Array(300).fill(1)], Array(17_000).fill(1), Array(17_000).fill('1:1')]; // prettier-ignore

function hostileRoute(random: Random): string {
  if (random.chance(40)) return Array.from({ length: random.below(5) }, () => random.pick(WORDS)).join(random.pick([' ', ' ', '  ', '\t', '\n'])); // prettier-ignore
  const fields: Record<string, unknown> = random.chance(85) ? { prefix: '10.0.0.0/8' } : {};
  for (let times = random.below(4); times > 0; times--) {
    Object.defineProperty(fields, random.pick(FIELDS), { value: random.pick(VALUES), enumerable: true, configurable: true, writable: true }); // prettier-ignore
  }
  const text = JSON.stringify(fields);
  return random.chance(15) ? text.slice(0, random.below(text.length)) : text;
}

function checkPattern(random: Random, text: string): void {
  let pattern: AsPathPattern;
  try {
    pattern = new AsPathPattern(text);
  } catch (error) {
    if (!(error instanceof AsPathPatternError)) throw error;
    assert.ok(error.at >= 1 && error.at <= text.length + 1, `at ${error.at}`);
    return;
  }
  const segments = Array.from({ length: random.below(4) }, () => {
    const asns = Array.from({ length: 1 + random.below(60) }, () => random.pick([1, 2, 65001, 4294967295]));
    return [random.pick([1, 2, 2, 3, 4]), asns.length, ...asns.flatMap(u32)];
  });
  const bytes = Uint8Array.from(segments.flat());
  assert.equal(pattern.matches(bytes, 0, bytes.length), pattern.matches(bytes, 0, bytes.length), 'asked twice');
}

/** A route that is right, as `show routes` prints it. */
function shownRoute({ env, prefix, attributes }: Case): object {
  return {
    prefix,
    type: env.type,
    ...(env.from && { peer: formatAddress(env.from.address), peerAsn: env.from.asn }),
    origin: formatOrigin(attributes.origin),
    asPath: asPathToJson(attributes.asPath),
    nextHop: attributes.nextHop ? formatAddress(attributes.nextHop) : 'self',
    med: attributes.med ?? null,
    localPref: attributes.localPref ?? null,
    communities: attributes.communities?.map(formatCommunity) ?? null,
    largeCommunities: attributes.largeCommunities?.map((one) => formatLargeCommunity(one)) ?? null,
    extendedCommunities: attributes.extendedCommunities?.map(formatExtendedCommunity) ?? null,
  };
}

/** The definitions in a file, and routes of both kinds. Groups are not known there: peers of this file have none. */
async function checkCommands(
  random: Random,
  all: PolicyDefinitions,
  cases: readonly Case[],
  file: string,
): Promise<void> {
  const networks = OWN.map((prefix) => ({ prefix }));
  writeFileSync(file, JSON.stringify({ asn: OWN_AS, networks, groups: { upstreams: {}, customers: {} }, ...all }));
  const chain = random.pick(CHAINS);
  for (let i = 0; i < COMMANDS; i++) {
    const hostile = hostileRoute(random);
    const direction = random.pick(['import', 'export'] as const);
    const args = [...(random.chance(50) ? ['--json'] : []), 'policy', 'test', file, '--policy', ...chain];
    if (direction === 'export') args.push('--export');
    const { code, out, err } = await cli(...args, '--route', hostile);
    assert.ok(code >= 0 && code <= 2, `exit ${code}`);
    assert.ok(code === 0 ? out !== '' : err !== '', `nothing said of ${hostile}`);
    assert.doesNotMatch(args.includes('--json') ? err : out + err, HIDDEN, `of ${hostile}`);
  }
  for (const { env, prefix, attributes } of cases.slice(0, 2)) {
    // The file says no peers: who asks is who the route is from.
    const known = env.from && { ...env.from, group: undefined };
    const peer = known ?? { address: new Uint8Array(4), asn: 0, group: undefined };
    const seen = { ...env, from: known, peer };
    const wanted = runNaively(chain, { definitions: all, direction: 'export', own: OWN, ownAs: OWN_AS, env: seen }, { prefix, attributes }); // prettier-ignore
    const route = JSON.stringify(shownRoute({ env, prefix, attributes }));
    const { code, out, err } = await cli('--json', 'policy', 'test', file, '--policy', ...chain, '--export', '--route', route); // prettier-ignore
    assert.equal(code, 0, `${err} of ${route}`);
    const [result] = JSON.parse(out) as PolicyTestDto[];
    assert.equal(result!.accepted, wanted.accepted, `${route}: ${JSON.stringify(result)}`);
  }
}

export const policy: Target = {
  name: 'policy',
  async episode(seed) {
    const random = new Random(seed);
    const directory = mkdtempSync(join(tmpdir(), 'tortie-fuzz-'));
    let input = '';
    try {
      const numbers = (): { seed: number; numRuns: number } => ({ seed: random.u32() | 0, numRuns: CASES });
      const every = fc.sample(definitions, numbers());
      const cases = fc.sample(fc.array(routes, { minLength: 1, maxLength: 6 }), numbers());
      const seen = { accepted: 0, edited: 0, lookedUp: 0, mixed: 0 };
      for (const [i, all] of every.entries()) {
        input = JSON.stringify([all, cases[i]]);
        for (const direction of ['import', 'export'] as const)
          checkAgreement(all, direction, random.pick(CHAINS), cases[i]!, seen);
      }
      await checkCommands(random, every[0]!, cases[0]!, join(directory, 'fuzz.yaml'));
      for (let i = 0; i < PATTERNS; i++) {
        input = Array.from({ length: random.below(30) }, () => random.pick(TOKENS)).join('');
        const start = process.cpuUsage();
        checkPattern(random, input);
        assert.ok(process.cpuUsage(start).user / 1000 < LONGEST_MS, 'it took too long');
      }
    } catch (error) {
      throw new FuzzFailure('policy', input, error);
    } finally {
      rmSync(directory, { recursive: true });
    }
    return CASES + PATTERNS + COMMANDS;
  },
};
