/**
 * Random histories, played to the real pipeline and to the naive model: they agree on every candidate and its reason, on
 * what the kernel is told, and on what every peer holds after reading the UPDATE messages it was sent.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { ModelUnderTest, type Verdict } from '../model/operations.js';
import { checkHistories } from './fixtures/check-property.js';
import { RibHarness } from './fixtures/harness.js';
import { PREFIXES, SPEAKER } from './fixtures/histories.js';

const sorted = (verdicts: Verdict[]): Verdict[] =>
  verdicts.sort((a, b) => String(a.peer).localeCompare(String(b.peer)) || a.pathId - b.pathId);

t.test('best paths, reasons, kernel routes and Adj-RIB-Out', (t) => {
  let runs = 0;
  checkHistories(({ batches, peers, manners, stalled }) => {
    // In turn with MEDs compared across neighbouring ASes, and two paths at a time.
    const kind = runs++ % 4;
    const speaker = { ...SPEAKER, alwaysCompareMed: kind === 1, deterministicMed: kind < 2 };
    const model = new ModelUnderTest(speaker);
    const real = new RibHarness(speaker, manners);
    const compareAdvertised = (id: string): void => {
      const expected = model.advertised(id);
      assert.deepEqual(real.advertised(id), expected, `advertised to ${id}`);
      if (real.isUp(id)) {
        const families = peers.find((peer) => peer.id === id)!.families;
        assert.deepEqual([...real.endOfRibSeen(id)].sort(), [...families].sort(), `End-of-RIB to ${id}`);
        assert.equal(real.session(id).read().openRefreshes.size, 0, `refreshes of ${id} have ended`);
      }
      assert.deepEqual(real.claimed(id), expected, `said to be advertised to ${id}`);
    };
    for (const [i, batch] of batches.entries()) {
      for (const operation of batch) model.apply(operation);
      real.applyAll(batch);
      real.stall(stalled[i]!);
      for (const prefix of PREFIXES) {
        assert.deepEqual(sorted(real.verdicts(prefix)), sorted(model.verdicts(prefix)), prefix);
      }
      assert.deepEqual(real.fib(), model.fib(), 'kernel routes');
      assert.deepEqual(real.kernel.routesViaLost(), [], 'kernel routes through next hops said to be lost');
      real.checkCounters();
      for (const { id } of peers) if (!stalled[i]!.has(id)) compareAdvertised(id);
    }
    real.stall(new Set());
    for (const { id } of peers) compareAdvertised(id);
    real.checkNothingIsLeft();
  });
  t.end();
});
