/**
 * BFD of whole speakers over loopback: real threads, sockets and TTLs. What it does to BGP sessions, and what not
 * (RFC 5882 §3 and §4).
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import t from 'tap';
import { createBfdControl, encodeBfdControl } from 'bgp-parse';
import { loopback, startPair, until } from './fixtures/speakers.js';

/** Faster than the default, and slow enough for a machine that is busy with other tests: how fast it can be is no-flap's. */
const FAST = { minTxMs: 100, minRxMs: 100, multiplier: 50 };

t.test('both Up, changed live, switched off and on: the session does not notice', async (t) => {
  const ends = await startPair(t, [1, 2], { bfd: FAST }, { bfd: true });
  const { ofA, ofB, a } = ends;
  await until(() => ofA().bfd?.state === 'Up' && ofB().bfd?.state === 'Up', 'BFD Up');
  await until(() => ofA().state === 'Established' && ofB().state === 'Established', 'the session');
  t.match(ofA().bfd, {
    remoteState: 'Up',
    multihop: false,
    intervalMs: 300,
    remoteMultiplier: 3,
    error: null,
  });
  t.ok(ofA().bfd!.localDiscriminator! > 0 && ofA().bfd!.localDiscriminator === ofB().bfd!.remoteDiscriminator);

  t.match(await ends.apply('b', { bfd: FAST }), [/changed bfd/]);
  await until(() => ofA().bfd?.intervalMs === 100 && ofB().bfd?.detectionMs === 5000, 'the faster timers');
  // The default detects within a second, which a busy machine may take: from here on it is five.
  await until(() => ofA().state === 'Established' && ofB().state === 'Established', 'the session');
  const sessions = [ofA().sessionsEstablished, ofB().sessionsEstablished];
  const { packetsIn: before, flaps } = ofA().bfd!;
  await until(() => ofA().bfd!.packetsIn > before + 20, 'packets at that pace');
  t.equal(ofA().bfd!.flaps, flaps);

  // RFC 5882 §3.2: AdminDown is no failure.
  await ends.apply('b', {});
  await until(() => ofA().bfd!.lastDown === 'administratively down at the peer', 'the end of BFD');
  t.equal(ofB().bfd, null);
  t.match(ofA().bfd, { remoteState: 'AdminDown', flaps: flaps + 1 });
  await ends.apply('b', { bfd: FAST });
  await until(() => ofA().bfd?.state === 'Up' && ofB().bfd?.state === 'Up', 'BFD again');
  t.match([ofA(), ofB()], [{ state: 'Established' }, { state: 'Established' }]);
  t.same([ofA().sessionsEstablished, ofB().sessionsEstablished], sessions, 'the same sessions');
  t.same(a.summary().warnings, []);

  // Taken down for good, the session goes by its own NOTIFICATION.
  t.equal(ends.b.command(ends.addressA, 'disable', { text: 'work' }), undefined);
  await until(() => ofA().state !== 'Established', 'the end of the session');
  t.match(ofA().lastError, /Administrative Shutdown.*work/s);
  await until(() => ofA().bfd?.state === 'Down', 'the end of BFD');
  t.equal(ends.b.command(ends.addressA, 'enable'), undefined);
  await until(() => ofA().bfd?.state === 'Up' && ofA().state === 'Established', 'both again');
});

t.test('a BFD thread that dies is started again; neither BFD nor BGP goes down', async (t) => {
  const threads: Worker[] = [];
  const note = (worker: Worker): void => {
    // No other thread is that small.
    if (worker.resourceLimits?.maxYoungGenerationSizeMb === 2) threads.push(worker);
  };
  process.on('worker', note);
  t.teardown(() => process.off('worker', note));
  const slow = { minTxMs: 100, minRxMs: 100, multiplier: 100 };
  const { ofA, ofB, a } = await startPair(t, [11, 12], { bfd: slow }, { bfd: slow });
  const isUp = (): boolean => [ofA(), ofB()].every((end) => end.bfd?.state === 'Up' && end.bfd.intervalMs === 100);
  await until(() => isUp() && ofA().state === 'Established', 'BFD Up');
  t.equal(threads.length, 2);
  const { localDiscriminator, packetsOut } = ofA().bfd!;
  const goOn = async (): Promise<void> => {
    const counts = [ofA().bfd!.packetsOut, ofA().bfd!.packetsIn];
    await until(() => ofA().bfd!.packetsOut > counts[0]! + 5 && ofA().bfd!.packetsIn > counts[1]! + 5, 'packets');
  };
  // The first to be started is a's.
  await threads[0]!.terminate();
  await until(() => threads.length === 3, 'another thread');
  await goOn();
  t.match(ofA().bfd, { state: 'Up', flaps: 0, localDiscriminator, error: null });
  t.ok(ofA().bfd!.packetsOut > packetsOut);
  t.match(a.summary().warnings, [/^BFD: the BFD thread ended: .* \(once so far\)$/]);
  // Dead again: it is not started in haste.
  await threads[2]!.terminate();
  await until(() => ofA().bfd!.error !== null, 'the reason is told');
  t.match(ofA().bfd!.error, /the BFD thread ended.*started again/);
  await until(() => threads.length === 4, 'another thread');
  await goOn();
  t.match(a.summary().warnings, [/2 times so far/]);
  t.match(
    [ofA(), ofB()],
    [
      { state: 'Established', sessionsEstablished: 1, bfd: { state: 'Up', flaps: 0, error: null } },
      { state: 'Established', sessionsEstablished: 1, bfd: { state: 'Up', flaps: 0, error: null } },
    ],
  );
});

t.test('a peer without BFD loses nothing', async (t) => {
  const { ofA } = await startPair(t, [3, 4], { bfd: FAST }, {});
  await until(() => ofA().state === 'Established', 'the session');
  await until(() => ofA().bfd!.packetsOut >= 2, 'packets');
  t.match(ofA().notes.join(), /BFD is Down: nothing heard of the peer/);
  t.match(ofA().bfd, { state: 'Down', remoteState: null, packetsIn: 0, flaps: 0, lastDown: null, detectionMs: null });
  t.equal(ofA().state, 'Established');
});

t.test('a peer whose BFD dies loses its session at once, with Cease/BFD Down', async (t) => {
  // B has no BFD of its own: the test speaks it, and stops.
  const { ofA, ofB, addressA, addressB } = await startPair(t, [5, 6], { bfd: FAST, gracefulRestart: true }, {});
  await until(() => ofA().state === 'Established', 'the session');
  const socket = createSocket('udp4');
  const port = createSocket('udp4');
  t.teardown(() => socket.close());
  t.teardown(() => port.close());
  port.bind(3784, addressB);
  socket.bind(50_123, addressB);
  await Promise.all([once(socket, 'listening'), once(port, 'listening')]);
  socket.setTTL(255);
  // 2 s of silence: so long this thread, which speaks it, is not held up by itself.
  const timers = { desiredMinTxUs: 50_000, requiredMinRxUs: 50_000, detectMultiplier: 20 };
  const packet = { ...createBfdControl(), myDiscriminator: 77, ...timers };
  let final = false;
  port.on('message', (message, from) => {
    t.ok(from.port >= 49152, 'RFC 5881 §4');
    packet.yourDiscriminator = message.readUInt32BE(4);
    const theirs = message[1]! >>> 6;
    packet.state = theirs === 1 ? 2 : 3;
    final ||= (message[1]! & 0x20) !== 0;
    say();
  });
  const say = (): void => {
    const bytes = new Uint8Array(24);
    encodeBfdControl({ ...packet, final }, bytes);
    final = false;
    socket.send(bytes, 3784, addressA);
  };
  say();
  await until(() => ofA().bfd?.state === 'Up', 'BFD Up');
  port.removeAllListeners('message');
  await until(() => ofA().bfd!.lastDown !== null, 'detection');
  await until(() => ofB().state !== 'Established' || ofB().sessionsEstablished > 1, 'the end of the session');
  t.match(ofB().lastError, /Cease\/BFD Down/);
  t.match(ofA().bfd, {
    flaps: 1,
    lastDown: 'control detection time expired',
    diagnostic: 'control detection time expired',
  });
  // The way still works for TCP, and BGP does not wait for BFD.
  await until(() => ofA().sessionsEstablished === 2 && ofA().state === 'Established', 'the next session');

  const { packetsIn, packetsDiscarded } = ofA().bfd!;
  socket.setTTL(254);
  say();
  await until(() => ofA().bfd!.packetsDiscarded > packetsDiscarded, 'what comes from afar is discarded');
  t.equal(ofA().bfd!.packetsIn, packetsIn);
});

t.test('multihop, by configuration', async (t) => {
  const bfd = { ...FAST, multihop: true };
  const { ofA, ofB } = await startPair(t, [7, 8], { bfd }, { bfd });
  await until(() => ofA().bfd?.state === 'Up' && ofB().bfd?.state === 'Up', 'BFD Up');
  t.match([ofA().bfd, ofB().bfd], [{ multihop: true }, { multihop: true }]);
});

t.test('a port that somebody else has is named', async (t) => {
  const squatter = createSocket('udp4').bind(3784, loopback(9));
  await once(squatter, 'listening');
  const { ofA, ofB } = await startPair(t, [9, 10], { bfd: FAST }, { bfd: FAST });
  await until(() => ofA().bfd?.error !== null, 'the error');
  t.match(ofA().bfd!.error, /UDP port 3784 of 127\..* is taken: does another BFD daemon run here\?/);
  await until(() => ofA().state === 'Established', 'BGP all the same');
  squatter.close();
  await until(() => ofB().bfd?.state === 'Up', 'BFD, as soon as it can');
  await until(() => ofA().bfd!.error === null, 'the error is taken back');
});
