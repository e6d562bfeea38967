/** RFC 7999 down to the kernel side: routes with BLACKHOLE lead nowhere where the peer may say so, and only there. */
import t from 'tap';
import type { PathAttributes } from '../model/attributes.js';
import type { Operation } from '../model/operations.js';
import { PEERS, sequence } from '../model/scenario-kit.js';
import { RibHarness } from './fixtures/harness.js';
import { SPEAKER } from './fixtures/histories.js';

const BLACKHOLE = 0xffff029a;
const PREFIX = '10.0.0.1/32';
const attributes: PathAttributes = { origin: 0, asPath: sequence(65001), nextHop: '192.0.2.1' };

for (const multipath of [1, 4]) {
  t.test(`multipath ${multipath}`, (t) => {
    const rib = new RibHarness(SPEAKER);
    rib.pipeline.setForwarding({ ebgp: multipath, ibgp: multipath, asPath: 'length' }, false);
    const say = (communities: number[]): Operation => ({
      ...{ op: 'announce', peer: 'e1', prefix: PREFIX, attributes: { ...attributes, communities } },
    });
    rib.apply({ op: 'establish', peer: { ...PEERS.e1, blackhole: true } });
    rib.apply({ op: 'nextHop', address: '192.0.2.1', metric: 0 });
    rib.settle();
    const route = (): string | undefined => rib.fib().get(PREFIX);
    rib.apply(say([7]));
    const usual = route();
    t.match(usual, /192\.0\.2\.1/);
    rib.apply(say([7, BLACKHOLE]));
    t.not(route(), usual, 'the same next hop, and yet another route');
    t.match(route(), /blackhole/);
    rib.apply(say([7]));
    t.equal(route(), usual, 'and back');
    rib.apply(say([BLACKHOLE]));
    rib.apply({ op: 'withdraw', peer: 'e1', prefix: PREFIX, pathId: 0 });
    t.equal(route(), undefined);
    rib.checkNothingIsLeft();
    t.end();
  });
}

t.test('a peer without the key: a community like any other', (t) => {
  const rib = new RibHarness(SPEAKER);
  rib.apply({ op: 'establish', peer: PEERS.e1 });
  rib.apply({ op: 'nextHop', address: '192.0.2.1', metric: 0 });
  rib.settle();
  rib.apply({ op: 'announce', peer: 'e1', prefix: PREFIX, attributes: { ...attributes, communities: [BLACKHOLE] } });
  t.match(rib.fib().get(PREFIX), /192\.0\.2\.1/);
  t.end();
});
