/** How long routes of a peer that is away are kept: RFC 4724 §4.2, RFC 7911 §5. */
import t from 'tap';
import { KEEPALIVE, message, nlri, u32, update, updateBody } from '../malformed/fixtures/compose.js';
import { KEPT_PREFIX, Rig, SUBJECT, baseAttributes } from '../malformed/fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };
const SETTINGS = { gracefulRestart: { restartTime: 120 } };

/** RFC 4724 §3: both families, Forwarding State set. */
const capability = (restarting: boolean, seconds: number): number[] => [
  64,
  10,
  (restarting ? 0x80 : 0) | (seconds >> 8),
  seconds & 255,
  ...[0, 1, 1, 0x80],
  ...[0, 2, 1, 0x80],
];

async function away(seconds: number): Promise<Rig> {
  const rig = await Rig.open(INTERNAL, SETTINGS, {}, capability(false, seconds));
  rig.end.drop();
  rig.settle();
  return rig;
}

t.test('who is not back within its restart time loses its routes (RFC 4724 §4.2)', async (t) => {
  const rig = await away(30);
  t.ok(rig.listenersHold(KEPT_PREFIX), 'kept');
  rig.pass(29);
  t.ok(rig.listenersHold(KEPT_PREFIX), 'still kept');
  rig.pass(2);
  t.notOk(rig.listenersHold(KEPT_PREFIX), 'gone');
  rig.checkOthers();
  await rig.close();
});

t.test('stale routes do not outlive their time, End-of-RIB or not', async (t) => {
  const rig = await away(30);
  rig.pass(5);
  rig.connect();
  rig.end.send(rig.openMessage([capability(true, 30)], 0), KEEPALIVE);
  rig.settle();
  t.equal(rig.state, 'Established');
  t.ok(rig.listenersHold(KEPT_PREFIX), 'it has not said that this was all');
  let seconds = 0;
  for (; seconds < 3600 && rig.listenersHold(KEPT_PREFIX); seconds += 10) rig.pass(10);
  t.ok(seconds > 30 && seconds < 3600, `gone after ${seconds} s`);
  await rig.close();
});

t.test('several paths of a prefix through a restart, with other identifiers (RFC 7911 §5)', async (t) => {
  const prefix = '203.0.113.0/24';
  const rig = await Rig.open(INTERNAL, { ...SETTINGS, addPath: { receive: true } });
  const connect = (restarting: boolean): void => {
    rig.connect();
    // It sends path identifiers for IPv4.
    rig.end.send(rig.openMessage([capability(restarting, 120), [69, 4, 0, 1, 1, 2]]), KEEPALIVE);
    rig.settle();
    t.equal(rig.state, 'Established');
  };
  const say = (...ids: number[]): void => {
    const paths = ids.flatMap((id) => [...u32(id), ...nlri(prefix)]);
    rig.end.send(update(baseAttributes(INTERNAL), paths));
    rig.settle();
  };
  const ids = (stale: boolean): (number | null)[] =>
    [...rig.speaker.routes({ peer: { address: SUBJECT, direction: 'received' } })!]
      .filter((route) => route.prefix === prefix && route.stale === stale)
      .map(({ pathId }) => pathId)
      .sort();
  rig.end.drop();
  rig.settle();
  connect(false);
  say(1, 2);
  t.same(ids(false), [1, 2]);
  rig.end.drop();
  rig.settle();
  t.same(ids(true), [1, 2]);
  t.ok(rig.listenersHold(prefix), 'stale, and in use');
  connect(true);
  say(2, 7);
  t.same([ids(true), ids(false)], [[1], [2, 7]], 'what came back, and what has not');
  t.ok(rig.listenersHold(prefix));
  rig.end.send(message(2, updateBody([])));
  rig.settle();
  t.same([ids(true), ids(false)], [[], [2, 7]], 'End-of-RIB');
  t.ok(rig.listenersHold(prefix));
  await rig.close();
});
