/** What the warm-up feeds is good: a malformed message would warm up the error path instead. And it ends. */
import t from 'tap';
import { HEADER_LENGTH, decodeUpdate } from 'bgp-parse';
import { systemClock } from '../../src/support/clock.js';
import { SETS, WITHDRAW, warmUp, writeUpdate } from '../../src/warm-up.js';

t.test('every message is a valid UPDATE with six prefixes', (t) => {
  const bytes = new Uint8Array(256);
  const prefixes = new Set<string>();
  for (const generation of [1, 2, WITHDRAW]) {
    for (let set = 0; set < SETS; set += 7) {
      const length = writeUpdate(bytes, set, generation);
      const update = decodeUpdate(bytes, HEADER_LENGTH, length, { external: true, fourOctetAs: true });
      if (update.errors.length > 0) throw update.errors[0]!;
      const list = generation === WITHDRAW ? update.withdrawn : update.nlri;
      if (list.length !== 6) throw new Error(`set ${set}: ${list.length} prefixes`);
      for (const prefix of list) prefixes.add(prefix.bytes.join('.'));
    }
  }
  t.equal(prefixes.size, Math.ceil(SETS / 7) * 6, 'no two sets share a prefix');
  t.end();
});

for (const withPolicy of [false, true]) {
  t.test(
    `it works in slices while nothing else is to be done, and ends by itself${withPolicy ? ': policies' : ''}`,
    async (t) => {
      let timers = 0;
      let asked = 0;
      const done = new Promise<void>((resolve) => {
        const clock = {
          ...systemClock,
          after: (_delayMs: number, run: () => void) => systemClock.after(0, run),
          every: (_intervalMs: number, run: () => void) => {
            timers++;
            const cancel = systemClock.every(1, run);
            return () => {
              timers--;
              cancel();
              resolve();
            };
          },
        };
        warmUp(clock, () => ++asked % 3 === 0, { withPolicy, withFib: withPolicy });
      });
      await done;
      t.equal(timers, 0);
      t.ok(asked > 30, `${asked} slices`);
    },
  );
}
