/** locateUpdate, locateMp, stripMp: ranges of what is there, errors of what hides prefixes (RFC 7606 §5.3, §7.11). */
import t from 'tap';
import { Disposition, MpLayout, UpdateLayout, locateMp, locateUpdate, stripMp } from 'bgp-parse';
import { concat, hex, toHex } from './hex.js';

const GLOBAL = '20010db8000000000000000000000001';
const LINK = 'fe800000000000000000000000000001';
const ORIGIN = '40010100';
const PATH = '400200';
const MED = '80040400000000';
const REACH = `800e1a 0002 01 10 ${GLOBAL} 00 20 20010db8`;
const UNREACH = '800f08 0002 01 20 20010db9';

t.test('locateUpdate', (t) => {
  const out = new UpdateLayout();
  const bytes = concat(hex('ff'), hex('0004 18c63364 0004 40010100 18cb0071'), hex('ff'));
  t.equal(locateUpdate(bytes, 1, bytes.length - 1, out), undefined);
  t.same(
    { ...out },
    { withdrawnStart: 3, withdrawnEnd: 7, attributesStart: 9, attributesEnd: 13, nlriStart: 13, nlriEnd: 17 },
  );
  t.equal(locateUpdate(hex('00000000'), 0, 4, out), undefined);
  t.same(
    { ...out },
    { withdrawnStart: 2, withdrawnEnd: 2, attributesStart: 4, attributesEnd: 4, nlriStart: 4, nlriEnd: 4 },
  );
  // RFC 4271 §6.3: lengths that lie.
  for (const body of [
    '',
    '00',
    '000000',
    '0001 0000',
    '0003 0000',
    'ffff 0000',
    '0000 0001',
    '0000 ffff',
    '0002 0000 00',
  ]) {
    const malformed = hex(body);
    // What lies behind the end must not be taken for the message.
    const padded = concat(malformed, new Uint8Array(70000));
    t.match(
      locateUpdate(padded, 0, malformed.length, out),
      { code: 3, subcode: 1, disposition: Disposition.sessionReset },
      body,
    );
  }
  t.end();
});

function locate(text: string): [MpLayout, ReturnType<typeof locateMp>] {
  const bytes = concat(hex('ffff'), hex(text), hex('00'.repeat(70)));
  const out = new MpLayout();
  return [out, locateMp(bytes, 2, 2 + hex(text).length, out)];
}

function strip(text: string): string {
  const bytes = hex(text);
  const mp = new MpLayout();
  t.equal(locateMp(bytes, 0, bytes.length, mp), undefined);
  const target = new Uint8Array(bytes.length + 35);
  return toHex(target.subarray(0, stripMp(bytes, 0, bytes.length, mp, target)));
}

t.test('locateMp', (t) => {
  const [mp, error] = locate(ORIGIN + REACH + UNREACH);
  t.equal(error, undefined);
  t.match(mp, {
    reachStart: 9,
    reachEnd: 35,
    reachAfi: 2,
    reachSafi: 1,
    reachNextHopStart: 13,
    reachNextHopLength: 16,
    reachNlriStart: 30,
    reachNlriEnd: 35,
  });
  t.match(mp, {
    unreachStart: 38,
    unreachEnd: 46,
    unreachAfi: 2,
    unreachSafi: 1,
    unreachNlriStart: 41,
    unreachNlriEnd: 46,
  });
  // A second use forgets the first.
  t.equal(locateMp(hex(ORIGIN), 0, 4, mp), undefined);
  t.same({ ...mp }, { ...new MpLayout() });
  t.end();
});

t.test('an overrun elsewhere does not hide what was found (RFC 7606 §4)', (t) => {
  for (const tail of ['c008ff00', 'c008', 'c0', 'd00800', 'd008ffff00']) {
    const [mp, error] = locate(REACH + tail);
    t.equal(error, undefined, tail);
    t.equal(mp.reachNextHopLength, 16);
  }
  t.end();
});

// AFI × SAFI × next-hop length
t.test('next-hop lengths', (t) => {
  for (const [afi, safi, allowed] of [
    [1, 1, [4, 16, 32]],
    [2, 1, [16, 32]],
  ] as const) {
    for (let length = 0; length < 256; length++) {
      const value = `${afi.toString(16).padStart(4, '0')}${safi.toString(16).padStart(2, '0')}${length.toString(16).padStart(2, '0')}${'20'.repeat(length)}00`;
      const [, error] = locate(`900e${(5 + length).toString(16).padStart(4, '0')}${value}`);
      if ((allowed as readonly number[]).includes(length)) t.equal(error, undefined, `${afi}/${safi} ${length}`);
      else t.match(error, { code: 3, subcode: 9, disposition: Disposition.sessionReset }, `${afi}/${safi} ${length}`);
    }
  }
  // Families that are not ours are not judged: 24 octets of a VPN, none of FlowSpec.
  t.equal(locate(`800e1d 0001 80 18 ${'00'.repeat(24)} 00`)[1], undefined);
  t.equal(locate('800e05 0001 85 00 00')[1], undefined);
  t.end();
});

// [what, attributes, subcode, NOTIFICATION data]
const bad: [string, string, number, string][] = [
  ['MP_REACH_NLRI twice', REACH + REACH, 1, ''],
  ['MP_UNREACH_NLRI twice', UNREACH + ORIGIN + UNREACH, 1, ''],
  ['MP_REACH_NLRI empty', '800e00', 9, '800e00'],
  ['MP_REACH_NLRI of 4', '800e0400020110', 9, '800e0400020110'],
  ['MP_REACH_NLRI without room for its next hop', '800e06000201100000', 9, '800e06000201100000'],
  ['MP_UNREACH_NLRI empty', ORIGIN + '800f00' + MED, 9, '800f00'],
  ['MP_UNREACH_NLRI of 2', '800f020002', 9, '800f020002'],
  ['MP_REACH_NLRI overruns', ORIGIN + '800eff0002', 9, '800eff0002'],
  ['MP_UNREACH_NLRI overruns', '800f04000201', 9, '800f04000201'],
  ['MP_REACH_NLRI with its length cut off', ORIGIN + '900e00', 9, '900e00'],
];
for (const [name, text, subcode, data] of bad) {
  t.test(`hides prefixes: ${name}`, (t) => {
    const [, error] = locate(text);
    t.match(error, { code: 3, subcode, disposition: Disposition.sessionReset });
    t.equal(toHex(error!.data), data);
    t.end();
  });
}

t.test('wrong flags of an MP attribute make it incorrect, prefixes included (RFC 7606 §5.3)', (t) => {
  for (const flags of ['c0', '40', '00']) {
    for (const attribute of [REACH, UNREACH]) {
      const [, error] = locate(ORIGIN + flags + attribute.slice(2) + MED);
      t.match(error, { code: 3, subcode: 9, disposition: Disposition.sessionReset });
      t.equal(toHex(error!.data), toHex(hex(flags + attribute.slice(2))));
    }
  }
  for (const flags of ['a0', '8f']) t.notOk(locate(ORIGIN + flags + REACH.slice(2))[1], 'other bits are ignored');
  t.end();
});

t.test('stripMp puts the next hop where its code belongs', (t) => {
  const nextHop = `400310${GLOBAL}`;
  t.equal(strip(REACH + ORIGIN + PATH + MED), ORIGIN + PATH + nextHop + MED);
  t.equal(strip(ORIGIN + PATH + REACH), ORIGIN + PATH + nextHop);
  t.equal(strip(ORIGIN + PATH + MED + UNREACH + REACH), ORIGIN + PATH + nextHop + MED);
  t.equal(strip(REACH), nextHop);
  t.equal(strip(REACH + '40030401020304' + ORIGIN), ORIGIN + nextHop, 'NEXT_HOP is ignored (RFC 4760 §3)');
  t.equal(strip(UNREACH + ORIGIN + '40030401020304'), ORIGIN, 'without MP_REACH_NLRI there is none');
  t.equal(strip(`800e25 0002 01 20 ${GLOBAL}${LINK} 00`), `400320${GLOBAL}${LINK}`);
  const none = '00'.repeat(16);
  t.equal(strip(`800e25 0002 01 20 ${none}${LINK} 00`), `400310${LINK}`, 'a pair without a global one');
  t.equal(strip(`800e25 0002 01 20 ${none}${GLOBAL} 00`), `400320${none}${GLOBAL}`, 'but nothing else is made good');
  t.equal(strip('800e0d 0001 01 04 c0a80001 00 18 c63364'.replace('0d', '0d')), '400304c0a80001');
  t.end();
});

t.test('stripMp leaves an overrun an overrun', (t) => {
  // 255 octets claimed, 1 there: with 19 octets of NEXT_HOP behind it a smaller claim could come true.
  t.equal(strip(REACH + ORIGIN + 'c0080800'), ORIGIN + `400310${GLOBAL}` + 'c0080800');
  t.equal(strip(REACH + ORIGIN + 'c008'), ORIGIN + `400310${GLOBAL}` + 'c008');
  t.end();
});
