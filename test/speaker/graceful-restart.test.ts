/** Graceful restart over NOTIFICATIONs (RFC 8538): what keeps the peer's routes, what ends them, what we say. */
import t from 'tap';
import { encodeNotification, shutdownData } from 'bgp-parse';
import type { Capability } from 'bgp-parse';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { ScriptedPeer } from '../reflector/fixtures/rig.js';
import { endOfRib } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';
const PREFIX = '10.1.0.0/24';
const NO_DATA = new Uint8Array(0);

function capabilities(notification: boolean, restarting = false): Capability[] {
  const families = [1, 2].map((afi) => ({ afi, safi: 1, forwardingPreserved: true }));
  return [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'multiprotocol', afi: 2, safi: 1 },
    { kind: 'fourOctetAs', asn: 64512 },
    { kind: 'gracefulRestart', restarting, notification, restartTimeSeconds: 60, families },
  ];
}

/** A peer with one route, Established. */
async function scene(t: Test, notification: boolean) {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const address = rig.address(2);
  const peers = [{ address, asn: 64512, passive: true }];
  const reflector = await rig.reflector({ address: rig.address(1), clock, config: { peers } });
  const connect = async (restarting = false, endOfRib = true): Promise<ScriptedPeer> => {
    const options = { address, capabilities: capabilities(notification, restarting), holdTimeSeconds: 9, endOfRib };
    return rig.peer(reflector, options);
  };
  const peer = await connect();
  peer.announce([PREFIX], { nextHop: HOP });
  await until(() => reflector.best().length === 1, 'the route');
  const down = (): Promise<void> => until(() => reflector.peer(address).state !== 'Established', 'the end');
  const stale = (): boolean[] => [...reflector.speaker.routes({ best: true })!].map((route) => route.stale);
  return { clock, address, reflector, peer, connect, down, stale };
}

t.test('a NOTIFICATION of the peer: kept between speakers with the N bit, until the restart time', async (t) => {
  const { clock, reflector, address, peer, down, stale } = await scene(t, true);
  peer.say(encodeNotification({ code: 6, subcode: 4, data: shutdownData('back in a minute') }));
  await down();
  t.match(reflector.peer(address).lastError, /Administrative Reset: back in a minute/);
  t.same(stale(), [true], 'kept as stale');
  clock.advance(59_000);
  t.same(stale(), [true]);
  clock.advance(1_000);
  await until(() => stale().length === 0, 'the end of the restart time');
});

t.test('it comes back: what it says again stays, End-of-RIB ends the rest', async (t) => {
  const { peer, connect, down, stale } = await scene(t, true);
  peer.announce(['10.2.0.0/24'], { nextHop: HOP });
  await until(() => stale().length === 2, 'two routes');
  peer.say(encodeNotification({ code: 4, subcode: 0, data: NO_DATA }));
  await down();
  t.same(stale(), [true, true]);
  const again = await connect(false, false);
  t.same(stale(), [true, true], 'still kept');
  again.announce([PREFIX], { nextHop: HOP });
  await until(() => stale().includes(false), 'heard again');
  again.say(endOfRib(1), endOfRib(2));
  await until(() => stale().length === 1, 'the other one goes');
  t.same(stale(), [false]);
});

t.test('Hard Reset, and any NOTIFICATION without the N bit: gone at once', async (t) => {
  for (const [notification, subcode, data] of [
    [true, 9, Uint8Array.of(6, 2)],
    [true, 9, NO_DATA],
    [false, 4, NO_DATA],
  ] as const) {
    const { peer, down, stale } = await scene(t, notification);
    peer.say(encodeNotification({ code: 6, subcode, data }));
    await down();
    await until(() => stale().length === 0, `6/${subcode}: gone`);
  }
});

t.test('the hold timer', async (t) => {
  const { clock, reflector, address, stale } = await scene(t, true);
  clock.advance(9_000);
  await until(() => reflector.peer(address).state !== 'Established', 'expiry');
  t.same(stale(), [true], 'RFC 8538 §4: kept');
  const old = await scene(t, false);
  old.clock.advance(9_000);
  await until(() => old.stale().length === 0, 'gone without the N bit');
});

t.test('what we say: reset keeps, reset --hard and disable do not', async (t) => {
  const text = 'maintenance';
  const hex = (...octets: number[]): string => Buffer.from([...octets, ...shutdownData(text)]).toString('hex');
  for (const [command, hard, withN, said, kept] of [
    ['reset', false, true, hex(6, 4), true],
    ['reset', true, true, hex(6, 9, 6, 4), false],
    ['disable', false, true, hex(6, 9, 6, 2), false],
    ['reset', true, false, hex(6, 4), false],
    ['disable', false, false, hex(6, 2), false],
  ] as const) {
    const { reflector, address, peer, down, stale } = await scene(t, withN);
    t.equal(reflector.speaker.command(address, command, { text, hard }), undefined);
    await down();
    await until(() => peer.closed, 'the NOTIFICATION');
    t.equal(peer.heard.notifications.join(), said, `${command} ${hard} ${withN}`);
    if (kept) t.same(stale(), [true]);
    else await until(() => stale().length === 0, 'gone');
  }
});
