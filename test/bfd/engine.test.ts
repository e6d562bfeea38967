/**
 * Sessions against each other on a simulated wire: coming up, detecting, changing timers by Poll Sequence, AdminDown,
 * and what is not theirs. RFC 5880 §6.
 */
import { BfdDiagnostic, BfdState, createBfdControl, encodeBfdControl } from 'bgp-parse';
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { Engine, type EngineHost } from '../../src/bfd/engine.js';
import { Side, Wire } from './fixtures/simulation.js';

const FAST = { minTxMs: 50, minRxMs: 50, multiplier: 3 };
const { down, up, adminDown } = BfdState;
/** Of an engine that never has a session. */
const nobody: EngineHost = {
  random: () => 0,
  randomDiscriminator: () => 1,
  openTransport: () => {
    throw new Error('nobody sends');
  },
  changed: () => undefined,
  error: () => undefined,
};

function pair(seed = 1, timers = FAST, theirTimers = timers): { wire: Wire; a: Side; b: Side } {
  const wire = new Wire(seed);
  const [a, b] = [wire.add(), wire.add()];
  a.open(1, b, timers);
  b.open(1, a, theirTimers);
  return { wire, a, b };
}

function upPair(seed = 1, timers = FAST, theirTimers = timers): { wire: Wire; a: Side; b: Side } {
  const all = pair(seed, timers, theirTimers);
  all.wire.run(5000);
  return all;
}

t.test('comes up slowly, then keeps the agreed time', (t) => {
  const { wire, a, b } = pair();
  wire.run(30);
  wire.run(5000);
  t.equal(a.view().state, up);
  t.equal(b.view().state, up);
  t.same(
    [a.view().remoteDiscriminator, b.view().remoteDiscriminator],
    [b.view().localDiscriminator, a.view().localDiscriminator],
  );
  // §6.8.3: while not Up, nobody promises less than a second.
  for (const { packet } of a.sent) if (packet.state !== up) t.ok(packet.desiredMinTxUs >= 1_000_000);
  t.equal(a.view().transmitIntervalMs, 50);
  t.equal(a.view().detectionMs, 150);
  const fromMs = wire.nowMs;
  wire.run(5000);
  const gaps = a.since(fromMs).map(({ atMs }, index, all) => (index === 0 ? 50 : atMs - all[index - 1]!.atMs));
  // §6.8.7: 75 to 100 %.
  t.ok(
    gaps.every((gap) => gap >= 37.49 && gap <= 50.01),
    `${Math.min(...gaps)}..${Math.max(...gaps)}`,
  );
  t.ok(Math.max(...gaps) - Math.min(...gaps) > 5, 'with jitter');
  t.ok(
    a.since(fromMs).every(({ packet }) => !packet.poll && !packet.final),
    'the Poll Sequence is over',
  );
  t.equal(a.view().flaps, 0);
  t.end();
});

t.test('each side sends as slowly as the other wants, and detects by what the other says', (t) => {
  const { a, b } = upPair(
    2,
    { minTxMs: 50, minRxMs: 300, multiplier: 3 },
    { minTxMs: 100, minRxMs: 200, multiplier: 5 },
  );
  t.equal(a.view().transmitIntervalMs, 200, 'max(own 50, their 200)');
  t.equal(b.view().transmitIntervalMs, 300, 'max(own 100, their 300)');
  t.equal(a.view().detectionMs, 1500, 'their multiplier 5 x max(our minRx 300, their minTx 100)');
  t.equal(b.view().detectionMs, 600, 'multiplier 3 x max(200, 50)');
  t.end();
});

t.test('silence is found out within the detection time, and said', (t) => {
  const { wire, a, b } = upPair();
  b.muted = true;
  const fromMs = wire.nowMs;
  wire.run(400);
  const fall = a.changes.find(({ atMs, change }) => atMs >= fromMs && change.state === down)!;
  t.ok(fall.atMs - fromMs <= 151 && fall.atMs - fromMs >= 99, `${fall.atMs - fromMs} ms`);
  t.equal(fall.change.diagnostic, BfdDiagnostic.controlDetectionTimeExpired);
  // The other side hears at once that we are down.
  const told = b.changes.find(({ atMs, change }) => atMs >= fromMs && change.state === down)!;
  t.ok(told.atMs - fall.atMs <= 2);
  t.equal(told.change.diagnostic, BfdDiagnostic.neighborSignaledSessionDown);
  t.equal(told.change.remoteDiagnostic, BfdDiagnostic.controlDetectionTimeExpired);
  t.equal(a.view().remoteState, undefined, 'nothing is being heard');
  t.equal(a.view().remoteDiscriminator, 0);
  t.equal(a.view().flaps, 1);
  const quietMs = wire.nowMs;
  wire.run(10_000);
  t.ok(a.since(quietMs).length <= 14, 'slow again');
  b.muted = false;
  wire.run(5000);
  t.equal(a.view().state, up);
  t.equal(b.view().state, up);
  t.end();
});

t.test('a thread that died and is started again: Up stays Up, and is not taken for granted', (t) => {
  const { wire, a, b } = upPair(31);
  const before = a.view();
  // Dead for less than b's detection time.
  a.engine = new Engine(nobody);
  wire.run(100);
  a.revive();
  const fromMs = wire.nowMs;
  wire.run(1000);
  t.equal(b.changes.at(-1)!.change.state, up, 'b has noticed nothing');
  t.match(a.view(), {
    state: up,
    remoteState: up,
    flaps: 0,
    localDiscriminator: before.localDiscriminator,
    remoteDiscriminator: before.remoteDiscriminator,
    transmitIntervalMs: 50,
    detectionMs: 150,
  });
  t.ok(a.view().packetsOut > before.packetsOut, 'counts go on');
  const [first, second] = a.since(fromMs);
  t.match([first!.packet.state, first!.packet.poll, second!.packet.poll], [up, true, false], 'Up, by a Poll Sequence');
  t.same(a.changes.length, 2, 'Init, Up: nothing new to tell');

  // Dead for longer: b has detected it, and says so.
  a.engine = new Engine(nobody);
  wire.run(400);
  t.match(b.changes.at(-1)!.change, { state: down, diagnostic: BfdDiagnostic.controlDetectionTimeExpired });
  a.revive();
  wire.run(1500);
  const told = a.changes.slice(2).map(({ change }) => change);
  t.match(told[0], { before: up, state: down, diagnostic: BfdDiagnostic.neighborSignaledSessionDown });
  wire.run(5000);
  t.match(
    [a.view(), b.view()],
    [
      { state: up, flaps: 1 },
      { state: up, flaps: 1 },
    ],
  );

  // And a peer that has gone meanwhile is found out.
  a.engine = new Engine(nobody);
  b.muted = true;
  wire.run(50);
  a.revive();
  const revivedMs = wire.nowMs;
  wire.run(1000);
  const { atMs, change } = a.changes.at(-1)!;
  t.match(change, { before: up, state: down, diagnostic: BfdDiagnostic.controlDetectionTimeExpired });
  t.ok(atMs - revivedMs <= 151, `${atMs - revivedMs} ms`);
  t.end();
});

t.test('AdminDown of the peer is told as such, and is no detection', (t) => {
  const { wire, a, b } = upPair();
  const fromMs = wire.nowMs;
  b.engine.close(1, wire.nowMs);
  wire.run(10);
  const { change } = a.changes.at(-1)!;
  t.match(change, {
    state: down,
    before: up,
    remoteState: adminDown,
    diagnostic: BfdDiagnostic.neighborSignaledSessionDown,
  });
  wire.run(20_000);
  t.equal(a.changes.filter(({ atMs, change }) => atMs >= fromMs && change.before === up).length, 1);
  const said = b.since(fromMs);
  t.ok(said.length >= 3 && said.every(({ packet }) => packet.state === adminDown), 'for as long as it may be missed');
  t.ok(said.at(-1)!.atMs - fromMs >= 1500 && said.at(-1)!.atMs - fromMs <= 5000, 'and no longer');
  // A successor is not disturbed.
  b.open(2, a, FAST);
  wire.run(5000);
  t.equal(a.view().state, up);
  b.engine.close(2, wire.nowMs);
  b.open(3, a, FAST);
  wire.run(4000);
  t.equal(a.view().state, up);
  t.equal(a.view().remoteDiscriminator, b.view(3).localDiscriminator);
  t.end();
});

t.test('timers change by Poll Sequence without leaving Up (§6.8.3)', (t) => {
  const { wire, a, b } = upPair();
  const slow = { minTxMs: 400, minRxMs: 400, multiplier: 3 };
  const fromMs = wire.nowMs;
  a.engine.change(1, slow, wire.nowMs);
  t.match(a.since(fromMs)[0]!.packet, { poll: true, desiredMinTxUs: 400_000, requiredMinRxUs: 400_000 });
  t.equal(a.view().transmitIntervalMs, 50, 'slower sending waits for the Final');
  t.equal(a.view().detectionMs, 1200, 'slower detection is safe at once');
  wire.run(3);
  t.ok(
    b.since(fromMs).some(({ packet }) => packet.final),
    'the Final comes at once',
  );
  t.equal(a.view().transmitIntervalMs, 400);
  wire.run(5000);
  t.equal(b.view().transmitIntervalMs, 400);
  t.equal(b.view().detectionMs, 1200);

  const againMs = wire.nowMs;
  a.engine.change(1, FAST, wire.nowMs);
  t.equal(a.view().detectionMs, 1200, 'faster detection waits for the Final');
  t.equal(a.view().transmitIntervalMs, 50, 'faster sending is safe at once');
  wire.run(5000);
  t.equal(a.view().detectionMs, 150);
  t.ok(a.since(againMs + 100).every(({ packet }) => !packet.poll));
  t.same([a.view().flaps, b.view().flaps], [0, 0]);
  t.end();
});

t.test('a change while another is polled for is polled for again', (t) => {
  const { wire, a, b } = upPair();
  wire.delayMs = 20;
  a.engine.change(1, { minTxMs: 200, minRxMs: 50, multiplier: 3 }, wire.nowMs);
  wire.run(10);
  a.engine.change(1, { minTxMs: 300, minRxMs: 50, multiplier: 3 }, wire.nowMs);
  wire.run(35);
  t.equal(a.view().transmitIntervalMs, 50, 'the first Final answers the older values');
  wire.run(5000);
  t.equal(a.view().transmitIntervalMs, 300);
  t.equal(b.view().detectionMs, 900);
  t.same([a.view().flaps, b.view().flaps], [0, 0]);
  t.end();
});

t.test('Demand mode of the peer: we keep silent while both are Up, and answer its Poll (§6.6)', (t) => {
  const { wire, a, b } = upPair();
  b.muted = true;
  const last = b.sent.at(-1)!.packet;
  const say = (more: object): void => {
    const bytes = new Uint8Array(24);
    const packet = { ...last, state: up, demand: true, desiredMinTxUs: 60_000_000, ...more };
    encodeBfdControl(packet, bytes);
    const origin = { source: b.address, sourceLength: 4, interfaceIndex: 0 };
    a.engine.received(bytes, 24, origin, 255, { id: 1, multihop: false }, wire.nowMs);
  };
  say({});
  const fromMs = wire.nowMs;
  wire.run(2000);
  t.equal(a.since(fromMs).length, 0);
  t.equal(a.view().transmitIntervalMs, 0);
  say({ poll: true });
  t.match(a.since(fromMs), [{ packet: { final: true, poll: false } }]);
  say({ demand: false });
  wire.run(1000);
  t.ok(a.since(fromMs).length > 10, 'and go on when it is over');
  t.end();
});

t.test('a peer that wants no packets gets none (RequiredMinRx 0)', (t) => {
  const { wire, a, b } = upPair();
  b.muted = true;
  const bytes = new Uint8Array(24);
  encodeBfdControl({ ...b.sent.at(-1)!.packet, state: up, requiredMinRxUs: 0, desiredMinTxUs: 60_000_000 }, bytes);
  a.engine.received(
    bytes,
    24,
    { source: b.address, sourceLength: 4, interfaceIndex: 0 },
    255,
    { id: 1, multihop: false },
    wire.nowMs,
  );
  const fromMs = wire.nowMs;
  wire.run(2000);
  t.equal(a.since(fromMs).length, 0);
  t.end();
});

t.test('what is not taken', (t) => {
  const { wire, a, b } = upPair();
  const c = wire.add();
  b.muted = true;
  const bytes = new Uint8Array(24);
  const give = (packet: object, from: Side, ttl: number, multihop = false): number => {
    encodeBfdControl({ ...createBfdControl(), ...packet }, bytes);
    const before = a.view().packetsIn;
    const origin = { source: from.address, sourceLength: 4, interfaceIndex: 0 };
    a.engine.received(bytes, 24, origin, ttl, { id: 1, multihop }, wire.nowMs);
    return a.view().packetsIn - before;
  };
  const good = b.sent.at(-1)!.packet;
  t.equal(give(good, b, 255), 1);
  t.equal(give(good, b, 254), 0, 'from beyond the link (RFC 5881 §5)');
  t.equal(give(good, b, 0), 0, 'the kernel did not say');
  t.equal(give(good, c, 255), 0, 'right discriminator, wrong address');
  t.equal(give(good, b, 255, true), 0, 'to the port of RFC 5883');
  t.equal(give({ ...good, yourDiscriminator: 12345 }, b, 255), 0, 'of a session we do not have');
  t.equal(give({ ...good, myDiscriminator: 0 }, b, 255), 0);
  t.equal(a.view().discarded, 4, 'counted with the peer they came from');
  t.equal(a.view().state, up);
  // A peer that has started again does not know us, and is down.
  t.equal(give({ ...good, yourDiscriminator: 0, state: down }, b, 255), 1);
  t.equal(a.view().state, down);
  t.end();
});

t.test('multihop: any TTL, or as far as configured (RFC 5883 §4.2)', (t) => {
  const wire = new Wire(7);
  const [a, b] = [wire.add(), wire.add()];
  a.open(1, b, FAST, { multihop: true, minTtl: 0 });
  b.open(1, a, FAST, { multihop: true, minTtl: 250 });
  a.ttl = 252;
  b.ttl = 60;
  wire.run(5000);
  t.equal(a.view().state, up);
  t.equal(b.view().state, up);
  a.ttl = 249;
  wire.run(500);
  t.equal(b.view().state, down);
  t.ok(b.view().discarded > 2);
  t.end();
});

t.test('a transport that cannot be opened is tried again, and said', (t) => {
  const wire = new Wire(3);
  const [a, b] = [wire.add(), wire.add()];
  a.openError = 'there is no interface eth7';
  a.open(1, b, FAST);
  b.open(1, a, FAST);
  wire.run(3500);
  t.same(a.errors, ['there is no interface eth7'], 'once');
  t.not(a.view().state, up);
  a.openError = undefined;
  wire.run(5000);
  t.same(a.errors, ['there is no interface eth7', undefined]);
  t.equal(a.view().state, up);
  t.end();
});

t.test('loss within the multiplier does not matter; all of a thousand sessions come up', (t) => {
  const wire = new Wire(11);
  const hub = wire.add();
  const others = Array.from({ length: 200 }, () => wire.add());
  const timers = { minTxMs: 300, minRxMs: 300, multiplier: 12 };
  others.forEach((other, index) => {
    hub.open(index + 1, other, timers);
    other.open(1, hub, timers);
  });
  wire.loss = 0.2;
  wire.run(20_000);
  t.equal(others.filter((other) => other.view().state === up).length, 200);
  wire.run(10_000);
  t.equal(others.filter((other, index) => other.view().flaps + hub.view(index + 1).flaps > 0).length, 0);
  t.end();
});

const timers = fc.record({
  minTxMs: fc.integer({ min: 10, max: 400 }),
  minRxMs: fc.integer({ min: 10, max: 400 }),
  multiplier: fc.integer({ min: 2, max: 6 }),
});
type Turn = { readonly wait: number; readonly side: 0 | 1; readonly timers: typeof FAST };
const turns = fc.array(
  fc.record({ wait: fc.integer({ min: 0, max: 700 }), side: fc.constantFrom(0 as const, 1 as const), timers }),
  { maxLength: 8 },
);

t.test('whatever is changed when: no flap, both agree in the end, nobody sends faster than the other wants', (t) => {
  fc.assert(
    fc.property(fc.nat(1e6), timers, timers, turns, (seed, first, second, changes: Turn[]) => {
      const { wire, a, b } = upPair(seed, first, second);
      const sides = [a, b];
      const now = [first, second];
      for (const { wait, side, timers } of changes) {
        wire.run(wait);
        now[side] = timers;
        sides[side]!.engine.change(1, timers, wire.nowMs);
      }
      wire.run(6000);
      const fromMs = wire.nowMs;
      wire.run(4000);
      for (const [index, side] of sides.entries()) {
        const [own, other] = [now[index]!, now[1 - index]!];
        const view = side.view();
        const intervalMs = Math.max(own.minTxMs, other.minRxMs);
        if (view.state !== up || view.flaps !== 0) return false;
        if (view.transmitIntervalMs !== intervalMs) return false;
        if (view.detectionMs !== other.multiplier * Math.max(own.minRxMs, other.minTxMs)) return false;
        const sent = side.since(fromMs);
        if (sent.some(({ packet }) => packet.poll || packet.final)) return false;
        if (sent.length > 4000 / (intervalMs * 0.75) + 1) return false;
      }
      return true;
    }),
    { numRuns: runs(60) },
  );
  t.pass('60 runs');
  t.end();
});
