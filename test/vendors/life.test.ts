/** A session with each make of router: up, routes both ways, refresh, withdraw, restart. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import { Rig, until } from '../reflector/fixtures/rig.js';
import { ROUTERS } from './fixtures/routers.js';
import { END_OF_RIB, END_OF_RIB_IPV6, StandIn, has, restarting } from './fixtures/stand-in.js';

const HOP = '192.0.2.1';
const OURS = '10.200.0.0/24';
const ROUTES = [{ prefix: '10.1.0.0/24' }, { prefix: '10.2.0.0/16', asPath: [64999, 200_000] }];
/** Takes what an EOS stand-in says: IPv4 prefixes with IPv6 next hops (RFC 8950). */
const CLIENT: Capability[] = [
  { kind: 'multiprotocol', afi: 1, safi: 1 },
  { kind: 'multiprotocol', afi: 2, safi: 1 },
  { kind: 'routeRefresh' },
  { kind: 'fourOctetAs', asn: 64512 },
  { kind: 'extendedNextHop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
];
const IPV6 = { prefix: '2001:db8:1::/48' };

for (const habits of ROUTERS) {
  t.test(habits.name, async (t) => {
    const rig = new Rig(t);
    const address = rig.address(2);
    const client = rig.address(3);
    const ipv6 = habits.capabilities.some(([code, value]) => code === 1 && value[1] === 2);
    const outside = { address, asn: habits.asn, passive: true, import: 'accept', export: 'accept' };
    const host = await rig.reflector({
      address: rig.address(1),
      config: {
        networks: [{ prefix: OURS }],
        peers: [
          { ...outside, extendedNextHop: has(habits, 5) },
          { address: client, asn: 64512, passive: true, routeReflectorClient: true, extendedNextHop: true },
        ],
      },
    });
    const watcher = await rig.peer(host, { address: client, capabilities: CLIENT });
    const routes = [...ROUTES, ...(ipv6 ? [IPV6] : [])];
    const prefixes = routes.map(({ prefix }) => prefix).sort();
    const known = (): string[] =>
      [...host.speaker.routes({ peer: { address, direction: 'received' } })!].map(({ prefix }) => prefix).sort();

    let router = await StandIn.dial(t, host, address, habits);
    await router.establish(routes, HOP);
    await until(() => known().length === routes.length, 'all routes of the router');
    t.same(known(), prefixes);
    t.equal(host.peer(address).malformedUpdates, 0, 'nothing is malformed');
    t.equal(host.peer(address).holdTimeSeconds, Math.min(90, habits.holdTime));

    await watcher.until((heard) => heard.routes.size === routes.length + 1, 'the routes, passed on');
    const whole = [...host.speaker.routes({ best: true })!].find(({ prefix }) => prefix === '10.2.0.0/16')!;
    t.same(whole.asPath, [habits.asn, 64999, 200_000], 'the whole path, in four octets');

    await until(() => router.heard.routes.has(OURS), 'our network at the router');
    const octets = has(habits, 65) ? '0000fc00' : 'fc00';
    t.equal(router.heard.attribute(OURS, 2), `0201${octets}`, 'AS_PATH in the size that the router knows');
    watcher.announce(['10.210.0.0/24'], { nextHop: '192.0.2.9', asPath: [300_000] });
    await until(() => router.heard.routes.has('10.210.0.0/24'), 'a route of the client');
    if (!has(habits, 65)) {
      t.equal(router.heard.attribute('10.210.0.0/24', 2), '0202fc005ba0', 'AS_TRANS');
      t.equal(router.heard.attribute('10.210.0.0/24', 17), '02020000fc00000493e0', 'and AS4_PATH');
    }
    watcher.withdraw(['10.210.0.0/24']);
    await until(() => !router.heard.routes.has('10.210.0.0/24'), 'withdrawn');

    if (has(habits, 2)) {
      const before = router.heard.announced.get(OURS)!;
      router.refresh();
      await until(() => router.heard.announced.get(OURS)! > before, 'our answer to a refresh');
      t.equal(host.speaker.command(address, 'refresh'), undefined);
      // Between speakers of enhanced refresh the request is the same (RFC 7313 §3.2).
      await until(() => router.heard.count('refresh 1/0') === 1, 'our request for a refresh');
      router.table(routes, HOP);
    } else {
      t.match(host.speaker.command(address, 'refresh'), /refresh/, 'refused, with the reason');
    }
    t.equal(router.closed, false);

    router.withdraw(ROUTES[0]!.prefix);
    await until(() => known().length === routes.length - 1, 'withdrawn by the router');
    router.say(habits.announce(habits, ROUTES[0]!, HOP));
    await until(() => known().length === routes.length, 'and again there');

    router.drop();
    await until(() => host.peer(address).state !== 'Established', 'the end of the session');
    const keeps = habits.capabilities.some(([code, value]) => code === 64 && value.length > 2);
    t.equal(known().length, keeps ? routes.length : 0, keeps ? 'kept as stale' : 'gone');
    router = await StandIn.dial(t, host, address, { ...restarting(habits), endOfRib: 'never' });
    // The forwarding bit says what is kept when it is back (RFC 4724 §4.2).
    await router.establish(routes.slice(1), HOP);
    router.say(END_OF_RIB, ...(ipv6 ? [END_OF_RIB_IPV6] : []));
    await until(() => known().length === routes.length - 1, 'what it did not say again is gone');
    const stale = [...host.speaker.routes({ peer: { address, direction: 'received' } })!].filter((row) => row.stale);
    t.same(stale, []);
    await until(() => router.heard.routes.has(OURS), 'our network at the restarted router');
  });
}
