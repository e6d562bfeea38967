/**
 * `npm run fuzz [-- --minutes N] [--messages N] [--target NAME …] [--seed N] [--episodes N]`, the names of targets.ts
 *
 * Runs episodes of the targets in turn until time, messages or episodes are used up. Every episode follows from its seed;
 * a failure says which one it was, how to run it again, and what was being read. Memory is measured after each collection
 * (needs --expose-gc, which the npm script gives) and its slope reported.
 */
import { parseArgs } from 'node:util';
import { seedOf } from './target.js';
import { TARGETS } from './targets.js';

interface Totals {
  episodes: number;
  messages: number;
  ms: number;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    messages: { type: 'string' },
    episodes: { type: 'string' },
    target: { type: 'string', multiple: true },
    seed: { type: 'string' },
  },
});

const names = values.target ?? Object.keys(TARGETS);
const unknown = names.find((name) => !TARGETS[name]);
if (unknown !== undefined) {
  console.error(`no target ${unknown}: there are ${Object.keys(TARGETS).join(', ')}`);
  process.exit(2);
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const limits = {
  ms: Number(values.minutes ?? ((values.messages ?? values.episodes) ? Infinity : 1)) * 60_000,
  messages: Number(values.messages ?? Infinity),
  episodes: Number(values.episodes ?? Infinity),
};
const totals = new Map<string, Totals>(names.map((name) => [name, { episodes: 0, messages: 0, ms: 0 }]));
/** Messages so far, megabytes in use, megabytes resident. */
const samples: (readonly [number, number, number])[] = [];
const startMs = performance.now();
let episode = 0;
let reportMs = startMs;

const count = (): number => [...totals.values()].reduce((sum, { messages }) => sum + messages, 0);

async function sample(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  // What the last episode has left under way goes first, and buffers only with the second collection.
  await new Promise((resolve) => setTimeout(resolve, 5));
  gc?.();
  gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  samples.push([count(), (heapUsed + arrayBuffers) / 1e6, rss / 1e6]);
}

function report(): void {
  const seconds = (performance.now() - startMs) / 1000;
  const each = [...totals].map(([name, { episodes, messages }]) => `${name} ${messages} in ${episodes}`).join(', ');
  console.log(
    `${seconds.toFixed(0)} s: ${count()} messages (${each} episodes), ${samples.at(-1)![1].toFixed(1)} MB, resident ${samples.at(-1)![2].toFixed(0)} MB`,
  );
}

/** Least squares over the second half, when everything is warm: octets a million messages, with its standard error. */
function slope(column: 1 | 2): string {
  const late = samples.slice(samples.length >> 1);
  const n = late.length;
  const meanX = late.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = late.reduce((sum, row) => sum + row[column], 0) / n;
  const over = late.reduce((sum, row) => sum + (row[0] - meanX) * (row[column] - meanY), 0);
  const under = late.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (under === 0 || n < 3) return 'not known';
  const each = over / under;
  const rest = late.reduce((sum, row) => sum + (row[column] - meanY - each * (row[0] - meanX)) ** 2, 0);
  const error = Math.sqrt(rest / (n - 2) / under);
  return `${(each * 1e6).toFixed(3)} ± ${(error * 1e6).toFixed(3)} MB`;
}

console.log(`seed ${seed}, targets ${names.join(', ')}`);
/** The target that has had the least time. */
function next(): string {
  return names.reduce((least, name) => (totals.get(name)!.ms < totals.get(least)!.ms ? name : least));
}

while (performance.now() - startMs < limits.ms && count() < limits.messages && episode < limits.episodes) {
  const name = next();
  const mine = limits.episodes === 1 ? seed : seedOf(seed, episode);
  const before = performance.now();
  const sum = totals.get(name)!;
  try {
    sum.messages += await TARGETS[name]!.episode(mine);
  } catch (error) {
    console.error(`FAILED after ${count()} messages: npm run fuzz -- --target ${name} --seed ${mine} --episodes 1`);
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
  sum.episodes++;
  sum.ms += performance.now() - before;
  episode++;
  if (performance.now() - reportMs > 30_000 || samples.length === 0) {
    await sample();
    report();
    reportMs = performance.now();
  }
}
await sample();
report();
console.log(
  `a million messages, over the second half (${samples.length} samples): heap and buffers ${slope(1)}, resident ${slope(2)}`,
);
