/** The text of a configuration file as plain values that remember their places; and the quick reader for plain JSON. */
import type { Path, Problem } from './problems.js';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Source {
  /** Plain objects, arrays and scalars; undefined when the text cannot be read at all. */
  readonly value: unknown;
  /** Problems of the text itself. */
  readonly problems: readonly Problem[];
  /** Where the value at `path` stands, or its nearest existing parent; with `onKey`, where its key stands. */
  locate(path: Path, onKey?: boolean): Place;
}

/**
 * The value of a text that is JSON without repeated keys, without places; undefined = something else, perhaps YAML.
 */
export function readJson(text: string): Source | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    // JSON.parse keeps the last of repeated keys; then there are more colons in the text than keys in the value.
    if (countColons(text) !== countKeys(value)) return undefined;
    return { value, problems: [], locate: () => ({ line: 1, column: 1 }) };
  } catch {
    // No JSON, or nested more deeply than the stack.
    return undefined;
  }
}

/** Colons outside of strings, of a text that is JSON. */
function countColons(text: string): number {
  let count = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|:/g)) if (token === ':') count++;
  return count;
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const item of Object.values(value)) count += countKeys(item);
  return count;
}
