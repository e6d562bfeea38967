/**
 * YAML 1.2 (core schema), of which JSON is a part, read by `yaml` with the place of every value. Errors are put in our
 * own words: the library's own quote the text, which may be a password.
 */
import { isAlias, isMap, isNode, isScalar, isSeq, parseDocument, type Document, type Node } from 'yaml';
import type { Path, Problem } from './problems.js';
import type { Place, Source } from './source.js';

/** Only as many aliases as people write: a file may not grow by them (the "billion laughs"). */
const MOST_ALIASES = 100;
/** After a few errors of syntax the rest only follows from them. */
const MOST_COMPLAINTS = 3;

export function readYaml(text: string): Source {
  try {
    return readDocument(text);
  } catch {
    // The reader calls itself for each level.
    const message = 'cannot be read: it is nested too deeply';
    return {
      value: undefined,
      problems: [{ line: 1, column: 1, path: '', message }],
      locate: () => ({ line: 1, column: 1 }),
    };
  }
}

function readDocument(text: string): Source {
  // A CR alone ends a line in YAML and is space in JSON; the library knows it in pairs only. Places are those of editors.
  const document = parseDocument(text.replaceAll(/\r(?!\n)/g, '\n'), {
    prettyErrors: false,
    version: '1.2',
    strict: true,
    uniqueKeys: true,
    stringKeys: true,
    // Octets, sets and times (YAML 1.1) are no values of a configuration.
    resolveKnownTags: false,
    logLevel: 'error',
  });
  const place = createPlaces(text);
  const locate = (path: Path, onKey = false): Place => place(offsetOf(document, path, onKey));
  // A warning (an unknown tag) means that a value is not what it looks like: refused as well.
  const complaints = new Map<string, Problem>();
  for (const { code, pos } of [...document.errors, ...document.warnings]) {
    // Several brackets that are missing are one line here.
    complaints.set(`${code} ${pos[0]}`, { ...place(pos[0]), path: '', message: explain(code) });
    if (complaints.size === MOST_COMPLAINTS) break;
  }
  if (complaints.size > 0) return { value: undefined, problems: [...complaints.values()], locate };
  // By its rules `12:30` is a number, and some values are no plain ones (times, sets).
  if (document.directives.yaml.version !== '1.2') {
    const message = 'only YAML 1.2 is read: remove the line %YAML';
    return { value: undefined, problems: [{ ...place(text.search(/^%YAML/m)), path: '', message }], locate };
  }
  try {
    return { value: document.toJS({ maxAliasCount: MOST_ALIASES }), problems: [], locate };
  } catch {
    return {
      value: undefined,
      problems: [{ ...place(0), path: '', message: 'aliases (*name) are nested too deeply or too many' }],
      locate,
    };
  }
}

/** Offsets to lines and columns. (The library's own counter misses newlines inside of what it cannot read.) */
function createPlaces(text: string): (offset: number) => Place {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    const bounded = Math.max(0, Math.min(offset, text.length));
    let [low, high] = [0, starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= bounded) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: bounded - starts[low]! + 1 };
  };
}

function offsetOf(document: Document.Parsed, path: Path, onKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(part));
      if (!pair) return offset;
      const keyOffset = startOf(pair.key);
      if (onKey && depth === path.length - 1) return keyOffset ?? offset;
      offset = startOf(pair.value) ?? keyOffset ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[part as number];
      offset = startOf(node) ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}

const EXPLANATIONS: { readonly [code: string]: string } = {
  ALIAS_PROPS: 'an alias (*name) cannot have an anchor or a tag',
  BAD_ALIAS: 'there is no anchor for this alias (*name); put text that begins with * in quotes',
  BAD_DQ_ESCAPE: 'unknown escape sequence in "…"; use single quotes for text with backslashes',
  BAD_INDENT: 'the indentation does not fit the lines above',
  BAD_SCALAR_START: 'a value cannot begin with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a nested map must begin on its own line',
  DUPLICATE_KEY: 'this key stands here twice',
  MISSING_CHAR: 'a closing quote, bracket, comma or colon is missing',
  MULTILINE_IMPLICIT_KEY: 'a key must stand on one line; is a colon missing?',
  MULTIPLE_DOCS: 'only one document (---) may stand in the file',
  NON_STRING_KEY: 'a key must be a plain word',
  TAB_AS_INDENT: 'tabs cannot be used to indent; use spaces',
  TAG_RESOLVE_FAILED: 'unknown tag; put text that begins with ! in quotes',
  UNEXPECTED_TOKEN: 'this is not expected here; is a quote or a colon missing?',
};

function explain(code: string): string {
  return EXPLANATIONS[code] ?? `not readable as YAML (${code.toLowerCase().replaceAll('_', ' ')})`;
}
