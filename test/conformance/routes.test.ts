/** What is said of routes, when, and to whom: RFC 4271 §9.2, RFC 4724 §3 and §4.1. */
import t from 'tap';
import { KEEPALIVE, attribute, message, nlri, u32, update, updateBody } from '../malformed/fixtures/compose.js';
import { Rig, baseAttributes } from '../malformed/fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };
const PREFIX = '203.0.113.0/24';

t.test('a route said again is told to nobody (RFC 4271 §9.2)', async (t) => {
  const rig = await Rig.open(INTERNAL);
  const med = (value: number): Uint8Array => attribute(0x80, 4, u32(value));
  const said = update([...baseAttributes(INTERNAL), med(1)], nlri(PREFIX));
  rig.end.send(said);
  rig.settle();
  t.ok(rig.listenersHold(PREFIX));
  rig.heard = [];
  rig.end.send(said, said);
  rig.settle();
  t.same(rig.heard, [], 'the same again');
  rig.end.send(update([], [], nlri(PREFIX)), said);
  rig.settle();
  t.same(rig.heard, [], 'withdrawn and said again in one turn');
  rig.end.send(update([...baseAttributes(INTERNAL), med(2)], nlri(PREFIX)));
  rig.settle();
  t.equal(rig.heard.length, 2, 'another MED: each listener hears of it');
  await rig.close();
});

/** RFC 4724 §3: both families; `flags` is the upper half of the first octet. */
const capability = (flags: number): number[] => [64, 10, flags, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80];

/** After our own start: whether the subject, back with these flags, hears our End-of-RIB before it has said its own. */
async function hearsEndOfRib(flags: number): Promise<{ before: boolean; after: boolean }> {
  const rig = await Rig.open(INTERNAL, { gracefulRestart: { restartTime: 120 } }, {}, capability(0));
  rig.end.drop();
  rig.settle();
  rig.connect();
  rig.end.send(rig.openMessage([capability(flags)]), KEEPALIVE);
  rig.settle();
  const heard = (): boolean => rig.end.heard.some((bytes) => bytes[18] === 2 && bytes.length === 23);
  const before = heard();
  rig.end.send(message(2, updateBody([])), update([attribute(0x80, 15, [0, 2, 1])]));
  for (const address of ['192.0.2.2', '192.0.2.3', '192.0.2.4']) {
    rig.network.dialled(address)?.send(message(2, updateBody([])), update([attribute(0x80, 15, [0, 2, 1])]));
  }
  rig.settle();
  const after = heard();
  await rig.close();
  return { before, after };
}

t.test('End-of-RIB after our start: a peer that restarts itself is not waited for (RFC 4724 §3, §4.1)', async (t) => {
  t.same(await hearsEndOfRib(0x00), { before: false, after: true }, 'another is');
  t.same(await hearsEndOfRib(0x80), { before: true, after: true }, 'Restart State set');
});
