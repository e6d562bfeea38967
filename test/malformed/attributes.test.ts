/**
 * Every attribute code × flags × length, right, wrong and lying, through a whole speaker: the session lives or ends as
 * the RFCs say (fixtures/rules.ts), nobody else notices, the counter rises, and what others are told is exactly what is
 * left of the attributes when what is malformed is gone.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { attribute, nlri, octets, u32, update, updateBody } from './fixtures/compose.js';
import { readUpdate } from './fixtures/reference.js';
import { KEPT_PREFIX, Rig, baseAttributes, key, pathOf } from './fixtures/rig.js';
import type { SubjectKind } from './fixtures/rig.js';
import { RULES, Verdict, verdictOf } from './fixtures/rules.js';

const TESTED = '203.0.113.0/24';
const TESTED_KEY = key(TESTED);
const KINDS: readonly SubjectKind[] = [
  { external: false, fourOctetAs: true },
  { external: true, fourOctetAs: true },
  { external: false, fourOctetAs: false },
  { external: true, fourOctetAs: false },
];
const KNOWN_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 20, 24, 40, 252, 255, 256, 1020, 3600];
const UNKNOWN_LENGTHS = [0, 1, 7, 255, 256, 3600];
/** Declared and real length: the attribute overruns the block. */
const LIES: readonly (readonly [number, number])[] = [
  [1, 0],
  [4, 3],
  [255, 4],
  [65535, 100],
];

// Some seconds alone, more on a busy machine.
t.setTimeout(300_000);

const isKnown = (code: number): boolean => RULES[code] !== undefined || code === 14 || code === 15;

/** Octets that are well-formed for some lengths of the attribute and malformed for the others. */
function filler(code: number, length: number, kind: SubjectKind): ArrayLike<number> {
  const width = kind.fourOctetAs ? 4 : 2;
  const count = (length - 2) / width;
  if (code === 2 && Number.isInteger(count) && count > 0 && count <= 255) {
    return pathOf([kind.external ? 65001 : 65009, ...new Array<number>(count - 1).fill(65010)], kind.fourOctetAs);
  }
  if (code === 3 && length === 4) return octets('192.0.2.10');
  return new Uint8Array(length).fill(1);
}

/** Sends one UPDATE and checks everything that may follow from it. */
function judge(rig: Rig, body: Uint8Array, what: string): Verdict {
  const { session } = rig;
  const { verdict, changes } = readUpdate(body, session);
  const before = rig.malformed;
  const header = Uint8Array.of(
    ...new Array<number>(16).fill(0xff),
    (body.length + 19) >> 8,
    (body.length + 19) & 255,
    2,
  );
  rig.end.send(header, body);
  rig.settle();
  assert.equal(rig.end.closed, verdict === Verdict.reset, `${what}: the session ${rig.end.closed ? 'ended' : 'lives'}`);
  if (verdict !== Verdict.none) assert.ok(rig.malformed > before, `${what}: not counted`);
  else assert.equal(rig.malformed, before, `${what}: counted`);
  rig.checkOthers();
  if (verdict === Verdict.reset) {
    assert.equal(rig.notification()?.code, 3, `${what}: UPDATE Message Error`);
    assert.ok(
      !rig.listenersHold(KEPT_PREFIX) && !rig.listenersHold(TESTED),
      `${what}: routes of a session that is over`,
    );
    rig.establish();
    return verdict;
  }
  assert.ok(rig.listenersHold(KEPT_PREFIX), `${what}: another prefix is gone`);
  for (const [prefix, kept] of changes) rig.checkPassedOn(prefix, kept);
  return verdict;
}

/** All flag octets that mean something, with the unused bits clear and set. */
function flagsOf(): number[] {
  const high = Array.from({ length: 16 }, (_, i) => i << 4);
  return [...high, ...high.map((flags) => flags | 0x0f)];
}

/** The longest value that a message of 4,096 octets can hold behind these attributes and the prefix. */
function longest(base: readonly Uint8Array[]): number {
  const used = base.reduce((sum, bytes) => sum + bytes.length, 0);
  return 4096 - 23 - used - 4 - nlri(TESTED).length;
}

for (const kind of KINDS) {
  const name = `${kind.external ? 'external' : 'internal'}, ${kind.fourOctetAs ? 'four' : 'two'}-octet AS`;
  t.test(`every attribute code, flag octet and length: ${name}`, async (t) => {
    const rig = await Rig.open(kind);
    const good = update(baseAttributes(kind), nlri(TESTED));
    const counts = new Map<Verdict, number>();
    let cases = 0;
    for (let code = 0; code < 256; code++) {
      // What is not recognised does not depend on the width of AS numbers.
      if (!kind.fourOctetAs && !isKnown(code) && code % 16 !== 0) continue;
      const base = baseAttributes(kind, [code]);
      const lengths = [...(isKnown(code) ? KNOWN_LENGTHS : UNKNOWN_LENGTHS), longest(base)];
      for (const flags of flagsOf()) {
        for (const [declared, there] of [...lengths.map((length) => [length, length] as const), ...LIES]) {
          if (declared > 255 && (flags & 0x10) === 0) continue;
          // Bits that mean nothing, on attributes that are not recognised: once each.
          if (!isKnown(code) && (flags & 0x0f) !== 0 && declared !== 7) continue;
          const value = filler(code, there, kind);
          const body = updateBody([...base, attribute(flags, code, value, declared)], nlri(TESTED));
          const what = `${name}: attribute ${code} flags ${flags.toString(16)} length ${declared} (${there} there)`;
          const verdict = judge(rig, body, what);
          // The table once more, without the reader that surrounds it. (An AS_PATH, also a merged one, must begin with
          // the peer's AS.)
          if (code !== 14 && code !== 15 && declared === there) {
            const alone = verdictOf(code, flags, Uint8Array.from(value), kind);
            assert.ok(verdict >= alone, what);
            if (code !== 2 && code !== 3 && code !== 17) assert.equal(verdict, alone, what);
          }
          if (declared > there && code !== 14 && code !== 15) assert.equal(verdict, Verdict.withdraw, what);
          counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
          cases++;
          // Something to be withdrawn the next time.
          if (verdict >= Verdict.withdraw) {
            rig.end.send(good);
            rig.settle();
            assert.ok(rig.listenersHold(TESTED), `${what}: a good UPDATE behind it`);
          }
        }
      }
    }
    t.ok(cases > 9_000, `${cases} messages: ${[...counts].map(([v, n]) => `${n} × ${v}`).join(', ')}`);
    for (const verdict of Object.values(Verdict)) t.ok((counts.get(verdict) ?? 0) > 50, `verdict ${verdict} was met`);
    await rig.close();
  });
}

interface Case {
  readonly what: string;
  readonly body: Uint8Array;
  readonly verdict: Verdict;
}

/** Values and combinations that lengths alone do not bring about. Verdicts by hand, from the RFC of each. */
function combinations(kind: SubjectKind): Case[] {
  const { external, fourOctetAs } = kind;
  const as = (...asns: number[]): number[] => asns.flatMap((asn) => (fourOctetAs ? u32(asn) : u32(asn).slice(2)));
  const first = external ? [2, 1, ...as(65001)] : [];
  const path = (value: number[]) => attribute(0x40, 2, [...first, ...value]);
  const plus = (...more: Uint8Array[]) => updateBody([...baseAttributes(kind), ...more], nlri(TESTED));
  const instead = (code: number, ...more: Uint8Array[]) =>
    updateBody([...baseAttributes(kind, [code]), ...more], nlri(TESTED));
  const { none, discard, withdraw } = Verdict;
  const wrongFirst = external ? withdraw : none;
  return [
    { what: 'ORIGIN 2 (RFC 4271 §4.3)', body: instead(1, attribute(0x40, 1, [2])), verdict: none },
    { what: 'ORIGIN 3 (RFC 7606 §7.1)', body: instead(1, attribute(0x40, 1, [3])), verdict: withdraw },
    { what: 'an AS_SET behind a sequence', body: instead(2, path([1, 2, ...as(7, 8)])), verdict: none },
    { what: 'an empty segment (RFC 7606 §7.2)', body: instead(2, path([2, 0])), verdict: withdraw },
    { what: 'segment type 0', body: instead(2, path([0, 1, ...as(7)])), verdict: withdraw },
    { what: 'segment type 5', body: instead(2, path([5, 1, ...as(7)])), verdict: withdraw },
    { what: 'one octet too many', body: instead(2, path([2])), verdict: withdraw },
    { what: 'a segment that overruns', body: instead(2, path([2, 3, ...as(7, 8)])), verdict: withdraw },
    { what: 'AS 0 (RFC 7607 §2)', body: instead(2, path([2, 2, ...as(7, 0)])), verdict: withdraw },
    { what: 'AS_CONFED_SEQUENCE (RFC 5065 §5)', body: instead(2, path([3, 1, ...as(7)])), verdict: withdraw },
    { what: 'AS_CONFED_SET', body: instead(2, path([4, 1, ...as(7)])), verdict: withdraw },
    { what: 'empty AS_PATH', body: instead(2, attribute(0x40, 2, [])), verdict: wrongFirst },
    {
      what: 'another AS first (RFC 4271 §6.3)',
      body: instead(2, attribute(0x40, 2, [2, 2, ...as(65003, 65001)])),
      verdict: wrongFirst,
    },
    { what: 'NEXT_HOP 0.0.0.0 (RFC 4271 §6.3)', body: instead(3, attribute(0x40, 3, [0, 0, 0, 0])), verdict: withdraw },
    { what: 'NEXT_HOP 224.0.0.1', body: instead(3, attribute(0x40, 3, octets('224.0.0.1'))), verdict: withdraw },
    {
      what: 'NEXT_HOP 255.255.255.255',
      body: instead(3, attribute(0x40, 3, octets('255.255.255.255'))),
      verdict: withdraw,
    },
    { what: 'NEXT_HOP 127.0.0.1', body: instead(3, attribute(0x40, 3, octets('127.0.0.1'))), verdict: withdraw },
    { what: 'no ORIGIN (RFC 7606 §3 d)', body: instead(1), verdict: withdraw },
    { what: 'no AS_PATH', body: instead(2), verdict: withdraw },
    { what: 'no NEXT_HOP', body: instead(3), verdict: withdraw },
    { what: 'no LOCAL_PREF (RFC 4271 §5.1.5)', body: instead(5), verdict: external ? none : withdraw },
    { what: 'no attributes at all', body: updateBody([], nlri(TESTED)), verdict: withdraw },
    {
      what: 'AGGREGATOR of AS 0 (RFC 7607 §2)',
      body: plus(attribute(0xc0, 7, [...as(0), 10, 0, 0, 9])),
      verdict: discard,
    },
    {
      what: 'ORIGIN twice: the first counts (RFC 7606 §3 g)',
      body: plus(attribute(0x40, 1, [1])),
      verdict: discard,
    },
    { what: 'the second ORIGIN malformed', body: plus(attribute(0x40, 1, [9, 9])), verdict: discard },
    {
      what: 'an unknown attribute twice',
      body: plus(attribute(0xc0, 99, [1]), attribute(0xc0, 99, [2])),
      verdict: discard,
    },
    {
      what: 'discard and withdraw in one message: the stronger (RFC 7606 §3 h)',
      body: plus(attribute(0x40, 6, [1]), attribute(0x80, 4, [1])),
      verdict: withdraw,
    },
    {
      what: 'attributes in descending order (RFC 4271 §5)',
      body: updateBody([attribute(0xc0, 8, u32(65001 * 65536 + 1)), ...baseAttributes(kind).reverse()], nlri(TESTED)),
      verdict: none,
    },
    {
      what: 'extended length where it is not needed (RFC 4271 §4.3)',
      body: instead(1, attribute(0x50, 1, [0])),
      verdict: none,
    },
    {
      what: 'AS4_PATH (RFC 6793 §4.2.3)',
      body: instead(2, path([2, 1, ...as(23456)]), attribute(0xc0, 17, [2, 1, ...u32(4200000001)])),
      verdict: fourOctetAs ? discard : none,
    },
    {
      what: 'AS4_PATH longer than AS_PATH: ignored',
      body: plus(attribute(0xc0, 17, [2, 3, ...u32(1), ...u32(2), ...u32(3)])),
      verdict: fourOctetAs ? discard : none,
    },
    {
      what: 'AS4_PATH cut off: discarded (RFC 6793 §6)',
      body: plus(attribute(0xc0, 17, [2, 2, ...u32(1)])),
      verdict: discard,
    },
    {
      what: 'AS4_AGGREGATOR beside another AGGREGATOR: stale',
      body: instead(
        2,
        path([2, 1, ...as(7)]),
        attribute(0xc0, 7, [...as(65001), 10, 0, 0, 9]),
        attribute(0xc0, 17, [2, 1, ...u32(4200000001)]),
        attribute(0xc0, 18, [...u32(4200000001), 10, 0, 0, 9]),
      ),
      verdict: fourOctetAs ? discard : none,
    },
    {
      what: 'AS4_AGGREGATOR beside AS_TRANS',
      body: plus(
        attribute(0xc0, 7, [...as(23456), 10, 0, 0, 9]),
        attribute(0xc0, 18, [...u32(4200000001), 10, 0, 0, 9]),
      ),
      verdict: fourOctetAs ? discard : none,
    },
    { what: 'one stray octet behind the attributes (RFC 7606 §4)', body: plus(Uint8Array.of(0x40)), verdict: withdraw },
    { what: 'two stray octets', body: plus(Uint8Array.of(0xc0, 99)), verdict: withdraw },
    { what: 'three, with an extended length', body: plus(Uint8Array.of(0xd0, 99, 0)), verdict: withdraw },
    { what: 'a path of our own AS: not for us', body: instead(2, path([2, 1, ...as(64512)])), verdict: none },
    { what: 'NO_ADVERTISE (RFC 1997)', body: plus(attribute(0xc0, 8, u32(0xffffff02))), verdict: none },
    {
      what: 'a path of a thousand AS numbers that doubles',
      body: instead(2, path([0, 1, 2, 3].flatMap(() => [2, 240, ...as(...new Array<number>(240).fill(65010))]))),
      verdict: none,
    },
  ];
}

for (const kind of KINDS) {
  const name = `${kind.external ? 'external' : 'internal'}, ${kind.fourOctetAs ? 'four' : 'two'}-octet AS`;
  t.test(`values and combinations: ${name}`, async (t) => {
    const rig = await Rig.open(kind);
    for (const { what, body, verdict } of combinations(kind)) {
      const got = judge(rig, body, what);
      t.equal(got, verdict, what);
      if (got >= Verdict.withdraw) t.notOk(rig.listenersHold(TESTED), `${what}: withdrawn`);
      rig.end.send(update(baseAttributes(kind), nlri(TESTED)));
      rig.settle();
      t.ok(rig.listenersHold(TESTED), `${what}: and back with a good one`);
    }
    t.ok(TESTED_KEY.startsWith('1/24/'));
    await rig.close();
  });
}
