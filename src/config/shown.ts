/**
 * What messages about a configuration may show of it. Secrets never, wherever they have slipped to; names of others' making
 * are cut and never run on for pages.
 */
import { childOf } from './draft.js';
import type { Path } from './problems.js';
import { ROOT_KEYS } from './schema.js';
import type { Keys } from './kinds.js';

/** All keys, and those of them with secrets. */
const KNOWN_NAMES = keyNames(ROOT_KEYS, false, new Set(), new Set());
const SECRET_NAMES = [...keyNames(ROOT_KEYS, true, new Set(), new Set())];
const SECRET_NAME = new RegExp(SECRET_NAMES.join('|'), 'i');

function keyNames(keys: Keys, onlySecret: boolean, found: Set<string>, seen: Set<Keys>): ReadonlySet<string> {
  seen.add(keys);
  for (const [name, { secret, kind }] of Object.entries(keys)) {
    if (secret || !onlySecret) found.add(name);
    if (kind.keys && !seen.has(kind.keys)) keyNames(kind.keys, onlySecret, found, seen);
  }
  return found;
}

/** Wherever it stands: a line that has slipped into another map is a secret still. */
export function isSecret(path: Path): boolean {
  return path.some((part) => SECRET_NAMES.includes(String(part)));
}

/** A map with the key of a secret and nothing there: with a comma for the colon, the secret is the next key. */
export function lacksSecret(map: unknown): boolean {
  return SECRET_NAMES.some((name) => childOf(map, name) === null);
}

/** Without colon and space a key and its value are one text, and the next line may belong to it: `nodes password x`. */
function mayHoldSecret(text: string): boolean {
  return SECRET_NAME.test(text) && !KNOWN_NAMES.has(text);
}

const LONGEST_SHOWN = 40;
const LONGEST_NAME = 64;
const MOST_NAMES = 20;

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** A text that names something, in quotes. */
export function quoted(text: string): string {
  return mayHoldSecret(text) ? '"…"' : JSON.stringify(cut(text, LONGEST_NAME));
}

/** Names in a row. */
export function listed(names: readonly string[], between = ', '): string {
  const some = names.slice(0, MOST_NAMES).map(shownName);
  if (names.length > MOST_NAMES) some.push(`and ${names.length - MOST_NAMES} more`);
  return some.join(between);
}

/** A name that the file gives: a key of a map. */
export function shownName(name: string): string {
  const secret = mayHoldSecret(name) ? SECRET_NAME.exec(name) : undefined;
  return secret ? `${secret[0]}…` : cut(name, LONGEST_NAME);
}

/** A key that nobody knows: behind a forgotten colon or space its value is a part of it. */
export function shownKey(key: string): string {
  const end = key.search(/[\s:=,]/);
  return end < 0 ? shownName(key) : `${shownName(key.slice(0, end))}…`;
}

/** Whose values are texts of several words, and never near a secret. */
const WORDY = new Set<string | number | undefined>(['policies', 'prefixLists', 'asPathLists', 'communityLists']);

/**
 * Text in the place of a map or a list may be a value that has lost its key, and behind a forgotten colon the next line
 * belongs to the value: either may be a secret.
 */
export function shownInsteadOf(allowed: string, path: Path, value: unknown): string {
  if (isSecret(path)) return '';
  if (typeof value === 'string' && SECRET_NAME.test(value)) return ', not this text';
  if (typeof value !== 'string' || WORDY.has(path[0])) return shown(value);
  if (/^a (map|list)/.test(allowed)) return ', not text';
  const space = value.search(/\s/);
  return shown(space < 0 ? value : `${value.slice(0, space)} …`);
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '; it is empty';
  if (Array.isArray(value)) return ', not a list';
  if (typeof value === 'object') return ', not a map';
  return `, not ${cut(typeof value === 'string' ? JSON.stringify(value) : String(value as number | boolean), LONGEST_SHOWN)}`;
}
