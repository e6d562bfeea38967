/**
 * Configuration documents as tired people and hostile ones write them: the documents of the examples and of test/config,
 * damaged as values (keys, values, parts in other places, one object in several of them), written as YAML in one of its
 * many styles or as JSON, and then damaged as text. Secrets stand under every secret key, and their lines slip.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { stringify } from 'yaml';
import { ROOT_KEYS } from '../../src/config/schema.js';
import { readYaml } from '../../src/config/yaml-source.js';
import type { Keys } from '../../src/config/kinds.js';
import { mutate } from './grammar.js';
import type { Random } from './random.js';

export const SECRET = 'gHeIm-7f3a91';

const WORDS = ['{', '}', '[', ']', '- ', ': ', ', ', '"', "'", '#', '&a ', '*a', '<<: ', '!!binary ', '!!str ', '!!set ', '%YAML 1.1\n---\n', '--- ', '...\n', '? ', '|\n', '>-\n', '\t', '\r\n', '\u0000', '\ufeff', '\u001b[2J', '\u009b', '\u202e', '\u2028', '0x10', '0o17', '1e9', '-1', '.nan', '.inf', 'null', '~', '12:30', '2001-12-14', '0.0.0.0/0', '::/129', '300.1.1.1/8', '65000:1', '4294967296', '__proto__', 'constructor', 'toString']; // prettier-ignore
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'length', '0', '-1', '', ' ', '<<', 'null', 'a b', 'a.b', '"', '\u001b[31m', '\u009b1m', '\u202egro', '\u0000', '\ud800', '\u{e0041}', 'ü'.repeat(20), 'x'.repeat(3000), 'accept', 'node', 'bfd', 'groups', 'nodes', `password ${SECRET}`, `password:${SECRET}`, `Password=${SECRET}`]; // prettier-ignore
const VALUES: readonly unknown[] = [null, true, false, 0, -0, 1, -1, 255, 65535, 65536, 4294967295, 4294967296, 2 ** 53, 1e308, 1.5, NaN, Infinity, '', ' ', '0', 'true', 'self', 'all', 'internal', 'external', 'accept', 'reject', 'node', 'nodes', 'both', 'eth0', 'eth\u001b[2J', '\ud800', '\u202e', 'a\nb', 'a\u0000', 'ü'.repeat(50), 'x'.repeat(5000), '192.0.2.1', '::1', 'fe80::1', '10.0.0.0/8', '10.0.0.1/8', '10.0.0.0/8 le 24', '::/0', '65001:1', 'rt:65001:1', '*:*', '^65001 .* (1|2)$', '((){255}){255}', '1..5', '..', '+= 10', 'ipv4-unicast', [], {}, [[]], [null], [{}], { a: 1 }, `a password ${SECRET}`]; // prettier-ignore

type Container = Record<string | number, unknown>;

// The compiled file stands in dist/test/fuzz.
const root = new URL('../../../', import.meta.url);
let documents: readonly string[] | undefined;

/** The documents to begin with. */
export function texts(): readonly string[] {
  if (documents) return documents;
  const found: string[] = [];
  for (const folder of ['test/config/fixtures', 'examples']) {
    for (const name of readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' }).sort()) {
      if (/\.(yaml|json)$/.test(name) && !/bomb|secret/.test(name))
        found.push(readFileSync(new URL(`${folder}/${name}`, root), 'utf8'));
    }
  }
  found.push(
    `asn: 65001\npeers:\n  - address: 192.0.2.1\n    asn: 65002\n    password: ${SECRET}\n    import: accept\n`,
    `asn: 65001\ngroups:\n  nodes:\n    description: some\n    password: ${SECRET}\n    asn: 65001\npeers:\n  - group: nodes\n    address: 192.0.2.1\n`,
    `asn: 65001\nlistenRanges:\n  - prefix: 192.0.2.0/24\n    password: "${SECRET}"\n    asn: external\n    families: [ipv4-unicast]\n`,
    `asn: 65001\npeers: [{ address: 192.0.2.1, asn: 65002, password: ${SECRET}, group: nodes }]\ngroups: { nodes: { password: '${SECRET}' } }\n`,
  );
  return (documents = found.filter((text) => text.length < 8192));
}

/** A document, damaged. */
export function damagedDocument(random: Random): string {
  if (random.chance(35)) return damagedText(random, random.pick(texts()));
  const source = readYaml(random.pick(texts()));
  const value: unknown = source.value ?? { asn: 65001 };
  const other: unknown = readYaml(random.pick(texts())).value;
  for (let times = random.below(5); times > 0; times--) damageValue(random, value, other);
  const text = written(random, value);
  if (text === undefined) return damagedText(random, random.pick(texts()));
  return random.chance(60) ? text : damagedText(random, text);
}

/** undefined = it cannot be written (a part stands inside of itself in JSON, say). */
function written(random: Random, value: unknown): string | undefined {
  try {
    if (random.chance(30)) return JSON.stringify(value, null, random.pick([0, 0, 2, '\t'])).replace(/$/, random.pick(['', '\n', ' \r\n'])); // prettier-ignore
    const text = stringify(value, {
      collectionStyle: random.pick(['any', 'block', 'flow'] as const),
      defaultStringType: random.pick(['PLAIN', 'PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'] as const),
      defaultKeyType: random.pick([null, 'QUOTE_DOUBLE', 'PLAIN'] as const),
      aliasDuplicateObjects: random.chance(85),
      indent: random.pick([2, 2, 4, 1]),
      lineWidth: random.pick([0, 80, 20]),
    });
    const start = random.pick(['', '', '', '\ufeff', '# a remark\n', '---\n']);
    return start + (random.chance(10) ? text.replaceAll('\n', '\r\n') : text);
  } catch {
    return undefined;
  }
}

/** Every map and list inside. */
function containersOf(value: unknown): Container[] {
  const found = new Set<object>();
  const visit = (part: unknown): void => {
    if (typeof part !== 'object' || part === null || found.has(part) || found.size > 2000) return;
    found.add(part);
    Object.values(part).forEach(visit);
  };
  visit(value);
  return [...found] as Container[];
}

function put(container: Container, name: string | number, value: unknown): void {
  Object.defineProperty(container, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Whether it is a secret, or a list of some, with nothing that says so: such a part is moved with its key only. */
const isBare = (value: unknown, depth = 0): boolean =>
  Array.isArray(value)
    ? depth < 4 && value.some((part) => isBare(part, depth + 1))
    : typeof value === 'string' && value.includes(SECRET) && !/password/i.test(value);

function damageValue(random: Random, value: unknown, other: unknown): void {
  const all = containersOf(value);
  if (all.length === 0) return;
  const container = random.pick(all);
  const names = Object.keys(container);
  const name = names.length > 0 ? random.pick(names) : 'asn';
  switch (random.below(9)) {
    case 0:
      return put(container, name, random.pick(VALUES));
    case 1: {
      // Another name for what stands there.
      if (Array.isArray(container) || isBare(container[name])) return;
      const moved = container[name];
      delete container[name];
      return put(container, random.chance(50) ? random.pick(NAMES) : random.pick(knownNames()), moved);
    }
    case 2:
      if (Array.isArray(container)) container.splice(random.below(container.length + 1), 1);
      else delete container[name];
      return;
    case 3: {
      // One object in two places, be it inside of itself.
      const part = random.pick(all);
      if (isBare(part)) return;
      if (Array.isArray(container)) container.splice(random.below(container.length + 1), 0, part);
      else put(container, random.chance(70) ? name : random.pick(NAMES), part);
      return;
    }
    case 4: {
      const foreign = random.pick(containersOf(other ?? {}));
      if (!foreign || isBare(foreign)) return;
      if (Array.isArray(container)) container.push(foreign);
      else if (!Array.isArray(foreign)) for (const key of Object.keys(foreign)) put(container, key, foreign[key]);
      return;
    }
    case 5:
      if (Array.isArray(container)) container.push(random.pick(VALUES));
      else put(container, random.pick(knownNames()), random.pick(VALUES));
      return;
    case 6:
      if (Array.isArray(container)) return;
      return put(container, random.chance(60) ? random.pick(NAMES) : random.pick(knownNames()), random.pick([{}, [], { ...container }, 1])); // prettier-ignore
    case 7:
      if (!isBare(container[name])) put(container, name, random.chance(50) ? [container[name]] : { [name]: container[name] }); // prettier-ignore
      return;
    default:
      if (!Array.isArray(container)) put(container, 'password', random.pick<unknown>([SECRET, [SECRET], { password: SECRET }, `${SECRET}\u0007`, SECRET.repeat(10)])); // prettier-ignore
  }
}

let known: readonly string[] | undefined;

/** All keys there are. */
function knownNames(): readonly string[] {
  if (known) return known;
  const found = new Set<string>();
  const seen = new Set<Keys>();
  const visit = (keys: Keys): void => {
    seen.add(keys);
    for (const [name, { kind, secret }] of Object.entries(keys)) {
      if (!secret) found.add(name);
      if (kind.keys && !seen.has(kind.keys)) visit(kind.keys);
    }
  };
  visit(ROOT_KEYS);
  return (known = [...found]);
}

function damagedText(random: Random, start: string): string {
  let text = start;
  for (let times = random.below(4); times > 0; times--) {
    const lines = text.split('\n');
    const at = random.below(lines.length);
    switch (random.below(10)) {
      case 0:
        text = Buffer.from(mutate(random, Buffer.from(text))).toString('utf8');
        continue;
      case 1:
        lines.splice(at, 1 + random.below(3));
        break;
      case 2: {
        const from = random.pick(texts()).split('\n');
        const first = random.below(from.length);
        lines.splice(at, 0, ...from.slice(first, first + 1 + random.below(4)));
        break;
      }
      case 3:
        lines[at] = ' '.repeat(random.below(9)) + lines[at]!.trimStart();
        break;
      case 4:
        lines[at] = lines[at]!.replace(/[^\s:]+$/, () => random.pick(WORDS));
        break;
      case 5:
        lines.splice(at, 0, `${random.pick(Object.keys(ROOT_KEYS))}: ${random.pick(WORDS)}`);
        break;
      case 6: {
        const place = random.below(text.length + 1);
        text = text.slice(0, place) + random.pick(WORDS) + text.slice(place);
        continue;
      }
      case 7: {
        const deep = random.below(300);
        text += `\nextra: ${'['.repeat(deep)}${random.chance(50) ? ']'.repeat(deep) : ''}`;
        continue;
      }
      default:
        slip(random, lines);
    }
    text = lines.join('\n');
  }
  return text;
}

/** What happens to a line with a secret when somebody is not careful. Its key stays, or nothing does. */
function slip(random: Random, lines: string[]): void {
  const places = lines.flatMap((line, index) => (line.includes(SECRET) ? [index] : []));
  if (places.length === 0) return;
  const at = random.pick(places);
  const line = lines[at]!;
  switch (random.below(9)) {
    case 0:
      lines[at] = line.replace(/password(["']?): */, (_, quote: string) => `password${quote}${random.pick(['', ' ', ':', '=', ', ', ' : ', ' = ', ':: ', ',', ': : '])}`); // prettier-ignore
      return;
    case 1:
      lines[at] = ' '.repeat(random.below(10)) + line.trimStart();
      return;
    case 2:
      // Behind the line before, or into a key of its own.
      if (at > 0) lines.splice(at - 1, 2, `${lines[at - 1]!} ${line.trimStart()}`);
      return;
    case 3:
      lines[at] = line.replace(/password/, () => random.pick(['passwrd', 'password,', 'Password', 'pass word', '"password', '- password', '#password', '? password', 'x: password', 'password: password'])); // prettier-ignore
      return;
    case 4:
      lines[at] = line.replace(/password["']?: */, () => random.pick(['- ', '- - ', '']));
      return;
    case 5:
      lines.splice(at, 1, ...line.replace(/: */, ':\n      ').split('\n'));
      return;
    case 6:
      lines[at] = line.replace(SECRET, () => random.pick([`"${SECRET}`, `${SECRET}"`, `[${SECRET}`, `${SECRET}: x`, `${SECRET}: ${SECRET}`, `&${SECRET} x`, `*${SECRET}`, `!${SECRET} x`, `!!${SECRET} x`, `@${SECRET}`, `\`${SECRET}`, `%${SECRET}`, `"\\q${SECRET}"`, `|${SECRET}`, `|\n${SECRET}`, `{${SECRET}}`, `${SECRET} #`, `>\n        ${SECRET}`])); // prettier-ignore
      return;
    case 7: {
      const [moved] = lines.splice(at, 1);
      lines.splice(random.below(lines.length + 1), 0, moved!);
      return;
    }
    default:
      lines[at] = `${line} ${random.pick(WORDS)}`;
  }
}
