/**
 * AS_PATH: hops, neighbour and origin, counting, and the merge with AS4_PATH against a naive reading of RFC 6793 §4.2.3.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import {
  type AsPathSegment,
  AttributeScan,
  SegmentType,
  canonicalizeAttributes,
  countAs,
  decodeAttributes,
  encodeAttributes,
  scanAttributes,
} from 'bgp-parse';
import { concat, hex } from './hex.js';

const { sequence, set, confedSequence, confedSet } = SegmentType;
const isConfed = ({ type }: AsPathSegment): boolean => type === confedSequence || type === confedSet;

function octets(segments: readonly AsPathSegment[], width: 2 | 4): Uint8Array {
  return concat(
    ...segments.map(({ type, asns }) => {
      const numbers = asns.flatMap((asn) =>
        width === 4 ? [asn >>> 24, (asn >>> 16) & 255, (asn >>> 8) & 255, asn & 255] : [asn >> 8, asn & 255],
      );
      return Uint8Array.of(type, asns.length, ...numbers);
    }),
  );
}

function attribute(flags: number, code: number, value: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(flags | 0x10, code, value.length >> 8, value.length & 255), value);
}

const naiveHops = (path: readonly AsPathSegment[]): number =>
  path
    .filter((segment) => !isConfed(segment))
    .reduce((sum, { type, asns }) => sum + (type === set ? 1 : asns.length), 0);

/** One AS of a sequence, or a whole set or confederation segment. */
interface Unit {
  segment: number;
  last: boolean;
  weight: number;
  text: string;
}

function units(path: readonly AsPathSegment[]): Unit[] {
  return path.flatMap(({ type, asns }, segment): Unit[] => {
    if (type !== sequence)
      return [{ segment, last: true, weight: type === set ? 1 : 0, text: `${type}:${asns.join(',')}` }];
    return asns.map((asn, i) => ({ segment, last: i === asns.length - 1, weight: 1, text: String(asn) }));
  });
}

function naiveMerge(path: readonly AsPathSegment[], path4: readonly AsPathSegment[]): string[] {
  const tail = path4.filter((segment) => !isConfed(segment));
  const missing = naiveHops(path) - naiveHops(tail);
  // No AS4_PATH that says anything, or a longer one: the AS_PATH alone.
  if (path4.length === 0 || missing < 0) return units(path).map(({ text }) => text);
  const all = units(path);
  const taken: Unit[] = [];
  while (taken.reduce((sum, { weight }) => sum + weight, 0) < missing) taken.push(all[taken.length]!);
  // "... a valid AS_CONFED_SEQUENCE or AS_CONFED_SET path segment SHALL be prepended if it is either the leading path
  // segment or is adjacent to a path segment that is prepended."
  while (all[taken.length]?.weight === 0 && (taken.at(-1)?.last ?? true)) taken.push(all[taken.length]!);
  return [...taken, ...units(tail)].map(({ text }) => text);
}

const asn2 = fc.oneof(fc.constant(23456), fc.integer({ min: 1, max: 65535 }));
const asn4 = fc.integer({ min: 1, max: 0xffffffff });
const segments = (asn: fc.Arbitrary<number>, maxLength: number) =>
  fc.array(
    fc.record({
      type: fc.constantFrom(sequence, sequence, sequence, set, confedSequence, confedSet),
      asns: fc.array(asn, { minLength: 1, maxLength: 5 }),
    }),
    { maxLength },
  );

t.test('AS_PATH with AS4_PATH: the octets say what the RFC says', (t) => {
  let merged = 0;
  fc.assert(
    fc.property(segments(asn2, 6), segments(asn4, 4), (path, path4) => {
      const block = concat(
        hex('40010100'),
        attribute(0x40, 2, octets(path, 2)),
        hex('400304c0a80001 40050400000064'),
        path4.length > 0 ? attribute(0xc0, 17, octets(path4, 4)) : new Uint8Array(0),
      );
      const context = { external: false, fourOctetAs: false, mpNextHop: false };
      const scan = new AttributeScan();
      if (scanAttributes(block, 0, block.length, context, scan) !== 0) throw new Error(`verdict ${scan.disposition}`);
      const target = new Uint8Array(2 * block.length + 16);
      const length = canonicalizeAttributes(block, 0, block.length, context, scan, target);
      const result = decodeAttributes(target, 0, length).asPath;
      const expected = naiveMerge(path, path4);
      assert.deepEqual(
        units(result).map(({ text }) => text),
        expected,
      );
      // The number of AS numbers never changes by the merge.
      assert.equal(scan.asPathHops, naiveHops(path));
      if (
        expected.join() !==
        units(path)
          .map(({ text }) => text)
          .join()
      )
        merged++;
      const plain = result.filter((segment) => !isConfed(segment));
      assert.equal(scan.neighborAs, plain[0]?.type === sequence ? plain[0].asns[0] : 0);
      assert.equal(scan.originAs, plain.at(-1)?.type === sequence ? plain.at(-1)!.asns.at(-1) : 0);
      assert.equal(
        scan.hasAsSet,
        plain.some(({ type }) => type === set),
      );
      assert.equal(scan.hasConfedSegments, result.some(isConfed));
    }),
    { numRuns: runs(3000) },
  );
  t.ok(merged > 300, `${merged} of 3000 paths were really merged`);
  t.end();
});

t.test('four-octet paths: summary and count against the value', (t) => {
  fc.assert(
    fc.property(segments(fc.integer({ min: 1, max: 6 }), 6), fc.integer({ min: 1, max: 6 }), (asPath, asn) => {
      const block = encodeAttributes({ origin: 0, asPath, nextHop: Uint8Array.of(192, 0, 2, 1), localPref: 100 });
      const scan = new AttributeScan();
      assert.equal(
        scanAttributes(block, 0, block.length, { external: false, fourOctetAs: true, mpNextHop: false }, scan),
        0,
      );
      assert.equal(scan.asPathHops, naiveHops(asPath));
      const times = asPath.flatMap(({ asns }) => asns).filter((each) => each === asn).length;
      assert.equal(countAs(scan.asPathBytes, scan.asPathStart, scan.asPathEnd, asn), times);
    }),
    { numRuns: runs(1000) },
  );
  t.equal(countAs(hex('0201fffffffe'), 0, 6, 4294967294), 1, 'above 2^31');
  t.equal(countAs(hex('02010000fc00 0201 0000fc00'), 0, 6, 64512), 1, 'not behind the end');
  t.end();
});

t.test('merged sequences are joined up to 255 AS numbers', (t) => {
  const run = (length: number, asn: number): AsPathSegment => ({
    type: sequence,
    asns: new Array<number>(length).fill(asn),
  });
  for (const [head, tail, expected] of [
    [105, 150, [255]],
    [106, 150, [106, 150]],
    [255, 1, [255, 1]],
  ] as const) {
    const block = concat(
      hex('40010100'),
      attribute(0x40, 2, octets([run(head, 7), run(tail, 23456)], 2)),
      hex('400304c0a80001'),
      attribute(0xc0, 17, octets([run(tail, 200000)], 4)),
    );
    const scan = new AttributeScan();
    const context = { external: true, fourOctetAs: false, mpNextHop: false };
    t.equal(scanAttributes(block, 0, block.length, context, scan), 0);
    const target = new Uint8Array(2 * block.length + 16);
    const { asPath } = decodeAttributes(
      target,
      0,
      canonicalizeAttributes(block, 0, block.length, context, scan, target),
    );
    t.same(
      asPath.map(({ asns }) => asns.length),
      expected,
    );
    t.same(
      asPath.flatMap(({ asns }) => asns),
      [...run(head, 7).asns, ...run(tail, 200000).asns],
    );
  }
  t.end();
});

t.test('a path of thousands, expanded past what an attribute holds, is withdrawn (BIRD CVE-2026-49943)', (t) => {
  const long = Array.from({ length: 70 }, () => ({
    type: sequence,
    asns: Array.from({ length: 255 }, (_, i) => i + 1),
  }));
  const block = concat(hex('40010100'), attribute(0x40, 2, octets(long, 2)), hex('400304c0a80001'));
  const scan = new AttributeScan();
  const context = { external: true, fourOctetAs: false, mpNextHop: false };
  t.equal(scanAttributes(block, 0, block.length, context, scan), 2);
  t.match(scan, { errorAttribute: 2, errorSubcode: 11 });
  const target = new Uint8Array(2 * block.length + 16);
  t.ok(
    canonicalizeAttributes(block, 0, block.length, context, scan, target) < 100,
    'and its canonical form has no AS_PATH',
  );
  t.end();
});

t.test('a block that grows past what an UPDATE holds is withdrawn, one octet less is not', (t) => {
  const context = { external: true, fourOctetAs: false, mpNextHop: false };
  // 4 × 255 AS numbers: 2,048 octets, 4,088 once they are four octets long.
  const path = Array.from({ length: 4 }, () => ({ type: sequence, asns: new Array<number>(255).fill(7) }));
  const verdict = (filler: number): number => {
    const block = concat(
      hex('40010100'),
      attribute(0x40, 2, octets(path, 2)),
      hex('400304c0a80001'),
      attribute(0xe0, 99, new Uint8Array(filler)),
    );
    const scan = new AttributeScan();
    const found = scanAttributes(block, 0, block.length, context, scan);
    const target = new Uint8Array(2 * block.length + 16);
    const length = canonicalizeAttributes(block, 0, block.length, context, scan, target);
    t.ok(found !== 0 || length <= 65535);
    return found;
  };
  const fits = 65535 - 3 - (4 + 4 + 4088 + 7 + 4);
  t.equal(verdict(fits), 0);
  t.equal(verdict(fits + 1), 2);
  t.end();
});
