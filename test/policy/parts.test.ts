/** The parts of policies by themselves: texts, AS-path patterns and prefix sets, against readings that are naive. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { parsePrefix, prefixContains } from 'bgp-parse';
import { AsPathPattern } from '../../src/policy/as-path-pattern.js';
import { parseAdjustment, parseCommunityPatterns, parsePrefixPattern, parseRange } from '../../src/policy/patterns.js';
import { PrefixTable } from '../../src/rib/columns/prefix-table.js';
import { PrefixClasses, PrefixSet } from '../../src/policy/prefix-classes.js';

type Segment = readonly number[] | { readonly set: readonly number[] };

/** An AS_PATH value: sequences, and sets as `{set}`. */
function octets(...segments: readonly Segment[]): Uint8Array {
  return Uint8Array.from(
    segments.flatMap((segment) => {
      const [type, asns] = 'set' in segment ? [1, segment.set] : [2, segment];
      return [
        type,
        asns.length,
        ...asns.flatMap((asn) => [asn >>> 24, (asn >>> 16) & 255, (asn >>> 8) & 255, asn & 255]),
      ];
    }),
  );
}

function matches(pattern: string, ...segments: readonly Segment[]): boolean {
  const value = octets(...segments);
  return new AsPathPattern(pattern).matches(value, 0, value.length);
}

t.test('AS-path patterns', (t) => {
  const cases: [pattern: string, path: readonly Segment[], expected: boolean][] = [
    ['', [], true],
    ['^$', [], true],
    ['^$', [[1]], false],
    ['1', [[2, 1, 3]], true],
    ['1', [[11, 21]], false],
    ['_1_', [[2, 1, 3]], true],
    ['^1', [[1, 2]], true],
    ['^1', [[2, 1]], false],
    ['2$', [[1, 2]], true],
    ['2$', [[2, 1]], false],
    ['^1 2$', [[1, 2]], true],
    ['^1 2$', [[1, 3, 2]], false],
    ['^1 . 2$', [[1, 3, 2]], true],
    ['^1 .* 2$', [[1, 2]], true],
    ['^1 .+ 2$', [[1, 2]], false],
    ['^1+ 2$', [[1, 1, 1, 2]], true],
    ['^1{2} 2$', [[1, 1, 2]], true],
    ['^1{2} 2$', [[1, 2]], false],
    ['^1{2,} 2$', [[1, 1, 1, 2]], true],
    ['^1{1,2} 2$', [[1, 1, 1, 2]], false],
    ['^(1|2) 3$', [[2, 3]], true],
    ['^1|2$', [[3, 2]], true],
    ['^1|2$', [[3, 2, 3]], false],
    ['^(1 2)+$', [[1, 2, 1, 2]], true],
    ['^(1 2)+$', [[1, 2, 1]], false],
    ['^[64512..65534 4200000000]$', [[64600]], true],
    ['^[64512..65534 4200000000]$', [[4200000000]], true],
    ['^[64512..65534 4200000000]$', [[4200000001]], false],
    ['^[^1 2]$', [[3]], true],
    ['^[^1 2]$', [[2]], false],
    ['^1 2?$', [[1]], true],
    ['^1 2$', [[1], { set: [3, 2] }], true],
    ['^1 .$', [[1], { set: [3, 2] }], true],
    ['^1 2 3$', [[1], { set: [3, 2] }], false],
  ];
  for (const [pattern, path, expected] of cases) {
    t.equal(matches(pattern, ...path), expected, `${pattern} on ${JSON.stringify(path)}`);
  }
  for (const bad of [
    '(',
    ')',
    '1)',
    '[1',
    '[]',
    '[5..1]',
    'a',
    '1**',
    '1{2}{3}',
    '1{',
    '1{300}',
    '4294967296',
    '1^',
    '((1{99}){99})',
    '*',
  ]) {
    t.throws(() => new AsPathPattern(bad), { name: 'AsPathPatternError' }, bad);
  }
  // What is nothing may be repeated as often as anybody likes.
  t.equal(matches(`^${'('.repeat(40)}${'){255}'.repeat(40)}1$`, [1]), true, 'nothing, repeated');
  t.end();
});

t.test('AS-path patterns: as regular expressions over letters; nested repetitions end', (t) => {
  // AS 1 is the letter b, and so on: the same pattern for both engines.
  const atom = fc.constantFrom('1', '2', '3', '.', '[1..2]', '[^1]');
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      atom,
      fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `${a} ${b}`),
      fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(${a}|${b})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{2,}'))
        .map(([a, times]) => `(${a})${times}`),
    ),
  }));
  const letters = (text: string): string =>
    text
      .replaceAll('[1..2]', '[bc]')
      .replaceAll('[^1]', '[^b]')
      .replaceAll(/\{[^}]*\}|\d/g, (part) => (part.startsWith('{') ? part : 'abcd'[Number(part)]!))
      .replaceAll(' ', '');
  fc.assert(
    fc.property(
      pattern,
      fc.boolean(),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 6 }),
      (text, begins, ends, asns) => {
        const whole = `${begins ? '^' : ''}${text}${ends ? '$' : ''}`;
        const expected = new RegExp(`${begins ? '^' : ''}(?:${letters(text)})${ends ? '$' : ''}`).test(
          asns.map((asn) => 'abcd'[asn]!).join(''),
        );
        // Alternatives at the top have anchors of their own there: always in parentheses here.
        const ours = matches(`${begins ? '^' : ''}(${text})${ends ? '$' : ''}`, ...(asns.length > 0 ? [asns] : []));
        if (ours !== expected) throw new Error(`${whole} on ${asns.join(' ')}: ${ours}`);
      },
    ),
    { numRuns: runs(3000) },
  );
  const long = Array.from({ length: 250 }, () => 1);
  t.notOk(matches('^(1+)+(1*)*2$', long, long, long), 'a pattern that would never end elsewhere');
  t.end();
});

t.test('prefix sets', (t) => {
  const length = fc.integer({ min: 0, max: 32 });
  const prefix = fc
    .tuple(
      fc.constantFrom(10, 11, 64, 192),
      fc.constantFrom(0, 1, 128),
      fc.constantFrom(0, 1),
      fc.constantFrom(0, 255),
      length,
    )
    .map(([a, b, c, d, bits]) => parsePrefix(`${a}.${b}.${c}.${d}/${bits}`)!);
  const entry = fc.tuple(prefix, fc.nat(32), fc.nat(32)).map(([one, more, most]) => {
    const ge = Math.min(32, one.length + more);
    return { prefix: one, ge, le: Math.min(32, ge + most) };
  });
  fc.assert(
    fc.property(fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 4 }), prefix, (sets, route) => {
      const classes = new PrefixClasses(sets.map((entries) => new PrefixSet(entries)));
      const address = new DataView(Uint8Array.from(route.bytes).buffer).getUint32(0);
      const id = classes.classOf(Uint32Array.of(0, address), 1, 1, route.length);
      const table = new PrefixTable(1, 1);
      const prefixId = table.findOrAdd4(address, route.length);
      // Asked for twice: worked out, and remembered.
      if (classes.classAt(table, prefixId) !== id || classes.classAt(table, prefixId) !== id) return false;
      return sets.every((entries, set) => {
        const expected = entries.some(
          ({ prefix: outer, ge, le }) =>
            route.length >= outer.length &&
            prefixContains(outer, route.bytes) &&
            route.length >= ge &&
            route.length <= le,
        );
        return classes.isIn(id, set) === expected;
      });
    }),
    { numRuns: runs(5000) },
  );
  const many = new PrefixClasses(
    Array.from({ length: 70 }, (_, i) => new PrefixSet([parsePrefixPattern(`10.0.0.0/8 ge ${8 + (i % 24)}`)!])),
  );
  const id = many.classOf(Uint32Array.of(0x0a010200), 0, 1, 24);
  t.same(
    Array.from({ length: 70 }, (_, i) => many.isIn(id, i)),
    Array.from({ length: 70 }, (_, i) => i % 24 <= 16),
    'more sets than bits in a word',
  );
  const v6 = new PrefixClasses([
    new PrefixSet(['2001:db8::/32 le 48', 'fd00::/8 ge 64 le 64'].map((text) => parsePrefixPattern(text)!)),
  ]);
  t.ok(v6.isPlain(0));
  t.notOk(v6.isPlain(1));
  const at = (text: string): boolean => {
    const { bytes, length: bits } = parsePrefix(text)!;
    const view = new DataView(Uint8Array.from(bytes).buffer);
    const words = Uint32Array.from({ length: 4 }, (_, i) => view.getUint32(i * 4));
    return v6.isIn(v6.classOf(words, 0, 4, bits), 0);
  };
  for (const [text, expected] of [
    ['2001:db8::/32', true],
    ['2001:db8:1::/48', true],
    ['2001:db8:1::/49', false],
    ['2001:db9::/48', false],
    ['fd12:3456::/64', true],
    ['fd12:3456::/63', false],
    ['::/0', false],
  ] as const) {
    t.equal(at(text), expected, text);
  }
  t.end();
});

t.test('texts', (t) => {
  t.match(parsePrefixPattern('10.0.0.0/8'), { ge: 8, le: 8 });
  t.match(parsePrefixPattern('10.0.0.0/8 le 24'), { ge: 8, le: 24 });
  t.match(parsePrefixPattern('10.0.0.0/8 ge 16'), { ge: 16, le: 32 });
  t.match(parsePrefixPattern('::/0 ge 16 le 48'), { ge: 16, le: 48 });
  for (const bad of [
    '10.0.0.1/8',
    '10.0.0.0/8 ge 4',
    '10.0.0.0/8 le 33',
    '10.0.0.0/8 ge 20 le 16',
    '10.0.0.0',
    '10.0.0.0/8 le 24 ge 16',
  ]) {
    t.equal(parsePrefixPattern(bad), undefined, bad);
  }
  t.same(parseRange('1..5'), { least: 1, most: 5 });
  t.same(parseRange('..5'), { least: 0, most: 5 });
  t.same(parseRange('5..'), { least: 5, most: 4294967295 });
  t.same(parseRange('5'), { least: 5, most: 5 });
  for (const bad of ['', '..', '5..1', 'a', '1-5', -1, 1.5, '4294967296'])
    t.equal(parseRange(bad), undefined, String(bad));
  t.same(parseAdjustment('+= 10'), { relative: true, value: 10 });
  t.same(parseAdjustment('-=10'), { relative: true, value: -10 });
  t.same(parseAdjustment(10), { relative: false, value: 10 });
  for (const bad of [-10, '+10', '-10', 'x', '4294967296', 1.5]) t.equal(parseAdjustment(bad), undefined, String(bad));
  t.equal(parseCommunityPatterns('64512:1', false)?.[0]?.kind, 'standard');
  t.equal(parseCommunityPatterns('64512:1:2', false)?.[0]?.kind, 'large');
  t.equal(parseCommunityPatterns('rt:64512:1', false)?.[0]?.kind, 'extended');
  t.equal(parseCommunityPatterns('rt:*:*', true)?.length, 3, 'in each of its encodings');
  t.equal(parseCommunityPatterns('64512:*', false), undefined, 'no wildcard where one cannot be');
  for (const bad of [
    '64512',
    '64512:65536',
    '1:2:3:4',
    'rt:1',
    'rt:1:2:3',
    'soo:*:1',
    '*',
    'constructor',
    '__proto__',
  ]) {
    t.equal(parseCommunityPatterns(bad, true), undefined, bad);
  }
  t.end();
});
