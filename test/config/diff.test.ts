/** What a reload would touch. */
import fc from '../fixtures/properties.js';
import t from 'tap';
import { diffSettings } from '../../src/config/diff.js';
import { parseConfig } from '../../src/config/load.js';
import type { Settings } from '../../src/config/settings.js';

const BASE = `
asn: 64512
listen: [10.0.0.1]
networks: [{ prefix: 172.17.0.0/24 }, { interface: br0 }]
groups: { a: { asn: 64512, holdTime: 30 } }
peers:
  - { address: 10.0.0.2, group: a }
  - { address: 10.0.0.3, asn: 65001, description: old }
listenRanges: [{ prefix: 10.1.0.0/16, group: a }]
`;

const settings = (text: string): Promise<Settings> => parseConfig(text, 'x.yaml');

t.test('nothing', async (t) => {
  const reordered = BASE.replace(/( {2}- \{ address: 10\.0\.0\.2.*\n)( {2}- .*\n)/, '$2$1').replace(
    '10.0.0.2',
    '"10.0.0.2"',
  );
  t.ok(diffSettings(await settings(BASE), await settings(BASE)).isEmpty);
  t.ok(diffSettings(await settings(BASE), await settings(reordered)).isEmpty, 'order is nothing');
});

t.test('a new peer touches no other', async (t) => {
  const diff = diffSettings(
    await settings(BASE),
    await settings(BASE.replace('listenRanges', '  - { address: 10.0.0.4, asn: 1 }\nlistenRanges')),
  );
  t.same(
    diff.peers.added.map((peer) => peer.address),
    ['10.0.0.4'],
  );
  t.same([diff.peers.removed, diff.peers.changed, diff.networks.added, diff.global], [[], [], [], []]);
  t.notOk(diff.isEmpty);
});

t.test('changes of peers', async (t) => {
  const before = await settings(BASE);
  const described = diffSettings(before, await settings(BASE.replace('description: old', 'description: new'))).peers
    .changed;
  t.match(described, [
    { keys: ['description'], effect: 'live', before: { description: 'old' }, after: { description: 'new' } },
  ]);
  const held = diffSettings(before, await settings(BASE.replace('holdTime: 30', 'holdTime: 60')));
  t.match(held.peers.changed, [
    { after: { address: '10.0.0.2' }, keys: ['holdTimeSeconds', 'keepaliveTimeSeconds'], effect: 'session' },
  ]);
  t.match(
    held.listenRanges.changed,
    [{ after: { prefix: '10.1.0.0/16' }, effect: 'session' }],
    'a group reaches its ranges',
  );
  const secret = diffSettings(
    before,
    await settings(BASE.replace('description: old', 'description: old, password: x')),
  );
  t.match(secret.peers.changed, [{ keys: ['password'], effect: 'session' }]);
});

t.test('the node', async (t) => {
  const after = await settings(
    `${BASE.replace('asn: 64512\n', 'asn: 64513\n').replace('10.0.0.1]', '10.0.0.9]').replace('{ interface: br0 }', '{ interface: br1 }')}
fib: { metric: 30 }
log: { level: debug }
control: { http: "127.0.0.1:1" }
`,
  );
  const diff = diffSettings(await settings(BASE), after);
  t.same(diff.global, [
    { key: 'asn', effect: 'sessions' },
    { key: 'fib.metric', effect: 'restart' },
    { key: 'control.http', effect: 'restart' },
    { key: 'log.level', effect: 'live' },
  ]);
  t.same(diff.listen, { added: ['10.0.0.9'], removed: ['10.0.0.1'] });
  t.same(diff.networks, { added: [{ interface: 'br1' }], removed: [{ interface: 'br0' }] });
});

t.test('properties: added and removed mirror each other', async (t) => {
  const base = await settings(BASE);
  const peers = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 });
  const made = (numbers: number[]): Settings => ({
    ...base,
    peers: numbers.map((number) => ({
      ...base.peers[0]!,
      address: `10.0.0.${number}`,
      port: 179 + (number % 2) * numbers.length,
    })),
  });
  fc.assert(
    fc.property(peers, peers, (a, b) => {
      const there = diffSettings(made(a), made(b)).peers;
      const back = diffSettings(made(b), made(a)).peers;
      const addresses = (list: readonly { address: string }[]): string =>
        list
          .map((peer) => peer.address)
          .sort()
          .join();
      return (
        addresses(there.added) === addresses(back.removed) &&
        addresses(there.removed) === addresses(back.added) &&
        there.changed.length === back.changed.length &&
        there.added.length + a.length - there.removed.length === b.length
      );
    }),
  );
  t.pass('holds');
});
