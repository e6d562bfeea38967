/** Rows against a Map, with removal and reuse; longest match against a scan. */
import fc, { runs } from '../fixtures/properties.js';
import { RouteMessage } from 'netlink';
import t from 'tap';
import { FamilyTable } from '../../src/fib/family-table.js';
import { NO_ID, PrefixTable } from '../../src/fib/prefix-table.js';

t.test('rows: found, added, released and used again like entries of a Map', (t) => {
  const prefix = fc.record({
    word: fc.constantFrom(0, 1, 2, 0x80000000, 0xffffffff),
    last: fc.nat(30),
    length: fc.nat(32),
  });
  const step = fc.record({ add: fc.boolean(), prefix });
  for (const words of [1, 4]) {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (history) => {
        const table = new PrefixTable(words);
        const model = new Map<string, number>();
        for (const { add, prefix } of history) {
          const key = Uint32Array.from({ length: words }, (_, i) => (i === words - 1 ? prefix.last : prefix.word));
          const name = `${String(key)}/${prefix.length}`;
          const row = table.find(key, 0, prefix.length);
          if (row !== (model.get(name) ?? -1)) throw new Error(`${name}: row ${row}`);
          if (add) {
            const added = table.findOrAdd(key, 0, prefix.length);
            table.prefixId[added] = 7;
            model.set(name, added);
          } else if (row >= 0) {
            table.releaseIfIdle(row);
            if (table.find(key, 0, prefix.length) !== row) throw new Error('released although it has an id');
            table.prefixId[row] = NO_ID;
            table.releaseIfIdle(row);
            model.delete(name);
          }
          if (table.used !== model.size) throw new Error(`${table.used} used, not ${model.size}`);
        }
        if (new Set(model.values()).size !== model.size) throw new Error('a row given out twice');
      }),
      { numRuns: runs(300) },
    );
  }
  t.pass();
  t.end();
});

t.test('longest match: as a scan over all routes finds it', (t) => {
  const route = fc.record({
    bits: fc.nat(15),
    length: fc.constantFrom(0, 1, 2, 3, 4),
    priority: fc.nat(3),
    protocol: fc.constantFrom(4, 186),
    type: fc.constantFrom(1, 2, 6, 9),
  });
  fc.assert(
    fc.property(fc.array(route, { maxLength: 20 }), fc.nat(15), (routes, address) => {
      const table = new FamilyTable('ipv4-unicast', { users: new Int32Array(1) });
      const mask = (bits: number, length: number) => bits & (0xf0 >> length) & 0xf;
      for (const [index, each] of routes.entries()) {
        const message = new RouteMessage();
        message.family = 2;
        message.dst[0] = mask(each.bits, each.length) << 4;
        message.dstLength = each.length;
        message.priority = each.priority;
        message.protocol = each.protocol;
        message.type = each.type;
        table.addForeign(table.rowOf(message, true), message, index + 2);
      }
      const candidates = routes.filter(
        (each) =>
          each.protocol !== 186 &&
          (each.type === 1 || each.type === 6) &&
          mask(each.bits, each.length) === mask(address, each.length),
      );
      candidates.sort((a, b) => b.length - a.length || a.priority - b.priority);
      const match = table.longestMatch(Uint8Array.of(address << 4, 1, 2, 3), 186);
      t.strictSame(
        match && [match.length, match.priority],
        candidates[0] && [candidates[0].length, candidates[0].priority],
      );
    }),
    { numRuns: runs(500) },
  );
  t.end();
});
