/** Texts of attributes: known forms, and that every text is read as the octets it came from. */
import assert from 'node:assert/strict';
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import {
  SegmentType,
  asPathToJson,
  attributeName,
  formatAsPath,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  formatNextHop,
  formatOrigin,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from 'bgp-parse';
import { hex, toHex } from './hex.js';

t.test('communities (RFC 1997, RFC 8092)', (t) => {
  t.equal(formatCommunity(0xfc000001), '64512:1');
  t.equal(formatCommunity(0xffffff01), '65535:65281');
  t.equal(parseCommunity('65535:65281'), 0xffffff01);
  for (const bad of ['', '1', '65536:1', '1:65536', '01:1', '1:2:3', '-1:1', '1:', 'a:b', '1 :1'])
    t.equal(parseCommunity(bad), undefined, bad);
  t.equal(formatLargeCommunity([4294967295, 0, 1]), '4294967295:0:1');
  t.same(parseLargeCommunity('4294967295:0:1'), [4294967295, 0, 1]);
  for (const bad of ['1:2', '1:2:4294967296', '1:2:3:4', '1::3']) t.equal(parseLargeCommunity(bad), undefined, bad);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) =>
      t.equal(parseCommunity(formatCommunity(value)), value),
    ),
  );
  t.end();
});

t.test('extended communities (RFC 4360, RFC 5668, link bandwidth)', (t) => {
  const forms: [string, string][] = [
    ['0002 fc00 00000064', 'rt:64512:100'],
    ['0003 fc00 ffffffff', 'soo:64512:4294967295'],
    ['0102 0a000001 0064', 'rt:10.0.0.1:100'],
    ['0202 fa56ea00 0064', 'rt:4200000000:100'],
    ['0202 0000fc00 0064', 'rt:64512L:100'],
    ['4004 fc00 49989680', 'lb:64512:1250000'],
    ['4004 fc00 3f000000', 'lb:64512:0.5'],
    ['4004 fc00 7f7fffff', 'lb:64512:3.4028234663852886e+38'],
    ['4004 fc00 7fc00000', '0x4004fc007fc00000'],
    ['4004 fc00 bf800000', '0x4004fc00bf800000'],
    ['4002 fc00 00000064', '0x4002fc0000000064'],
    ['0602 0102 03040506', '0x0602010203040506'],
  ];
  for (const [octets, text] of forms) {
    t.equal(formatExtendedCommunity(hex(octets)), text);
    t.equal(toHex(parseExtendedCommunity(text)!), toHex(hex(octets)));
  }
  for (const bad of [
    'rt:1',
    'rt:1:2:3',
    'xx:1:2',
    'rt:65536:65536',
    'rt:10.0.0.1:65536',
    'rt:4294967296:1',
    'lb:1:-1',
    'lb:1:x',
    'lb:70000:1',
    'lb:1:1e+99',
    '0x00',
    '0x000000000000000g',
    'constructor:1:2',
    '',
  ]) {
    t.equal(parseExtendedCommunity(bad), undefined, bad);
  }
  const octets = fc.oneof(
    fc.uint8Array({ minLength: 8, maxLength: 8 }),
    fc
      .tuple(fc.constantFrom(0, 1, 2, 0x40), fc.constantFrom(2, 3, 4), fc.uint8Array({ minLength: 6, maxLength: 6 }))
      .map(([type, subtype, rest]) => Uint8Array.of(type, subtype, ...rest)),
  );
  fc.assert(
    fc.property(octets, (value) => {
      assert.equal(toHex(parseExtendedCommunity(formatExtendedCommunity(value))!), toHex(value));
    }),
    { numRuns: runs(3000) },
  );
  t.end();
});

t.test('AS paths, origins, next hops, names', (t) => {
  const path = [
    { type: SegmentType.confedSequence, asns: [65001, 65002] },
    { type: SegmentType.confedSet, asns: [65003] },
    { type: SegmentType.sequence, asns: [64512, 4200000000] },
    { type: SegmentType.set, asns: [1, 2] },
  ];
  t.same(asPathToJson(path), [{ confedSequence: [65001, 65002] }, { confedSet: [65003] }, 64512, 4200000000, [1, 2]]);
  t.equal(formatAsPath(path), '(65001 65002) [65003] 64512 4200000000 {1 2}');
  t.equal(formatAsPath([]), '');
  t.same([0, 1, 2].map(formatOrigin), ['igp', 'egp', 'incomplete']);
  t.equal(formatNextHop(hex('c0a80001')), '192.168.0.1');
  t.equal(formatNextHop(hex('20010db8000000000000000000000001' + 'fe80' + '00'.repeat(14))), '2001:db8::1');
  t.equal(attributeName(2), 'AS_PATH');
  t.equal(attributeName(99), 'attribute 99');
  t.end();
});
