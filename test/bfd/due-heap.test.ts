/** The order of due times, against sorting. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { DueHeap, type Due } from '../../src/bfd/due-heap.js';

interface Item extends Due {
  dueMs: number;
}

type Operation = ['add', number] | ['change', number, number] | ['remove', number];

const times = fc.integer({ min: 0, max: 100 });
const operations = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('add' as const), times),
    fc.tuple(fc.constant('change' as const), fc.nat(50), times),
    fc.tuple(fc.constant('remove' as const), fc.nat(50)),
  ) as fc.Arbitrary<Operation>,
  { maxLength: 200 },
);

t.test('what is due is found, in any order of changes', (t) => {
  fc.assert(
    fc.property(operations, (list) => {
      const heap = new DueHeap<Item>();
      const items: Item[] = [];
      for (const operation of list) {
        const item = operation[0] === 'add' ? undefined : items[operation[1] % (items.length || 1)];
        if (operation[0] === 'add') {
          const added = { dueMs: operation[1], heapIndex: -1 };
          items.push(added);
          heap.add(added);
        } else if (item && operation[0] === 'change') {
          item.dueMs = operation[2];
          // Becoming later need not be told.
          heap.update(item);
        } else if (item) {
          items.splice(items.indexOf(item), 1);
          heap.remove(item);
        }
        const least = Math.min(Infinity, ...items.map(({ dueMs }) => dueMs));
        if (heap.size !== items.length || heap.firstMs > least) return false;
      }
      // Taken out one after the other, they come by their time.
      let before = -1;
      for (let now = 0; now <= 100; now++) {
        for (let item = heap.due(now); item; item = heap.due(now)) {
          if (item.dueMs > now || item.dueMs < before) return false;
          before = item.dueMs;
          items.splice(items.indexOf(item), 1);
          heap.remove(item);
        }
        if (items.some(({ dueMs }) => dueMs <= now)) return false;
      }
      return heap.size === 0 && items.length === 0;
    }),
    { numRuns: runs(300) },
  );
  t.pass('300 runs');
  t.end();
});
