/** OPEN and capabilities: vectors both ways, RFC 9072, malformed ones with their NOTIFICATION. */
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import { BgpError, type Capability, type OpenMessage, decodeOpen, encodeOpen, findCapability } from 'bgp-parse';
import { hex, message, toHex } from './hex.js';

const FIXED = '04 fc00 005a c0a8f5a8';

function decode(body: string): OpenMessage {
  const bytes = hex(body);
  return decodeOpen(bytes, 0, bytes.length);
}

function open(...capabilities: Capability[]): OpenMessage {
  return { version: 4, asn: 64512, holdTimeSeconds: 90, identifier: 0xc0a8f5a8, capabilities };
}

// [RFC, octets of the capability, value]
const capabilities: [string, string, Capability][] = [
  ['RFC 4760 §8', '0104 00010001', { kind: 'multiprotocol', afi: 1, safi: 1 }],
  ['RFC 4760 §8, an unknown family', '0104 40040047', { kind: 'multiprotocol', afi: 16388, safi: 71 }],
  ['RFC 2918 §2', '0200', { kind: 'routeRefresh' }],
  ['RFC 2918 by its old number', '8000', { kind: 'routeRefreshCisco' }],
  ['RFC 8950 §4', '0506 000100010002', { kind: 'extendedNextHop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] }],
  ['RFC 8654 §3', '0600', { kind: 'extendedMessage' }],
  ['RFC 9234 §4.1', '090103', { kind: 'role', role: 3 }],
  [
    'RFC 4724 §3, RFC 8538 §2',
    '400a c078 00010180 00020100',
    {
      kind: 'gracefulRestart',
      restarting: true,
      notification: true,
      restartTimeSeconds: 120,
      families: [
        { afi: 1, safi: 1, forwardingPreserved: true },
        { afi: 2, safi: 1, forwardingPreserved: false },
      ],
    },
  ],
  [
    'RFC 4724 §3, helper only',
    '4002 0fff',
    { kind: 'gracefulRestart', restarting: false, notification: false, restartTimeSeconds: 4095, families: [] },
  ],
  ['RFC 6793 §3', '4104 fffffffe', { kind: 'fourOctetAs', asn: 4294967294 }],
  [
    'RFC 7911 §4',
    '4508 00010103 00020101',
    {
      kind: 'addPath',
      entries: [
        { afi: 1, safi: 1, mode: 3 },
        { afi: 2, safi: 1, mode: 1 },
      ],
    },
  ],
  ['RFC 7911 §4, a mode that is none', '4504 00010104', { kind: 'unknown', code: 69, value: hex('00010104') }],
  ['RFC 7313 §3.1', '4600', { kind: 'enhancedRouteRefresh' }],
  [
    'RFC 9494 §3',
    '4707 000101 80 015180',
    {
      kind: 'longLivedGracefulRestart',
      families: [{ afi: 1, safi: 1, forwardingPreserved: true, staleTimeSeconds: 86400 }],
    },
  ],
  ['FQDN', '4908 046e6f646503 6c616e'.replace('4908', '4909'), { kind: 'fqdn', hostname: 'node', domain: 'lan' }],
  ['FQDN without a domain', '4906 046e6f646500', { kind: 'fqdn', hostname: 'node', domain: '' }],
  ['FQDN that lies is kept as octets', '4902 0561', { kind: 'unknown', code: 73, value: hex('0561') }],
  ['a code without a form', 'd303 010203', { kind: 'unknown', code: 211, value: hex('010203') }],
];
for (const [rfc, octets, value] of capabilities) {
  t.test(`capability: ${rfc}`, (t) => {
    const length = hex(octets).length;
    const parameters = `02 ${length.toString(16).padStart(2, '0')} ${octets}`;
    const body = `${FIXED} ${(length + 2).toString(16).padStart(2, '0')} ${parameters}`;
    t.same(decode(body), open(value));
    t.equal(toHex(encodeOpen(open(value))), toHex(message(1, hex(body))));
    t.end();
  });
}

t.test('no parameter, one for all, one for each', (t) => {
  const two = open({ kind: 'routeRefresh' }, { kind: 'fourOctetAs', asn: 64512 });
  const one = `${FIXED} 0a 0208 0200 41040000fc00`;
  const each = `${FIXED} 0c 0202 0200 0206 41040000fc00`;
  t.same(decode(`${FIXED} 00`), open());
  t.equal(toHex(encodeOpen(open())), toHex(message(1, hex(`${FIXED} 00`))));
  t.same(decode(one), two);
  t.same(decode(each), two);
  t.equal(toHex(encodeOpen(two)), toHex(message(1, hex(one))));
  t.equal(toHex(encodeOpen(two, { parameterPerCapability: true })), toHex(message(1, hex(each))));
  t.same(findCapability(two.capabilities, 'fourOctetAs'), { kind: 'fourOctetAs', asn: 64512 });
  t.equal(findCapability(two.capabilities, 'role'), undefined);
  t.end();
});

t.test('extended optional parameters (RFC 9072 §2)', (t) => {
  const one = open({ kind: 'routeRefresh' });
  const body = `${FIXED} ff ff 0005 02 0002 0200`;
  t.same(decode(body), one);
  t.same(decode(body.replace('ff ff', '05 ff')), one, 'the one-octet length is ignored');
  t.throws(() => decode(body.replace('ff ff', '00 ff')), { code: 2, subcode: 0 }, 'but never 0');
  t.equal(toHex(encodeOpen(one, { extendedParameters: true })), toHex(message(1, hex(body))));
  const value = new Uint8Array(200).fill(7);
  const large = open({ kind: 'unknown', code: 200, value }, { kind: 'unknown', code: 201, value });
  for (const parameterPerCapability of [false, true]) {
    const bytes = encodeOpen(large, { parameterPerCapability });
    t.equal(bytes[28], 255);
    t.same(decodeOpen(bytes, 19, bytes.length), large);
  }
  // 253 octets of capabilities: the last size of the plain form.
  for (const [size, extended] of [
    [251, false],
    [252, true],
  ] as const) {
    const bytes = encodeOpen(open({ kind: 'unknown', code: 1 + 199, value: new Uint8Array(size) }));
    t.equal(bytes[29] === 255, extended, `${size} octets`);
    t.same(decodeOpen(bytes, 19, bytes.length).capabilities.length, 1);
  }
  const much = Array.from({ length: 20 }, (_, i): Capability => ({
    kind: 'unknown',
    code: 200 + i,
    value: new Uint8Array(250),
  }));
  t.throws(() => encodeOpen(open(...much)), RangeError);
  t.throws(() => encodeOpen(open({ kind: 'unknown', code: 1, value: new Uint8Array(256) })), RangeError);
  t.end();
});

// RFC 4271 §6.2, RFC 5492 §5: [what, body, subcode, data]
const bad: [string, string, number, string][] = [
  ['version 3', FIXED.replace('04', '03') + '00', 1, '0004'],
  ['too short', '04fc00', 0, ''],
  ['parameters longer than the message', `${FIXED} 03 0202`, 0, ''],
  ['octets behind the parameters', `${FIXED} 00 00`, 0, ''],
  ['parameter overruns', `${FIXED} 04 0203 0200`, 0, ''],
  ['parameter cut off', `${FIXED} 01 02`, 0, ''],
  ['extended parameter overruns', `${FIXED} ff ff 0005 02 0003 0200`, 0, ''],
  ['extended length lies', `${FIXED} ff ff 0006 02 0002 0200`, 0, ''],
  ['authentication parameter', `${FIXED} 03 010100`, 4, ''],
  ['unknown parameter', `${FIXED} 02 0900`, 4, ''],
  ['capability overruns', `${FIXED} 04 0202 4104`, 0, '4104'],
  ['capability cut off', `${FIXED} 03 0201 41`, 0, '41'],
  ['multiprotocol of 3', `${FIXED} 07 0205 0103000100`, 0, '0103000100'],
  ['route refresh of 1', `${FIXED} 05 0203 020100`, 0, '020100'],
  ['four-octet AS empty', `${FIXED} 04 0202 4100`, 0, '4100'],
  ['graceful restart empty', `${FIXED} 04 0202 4000`, 0, '4000'],
  ['graceful restart of 5', `${FIXED} 09 0207 40050078000101`, 0, '40050078000101'],
  ['ADD-PATH of 3', `${FIXED} 07 0205 4503000101`, 0, '4503000101'],
  ['extended next hop of 4', `${FIXED} 08 0206 050400010001`, 0, '050400010001'],
  ['role empty', `${FIXED} 04 0202 0900`, 0, '0900'],
  ['LLGR of 6', `${FIXED} 0a 0208 4706000101800151`, 0, '4706000101800151'],
];
for (const [name, body, subcode, data] of bad) {
  t.test(`malformed: ${name}`, (t) => {
    try {
      decode(body);
      t.fail('was taken');
    } catch (error) {
      t.ok(error instanceof BgpError);
      const { code, subcode: found, data: foundData } = error as BgpError;
      t.same([code, found, toHex(foundData)], [2, subcode, data]);
    }
    t.end();
  });
}

const u8 = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 65535 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const family = { afi: u16, safi: u8 };
const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc.record({ kind: fc.constant('multiprotocol' as const), ...family }),
  fc.constantFrom<Capability>({ kind: 'routeRefresh' }, { kind: 'extendedMessage' }, { kind: 'enhancedRouteRefresh' }),
  fc.record({
    kind: fc.constant('extendedNextHop' as const),
    entries: fc.array(fc.record({ afi: u16, safi: u16, nextHopAfi: u16 }), { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('role' as const), role: u8 }),
  fc.record({
    kind: fc.constant('gracefulRestart' as const),
    restarting: fc.boolean(),
    notification: fc.boolean(),
    restartTimeSeconds: fc.integer({ min: 0, max: 4095 }),
    families: fc.array(fc.record({ ...family, forwardingPreserved: fc.boolean() }), { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('fourOctetAs' as const), asn: u32 }),
  fc.record({
    kind: fc.constant('addPath' as const),
    entries: fc.array(fc.record({ ...family, mode: fc.integer({ min: 1, max: 3 }) }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('longLivedGracefulRestart' as const),
    families: fc.array(
      fc.record({
        ...family,
        forwardingPreserved: fc.boolean(),
        staleTimeSeconds: fc.integer({ min: 0, max: 0xffffff }),
      }),
      { maxLength: 5 },
    ),
  }),
  fc.record({
    kind: fc.constant('fqdn' as const),
    hostname: fc.string({ maxLength: 20, unit: 'grapheme' }).filter((text) => Buffer.byteLength(text) < 100),
    domain: fc.string({ maxLength: 20 }),
  }),
  fc.record({
    kind: fc.constant('unknown' as const),
    code: fc.integer({ min: 74, max: 127 }),
    value: fc.uint8Array({ maxLength: 60 }),
  }),
);

t.test('what is encoded is decoded', (t) => {
  fc.assert(
    fc.property(
      fc.record({
        version: fc.constant(4),
        asn: u16,
        holdTimeSeconds: u16,
        identifier: u32,
        capabilities: fc.array(capability, { maxLength: 12 }),
      }),
      fc.boolean(),
      fc.boolean(),
      (value, parameterPerCapability, extendedParameters) => {
        const bytes = encodeOpen(value, { parameterPerCapability, extendedParameters });
        t.ok(bytes.length === ((bytes[16]! << 8) | bytes[17]!));
        t.same(decodeOpen(bytes, 19, bytes.length), value);
      },
    ),
    { numRuns: runs(300) },
  );
  t.end();
});
