/**
 * Messages that are wrong in themselves or come at the wrong time, in every state that has a connection: headers
 * (RFC 4271 §6.1), every NOTIFICATION (§6.4), messages that a state does not expect (§6.6, RFC 6608), ROUTE-REFRESH
 * (RFC 7313 §5). The answer is the NOTIFICATION of the RFC, once, or none; other peers never notice.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { KEEPALIVE, attribute, message, nlri, update, updateBody } from './fixtures/compose.js';
import { KEPT_PREFIX, Rig, baseAttributes } from './fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };
const STATES = ['OpenSent', 'OpenConfirm', 'Established'] as const;
type State = (typeof STATES)[number];
/** RFC 6608 §3. */
const UNEXPECTED: Readonly<Record<State, number>> = { OpenSent: 1, OpenConfirm: 2, Established: 3 };

t.setTimeout(300_000);

/** RFC 7313 §3.1. */
const ENHANCED_REFRESH = [70, 0];

/** Sends octets in a fresh session of this state; checks that it ends with this NOTIFICATION (undefined = without). */
function ends(
  rig: Rig,
  state: State,
  bytes: Uint8Array,
  what: string,
  wanted?: readonly [number, number],
  data?: Uint8Array,
) {
  if (rig.state === 'Established') rig.end.drop();
  rig.settle();
  rig.bring(state);
  rig.end.take();
  rig.end.send(bytes);
  rig.settle();
  const text = `${state}: ${what}`;
  assert.equal(rig.end.closed, true, `${text}: the session lives`);
  assert.notEqual(rig.state, 'Established', text);
  const all = rig.end.heard.filter(({ 18: type }) => type === 3);
  assert.equal(all.length, wanted ? 1 : 0, `${text}: ${all.length} NOTIFICATIONs`);
  const notification = rig.notification();
  if (wanted) assert.deepEqual([notification!.code, notification!.subcode], wanted, text);
  if (data) assert.deepEqual([...notification!.data], [...data], `${text}: data`);
  assert.equal(rig.listenersHold(KEPT_PREFIX), false, `${text}: its routes are still there`);
  rig.checkOthers();
}

function lives(rig: Rig, bytes: Uint8Array, what: string): void {
  rig.end.send(bytes);
  rig.settle();
  assert.equal(rig.end.closed, false, `${what}: the session ended`);
  rig.checkOthers();
}

function header(length: number, type: number, marker = 0xff, at = 0): Uint8Array {
  const out = new Uint8Array(19).fill(0xff, 0, 16);
  out[at] = marker;
  out[16] = length >> 8;
  out[17] = length & 255;
  out[18] = type;
  return out;
}

t.test('headers: marker, length and type (RFC 4271 §6.1)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  let cases = 0;
  for (const state of STATES) {
    for (let at = 0; at < 16; at++) {
      for (const octet of [0, 0x7f, 0xfe]) {
        ends(rig, state, header(19, 4, octet, at), `marker octet ${at} = ${octet}`, [1, 1], new Uint8Array(0));
        cases++;
      }
    }
    for (let type = 0; type < 256; type++) {
      if (type >= 1 && type <= 5) continue;
      ends(rig, state, header(19, type), `type ${type}`, [1, 3], Uint8Array.of(type));
      cases++;
    }
    const least: Readonly<Record<number, number>> = { 1: 29, 2: 23, 3: 21, 4: 19, 5: 19 };
    for (const type of [1, 2, 3, 4, 5]) {
      const below = Array.from({ length: least[type]! }, (_, length) => length);
      const above = type === 4 ? [20, 21, 23, 4096] : [];
      for (const length of [...below, ...above, 4097, 8192, 65535]) {
        // The header alone: nobody waits for octets that will not come.
        const data = Uint8Array.of(length >> 8, length & 255);
        ends(rig, state, header(length, type), `type ${type} of ${length}`, [1, 2], data);
        cases++;
      }
    }
  }
  t.ok(cases > 1200, `${cases} headers`);
  await rig.close();
});

t.test('every NOTIFICATION in every state: the end, and no answer (RFC 4271 §6.4)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  let cases = 0;
  const check = (state: State, code: number, subcode: number, data: ArrayLike<number>): void => {
    const what = `NOTIFICATION ${code}/${subcode} with ${data.length} octets`;
    ends(rig, state, message(3, [code, subcode, ...Array.from(data)]), what);
    const { lastError } = rig.speaker.peer('192.0.2.1')!;
    assert.ok(lastError !== null && lastError.length < 1200, `${what}: ${lastError}`);
    // Nothing that could move a terminal's cursor.
    assert.doesNotMatch(lastError, /[\u0000-\u001f\u007f-\u009f]/, what);
    cases++;
  };
  const texts = [
    [],
    [0],
    [255],
    [5, 104, 101, 108, 108, 111],
    [3, 0x1b, 0x5b, 0x41],
    [2, 0xff, 0xfe],
    new Uint8Array(4075),
  ];
  for (const state of STATES) {
    for (let code = 0; code < 256; code++) {
      const subcodes = code <= 8 ? Array.from({ length: 256 }, (_, i) => i) : [0, 1, 255];
      for (const subcode of subcodes) check(state, code, subcode, subcode % 2 === 0 ? [] : [1, 2, 3]);
    }
    for (let subcode = 0; subcode <= 11; subcode++) for (const data of texts) check(state, 6, subcode, data);
    // RFC 8538 §3: a hard reset has another NOTIFICATION inside, which may have one inside …
    check(state, 6, 9, [6, 9, 6, 9, 6, 9, 6, 9]);
    check(state, 6, 9, [6]);
    check(state, 6, 9, [6, 2, 4, 98, 121, 101, 33]);
  }
  t.ok(cases > 9000, `${cases} NOTIFICATIONs`);
  rig.establish();
  await rig.close();
});

t.test('messages that a state does not expect (RFC 4271 §6.6, RFC 6608)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  const anUpdate = update(baseAttributes(INTERNAL), nlri('203.0.113.0/24'));
  const endOfRib = message(2, updateBody([]));
  const refresh = message(5, [0, 1, 0, 1]);
  const broken = message(2, [255, 255, 0, 0]);
  for (const state of ['OpenSent', 'OpenConfirm'] as const) {
    for (const [what, bytes] of [
      ['UPDATE', anUpdate],
      ['End-of-RIB', endOfRib],
      ['a broken UPDATE', broken],
      ['ROUTE-REFRESH', refresh],
      ['a short ROUTE-REFRESH', message(5, [0])],
    ] as const) {
      ends(rig, state, bytes, what, [5, UNEXPECTED[state]]);
    }
  }
  ends(rig, 'OpenSent', KEEPALIVE, 'KEEPALIVE', [5, 1]);
  ends(rig, 'OpenConfirm', rig.openMessage(), 'OPEN', [5, 2]);
  ends(rig, 'Established', rig.openMessage(), 'OPEN', [5, 3]);
  ends(rig, 'Established', message(1, new Uint8Array(10)), 'an OPEN of nothing', [5, 3]);
  t.pass('each with its subcode');
  await rig.close();
});

t.test('ROUTE-REFRESH (RFC 2918, RFC 7313)', async (t) => {
  const rig = await Rig.open(INTERNAL, {}, {}, ENHANCED_REFRESH);
  for (const length of [0, 1, 2, 3]) {
    const bytes = message(5, [0, 1, 0, 1].slice(0, length));
    ends(rig, 'Established', bytes, `length ${length}`, [7, 1], bytes);
  }
  for (const subtype of [1, 2]) {
    const bytes = message(5, [0, 1, subtype, 1, 0]);
    ends(rig, 'Established', bytes, `subtype ${subtype} with one octet too many`, [7, 1], bytes);
  }
  rig.establish();
  for (let subtype = 0; subtype < 256; subtype++) {
    for (const [afi, safi] of [[1, 1], [2, 1], [1, 128], [25, 70], [0, 0], [65535, 255]] as const) {
      lives(rig, message(5, [afi >> 8, afi & 255, subtype, safi]), `${afi}/${safi} subtype ${subtype}`);
    } // prettier-ignore
  }
  // A refresh that began and ended without a word: what was not said again is gone (RFC 7313 §4.2).
  t.notOk(rig.listenersHold(KEPT_PREFIX));
  rig.end.send(update(baseAttributes(INTERNAL), nlri(KEPT_PREFIX)));
  rig.settle();
  t.ok(rig.listenersHold(KEPT_PREFIX));
  await rig.close();
});

t.test('ROUTE-REFRESH of who has not offered markers: the octet is reserved (RFC 2918 §3)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  for (let octet = 0; octet < 256; octet++) {
    lives(rig, message(5, [0, 1, octet, 1]), `octet ${octet}`);
    lives(rig, message(5, [0, 1, octet, 1, 0]), `octet ${octet}, and one more`);
  }
  t.ok(rig.listenersHold(KEPT_PREFIX), 'nothing begins or ends');
  await rig.close();
});

t.test('one octet at a time, and everything at once', async (t) => {
  const rig = await Rig.open(INTERNAL);
  const prefixes = Array.from({ length: 40 }, (_, i) => `203.0.${i}.0/24`);
  const stream = Buffer.concat([
    KEEPALIVE,
    ...prefixes.map((prefix) => update(baseAttributes(INTERNAL), nlri(prefix))),
    message(5, [0, 1, 0, 1]),
    update([...baseAttributes(INTERNAL), attribute(0x80, 4, [1])], nlri(prefixes[0]!)),
    KEEPALIVE,
  ]);
  for (const octet of stream) rig.end.send(Uint8Array.of(octet));
  rig.settle();
  t.notOk(rig.listenersHold(prefixes[0]!));
  t.ok(prefixes.slice(1).every((prefix) => rig.listenersHold(prefix)));
  rig.end.send(stream);
  rig.settle();
  t.notOk(rig.listenersHold(prefixes[0]!));
  // What stands behind an error in the same segment is not read.
  rig.end.send(Buffer.concat([header(18, 2), update(baseAttributes(INTERNAL), nlri(prefixes[0]!))]));
  rig.settle();
  t.match(rig.notification(), { code: 1, subcode: 2 });
  t.notOk(prefixes.some((prefix) => rig.listenersHold(prefix)));
  rig.checkOthers();
  await rig.close();
});

t.test('half a message and then silence: the hold time is over (RFC 4271 §6.5)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  // The others live on, by their keepalives.
  const half = update(baseAttributes(INTERNAL), nlri('203.0.113.0/24')).subarray(0, 30);
  rig.end.send(half);
  for (let i = 0; i < 100; i++) {
    rig.keepOthersAlive();
    rig.clock.advance(1000);
  }
  t.match(rig.notification(), { code: 4, subcode: 0 });
  rig.checkOthers();
  rig.establish();
  t.ok(rig.listenersHold(KEPT_PREFIX));
  await rig.close();
});
