/** `maxPeers` of a listen range: who comes beyond it is refused, counted, told apart from strangers, and shown. */
import t from 'tap';
import type { Log } from '../../src/index.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { ListenRanges } from '../../src/listen-ranges.js';
import { parseConfig, silentLog } from '../../src/index.js';
import { parseAddress } from 'bgp-parse';
import { Rig, until } from './fixtures/rig.js';

function recordingLog(): { log: Log; warnings: string[] } {
  const warnings: string[] = [];
  const warn: Log['warn'] = (fields, message) =>
    void warnings.push(`${message} (${(fields as { refused?: number }).refused})`);
  return { log: { ...silentLog, warn }, warnings };
}

t.test('a full range refuses, who is there stays, a free place is given away', async (t) => {
  const rig = new Rig(t);
  const { log, warnings } = recordingLog();
  const range = { prefix: rig.range, asn: 64512, routeReflectorClient: true, gracefulRestart: false };
  const reflector = await rig.reflector({
    address: rig.address(1),
    log,
    config: { listenRanges: [{ ...range, maxPeers: 3 }] },
  });
  const summary = () => reflector.speaker.summary();
  const peers = [];
  for (const number of [11, 12, 13]) peers.push(await rig.peer(reflector, { address: rig.address(number) }));
  t.same(summary().warnings, [], 'exactly full is no reason to warn');

  for (const number of [14, 15, 16]) {
    const refused = await rig.dial(reflector, { address: rig.address(number) });
    await until(() => refused.closed, 'the refusal');
    // RFC 4486 §4: Cease/Connection Rejected.
    t.same(refused.heard.events, ['notification 6/5']);
  }
  t.same(summary().peers, { configured: 0, dynamic: 3, established: 3 });
  t.match(summary().warnings, [/listen range .* is full: 3 peers \(maxPeers 3\), 3 connections refused so far/]);
  const refusals = warnings.filter((line) => line.includes('refused'));
  t.equal(refusals.length, 1, 'one line in the log, not one for each');
  t.match(refusals[0], /listen range .* has 3 peers, maxPeers is 3 \(1\)/);
  // Outside of all ranges: told apart, and counted apart.
  const stranger = await rig.dial(reflector, { address: '127.0.0.1' });
  await until(() => stranger.closed, 'the refusal');
  t.match(warnings.at(-1), /no peer is configured for the address \(1\)/);

  await peers[0]!.close();
  await until(() => summary().peers.dynamic === 2, 'the place');
  t.same(summary().warnings, [], 'no longer full');
  await rig.peer(reflector, { address: rig.address(14) });
  t.same(summary().peers, { configured: 0, dynamic: 3, established: 3 });

  t.match(await reflector.reconfigure({ listenRanges: [{ ...range, maxPeers: 1 }] }), [/changed maxPeers/]);
  t.equal(summary().peers.established, 3, 'a lower limit ends no session');
  const refused = await rig.dial(reflector, { address: rig.address(15) });
  await until(() => refused.closed, 'the refusal');
  await reflector.reconfigure({ listenRanges: [{ ...range, maxPeers: 4 }] });
  await rig.peer(reflector, { address: rig.address(15) });
  t.equal(summary().peers.established, 4);
  for (const peer of reflector.speaker.peers()) t.equal(peer.sessionsEstablished, 1, `${peer.address} was left alone`);
});

t.test('ranges: the longest holds, each counts its own, refusals are logged now and then', async (t) => {
  const clock = new FakeClock();
  const { log, warnings } = recordingLog();
  const settingsOf = async (ranges: unknown[]) => {
    const text = JSON.stringify({ asn: 64512, listenRanges: ranges });
    return (await parseConfig(text, 'test')).listenRanges;
  };
  const ranges = new ListenRanges(clock, log);
  ranges.set(
    await settingsOf([
      { prefix: '10.0.0.0/8', asn: 64512, maxPeers: 1 },
      { prefix: '10.1.0.0/16', asn: 64512, maxPeers: 2 },
    ]),
  );
  const admit = (address: string): boolean => ranges.admit(address, parseAddress(address)!);
  t.equal(ranges.find(parseAddress('10.1.0.1')!)?.prefix, '10.1.0.0/16');
  t.equal(ranges.find(parseAddress('10.2.0.1')!)?.prefix, '10.0.0.0/8');
  t.equal(ranges.find(parseAddress('11.0.0.1')!), undefined);
  t.same(['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.2.0.1', '10.2.0.2'].map(admit), [true, true, false, true, false]);
  t.equal(admit('10.1.0.1'), true, 'who has been counted is not counted again');
  t.equal(ranges.warnings.length, 2);
  t.equal(warnings.length, 2, 'a line for each range');
  for (let i = 0; i < 100; i++) admit('10.1.0.9');
  t.equal(warnings.length, 2);
  clock.advance(10_000);
  admit('10.1.0.9');
  t.equal(warnings.length, 3);

  ranges.forget('10.1.0.1');
  ranges.forget('10.1.0.1');
  t.equal(admit('10.1.0.4'), true);
  t.equal(admit('10.1.0.5'), false, 'a place is given away once');
  // Without the longer range its peers belong to the shorter one: 3 of 1.
  ranges.set(await settingsOf([{ prefix: '10.0.0.0/8', asn: 64512, maxPeers: 3 }]));
  t.equal(admit('10.3.0.1'), false);
  ranges.forget('10.1.0.2');
  t.equal(admit('10.3.0.1'), true);
  ranges.forgetAll();
  t.same(['10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.4'].map(admit), [true, true, true, false]);
});
