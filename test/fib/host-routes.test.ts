/** Routes with a preferred source, in another table, and blackholes of our own: against the real kernel. */
import t, { type Test } from 'tap';
import { BLACKHOLE_TARGET } from '../../src/fib/port.js';
import { tableOf } from '../../src/fib/vrf.js';
import { Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up', 'link add br0 type bridge', 'link set br0 up']);
  ipBatch(['addr add 192.168.245.168/24 dev ens33', 'addr add fd00:245::168/64 dev ens33 nodad']);
  ipBatch(['addr add 172.17.0.1/24 dev br0', 'addr add fd00:17::1/64 dev br0 nodad']);
}

type Settings = ConstructorParameters<typeof Harness>[0];

async function started(t: Test, settings: Settings = {}): Promise<Harness> {
  const harness = new Harness(settings);
  t.teardown(() => harness.fib.stop(false));
  harness.state = await harness.fib.start();
  return harness;
}

const shown = (line: string): string[] =>
  ip(line)
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((route) => route.trim().replaceAll(/ +/g, ' '));

const installed = (h: Harness, count: number) =>
  until(`${count} installed`, () => h.fib.counts().installed === count && h.fib.counts().pending === 0);

t.test(
  'preferred source: on routes of its family, adopted, repaired, and named when it cannot be',
  options,
  async (t) => {
    const prefSrc = ['172.17.0.1', 'fd00:17::1'];
    const wanted = [
      { id: 1, prefix: '172.18.0.0/24', nextHop: 1 },
      { id: 2, prefix: 'fd00:18::/64', nextHop: 2 },
    ];
    const ask = (h: Harness): void => {
      h.track(1, '192.168.245.172');
      h.track(2, 'fd00:245::172');
      h.submit(...wanted);
    };
    // A previous run had none.
    const before = new Harness();
    await before.fib.start();
    ask(before);
    await installed(before, 2);
    await before.fib.stop(true);
    t.notMatch(shown('route show proto bgp').join(), / src /);

    const h = await started(t, { prefSrc });
    // Answered when the thread has had time to tidy up.
    t.strictSame(
      [...(await h.fib.diff())].map(({ kind }) => kind),
      ['extra', 'extra'],
    );
    t.equal(shown('route show proto bgp').length, 1, 'what the previous run left forwards');
    t.equal(shown('-6 route show proto bgp').length, 1);
    ask(h);
    const isRight = () =>
      / src 172\.17\.0\.1\b/.test(shown('route show proto bgp').join()) &&
      / src fd00:17::1\b/.test(shown('-6 route show proto bgp').join());
    await until('both with the source', () => h.fib.counts().installed === 2 && isRight());
    h.fib.sweepStale();
    await until('nothing is left over', async () => [...(await h.fib.diff())].length === 0);
    t.equal(h.fib.counts().repaired, 0, 'what has been rewritten had not been lost');
    t.match(ip('route get 172.18.0.9'), / src 172\.17\.0\.1 /);
    t.match(ip('-6 route get fd00:18::9'), / src fd00:17::1 /);

    const { repaired } = h.fib.counts();
    ip('route replace 172.18.0.0/24 via 192.168.245.172 dev ens33 src 192.168.245.168 metric 20 proto bgp');
    await until('repaired', () => h.fib.counts().repaired === repaired + 1 && isRight());

    // The address goes, and takes its routes along; it comes back.
    ip('addr del 172.17.0.1/24 dev br0');
    await until('failed', () => h.fib.counts().failed === 1);
    t.match(await h.errorOf('172.18.0.0/24'), /EINVAL: fib\.prefSrc 172\.17\.0\.1 may be no address of this node/);
    ip('addr add 172.17.0.1/24 dev br0');
    await until('installed again', () => h.fib.counts().installed === 2 && isRight());
  },
);

t.test('another table: routes, adoption, repair and sweep there, next hops from the main table', options, async (t) => {
  const table = 100;
  ip('route add 10.99.0.0/16 via 192.168.245.1');
  ip('route add 172.19.0.0/24 dev br0 proto static');
  const ask = (h: Harness): void => {
    h.track(1, '192.168.245.172');
    h.track(2, '10.99.0.1');
    h.track(3, 'fd00:245::172');
    h.submit(
      { id: 1, prefix: '172.18.0.0/24', nextHop: 1 },
      { id: 2, prefix: '172.19.0.0/24', nextHop: 2 },
      { id: 3, prefix: 'fd00:18::/64', nextHop: 3 },
    );
  };
  const first = new Harness({ table });
  await first.fib.start();
  ask(first);
  await installed(first, 3);
  const here = (): string[] => [...shown(`route show table ${table}`), ...shown(`-6 route show table ${table}`)];
  const good = here();
  t.match(good, [
    /^172\.18\.0\.0\/24 .*via 192\.168\.245\.172 dev ens33 proto bgp metric 20/,
    /^172\.19\.0\.0\/24 .*via 192\.168\.245\.1 dev ens33 proto bgp metric 20/,
    /^fd00:18::\/64 .*via fd00:245::172 dev ens33 proto bgp metric 20/,
  ]);
  t.same(shown('route show proto bgp'), [], 'none in the main table');
  await first.fib.stop(true);

  const h = await started(t, { table });
  t.equal(h.fib.counts().installed, 3, 'adopted');
  h.fib.sweepStale();
  await until('swept', () => here().length === 0);
  ask(h);
  await until('asked for again', () => here().length === 3 && h.fib.counts().installed === 3);
  ip(`route del 172.18.0.0/24 table ${table}`);
  ip(`-6 route del fd00:18::/64 table ${table}`);
  await until('repaired', () => here().length === 3);
  ip('route del 10.99.0.0/16 via 192.168.245.1');
  ip('route add 10.99.0.0/16 via 192.168.245.2');
  await until('follows the main table', () => here().some((route) => route.includes('via 192.168.245.2 ')));
  // A route to the same prefix in the main table is no obstacle; one in ours is.
  ip(`route add 172.20.0.0/24 dev br0 proto static table ${table}`);
  h.submit({ id: 4, prefix: '172.20.0.0/24', nextHop: 1 });
  await until('blocked', () => h.fib.counts().failed === 1);
  t.match(await h.errorOf('172.20.0.0/24'), /blocked by proto static/);
  ip(`route del 172.20.0.0/24 table ${table}`);
  await installed(h, 4);
  await h.fib.stop(false);
  t.same(here(), [], 'nothing is left');
  ip('route del 10.99.0.0/16');
  ip('route del 172.19.0.0/24');
});

t.test('blackholes: below every other route, put back, adopted, taken away', options, async (t) => {
  const blackholes = ['172.17.0.0/16', '172.17.0.0/24', 'fd00:17::/48'];
  const duties = { masqueradePools: [], blackholes };
  const mine = (): string[] => [...shown('route show type blackhole').sort(), ...shown('-6 route show type blackhole')];
  const h = new Harness({ duties });
  await h.fib.start();
  await until('all there', () => h.fib.host().blackholes.installed === 3);
  t.match(mine(), [
    /^blackhole 172\.17\.0\.0\/16 proto bgp metric 4294967294$/,
    /^blackhole 172\.17\.0\.0\/24 proto bgp metric 4294967294$/,
    /^blackhole fd00:17::\/48 .*proto bgp metric 4294967294 /,
  ]);
  t.match(ip('route get 172.17.0.9'), /dev br0/, 'the bridge wins, of the same length too');
  t.match(ip('-6 route get fd00:17::9'), /dev br0/);
  t.throws(() => ip('route get 172.17.9.9'), 'an address that nobody has');
  t.equal((await h.rows()).length, 0, 'they are no routes of the RIB');

  ip('route flush type blackhole');
  await until('put back', () => h.fib.host().blackholes.repaired >= 2 && mine().length === 3);
  const repaired = () => h.fib.host().blackholes.repaired;
  const count = repaired();
  ip('route replace unreachable 172.17.0.0/16 metric 4294967294 proto static');
  await until('in the way', () => /EEXIST/.test(h.fib.host().blackholes.error ?? ''));
  ip('route del unreachable 172.17.0.0/16 metric 4294967294 proto static');
  await until('and out of it', () => h.fib.host().blackholes.error === undefined && mine().length === 3);
  t.ok(repaired() > count);

  // An own prefix that somebody else announces: the blackhole is not in its way.
  h.track(1, '192.168.245.172');
  h.submit({ id: 1, prefix: '172.17.0.0/16', nextHop: 1 });
  await installed(h, 1);
  t.match(ip('route get 172.17.9.9'), /via 192\.168\.245\.172/);
  h.submit({ id: 1, prefix: '172.17.0.0/16', nextHop: 0 });
  await installed(h, 0);

  await h.fib.stop(true);
  t.equal(mine().length, 3, 'kept');
  const next = await started(t, { duties: { masqueradePools: [], blackholes: ['172.17.0.0/24'] } });
  await until('what is no longer wanted goes', () => mine().length === 1);
  t.notOk(
    next.logs.some(({ text }) => text.includes('172.17.0.0/24')),
    'what is wanted is adopted without a word',
  );
  next.fib.setDuties({ masqueradePools: [], blackholes: ['172.17.128.0/17'] });
  await until('live', () => mine().join().startsWith('blackhole 172.17.128.0/17'));
  await next.fib.stop(false);
  t.same(mine(), []);
});

t.test('a VRF that is none', options, async (t) => {
  await t.rejects(new Harness({ vrf: 'blue' }).fib.start(), { message: /no device blue.*CONFIG_NET_VRF/ });
  await t.rejects(new Harness({ vrf: 'br0' }).fib.start(), { message: 'fib.vrf: br0 is a bridge device, not a VRF' });
  t.equal(tableOf('blue', { kind: 'vrf', vrfTable: 10 }), 10);
});

t.test('blackholes that peers ask for (RFC 7999): routes like others', options, async (t) => {
  const h = await started(t);
  const both = (): string[] => [...shown('route show type blackhole'), ...shown('-6 route show type blackhole')];
  h.track(1, '192.168.245.172');
  const submit = (nextHop: number): void =>
    h.submit({ id: 1, prefix: '203.0.113.1/32', nextHop }, { id: 2, prefix: '2001:db8::1/128', nextHop });
  submit(BLACKHOLE_TARGET);
  await installed(h, 2);
  t.match(both(), [/^blackhole 203\.0\.113\.1 proto bgp metric 20/, /^blackhole 2001:db8::1 .*proto bgp metric 20 /]);
  ip('route del blackhole 203.0.113.1/32 metric 20');
  await until('put back', () => h.fib.counts().repaired === 1 && both().length === 2);
  h.submit({ id: 1, prefix: '203.0.113.1/32', nextHop: 1 });
  await until('a next hop instead', () => /via 192\.168\.245\.172/.test(shown('route show 203.0.113.1').join()));
  h.submit({ id: 1, prefix: '203.0.113.1/32', nextHop: BLACKHOLE_TARGET });
  await until('and back', () => both().length === 2);
  submit(0);
  await until('gone', () => both().length === 0);
});
