/** Columns: nothing is cut, what can fit fits, and a wide word gets its own line. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { layoutPairs, layoutRow, planWidths, wrap, type Column } from '../../src/cli/output/layout.js';

const columns: Column[] = [
  { title: 'Prefix', least: 6, most: 12 },
  { title: 'Via', least: 4, most: 10, align: 'right' },
  { title: 'Why', least: 8, most: 40 },
];

t.test('plain rows', (t) => {
  const row = ['10.0.0.0/8', 'here', 'only path'];
  const widths = planWidths(columns, [row], 80);
  t.same(widths, [10, 4, 9]);
  t.equal(layoutRow(columns, widths, row), '10.0.0.0/8  here  only path\n');
  t.equal(layoutRow(columns, [12, 6, 9], ['a', 'b', '']), 'a                  b\n', 'no spaces at the end');
  t.end();
});

t.test('a wide word has its own line, and the row goes on below it', (t) => {
  t.equal(
    layoutRow(columns, [8, 4, 10], ['2001:db8::/32', 'here', 'a longer reason']),
    '2001:db8::/32\n          here  a longer\n                reason\n',
  );
  t.equal(
    layoutRow(columns, [8, 4, 10], ['10/8', 'a-wide-word', 'end']),
    '10/8      a-wide-word\n                end\n',
  );
  t.end();
});

t.test('newlines in cells are kept', (t) => {
  t.equal(layoutRow(columns, [8, 4, 10], ['a', 'b\nc', 'd']), 'a            b  d\n             c\n');
  t.end();
});

t.test('widths shrink from the last column on, and not below the least', (t) => {
  const wide = ['x'.repeat(30), 'y'.repeat(30), 'z'.repeat(60)];
  t.same(planWidths(columns, [wide], 80), [12, 10, 40]);
  t.same(planWidths(columns, [wide], 40), [12, 10, 14]);
  t.same(planWidths(columns, [wide], 20), [6, 4, 8]);
  t.end();
});

t.test('properties', (t) => {
  const word = fc.stringMatching(/^[!-~]{1,30}$/);
  const cell = fc.array(word, { maxLength: 6 }).map((words) => words.join(' '));
  const row = fc.tuple(cell, cell, cell);
  fc.assert(
    fc.property(row, fc.array(row, { maxLength: 3 }), fc.integer({ min: 30, max: 120 }), (shown, first, total) => {
      const widths = planWidths(columns, first, total);
      const text = layoutRow(columns, widths, shown);
      const sorted = (value: string): string => value.split(/\s+/).filter(Boolean).sort().join(' ');
      // Every word is there, whole, and nothing else is.
      if (sorted(text) !== sorted(shown.join(' '))) return false;
      const fits = shown.every((value, index) => value.split(' ').every((part) => part.length <= widths[index]!));
      return !fits || text.split('\n').every((line) => line.length <= total);
    }),
    { numRuns: runs(2000) },
  );
  t.pass('rows keep their words and their width');
  t.end();
});

t.test('wrap and pairs', (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three']);
  t.same(wrap('', 7), ['']);
  t.equal(
    layoutPairs(
      [
        ['A', '1'],
        ['Longer', 'x y'],
      ],
      80,
    ),
    'A       1\nLonger  x y\n',
  );
  t.end();
});
