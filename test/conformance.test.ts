/**
 * docs/conformance.md names a test, or a reason, for every rule: each file exists, each name stands in it, no rule is
 * without either.
 */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';

const root = new URL('../../', import.meta.url);
const text = readFileSync(new URL('docs/conformance.md', root), 'utf8');
const RFCS = [4271, 4456, 4724, 4760, 5492, 6286, 6793, 7606, 7911, 8212];

interface Rule {
  readonly rule: string;
  /** Tests, or "not: reason". */
  readonly shown: string;
}

/** "- §4.1 MUST: what is asked", and below it, indented, what shows it. */
const rules: Rule[] = text
  .split(/^- (?=§|Class \d)/m)
  .slice(1)
  .map((item) => {
    const [rule = '', shown = ''] = item.split(/^ {2}- /m, 1).concat(item.replace(/^[^]*?^ {2}- /m, '  - '));
    return { rule: rule.replaceAll(/\s+/g, ' ').trim(), shown: shown.split(/^#/m)[0]! };
  });

t.test('every RFC has its list', (t) => {
  for (const rfc of RFCS) t.match(text, new RegExp(`^## RFC ${rfc}:`, 'm'));
  t.ok(rules.length > 100, `${rules.length} rules`);
  t.end();
});

t.test('every rule has a test that exists, or a reason', (t) => {
  const sources = new Map<string, string>();
  for (const { rule: what, shown } of rules) {
    const references = [...shown.matchAll(/`([\w./-]+\.ts) › ([^`]*)`/g)];
    if (references.length === 0) t.match(shown, /^ {2}- not: \S.{15,}/, what);
    for (const [, path, name] of references) {
      const url = new URL(`test/${path}`, root);
      if (!sources.has(path!)) {
        if (!existsSync(url)) {
          t.fail(`${what}: there is no test/${path}`);
          continue;
        }
        sources.set(path!, readFileSync(url, 'utf8'));
      }
      if (name!.trim() === '' || !sources.get(path!)!.includes(name!))
        t.fail(`${what}: test/${path} has no test of the name: ${name}`);
    }
  }
  t.end();
});

t.test('the sixteen classes of defects each have their tests', (t) => {
  t.same(
    rules.filter(({ rule }) => rule.startsWith('Class')).map(({ rule }) => Number(/\d+/.exec(rule)![0])),
    Array.from({ length: 16 }, (_, index) => index + 1),
  );
  t.end();
});

t.test('no test below test/conformance is forgotten', (t) => {
  for (const name of ['sending', 'timers', 'negotiated', 'restart-time', 'malformed-log', 'routes']) {
    const path = `conformance/${name}.test.ts`;
    const source = readFileSync(new URL(`test/${path}`, root), 'utf8');
    for (const [, title] of source.matchAll(/^t\.test\('([^']+)'/gm)) {
      t.ok(text.includes(`${path} › ${title}`), `${path} › ${title}`);
    }
  }
  t.end();
});
