/** What is reported arrives, in order and once, however much there is at a time. */
import t from 'tap';
import { StatusReport } from '../../src/fib/status-report.js';

t.test('any number of pairs, in any portions', (t) => {
  for (const portion of [1, 63, 64, 65, 8191, 8192, 8193, 40_000]) {
    const arrived: number[] = [];
    const kept: Uint32Array[] = [];
    const report = new StatusReport((pairs, count) => {
      kept.push(pairs);
      for (let i = 0; i < count; i++) arrived.push(pairs[i * 2]!, pairs[i * 2 + 1]!);
    });
    const expected: number[] = [];
    for (let id = 1; id <= 40_000; id++) {
      report.push(id, id % 4);
      expected.push(id, id % 4);
      if (id % portion === 0) report.flush();
    }
    report.flush();
    report.flush();
    t.ok(expected.length === arrived.length && expected.every((value, at) => value === arrived[at]), `by ${portion}`);
    // The receiver may keep what it was given.
    t.equal(kept[0]![0], 1);
    t.ok(kept.every((pairs) => pairs.length > 0));
  }
  t.end();
});
