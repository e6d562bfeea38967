/** UPDATE, NLRI, End-of-RIB and attributes as values: vectors, round trips, splitting at the message length. */
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import {
  BgpError,
  type DecodedUpdate,
  Disposition,
  type Family,
  type Nlri,
  type PathAttributes,
  SegmentType,
  type Update,
  decodeAttributes,
  decodeNlri,
  decodeUpdate,
  encodeAttributes,
  encodeNlri,
  encodeUpdate,
  endOfRib,
  endOfRibFamily,
  formatPrefix,
  maskAddress,
  parseAddress,
  parsePrefix,
} from 'bgp-parse';
import { hex, message, toHex } from './hex.js';

const prefixes = (...texts: string[]): Nlri[] => texts.map((text) => parsePrefix(text)!);

t.test('NLRI (RFC 4271 §4.3, RFC 7911 §3)', (t) => {
  const text = '00 08 0a 18 c63364 20 c6336401 19 c63364ff';
  const list = decodeNlri(hex(text), 0, hex(text).length, 'ipv4-unicast');
  t.same(list.map(formatPrefix), [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '198.51.100.0/24',
    '198.51.100.1/32',
    '198.51.100.128/25',
  ]);
  t.equal(toHex(encodeNlri(list)), toHex(hex(text.replace('ff', '80'))), 'bits past the length are cleared');
  const six = '00 20 20010db8 80 20010db8000000000000000000000001';
  const list6 = decodeNlri(hex(six), 0, hex(six).length, 'ipv6-unicast');
  t.same(list6.map(formatPrefix), ['::/0', '2001:db8::/32', '2001:db8::1/128']);
  t.equal(toHex(encodeNlri(list6)), toHex(hex(six)));
  const paths = 'fffffffe 18 c63364 00000000 00';
  const withIds = decodeNlri(hex(paths), 0, hex(paths).length, 'ipv4-unicast', true);
  t.same(
    withIds.map((nlri) => [formatPrefix(nlri), nlri.pathId]),
    [
      ['198.51.100.0/24', 4294967294],
      ['0.0.0.0/0', 0],
    ],
  );
  t.equal(toHex(encodeNlri(withIds, true)), toHex(hex(paths)));
  // RFC 7606 §5.3
  const bad: [string, Family, boolean][] = [
    ['21 0102030405', 'ipv4-unicast', false],
    ['ff', 'ipv4-unicast', false],
    ['18 c633', 'ipv4-unicast', false],
    ['81 ' + '00'.repeat(17), 'ipv6-unicast', false],
    ['00000001', 'ipv4-unicast', true],
    ['00000001 18 c633', 'ipv4-unicast', true],
  ];
  for (const [octets, family, addPath] of bad) {
    // What follows the end must not be read.
    const bytes = hex(octets + '00'.repeat(30));
    t.throws(
      () => decodeNlri(bytes, 0, hex(octets).length, family, addPath),
      { name: 'BgpError', code: 3, subcode: 10, disposition: 4 },
      octets,
    );
  }
  t.end();
});

t.test('End-of-RIB (RFC 4724 §2)', (t) => {
  t.equal(toHex(endOfRib('ipv4-unicast')), toHex(message(2, hex('00000000'))));
  t.equal(toHex(endOfRib('ipv6-unicast')), toHex(message(2, hex('0000 0006 800f03000201'))));
  const recognised: [string, Family | undefined][] = [
    ['00000000', 'ipv4-unicast'],
    ['0000 0006 800f03000101', 'ipv4-unicast'],
    ['0000 0006 800f03000201', 'ipv6-unicast'],
    ['0000 0007 900f0003000201', 'ipv6-unicast'],
    ['0000 0006 800f03000285', undefined],
    ['0000 0006 800f02000201', undefined],
    ['0000 0006 800f04000201', undefined],
    ['0000 0006 800e03000201', undefined],
    ['0000 0006 900f03000201', undefined],
    ['0000 0007 800f0400020100', undefined],
    ['0000 0000 00', undefined],
    ['0001 00 0000', undefined],
    ['0000 0004 40010100 0000', undefined],
  ];
  for (const [body, family] of recognised) {
    const bytes = hex(body);
    t.equal(endOfRibFamily(bytes, 0, bytes.length), family, body);
  }
  t.end();
});

// A few seconds alone, more on a busy machine.
t.setTimeout(300_000);

const context = { external: false, fourOctetAs: true };

t.test('a whole UPDATE', (t) => {
  const body = hex(
    '0004 18c63364' +
      '0050' +
      '800e1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800010000' +
      '40010100 4002060201 0000fc00 400304c0a8f5ac 40050400000064' +
      '800f08 0002 01 20 20010db9 c00804 fc000001' +
      '18cb0071 00',
  );
  body[7] = body.length - 8 - 5;
  const update = decodeUpdate(body, 0, body.length, context);
  t.equal(update.disposition, Disposition.none);
  t.same(update.errors, []);
  t.same(update.withdrawn.map(formatPrefix), ['198.51.100.0/24']);
  t.same(update.nlri.map(formatPrefix), ['203.0.113.0/24', '0.0.0.0/0']);
  t.same(update.reach, {
    family: 'ipv6-unicast',
    nextHop: parseAddress('2001:db8::1'),
    nlri: prefixes('2001:db8:1::/64'),
  });
  t.same(update.unreach, { family: 'ipv6-unicast', nlri: prefixes('2001:db9::/32') });
  t.same(update.attributes, {
    origin: 0,
    asPath: [{ type: SegmentType.sequence, asns: [64512] }],
    nextHop: parseAddress('192.168.245.172'),
    localPref: 100,
    communities: [0xfc000001],
  });
  t.end();
});

t.test('verdicts of whole messages', (t) => {
  const decode = (body: string, addPath: Family[] = []): DecodedUpdate => {
    const bytes = hex(body);
    return decodeUpdate(bytes, 0, bytes.length, { ...context, addPath });
  };
  const { treatAsWithdraw, sessionReset, none } = Disposition;
  t.match(
    decode('0000 0000 18c63364'),
    { disposition: treatAsWithdraw, attributes: undefined },
    'NLRI without attributes',
  );
  t.equal(decode('0000 0000 18c63364').endOfRib, undefined);
  t.equal(decode('00000000').endOfRib, 'ipv4-unicast');
  t.match(decode('0002 18c6 0000'), { disposition: sessionReset, withdrawn: [] }, 'withdrawn prefix overruns');
  t.match(decode('0000 0004 40010100 21c6336400'), { disposition: sessionReset }, 'prefix length 33');
  t.match(decode('0000 0000 00'), { disposition: treatAsWithdraw });
  t.match(decode('0001'), { disposition: sessionReset });
  t.match(
    decode('0000 0008 800e05 0001850000'),
    { disposition: none, reach: undefined, attributes: undefined },
    'not our family',
  );
  const reach = '0000 0021 800e1e 0002 01 10 20010db8000000000000000000000001 00 40 20010db800010000';
  t.match(
    decode(reach),
    { disposition: treatAsWithdraw, reach: { nlri: [{ length: 64 }] } },
    'prefixes to be withdrawn are there',
  );
  t.match(decode(reach, ['ipv6-unicast']), { disposition: sessionReset }, 'ADD-PATH agreed and not used');
  t.match(decode(reach.replace('800e', '400e')), { disposition: sessionReset, reach: undefined }, 'RFC 7606 §5.3');
  for (const error of decode(reach).errors) t.ok(error instanceof BgpError);
  t.end();
});

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const asn = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 0xffffffff }));
const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const some = <T>(item: fc.Arbitrary<T>, maxLength = 4) => fc.array(item, { minLength: 1, maxLength });
const asPath = fc.array(
  fc.record({ type: fc.constantFrom(SegmentType.set, SegmentType.sequence), asns: some(asn, 8) }),
  { maxLength: 4 },
);
const attributes: fc.Arbitrary<PathAttributes> = fc
  .record(
    {
      origin: fc.integer({ min: 0, max: 2 }),
      asPath,
      med: u32,
      localPref: u32,
      atomicAggregate: fc.constant(true),
      aggregator: fc.record({ asn, address: u32 }),
      communities: some(u32, 80),
      originatorId: u32,
      clusterList: some(u32),
      extendedCommunities: some(octets(8), 40),
      ipv6ExtendedCommunities: some(octets(20), 20),
      largeCommunities: some(fc.tuple(u32, u32, u32), 30),
      otc: u32,
      unknown: fc
        .uniqueArray(
          fc.record({
            flags: fc.constant(0xe0),
            code: fc.integer({ min: 36, max: 255 }),
            value: fc.uint8Array({ maxLength: 300 }),
          }),
          {
            selector: ({ code }) => code,
            minLength: 1,
            maxLength: 3,
          },
        )
        .map((list) => [...list].sort((a, b) => a.code - b.code)),
      partial: fc.subarray([8, 16, 25, 32, 35], { minLength: 1 }),
    },
    { requiredKeys: ['origin', 'asPath', 'localPref'] },
  )
  .map((value) => {
    // Partial is reported for attributes that are there.
    const { partial, ...rest } = value;
    const present: Record<number, boolean> = {
      8: !!rest.communities,
      16: !!rest.extendedCommunities,
      25: !!rest.ipv6ExtendedCommunities,
      32: !!rest.largeCommunities,
      35: rest.otc !== undefined,
    };
    const kept = partial?.filter((code) => present[code]) ?? [];
    return (kept.length > 0 ? { ...rest, partial: kept } : rest) as PathAttributes;
  });
const nextHop4 = octets(4).map((bytes) => Uint8Array.of(1 + (bytes[0]! % 126), ...bytes.subarray(1)));
const nextHop6 = fc.oneof(octets(16), octets(32)).map((bytes) => Uint8Array.of(0x20, ...bytes.subarray(1)));

t.test('attributes: octets and value say the same', (t) => {
  fc.assert(
    fc.property(attributes, fc.option(fc.oneof(nextHop4, nextHop6), { nil: undefined }), (value, nextHop) => {
      const whole = nextHop === undefined ? value : { ...value, nextHop };
      const bytes = encodeAttributes(whole);
      t.same(decodeAttributes(bytes, 0, bytes.length), whole);
      t.equal(toHex(encodeAttributes(decodeAttributes(bytes, 0, bytes.length))), toHex(bytes));
    }),
    { numRuns: runs(500) },
  );
  t.throws(
    () => encodeAttributes({ origin: 0, asPath: [], unknown: [{ flags: 0x80, code: 99, value: hex('00') }] }),
    RangeError,
  );
  t.throws(
    () => encodeAttributes({ origin: 0, asPath: [], communities: new Array<number>(20000).fill(1) }),
    RangeError,
  );
  const long = encodeAttributes({ origin: 0, asPath: [{ type: 2, asns: new Array<number>(300).fill(64512) }] });
  t.same(
    decodeAttributes(long, 0, long.length).asPath.map(({ asns }) => asns.length),
    [255, 45],
    'a segment holds 255',
  );
  t.end();
});

const nlri = (family: Family, addPath: boolean): fc.Arbitrary<Nlri> => {
  const size = family === 'ipv4-unicast' ? 4 : 16;
  return fc
    .tuple(octets(size), fc.integer({ min: 0, max: size * 8 }), u32)
    .map(([bytes, length, pathId]) => ({ bytes: maskAddress(bytes, length), length, ...(addPath ? { pathId } : {}) }));
};

t.test('encodeUpdate and decodeUpdate are inverse, for every kind of session', (t) => {
  for (const addPathOn of [false, true]) {
    for (const fourOctetAs of [true, false]) {
      for (const maxMessageLength of [4096, 65535]) {
        const addPath: Family[] = addPathOn ? ['ipv4-unicast', 'ipv6-unicast'] : [];
        const list = (family: Family) => fc.array(nlri(family, addPathOn), { maxLength: 400, size: 'max' });
        const mp = fc
          .constantFrom<Family>('ipv4-unicast', 'ipv6-unicast')
          .chain((family) => fc.tuple(fc.constant(family), list(family), list(family)));
        fc.assert(
          fc.property(
            attributes,
            nextHop4,
            nextHop6,
            list('ipv4-unicast'),
            list('ipv4-unicast'),
            mp,
            (value, next4, next6, withdrawn, reachable, [family, reached, unreached]) => {
              const update: Update = {
                withdrawn,
                attributes: { ...value, nextHop: next4 },
                nlri: reachable,
                reach: { family, nextHop: next6, nlri: reached },
                unreach: { family, nlri: unreached },
              };
              const found = { withdrawn: [] as Nlri[], nlri: [] as Nlri[], reach: [] as Nlri[], unreach: [] as Nlri[] };
              for (const bytes of encodeUpdate(update, { fourOctetAs, addPath, maxMessageLength })) {
                if (bytes.length > maxMessageLength || bytes.length !== ((bytes[16]! << 8) | bytes[17]!))
                  t.fail('message length');
                const decoded = decodeUpdate(bytes, 19, bytes.length, { external: false, fourOctetAs, addPath });
                if (decoded.disposition !== 0) t.equal(decoded.errors[0]?.message, undefined);
                found.withdrawn.push(...decoded.withdrawn);
                found.nlri.push(...decoded.nlri);
                found.reach.push(...(decoded.reach?.nlri ?? []));
                found.unreach.push(...(decoded.unreach?.nlri ?? []));
                if (decoded.nlri.length > 0) t.same(decoded.attributes, { ...value, nextHop: next4 });
                if (decoded.reach) {
                  t.same(decoded.attributes, value);
                  t.same([decoded.reach.family, toHex(decoded.reach.nextHop)], [family, toHex(next6)]);
                }
              }
              t.same(found, { withdrawn, nlri: reachable, reach: reached, unreach: unreached });
            },
          ),
          { numRuns: runs(25) },
        );
      }
    }
  }
  t.end();
});

t.test('a two-octet peer gets AS_TRANS, AS4_PATH and AS4_AGGREGATOR (RFC 6793 §4.2.2)', (t) => {
  const value: PathAttributes = {
    origin: 0,
    asPath: [
      { type: SegmentType.confedSequence, asns: [65001] },
      { type: SegmentType.sequence, asns: [64512, 196609] },
    ],
    nextHop: hex('c0a80001'),
    aggregator: { asn: 196609, address: 0x0a000001 },
  };
  const [bytes] = encodeUpdate({ attributes: value, nlri: prefixes('10.0.0.0/8') }, { fourOctetAs: false });
  const expected =
    '40010100 40020a 0301fde9 0202fc005ba0 400304c0a80001 c00706 5ba00a000001' +
    'c0110a 0202 0000fc00 00030001 c01208 00030001 0a000001';
  const length = hex(expected).length.toString(16).padStart(4, '0');
  t.equal(toHex(bytes!.subarray(19)), toHex(hex(`0000 ${length} ${expected} 080a`)));
  // Nothing to hide: no AS4 attributes.
  const [plain] = encodeUpdate(
    { attributes: { ...value, asPath: [], aggregator: { asn: 64512, address: 1 } }, nlri: prefixes('10.0.0.0/8') },
    { fourOctetAs: false },
  );
  t.equal(toHex(plain!.subarray(23)), toHex(hex('40010100 400200 400304c0a80001 c00706 fc0000000001 080a')));
  t.end();
});

t.test('what cannot be said', (t) => {
  const path: PathAttributes = { origin: 0, asPath: [], nextHop: hex('c0a80001') };
  const large = { ...path, communities: new Array<number>(1100).fill(1) };
  const list = prefixes('10.0.0.0/8');
  const reach = {
    family: 'ipv6-unicast' as const,
    nextHop: parseAddress('2001:db8::1')!,
    nlri: prefixes('2001:db8::/32'),
  };
  t.throws(() => encodeUpdate({ nlri: list }, context), RangeError);
  t.throws(() => encodeUpdate({ reach }, context), RangeError);
  t.throws(() => encodeUpdate({ nlri: list, attributes: { origin: 0, asPath: [] } }, context), RangeError);
  t.throws(() => encodeUpdate({ nlri: list, attributes: large }, context), RangeError);
  t.equal(encodeUpdate({ nlri: list, attributes: large }, { ...context, maxMessageLength: 65535 }).length, 1);
  t.same(encodeUpdate({}, context), []);
  t.end();
});
