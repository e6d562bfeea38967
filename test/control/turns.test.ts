/** Hundreds of readers take no more of an iteration of the event loop than one does. */
import t from 'tap';
import { Turns } from '../../src/control/turns.js';
import { FakeClock } from '../fixtures/fake-clock.js';

t.test('one slice an iteration, in the order of asking, however many wait', (t) => {
  const clock = new FakeClock({ alone: true });
  const turns = new Turns(clock);
  const done: number[] = [];
  for (let reader = 0; reader < 200; reader++) turns.call(() => done.push(reader));
  const slices: number[] = [];
  while (done.length < 200) {
    const before = done.length;
    clock.runSoon();
    slices.push(done.length - before);
  }
  t.strictSame(slices, Array<number>(200).fill(1));
  t.ok(done.every((reader, at) => reader === at));
  clock.runSoon();
  t.equal(done.length, 200, 'and then there is nothing more');
  t.end();
});

t.test('who goes on asks again, behind those who wait', async (t) => {
  const clock = new FakeClock({ alone: true });
  const turns = new Turns(clock);
  const done: string[] = [];
  const reader = async (name: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice++) {
      await turns.take();
      done.push(name);
    }
  };
  const both = Promise.all([reader('a'), reader('b')]);
  while (done.length < 6) {
    clock.runSoon();
    await Promise.resolve();
  }
  await both;
  t.equal(done.join(''), 'ababab');
});
