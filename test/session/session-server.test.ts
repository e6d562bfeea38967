/** Listeners, strangers, listen ranges, restarts, and the TCP options on real sockets. */
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import t from 'tap';
import { MessageType, encodeNotification, parseAddress } from 'bgp-parse';
import type { PeerSession } from '../../src/session/peer-session.js';
import { SessionServer } from '../../src/session/session-server.js';
import { systemClock } from '../../src/support/clock.js';
import { silentLog } from '../../src/support/log.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { RawPeer, rawOpen } from '../fixtures/raw-peer.js';
import { openHost, until } from '../fixtures/session-rig.js';
import type { Host } from '../fixtures/session-rig.js';

t.test('listeners: both families side by side, errors that name address and port', async (t) => {
  const deps = { clock: systemClock, log: silentLog };
  const server = new SessionServer({ listen: ['0.0.0.0', '::'], port: 0 }, deps);
  await server.start();
  t.teardown(() => server.stop());
  const [first, second] = server.listening;
  t.equal(first?.address, '0.0.0.0');
  t.equal(second?.address, '::');
  t.equal(first?.port, second?.port);

  const taken = new SessionServer({ listen: ['127.0.74.1'], port: first!.port }, deps);
  await t.rejects(taken.start(), {
    message: new RegExp(`cannot listen on 127\\.0\\.74\\.1:${first!.port}: another program`),
  });
  const foreign = new SessionServer({ listen: ['192.0.2.77'], port: 0 }, deps);
  await t.rejects(foreign.start(), { message: /cannot listen on 192\.0\.2\.77:0: not an address of this host/ });
  t.same(foreign.listening, [], 'nothing is left open');
});

t.test('strangers are told Cease/Connection Rejected', async (t) => {
  const host = await openHost('127.0.74.2');
  const peer = await RawPeer.listen('127.0.74.3');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  const raw = await peer.dial(host.address, host.port, '127.0.74.3');
  t.match(await raw.notification(), { code: 6, subcode: 5 });
  await until(() => raw.closed, 'closed');
  t.equal(host.server.refused.unknown, 1);
});

t.test('a stopped peer is refused, a second session of one address is a mistake', async (t) => {
  const host = await openHost('127.0.74.4');
  const peer = await RawPeer.listen('127.0.74.5');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  const { session } = host.session('127.0.74.5', { passive: true });
  const { session: twin } = host.session('127.0.74.5', { passive: true });
  session.start();
  t.throws(() => twin.start(), /peer 127\.0\.74\.5 has a session already/);
  await session.stop();
  const raw = await peer.dial(host.address, host.port, '127.0.74.5');
  await until(() => raw.closed, 'closed');
  t.same(raw.messages, []);
  t.equal(host.server.refused.unknown, 0, 'known, so no stranger');
});

t.test('listen ranges: sessions come and go with their connections', async (t) => {
  const ended: PeerSession[] = [];
  const heard: string[][] = [];
  const host: Host = await openHost('127.0.74.6', {
    onUnknown: (address) => {
      if (address[2] !== 75) return undefined;
      const remote = address.join('.');
      const { session, listener } = host.session(remote, {
        dynamic: true,
        routerId: 4,
        ended: (one) => ended.push(one),
      });
      heard.push(listener.events);
      return session;
    },
  });
  const peer = await RawPeer.listen('127.0.75.1');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  for (let round = 0; round < 2; round++) {
    const raw = await peer.dial(host.address, host.port, '127.0.75.1');
    await raw.establish();
    await until(() => host.sessions[round]?.established === true, 'Established');
    t.equal(host.server.session('127.0.75.1'), host.sessions[round]);
    raw.send(encodeNotification({ code: 6, subcode: 2, data: new Uint8Array(0) }));
    await until(() => ended.length === round + 1, 'ended');
    t.same(heard[round], ['established', 'down']);
    t.equal(ended[round], host.sessions[round]);
    t.equal(host.server.session('127.0.75.1'), undefined, 'forgotten');
  }
  // One that never says OPEN leaves nothing behind either.
  const mute = await peer.dial(host.address, host.port, '127.0.75.9');
  await mute.open();
  mute.socket.destroy();
  await until(() => ended.length === 3, 'ended');
  const stranger = await peer.dial(host.address, host.port, '127.0.76.1');
  t.match(await stranger.notification(), { code: 6, subcode: 5 });
});

t.test('listen ranges: an ended session may be given back for the next connection', async (t) => {
  let only: ReturnType<Host['session']> | undefined;
  let ends = 0;
  const host: Host = await openHost('127.0.74.21', {
    onUnknown: (address) => {
      only ??= host.session(address.join('.'), { dynamic: true, routerId: 4, ended: () => ends++ });
      return only.session;
    },
  });
  const peer = await RawPeer.listen('127.0.75.2');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  for (let round = 1; round <= 3; round++) {
    const raw = await peer.dial(host.address, host.port, '127.0.75.2');
    await raw.establish();
    await until(() => only?.session.established === true, 'Established');
    raw.socket.destroy();
    await until(() => ends === round, 'ended');
    t.ok(only!.session.stopped, 'until it is started again');
  }
  t.same(only!.listener.events, ['established', 'down', 'established', 'down', 'established', 'down']);
});

t.test('a peer that starts again is back within 3 s, whoever dials', async (t) => {
  for (const passive of ['neither', 'returning', 'staying'] as const) {
    const clock = new FakeClock();
    const a = await openHost('127.0.74.7', { clock });
    let b = await openHost('127.0.74.8', { clock });
    const staying = a.session(b.address, { routerId: 1, port: b.port, passive: passive === 'staying' });
    staying.session.start();
    const start = (): void =>
      b.session(a.address, { routerId: 2, port: a.port, passive: passive === 'returning' }).session.start();
    start();
    const bothUp = (): boolean => staying.session.established && b.sessions[0]!.established;
    await until(bothUp, 'Established', () => clock.advance(10));
    clock.advance(5000);
    const { port } = b;
    await b.close();
    await until(() => !staying.session.established, 'down');
    // Its time without the peer: refused attempts back off.
    for (let ms = 0; ms < 1500; ms += 50) {
      clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    b = await openHost('127.0.74.8', { clock, port });
    start();
    const sinceMs = clock.nowMs();
    await until(bothUp, `Established again (${passive} is passive)`, () => clock.advance(20));
    t.ok(clock.nowMs() - sinceMs <= 3000, `${passive} passive: ${clock.nowMs() - sinceMs} ms`);
    await Promise.all([a.close(), b.close()]);
  }
});

t.test('RFC 4724 §5: a restarted peer replaces its Established session', async (t) => {
  const clock = new FakeClock();
  const host = await openHost('127.0.74.9', { clock });
  const peer = await RawPeer.listen('127.0.74.10');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  const gracefulRestart = { restartTimeSeconds: 120 };
  const { session, listener } = host.session('127.0.74.10', { passive: true, routerId: 5, gracefulRestart });
  session.start();
  const families = [{ afi: 1, safi: 1, forwardingPreserved: true }];
  const capability = {
    kind: 'gracefulRestart',
    restarting: true,
    notification: false,
    restartTimeSeconds: 9,
    families,
  };
  const open = { capabilities: [capability, { kind: 'multiprotocol', afi: 1, safi: 1 }] } as Parameters<
    typeof rawOpen
  >[0];
  const old = await peer.dial(host.address, host.port, '127.0.74.10');
  await old.establish(open);
  await until(() => session.established, 'Established');
  clock.advance(10_000);
  const fresh = await peer.dial(host.address, host.port, '127.0.74.10');
  await fresh.open();
  t.same(listener.events, ['established'], 'a connection alone is nothing');
  await fresh.establish(open);
  await until(() => listener.events.length === 3, 'replaced');
  t.same(listener.events, ['established', 'down', 'established']);
  t.same(listener.downs[0], { from: 'Established', text: 'the peer has restarted', notification: undefined });
  await until(() => old.closed, 'the old one is closed');
  t.equal(old.of(MessageType.notification).length, 0);

  // Without graceful restart on the session the Established connection stays.
  fresh.send(encodeNotification({ code: 6, subcode: 4, data: new Uint8Array(0) }));
  await until(() => !session.established, 'down');
  const plain = await peer.dial(host.address, host.port, '127.0.74.10');
  await plain.establish();
  await until(() => session.established, 'Established');
  const late = await peer.dial(host.address, host.port, '127.0.74.10');
  await until(() => late.closed, 'refused');
  t.ok(session.established);
});

const root = process.getuid?.() === 0;
const skip = root || process.env['TORTIE_NO_SKIP'] === '1' ? false : 'not root';

t.test('TCP MD5: right keys meet, wrong keys never', { skip }, async (t) => {
  const a = await openHost('127.0.74.11');
  const b = await openHost('127.0.74.12');
  const c = await openHost('127.0.74.13');
  t.teardown(() => Promise.all([a.close(), b.close(), c.close()]));
  const left = a.session(b.address, { routerId: 1, port: b.port, password: 'miaow' });
  const right = b.session(a.address, { routerId: 2, port: a.port, password: 'miaow' });
  const toWrong = a.session(c.address, { routerId: 1, port: c.port, password: 'right' });
  const wrong = c.session(a.address, { routerId: 3, port: a.port, password: 'wrong' });
  for (const { session } of [left, right, toWrong, wrong]) session.start();
  await until(() => left.session.established && right.session.established, 'Established with the key');
  t.equal(toWrong.session.state, 'Connect', 'the kernel drops what has the wrong key');
  t.equal(wrong.session.state, 'Connect');
  const { localPort, peerPort } = left.listener.negotiated!;
  const sockets = execFileSync('ss', ['-tnoieH', 'sport', `= :${localPort}`, 'and', 'dport', `= :${peerPort}`], {
    encoding: 'utf8',
  });
  t.match(sockets, /md5keys:127\.0\.74\.12/, 'it is on the wire');
});

t.test('the key of a range of one address outlives the peer of that address', { skip }, async (t) => {
  const host = await openHost('127.0.74.30');
  const right = await openHost('127.0.74.31', { listen: false });
  t.teardown(() => Promise.all([host.close(), right.close()]));
  const range = parseAddress('127.0.74.31')!;
  host.server.setRangePassword(range, 32, 'of-the-range');
  const { session } = host.session('127.0.74.31', { passive: true, password: 'of-the-range' });
  session.start();
  await session.dispose();
  t.equal(host.server.session('127.0.74.31'), undefined, 'it has gone');
  // Without the key a stranger would be told Cease; with it, the kernel does not answer at all.
  const socket = connect({ host: host.address, port: host.port, localAddress: '127.0.74.31' });
  t.teardown(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.ok(socket.connecting, 'unsigned: no answer');
  host.server.setRangePassword(range, 32, undefined);
  await until(() => !socket.connecting, 'without the range, an answer');
});

t.test('a password that the listener cannot take shuts the door', async (t) => {
  const host = await openHost('127.0.74.19');
  const peer = await RawPeer.listen('127.0.74.20');
  t.teardown(() => Promise.all([host.close(), peer.close()]));
  const { session } = host.session('127.0.74.20', { passive: true, password: 'x'.repeat(81) });
  session.start();
  const raw = await peer.dial(host.address, host.port, '127.0.74.20');
  t.match(await raw.notification(), { code: 6, subcode: 5 });
  t.equal(session.state, 'Active');
});

t.test('GTSM and TTL: both ends at 255 meet', { skip }, async (t) => {
  const a = await openHost('127.0.74.14');
  const b = await openHost('127.0.74.15');
  t.teardown(() => Promise.all([a.close(), b.close()]));
  const external = { ttlSecurityHops: 1 } as const;
  const left = a.session(b.address, { ...external, routerId: 1, localAsn: 1, asn: 2, port: b.port });
  const right = b.session(a.address, { ...external, routerId: 2, localAsn: 2, asn: 1, port: a.port });
  left.session.start();
  right.session.start();
  await until(() => left.session.established && right.session.established, 'Established');

  // One end without it sends TTL 64: its OPEN is dropped by the other's kernel.
  const c = await openHost('127.0.74.16');
  t.teardown(() => c.close());
  const guarded = a.session(c.address, { ...external, routerId: 1, localAsn: 1, asn: 3, passive: true });
  const plain = c.session(a.address, { routerId: 3, localAsn: 3, asn: 1, multihop: 64, port: a.port });
  guarded.session.start();
  plain.session.start();
  await until(() => plain.session.state !== 'Idle' && plain.session.state !== 'Active', 'dialled');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.notOk(guarded.session.established);
  t.notOk(plain.session.established);
});

t.test('socket options that fail say which, and the session goes on trying', async (t) => {
  const clock = new FakeClock();
  const host = await openHost('127.0.74.17', { clock });
  t.teardown(() => host.close());
  const { session } = host.session('127.0.74.18', {
    interface: 'nosuchif0',
    password: 'secret',
    localAddress: undefined,
  });
  session.start();
  await until(() => session.state === 'Active', 'Active');
  t.match(session.lastError, /^interface: .*ENODEV/);
  t.notMatch(session.lastError, /secret/);
});
