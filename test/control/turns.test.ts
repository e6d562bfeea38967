/** Hundreds of readers take no more of an iteration of the event loop than one does, nor does a list whose rows are slow. */
import { Writable } from 'node:stream';
import type { ServerResponse } from 'node:http';
import t from 'tap';
import { streamList } from '../../src/control/list-stream.js';
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

t.test('a list whose rows are slow: each in an iteration of its own', async (t) => {
  const clock = new FakeClock({ alone: true });
  let iteration = 0;
  const iterations: number[] = [];
  const rows = function* (slowMs: number): Generator<number> {
    for (let row = 0; row < 5; row++) {
      iterations.push(iteration);
      clock.advance(slowMs);
      yield row;
    }
  };
  const run = async (slowMs: number): Promise<string> => {
    let text = '';
    const response = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += String(chunk);
        done();
      },
    });
    iterations.length = iteration = 0;
    let over = false;
    const writing = streamList(
      Object.assign(response, { setHeader: () => response }) as unknown as ServerResponse,
      rows(slowMs),
      'json',
      clock,
      new Turns(clock),
    ).then(() => (over = true));
    for (; !over; iteration++) {
      clock.runSoon();
      for (let i = 0; i < 10; i++) await Promise.resolve();
    }
    await writing;
    return text;
  };
  t.same(JSON.parse(await run(30)), [0, 1, 2, 3, 4]);
  t.strictSame(
    iterations.map((at) => at - iterations[0]!),
    [0, 1, 2, 3, 4],
  );
  t.same(JSON.parse(await run(0)), [0, 1, 2, 3, 4]);
  t.strictSame(
    iterations.map((at) => at - iterations[0]!),
    [0, 0, 0, 0, 0],
    'quick ones together',
  );
});
