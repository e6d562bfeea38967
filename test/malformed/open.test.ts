/**
 * OPEN messages: every capability code × length, right, wrong and lying; optional parameters of any shape (RFC 5492,
 * RFC 9072); every field out of range. RFC 4271 §6.2: an unknown capability is ignored (RFC 5492 §3), a recognised one
 * that is malformed is Unspecific (2/0), and whatever happens concerns this one connection.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { KEEPALIVE, message, open, openBody, u32, usualCapabilities } from './fixtures/compose.js';
import type { OpenParts } from './fixtures/compose.js';
import { KEPT_PREFIX, LOCAL_ASN, ROUTER_ID, Rig } from './fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };
const identifier = [10, 0, 0, 1];
const usual = usualCapabilities(LOCAL_ASN);

/** Lengths that the RFC of each capability allows; the others have none that we know of. */
const LENGTHS: Readonly<Record<number, (length: number) => boolean>> = {
  1: (length) => length === 4, // RFC 4760 §8
  2: (length) => length === 0, // RFC 2918 §2
  5: (length) => length % 6 === 0, // RFC 8950 §4
  6: (length) => length === 0, // RFC 8654 §3
  9: (length) => length === 1, // RFC 9234 §4.1
  64: (length) => length >= 2 && (length - 2) % 4 === 0, // RFC 4724 §3
  65: (length) => length === 4, // RFC 6793 §3
  69: (length) => length % 4 === 0, // RFC 7911 §4
  70: (length) => length === 0, // RFC 7313 §3.1
  71: (length) => length % 7 === 0, // RFC 9494 §3
  128: (length) => length === 0, // RFC 2918 before it had a number
};

/** RFC 9072 §2. */
const extended = (...parameters: number[][]): number[] => {
  const all = parameters.flat();
  return [255, all.length >> 8, all.length & 255, ...all];
};

t.setTimeout(300_000);

/** Sends the OPEN, and a KEEPALIVE behind it; the NOTIFICATION in answer, undefined when the session came up. */
function attempt(rig: Rig, bytes: Uint8Array): { code: number; subcode: number; data: Uint8Array } | undefined {
  if (rig.state === 'Established') rig.end.drop();
  rig.settle();
  rig.connect();
  rig.end.send(bytes);
  rig.end.send(KEEPALIVE);
  rig.settle();
  rig.checkOthers();
  const notification = rig.notification();
  assert.equal(rig.end.closed, notification !== undefined);
  assert.equal(rig.state === 'Established', notification === undefined);
  return notification;
}

t.test('every capability code and length', async (t) => {
  const rig = await Rig.open(INTERNAL);
  let refused = 0;
  let cases = 0;
  for (let code = 0; code < 256; code++) {
    const lengths = LENGTHS[code] ? [...Array(16).keys(), 21, 28, 100] : [0, 1, 2, 3, 7, 200];
    for (const length of lengths) {
      for (const lies of [false, true]) {
        const value = new Array<number>(length).fill(1);
        const capability = lies ? [code, length + 1, ...value] : [code, length, ...value];
        const notification = attempt(rig, open({ identifier, capabilities: [...usual, capability] }));
        const wanted = lies || !(LENGTHS[code]?.(length) ?? true);
        const what = `capability ${code} of ${length}${lies ? ', which lies' : ''}`;
        assert.equal(notification !== undefined, wanted, what);
        if (notification) {
          assert.deepEqual([notification.code, notification.subcode], [2, 0], what);
          assert.deepEqual([...notification.data], capability, `${what}: the data is what is at fault`);
          refused++;
        }
        cases++;
      }
    }
  }
  t.ok(cases > 3000 && refused > 1500, `${cases} OPENs, ${refused} refused`);
  await rig.close();
});

t.test('every capability code at the greatest length (RFC 9072)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  for (let code = 0; code < 256; code++) {
    for (const length of [250, 254, 255]) {
      const capability = [code, length, ...new Array<number>(length).fill(1)];
      const all = [...usual.flat(), ...capability];
      const parameters = extended([2, all.length >> 8, all.length & 255, ...all]);
      const notification = attempt(rig, open({ identifier, parameters, parametersLength: 255 }));
      const what = `capability ${code} of ${length}`;
      assert.equal(notification !== undefined, !(LENGTHS[code]?.(length) ?? true), what);
      if (notification) assert.deepEqual([notification.code, notification.subcode], [2, 0], what);
    }
  }
  t.pass('each by its own rule');
  await rig.close();
});

interface Case {
  readonly what: string;
  readonly parts: OpenParts;
  /** Code 2 and this subcode, with this data; undefined = the session comes up. */
  readonly refused?: number;
  readonly data?: readonly number[];
}

const flat = usual.flat();
const CASES: readonly Case[] = [
  { what: 'the usual one', parts: { capabilities: usual } },
  { what: 'no parameter at all: IPv4 unicast (RFC 4760 §8)', parts: {} },
  { what: 'all capabilities in one parameter (RFC 5492 §4)', parts: { parameters: [2, flat.length, ...flat] } },
  { what: 'every capability twice (RFC 5492 §4)', parts: { capabilities: [...usual, ...usual] } },
  { what: 'an empty capabilities parameter', parts: { parameters: [2, 0] } },
  { what: 'hold time 0', parts: { capabilities: usual, holdTime: 0 } },
  { what: 'hold time 3', parts: { capabilities: usual, holdTime: 3 } },
  { what: 'hold time 65535', parts: { capabilities: usual, holdTime: 65535 } },
  { what: 'hold time 1 (RFC 4271 §6.2)', parts: { capabilities: usual, holdTime: 1 }, refused: 6 },
  { what: 'hold time 2', parts: { capabilities: usual, holdTime: 2 }, refused: 6 },
  ...[0, 1, 2, 3, 5, 255].map((version) => ({
    what: `version ${version}: the data is the largest we know (RFC 4271 §6.2)`,
    parts: { version, capabilities: usual },
    refused: 1,
    data: [0, 4],
  })),
  { what: 'another AS', parts: { asn: 64513 }, refused: 2 },
  { what: 'another AS in the capability', parts: { capabilities: [...usual.slice(0, 3), [65, 4, ...u32(64513)]] }, refused: 2 },
  { what: 'AS 0 (RFC 7607 §2)', parts: { asn: 0 }, refused: 2 },
  { what: 'AS 0 in the capability', parts: { capabilities: [[65, 4, 0, 0, 0, 0]] }, refused: 2 },
  { what: 'AS_TRANS without the capability (RFC 6793 §4.1)', parts: { asn: 23456 }, refused: 2 },
  { what: 'AS_TRANS, the AS in the capability', parts: { asn: 23456, capabilities: usual } },
  { what: 'identifier 0 (RFC 6286 §2.2)', parts: { capabilities: usual, identifier: [0, 0, 0, 0] }, refused: 3 },
  { what: 'our own identifier from our own AS', parts: { capabilities: usual, identifier: ROUTER_ID }, refused: 3 },
  { what: 'an identifier that is no host address (RFC 6286 §2.1)', parts: { capabilities: usual, identifier: [224, 0, 0, 1] } },
  { what: 'no family in common (RFC 5492 §5)', parts: { capabilities: [[1, 4, 0, 1, 0, 128]] }, refused: 7 },
  { what: 'families nobody knows beside ours', parts: { capabilities: [...usual, [1, 4, 64, 4, 0, 71], [1, 4, 0, 25, 0, 70]] } },
  { what: 'reserved octet of multiprotocol not zero', parts: { capabilities: [[1, 4, 0, 1, 255, 1], usual[3]!] } },
  { what: 'ADD-PATH of mode 0: ignored (RFC 7911 §4)', parts: { capabilities: [...usual, [69, 4, 0, 1, 1, 0]] } },
  { what: 'ADD-PATH of mode 4: ignored', parts: { capabilities: [...usual, [69, 4, 0, 1, 1, 4]] } },
  { what: 'authentication parameter (RFC 4271 §6.2)', parts: { parameters: [1, 2, 0, 0] }, refused: 4 },
  ...[0, 3, 42, 254].map((type) => ({ what: `parameter ${type}`, parts: { parameters: [type, 0] }, refused: 4 })),
  { what: 'parameters length too small', parts: { capabilities: usual, parametersLength: 4 }, refused: 0 },
  { what: 'parameters length too large', parts: { capabilities: usual, parametersLength: 200 }, refused: 0 },
  { what: 'parameters length 0 and parameters', parts: { capabilities: usual, parametersLength: 0 }, refused: 0 },
  { what: 'a parameter that overruns', parts: { parameters: [2, 9, 2, 0] }, refused: 0 },
  { what: 'one octet of a parameter', parts: { parameters: [2] }, refused: 0 },
  { what: 'one octet of a capability', parts: { parameters: [2, 1, 65] }, refused: 0 },
  { what: 'RFC 9072', parts: { parameters: extended([2, 0, flat.length, ...flat]), parametersLength: 255 } },
  { what: 'RFC 9072, short length not 255', parts: { parameters: extended([2, 0, flat.length, ...flat]), parametersLength: 17 } },
  { what: 'RFC 9072, 1000 octets', parts: { parameters: extended([2, 0, flat.length, ...flat], ...new Array<number[]>(4).fill([2, 0, 252, 200, 250, ...new Array<number>(250).fill(1)])), parametersLength: 255 } },
  { what: 'RFC 9072, length too large', parts: { parameters: [255, 1, 0, 2, 0, 0], parametersLength: 255 }, refused: 0 },
  { what: 'RFC 9072, parameter overruns', parts: { parameters: extended([2, 0, 9, 2, 0]), parametersLength: 255 }, refused: 0 },
]; // prettier-ignore

t.test('every field and form', async (t) => {
  const rig = await Rig.open(INTERNAL);
  for (const { what, parts, refused, data } of CASES) {
    const notification = attempt(rig, open({ identifier, ...parts }));
    if (refused === undefined) t.equal(notification, undefined, what);
    else t.match(notification, { code: 2, subcode: refused }, what);
    if (data) t.same([...notification!.data], data, what);
  }
  await rig.close();
});

t.test('cut anywhere: the length does not fit (RFC 4271 §6.1, §6.2)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  const body = openBody({ identifier, capabilities: usual });
  for (let length = 0; length < body.length; length++) {
    const notification = attempt(rig, message(1, body.subarray(0, length)));
    if (length < 10) t.match(notification, { code: 1, subcode: 2, data: Uint8Array.of(0, 19 + length) }, `${length}`);
    else t.match(notification, { code: 2, subcode: 0 }, `${length}`);
  }
  t.equal(attempt(rig, message(1, body)), undefined);
  t.match(attempt(rig, message(1, Uint8Array.of(...body, 0))), { code: 2, subcode: 0 }, 'one octet too many');
  await rig.close();
});

t.test('an external peer may have our identifier (RFC 6286 §2.2), and a wrong AS is a wrong AS', async (t) => {
  const rig = await Rig.open({ external: true, fourOctetAs: true });
  rig.end.drop();
  t.equal(attempt(rig, open({ asn: 65001, identifier: ROUTER_ID, capabilities: usualCapabilities(65001) })), undefined);
  t.match(attempt(rig, open({ asn: 64512, identifier, capabilities: usual })), { code: 2, subcode: 2 });
  rig.establish();
  t.ok(rig.listenersHold(KEPT_PREFIX));
  await rig.close();
});
