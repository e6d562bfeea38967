/** What peers may ask of a node: attributes, connections, refusals, and a turn for everybody. RFC 7606, RFC 4486. */
import { once } from 'node:events';
import * as net from 'node:net';
import t from 'tap';
import { RouteRefreshSubtype, encodeRouteRefresh } from 'bgp-parse';
import type { Log } from '../../src/index.js';
import { silentLog } from '../../src/index.js';
import { announce } from '../reflector/fixtures/say.js';
import { Rig, blocks, until } from '../reflector/fixtures/rig.js';

const HOP = '192.0.2.1';

t.setTimeout(300_000);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => 65_000 + (index % 500));

/** AS_PATH in segments of 255, which is what fits into one. */
function longPath(count: number): { flags: number; code: number; value: number[] } {
  const value: number[] = [];
  for (let left = count; left > 0; left -= 255) {
    const size = Math.min(255, left);
    value.push(2, size, ...numbers(size).flatMap((asn) => [0, 0, asn >> 8, asn & 255]));
  }
  return { flags: 0x50, code: 2, value };
}

function communities(code: number, width: number, count: number): { flags: number; code: number; value: number[] } {
  const value = Array.from({ length: count * width }, (_, at) => (at % width === width - 1 ? (at / width) & 255 : 1));
  // High octets apart, so that none is there twice.
  for (let index = 0; index < count; index++) value[index * width + width - 2] = index >> 8;
  return { flags: 0xd0, code, value };
}

t.test('too long a path, too many communities: withdrawn, counted, named; the session stays', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const peers = [{ address, asn: 64512, passive: true }];
  const limits = { asPathLength: 300, communities: 100 };
  const lines: string[] = [];
  const log: Log = { ...silentLog, warn: (_fields, message) => void lines.push(message) };
  const reflector = await rig.reflector({ address: rig.address(1), log, config: { peers, limits } });
  const peer = await rig.peer(reflector, { address });
  const malformed = (): number => reflector.peer(address).malformedUpdates;

  const good = { nextHop: HOP, raw: [longPath(300), communities(8, 4, 60), communities(32, 12, 40)] };
  peer.announce(['10.1.0.0/24', '10.1.1.0/24', '10.1.2.0/24'], good);
  peer.announce(['10.2.0.0/24'], { nextHop: HOP });
  await until(() => reflector.best().length === 4, 'just what is allowed');
  t.equal(malformed(), 0);

  peer.announce(['10.1.0.0/24'], { nextHop: HOP, raw: [longPath(301)] });
  await until(() => malformed() === 1, 'counted');
  t.match(lines.at(-1), /AS_PATH of 301 AS numbers, limits\.asPathLength is 300/);
  t.match(reflector.peer(address).notes.join(), /AS_PATH of 301 AS numbers, limits\.asPathLength is 300/);
  peer.announce(['10.1.1.0/24'], { nextHop: HOP, raw: [communities(8, 4, 60), communities(16, 8, 41)] });
  await until(() => malformed() === 2, 'counted');
  t.match(reflector.peer(address).notes.join(), /101 communities, limits\.communities is 100/);
  await until(() => reflector.best().length === 2, 'treated as withdrawn');
  t.same(reflector.best(), ['10.1.2.0/24', '10.2.0.0/24'], 'and nothing else');
  t.equal(reflector.peer(address).state, 'Established');

  const report = await reflector.reconfigure({ limits: { asPathLength: 301 } });
  t.same(report, ['limits: changed']);
  peer.announce(['10.1.0.0/24'], { nextHop: HOP, raw: [longPath(301)] });
  peer.announce(['10.1.1.0/24'], { nextHop: HOP, raw: [communities(8, 4, 60), communities(16, 8, 41)] });
  await until(() => reflector.best().length === 4, 'taken live');
  t.equal(reflector.peer(address).sessionsEstablished, 1);
});

t.test('half-open dynamic sessions: so many, and one for an address', async (t) => {
  const rig = new Rig(t);
  const config = { listenRanges: [{ prefix: rig.range, asn: 64512 }], limits: { pendingSessions: 2 } };
  const reflector = await rig.reflector({ address: rig.address(1), config });
  const sockets: net.Socket[] = [];
  t.teardown(() => Promise.resolve(sockets.forEach((socket) => socket.destroy())));
  /** Says nothing; resolves with what it hears first: the type of a message. */
  const mute = async (localAddress: string): Promise<number> => {
    const socket = net.connect({ host: reflector.address, port: reflector.port, localAddress });
    sockets.push(socket);
    socket.on('error', () => undefined);
    const [data] = (await once(socket, 'data')) as [Buffer];
    return data[18]!;
  };
  t.equal(await mute(rig.address(11)), 1, 'an OPEN');
  t.equal(await mute(rig.address(12)), 1, 'an OPEN');
  t.equal(await mute(rig.address(13)), 3, 'a third is told Cease');
  sockets[0]!.destroy();
  await until(() => reflector.speaker.peer(rig.address(11)) === undefined, 'one has gone');
  await rig.peer(reflector, { address: rig.address(13) });
  await rig.peer(reflector, { address: rig.address(14) });
  t.pass('who is Established takes no place');
});

t.test('dynamic peers: a newer connection takes the place of a mute one; no OPEN in time, no peer', async (t) => {
  const rig = new Rig(t);
  const lines: string[] = [];
  const log: Log = { ...silentLog, info: (_fields, message) => void lines.push(message) };
  const config = { listenRanges: [{ prefix: rig.range, asn: 64512 }] };
  const reflector = await rig.reflector({ address: rig.address(1), log, config });
  const localAddress = rig.address(11);
  const dial = (): { socket: net.Socket; types: number[] } => {
    const socket = net.connect({ host: reflector.address, port: reflector.port, localAddress });
    const types: number[] = [];
    t.teardown(() => Promise.resolve(void socket.destroy()));
    socket.on('error', () => undefined);
    // Each comes by itself: they are far apart in time.
    socket.on('data', (data: Buffer) => types.push(data[18]! === 3 ? 300 + data[19]! * 10 + data[20]! : data[18]!));
    return { socket, types };
  };
  const first = dial();
  await until(() => first.types.length === 1, 'an OPEN');
  const second = dial();
  await until(() => second.types.length === 1, 'an OPEN for the second one, too');
  await until(() => first.socket.closed, 'the first one is closed');
  t.same(first.types, [1, 367], 'OPEN, Cease/Connection Collision Resolution');
  t.same(second.types, [1]);
  const third = await rig.peer(reflector, { address: localAddress });
  await until(() => second.socket.closed, 'the second one is closed');
  t.same(second.types, [1, 367]);
  t.equal(reflector.peer(localAddress).state, 'Established');
  t.equal(reflector.speaker.peers().length, 1);
  await third.close();
  await until(() => reflector.speaker.peers().length === 0, 'it has gone');

  await reflector.reconfigure({ limits: { openTime: 1 } });
  const mute = dial();
  await until(() => mute.socket.closed, 'ended for want of an OPEN');
  t.same(mute.types, [1, 340], 'OPEN, Hold Timer Expired');
  await until(() => reflector.speaker.peers().length === 0, 'nothing is left of it');
});

t.test('a flood of strangers gets few answers, and peers do not suffer', async (t) => {
  const rig = new Rig(t);
  const peers = [{ address: rig.address(2), asn: 64512, passive: true }];
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers } });
  let answered = 0;
  let closed = 0;
  const COUNT = 400;
  for (let number = 0; number < COUNT; number++) {
    const socket = net.connect({ host: reflector.address, port: reflector.port, localAddress: rig.address(9) });
    socket.on('error', () => undefined);
    socket.once('data', () => answered++);
    socket.once('close', () => closed++);
  }
  await rig.peer(reflector, { address: rig.address(2) });
  await until(() => closed === COUNT, 'all are closed');
  t.ok(answered > 0, 'some are told why');
  t.comment(`${answered} of ${COUNT} were told`);
});

t.test('a flood of ROUTE-REFRESH: one table for all that come while it is said', async (t) => {
  const rig = new Rig(t);
  const addresses = [rig.address(2), rig.address(3)] as const;
  const peers = addresses.map((address) => ({ address, asn: 64512, passive: true, routeReflectorClient: true }));
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers } });
  const source = await rig.peer(reflector, { address: addresses[0] });
  const prefixes = blocks(10, 20_000);
  source.announce(prefixes, { nextHop: HOP });
  await until(() => reflector.speaker.summary().families[0]!.best === prefixes.length, 'the table');
  const asks = await rig.peer(reflector, {
    address: addresses[1],
    capabilities: [
      { kind: 'multiprotocol', afi: 1, safi: 1 },
      { kind: 'routeRefresh' },
      { kind: 'enhancedRouteRefresh' },
      { kind: 'fourOctetAs', asn: 64512 },
    ],
  });
  await asks.until((heard) => heard.routes.size === prefixes.length, 'the first table');
  const before = reflector.peer(addresses[1]);
  const COUNT = 10_000;
  for (const subtype of [RouteRefreshSubtype.request, RouteRefreshSubtype.beginOfRefresh]) {
    const one = encodeRouteRefresh({ family: 'ipv4-unicast', subtype });
    asks.say(Buffer.concat(Array.from({ length: COUNT }, () => one)));
  }
  await until(() => reflector.peer(addresses[1]).messagesIn >= before.messagesIn + 2 * COUNT, 'all are read');
  source.announce(['10.250.0.0/24'], { nextHop: HOP });
  await asks.until((heard) => heard.routes.has('10.250.0.0/24'), 'what is said after it');
  const sent = reflector.peer(addresses[1]).messagesOut - before.messagesOut;
  t.ok(sent < COUNT, `${sent} messages were the answer to ${COUNT} requests`);
  const { updatesOut } = reflector.peer(addresses[1]);
  asks.say(encodeRouteRefresh({ family: 'ipv4-unicast', subtype: RouteRefreshSubtype.request }));
  await until(() => reflector.peer(addresses[1]).updatesOut >= updatesOut + 10, 'and it may ask again');
  t.match(reflector.peer(addresses[1]), { state: 'Established', sessionsEstablished: 1 });
});

t.test('one peer that floods does not starve the others', async (t) => {
  const rig = new Rig(t);
  const [flooder, quiet, listener] = [rig.address(2), rig.address(3), rig.address(4)];
  const peers = [flooder, quiet, listener].map((address) => {
    return { address, asn: 64512, passive: true, routeReflectorClient: true, holdTime: 6 };
  });
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers } });
  const flood = await rig.peer(reflector, { address: flooder });
  const still = await rig.peer(reflector, { address: quiet, holdTimeSeconds: 6 });
  const hears = await rig.peer(reflector, { address: listener, holdTimeSeconds: 6 });

  // Always several MB ahead of what the reflector has read.
  const prefixes = blocks(100, 2000);
  const rounds = [1, 2, 3, 4].map((med) => announce(prefixes, { nextHop: HOP, med }));
  const portion = Buffer.concat(Array.from({ length: 100 }, (_, index) => rounds[index % rounds.length]!));
  const messages = 100 * 4;
  let [sent, flooding] = [0, true];
  const read = (): number => reflector.peer(flooder).updatesIn;
  const work = (async () => {
    while (flooding) {
      flood.say(portion);
      sent += messages;
      await until(() => !flooding || read() > sent - messages / 2, 'the flood to be read');
    }
  })();
  await until(() => read() > messages, 'the flood to be there');
  for (let round = 0; round < 5; round++) {
    const before = read();
    still.announce([`10.1.${round}.0/24`], { nextHop: HOP });
    await hears.until((heard) => heard.routes.has(`10.1.${round}.0/24`), 'what the quiet peer says');
    await until(() => read() > before, 'and the flood goes on');
  }
  t.ok(sent - read() > 0, 'there was always more to read');
  flooding = false;
  await work;
  for (const address of [quiet, listener]) t.equal(reflector.peer(address).sessionsEstablished, 1, 'nobody was lost');
  t.equal(reflector.peer(quiet).state, 'Established');
});

t.test('messageRate: what is too fast waits in the peer, nobody else does, and no session ends', async (t) => {
  const rig = new Rig(t);
  const [hasty, calm] = [rig.address(2), rig.address(3)];
  const peers = [hasty, calm].map((address) => ({ address, asn: 64512, passive: true, holdTime: 3 }));
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers, limits: { messageRate: 100 } } });
  const first = await rig.peer(reflector, { address: hasty, holdTimeSeconds: 3 });
  const second = await rig.peer(reflector, { address: calm, holdTimeSeconds: 3 });
  const waited = (): number => Number(/has waited (\d+) times/.exec(reflector.peer(hasty).notes.join())?.[1] ?? 0);
  // One message each: five seconds' worth, longer than the hold time.
  const COUNT = 500;
  const updates = blocks(10, COUNT).map((prefix) => announce([prefix], { nextHop: HOP }));
  first.say(...updates);
  await until(() => reflector.best().length > 0, 'the first of them');
  await until(() => waited() > 0, 'reading waits');
  t.match(reflector.peer(hasty).notes.join(), /limits\.messageRate/, 'and says why');
  first.announce(['10.254.0.0/24'], { nextHop: HOP });
  second.announce(['10.255.0.0/24'], { nextHop: HOP });
  await until(() => reflector.best().includes('10.255.0.0/24'), 'the other peer is heard');
  t.notOk(reflector.best().includes('10.254.0.0/24'), 'the first one waits');
  await until(() => reflector.best().length === COUNT + 2, 'nothing is lost');
  for (const address of [hasty, calm])
    t.match(reflector.peer(address), { state: 'Established', sessionsEstablished: 1 });
  t.notMatch(reflector.peer(calm).notes.join(), /messageRate/);

  // What has gathered in the meantime, KEEPALIVEs as well, may have been worth a wait of its own.
  const before = waited();
  first.say(...updates);
  await until(() => waited() > before, 'it waits again');
  reflector.speaker.command(hasty, 'disable');
  await until(() => first.heard.count('notification 6/2') === 1, 'told why, though nobody reads what it says');
  reflector.speaker.command(hasty, 'enable');
  t.same(await reflector.reconfigure({ limits: {} }), ['limits: changed']);
  const atLast = waited();
  const again = await rig.peer(reflector, { address: hasty });
  again.say(...updates);
  again.announce(['10.254.0.0/24'], { nextHop: HOP });
  await until(() => reflector.best().includes('10.254.0.0/24'), 'as many as come');
  t.equal(waited(), atLast, 'it has waited no further time');
});
