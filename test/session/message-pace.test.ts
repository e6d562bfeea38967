/** `MessagePace`: over any time as many messages are read as its rate and a second's worth allow, and no fewer. */
import fc from '../fixtures/properties.js';
import t from 'tap';
import { MessagePace } from '../../src/session/message-pace.js';

t.test('a second at once, then the rate', (t) => {
  const pace = new MessagePace();
  t.equal(pace.read(100, 100, 5000), 0);
  t.equal(pace.read(4, 100, 5000), 0, 'too little to wait for');
  t.equal(pace.read(1, 100, 5000), 50, 'but added up');
  t.equal(pace.read(0, 100, 5050), 0);
  t.equal(pace.read(250, 100, 5050), 2500);
  t.equal(pace.read(0, 100, 6550), 1000, 'asked again before its time');
  t.equal(pace.read(0, 100, 7550), 0);
  t.equal(pace.read(100, 100, 60_000), 0, 'what was not used is not saved');
  t.equal(pace.read(5, 100, 60_000), 50);
  t.end();
});

t.test('a reader that waits as told', (t) => {
  const parts = fc.array(fc.record({ count: fc.nat(500), restMs: fc.nat(3000) }), { minLength: 1 });
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 100_000 }), parts, (rate, reads) => {
      const pace = new MessagePace();
      let nowMs = 0;
      let all = 0;
      let restMs = 0;
      for (const read of reads) {
        all += read.count;
        nowMs += pace.read(read.count, rate, nowMs);
        // All that has been read had its time, but for the first second's worth.
        if ((all * 1000) / rate > nowMs + 1000 + 50) return false;
        nowMs += read.restMs;
        restMs += read.restMs;
      }
      // It has waited no longer than all of it takes at the rate, and what rounding adds.
      return nowMs - restMs <= (all * 1000) / rate + reads.length;
    }),
  );
  t.end();
});
