/**
 * What policy sets arrives at a BIRD as it was meant, what it rejects or prefers shows in our kernel, and another policy
 * is told on the same session.
 */
import t from 'tap';
import { Bird } from './fixtures/bird.js';
import { Namespaces } from './fixtures/namespace.js';
import { OUR_ASN, Pair } from './fixtures/pair.js';
import { skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

t.setTimeout(300_000);

const keys = (med: number): object => ({
  prefixLists: { unwanted: ['10.41.0.0/16 le 24', 'fd41::/16 le 64'] },
  policies: {
    incoming: {
      statements: [
        { match: { prefix: 'unwanted' }, then: 'reject' },
        { match: { community: '65102:*' }, set: { localPref: 250, community: { remove: '65102:*' } } },
      ],
      default: 'accept',
    },
    outgoing: {
      statements: [
        {
          match: { type: 'local' },
          set: { prepend: 2, med, origin: 'incomplete', community: { add: ['65101:7', '65101:1:2'] } },
          then: 'accept',
        },
      ],
    },
  },
});

t.test('with BIRD', async (t) => {
  if (skipWithout(t, 'policies towards BIRD', new Tortie(), new Bird())) return;
  const namespaces = new Namespaces();
  t.teardown(() => namespaces.close());
  const lane = await namespaces.createLane();
  const ours = new Tortie(keys(77), { import: 'incoming', export: 'outgoing' });
  const theirs = new Bird();
  const pair = await Pair.create(lane, ours, theirs, {
    index: 1,
    type: 'eBGP',
    transport: 'ipv4',
    families: ['ipv4-unicast', 'ipv6-unicast'],
    dialer: 'ours',
  });
  t.teardown(async () => {
    if (!t.passing()) t.comment(pair.logs());
    await pair.stop();
  });
  const mine = [pair.prefix('ours', 'ipv4-unicast', 0), pair.prefix('ours', 'ipv6-unicast', 0)];
  const wanted = pair.prefix('theirs', 'ipv4-unicast', 0);
  const unwanted = pair.prefix('theirs', 'ipv4-unicast', 1);
  for (const prefix of mine) await ours.announce({ prefix });
  await theirs.announce({ prefix: wanted, communities: ['65102:5'] });
  await theirs.announce({ prefix: unwanted });
  await pair.start();
  await pair.established();

  const told = { asPath: [OUR_ASN, OUR_ASN, OUR_ASN], communities: ['65101:7'], largeCommunities: ['65101:1:2'] };
  for (const prefix of mine) await pair.receives(theirs, prefix, { ...told, med: 77 });
  await pair.kernelHas(wanted, pair.theirOptions.nextHops.ipv4);
  await pair.receives(ours, unwanted, { communities: [] });
  await pair.receives(ours, wanted, { communities: ['65102:5'] });
  await pair.kernelHas(unwanted, null);
  t.pass('what was set arrives, what is rejected is not installed');

  await ours.setKeys(keys(78));
  for (const prefix of mine) await pair.receives(theirs, prefix, { ...told, med: 78 });
  t.equal(await theirs.sessionsEstablished(), 1, 'on the same session');
});
