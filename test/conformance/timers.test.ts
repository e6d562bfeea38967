/** KEEPALIVE by the clock: RFC 4271 §4.4 and §10. */
import t from 'tap';
import { KEEPALIVE } from '../malformed/fixtures/compose.js';
import { Rig } from '../malformed/fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };

t.test('hold time zero: no KEEPALIVE, and nobody is ever late', async (t) => {
  const rig = await Rig.open(INTERNAL);
  rig.end.drop();
  rig.settle();
  rig.connect();
  rig.end.send(rig.openMessage([], 0), KEEPALIVE);
  rig.settle();
  rig.end.take();
  rig.pass(3600);
  t.equal(rig.state, 'Established');
  t.equal(rig.end.take().filter(({ 18: type }) => type === 4).length, 0);
  rig.checkOthers();
  await rig.close();
});

t.test('keepalives are spread over three quarters to all of their time', async (t) => {
  const rig = await Rig.open(INTERNAL);
  rig.end.drop();
  rig.settle();
  rig.connect();
  rig.end.send(rig.openMessage([], 30), KEEPALIVE);
  rig.settle();
  const times: number[] = [];
  const gaps: number[] = [];
  for (let i = 0; i < 4000; i++) {
    if (i % 40 === 0) {
      rig.keepOthersAlive();
      rig.end.send(KEEPALIVE);
    }
    rig.clock.advance(250);
    for (const { 18: type } of rig.end.take()) if (type === 4) times.push(rig.clock.nowMs());
    rig.settle();
  }
  for (let i = 1; i < times.length; i++) gaps.push(times[i]! - times[i - 1]!);
  t.ok(gaps.length > 80, `${gaps.length} keepalives`);
  // A third of 30 s; the ticker is a quarter of a second coarse.
  t.ok(Math.max(...gaps) <= 10_250, `${Math.max(...gaps)} ms at most`);
  t.ok(Math.min(...gaps) >= 7_250, `${Math.min(...gaps)} ms at least`);
  t.ok(new Set(gaps).size > 4, 'not all the same');
  await rig.close();
});

t.test('a hold time of three seconds: a KEEPALIVE each second, and never sooner', async (t) => {
  const rig = await Rig.open(INTERNAL);
  rig.end.drop();
  rig.settle();
  rig.connect();
  rig.end.send(rig.openMessage([], 3), KEEPALIVE);
  rig.settle();
  rig.end.take();
  const times: number[] = [];
  for (let i = 0; i < 1600; i++) {
    rig.keepOthersAlive();
    rig.end.send(KEEPALIVE);
    rig.clock.advance(125);
    for (const { 18: type } of rig.end.take()) if (type === 4) times.push(rig.clock.nowMs());
    rig.settle();
  }
  t.equal(rig.state, 'Established');
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  t.ok(gaps.length > 150, `${gaps.length} keepalives`);
  t.ok(Math.min(...gaps) >= 1000, `${Math.min(...gaps)} ms at least`);
  t.ok(Math.max(...gaps) <= 1250, `${Math.max(...gaps)} ms at most`);
  await rig.close();
});
