/**
 * `advertise: whenInstalled`: whatever happens, peers hold what they would hold without it, less what the kernel does not
 * have; in any order of the kernel's answers, and through switching it on and off.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import type { PathAttributes } from '../model/attributes.js';
import { ModelUnderTest, type Operation } from '../model/operations.js';
import { PEERS, sequence } from '../model/scenario-kit.js';
import { checkHistories } from './fixtures/check-property.js';
import { RibHarness } from './fixtures/harness.js';
import { PREFIXES, SPEAKER } from './fixtures/histories.js';

const attributes: PathAttributes = { origin: 0, asPath: sequence(65001), nextHop: '192.0.2.1' };
const announce = (peer: string, prefix: string, more: Partial<PathAttributes> = {}): Operation => ({
  op: 'announce',
  peer,
  prefix,
  attributes: { ...attributes, ...more },
});

function rig(): RibHarness {
  const rib = new RibHarness(SPEAKER);
  rib.pipeline.advertiseWhenInstalled(true);
  for (const peer of [PEERS.e1, PEERS.i1]) rib.apply({ op: 'establish', peer });
  for (const address of ['192.0.2.1', '192.0.2.2']) rib.apply({ op: 'nextHop', address, metric: 0 });
  rib.settle();
  return rib;
}

t.test('told when installed, taken back when it fails, own prefixes at once', (t) => {
  const rib = rig();
  const heard = (): string[] => [...rib.advertised('i1').keys()].sort();
  rib.apply(announce('e1', '10.0.0.0/24'));
  rib.apply({ op: 'originate', prefix: '172.17.0.0/24' });
  rib.turn();
  rib.turn();
  const session = rib.session('i1').read();
  t.notOk(session.routes.has('10.0.0.0/24') && !rib.kernel.routes.has('10.0.0.0/24'), 'never before the kernel');
  t.same(heard(), ['10.0.0.0/24', '172.17.0.0/24']);

  rib.kernel.refuse(new Set(['10.0.1.0/24']));
  rib.apply(announce('e1', '10.0.1.0/24'));
  t.same(heard(), ['10.0.0.0/24', '172.17.0.0/24'], 'what the kernel refuses is not told');
  rib.kernel.refuse(new Set(['10.0.0.0/24']));
  t.same(heard(), ['10.0.1.0/24', '172.17.0.0/24'], 'what it has lost is withdrawn; what works after all is told');

  // Another next hop for what is installed: the change goes out without a withdrawal.
  rib.apply(announce('e1', '10.0.1.0/24', { med: 7 }));
  t.equal(rib.advertised('i1').get('10.0.1.0/24')?.med, 7);

  rib.pipeline.advertiseWhenInstalled(false);
  t.same(heard(), ['10.0.0.0/24', '10.0.1.0/24', '172.17.0.0/24'], 'off');
  rib.pipeline.advertiseWhenInstalled(true);
  t.same(heard(), ['10.0.1.0/24', '172.17.0.0/24'], 'on again');
  const [member] = rib.members('i1');
  t.equal(rib.pipeline.exporter.advertisedCount(member!), 2, 'the count leaves out what is held');
  rib.kernel.refuse(new Set());
  rib.apply({ op: 'unoriginate', prefix: '172.17.0.0/24' });
  rib.settle();
  rib.checkNothingIsLeft();
  t.end();
});

t.test('a prefix that the kernel has not answered for holds up what waits for the kernel side', (t) => {
  const rib = rig();
  rib.apply(announce('e1', '10.0.0.0/24'));
  rib.pipeline.turn();
  let idle = false;
  rib.pipeline.afterFibIdle(() => (idle = true));
  rib.pipeline.turn();
  t.equal(idle, false, 'submitted, not answered');
  rib.settle();
  rib.pipeline.turn();
  t.equal(idle, true);
  t.end();
});

t.test('any history', (t) => {
  checkHistories(
    ({ batches, peers, manners, stalled }) => {
      const model = new ModelUnderTest(SPEAKER);
      const real = new RibHarness(SPEAKER, manners);
      for (const [i, batch] of batches.entries()) {
        const on = i % 4 !== 3;
        real.pipeline.advertiseWhenInstalled(on);
        // Another part of the table fails each time.
        const refused = new Set(PREFIXES.filter((_, index) => (index + i) % 3 === 0));
        if (i % 2 === 0) real.kernel.refuse(refused);
        for (const operation of batch) model.apply(operation);
        real.applyAll(batch);
        if (i % 2 === 1) real.kernel.refuse(refused);
        real.stall(stalled[i]!);
        real.settle();
        const missing = on ? [...refused].filter((prefix) => model.fib().has(prefix)) : [];
        for (const { id } of peers) {
          if (stalled[i]!.has(id)) continue;
          const expected = new Map(model.advertised(id));
          for (const prefix of missing) expected.delete(prefix);
          assert.deepEqual(real.advertised(id), expected, `advertised to ${id}`);
          assert.deepEqual(real.claimed(id), expected, `said to be advertised to ${id}`);
        }
      }
      real.stall(new Set());
      real.kernel.refuse(new Set());
      for (const { id } of peers) assert.deepEqual(real.advertised(id), model.advertised(id), 'in the end');
      real.checkNothingIsLeft();
    },
    { usual: 500 },
  );
  t.end();
});
