/**
 * The fuzzers for a moment: the corpus is replayed, and each target runs some seconds, always from the same seed: whoever
 * changes something is told of what the change has done. What is new is looked for by `npm run fuzz -- --minutes 600`, from
 * another seed each time. TORTIE_FUZZ_SECONDS and TORTIE_FUZZ_SEED change the time of each target and the seed.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { seedOf } from './target.js';
import { TARGETS } from './targets.js';
import { checkUpdate, codecSession } from './targets/codec.js';

interface CorpusUpdate {
  readonly why: string;
  readonly external: boolean;
  readonly fourOctetAs: boolean;
  readonly addPath: boolean;
  readonly body: string;
  readonly verdict: number;
}

const SECONDS = Number(process.env['TORTIE_FUZZ_SECONDS'] ?? 7);
const SEED = Number(process.env['TORTIE_FUZZ_SEED'] ?? 4271);

// The compiled file stands in dist/test/fuzz.
const corpus = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../test/fuzz/corpus/${name}.json`, import.meta.url), 'utf8'));

t.setTimeout(300_000);

t.test('corpus: UPDATE messages', (t) => {
  for (const { why, external, fourOctetAs, addPath, body, verdict } of corpus('updates') as CorpusUpdate[]) {
    t.equal(checkUpdate(Buffer.from(body, 'hex'), codecSession(external, fourOctetAs, addPath)), verdict, why);
  }
  t.end();
});

t.test('corpus: episodes', async (t) => {
  for (const [name, seeds] of Object.entries(corpus('episodes') as Record<string, number[]>)) {
    for (const seed of seeds) t.ok((await TARGETS[name]!.episode(seed)) > 0, `${name} ${seed}`);
  }
});

t.test('an episode follows from its seed', async (t) => {
  for (const target of Object.values(TARGETS)) {
    t.equal(await target.episode(5), await target.episode(5), target.name);
  }
});

for (const target of Object.values(TARGETS)) {
  t.test(`${target.name}, for some seconds`, async (t) => {
    const endMs = performance.now() + SECONDS * 1000;
    let messages = 0;
    for (let episode = 0; performance.now() < endMs; episode++) {
      const seed = seedOf(SEED, episode);
      try {
        messages += await target.episode(seed);
      } catch (error) {
        t.fail(`npm run fuzz -- --target ${target.name} --seed ${seed} --episodes 1`);
        t.fail(error instanceof Error ? error.message : String(error));
        return;
      }
    }
    t.ok(messages > 0, `${messages} messages`);
  });
}
