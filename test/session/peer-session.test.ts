/** Two sessions over real TCP on loopback: RFC 4271 §6.8 and §8 as they look from outside. */
import t from 'tap';
import { formatIpv4Number } from 'bgp-parse';
import { RawPeer, rawOpen } from '../fixtures/raw-peer.js';
import { openHost, until } from '../fixtures/session-rig.js';

t.test('one dials, one accepts: both are Established and agree', async (t) => {
  const a = await openHost('127.0.71.1');
  const b = await openHost('127.0.71.2');
  t.teardown(() => Promise.all([a.close(), b.close()]));
  const left = a.session(b.address, { routerId: 1, asn: 65001, localAsn: 64512, passive: true, port: b.port });
  const right = b.session(a.address, { routerId: 2, asn: 64512, localAsn: 65001, port: a.port, holdTimeSeconds: 9 });
  left.session.start();
  t.equal(left.session.state, 'Active', 'passive waits in Active');
  right.session.start();
  await until(() => left.session.established && right.session.established, 'both Established');
  t.same(left.listener.negotiated?.families, ['ipv4-unicast', 'ipv6-unicast']);
  t.equal(left.listener.negotiated?.holdTimeSeconds, 9, 'the smaller hold time');
  t.equal(left.listener.negotiated?.keepaliveTimeSeconds, 3);
  t.equal(left.listener.negotiated?.type, 'external');
  t.equal(left.listener.negotiated?.peerAsn, 65001);
  t.equal(formatIpv4Number(right.listener.negotiated!.peerIdentifier), '0.0.0.1');
  t.equal(right.listener.negotiated?.maxMessageLength, 65535);
  t.equal(right.listener.negotiated?.peerPort, a.port);
  t.same(right.listener.negotiated?.localAddress, Uint8Array.of(127, 0, 71, 2));

  await left.session.stop(2, 'maintenance');
  await until(() => right.listener.downs.length > 0, 'the Cease arrives');
  t.equal(right.listener.downs[0]?.text, 'peer sent Cease/Administrative Shutdown: maintenance');
  t.same(right.listener.downs[0]?.notification, { code: 6, subcode: 2, sent: false, hard: true });
  t.equal(left.session.state, 'Idle');
  t.same(left.listener.events, ['established', 'down']);
});

t.test('both dial at once, again and again: one connection survives', async (t) => {
  for (let round = 0; round < 40; round++) {
    const a = await openHost('127.0.72.1');
    const b = await openHost('127.0.72.2');
    const ids = round % 2 === 0 ? [1, 2] : [2, 1];
    const left = a.session(b.address, { routerId: ids[0]!, port: b.port });
    const right = b.session(a.address, { routerId: ids[1]!, port: a.port });
    left.session.start();
    right.session.start();
    await until(() => left.session.established && right.session.established, 'both Established');
    // A little more traffic: a collision that is still being fought out would show as `down`.
    left.session.sendRouteRefresh('ipv4-unicast');
    right.session.sendRouteRefresh('ipv4-unicast');
    const refreshed = (events: string[]): boolean => events.includes('refresh ipv4-unicast 0');
    await until(() => refreshed(left.listener.events) && refreshed(right.listener.events), 'refreshes both ways');
    t.same(left.listener.downs, [], `round ${round}`);
    t.same(right.listener.downs, []);
    t.equal(left.listener.negotiated?.localPort, right.listener.negotiated?.peerPort, 'the same connection');
    t.equal(left.listener.negotiated?.peerPort, right.listener.negotiated?.localPort);
    await Promise.all([a.close(), b.close()]);
  }
});

t.test('collision with equal identifiers: it is the AS number that the peer sees of us that counts', async (t) => {
  // RFC 6286 §2.3: the larger one. Our real one is 64512.
  for (const [localAs, asn, stays] of [
    [64700, 64600, 'ours'],
    [64300, 64400, "the peer's"],
  ] as const) {
    const here = '127.0.72.11';
    const there = '127.0.72.12';
    const raw = await RawPeer.listen(there);
    const host = await openHost(here);
    t.teardown(() => Promise.all([raw.close(), host.close()]));
    const options = { asn, localAs: { asn: localAs, noPrepend: false, replaceAs: false, dualAs: false } };
    const { session } = host.session(there, { ...options, routerId: 9, port: raw.port });
    session.start();
    const ours = await raw.connection(0);
    const theirs = await raw.dial(here, host.port, there);
    await Promise.all([ours.open(), theirs.open()]);
    const open = rawOpen({ asn, identifier: 9, capabilities: [{ kind: 'fourOctetAs', asn }] });
    const [kept, lost] = localAs > asn ? [ours, theirs] : [theirs, ours];
    kept.send(open);
    lost.send(open);
    const { code, subcode } = await lost.notification();
    t.same([code, subcode], [6, 7], `${localAs}: ${stays} stays`);
    t.notOk(kept.closed);
  }
});
