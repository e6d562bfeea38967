/**
 * File to settings. Two passes, both of which report everything they find: shapes (zod, one value at a time) and sense
 * (`sense.ts`, values against each other). Only a file without any problem becomes settings.
 *
 * Values never appear in an error when the key is secret.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ConfigError, formatPath, type Path, type Problem } from './problems.js';
import { resolveSettings } from './resolve.js';
import { ROOT, ROOT_KEYS, type RawConfig } from './schema.js';
import { readSecrets } from './secret-file.js';
import { checkSense } from './sense.js';
import type { Keys } from './kinds.js';
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

function judge(
  source: Source,
  functions: readonly string[],
  directory: string,
): { settings: Settings | undefined; problems: readonly Problem[] } {
  const problems: Problem[] = [...source.problems];
  const seen = new Set<string>();
  const report = (path: Path, message: string, onKey = false): void => {
    const name = formatPath(path);
    // One problem a place: what else is wrong there, or inside of it, mostly follows from it.
    for (let depth = 1; depth <= path.length; depth++) if (seen.has(formatPath(path.slice(0, depth)))) return;
    seen.add(name);
    problems.push({ ...source.locate(path, onKey), path: name, message });
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
      for (const name of issue.keys) {
        report([...issue.path, name], unknownKey(name, keysAt(issue.path)), true);
        bad.push([...issue.path, name]);
      }
    } else {
      const allowed = issue.code === 'too_big' ? 'shorter' : issue.message;
      report(
        issue.path,
        `must be ${allowed}${isSecret(issue.path) ? '' : shownInsteadOf(allowed, issue.path, valueAt(value, issue.path))}`,
      );
      bad.push(issue.path);
    }
  }
  if (bad.some((path) => path.length === 0)) return undefined;
  for (const path of bad) takeOut(value, path);
  return value as RawConfig;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) value = (value as Record<string | number, unknown> | undefined)?.[part];
  return value;
}

/**
 * Removes a bad value. An item of the lists of maps (`peers`, …) becomes an empty one, so that the others keep their
 * places; a list of scalars goes as a whole.
 */
function takeOut(root: unknown, path: Path): void {
  const parent = valueAt(root, path.slice(0, -1));
  const last = path.at(-1)!;
  if (Array.isArray(parent) && path.length > 2) takeOut(root, path.slice(0, -1));
  else if (Array.isArray(parent) && path[0] === 'listen') takeOut(root, ['listen']);
  else if (Array.isArray(parent)) parent[last as number] = {};
  else if (typeof parent === 'object' && parent !== null) delete (parent as Record<string, unknown>)[last];
}

/** The keys that are known at `path`: list indexes and the names of groups are stepped over. */
function keysAt(path: Path): Keys {
  let keys: Keys = ROOT_KEYS;
  for (const part of path) {
    const inner = Object.hasOwn(keys, part) ? keys[part]!.kind.keys : undefined;
    if (inner) keys = inner;
  }
  return keys;
}

/** The names of keys with secrets. */
const SECRET_NAMES = secretNames(ROOT_KEYS, new Set(), new Set());

function secretNames(keys: Keys, found: Set<string>, seen: Set<Keys>): ReadonlySet<string> {
  seen.add(keys);
  for (const [name, { secret, kind }] of Object.entries(keys)) {
    if (secret) found.add(name);
    if (kind.keys && !seen.has(kind.keys)) secretNames(kind.keys, found, seen);
  }
  return found;
}

/** Wherever it stands: a line that has slipped into another map is a secret still. */
function isSecret(path: Path): boolean {
  return path.some((part) => SECRET_NAMES.has(String(part)));
}

const LONGEST_SHOWN = 40;

/** Whose values are texts of several words, and never near a secret. */
const WORDY = new Set<string | number | undefined>(['policies', 'prefixLists', 'asPathLists', 'communityLists']);

/**
 * Text in the place of a map or a list may be a value that has lost its key, and behind a forgotten colon the next line
 * belongs to the value: either may be a secret.
 */
function shownInsteadOf(allowed: string, path: Path, value: unknown): string {
  if (typeof value === 'string' && [...SECRET_NAMES].some((name) => value.includes(name))) return ', not this text';
  if (typeof value !== 'string' || WORDY.has(path[0])) return shown(value);
  if (/^a (map|list)/.test(allowed)) return ', not text';
  const space = value.search(/\s/);
  return shown(space < 0 ? value : `${value.slice(0, space)} …`);
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '; it is empty';
  if (Array.isArray(value)) return ', not a list';
  if (typeof value === 'object') return ', not a map';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value as number | boolean);
  return `, not ${text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text}`;
}

function unknownKey(name: string, known: Keys): string {
  const names = Object.keys(known);
  const near = nearest(name, names);
  return near ? `unknown key; did you mean ${near}?` : `unknown key; known here: ${names.join(', ')}`;
}

/** The known name that a typing error, another case or a hyphen may have turned into `name`. */
function nearest(name: string, names: readonly string[]): string | undefined {
  if (name.length > LONGEST_SHOWN) return undefined;
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
