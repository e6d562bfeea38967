/**
 * Configuration documents (config-grammar.ts). Reading one ends within reason with settings or with a `ConfigError`, each
 * problem of which has a place inside of the text and a path, shows no secret and moves no cursor. What was taken is taken
 * again and means the same; YAML and the same values as JSON get the same answer; policies that were taken can be compiled;
 * and no object that others use has changed.
 */
import assert from 'node:assert/strict';
import { parseConfig } from '../../../src/index.js';
import { diffSettings } from '../../../src/config/diff.js';
import { ConfigError } from '../../../src/config/problems.js';
import { readJson } from '../../../src/config/source.js';
import { readYaml } from '../../../src/config/yaml-source.js';
import type { Settings } from '../../../src/config/settings.js';
import { Policies } from '../../../src/policy/policies.js';
import { SECRET, damagedDocument } from '../config-grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 20;
/** Of the processor, for a document of a few kilobytes: a busy machine may take its time. */
const LONGEST_MS = 5000;
const LONGEST_PATH = 1000;
const LONGEST_MESSAGE = 2500;
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Everything that objects have without being asked. */
const builtIns = (): string =>
  [Object, Object.prototype, Array.prototype, Function.prototype, String.prototype]
    .map((one) => Object.getOwnPropertyNames(one).length)
    .join();

/** Whether the secret has become the name of something, with nothing beside it that says so: then it cannot be told. */
function isName(value: unknown, seen = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || seen.has(value)) return false;
  seen.add(value);
  const hasNoValue = Object.hasOwn(value, 'password') && (value as { password: unknown }).password === null;
  const names = Object.keys(value).filter((name) => name.includes(SECRET) && !/password/i.test(name));
  return (names.length > 0 && !hasNoValue) || Object.values(value).some((part) => isName(part, seen));
}

interface Outcome {
  readonly settings?: Settings;
  readonly problems: ConfigError['problems'];
}

async function read(text: string): Promise<Outcome> {
  try {
    return { settings: await parseConfig(text, 'fuzz.yaml'), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.problems.length > 0, 'no problem is named');
    if (error.message.includes(SECRET) && !isName(readYaml(text).value))
      assert.fail(`a secret in an error: ${error.message}`);
    return { problems: error.problems };
  }
}

function checkProblems(text: string, problems: ConfigError['problems']): void {
  const lines = (text.startsWith('\ufeff') ? text.slice(1) : text).split('\n');
  const said = new Set<string>();
  for (const problem of problems) {
    const { line, column, path, message } = problem;
    const shown = JSON.stringify(problem);
    const at = lines[line - 1];
    assert.ok(at !== undefined && column >= 1 && column <= at.length + 1, `no place of the text: ${shown}`);
    assert.doesNotMatch(path + message, HIDDEN, 'would move a cursor');
    assert.ok(path.length < LONGEST_PATH && message.length < LONGEST_MESSAGE, `too long: ${shown}`);
    assert.ok(message.length > 0);
    assert.ok(!said.has(shown), `said twice: ${shown}`);
    said.add(shown);
  }
}

/** What was taken. */
function checkSettings(settings: Settings, again: Settings): void {
  assert.deepEqual(again, settings, 'read twice');
  assert.ok(diffSettings(settings, again).isEmpty, 'what is the same differs');
  const policies = new Policies(
    { definitions: settings.policy, ownAs: settings.asn, ownNetworks: [], functions: {}, failed: () => undefined },
    undefined,
  );
  for (const direction of ['import', 'export'] as const) {
    for (const peer of [...settings.peers, ...settings.listenRanges.map((range) => range.peer)])
      policies.seesOwn(direction, peer[direction]);
    for (const name of Object.keys(settings.policy.policies)) policies.seesOwn(direction, [name]);
  }
}

/** The same values as JSON: the same settings, or the same problems in the same places of the document. */
async function checkOtherForm(text: string, first: Outcome): Promise<void> {
  const plain = text.startsWith('\ufeff') ? text.slice(1) : text;
  const yaml = readYaml(plain);
  const json = readJson(plain);
  if (json) {
    assert.deepEqual(yaml.problems, [], 'JSON is YAML');
    assert.deepEqual(yaml.value, json.value, 'JSON read as YAML');
  }
  if (yaml.problems.length > 0) return;
  let other: string;
  try {
    other = JSON.stringify(yaml.value);
  } catch {
    // A part stands inside of itself.
    return;
  }
  // null is all that JSON has in the place of a number that is none.
  if (typeof other !== 'string' || /\.(nan|inf)/i.test(text) || /\d[eE]\+?\d{3}/.test(text)) return;
  const second = await read(other);
  const meaning = ({ problems }: Outcome): string[] =>
    problems.map(({ path, message }) => `${path}: ${message}`).sort();
  if (yaml.value !== null) assert.deepEqual(meaning(second), meaning(first), 'problems of the same as JSON');
  // As text: JSON has no -0.
  assert.equal(JSON.stringify(second.settings), JSON.stringify(first.settings), 'the same as JSON');
}

export const config: Target = {
  name: 'config',
  async episode(seed) {
    const random = new Random(seed);
    const before = builtIns();
    for (let i = 0; i < CASES; i++) {
      const text = damagedDocument(random);
      try {
        const start = process.cpuUsage();
        const first = await read(text);
        assert.ok(process.cpuUsage(start).user / 1000 < LONGEST_MS, 'it took too long');
        checkProblems(text, first.problems);
        const second = await read(text);
        assert.deepEqual(second.problems, first.problems, 'read twice');
        if (first.settings) checkSettings(first.settings, second.settings!);
        await checkOtherForm(text, first);
        assert.equal(builtIns(), before, 'what all objects have is another');
      } catch (error) {
        throw new FuzzFailure(`config: case ${i}`, JSON.stringify(text), error);
      }
    }
    return CASES;
  },
};
