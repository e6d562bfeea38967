/** Prefix limits, in and out: what is taken, what is said, how long the session stays down, and changes while it is up. */
import t from 'tap';
import type { Log } from '../../src/index.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { Rig, blocks, until } from '../reflector/fixtures/rig.js';

type Test = ConstructorParameters<typeof Rig>[0];

const HOP = '192.0.2.1';

/** Keeps the lines of a level. */
function keepingLog(): Log & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const ignore = (): void => undefined;
  return {
    warnings,
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (_fields, message) => void (/limit/i.test(message) && warnings.push(message)),
  };
}

async function one(t: Test, peer: object) {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const log = keepingLog();
  const address = rig.address(2);
  const peers = (more: object): object[] => [{ address, asn: 64512, passive: true, ...more }];
  const reflector = await rig.reflector({ address: rig.address(1), clock, log, config: { peers: peers(peer) } });
  return { rig, clock, log, address, reflector, peers, connect: () => rig.peer(reflector, { address }) };
}

t.test('reject: the surplus is not taken, what is there may change, room is used again', async (t) => {
  const { address, reflector, log, connect, peers } = await one(t, { prefixLimit: { max: 10, warnAt: 8 } });
  const peer = await connect();
  peer.announce(blocks(1, 7), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 7, 'seven');
  t.same(log.warnings, []);
  // One message across both thresholds.
  peer.announce(blocks(1, 30), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 10, 'ten');
  t.same(reflector.best(), blocks(1, 10).sort());
  t.equal(log.warnings.filter((line) => /10 ipv4-unicast prefixes received/.test(line)).length, 1, 'warned once');
  t.match(reflector.peer(address).notes.join(), /20 ipv4-unicast announcements were not taken/);
  t.equal(reflector.peer(address).state, 'Established');

  peer.announce(blocks(1, 10), { nextHop: HOP, med: 5 });
  peer.announce(['2001:db8::/32'], { nextHop: '2001:db8::1' });
  await until(() => reflector.peer(address).received === 11, 'the other family has a limit of its own');
  const [route] = [...reflector.speaker.routes({ match: '10.1.9.0/24' })!];
  t.equal(route!.med, 5, 'a prefix that is there is updated at the limit');

  peer.withdraw(['10.1.0.0/24']);
  peer.announce(['10.9.0.0/24', '10.9.1.0/24'], { nextHop: HOP });
  await until(() => reflector.best().includes('10.9.0.0/24'), 'room is used');
  t.notOk(reflector.best().includes('10.9.1.0/24'));

  // Raised while the session is up: what was kept out is asked for.
  await reflector.reconfigure({ peers: peers({ prefixLimit: { max: 100 } }) });
  await peer.until((heard) => heard.count('refresh 1/0') === 1, 'a refresh is asked for');
  t.equal(reflector.peer(address).state, 'Established');
  peer.announce(blocks(1, 30), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 32, 'all of them');
});

t.test('warnAt: once per crossing', async (t) => {
  const { address, reflector, log, connect } = await one(t, { prefixLimit: { max: 100, warnAt: 5 } });
  const peer = await connect();
  for (let round = 0; round < 2; round++) {
    peer.announce(blocks(1, 5), { nextHop: HOP });
    await until(() => reflector.peer(address).received === 5, 'five');
    peer.announce(blocks(1, 9), { nextHop: HOP });
    await until(() => reflector.peer(address).received === 9, 'nine');
    t.equal(log.warnings.length, round + 1);
    peer.withdraw(blocks(1, 9));
    peer.announce(['10.200.0.0/24'], { nextHop: HOP });
    await until(() => reflector.best().join() === '10.200.0.0/24', 'below');
    peer.withdraw(['10.200.0.0/24']);
  }
});

t.test('reset: Cease with family and limit, down until restartAfter', async (t) => {
  const limit = { prefixLimit: { max: 3, action: 'reset', restartAfter: 60 } };
  const { rig, clock, address, reflector, connect } = await one(t, limit);
  const peer = await connect();
  peer.announce(blocks(1, 3), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 3, 'three');
  peer.announce(['10.1.2.0/24', '10.7.0.0/16'], { nextHop: HOP });
  await until(() => peer.closed, 'the end');
  t.equal(peer.heard.notifications.join(), '0601' + '000101' + '00000003', 'RFC 4486 §4: AFI, SAFI, limit');
  await until(() => reflector.best().length === 0, 'its routes are gone');
  const { state, lastError, notes } = reflector.peer(address);
  t.equal(state, 'Idle');
  t.match(lastError, /more than 3 ipv4-unicast prefixes/);
  t.match(notes.join(), /kept down until 60 s/);

  const early = await rig.dial(reflector, { address });
  await until(() => early.closed, 'refused meanwhile');
  clock.advance(59_000);
  t.equal(reflector.peer(address).state, 'Idle');
  clock.advance(1_000);
  t.equal(reflector.peer(address).state, 'Active');
  const later = await connect();
  t.notMatch(reflector.peer(address).notes.join(), /kept down/);
  later.announce(blocks(1, 3), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 3, 'three again');
});

t.test('reset without restartAfter: until an operator enables the peer', async (t) => {
  const { clock, address, reflector, connect } = await one(t, { prefixLimit: { max: 1, action: 'reset' } });
  const peer = await connect();
  peer.announce(['2001:db8:1::/48', '2001:db8:2::/48'], { nextHop: '2001:db8::1' });
  await until(() => peer.closed, 'the end');
  t.equal(peer.heard.notifications.join(), '0601' + '000201' + '00000001');
  clock.advance(86_400_000);
  t.equal(reflector.peer(address).state, 'Idle');
  t.match(reflector.peer(address).notes.join(), /bgpctl peer .* enable/);
  t.equal(reflector.speaker.command(address, 'enable'), undefined);
  await connect();
});

t.test('a lower limit that is passed already ends the session; a higher one lets it come back', async (t) => {
  const { address, reflector, connect, peers } = await one(t, {});
  const peer = await connect();
  peer.announce(blocks(1, 5), { nextHop: HOP });
  await until(() => reflector.peer(address).received === 5, 'five');
  await reflector.reconfigure({ peers: peers({ prefixLimit: { max: 4, action: 'reset' } }) });
  await until(() => peer.closed, 'the end');
  t.equal(reflector.peer(address).state, 'Idle');
  await reflector.reconfigure({ peers: peers({ prefixLimit: { max: 5, action: 'reset' } }) });
  await connect();
});

t.test('a dynamic peer that was reset is refused while it waits', async (t) => {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const reflector = await rig.reflector({
    address: rig.address(1),
    clock,
    config: {
      listenRanges: [
        { prefix: rig.range, asn: 'internal', prefixLimit: { max: 1, action: 'reset', restartAfter: 30 } },
      ],
    },
  });
  const address = rig.address(9);
  const peer = await rig.peer(reflector, { address });
  peer.announce(blocks(1, 2), { nextHop: HOP });
  await until(() => peer.closed, 'the end');
  const early = await rig.dial(reflector, { address });
  await until(() => early.closed, 'refused');
  t.match(reflector.peer(address).notes.join(), /kept down/);
  clock.advance(30_000);
  t.equal(reflector.speaker.peer(address), undefined, 'forgotten');
  await rig.peer(reflector, { address });
});

t.test('prefixLimitOut: nothing more is told, the session ends', async (t) => {
  const rig = new Rig(t);
  const clock = new FakeClock();
  const [from, to] = [rig.address(2), rig.address(3)];
  const reflector = await rig.reflector({
    address: rig.address(1),
    clock,
    config: {
      peers: [
        { address: from, asn: 64512, passive: true, routeReflectorClient: true },
        { address: to, asn: 64512, passive: true, prefixLimitOut: { max: 4, restartAfter: 10 } },
      ],
    },
  });
  const talker = await rig.peer(reflector, { address: from });
  const peer = await rig.peer(reflector, { address: to });
  talker.announce(blocks(1, 4), { nextHop: HOP });
  await peer.until((heard) => heard.routes.size === 4, 'four');
  talker.announce(blocks(5, 1), { nextHop: HOP });
  await until(() => peer.closed, 'the end');
  t.equal(peer.heard.notifications.join(), '0601' + '000101' + '00000004');
  t.match(reflector.peer(to).notes.join(), /prefixLimitOut.*kept down/);
  t.equal(reflector.peer(from).state, 'Established');

  // The first table alone is too much: not one prefix is told.
  clock.advance(10_000);
  const again = await rig.dial(reflector, { address: to });
  await until(() => again.closed, 'the end');
  t.equal(again.heard.routes.size, 0);
  talker.withdraw(blocks(5, 1));
  await until(() => reflector.best().length === 4, 'four again');
  clock.advance(10_000);
  const last = await rig.peer(reflector, { address: to });
  await last.until((heard) => heard.routes.size === 4, 'four');
});
