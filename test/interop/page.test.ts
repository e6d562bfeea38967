/** docs/interop.md has a row for every feature that is tested with other daemons, and no other; and it says of no one "no". */
import t from 'tap';
import { everyScenario } from './fixtures/matrix.js';
import { readPage } from './fixtures/page.js';

const COUNTS = ['BGP messages captured', 'of ours malformed (tshark)'];

t.test('the rows are the features of the scenarios', (t) => {
  const features = [...new Set(everyScenario().map(({ feature }) => feature))].sort();
  const page = readPage();
  t.equal(page.size, 5, [...page.keys()].join(', '));
  for (const [daemon, cells] of page) {
    t.same([...cells.keys()].filter((name) => !COUNTS.includes(name)).sort(), features, daemon);
    t.notOk(
      features.filter((feature) => !['yes', 'n/a'].includes(cells.get(feature)!)).join(', '),
      `${daemon}: yes, or not to be had`,
    );
    t.equal(cells.get(COUNTS[1]!), '0', `${daemon}: malformed messages`);
    t.ok(Number(cells.get(COUNTS[0]!)) > 100, `${daemon}: messages`);
  }
  t.end();
});

t.test('every feature has been seen with two daemons or more', (t) => {
  const page = [...readPage().values()];
  for (const { feature } of everyScenario()) {
    const count = page.filter((cells) => cells.get(feature) === 'yes').length;
    t.ok(count >= 2, `${feature}: ${count}`);
  }
  t.end();
});
