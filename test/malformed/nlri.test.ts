/**
 * Prefixes: too long, cut off, with bits behind their length, twice, in several fields of one message, in families that
 * nobody agreed on; MP_REACH_NLRI and MP_UNREACH_NLRI of any shape; the forms of End-of-RIB. Verdicts by hand, from
 * RFC 4271 §4.3 and §6.3, RFC 4760 §3-§7, RFC 7606 §3 and §5, RFC 4724 §2.
 */
import t from 'tap';
import type { Test } from 'tap';
import { attribute, message, mpReach, mpUnreach, nlri, octets, u32, update, updateBody } from './fixtures/compose.js';
import { readUpdate } from './fixtures/reference.js';
import { KEPT_PREFIX, Rig, baseAttributes, key } from './fixtures/rig.js';
import { Verdict } from './fixtures/rules.js';

const { none, discard, withdraw, reset } = Verdict;
const A = '203.0.113.0/24';
const B = '203.0.112.0/24';
const SIX = '2001:db8:1::/48';
const HOP6 = octets('2001:db8::9');
const LINK = octets('fe80::9');
const base = baseAttributes({ external: false, fourOctetAs: true });
const noHop = baseAttributes({ external: false, fourOctetAs: true }, [3]);

const reach = (value: readonly number[], flags = 0x80): Uint8Array => attribute(flags, 14, value);
const unreach = (value: readonly number[], flags = 0x80): Uint8Array => attribute(flags, 15, value);
const reach6 = (prefixes: readonly number[], hop: readonly number[] = HOP6): Uint8Array =>
  reach(mpReach(2, 1, hop, prefixes));

interface Case {
  readonly what: string;
  readonly body: Uint8Array;
  readonly verdict: Verdict;
  /** Of the NOTIFICATION. */
  readonly subcode?: number;
  /** What listeners hold afterwards; all three are held before. */
  readonly holds?: readonly string[];
}

const all = [A, B, SIX];
const CASES: readonly Case[] = [
  // The NLRI and Withdrawn Routes fields (RFC 4271 §4.3, §6.3; RFC 7606 §3 i, §5.3).
  { what: 'length 33', body: updateBody(base, [33, 1, 2, 3, 4, 5]), verdict: reset, subcode: 10 },
  { what: 'length 255', body: updateBody(base, [255, ...new Array<number>(32).fill(1)]), verdict: reset, subcode: 10 },
  { what: 'cut off in the prefix', body: updateBody(base, [24, 203, 0]), verdict: reset, subcode: 10 },
  { what: 'cut off behind the length', body: updateBody(base, [...nlri(A), 24]), verdict: reset, subcode: 10 },
  { what: 'a good prefix in front of a bad one', body: updateBody(base, [...nlri(A), 40]), verdict: reset, subcode: 10 },
  { what: 'withdrawn, length 33', body: updateBody([], [], [33, 1, 2, 3, 4, 5]), verdict: reset, subcode: 10 },
  { what: 'withdrawn, cut off', body: updateBody(base, nlri(A), [24, 1]), verdict: reset, subcode: 10 },
  { what: 'the default route', body: updateBody(base, [0]), verdict: none, holds: all },
  { what: 'withdraw the default route', body: updateBody([], [], [0]), verdict: none, holds: all },
  { what: 'bits behind the length are nothing', body: updateBody([], [], [23, 203, 0, 113]), verdict: none, holds: all },
  { what: '… and the same prefix with or without them', body: updateBody([], [], [24, 203, 0, 113]), verdict: none, holds: [B, SIX] },
  { what: 'length 0 to 32, all at once', body: updateBody(base, allLengths()), verdict: none, holds: all },
  { what: 'the same prefix three times', body: updateBody(base, [...nlri(A), ...nlri(A), ...nlri(A)]), verdict: none, holds: all },
  { what: 'withdrawn and announced in one message: announced (RFC 4271 §4.3)', body: updateBody(base, nlri(A), nlri(A)), verdict: none, holds: all },
  { what: 'withdraw what nobody announced', body: updateBody([], [], nlri('192.0.2.128/25')), verdict: none, holds: all },
  { what: 'withdraw twice', body: updateBody([], [], [...nlri(A), ...nlri(A)]), verdict: none, holds: [B, SIX] },
  { what: 'withdraw one, announce another', body: updateBody(base, nlri(A), nlri(B)), verdict: none, holds: [A, SIX] },
  { what: 'malformed attributes take the withdrawn ones along', body: updateBody([...base, attribute(0x80, 4, [])], nlri(A), nlri(B)), verdict: withdraw, holds: [SIX] },
  { what: 'attributes and nothing else', body: updateBody(base), verdict: none, holds: all },
  { what: 'malformed attributes and nothing else (RFC 7606 §5.2)', body: updateBody([...noHop, attribute(0x80, 4, [])]), verdict: reset },
  { what: 'malformed attributes and withdrawn prefixes only', body: updateBody([attribute(0x40, 1, [9])], [], nlri(A)), verdict: reset },
  { what: 'an attribute to be discarded and nothing else', body: updateBody([...base, attribute(0x40, 6, [1])]), verdict: discard, holds: all },
  { what: 'an attribute that overruns and nothing else', body: updateBody([attribute(0xc0, 99, [1], 9)]), verdict: reset },
  { what: 'NLRI without attributes (not an End-of-RIB)', body: updateBody([], nlri(A)), verdict: withdraw, holds: [B, SIX] },

  // Length fields (RFC 4271 §6.3, RFC 7606 §3 b).
  { what: 'Withdrawn Routes Length too large', body: Uint8Array.of(0, 9, 24, 1, 2, 3, 0, 0), verdict: reset, subcode: 1 },
  { what: 'Withdrawn Routes Length to the very end', body: Uint8Array.of(0, 4, 24, 1, 2, 3), verdict: reset, subcode: 1 },
  { what: 'Total Path Attribute Length too large', body: Uint8Array.of(0, 0, 0, 9, 0x40, 1, 1, 0), verdict: reset, subcode: 1 },
  { what: 'Total Path Attribute Length 65535', body: Uint8Array.of(0, 0, 255, 255), verdict: reset, subcode: 1 },
  { what: 'Withdrawn Routes Length 65535', body: Uint8Array.of(255, 255, 0, 0), verdict: reset, subcode: 1 },

  // MP_REACH_NLRI (RFC 4760 §3, RFC 7606 §3 c, g, §5.1, §7.11).
  { what: 'IPv6, as it should be', body: updateBody([reach6(nlri(SIX)), ...noHop]), verdict: none, holds: all },
  { what: 'at the end of the attributes', body: updateBody([...noHop, reach6(nlri(SIX))]), verdict: none, holds: all },
  { what: 'with a link-local next hop beside the global one', body: updateBody([reach6(nlri(SIX), [...HOP6, ...LINK]), ...noHop]), verdict: none, holds: all },
  { what: 'reserved octet not zero: ignored', body: updateBody([reach([0, 2, 1, 16, ...HOP6, 0xff, ...nlri(SIX)]), ...noHop]), verdict: none, holds: all },
  { what: 'a malformed NEXT_HOP beside it: ignored (RFC 4760 §3)', body: updateBody([...base.filter((bytes) => bytes[1] !== 3), attribute(0x40, 3, [1]), reach6(nlri(SIX))]), verdict: none, holds: all },
  { what: 'transitive (RFC 7606 §5.3)', body: updateBody([reach(mpReach(2, 1, HOP6, nlri(SIX)), 0xc0), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'well-known', body: updateBody([reach(mpReach(2, 1, HOP6, nlri(SIX)), 0x40), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'Partial: ignored', body: updateBody([reach(mpReach(2, 1, HOP6, nlri(SIX)), 0xa0), ...noHop]), verdict: none, holds: all },
  ...[0, 1, 3, 4, 15, 17, 24, 31, 33, 48, 255].map((length): Case => ({
    what: `IPv6 with a next hop of ${length}`,
    body: updateBody([reach(mpReach(2, 1, new Uint8Array(length).fill(0x20), nlri(SIX))), ...noHop]),
    verdict: reset,
    subcode: 9,
  })),
  ...[0, 3, 5, 8, 12, 15, 24, 33].map((length): Case => ({
    what: `IPv4 in it with a next hop of ${length}`,
    body: updateBody([reach(mpReach(1, 1, new Uint8Array(length).fill(0x20), nlri(A))), ...noHop]),
    verdict: reset,
    subcode: 9,
  })),
  { what: 'IPv4 in it', body: updateBody([reach(mpReach(1, 1, octets('192.0.2.9'), nlri(A))), ...noHop]), verdict: none, holds: all },
  { what: 'IPv4 with an IPv6 next hop that was not agreed on (RFC 8950 §4)', body: updateBody([reach(mpReach(1, 1, HOP6, nlri(A))), ...noHop]), verdict: withdraw, holds: [B, SIX] },
  { what: 'next hop ::', body: updateBody([reach6(nlri(SIX), octets('::')), ...noHop]), verdict: withdraw, holds: [A, B] },
  { what: 'next hop ::1', body: updateBody([reach6(nlri(SIX), octets('::1')), ...noHop]), verdict: withdraw, holds: [A, B] },
  { what: 'next hop ff02::1', body: updateBody([reach6(nlri(SIX), octets('ff02::1')), ...noHop]), verdict: withdraw, holds: [A, B] },
  { what: 'empty value', body: updateBody([reach([]), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'four octets', body: updateBody([reach([0, 2, 1, 0]), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'no reserved octet', body: updateBody([reach([0, 2, 1, 16, ...HOP6]), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'overruns the attributes', body: updateBody([...noHop, attribute(0x80, 14, [0, 2, 1, 16], 40)]), verdict: reset, subcode: 9 },
  { what: 'overruns, with NLRI behind', body: updateBody([...base, attribute(0x80, 14, [0, 2, 1, 16], 40)], nlri(A)), verdict: reset, subcode: 9 },
  { what: 'prefix length 129', body: updateBody([reach6([129, ...new Array<number>(17).fill(1)]), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'prefix cut off', body: updateBody([reach6([48, 0x20, 1]), ...noHop]), verdict: reset, subcode: 9 },
  { what: 'prefix ::/0', body: updateBody([reach6([0]), ...noHop]), verdict: none, holds: all },
  { what: 'twice', body: updateBody([reach6(nlri(SIX)), reach6(nlri(SIX)), ...noHop]), verdict: reset, subcode: 1 },
  { what: 'no prefix in it', body: updateBody([reach6([]), ...noHop]), verdict: none, holds: all },
  { what: 'no prefix in it and something malformed (RFC 7606 §5.2)', body: updateBody([reach6([]), ...noHop, attribute(0x80, 4, [])]), verdict: reset },
  { what: 'malformed attributes: withdrawn', body: updateBody([reach6(nlri(SIX)), ...noHop, attribute(0x80, 4, [])]), verdict: withdraw, holds: [A, B] },
  { what: 'a mandatory attribute missing', body: updateBody([reach6(nlri(SIX)), ...baseAttributes({ external: false, fourOctetAs: true }, [1, 3])]), verdict: withdraw, holds: [A, B] },
  { what: 'and NLRI, both taken', body: updateBody([...base, reach6(nlri(SIX))], nlri(A)), verdict: none, holds: all },
  { what: 'and NLRI, NEXT_HOP malformed: both gone', body: updateBody([...noHop, attribute(0x40, 3, [1]), reach6(nlri(SIX))], nlri(A)), verdict: withdraw, holds: [B] },
  { what: 'and NLRI, NEXT_HOP missing: both gone', body: updateBody([...noHop, reach6(nlri(SIX))], nlri(A)), verdict: withdraw, holds: [B] },
  { what: 'and NLRI, its next hop useless: both gone', body: updateBody([...base, reach6(nlri(SIX), octets('::'))], nlri(A)), verdict: withdraw, holds: [B] },
  { what: 'and NLRI, one stray octet behind', body: updateBody([...base, reach6(nlri(SIX)), Uint8Array.of(0x80)], [14, 203, 0, ...nlri(A)]), verdict: withdraw, holds: [B] },
  { what: 'and NLRI, the head of another one behind', body: updateBody([...base, reach6(nlri(SIX)), Uint8Array.of(0x80, 14)], nlri(A)), verdict: withdraw, holds: [B] },

  // MP_UNREACH_NLRI (RFC 4760 §4, RFC 7606 §7.12).
  { what: 'withdraws', body: updateBody([unreach(mpUnreach(2, 1, nlri(SIX)))]), verdict: none, holds: [A, B] },
  { what: 'IPv4 in it', body: updateBody([unreach(mpUnreach(1, 1, nlri(A)))]), verdict: none, holds: [B, SIX] },
  { what: 'wrong flags, alone', body: updateBody([unreach(mpUnreach(2, 1, nlri(SIX)), 0xc0)]), verdict: reset, subcode: 9 },
  { what: 'wrong flags, with attributes and no prefix to reach', body: updateBody([unreach(mpUnreach(2, 1, nlri(SIX)), 0xc0), attribute(0x40, 1, [0])]), verdict: reset, subcode: 9 },
  { what: 'wrong flags, a family nobody agreed on', body: updateBody([unreach(mpUnreach(1, 128, []), 0xc0)]), verdict: reset, subcode: 9 },
  { what: 'two octets', body: updateBody([unreach([0, 2])]), verdict: reset, subcode: 9 },
  { what: 'empty value', body: updateBody([unreach([])]), verdict: reset, subcode: 9 },
  { what: 'twice', body: updateBody([unreach(mpUnreach(2, 1, [])), unreach(mpUnreach(2, 1, []))]), verdict: reset, subcode: 1 },
  { what: 'prefix length 200', body: updateBody([unreach(mpUnreach(2, 1, [200, ...new Array<number>(25).fill(1)]))]), verdict: reset, subcode: 9 },
  { what: 'prefix cut off', body: updateBody([unreach(mpUnreach(2, 1, [48, 1]))]), verdict: reset, subcode: 9 },
  { what: 'overruns', body: updateBody([attribute(0x80, 15, [0, 2, 1], 30)]), verdict: reset, subcode: 9 },
  { what: 'and MP_REACH_NLRI of the same prefix: announced', body: updateBody([unreach(mpUnreach(2, 1, nlri(SIX))), reach6(nlri(SIX)), ...noHop]), verdict: none, holds: all },
  { what: 'and NLRI, one stray octet behind', body: updateBody([unreach(mpUnreach(2, 1, [])), ...base, Uint8Array.of(0x80)], [14, 203, 0, ...nlri(A)]), verdict: withdraw, holds: [B, SIX] },
  { what: 'and NLRI, the head of another one behind', body: updateBody([unreach(mpUnreach(2, 1, [])), ...base, Uint8Array.of(0x80, 15)], nlri(A)), verdict: withdraw, holds: [B, SIX] },
  { what: 'and everything else in one message', body: updateBody([unreach(mpUnreach(2, 1, nlri(SIX))), ...base], nlri(A), nlri(B)), verdict: none, holds: [A] },

  // Families that were not negotiated, or that nobody knows (RFC 4760 §8): ignored, whatever is in them.
  ...([[1, 2], [1, 4], [1, 128], [2, 2], [25, 70], [1, 133], [16388, 71], [3, 1], [0, 0], [65535, 255]] as const).flatMap(([afi, safi]): Case[] => [
    { what: `AFI ${afi} SAFI ${safi}`, body: updateBody([reach(mpReach(afi, safi, [1, 2, 3], [77, 1, 2, 3])), ...noHop]), verdict: none, holds: all },
    { what: `AFI ${afi} SAFI ${safi}, malformed attributes`, body: updateBody([reach(mpReach(afi, safi, [], [1])), ...noHop, attribute(0x80, 4, [])]), verdict: none, holds: all },
    { what: `AFI ${afi} SAFI ${safi} withdrawn`, body: updateBody([unreach(mpUnreach(afi, safi, [255, 1, 2]))]), verdict: none, holds: all },
    { what: `AFI ${afi} SAFI ${safi} beside NLRI`, body: updateBody([reach(mpReach(afi, safi, [], [255])), ...base], nlri(A)), verdict: none, holds: all },
  ]),

  // End-of-RIB (RFC 4724 §2) and what only looks like it.
  { what: 'End-of-RIB of IPv4', body: updateBody([]), verdict: none, holds: all },
  { what: 'End-of-RIB of IPv6', body: updateBody([unreach([0, 2, 1])]), verdict: none, holds: all },
  { what: 'End-of-RIB of IPv6, extended length', body: updateBody([attribute(0x90, 15, [0, 2, 1])]), verdict: none, holds: all },
  { what: 'End-of-RIB of IPv4 in MP form', body: updateBody([unreach([0, 1, 1])]), verdict: none, holds: all },
  { what: 'End-of-RIB of a family nobody agreed on', body: updateBody([unreach([0, 1, 128])]), verdict: none, holds: all },
  { what: 'End-of-RIB twice', body: updateBody([unreach([0, 2, 1])]), verdict: none, holds: all },
  { what: 'an attribute of length 0 and nothing else', body: updateBody([attribute(0xc0, 99, [])]), verdict: none, holds: all },
]; // prettier-ignore

function allLengths(): number[] {
  return Array.from({ length: 33 }, (_, length) => nlri(`100.127.255.255/${length}`)).flat();
}

/** RFC 4724 §3: both families, Forwarding State set. */
const RESTART = [64, 10, 0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80];

t.test('prefixes in every field and shape', async (t) => {
  const kind = { external: false, fourOctetAs: true };
  await shapes(t, await Rig.open(kind));
  // What looks like an End-of-RIB, and what a NOTIFICATION ends, is the same with graceful restart.
  await shapes(t, await Rig.open(kind, { gracefulRestart: { restartTime: 120 } }, {}, RESTART));
});

async function shapes(t: Test, rig: Rig): Promise<void> {
  const good = [update(base, [...nlri(A), ...nlri(B)]), update([reach6(nlri(SIX)), ...noHop])];
  for (const { what, body, verdict, subcode, holds } of CASES) {
    rig.end.send(...good);
    rig.settle();
    t.ok(
      all.every((prefix) => rig.listenersHold(prefix)),
      `${what}: everything is there before`,
    );
    t.equal(readUpdate(body, rig.session).verdict, verdict, `${what}: the reference reader`);
    const before = rig.malformed;
    rig.end.send(message(2, body));
    rig.settle();
    rig.checkOthers();
    t.equal(rig.end.closed, verdict === reset, what);
    t.equal(rig.malformed > before, verdict !== none, `${what}: counted`);
    if (verdict === reset) {
      t.match(rig.notification(), { code: 3, ...(subcode === undefined ? {} : { subcode }) }, what);
      t.notOk(
        all.some((prefix) => rig.listenersHold(prefix)) || rig.listenersHold(KEPT_PREFIX),
        `${what}: all is gone`,
      );
      rig.establish();
      continue;
    }
    t.same(
      all.filter((prefix) => rig.listenersHold(prefix)),
      holds,
      what,
    );
    t.ok(rig.listenersHold(KEPT_PREFIX), `${what}: another prefix`);
    const { changes } = readUpdate(body, rig.session);
    for (const [prefix, kept] of changes) rig.checkPassedOn(prefix, kept);
  }
  t.equal(key('2001:db8::/32'), '2/32/20010db8');
  await rig.close();
}

t.test('prefixes that mean no destination are ignored, and nothing else (RFC 4271 §6.3)', async (t) => {
  const rig = await Rig.open({ external: false, fourOctetAs: true });
  for (const [ignored, taken] of [
    ['224.0.0.0/4', A],
    ['224.0.0.5/32', A],
    ['239.255.0.0/16', '224.0.0.0/3'],
    ['239.255.255.255/32', '240.0.0.0/4'],
    ['ff00::/8', SIX],
    ['ff02::1/128', 'fe00::/7'],
    ['fe80::/10', 'fe00::/9'],
    ['fe80::/64', 'fec0::/10'],
    ['febf::/16', 'fc00::/7'],
  ] as const) {
    const before = rig.malformed;
    const both = [...nlri(ignored), ...nlri(taken), ...nlri(ignored)];
    rig.end.send(ignored.includes(':') ? update([reach6(both), ...noHop]) : update(base, both));
    rig.settle();
    t.equal(rig.end.closed, false, `${ignored}: the session lives`);
    t.notOk(rig.listenersHold(ignored), ignored);
    t.ok(rig.listenersHold(taken), taken);
    t.equal(rig.malformed, before + 1, `${ignored}: counted`);
    t.notOk(
      [...rig.speaker.routes({})!].some(({ prefix }) => prefix === ignored),
      'nor is it here',
    );
    rig.end.send(ignored.includes(':') ? update([unreach(mpUnreach(2, 1, both))]) : update([], [], both));
    rig.settle();
    t.notOk(rig.listenersHold(taken), `${taken}: withdrawn`);
    t.equal(rig.end.closed, false);
  }
  await rig.close();
});

t.test('the data of a NOTIFICATION is the attribute at fault and nothing more', async (t) => {
  const rig = await Rig.open({ external: false, fourOctetAs: true });
  const bad = reach6([129, ...new Array<number>(17).fill(1)]);
  for (const [what, attributes, data] of [
    ['prefixes', [bad, ...noHop], bad],
    [
      'prefixes, extended length',
      [attribute(0x90, 14, bad.subarray(3)), ...noHop],
      attribute(0x90, 14, bad.subarray(3)),
    ],
    ['next hop', [reach(mpReach(2, 1, [1], [])), ...noHop], reach(mpReach(2, 1, [1], []))],
    ['overrun', [...noHop, attribute(0x80, 14, [0, 2, 1], 99)], attribute(0x80, 14, [0, 2, 1], 99)],
  ] as const) {
    rig.end.send(update([...attributes]));
    rig.settle();
    t.same(rig.notification(), { code: 3, subcode: 9, data: Uint8Array.from(data) }, what);
    rig.establish();
  }
  // RFC 4271 §6.3: a malformed list has none.
  rig.end.send(message(2, [255, 255, 0, 0]));
  rig.settle();
  t.same(rig.notification(), { code: 3, subcode: 1, data: new Uint8Array(0) });
  await rig.close();
});

t.test('path identifiers, agreed on and not (RFC 7911 §3)', async (t) => {
  const rig = await Rig.open({ external: false, fourOctetAs: true }, { addPath: { receive: true } });
  const withPaths = (id: number, prefix: string): number[] => [...u32(id), ...nlri(prefix)];
  // The subject has not offered to send them: an identifier is read as prefixes.
  rig.end.send(update(base, withPaths(1, A)));
  rig.settle();
  // 0.0.0.1: three times the default route, then a prefix of length 1; 203 is no length.
  t.match(rig.notification(), { code: 3, subcode: 10 });
  rig.connectWithPaths();
  rig.end.send(update(base, [...withPaths(1, A), ...withPaths(2, A), ...withPaths(0xffffffff, B)]));
  rig.settle();
  t.ok(rig.listenersHold(A) && rig.listenersHold(B));
  rig.end.send(update([], [], withPaths(1, A)));
  rig.settle();
  t.ok(rig.listenersHold(A), 'the other path stands in');
  rig.end.send(update([], [], [...withPaths(2, A), ...withPaths(7, B)]));
  rig.settle();
  t.notOk(rig.listenersHold(A));
  t.ok(rig.listenersHold(B), 'nobody announced path 7');
  for (const [what, bytes] of [
    ['identifier cut off', [0, 0, 0]],
    ['nothing behind the identifier', u32(1)],
    ['prefix cut off', [...u32(1), 24, 1]],
    ['length 33', [...u32(1), 33, 1, 2, 3, 4, 5]],
  ] as const) {
    rig.end.send(update(base, bytes));
    rig.settle();
    t.match(rig.notification(), { code: 3, subcode: 10 }, what);
    rig.connectWithPaths();
  }
  rig.checkOthers();
  await rig.close();
});
