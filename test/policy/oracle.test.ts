/** Compiled policies against the naive reading of the same definitions, over random policies and routes. */
import fc from 'fast-check';
import t from 'tap';
import { decodeAttributes, encodeAttributes, formatAddress, parsePrefix } from 'bgp-parse';
import type { PathAttributes } from 'bgp-parse';
import { MIXED } from '../../src/policy/export-filter.js';
import { Policies } from '../../src/policy/policies.js';
import { BlockContext } from '../../src/rib/columns/attribute-pool.js';
import { Rib } from '../../src/rib/rib.js';
import { definitions, routes } from './fixtures/arbitrary.js';
import type { Case } from './fixtures/arbitrary.js';
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

/** What the filters of a table make of a route: looked up by facts and class where that is enough. */
function judged(policies: Policies, rib: Rib, direction: 'import' | 'export', chain: string[], one: Case): boolean {
  const { env, attributes } = one;
  const { bytes, length } = parsePrefix(one.prefix)!;
  const family = rib.family(env.family);
  const id = family.findOrAdd(bytes, length);
  const octets = encodeAttributes(attributes);
  const set = rib.attributes.intern(octets, 0, octets.length, BlockContext.local);
  if (direction === 'import') {
    const { accept, filter } = policies.importFor(chain, env.type === 'external', env.peer);
    if (!filter) return accept;
    const nlri = Uint8Array.of(length, ...bytes.subarray(0, (length + 7) >> 3));
    const verdict = filter.judge(family, id, set);
    const inMessage = filter.judgeNlri(family, nlri, 0, set);
    if (verdict !== inMessage) throw new Error(`${verdict}, in a message ${inMessage}`);
    return verdict !== 0;
  }
  const { accept, filter } = policies.exportFor(chain, false, env.peer);
  if (!filter) return accept;
  const from = env.from ?? env.peer;
  const source = rib.addPeer({ ...SOURCE, ...from, external: env.type === 'external' })!;
  return filter.judge(family, id, set, env.type === 'local' ? 0 : source.id) !== 0;
}

/** Many prefixes with the attributes of the first case, in a message and in a batch, against one by one. */
function checkMany(policies: Policies, rib: Rib, chain: string[], cases: readonly Case[]): number {
  const { env, attributes } = cases[0]!;
  const family = rib.family(env.family);
  const prefixes = cases
    .map(({ prefix }) => parsePrefix(prefix)!)
    .filter(({ bytes }) => bytes.length === family.prefixes.words * 4);
  const ids = Int32Array.from(prefixes, ({ bytes, length }) => family.findOrAdd(bytes, length));
  const octets = encodeAttributes(attributes);
  const set = rib.attributes.intern(octets, 0, octets.length, BlockContext.local);
  const incoming = policies.importFor(chain, env.type === 'external', env.peer).filter;
  if (incoming) {
    // As Adj-RIB-In does it: asks again only where the first octet is of another class.
    let octets: Uint16Array = new Uint16Array(256);
    let octetClass = -1;
    let verdict = -1;
    const got = prefixes.map(({ bytes, length }) => {
      if (length < 8 || octets[bytes[0]!] !== octetClass) {
        verdict = incoming.judgeNlri(family, Uint8Array.of(length, ...bytes), 0, set);
        ({ octets, octetClass } = incoming);
      }
      return verdict;
    });
    const wanted = [...ids].map((id) => incoming.judge(family, id, set));
    if (got.join() !== wanted.join()) throw new Error(`in a message ${got.join()}, one by one ${wanted.join()}`);
  }
  const outgoing = policies.exportFor(chain, false, env.peer).filter;
  if (!outgoing || ids.length === 0) return 0;
  const source = env.type === 'local' ? 0 : rib.addPeer({ ...SOURCE, ...env.peer, external: true })!.id;
  const verdicts = new Int32Array(ids.length);
  // Backwards, so that positions are no indices of the chain.
  const next = Int32Array.from(ids, (_id, at) => at - 1);
  const same = outgoing.judgeChain(family, ids, next, ids.length - 1, set, source, verdicts);
  const got = [...verdicts].map((verdict) => (same === MIXED ? verdict : same));
  const wanted = [...ids].map((id) => outgoing.judge(family, id, set, source));
  if (got.join() !== wanted.join()) throw new Error(`in a batch ${got.join()}, one by one ${wanted.join()}`);
  if (same === MIXED && new Set(wanted).size === 1) throw new Error('one verdict, said to be several');
  return new Set(wanted).size;
}

const SOURCE = {
  routeReflectorClient: false,
  identifier: 1,
  fourOctetAs: true,
  families: [],
  addPathReceive: [],
  extendedNextHop: false,
  importAccept: true,
  interfaceName: undefined,
};

t.test('every verdict and every change is that of the naive reading', (t) => {
  let accepted = 0;
  let edited = 0;
  let lookedUp = 0;
  let mixed = 0;
  fc.assert(
    fc.property(
      definitions,
      fc.constantFrom('import' as const, 'export' as const),
      fc.constantFrom<string[]>(['first'], ['first', 'second'], ['third', 'accept'], ['node'], ['second', 'node']),
      fc.array(routes, { minLength: 1, maxLength: 12 }),
      (all, direction, chain, cases) => {
        const options = {
          definitions: all,
          ownAs: OWN_AS,
          ownNetworks: OWN.map((own) => parsePrefix(own)!),
          functions: {},
          failed: () => undefined,
        };
        const policies = new Policies(options, undefined);
        const rib = new Rib({ identity: { asn: OWN_AS, routerId: 1, clusterId: 1 }, seed: 1 });
        const filtering = new Policies(options, rib);
        if (checkMany(filtering, rib, chain, cases) > 1) mixed++;
        for (const drawn of cases) {
          const isImport = direction === 'import' && drawn.env.type !== 'local';
          const one = isImport ? { ...drawn, env: { ...drawn.env, from: drawn.env.peer } } : drawn;
          const { env, prefix, attributes } = one;
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
          // On import the route is from the peer.
          const isPossible = direction === 'export' || (env.type !== 'local' && env.from === env.peer);
          if (isPossible && judged(filtering, rib, direction, chain, one) !== expected.accepted) {
            throw new Error(`${prefix}: the filter does not say ${expected.accepted}`);
          }
          if (isPossible) lookedUp++;
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
  t.ok(mixed > RUNS / 50, `${mixed} chains with several verdicts`);
  t.ok(lookedUp > RUNS, `${lookedUp} judged by filters`);
  t.ok(accepted > RUNS, `${accepted} accepted`);
  t.ok(edited > RUNS / 2, `${edited} changed in length`);
  t.end();
});
