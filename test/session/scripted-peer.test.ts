/** The session against a peer that does exactly what the test says: refusals, errors, silence, floods. */
import t from 'tap';
import type { Test } from 'tap';
import { BgpError, MessageType, encodeNotification, encodeRouteRefresh, keepaliveMessage } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { RawPeer, rawOpen } from '../fixtures/raw-peer.js';
import { openHost, until } from '../fixtures/session-rig.js';
import type { Host, SessionOptions } from '../fixtures/session-rig.js';

const US = '127.0.73.1';
const PEER = '127.0.73.2';
const EMPTY_UPDATE = Uint8Array.of(...new Array<number>(16).fill(0xff), 0, 23, 2, 0, 0, 0, 0);

/** A session of ours that dials a scripted peer, on a fake clock. */
async function scripted(t: Test, options: SessionOptions = {}) {
  const clock = new FakeClock();
  const peer = await RawPeer.listen(PEER);
  const host = await openHost(US, { clock, random: () => 1 });
  const { session, listener } = host.session(PEER, { port: peer.port, routerId: 5, ...options });
  t.teardown(() => close(host, peer, clock));
  session.start();
  return { clock, peer, host, session, listener };
}

/** Resolves when `value` stays the same for some turns. */
async function quiet(value: () => number): Promise<void> {
  let same = 0;
  for (let last = value(); same < 20; same = value() === last ? same + 1 : 0, last = value()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function close(host: Host, peer: RawPeer, clock: FakeClock): Promise<void> {
  const closed = host.close();
  await peer.close();
  clock.advance(5000);
  await closed;
}

t.test('hold timer: silence ends the session with 4/0', async (t) => {
  const { clock, peer, session, listener } = await scripted(t, { holdTimeSeconds: 9, keepaliveTimeSeconds: 3 });
  const raw = await peer.connection(0);
  await raw.establish({ holdTimeSeconds: 30 });
  await until(() => session.established, 'Established');
  clock.advance(8500);
  t.ok(session.established, 'not before its time');
  await until(() => raw.of(MessageType.keepalive).length >= 3, 'our KEEPALIVEs every 3 s');
  raw.send(keepaliveMessage);
  await until(() => session.counters.messagesIn === 3, 'the KEEPALIVE is read');
  clock.advance(8500);
  t.ok(session.established, 'a KEEPALIVE restarts it');
  clock.advance(750);
  await until(() => !session.established, 'the hold timer');
  t.same(await raw.notification(), { code: 4, subcode: 0, data: new Uint8Array(0) });
  t.same(listener.downs, [
    { from: 'Established', text: 'hold timer expired', notification: { code: 4, subcode: 0, sent: true, hard: true } },
  ]);
});

t.test('hold timer: what waits in the socket counts, however late we are', async (t) => {
  const { clock, peer, session } = await scripted(t, { holdTimeSeconds: 9 });
  const raw = await peer.connection(0);
  await raw.establish();
  await until(() => session.established, 'Established');
  raw.send(keepaliveMessage);
  // Our loop is blocked here, while the peer's KEEPALIVE is in the kernel already.
  const wasRead = session.counters.messagesIn;
  const untilMs = performance.now() + 50;
  while (performance.now() < untilMs);
  clock.jump(20_000);
  t.equal(session.counters.messagesIn, wasRead, 'still unread');
  await until(() => session.counters.messagesIn > wasRead, 'the KEEPALIVE is read');
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(session.established, 'and the peer lives');
});

t.test('no OPEN: the large hold time ends the attempt', async (t) => {
  const { clock, peer, session } = await scripted(t);
  const raw = await peer.connection(0);
  await raw.open();
  clock.advance(239_000);
  t.equal(session.state, 'OpenSent');
  clock.advance(1500);
  t.equal((await raw.notification()).code, 4);
  t.equal(session.lastError, 'no OPEN from the peer');
});

t.test('a peer that refuses capabilities gets fewer, then none, then all again', async (t) => {
  const { clock, peer, session, listener } = await scripted(t, { gracefulRestart: { restartTimeSeconds: 120 } });
  const kinds: string[][] = [];
  const refusals = [7, 4];
  for (const [index, subcode] of refusals.entries()) {
    const raw = await peer.connection(index);
    kinds.push((await raw.open()).capabilities.map(({ kind }) => kind));
    raw.send(encodeNotification({ code: 2, subcode, data: new Uint8Array(0) }));
    await until(() => session.state === 'Idle', 'Idle after the refusal');
    clock.advance(2000);
  }
  const raw = await peer.connection(2);
  kinds.push((await raw.open()).capabilities.map(({ kind }) => kind));
  t.same(kinds[0]!.sort(), [
    'enhancedRouteRefresh',
    'extendedMessage',
    'fourOctetAs',
    'gracefulRestart',
    'multiprotocol',
    'multiprotocol',
    'routeRefresh',
  ]);
  t.same(kinds[1]!.sort(), ['fourOctetAs', 'multiprotocol', 'multiprotocol']);
  t.same(kinds[2], []);
  await raw.establish({ capabilities: [] });
  await until(() => session.established, 'Established without capabilities');
  t.same(listener.negotiated?.families, ['ipv4-unicast'], 'RFC 4760 §8');
  t.equal(listener.negotiated?.fourOctetAs, false);
  t.equal(listener.negotiated?.routeRefresh, false);
  raw.socket.destroy();
  await until(() => !session.established, 'down');
  clock.advance(2000);
  const again = await peer.connection(3);
  t.equal((await again.open()).capabilities.length, 7, 'the next session offers all again');
});

t.test('an OPEN that is refused', async (t) => {
  const cases = [
    { open: { asn: 64513, capabilities: [] }, code: 2, subcode: 2 },
    { open: { identifier: 0 }, code: 2, subcode: 3 },
    { open: { identifier: 5 }, code: 2, subcode: 3 },
    { open: { holdTimeSeconds: 2 }, code: 2, subcode: 6 },
    { open: { version: 3 }, code: 2, subcode: 1 },
    { open: { capabilities: [{ kind: 'multiprotocol', afi: 25, safi: 70 }] }, code: 2, subcode: 7 },
  ] as const;
  for (const { open, code, subcode } of cases) {
    const { clock, peer, session, listener, host } = await scripted(t);
    const raw = await peer.connection(0);
    raw.send(rawOpen(open));
    const notification = await raw.notification();
    t.same([notification.code, notification.subcode], [code, subcode], `${session.lastError}`);
    t.same(listener.events, [], 'nothing reaches the speaker');
    t.equal(session.state, 'Idle');
    await close(host, peer, clock);
  }
});

t.test('errors of an Established session end it, each with its NOTIFICATION', async (t) => {
  const badMarker = Uint8Array.from(keepaliveMessage, (octet, index) => (index === 3 ? 0 : octet));
  const badType = Uint8Array.from(keepaliveMessage, (octet, index) => (index === 18 ? 77 : octet));
  const shortRefresh = Uint8Array.of(...new Array<number>(16).fill(0xff), 0, 21, 5, 0, 1);
  const cases = [
    { bytes: badMarker, expected: [1, 1] },
    { bytes: badType, expected: [1, 3] },
    { bytes: rawOpen(), expected: [5, 3] },
    { bytes: shortRefresh, expected: [7, 1] },
    { bytes: EMPTY_UPDATE, expected: [3, 1] },
  ];
  for (const { bytes, expected } of cases) {
    const { clock, peer, session, listener, host } = await scripted(t);
    listener.onUpdate = () => new BgpError('UPDATE: told to fail', 3, 1);
    const raw = await peer.connection(0);
    await raw.establish();
    await until(() => session.established, 'Established');
    raw.send(bytes, EMPTY_UPDATE, keepaliveMessage);
    const { code, subcode } = await raw.notification();
    t.same([code, subcode], expected);
    await until(() => raw.closed, 'closed');
    t.same(listener.events, ['established', 'down']);
    t.equal(listener.updates.length, expected[0] === 3 ? 1 : 0, 'nothing is read behind the error');
    await close(host, peer, clock);
  }
});

t.test('messages before their time are FSM errors of RFC 6608', async (t) => {
  for (const bytes of [keepaliveMessage, EMPTY_UPDATE, encodeRouteRefresh({ family: 'ipv4-unicast' })]) {
    const { clock, peer, host } = await scripted(t);
    const raw = await peer.connection(0);
    raw.send(bytes);
    t.match(await raw.notification(), { code: 5, subcode: 1 });
    await close(host, peer, clock);
  }
  for (const bytes of [rawOpen(), EMPTY_UPDATE]) {
    const { clock, peer, host } = await scripted(t);
    const raw = await peer.connection(0);
    raw.send(rawOpen());
    await until(() => raw.of(MessageType.keepalive).length > 0, 'OpenConfirm');
    raw.send(bytes);
    t.match(await raw.notification(), { code: 5, subcode: 2 });
    await close(host, peer, clock);
  }
});

t.test('ROUTE-REFRESH of families that are not agreed on is ignored', async (t) => {
  const { peer, session, listener } = await scripted(t, { families: ['ipv4-unicast'] });
  const raw = await peer.connection(0);
  await raw.establish();
  await until(() => session.established, 'Established');
  const vpn = Uint8Array.of(...new Array<number>(16).fill(0xff), 0, 23, 5, 0, 25, 0, 70);
  raw.send(encodeRouteRefresh({ family: 'ipv6-unicast' }), vpn, encodeRouteRefresh({ family: 'ipv4-unicast' }));
  await until(() => listener.events.length > 1, 'the last one');
  t.same(listener.events, ['established', 'refresh ipv4-unicast 0']);
});

t.test('a peer that stops reading: backlog is reported, drained is told, the send hold timer ends it', async (t) => {
  const { clock, peer, session, listener } = await scripted(t, { holdTimeSeconds: 0 });
  const raw = await peer.connection(0);
  await raw.establish({ holdTimeSeconds: 0 });
  await until(() => session.established, 'Established');
  const chunk = new Uint8Array(1 << 20);
  for (let at = 0; at < chunk.length; at += EMPTY_UPDATE.length) {
    if (at + EMPTY_UPDATE.length <= chunk.length) chunk.set(EMPTY_UPDATE, at);
  }
  const whole = chunk.length - (chunk.length % EMPTY_UPDATE.length);
  t.equal(session.write(EMPTY_UPDATE, 0, EMPTY_UPDATE.length), false, 'a small write is taken at once');
  t.equal(session.backlogBytes, 0);

  raw.socket.pause();
  let written = 0;
  while (!session.write(chunk, 0, whole)) written++;
  t.ok(written < 100, 'the kernel stops taking');
  t.ok(session.backlogBytes > 0, 'and the rest is the backlog');
  raw.socket.resume();
  await until(() => session.backlogBytes === 0, 'drained');
  await until(() => listener.drains === 1, 'and told once');

  raw.socket.pause();
  // The peer's kernel may take some more before it is full for good.
  do {
    session.write(chunk, 0, whole);
    await quiet(() => session.backlogBytes);
  } while (session.backlogBytes === 0);
  clock.advance(479_000);
  t.ok(session.established, 'RFC 9687: eight minutes');
  clock.advance(1500);
  await until(() => !session.established, 'the send hold timer');
  t.same(listener.downs[0]?.notification, { code: 8, subcode: 0, sent: true, hard: true });
  clock.advance(2000);
  await until(() => raw.closed || raw.socket.isPaused(), 'gone');
});

t.test('hostile bytes in each state end at most that session', async (t) => {
  const garbage = new Uint8Array(5000);
  for (let i = 0; i < garbage.length; i++) garbage[i] = (i * 2654435761) >>> 24;
  for (const prefix of [[], [rawOpen()], [rawOpen(), keepaliveMessage]]) {
    for (const headed of [false, true]) {
      const { clock, peer, session, host } = await scripted(t);
      const raw = await peer.connection(0);
      const bytes = garbage.slice();
      // A right header of each type with nonsense behind it gets further than nonsense alone.
      if (headed) bytes.set([...new Array<number>(16).fill(0xff), 0, 60, [1, 2, 5][prefix.length]!]);
      raw.send(...prefix, bytes);
      await until(() => raw.closed, 'closed');
      t.ok(raw.of(MessageType.notification).length > 0, 'with a NOTIFICATION');
      await until(() => session.state === 'Idle', 'Idle');
      clock.advance(2000);
      const again = await peer.connection(1);
      await again.establish();
      await until(() => session.established, 'and is back afterwards');
      await close(host, peer, clock);
    }
  }
});
