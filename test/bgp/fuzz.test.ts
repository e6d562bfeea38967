/**
 * Any octets at all: nothing but BgpError is ever thrown, nothing hangs, and whatever is accepted has one canonical
 * form that means the same. Seeded, so that a failure can be run again: the seed and the octets are in its message.
 */
import t from 'tap';
import {
  AttributeScan,
  BgpError,
  Disposition,
  Framer,
  type PathAttributes,
  canonicalizeAttributes,
  decodeAttributes,
  decodeNlri,
  decodeNotification,
  decodeOpen,
  decodeRouteRefresh,
  decodeUpdate,
  describeNotification,
  encodeAttributes,
  encodeNotification,
  encodeOpen,
  encodeRouteRefresh,
  encodeUpdate,
  endOfRib,
  endOfRibFamily,
  formatAsPath,
  formatExtendedCommunity,
  keepaliveMessage,
  parsePrefix,
  scanAttributes,
  scanCanonical,
  scanError,
  shutdownData,
} from 'bgp-parse';
import { concat, hex, toHex } from './hex.js';

/** Small, fast and the same everywhere (mulberry32). */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % limit;
  };
}

const full: PathAttributes = {
  origin: 0,
  asPath: [
    { type: 3, asns: [65001] },
    { type: 2, asns: [64512, 4200000000, 23456] },
    { type: 1, asns: [1, 2] },
  ],
  nextHop: hex('c0a8f5ac'),
  med: 5,
  localPref: 200,
  atomicAggregate: true,
  aggregator: { asn: 4200000000, address: 0x0a000001 },
  communities: [0xfc000001, 0xffffff01],
  originatorId: 0x01020304,
  clusterList: [1, 2],
  extendedCommunities: [hex('0002fc0000000064')],
  ipv6ExtendedCommunities: [new Uint8Array(20).fill(2)],
  largeCommunities: [[1, 2, 3]],
  otc: 64512,
  unknown: [{ flags: 0xe0, code: 99, value: new Uint8Array(300).fill(9) }],
};
const four = parsePrefix('198.51.100.0/24')!;
const six = parsePrefix('2001:db8::/48')!;
const reach = { family: 'ipv6-unicast' as const, nextHop: hex('20010db8' + '00'.repeat(11) + '01'), nlri: [six, six] };
const seeds: Uint8Array[] = [
  encodeOpen({
    version: 4,
    asn: 64512,
    holdTimeSeconds: 90,
    identifier: 1,
    capabilities: [
      { kind: 'multiprotocol', afi: 2, safi: 1 },
      { kind: 'fourOctetAs', asn: 4200000000 },
      {
        kind: 'gracefulRestart',
        restarting: false,
        notification: true,
        restartTimeSeconds: 120,
        families: [{ afi: 1, safi: 1, forwardingPreserved: true }],
      },
      { kind: 'addPath', entries: [{ afi: 1, safi: 1, mode: 3 }] },
      { kind: 'fqdn', hostname: 'node', domain: 'lan' },
    ],
  }),
  keepaliveMessage,
  encodeNotification({ code: 6, subcode: 2, data: shutdownData('maintenance') }),
  encodeRouteRefresh({ family: 'ipv4-unicast', subtype: 1 }),
  endOfRib('ipv6-unicast'),
  ...[true, false].flatMap((fourOctetAs) => [
    ...encodeUpdate({ attributes: full, nlri: [four, four] }, { fourOctetAs }),
    ...encodeUpdate({ attributes: full, reach }, { fourOctetAs }),
    ...encodeUpdate({ withdrawn: [four], unreach: { family: 'ipv6-unicast', nlri: [six] } }, { fourOctetAs }),
  ]),
];

// A few seconds alone, more on a busy machine.
t.setTimeout(300_000);

const RANKING = [
  'origin', 'med', 'localPref', 'asPathHops', 'neighborAs', 'originAs', 'hasAsSet', 'hasConfedSegments', 'hasMed',
  'hasLocalPref', 'hasOriginatorId', 'hasAtomicAggregate', 'hasOtc', 'originatorId', 'clusterCount', 'communitiesCount',
  'largeCommunitiesCount', 'extendedCommunitiesCount', 'nextHopLength', 'otc',
] as const; // prettier-ignore

let canonicalForms = 0;

/** What the RIB does with a block, and what must hold of it. */
function throughTheRib(block: Uint8Array, external: boolean, fourOctetAs: boolean, mpNextHop: boolean): void {
  const context = { external, fourOctetAs, mpNextHop };
  const scan = new AttributeScan();
  const verdict = scanAttributes(block, 0, block.length, context, scan);
  const target = new Uint8Array(2 * block.length + 16);
  const length = canonicalizeAttributes(block, 0, block.length, context, scan, target);
  const form = target.slice(0, length);
  if (length > target.length) throw new Error('canonical form past its target');
  if (scanError(scan, block)?.disposition !== (verdict === Disposition.none ? undefined : verdict))
    throw new Error('scanError');
  if (scan.canonical && toHex(form) !== toHex(block)) throw new Error('said to be canonical');
  if (verdict >= Disposition.treatAsWithdraw) return;
  canonicalForms++;
  const again = new AttributeScan();
  scanCanonical(form, 0, form.length, again);
  if (!again.canonical) throw new Error(`not canonical: ${toHex(form)}`);
  for (const field of RANKING)
    if (again[field] !== scan[field]) throw new Error(`${field} differs: ${again[field]} ${scan[field]}`);
  const value = decodeAttributes(form, 0, form.length);
  if (toHex(encodeAttributes(value)) !== toHex(form)) throw new Error(`value and octets differ: ${toHex(form)}`);
  formatAsPath(value.asPath);
  value.extendedCommunities?.forEach(formatExtendedCommunity);
}

function decodeAnything(bytes: Uint8Array, pick: (limit: number) => number): void {
  const [external, fourOctetAs] = [pick(2) === 0, pick(2) === 0];
  const addPath = pick(3) === 0 ? (['ipv4-unicast', 'ipv6-unicast'] as const) : [];
  const attempt = (decode: () => unknown): void => {
    try {
      decode();
    } catch (error) {
      if (!(error instanceof BgpError)) throw error;
      // It must be possible to send it.
      encodeNotification(error);
    }
  };
  const framer = new Framer(pick(2) === 0 ? 4096 : 65535);
  const cut = pick(bytes.length + 1);
  const sink = {
    message(type: number, buffer: Uint8Array, start: number, end: number): boolean {
      if (type === 1) attempt(() => decodeOpen(buffer, start, end));
      if (type === 3) attempt(() => describeNotification(decodeNotification(buffer, start, end)));
      if (type === 5) attempt(() => decodeRouteRefresh(buffer, start, end));
      if (type === 2) {
        endOfRibFamily(buffer, start, end);
        const update = decodeUpdate(buffer, start, end, { external, fourOctetAs, addPath });
        const worst = Math.max(0, ...update.errors.map(({ disposition }) => disposition));
        if (update.disposition !== worst) throw new Error('the strongest verdict does not win');
        if (
          update.attributes &&
          worst >= Disposition.treatAsWithdraw &&
          worst < Disposition.sessionReset &&
          update.errors.every(({ subcode }) => subcode !== 4)
        )
          throw new Error('malformed attributes handed on');
      }
      return true;
    },
  };
  if (!framer.push(bytes, 0, cut, sink)) framer.push(bytes, cut, bytes.length, sink);
  const body = bytes.subarray(Math.min(bytes.length, 19));
  attempt(() => decodeOpen(body, 0, body.length));
  attempt(() => decodeNlri(body, 0, body.length, pick(2) === 0 ? 'ipv4-unicast' : 'ipv6-unicast', pick(2) === 0));
  attempt(() => decodeUpdate(body, 0, body.length, { external, fourOctetAs, addPath }));
  const attributesLength = body.length > 4 ? Math.min(body.length - 4, (body[2]! << 8) | body[3]!) : 0;
  throughTheRib(body.subarray(4, 4 + attributesLength), external, fourOctetAs, pick(2) === 0);
}

function mutate(message: Uint8Array, pick: (limit: number) => number): Uint8Array {
  let bytes: Uint8Array = message.slice();
  for (let times = 1 + pick(4); times > 0; times--) {
    const at = Math.max(0, bytes.length - 1 - pick(bytes.length));
    switch (pick(5)) {
      case 0:
        bytes[at] = pick(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
        break;
      case 2:
        bytes = concat(bytes.subarray(0, at), bytes.subarray(at + 1 + pick(4)));
        break;
      case 3:
        bytes = concat(bytes.subarray(0, at), Uint8Array.of(pick(256), pick(4)), bytes.subarray(at));
        break;
      case 4: {
        // A length or a count: the places where decoders fail.
        const boundary = [0, 1, 3, 4, 5, 16, 32, 33, 127, 128, 129, 254, 255][pick(13)]!;
        bytes[at] = boundary;
      }
    }
  }
  // Mostly with a header that is right, or nothing behind it is ever read.
  if (pick(8) !== 0 && bytes.length >= 19) {
    bytes.fill(0xff, 0, 16);
    bytes[16] = bytes.length >> 8;
    bytes[17] = bytes.length & 255;
    if (pick(4) !== 0) bytes[18] = message[18]!;
  }
  return bytes;
}

function runs(
  t: Tap,
  name: string,
  seed: number,
  count: number,
  make: (pick: (limit: number) => number) => Uint8Array,
) {
  t.test(name, (t) => {
    const pick = random(seed);
    for (let i = 0; i < count; i++) {
      const bytes = make(pick);
      try {
        decodeAnything(bytes, pick);
      } catch (error) {
        t.fail(`seed ${seed} run ${i}: ${String(error)}\n${toHex(bytes)}`);
        break;
      }
    }
    t.end();
  });
}
type Tap = typeof t;

runs(t, 'mutated messages', 1, 20_000, (pick) => mutate(seeds[pick(seeds.length)]!, pick));
runs(t, 'random octets', 2, 10_000, (pick) => Uint8Array.from({ length: pick(120) }, () => pick(256)));
runs(t, 'random octets behind a header', 3, 10_000, (pick) => {
  const body = Uint8Array.from({ length: pick(80) }, () => (pick(3) === 0 ? pick(8) : pick(256)));
  return concat(new Uint8Array(16).fill(0xff), Uint8Array.of(0, 19 + body.length, 1 + pick(5)), body);
});
runs(t, 'attributes in any order, number and shape', 4, 10_000, (pick) => {
  const codes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 32, 35, 99, 200];
  const known = encodeAttributes({ ...full, asPath: full.asPath.slice(1) });
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < known.length;) {
    const extended = (known[at]! & 0x10) !== 0;
    const next = at + (extended ? 4 + ((known[at + 2]! << 8) | known[at + 3]!) : 3 + known[at + 2]!);
    if (pick(12) !== 0) pieces.push(known.slice(at, next));
    at = next;
  }
  for (let i = pick(3); i > 0; i--) {
    const length = [0, 1, 4, 6, 8, 12, 20][pick(7)]!;
    const value = Uint8Array.from({ length }, () => pick(4));
    pieces.push(concat(Uint8Array.of(pick(256) & 0xef, codes[pick(codes.length)]!, length), value));
  }
  for (let i = pieces.length - 1; i > 0 && pick(2) === 0; i--) {
    const j = pick(i + 1);
    [pieces[i], pieces[j]] = [pieces[j]!, pieces[i]!];
  }
  const block = concat(...pieces);
  const length = 23 + block.length + 4;
  const header = concat(new Uint8Array(16).fill(0xff), Uint8Array.of(length >> 8, length & 255, 2));
  return concat(header, Uint8Array.of(0, 0, block.length >> 8, block.length & 255), block, hex('18c63364'));
});

t.test('enough of it was accepted to mean something', (t) => {
  t.ok(canonicalForms > 2_000, `${canonicalForms} blocks had a canonical form`);
  t.end();
});
