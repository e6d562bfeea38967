/** Attribute sets that fit into extended messages (RFC 8654) only: who is told of them, who is not, and who hears of that. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import type { Log } from '../../src/index.js';
import { silentLog } from '../../src/index.js';
import { Rig, until } from '../reflector/fixtures/rig.js';

const HOP = '192.0.2.1';
const P = '10.1.0.0/24';
const BESIDE = '10.2.0.0/24';

const capabilities = (asn: number): Capability[] => [
  { kind: 'multiprotocol', afi: 1, safi: 1 },
  { kind: 'fourOctetAs', asn },
];
const communities = (count: number): number[] => Array.from({ length: count }, (_, index) => 0x10000 + index);

t.test('too long for some: withdrawn there, told elsewhere, counted, logged once', async (t) => {
  const rig = new Rig(t);
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (_fields, message) => void (/fit/.test(message) && warnings.push(message)) };
  const names = [2, 3, 4, 5].map((number) => rig.address(number));
  const config = {
    limits: { communities: 16_000 },
    peers: names.map((address, index) => ({
      ...{ address, asn: 65001 + index, passive: true, import: 'accept', export: 'accept', extendedMessages: true },
    })),
  };
  const reflector = await rig.reflector({ address: rig.address(1), log, config });
  const peer = (index: number, extended: boolean) => {
    const asn = 65001 + index;
    const all: Capability[] = [...capabilities(asn), ...(extended ? [{ kind: 'extendedMessage' } as const] : [])];
    return rig.peer(reflector, { address: names[index]!, asn, capabilities: all });
  };
  const from = await peer(0, true);
  const wide = await peer(1, true);
  const narrow = [await peer(2, false), await peer(3, false)];
  const saying = (count: number) => ({ nextHop: HOP, asPath: [65001], communities: communities(count) });

  from.announce([P], saying(3));
  for (const each of [wide, ...narrow]) await each.until((heard) => heard.routes.has(P), 'the short one');
  for (const count of [1100, 5000, 16_000]) {
    from.announce([P], saying(count));
    from.announce([BESIDE], { ...saying(2), med: count });
    await wide.until((heard) => heard.attribute(P, 8)?.length === count * 8, `${count} communities`);
    for (const each of narrow) {
      await each.until((heard) => (heard.announced.get(BESIDE) ?? 0) >= 1, 'the route beside it');
      t.notOk(each.heard.routes.has(P), `${count}: what had been told is taken back`);
    }
  }
  const notes = (index: number): string => reflector.peer(names[index]!).notes.join();
  t.match(notes(2), /^3 times .* 4096 octets, and there are no extended messages/);
  t.equal(notes(1), '');
  t.equal(warnings.length, 1, 'one line for both peers and all sets');
  t.match(warnings[0], /not told to 2 peers/);
  from.announce([P], saying(500));
  for (const each of [wide, ...narrow]) await each.until((heard) => heard.attribute(P, 8)?.length === 4000, 'it fits');
  for (const each of [from, wide, ...narrow]) t.notOk(each.closed);
});

t.test('longer than any message: towards everybody', async (t) => {
  const rig = new Rig(t);
  const names = [2, 3].map((number) => rig.address(number));
  const config = {
    limits: { communities: 16_383 },
    peers: names.map((address, index) => ({
      ...{ address, asn: 65001 + index, passive: true, import: 'accept', extendedMessages: true },
      ...{ export: 'longer' },
    })),
    policies: {
      longer: { statements: [{ set: { prepend: 10 }, then: 'accept' }] },
    },
  };
  const reflector = await rig.reflector({ address: rig.address(1), config });
  const peers = [];
  for (const [index, address] of names.entries()) {
    const asn = 65001 + index;
    const all: Capability[] = [...capabilities(asn), { kind: 'extendedMessage' }];
    peers.push(await rig.peer(reflector, { address, asn, capabilities: all }));
  }
  const [from, to] = peers as [(typeof peers)[0], (typeof peers)[0]];
  // 65,535 less header, lengths, the other attributes and the prefix: with ten AS numbers more there is no room.
  from.announce([P], { nextHop: HOP, asPath: [65001], communities: communities(16_363) });
  from.announce([BESIDE], { nextHop: HOP, asPath: [65001] });
  await until(() => reflector.best().length === 2, 'both are taken');
  await to.until((heard) => heard.routes.has(BESIDE), 'the route beside it');
  t.notOk(to.heard.routes.has(P));
  t.match(reflector.peer(names[1]!).notes.join(), /65535 octets/);
});
