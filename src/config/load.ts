/**
 * File to settings. Two passes, both of which report everything they find: shapes (zod, one value at a time) and sense
 * (`sense.ts`, values against each other). Only a file without any problem becomes settings.
 *
 * Values never appear in an error when the key is secret.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { printable } from '../support/printable.js';
import { Draft, childOf } from './draft.js';
import { ConfigError, formatPath, type Path, type Problem } from './problems.js';
import { resolveSettings } from './resolve.js';
import { ROOT, ROOT_KEYS, type RawConfig } from './schema.js';
import { readSecrets } from './secret-file.js';
import { checkSense } from './sense.js';
import { isSecret, lacksSecret, shownInsteadOf, shownKey, shownName } from './shown.js';
import type { Keys, Kind } from './kinds.js';
import type { Settings } from './settings.js';
import { readJson, type Source } from './source.js';

/** More is not written by people, and would only occupy memory while it is refused. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Reads and checks a file. Rejects with a `ConfigError` that holds all problems; a file that cannot be read is one, too. */
export async function loadConfig(file: string, functions: readonly string[] = []): Promise<Settings> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new ConfigError(file, [{ line: 1, column: 1, path: '', message: explainRead(error) }]);
  }
  if (bytes.length > MOST_BYTES) {
    throw new ConfigError(file, [
      { line: 1, column: 1, path: '', message: `the file is larger than ${MOST_BYTES >> 20} MB` },
    ]);
  }
  return parseConfig(bytes.toString('utf8'), file, functions);
}

function explainRead(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'there is no such file; name it with --config FILE';
  if (code === 'EACCES') return 'no permission to read the file';
  if (code === 'EISDIR') return 'this is a directory, not a file';
  return `cannot be read (${code ?? String(error)})`;
}

/**
 * Checks the text of a configuration. Rejects with a `ConfigError`; `file` is only for its messages. `functions`: names
 * of policies that the program gives to the speaker itself. Files that it names are read, relative to that of `file`.
 */
export async function parseConfig(text: string, file: string, functions: readonly string[] = []): Promise<Settings> {
  const plain = text.startsWith('\ufeff') ? text.slice(1) : text;
  // Loading and running the YAML reader takes longer than all the rest, and only it knows places: JSON without any
  // problem (what programs write) does without it.
  const json = readJson(plain);
  const directory = dirname(resolve(file));
  const quick = json && judge(json, functions, directory);
  if (quick?.settings) return quick.settings;
  const { readYaml } = await import('./yaml-source.js');
  const { settings, problems } = judge(readYaml(plain), functions, directory);
  if (settings) return settings;
  throw new ConfigError(file, problems);
}

/** What a message shows of the file's own texts. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

function judge(
  source: Source,
  functions: readonly string[],
  directory: string,
): { settings: Settings | undefined; problems: readonly Problem[] } {
  const problems: Problem[] = [...source.problems];
  const seen = new Set<string>();
  const report = (path: Path, message: string, onKey = false): void => {
    // One problem a place: what else is wrong there, or inside of it, mostly follows from it.
    for (let depth = 1; depth <= path.length; depth++) if (seen.has(formatPath(path.slice(0, depth)))) return;
    seen.add(formatPath(path));
    const names = path.map((part, depth) => {
      if (typeof part === 'number') return part;
      return onKey && depth === path.length - 1 ? shownKey(part) : shownName(part);
    });
    const text = isSecret(path) ? message.replaceAll(QUOTED, '"…"') : message;
    problems.push({ ...source.locate(path, onKey), path: printable(formatPath(names)), message: printable(text) });
  };
  if (problems.length === 0) {
    const raw = checkShapes(source.value ?? {}, report);
    if (raw) {
      checkSense(raw, functions, report);
      const secrets = problems.length === 0 ? readSecrets(raw, directory, report) : undefined;
      if (secrets && problems.length === 0) return { settings: resolveSettings(raw, secrets), problems };
    }
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { settings: undefined, problems };
}

/** Reports values of the wrong shape and takes them out, so that the rest can be judged; undefined = nothing is left. */
function checkShapes(
  value: unknown,
  report: (path: Path, message: string, onKey?: boolean) => void,
): RawConfig | undefined {
  const result = ROOT.check.safeParse(value);
  const bad: Path[] = [];
  for (const issue of result.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      const isHidden = lacksSecret(valueAt(value, issue.path));
      if (isHidden) report(issue.path, 'has a comma, or nothing, where a colon and the value of a key belong');
      for (const name of issue.keys) {
        if (!isHidden) report([...issue.path, name], unknownKey(name, keysAt(issue.path)), true);
        bad.push([...issue.path, name]);
      }
    } else {
      const allowed = issue.code === 'too_big' ? 'shorter' : issue.message;
      report(issue.path, `must be ${allowed}${shownInsteadOf(allowed, issue.path, valueAt(value, issue.path))}`);
      bad.push(issue.path);
    }
  }
  if (bad.some((path) => path.length === 0)) return undefined;
  if (bad.length === 0) return value as RawConfig;
  const draft = new Draft(value);
  for (const path of bad) draft.takeOut(path);
  return draft.value as RawConfig;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) value = childOf(value, part);
  return value;
}

/** The keys that are known at `path`: list indexes and the names of groups are stepped over. */
function keysAt(path: Path): Keys {
  let keys: Keys = ROOT_KEYS;
  let isName = false;
  for (const part of path) {
    const kind: Kind<unknown> | undefined = !isName && Object.hasOwn(keys, part) ? keys[part]!.kind : undefined;
    isName = kind?.isNamed ?? false;
    keys = kind?.keys ?? keys;
  }
  return keys;
}

function unknownKey(name: string, known: Keys): string {
  const names = Object.keys(known);
  const word = /^[^\s:=,]+/.exec(name)?.[0];
  if (word !== undefined && word !== name && names.includes(word))
    return `unknown key; write ${word}: and a space in front of the value`;
  const near = nearest(name, names);
  return near ? `unknown key; did you mean ${near}?` : `unknown key; known here: ${names.join(', ')}`;
}

/** Longer than any known one. */
const LONGEST_KEY = 40;

/** The known name that a typing error, another case or a hyphen may have turned into `name`. */
function nearest(name: string, names: readonly string[]): string | undefined {
  if (name.length > LONGEST_KEY) return undefined;
  const plain = (value: string): string => value.toLowerCase().replaceAll(/[-_]/g, '');
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.floor(name.length / 2) + 1);
  for (const candidate of names) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
