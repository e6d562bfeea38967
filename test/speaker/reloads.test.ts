/** Reloads and commands of the operator, on peers that are there in one way and are to be there in another. */
import t from 'tap';
import { encodeOpen, keepaliveMessage, parseIpv4Number } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { RawPeer } from '../fixtures/raw-peer.js';
import { Rig, until } from '../reflector/fixtures/rig.js';

const HOP = '192.0.2.1';

t.test('passive: false by a reload: the node begins to dial', async (t) => {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const address = rig.address(2);
  const raw = await RawPeer.listen(address);
  t.teardown(() => raw.close());
  const peers = (passive: boolean) => ({ peers: [{ address, asn: 64512, port: raw.port, passive }] });
  const node = await rig.reflector({ address: rig.address(1), clock, config: peers(true) });
  clock.advance(120_000);
  t.equal(raw.connections.length, 0, 'passive');
  t.equal(node.peer(address).state, 'Active');
  await node.reconfigure(peers(false));
  await raw.connection(0);

  // And the other way: what was to be dialled again is not.
  await node.reconfigure(peers(true));
  for (const connection of raw.connections) connection.socket.destroy();
  await until(() => node.peer(address).state === 'Active', 'lost');
  clock.advance(120_000);
  t.equal(raw.connections.length, 1, 'passive again');
});

t.test('bgpctl peer A disable holds over reloads, whatever they change', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const peers = (more: object) => ({ peers: [{ address, asn: 64512, passive: true, ...more }] });
  const node = await rig.reflector({ address: rig.address(1), config: peers({}) });
  const peer = await rig.peer(node, { address });
  t.equal(node.speaker.command(address, 'disable', { text: 'cable' }), undefined);
  await until(() => peer.closed, 'the end');
  const stays = async (config: object, what: string): Promise<void> => {
    await node.reconfigure({ ...config });
    t.match(node.peer(address).notes.join(), /disabled with bgpctl/, what);
    const early = await rig.dial(node, { address });
    await until(() => early.closed, 'refused');
    t.equal(node.peer(address).state, 'Idle', what);
  };
  await stays(peers({ description: 'other' }), 'a live change');
  await stays(peers({ holdTime: 30 }), 'a change that needs a new session');
  await stays({ ...peers({ holdTime: 30 }), clusterId: '10.9.9.9' }, 'a change of all sessions');
  await stays({ ...peers({ shutdown: true }), clusterId: '10.9.9.9' }, 'shutdown, and back');
  await stays({ ...peers({}), clusterId: '10.9.9.9' }, 'shutdown, and back');
  t.equal(node.speaker.command(address, 'enable'), undefined);
  await rig.peer(node, { address });
});

t.test('bgpctl peer A disable of a dynamic peer: it stays away until it is enabled', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const config = (more: object) => ({ listenRanges: [{ prefix: rig.range, asn: 64512, ...more }] });
  const node = await rig.reflector({ address: rig.address(1), config: config({}) });
  const peer = await rig.peer(node, { address });
  peer.announce(['10.1.0.0/24'], { nextHop: HOP });
  await until(() => node.best().length === 1, 'a route');
  t.equal(node.speaker.command(address, 'disable', { text: 'leaks' }), undefined);
  await until(() => peer.closed, 'the end');
  await until(() => node.best().length === 0, 'no route');
  for (const change of [{}, { description: 'live' }, { holdTime: 30 }]) {
    await node.reconfigure(config(change));
    const early = await rig.dial(node, { address });
    await until(() => early.closed, 'refused');
    t.match(node.peer(address).notes.join(), /disabled with bgpctl/);
    t.equal(node.peer(address).state, 'Idle');
  }
  t.equal(node.speaker.command(address, 'enable'), undefined);
  t.equal(node.speaker.peer(address), undefined, 'nobody is waited for');
  await rig.peer(node, { address });
});

t.test('shutdown of a range: who is there is sent away, nobody comes in until it ends', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const config = (more: object) => ({ listenRanges: [{ prefix: rig.range, asn: 64512, ...more }] });
  const node = await rig.reflector({ address: rig.address(1), config: config({}) });
  const peer = await rig.peer(node, { address });
  await node.reconfigure(config({ shutdown: true }));
  await until(() => peer.closed, 'the end');
  t.match(peer.heard.notifications.join(), /^0602/, 'Administrative Shutdown');
  const early = await rig.dial(node, { address });
  await until(() => early.closed, 'refused');
  t.equal(early.heard.notifications.join(), '0605', 'Connection Rejected');
  t.equal(node.speaker.peer(address), undefined);
  await node.reconfigure(config({}));
  await rig.peer(node, { address });
});

t.test(
  'a live change while the stale paths of a dynamic peer are waited for: it is forgotten all the same',
  async (t) => {
    const rig = new Rig(t);
    const clock = new FakeClock();
    const address = rig.address(2);
    const config = (description: string) => ({ listenRanges: [{ prefix: rig.range, asn: 64512, description }] });
    const node = await rig.reflector({ address: rig.address(1), clock, config: config('one') });
    const family = { afi: 1, safi: 1, forwardingPreserved: true };
    const peer = await rig.peer(node, {
      address,
      capabilities: [
        { kind: 'fourOctetAs', asn: 64512 },
        { kind: 'gracefulRestart', restarting: false, notification: true, restartTimeSeconds: 60, families: [family] },
      ],
    });
    peer.announce(['10.1.0.0/24'], { nextHop: HOP });
    await until(() => node.best().length === 1, 'a route');
    await peer.close();
    await until(() => node.peer(address).state !== 'Established', 'lost');
    await node.reconfigure(config('two'));
    t.equal(node.peer(address).description, 'two');
    clock.advance(60_000);
    await until(() => node.best().length === 0, 'the restart time is over');
    t.equal(node.speaker.peer(address), undefined, 'nobody waits for it');
  },
);

t.test('a range of one address comes and goes within another: its settings hold at once', async (t) => {
  const rig = new Rig(t);
  const [one, two] = [rig.address(2), rig.address(3)];
  const wide = { prefix: rig.range, asn: 'external', import: 'accept', export: 'accept' };
  const narrow = { prefix: `${one}/32`, asn: 'external', import: 'reject', export: 'reject', description: 'narrow' };
  const node = await rig.reflector({ address: rig.address(1), config: { listenRanges: [wide] } });
  const peers = [
    await rig.peer(node, { address: one, asn: 65001 }),
    await rig.peer(node, { address: two, asn: 65002 }),
  ];
  peers[0]!.announce(['10.1.0.0/24'], { nextHop: HOP, asPath: [65001] });
  peers[1]!.announce(['10.2.0.0/24'], { nextHop: HOP, asPath: [65002] });
  await peers[1]!.until((heard) => heard.routes.has('10.1.0.0/24'), 'from one to the other');
  await peers[0]!.until((heard) => heard.routes.has('10.2.0.0/24'), 'and back');
  const report = await node.reconfigure({ listenRanges: [wide, narrow] });
  t.match(report.join('\n'), new RegExp(`peer ${one}: changed .*import`));
  await peers[1]!.until((heard) => !heard.routes.has('10.1.0.0/24'), 'import: reject');
  await peers[0]!.until((heard) => !heard.routes.has('10.2.0.0/24'), 'export: reject');
  t.equal(node.peer(one).description, 'narrow');
  t.equal(node.peer(two).description, null);
  await node.reconfigure({ listenRanges: [wide] });
  await peers[1]!.until((heard) => heard.routes.has('10.1.0.0/24'), 'as before');
  t.notOk(
    peers.some(({ closed }) => closed),
    'no session was closed for that',
  );
  // What needs a new session gets one.
  await node.reconfigure({ listenRanges: [wide, { ...narrow, holdTime: 30 }] });
  await until(() => peers[0]!.closed, 'the end of one');
  t.notOk(peers[1]!.closed);
});

t.test('a peer that gets into another group by another range: policies of others know', async (t) => {
  const rig = new Rig(t);
  const [one, two] = [rig.address(2), rig.address(3)];
  const config = (narrow: boolean) => ({
    groups: { old: { asn: 64512, routeReflectorClient: true }, new: { asn: 64512, routeReflectorClient: true } },
    policies: { old: { statements: [{ match: { fromGroup: 'old' }, then: 'accept' }] } },
    peers: [{ address: two, asn: 64512, passive: true, export: 'old' }],
    listenRanges: [{ prefix: rig.range, group: 'old' }, ...(narrow ? [{ prefix: `${one}/32`, group: 'new' }] : [])],
  });
  const node = await rig.reflector({ address: rig.address(1), config: config(false) });
  const [talker, listener] = [await rig.peer(node, { address: one }), await rig.peer(node, { address: two })];
  talker.announce(['10.1.0.0/24'], { nextHop: HOP });
  await listener.until((heard) => heard.routes.size === 1, 'a route of the group');
  await node.reconfigure(config(true));
  t.equal(node.peer(one).group, 'new');
  await listener.until((heard) => heard.routes.size === 0, 'not of the group any more');
  await node.reconfigure(config(false));
  await listener.until((heard) => heard.routes.size === 1, 'of the group again');
  t.notOk(talker.closed);
});

t.test('a peer that is back before its change is through becomes no other one', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const raw = await RawPeer.listen(address);
  t.teardown(() => raw.close());
  const listenRanges = [{ prefix: rig.range, asn: 64512, description: 'by range' }];
  const named = (holdTime: number) => ({ address, asn: 64512, passive: true, holdTime, description: 'by name' });
  const identifier = parseIpv4Number(address)!;
  for (const [before, after] of [
    [[named(90)], [named(60)]],
    [[], [named(60)]],
  ]) {
    // On this clock nothing but its peer ends the old connection.
    const config = { listenRanges, peers: before };
    const node = await rig.reflector({ address: rig.address(1), clock: new FakeClock(), config });
    const old = await raw.dial(node.address, node.port, address);
    await old.establish({ identifier });
    await until(() => node.speaker.peer(address)?.state === 'Established', 'Established');
    // It reads nothing and leaves the connection open, so the change waits for it, and dials again meanwhile.
    old.socket.pause();
    const change = node.reconfigure({ peers: after });
    await until(() => node.speaker.peer(address)?.state !== 'Established', 'the end');
    const early = await raw.dial(node.address, node.port, address);
    await until(() => early.closed, 'refused');
    old.socket.destroy();
    await change;
    const again = await raw.dial(node.address, node.port, address);
    await again.establish({ identifier });
    await until(() => node.speaker.peer(address)?.state === 'Established', 'Established again');
    t.equal(node.peer(address).description, 'by name');
    t.equal(node.peer(address).holdTimeSeconds, 60);
    await node.speaker.stop();
  }
});

t.test('a configured peer becomes one of a range, and is configured again', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const configured = { peers: [{ address, asn: 64512, passive: true, description: 'by name' }], listenRanges: [] };
  const ranged = { peers: [], listenRanges: [{ prefix: rig.range, asn: 64512, description: 'by range' }] };
  const node = await rig.reflector({ address: rig.address(1), config: configured });
  for (const [config, description] of [
    [ranged, 'by range'],
    [configured, 'by name'],
  ] as const) {
    const peer = await rig.peer(node, { address });
    peer.announce(['10.1.0.0/24'], { nextHop: HOP });
    await until(() => node.best().length === 1, 'a route');
    await node.reconfigure(config);
    await until(() => peer.closed && node.best().length === 0, 'the old one goes with its routes');
    await rig.peer(node, { address }).then((again) => again.close());
    await until(() => node.speaker.peer(address)?.state !== 'Established', 'gone');
    const again = await rig.peer(node, { address });
    t.equal(node.peer(address).description, description);
    await again.close();
    await until(() => node.speaker.peer(address)?.state !== 'Established', 'gone');
  }
});

t.test('hold time 0: an OPEN without the KEEPALIVE after it does not last for ever', async (t) => {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const address = rig.address(2);
  const config = { listenRanges: [{ prefix: rig.range, asn: 64512 }], limits: { openTime: 20, pendingSessions: 1 } };
  const node = await rig.reflector({ address: rig.address(1), clock, config });
  const raw = await RawPeer.listen(address);
  t.teardown(() => raw.close());
  const connection = await raw.dial(node.address, node.port, address);
  const open = (holdTimeSeconds: number) =>
    encodeOpen({
      ...{ version: 4, asn: 64512, holdTimeSeconds, identifier: parseIpv4Number(address)! },
      capabilities: [{ kind: 'fourOctetAs', asn: 64512 }],
    });
  connection.send(open(0));
  await until(() => node.speaker.peer(address)?.state === 'OpenConfirm', 'OpenConfirm');
  clock.advance(19_000);
  t.equal(node.speaker.peer(address)?.state, 'OpenConfirm');
  clock.advance(2_000);
  const { code } = await connection.notification();
  t.equal(code, 4, 'Hold Timer Expired');
  await until(() => node.speaker.peer(address) === undefined, 'the place is free');
  const next = await raw.dial(node.address, node.port, address);
  next.send(open(0), keepaliveMessage);
  await until(() => node.speaker.peer(address)?.state === 'Established', 'another');
  clock.advance(3_600_000);
  t.equal(node.peer(address).state, 'Established', 'without a hold time it lasts');
});

t.test('a dynamic peer that is just coming back is not sent away because its restart time is over', async (t) => {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const address = rig.address(2);
  const config = { listenRanges: [{ prefix: rig.range, asn: 64512 }] };
  const node = await rig.reflector({ address: rig.address(1), clock, config });
  const family = { afi: 1, safi: 1, forwardingPreserved: true };
  const capabilities = [
    { kind: 'fourOctetAs', asn: 64512 },
    { kind: 'gracefulRestart', restarting: false, notification: true, restartTimeSeconds: 60, families: [family] },
  ] as const;
  const peer = await rig.peer(node, { address, capabilities });
  peer.announce(['10.1.0.0/24'], { nextHop: HOP });
  await until(() => node.best().length === 1, 'a route');
  await peer.close();
  await until(() => node.peer(address).state !== 'Established', 'lost');
  clock.advance(59_000);
  const raw = await RawPeer.listen(address);
  t.teardown(() => raw.close());
  const connection = await raw.dial(node.address, node.port, address);
  await connection.open();
  clock.advance(1_000);
  await until(() => node.best().length === 0, 'the restart time is over');
  const identifier = parseIpv4Number(address)!;
  await connection.establish({ identifier, holdTimeSeconds: 0, capabilities });
  await until(() => node.speaker.peer(address)?.state === 'Established', 'Established on that connection');
  t.equal(raw.connections.length, 1);
});
