/**
 * The hint to the kernel side when a session ends: which next hops are lost, that it comes before the routes change, and
 * that it is taken back where it has to be.
 */
import t from 'tap';
import { P, say, start, SPEAKER, up } from '../model/scenario-kit.js';
import type { Operation } from '../model/operations.js';
import { RibHarness } from './fixtures/harness.js';

const BACKUPS: Operation = { op: 'forwarding', settings: { ebgp: 1, ibgp: 1, asPath: 'length', backup: true } };

function speaker(...operations: Operation[]): RibHarness {
  const rib = new RibHarness(SPEAKER);
  for (const operation of [...start, BACKUPS, ...operations]) rib.apply(operation);
  rib.settle();
  return rib;
}

/** Addresses of the next hops that the kernel side has been told are lost. */
const lost = (rib: RibHarness): string[] => [...rib.kernel.lost].map((id) => rib.kernel.address(id)).sort();

t.test('lost before the routes change, forgotten when they have', (t) => {
  const rib = speaker(say('e1', [65001]), say('e2', [65002, 7]));
  t.strictSame([...rib.fib()], [[P, '192.0.2.1 | 192.0.2.2']]);
  let before: string | undefined;
  let paths = 0;
  rib.kernel.onLost = () => {
    before = rib.kernel.routes.get(P);
    paths = rib.pipeline.rib.families[0].paths.count;
  };
  rib.apply({ op: 'down', peer: 'e1' });
  rib.settle();
  t.equal(before, '192.0.2.1 | 192.0.2.2', 'the route still had its backup when the hint came');
  t.equal(paths, 2, 'and the walk that takes the paths had not begun');
  t.strictSame([...rib.fib()], [[P, '192.0.2.2']]);
  for (let turns = 0; turns < 4; turns++) rib.turn();
  t.strictSame(lost(rib), [], 'a next hop that nobody has is forgotten, and the hint with it');
  t.end();
});

t.test('not lost while another peer gives the same next hop', (t) => {
  const rib = speaker(say('i1', [7], { nextHop: '10.0.0.9' }), say('i2', [7], { nextHop: '10.0.0.9' }));
  rib.apply({ op: 'down', peer: 'i1' });
  rib.settle();
  t.strictSame(lost(rib), []);
  rib.apply({ op: 'down', peer: 'i2' });
  rib.turn();
  t.strictSame(lost(rib), ['10.0.0.9'], 'the last one to give it takes it along');
  t.end();
});

t.test('not lost in a graceful restart', (t) => {
  const rib = speaker(say('e1', [65001]));
  rib.apply({ op: 'down', peer: 'e1', keepStale: true });
  rib.settle();
  t.strictSame(lost(rib), []);
  t.strictSame([...rib.fib()], [[P, '192.0.2.1']]);
  t.end();
});

t.test('taken back when a path has it again before everything is told', (t) => {
  const rib = speaker(say('e1', [65001]));
  rib.kernel.canSubmit = false;
  rib.apply({ op: 'down', peer: 'e1' });
  rib.turn();
  t.strictSame(lost(rib), ['192.0.2.1']);
  for (const operation of [...up('e1'), say('e1', [65001])]) rib.apply(operation);
  rib.turn();
  t.strictSame(lost(rib), [], 'found');
  rib.kernel.canSubmit = true;
  t.strictSame([...rib.fib()], [[P, '192.0.2.1']]);
  t.strictSame(rib.kernel.routesViaLost(), []);
  t.end();
});
