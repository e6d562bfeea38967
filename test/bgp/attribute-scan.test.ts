/** scanAttributes and canonicalizeAttributes: verdicts per attribute, values read, canonical form. */
import t from 'tap';
import {
  AttributeScan,
  Disposition,
  type ScanContext,
  canonicalizeAttributes,
  scanAttributes,
  scanCanonical,
  scanError,
} from 'bgp-parse';
import { concat, hex, toHex } from './hex.js';

const internal: ScanContext = { external: false, fourOctetAs: true, mpNextHop: false };
const external: ScanContext = { external: true, fourOctetAs: true, mpNextHop: false };
const old: ScanContext = { external: true, fourOctetAs: false, mpNextHop: false };
const internalMp: ScanContext = { external: false, fourOctetAs: true, mpNextHop: true };

const ORIGIN = '40010100';
const PATH = '4002060201 0000fc00';
const NEXT_HOP = '400304c0a8f5ac';
const LOCAL_PREF = '40050400000064';
const base = ORIGIN + PATH + NEXT_HOP + LOCAL_PREF;

function scan(text: string, context: ScanContext = internal): AttributeScan {
  const bytes = hex(text);
  const out = new AttributeScan();
  t.equal(scanAttributes(bytes, 0, bytes.length, context, out), out.disposition);
  return out;
}

function canonical(text: string, context: ScanContext = internal): string {
  const bytes = hex(text);
  const out = scan(text, context);
  const target = new Uint8Array(2 * bytes.length + 16);
  return toHex(target.subarray(0, canonicalizeAttributes(bytes, 0, bytes.length, context, out, target)));
}

t.test('a whole block', (t) => {
  const text =
    ORIGIN +
    '40021e 01020000fde800000001 02030000fc00000000020003000d 0301000000ff' +
    NEXT_HOP +
    '800404ffffffff 400504000000c8 400600 c007080000fc000a000001 c00808 fc000001fc000002 80090401020304 800a08 0101010102020202' +
    'c010080002fc0000000064 c0200c0000fc000000000100000002 c023040000fc00';
  const out = scan(text);
  t.match(out, {
    disposition: Disposition.none,
    errorAttribute: -1,
    origin: 0,
    med: 4294967295,
    hasMed: true,
    localPref: 200,
    hasLocalPref: true,
    hasAtomicAggregate: true,
    hasOriginatorId: true,
    originatorId: 0x01020304,
    clusterCount: 2,
    communitiesCount: 2,
    extendedCommunitiesCount: 1,
    largeCommunitiesCount: 1,
    hasOtc: true,
    otc: 64512,
    asPathHops: 4,
    neighborAs: 0,
    originAs: 0x3000d,
    hasAsSet: true,
    hasConfedSegments: true,
    nextHopLength: 4,
    canonical: true,
  });
  t.equal(canonical(text), toHex(hex(text)));
  t.end();
});

t.test('an empty AS_PATH is valid and short', (t) => {
  t.match(scan(ORIGIN + '400200' + NEXT_HOP + LOCAL_PREF), {
    disposition: 0,
    asPathHops: 0,
    neighborAs: 0,
    originAs: 0,
  });
  t.match(scan(base), { asPathHops: 1, neighborAs: 64512, originAs: 64512, canonical: true });
  t.end();
});

const w = Disposition.treatAsWithdraw;
const d = Disposition.attributeDiscard;
const n = Disposition.none;
// [what, block, context, verdict, subcode, attribute, NOTIFICATION data]
const verdicts: [string, string, ScanContext, Disposition, number, number, string?][] = [
  ['no ORIGIN', PATH + NEXT_HOP + LOCAL_PREF, internal, w, 3, 1, '01'],
  ['no AS_PATH', ORIGIN + NEXT_HOP + LOCAL_PREF, internal, w, 3, 2, '02'],
  ['no NEXT_HOP', ORIGIN + PATH + LOCAL_PREF, internal, w, 3, 3, '03'],
  ['no LOCAL_PREF, internal', ORIGIN + PATH + NEXT_HOP, internal, w, 3, 5, '05'],
  ['no LOCAL_PREF, external', ORIGIN + PATH + NEXT_HOP, external, n, 0, -1],
  ['nothing', '', external, w, 3, 1, '01'],
  ['ORIGIN 3', base.replace(ORIGIN, '40010103'), internal, w, 6, 1, '40010103'],
  ['ORIGIN empty', base.replace(ORIGIN, '400100'), internal, w, 5, 1, '400100'],
  ['ORIGIN optional', base.replace(ORIGIN, 'c0010100'), internal, w, 4, 1, 'c0010100'],
  ['AS_PATH segment type 0', base.replace(PATH, '4002060001 0000fc00'), internal, w, 11, 2, ''],
  ['AS_PATH segment type 5', base.replace(PATH, '4002060501 0000fc00'), internal, w, 11, 2, ''],
  ['AS_PATH empty segment', base.replace(PATH, '4002020200'), internal, w, 11, 2, ''],
  ['AS_PATH overrun', base.replace(PATH, '4002060202 0000fc00'), internal, w, 11, 2, ''],
  ['AS_PATH underrun', base.replace(PATH, '4002070201 0000fc0000'), internal, w, 11, 2, ''],
  ['AS_PATH with AS 0', base.replace(PATH, '4002060201 00000000'), internal, w, 11, 2, ''],
  ['AS_PATH confederation, external', base.replace(PATH, '4002060301 0000fc00'), external, w, 11, 2, ''],
  ['AS_PATH confederation, internal', base.replace(PATH, '4002060301 0000fc00'), internal, n, 0, -1],
  ['NEXT_HOP length 5', base.replace(NEXT_HOP, '400305c0a8f5ac00'), internal, w, 5, 3, '400305c0a8f5ac00'],
  ['NEXT_HOP 16 octets, not of MP', base.replace(NEXT_HOP, '400310' + '20010db8'.repeat(4)), internal, w, 5, 3],
  ['NEXT_HOP 16 octets of MP', base.replace(NEXT_HOP, '400310' + '20010db8'.repeat(4)), internalMp, n, 0, -1],
  ['NEXT_HOP 32 octets of MP', base.replace(NEXT_HOP, '400320' + '20010db8'.repeat(8)), internalMp, n, 0, -1],
  ['NEXT_HOP 24 octets of MP', base.replace(NEXT_HOP, '400318' + '20010db8'.repeat(6)), internalMp, w, 5, 3],
  ['NEXT_HOP ::', base.replace(NEXT_HOP, '400310' + '00000000'.repeat(4)), internalMp, w, 8, 3],
  ['NEXT_HOP ff02::1', base.replace(NEXT_HOP, '400310ff02' + '00'.repeat(13) + '01'), internalMp, w, 8, 3],
  ['NEXT_HOP 0.0.0.0', base.replace(NEXT_HOP, '40030400000000'), internal, w, 8, 3, '40030400000000'],
  ['NEXT_HOP 127.0.0.1', base.replace(NEXT_HOP, '4003047f000001'), internal, w, 8, 3],
  ['NEXT_HOP 224.0.0.1', base.replace(NEXT_HOP, '400304e0000001'), internal, w, 8, 3],
  ['NEXT_HOP 255.255.255.255', base.replace(NEXT_HOP, '400304ffffffff'), internal, w, 8, 3],
  ['MED length 3', base + '800403000000', internal, w, 5, 4, '800403000000'],
  ['MED transitive', base + 'c0040400000000', internal, w, 4, 4, 'c0040400000000'],
  ['LOCAL_PREF length 5, internal', base.replace(LOCAL_PREF, '4005050000006400'), internal, w, 5, 5],
  ['LOCAL_PREF, external', base, external, d, 5, 5],
  ['LOCAL_PREF of any shape, external', base.replace(LOCAL_PREF, 'c0050100'), external, d, 5, 5],
  ['ATOMIC_AGGREGATE length 1', base + '40060100', internal, d, 5, 6],
  ['AGGREGATOR length 6', base + 'c00706fc000a000001', internal, d, 5, 7],
  ['AGGREGATOR AS 0', base + 'c00708000000000a000001', internal, d, 9, 7],
  ['AGGREGATOR length 6, two-octet', ORIGIN + '400200' + NEXT_HOP + 'c00706fc000a000001', old, n, 0, -1],
  ['AGGREGATOR length 8, two-octet', ORIGIN + '400200' + NEXT_HOP + 'c007080000fc000a000001', old, d, 5, 7],
  ['communities empty', base + 'c00800', internal, w, 5, 8],
  ['communities of 6', base + 'c008060000000000fc', internal, w, 5, 8],
  ['ORIGINATOR_ID length 5', base + '8009050102030405', internal, w, 5, 9],
  ['ORIGINATOR_ID, external', ORIGIN + PATH + NEXT_HOP + '8009050102030405', external, d, 5, 9],
  ['CLUSTER_LIST empty', base + '800a00', internal, w, 5, 10],
  ['CLUSTER_LIST, external', ORIGIN + PATH + NEXT_HOP + '800a00', external, d, 5, 10],
  ['extended communities of 7', base + 'c0100700000000000000', internal, w, 5, 16],
  ['IPv6 extended communities of 8', base + 'c019080000000000000000', internal, w, 5, 25],
  ['large communities of 11', base + 'c0200b0000000000000000000000', internal, w, 5, 32],
  ['large communities empty', base + 'c02000', internal, w, 5, 32],
  ['OTC length 2', base + 'c02302fc00', internal, w, 5, 35],
  ['AS4_PATH of a four-octet speaker', base + 'c011060201 0000fc00', internal, d, 5, 17],
  ['AS4_PATH malformed', ORIGIN + '400200' + NEXT_HOP + 'c011060202 0000fc00', old, d, 5, 17],
  ['AS4_AGGREGATOR of a four-octet speaker', base + 'c012080000fc000a000001', internal, d, 5, 18],
  ['unknown optional transitive', base + 'c06303010203', internal, n, 0, -1],
  ['unknown optional non-transitive', base + '806303010203', internal, n, 0, -1],
  ['unknown well-known', base + '406303010203', internal, w, 2, 99, '406303010203'],
  ['ORIGIN twice', base + '40010102', internal, d, 1, 1, ''],
  ['unknown twice', base + 'e06300e0630101', internal, d, 1, 99, ''],
  ['overrun', base + 'c008ff00000000', internal, w, 5, 8, 'c008ff00000000'],
  ['two octets left', base + 'c008', internal, w, 1, -1, ''],
  ['extended length cut off', base + 'd00800', internal, w, 5, 8],
  ['the strongest wins', base + '40060100' + '800403000000', internal, w, 5, 4, '800403000000'],
  ['the strongest wins, of one attribute', base + 'c0060100', internal, w, 4, 6, 'c0060100'],
];
for (const [name, block, context, disposition, subcode, attribute, data] of verdicts) {
  t.test(`verdict: ${name}`, (t) => {
    const out = scan(block, context);
    t.match(out, { disposition, errorSubcode: subcode, errorAttribute: attribute });
    const error = scanError(out, hex(block));
    t.equal(error?.disposition ?? n, disposition);
    if (data !== undefined) t.equal(toHex(error!.data), data);
    t.end();
  });
}

// [what, block, context, canonical form]
const forms: [string, string, ScanContext, string][] = [
  ['order', LOCAL_PREF + NEXT_HOP + PATH + ORIGIN, internal, base],
  ['extended length where it need not be', base.replace(ORIGIN, '5001000100'), internal, base],
  ['unused flag bits', base.replace(ORIGIN, '4f010100'), internal, base],
  ['Partial on a well-known attribute', base.replace(ORIGIN, '60010100'), internal, base],
  ['Partial on communities stays', base + 'e00804fc000001', internal, base + 'e00804fc000001'],
  ['unknown transitive gets Partial', base + 'c06303010203', internal, base + 'e06303010203'],
  ['unknown non-transitive goes', base + '806303010203', internal, base],
  ['later duplicates go', base + '40010102', internal, base],
  ['LOCAL_PREF from outside goes', base, external, ORIGIN + PATH + NEXT_HOP],
  ['MP attributes go', '800e0400010100' + base + '800f03000201', internal, base],
  ['two-octet path', ORIGIN + '4002060202fc00fc01' + NEXT_HOP, old, ORIGIN + '40020a02020000fc000000fc01' + NEXT_HOP],
  [
    'AS4_PATH merged and the sequence joined',
    ORIGIN + '4002080203fc005ba05ba0' + NEXT_HOP + 'c0110a0202 0003000100030002',
    old,
    ORIGIN + '40020e0203 0000fc00 00030001 00030002' + NEXT_HOP,
  ],
  [
    'AS4_PATH longer than AS_PATH is ignored',
    ORIGIN + '40020402015ba0' + NEXT_HOP + 'c0110a0202 0003000100030002',
    old,
    ORIGIN + '4002060201 00005ba0' + NEXT_HOP,
  ],
  [
    'AS4_AGGREGATOR instead of AS_TRANS',
    ORIGIN + '400200' + NEXT_HOP + 'c007065ba00a000001' + 'c01208 00030001 0a000002',
    old,
    ORIGIN + '400200' + NEXT_HOP + 'c00708 00030001 0a000002',
  ],
  [
    'an AGGREGATOR that is not AS_TRANS makes both AS4 attributes stale',
    ORIGIN + '40020402015ba0' + NEXT_HOP + 'c00706fc000a000001' + 'c011060201 00030001' + 'c01208 00030001 0a000002',
    old,
    ORIGIN + '4002060201 00005ba0' + NEXT_HOP + 'c00708 0000fc00 0a000001',
  ],
];
for (const [name, block, context, expected] of forms) {
  t.test(`canonical: ${name}`, (t) => {
    const form = canonical(block, context);
    t.equal(form, toHex(hex(expected)));
    t.equal(scan(block, context).canonical, form === toHex(hex(block)));
    const bytes = hex(form);
    const again = new AttributeScan();
    scanCanonical(bytes, 0, bytes.length, again);
    t.ok(again.canonical);
    t.end();
  });
}

t.test('the extended length is taken from 256 octets on', (t) => {
  const many = 'd0080400' + 'fc000001'.repeat(256);
  t.equal(canonical(base + many), toHex(hex(base + many)));
  // Out of order, so that they are written anew; `short` came with an extended length it does not need.
  const [short, long] = [`e063ff${'07'.repeat(255)}`, `f0620100${'07'.repeat(256)}`];
  t.equal(canonical(`f06300ff${'07'.repeat(255)}` + long + base), toHex(hex(base + long + short)));
  t.end();
});

t.test('offsets are those of the scanned range', (t) => {
  const bytes = concat(hex('ffffff'), hex(base), hex('ffff'));
  const out = new AttributeScan();
  t.equal(scanAttributes(bytes, 3, bytes.length - 2, internal, out), Disposition.none);
  t.equal(toHex(bytes.subarray(out.nextHopStart, out.nextHopStart + out.nextHopLength)), 'c0a8f5ac');
  t.equal(toHex(bytes.subarray(out.asPathStart, out.asPathEnd)), '02010000fc00');
  t.end();
});
