/**
 * Configuration documents: those of the examples and of test/config, damaged as text (octets, lines, words of other
 * documents, deep nesting). Reading one ends within reason with settings or with a `ConfigError` of problems that have a
 * place; it never shows a secret, and what was taken once is taken again and means the same.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { parseConfig } from '../../../src/index.js';
import { ConfigError } from '../../../src/config/problems.js';
import { ROOT_KEYS } from '../../../src/config/schema.js';
import { mutate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 20;
/** Of processor time, for a document of a few kilobytes; whether the machine has it to give is another matter. */
const LONGEST_MS = 5000;
const SECRET = 'gHeIm-7f3a91';
const WORDS = ['{', '}', '[', ']', '- ', ': ', ', ', '"', "'", '#', '&a ', '*a', '<<: ', '!!binary ', '|\n', '\t', '\u0000', '\ufeff', '0x10', '1e9', '-1', '.nan', 'null', '~', '0.0.0.0/0', '::/129', '300.1.1.1/8', '65000:1', '4294967296', '__proto__', 'constructor', 'toString']; // prettier-ignore

// The compiled file stands in dist/test/fuzz/targets.
const root = new URL('../../../../', import.meta.url);
let documents: readonly string[] | undefined;

function load(): readonly string[] {
  if (documents) return documents;
  const found: string[] = [];
  for (const folder of ['test/config/fixtures', 'examples']) {
    for (const name of readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' }).sort()) {
      if (/\.(yaml|json)$/.test(name) && !/bomb|secrets/.test(name))
        found.push(readFileSync(new URL(`${folder}/${name}`, root), 'utf8'));
    }
  }
  found.push(`asn: 65001\npeers:\n  - address: 192.0.2.1\n    asn: 65002\n    password: ${SECRET}\n`);
  return (documents = found.filter((text) => text.length < 8192));
}

function damaged(random: Random, texts: readonly string[]): string {
  let text = random.pick(texts);
  for (let times = random.below(4); times > 0; times--) {
    const lines = text.split('\n');
    const at = random.below(lines.length);
    switch (random.below(8)) {
      case 0:
        text = Buffer.from(mutate(random, Buffer.from(text))).toString('utf8');
        break;
      case 1:
        lines.splice(at, 1 + random.below(3));
        text = lines.join('\n');
        break;
      case 2: {
        const other = random.pick(texts).split('\n');
        const from = random.below(other.length);
        lines.splice(at, 0, ...other.slice(from, from + 1 + random.below(4)));
        text = lines.join('\n');
        break;
      }
      case 3:
        lines[at] = ' '.repeat(random.below(6)) + lines[at]!.trimStart();
        text = lines.join('\n');
        break;
      case 4:
        lines[at] = lines[at]!.replace(/[^\s:]+$/, random.pick(WORDS));
        text = lines.join('\n');
        break;
      case 5:
        lines.splice(at, 0, `${random.pick(Object.keys(ROOT_KEYS))}: ${random.pick(WORDS)}`);
        text = lines.join('\n');
        break;
      case 6: {
        const place = random.below(text.length + 1);
        text = text.slice(0, place) + random.pick(WORDS) + text.slice(place);
        break;
      }
      default: {
        const deep = random.below(300);
        text += `\nextra: ${'['.repeat(deep)}${random.chance(50) ? ']'.repeat(deep) : ''}`;
      }
    }
  }
  return text;
}

function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function read(text: string): Promise<string> {
  try {
    return JSON.stringify(await parseConfig(text, 'fuzz.yaml'));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.problems.length > 0, 'no problem is named');
    assert.ok(!error.message.includes(SECRET), 'a secret in an error');
    for (const problem of error.problems) assert.ok(!JSON.stringify(problem).includes(SECRET), 'a secret in a problem');
    return error.message;
  }
}

export const config: Target = {
  name: 'config',
  async episode(seed) {
    const random = new Random(seed);
    const texts = load();
    for (let i = 0; i < CASES; i++) {
      const text = damaged(random, texts);
      try {
        const startMs = spentMs();
        const meaning = await read(text);
        assert.ok(spentMs() - startMs < LONGEST_MS, 'it took too long');
        assert.equal(await read(text), meaning, 'read twice');
      } catch (error) {
        throw new FuzzFailure(`config: case ${i}`, text, error);
      }
    }
    return CASES;
  },
};
