/** The ladder by itself: independent of the order of arrival, and each step decides only what the ones before left open. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import type { Path, PathAttributes, Peer } from './attributes.js';
import { asPathLength } from './attributes.js';
import { decide, type Surroundings } from './decision.js';
import { prepended } from './export.js';
import { PEERS, sequence } from './scenario-kit.js';

const speaker: Surroundings = {
  asn: 64512,
  routerId: '10.0.0.100',
  clusterId: '10.0.0.100',
  isOwnAddress: () => false,
  nextHopMetric: (address) => (address === '10.0.0.1' ? 10 : 20),
};
const path = (peer: Peer | undefined, attributes: Partial<PathAttributes>, pathId = 0): Path => ({
  prefix: '203.0.113.0/24',
  peer,
  pathId,
  attributes: { origin: 0, asPath: [], nextHop: '10.0.0.1', ...attributes },
  stale: false,
});

/** Small ranges: ties are the interesting case. */
const paths: fc.Arbitrary<Path[]> = fc.uniqueArray(
  fc
    .record({
      peer: fc.constantFrom(...Object.values(PEERS)),
      pathId: fc.integer({ min: 0, max: 2 }),
      origin: fc.constantFrom(0 as const, 2 as const),
      med: fc.constantFrom(undefined, 0, 1, 2),
      hops: fc.array(fc.constantFrom(65001, 65002), { maxLength: 2 }),
      nextHop: fc.constantFrom('10.0.0.1', '10.0.0.2'),
      originatorId: fc.constantFrom(undefined, '10.0.0.9'),
      clusterLength: fc.integer({ min: 0, max: 2 }),
    })
    .map(({ peer, pathId, origin, med, hops, nextHop, originatorId, clusterLength }) =>
      path(
        peer,
        {
          origin,
          nextHop,
          asPath: peer.type === 'external' ? sequence(peer.asn, ...hops) : sequence(...hops),
          ...(med === undefined ? {} : { med }),
          ...(peer.type === 'external' || originatorId === undefined
            ? {}
            : { originatorId, clusterList: new Array<string>(clusterLength).fill('1.1.1.1') }),
        },
        pathId,
      ),
    ),
  { minLength: 1, maxLength: 8, selector: ({ peer, pathId }) => `${peer!.id} ${pathId}` },
);

for (const deterministicMed of [true, false]) {
  const how = deterministicMed ? '' : ', two at a time';
  const rules = { ...speaker, deterministicMed };
  t.test(`the decision does not depend on the order of the candidates${how}`, (t) => {
    fc.assert(
      fc.property(
        paths.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const [a, b] = [decide(list, rules)!, decide(shuffled, rules)!];
          if (a.best !== b.best || a.reason !== b.reason) throw new Error('another order, another best path');
          for (const loser of list) if (a.losers.get(loser) !== b.losers.get(loser)) throw new Error('another reason');
        },
      ),
      { numRuns: runs(2000) },
    );
    t.end();
  });

  t.test(`every candidate is either best or a loser with a reason${how}`, (t) => {
    fc.assert(
      fc.property(paths, (list) => {
        const { best, losers, reason } = decide(list, rules)!;
        const named = new Set([best, ...losers.keys()]);
        return (
          list.every((candidate) => named.has(candidate)) &&
          named.size === list.length &&
          !losers.has(best) &&
          (list.length === 1 ? reason === 'only-path' : [...losers.values()].includes(reason))
        );
      }),
    );
    t.end();
  });
}

t.test('a loser that goes away changes nothing, unless its MED had silenced another (RFC 4271 §9.1.2.2 c)', (t) => {
  fc.assert(
    fc.property(paths, fc.nat(), (list, pick) => {
      const withoutMed = list.map(({ attributes: { med: _med, ...attributes }, ...rest }) => ({ ...rest, attributes }));
      const { best } = decide(withoutMed, speaker)!;
      const losers = withoutMed.filter((candidate) => candidate !== best);
      if (losers.length === 0) return true;
      const gone = losers[pick % losers.length];
      return (
        decide(
          withoutMed.filter((candidate) => candidate !== gone),
          speaker,
        )!.best === best
      );
    }),
  );
  t.end();
});

t.test('no candidate, no decision', (t) => {
  t.equal(decide([], speaker), undefined);
  t.end();
});

t.test('several paths of one peer: the lowest path identifier (RFC 7911 §3)', (t) => {
  const [a, b] = [path(PEERS.i1, {}, 7), path(PEERS.i1, {}, 3)];
  const decision = decide([a, b], speaker)!;
  t.equal(decision.best, b);
  t.equal(decision.reason, 'path-id');
  t.equal(decision.losers.get(a), 'path-id');
  t.end();
});

t.test('identifiers and addresses compare as unsigned numbers', (t) => {
  const low = { ...PEERS.i1, routerId: '9.255.255.255' };
  const high = { ...PEERS.i2, routerId: '128.0.0.1' };
  t.equal(decide([path(high, {}), path(low, {})], speaker)!.best.peer, low);
  const near = { ...PEERS.i1, routerId: '1.1.1.1', address: '9.0.0.1' };
  const far = { ...PEERS.i2, routerId: '1.1.1.1', address: '10.0.0.1' };
  t.equal(decide([path(far, {}), path(near, {})], speaker)!.reason, 'peer-address');
  t.equal(decide([path(far, {}), path(near, {})], speaker)!.best.peer, near);
  t.end();
});

t.test('prepending adds exactly one to the length of the path', (t) => {
  const kinds = fc.constantFrom('sequence' as const, 'set' as const);
  const segment = fc.record({ kind: kinds, asns: fc.array(fc.nat(), { minLength: 1, maxLength: 255 }) });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 3 }), (asPath) => {
      const out = prepended(64512, asPath);
      return (
        asPathLength(out) === asPathLength(asPath) + 1 &&
        out[0]!.asns[0] === 64512 &&
        out.every(({ asns }) => asns.length <= 255)
      );
    }),
  );
  t.end();
});
