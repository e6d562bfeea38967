/** BFD Control packets: vectors both ways, each reason to discard, and any octets at all. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import {
  type BfdControl,
  BfdState,
  createBfdControl,
  decodeBfdControl,
  encodeBfdControl,
  formatBfdDiagnostic,
  formatBfdState,
} from 'bgp-parse';
import { hex, toHex } from './hex.js';

/** As two other implementations send them. */
const VECTORS: { readonly name: string; readonly octets: string; readonly packet: Partial<BfdControl> }[] = [
  {
    name: 'Down, slow, nothing heard yet',
    octets: '20 40 03 18 00000001 00000000 000f4240 000f4240 00000000',
    packet: { state: BfdState.down, myDiscriminator: 1, desiredMinTxUs: 1_000_000, requiredMinRxUs: 1_000_000 },
  },
  {
    name: 'Up with Poll, C bit and echo',
    octets: '20 e8 05 18 fedcba98 89abcdef 0000c350 000186a0 0000c350',
    packet: {
      state: BfdState.up,
      poll: true,
      controlPlaneIndependent: true,
      detectMultiplier: 5,
      myDiscriminator: 0xfedcba98,
      yourDiscriminator: 0x89abcdef,
      desiredMinTxUs: 50_000,
      requiredMinRxUs: 100_000,
      requiredMinEchoRxUs: 50_000,
    },
  },
  {
    name: 'Init with Final and Demand',
    octets: '20 92 03 18 00000007 00000009 000f4240 00000000 00000000',
    packet: {
      state: BfdState.init,
      final: true,
      demand: true,
      myDiscriminator: 7,
      yourDiscriminator: 9,
      desiredMinTxUs: 1_000_000,
    },
  },
  {
    name: 'AdminDown',
    octets: '27 00 03 18 00000007 00000000 000f4240 000f4240 00000000',
    packet: {
      state: BfdState.adminDown,
      diagnostic: 7,
      myDiscriminator: 7,
      desiredMinTxUs: 1_000_000,
      requiredMinRxUs: 1_000_000,
    },
  },
];

for (const { name, octets, packet } of VECTORS) {
  t.test(name, (t) => {
    const bytes = hex(octets);
    const read = createBfdControl();
    t.equal(decodeBfdControl(bytes, bytes.length, read), undefined);
    t.same(read, { ...createBfdControl(), ...packet });
    const out = new Uint8Array(24);
    encodeBfdControl(read, out);
    t.equal(toHex(out), toHex(bytes));
    t.end();
  });
}

t.test('what is discarded, and why (RFC 5880 §6.8.6)', (t) => {
  const good = '20 40 03 18 00000001 00000000 000f4240 000f4240 00000000';
  const cases: [string, string | undefined][] = [
    [good, undefined],
    [`${good} 0000`, undefined],
    [good.slice(0, -2), 'truncated'],
    ['', 'truncated'],
    [good.replace('20', '00'), 'version'],
    [good.replace('20', '40'), 'version'],
    [good.replace(' 18', ' 17'), 'length'],
    [good.replace(' 18', ' 19'), 'length'],
    [good.replace(' 03', ' 00'), 'detectMultiplier'],
    [good.replace(' 40', ' 41'), 'multipoint'],
    [good.replace('00000001', '00000000'), 'discriminator'],
    // Who is Init or Up knows whom it talks to.
    [good.replace(' 40', ' 80'), 'discriminator'],
    [good.replace(' 40', ' c0'), 'discriminator'],
    [good.replace(' 40', ' 00'), undefined],
    // Authentication: §4.2 a password, §4.3 keyed MD5; too short for any.
    [`${good.replace(' 40', ' 44').replace(' 18', ' 21')} 01 09 01 736563726574`, 'authentication'],
    [`${good.replace(' 40', ' 44').replace(' 18', ' 30')} 02 18 01 00 00000001 ${'00'.repeat(16)}`, 'authentication'],
    [good.replace(' 40', ' 44'), 'length'],
  ];
  for (const [octets, fault] of cases) {
    const bytes = hex(octets);
    t.equal(decodeBfdControl(bytes, bytes.length, createBfdControl()), fault, octets);
  }
  t.end();
});

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const packets = fc.record({
  diagnostic: fc.integer({ min: 0, max: 31 }),
  state: fc.constantFrom(BfdState.adminDown, BfdState.down, BfdState.init, BfdState.up),
  poll: fc.boolean(),
  final: fc.boolean(),
  controlPlaneIndependent: fc.boolean(),
  demand: fc.boolean(),
  detectMultiplier: fc.integer({ min: 1, max: 255 }),
  myDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
  yourDiscriminator: fc.integer({ min: 1, max: 0xffffffff }),
  desiredMinTxUs: u32,
  requiredMinRxUs: u32,
  requiredMinEchoRxUs: u32,
});

t.test('every packet comes back as it was', (t) => {
  fc.assert(
    fc.property(packets, (packet) => {
      const bytes = new Uint8Array(24);
      encodeBfdControl(packet, bytes);
      const read = createBfdControl();
      t.equal(decodeBfdControl(bytes, 24, read), undefined);
      t.same(read, packet);
    }),
    { numRuns: runs(200) },
  );
  t.end();
});

t.test('any octets give a packet or a fault, and what is taken is written the same', (t) => {
  let taken = 0;
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 60, size: 'max' }), fc.boolean(), (bytes, likely) => {
      // Most random octets fail at the first; half of them are given a head that passes.
      if (likely && bytes.length >= 24) bytes.set([0x20, bytes[1]! & 0xfa, 3, 24]);
      const read = createBfdControl();
      if (decodeBfdControl(bytes, bytes.length, read) !== undefined) return;
      taken++;
      const out = new Uint8Array(24);
      encodeBfdControl(read, out);
      // Octets behind the fields are allowed, and not repeated.
      bytes[3] = 24;
      t.equal(toHex(out), toHex(bytes.subarray(0, 24)));
    }),
    { numRuns: runs(1000) },
  );
  t.ok(taken > 10, `${taken} were taken`);
  t.end();
});

t.test('in words', (t) => {
  t.same(Object.values(BfdState).map(formatBfdState), ['AdminDown', 'Down', 'Init', 'Up']);
  t.equal(formatBfdDiagnostic(1), 'control detection time expired');
  t.equal(formatBfdDiagnostic(31), 'diagnostic 31');
  t.end();
});
