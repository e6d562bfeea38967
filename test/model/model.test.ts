/** What the scenarios do not reach: the questions of the model itself and its misuse. */
import t from 'tap';
import type { PathAttributes } from './attributes.js';
import { Model } from './model.js';
import { PEERS, SPEAKER } from './scenario-kit.js';

const attributes: PathAttributes = { origin: 0, asPath: [], nextHop: '10.0.0.1' };

t.test('Adj-RIB-In holds what was received, eligible or not', (t) => {
  const model = new Model(SPEAKER);
  model.establish(PEERS.i1);
  model.announce('i1', '203.0.113.0/24', attributes);
  t.equal(model.best('203.0.113.0/24'), undefined, 'the next hop is not reachable yet');
  t.strictSame(
    model.adjRibIn('i1').map(({ prefix, stale }) => ({ prefix, stale })),
    [{ prefix: '203.0.113.0/24', stale: false }],
  );
  model.setNextHop('10.0.0.1', { resolvable: true, metric: 5 });
  t.equal(model.best('203.0.113.0/24')?.reason, 'only-path');
  t.end();
});

t.test('paths of one peer stand beside each other by path identifier (RFC 7911 §3)', (t) => {
  const model = new Model(SPEAKER);
  model.establish(PEERS.c1);
  model.establish(PEERS.i1);
  model.setNextHop('10.0.0.1', { resolvable: true, metric: 0 });
  model.announce('c1', '203.0.113.0/24', { ...attributes, med: 1 }, 1);
  model.announce('c1', '203.0.113.0/24', { ...attributes, med: 2 }, 2);
  t.equal(model.best('203.0.113.0/24')?.path.pathId, 1);
  model.withdraw('c1', '203.0.113.0/24', 1);
  t.equal(model.best('203.0.113.0/24')?.path.pathId, 2);
  t.equal(model.adjRibOut('i1').get('203.0.113.0/24')?.med, 2);
  t.end();
});

t.test('an announcement makes a stale path fresh (RFC 4724 §4.2)', (t) => {
  const model = new Model(SPEAKER);
  model.establish(PEERS.i1);
  model.announce('i1', '203.0.113.0/24', attributes);
  model.down('i1', { keepStale: true });
  t.equal(model.adjRibIn('i1')[0]?.stale, true);
  t.throws(() => model.announce('i1', '203.0.113.0/24', attributes), /not established/);
  model.establish(PEERS.i1);
  model.announce('i1', '203.0.113.0/24', attributes);
  t.equal(model.adjRibIn('i1')[0]?.stale, false);
  model.endOfRib('i1', 'ipv4-unicast');
  t.equal(model.adjRibIn('i1').length, 1);
  t.end();
});

t.test('a family that the peer no longer offers is not kept (RFC 4724 §4.2)', (t) => {
  const model = new Model(SPEAKER);
  model.establish(PEERS.i1);
  model.announce('i1', '203.0.113.0/24', attributes);
  model.down('i1', { keepStale: true });
  model.establish({ ...PEERS.i1, families: ['ipv6-unicast'] });
  t.strictSame(model.adjRibIn('i1'), []);
  model.announce('i1', '203.0.113.0/24', attributes);
  t.strictSame(model.adjRibIn('i1'), [], 'nor heard');
  t.end();
});

t.test('candidates name every path with its fate', (t) => {
  const model = new Model(SPEAKER);
  model.establish(PEERS.i1);
  model.establish(PEERS.i2);
  model.setNextHop('10.0.0.1', { resolvable: true, metric: 0 });
  model.announce('i1', '203.0.113.0/24', attributes);
  model.announce('i2', '203.0.113.0/24', { ...attributes, nextHop: '10.0.0.2' });
  model.originate('203.0.113.0/24');
  t.strictSame(
    model.candidates('203.0.113.0/24').map(({ path, best, reason }) => [path.peer?.id ?? 'us', best, reason]),
    [
      ['us', true, 'local-origin'],
      ['i1', false, 'local-origin'],
      ['i2', false, 'next-hop-unreachable'],
    ],
  );
  t.strictSame(model.prefixes(), ['203.0.113.0/24']);
  t.strictSame(model.fib().size, 0);
  t.end();
});
