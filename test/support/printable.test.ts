/** Text on its way to a terminal. */
import t from 'tap';
import { printable, printableLines } from '../../src/support/printable.js';

t.test('what moves the cursor, turns the direction or is not seen is spelled out', (t) => {
  t.equal(printable('red \u001b[31m, C1 \u009b2J, bell \u0007, DEL \u007f'), 'red \\u001b[31m, C1 \\u009b2J, bell \\u0007, DEL \\u007f'); // prettier-ignore
  t.equal(
    printable('\u202egro \u200b\ufeff \u2028\u2029 \u{e0041}'),
    '\\u202egro \\u200b\\ufeff \\u2028\\u2029 \\u{e0041}',
  );
  t.equal(printable('half \ud83d of a pair, whole \u{1f422}'), 'half \\ud83d of a pair, whole \u{1f422}');
  t.equal(printable('two\nlines\ttabbed'), 'two\\u000alines\\u0009tabbed');
  t.equal(printable('Grüße, 世界, עולם'), 'Grüße, 世界, עולם');
  t.end();
});

t.test('lines stay lines', (t) => {
  t.equal(printableLines('one\ntwo\r\n\u001b[2J\n'), 'one\ntwo\\u000d\n\\u001b[2J\n');
  t.end();
});
