/** The loop's delay in the summary: what the daemon measures, and that a speaker in other programs needs no measuring. */
import t from 'tap';
import { measureLoopDelay } from '../../src/daemon-loop-delay.js';
import { until, Rig } from './fixtures/rig.js';

t.test('a loop that was held up shows it', async (t) => {
  const read = measureLoopDelay();
  // The first firing starts the counting.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const endMs = performance.now() + 120;
  while (performance.now() < endMs);
  await until(
    () => read().max >= 100,
    () => `a delay of 100 ms: ${JSON.stringify(read())}`,
  );
  const { p50, p99, p999, max } = read();
  t.ok(p50 >= 0 && p50 <= p99 && p99 <= p999, 'percentiles ascend');
  t.ok(p50 < max, 'the timer’s own interval is no delay');
});

t.test('null where nobody measures', async (t) => {
  const rig = new Rig(t);
  const reflector = await rig.reflector({ address: rig.address(1), config: {} });
  t.equal(reflector.speaker.summary().loopDelayMs, null);
});
