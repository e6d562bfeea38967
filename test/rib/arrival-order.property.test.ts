/**
 * RFC 4271 §9.1.2.2 leaves it open, we do not: what is best, why, and what each peer is told depend on the paths alone,
 * never on the order in which they came or on where the turns of the pipeline fell.
 */
import assert from 'node:assert/strict';
import fc from '../fixtures/properties.js';
import t from 'tap';
import type { Operation, Verdict } from '../model/operations.js';
import { checkHistories } from './fixtures/check-property.js';
import { RibHarness } from './fixtures/harness.js';
import { histories, PREFIXES, SPEAKER, type History } from './fixtures/histories.js';

/** The last word of each peer about each path, after the sessions are up; once in order and once shuffled. */
const reordered: fc.Arbitrary<History> = histories.chain((history) => {
  const [start, ...rest] = history.batches as [Operation[], ...Operation[][]];
  const up = new Set(start.flatMap((operation) => (operation.op === 'establish' ? [operation.peer.id] : [])));
  const last = new Map<string, Operation>();
  for (const operation of rest.flat()) {
    if (operation.op !== 'announce' || !up.has(operation.peer)) continue;
    last.set(`${operation.peer} ${operation.prefix} ${operation.pathId}`, operation);
  }
  const announcements = [...last.values()];
  return fc
    .tuple(
      fc.shuffledSubarray(announcements, { minLength: announcements.length }),
      fc.shuffledSubarray(start, { minLength: start.length }),
    )
    .map(([shuffled, shuffledStart]) => ({ ...history, batches: [start, announcements, shuffledStart, shuffled] }));
});

const byPath = (verdicts: Verdict[]): Record<string, Verdict> =>
  Object.fromEntries(verdicts.map((verdict) => [`${verdict.peer} ${verdict.pathId}`, verdict]));

t.test('the order of arrival decides nothing', (t) => {
  let runs = 0;
  checkHistories(
    ({ batches, manners, peers }) => {
      const [start, announcements, shuffledStart, shuffled] = batches;
      // In turn with MEDs compared across neighbouring ASes, and two paths at a time.
      const kind = runs++ % 4;
      const speaker = { ...SPEAKER, alwaysCompareMed: kind === 1, deterministicMed: kind < 2 };
      const inOrder = new RibHarness(speaker, manners);
      inOrder.applyAll([...start!, ...announcements!]);
      const otherwise = new RibHarness(speaker, manners);
      otherwise.applyAll(shuffledStart!);
      for (const operation of shuffled!) {
        otherwise.apply(operation);
        otherwise.turn();
      }
      for (const prefix of PREFIXES) {
        assert.deepEqual(byPath(otherwise.verdicts(prefix)), byPath(inOrder.verdicts(prefix)), prefix);
      }
      assert.deepEqual(otherwise.fib(), inOrder.fib());
      for (const { id } of peers) assert.deepEqual(otherwise.advertised(id), inOrder.advertised(id), id);
    },
    { arbitrary: reordered, usual: 1000 },
  );
  t.end();
});
