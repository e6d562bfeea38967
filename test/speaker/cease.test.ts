/** Each Cease that this node says (RFC 4486, RFC 9003), octet for octet, with what the operator on either side reads. */
import t, { type Test } from 'tap';
import { Rib } from '../../src/rib/rib.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { Reflector, ScriptedPeer } from '../reflector/fixtures/rig.js';

const OWN = 64512;
/** Cease with a text: code, subcode, length, UTF-8. */
const cease = (subcode: number, text?: string): string => {
  const octets = Buffer.from(text ?? '');
  return Buffer.from([6, subcode, ...(text === undefined ? [] : [octets.length]), ...octets]).toString('hex');
};

interface Scene {
  readonly rig: Rig;
  readonly reflector: Reflector;
  readonly address: string;
  readonly peer: ScriptedPeer;
}

async function scene(t: ConstructorParameters<typeof Rig>[0], keys: object = {}, top: object = {}): Promise<Scene> {
  const rig = new Rig(t);
  const address = rig.address(2);
  const peers = [{ address, asn: OWN, passive: true, ...keys }];
  const reflector = await rig.reflector({ address: rig.address(1), config: { ...top, peers } });
  return { rig, reflector, address, peer: await rig.peer(reflector, { address }) };
}

async function ends(t: Pick<Test, 'same'>, { peer }: Scene, expected: string): Promise<void> {
  await until(
    () => peer.closed,
    () => `the end, after ${peer.heard.notifications.join()}`,
  );
  t.same(peer.heard.notifications, [expected]);
}

t.test('2 and 4: shutdown and reset, with a text of up to 255 octets of UTF-8', async (t) => {
  for (const [text, sent] of [
    ['Wartung für heute Nacht: 雨', 'Wartung für heute Nacht: 雨'],
    // RFC 8203 had 128 octets, RFC 9003 has 255; the cut is between characters.
    ['x'.repeat(128), 'x'.repeat(128)],
    ['x'.repeat(255), 'x'.repeat(255)],
    ['y' + 'é'.repeat(200), 'y' + 'é'.repeat(127)],
    ['z' + '雨'.repeat(100), 'z' + '雨'.repeat(84)],
  ] as const) {
    const one = await scene(t);
    one.reflector.speaker.command(one.address, 'disable', { text });
    await ends(t, one, cease(2, sent));
    const other = await scene(t);
    other.reflector.speaker.command(other.address, 'reset', { text });
    await ends(t, other, cease(4, sent));
  }
  const silent = await scene(t);
  silent.reflector.speaker.command(silent.address, 'disable');
  await ends(t, silent, cease(2));
});

t.test('2, 3 and 6: the daemon stops, the peer is gone from the file, a key needs another session', async (t) => {
  const stopped = await scene(t);
  await stopped.reflector.speaker.stop();
  await ends(t, stopped, cease(2));
  const removed = await scene(t);
  await removed.reflector.reconfigure({ peers: [] });
  await ends(t, removed, cease(3));
  const changed = await scene(t);
  const { address } = changed;
  await changed.reflector.reconfigure({ peers: [{ address, asn: OWN, passive: true, holdTime: 30 }] });
  await ends(t, changed, cease(6));
  const shut = await scene(t);
  await shut.reflector.reconfigure({ peers: [{ address: shut.address, asn: OWN, passive: true, shutdown: true }] });
  await ends(t, shut, cease(2));
});

t.test('8: no room for one more peer', async (t) => {
  const one = await scene(t);
  const address = one.rig.address(3);
  const peers = [one.address, address].map((each) => ({ address: each, asn: OWN, passive: true }));
  await one.reflector.reconfigure({ peers });
  // The RIB has places for 65,535.
  t.intercept(Rib.prototype, 'addPeer', { value: () => undefined });
  const peer = await one.rig.dial(one.reflector, { address });
  await ends(t, { ...one, peer }, cease(8));
  t.match(one.reflector.peer(address).lastError, /too many peers/);
  t.equal(one.reflector.peer(one.address).state, 'Established', 'who is there stays');
});

t.test('received: each is told to the operator, the text too, and the session comes back', async (t) => {
  const names: [number, RegExp][] = [
    [1, /Maximum Number of Prefixes Reached/],
    [2, /Administrative Shutdown.*bye/],
    [3, /Peer De-configured/],
    [4, /Administrative Reset.*bye/],
    [5, /Connection Rejected/],
    [6, /Other Configuration Change/],
    [7, /Connection Collision Resolution/],
    [8, /Out of Resources/],
    [9, /Hard Reset/],
    [10, /BFD Down/],
    [77, /Cease/],
  ];
  const { rig, reflector, address, peer } = await scene(t);
  let session = peer;
  for (const [subcode, expected] of names) {
    const text = subcode === 2 || subcode === 4 ? [3, ...Buffer.from('bye')] : [];
    const length = 21 + text.length;
    session.say(Uint8Array.from([...Array<number>(16).fill(255), 0, length, 3, 6, subcode, ...text]));
    await until(() => session.closed, `the end by ${subcode}`);
    t.match(reflector.peer(address).lastError, expected);
    t.same(session.heard.notifications, [], 'no answer to a NOTIFICATION');
    reflector.speaker.command(address, 'reset');
    await until(() => reflector.peer(address).state === 'Active', 'waiting again');
    session = await rig.peer(reflector, { address });
  }
});
