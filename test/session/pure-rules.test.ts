/** The pure rules around the machine: collision, OPEN checks, offer and negotiation, back-off. */
import t from 'tap';
import { Role, decodeOpen, encodeOpen } from 'bgp-parse';
import type { Capability, OpenMessage } from 'bgp-parse';
import { BackOff } from '../../src/session/back-off.js';
import { collide, preferredInitiator } from '../../src/session/collision.js';
import type { ExistingConnection } from '../../src/session/collision.js';
import { hardReset, isHard } from '../../src/session/hard-reset.js';
import { negotiate } from '../../src/session/negotiate.js';
import { checkOpen } from '../../src/session/open-check.js';
import { OfferLevel, nextOffer, offerOpen } from '../../src/session/open-offer.js';
import { RestartPolicy } from '../../src/session/restart-policy.js';
import { bareAddress, peerKey, scopeOf } from '../../src/session/address.js';
import { ttlOptions } from '../../src/session/sockopt.js';
import { PEER_DEFAULTS } from '../fixtures/session-rig.js';

const LOW = { identifier: 1, asn: 65001 };
const HIGH = { identifier: 0x80000001, asn: 65002 };

t.test('collision: both ends keep the connection of the higher identifier', (t) => {
  t.equal(preferredInitiator(HIGH, LOW), 'local', 'identifiers are unsigned');
  t.equal(preferredInitiator(LOW, HIGH), 'peer');
  // RFC 6286 §2.3.
  t.equal(preferredInitiator({ ...LOW, asn: 70000 }, LOW), 'local', 'equal identifiers: the higher AS');
  t.equal(preferredInitiator(LOW, { ...LOW, asn: 70000 }), 'peer');

  const existing = (part: Partial<ExistingConnection>): ExistingConnection => ({
    state: 'OpenConfirm',
    initiator: 'local',
    establishedForMs: 0,
    gracefulRestart: false,
    ...part,
  });
  const newer = { initiator: 'peer' } as const;
  for (const state of ['OpenSent', 'OpenConfirm'] as const) {
    t.equal(collide(newer, existing({ state }), HIGH, LOW), 'closeNewer');
    t.equal(collide(newer, existing({ state }), LOW, HIGH), 'closeExisting');
  }
  t.equal(collide(newer, existing({ initiator: 'peer' }), HIGH, LOW), 'closeExisting', 'two of one side: the newer');
  t.equal(collide(newer, existing({ state: 'Connect' }), HIGH, LOW), 'none');
  const established = existing({ state: 'Established', establishedForMs: 60_000 });
  t.equal(collide(newer, established, LOW, HIGH), 'closeNewer', 'Established stays');
  t.equal(collide(newer, { ...established, gracefulRestart: true }, HIGH, LOW), 'closeExisting', 'RFC 4724 §5');
  const young = { ...established, gracefulRestart: true, establishedForMs: 100 };
  t.equal(collide(newer, young, LOW, HIGH), 'closeNewer', 'dialled at the same time is no restart');
  t.end();
});

const OPEN: OpenMessage = { version: 4, asn: 65001, holdTimeSeconds: 90, identifier: 7, capabilities: [] };
const as4 = (asn: number): Capability => ({ kind: 'fourOctetAs', asn });

t.test('OPEN check', (t) => {
  const local = { localAsn: 64512, localIdentifier: 5 };
  const accept: [Partial<OpenMessage>, number | 'internal' | 'external', number][] = [
    [{}, 65001, 65001],
    [{}, 'external', 65001],
    [{ asn: 64512 }, 'internal', 64512],
    [{ asn: 23456, capabilities: [as4(4200000000)] }, 4200000000, 4200000000],
    [{ holdTimeSeconds: 0 }, 65001, 65001],
    [{ holdTimeSeconds: 3 }, 65001, 65001],
    // RFC 6286 §2.2: equal identifiers are fine between autonomous systems.
    [{ identifier: 5 }, 65001, 65001],
    [{ identifier: 0xe0000001 }, 65001, 65001],
  ];
  for (const [open, peerAsn, asn] of accept) {
    t.equal(checkOpen({ ...OPEN, ...open }, { ...local, peerAsn }), asn, JSON.stringify(open));
  }
  const refuse: [Partial<OpenMessage>, number | 'internal' | 'external', number][] = [
    [{}, 65002, 2],
    [{}, 'internal', 2],
    [{ asn: 64512 }, 'external', 2],
    [{ asn: 0 }, 'external', 2],
    [{ asn: 23456 }, 'external', 2],
    [{ asn: 23456, capabilities: [as4(0)] }, 'external', 2],
    [{ capabilities: [as4(65009)] }, 65001, 2],
    [{ identifier: 0 }, 65001, 3],
    [{ asn: 64512, identifier: 5 }, 'internal', 3],
    [{ holdTimeSeconds: 1 }, 65001, 6],
    [{ holdTimeSeconds: 2 }, 65001, 6],
  ];
  for (const [open, peerAsn, subcode] of refuse) {
    const check = (): number => checkOpen({ ...OPEN, ...open }, { ...local, peerAsn });
    t.throws(check, { name: 'BgpError', code: 2, subcode }, `${JSON.stringify(open)} as ${peerAsn}`);
  }
  const asPeers = (): number => checkOpen(OPEN, { ...local, offeredAsn: 65001, peerAsn: 'external' });
  t.throws(asPeers, { name: 'BgpError', code: 2, subcode: 2 }, 'localAs is the AS number of the peer');
  t.end();
});

t.test('roles (RFC 9234 §4.2)', (t) => {
  const NAMES = ['provider', 'routeServer', 'routeServerClient', 'customer', 'peer'] as const;
  const pairs = ['provider customer', 'customer provider', 'routeServer routeServerClient', 'peer peer'];
  pairs.push('routeServerClient routeServer');
  const local = { localAsn: 64512, localIdentifier: 5, peerAsn: 'external' } as const;
  const open = (...roles: number[]): OpenMessage => ({
    ...OPEN,
    capabilities: roles.map((role) => ({ kind: 'role', role })),
  });
  for (const ours of NAMES) {
    for (const theirs of NAMES) {
      const check = (): number => checkOpen(open(Role[theirs]), { ...local, role: ours });
      if (pairs.includes(`${ours} ${theirs}`)) t.equal(check(), 65001, `${ours} and ${theirs}`);
      else t.throws(check, { code: 2, subcode: 11 }, `${ours} and ${theirs}`);
    }
    t.equal(checkOpen(open(), { ...local, role: ours }), 65001, 'a peer without a role');
    t.throws(() => checkOpen(open(), { ...local, role: ours, roleStrict: true }), { code: 2, subcode: 11 });
    t.throws(() => checkOpen(open(77), { ...local, role: ours }), { code: 2, subcode: 11 }, 'a role without a name');
  }
  const provider = { ...local, role: 'provider' } as const;
  t.equal(checkOpen(open(3, 3), provider), 65001, 'the same one twice');
  t.throws(() => checkOpen(open(3, 4), provider), { code: 2, subcode: 11 }, 'two different ones');
  t.equal(checkOpen(open(0), local), 65001, 'none of ours: theirs means nothing');
  t.end();
});

t.test('Hard Reset (RFC 8538)', (t) => {
  const cease = (subcode: number, more = {}) => ({ code: 6, subcode, data: Uint8Array.of(1, 65), ...more });
  const hard = Array.from({ length: 11 }, (_, subcode) => subcode).filter((subcode) => isHard(cease(subcode), true));
  t.same(hard, [1, 2, 3, 9, 10]);
  t.ok(isHard(cease(4, { hard: true }), true), 'asked for');
  t.notOk(isHard({ code: 3, subcode: 1, data: new Uint8Array(0) }, true), 'an error');
  for (let subcode = 0; subcode < 12; subcode++) t.equal(isHard(cease(subcode), false), subcode === 9, 'received');
  t.same(hardReset(cease(2)), { code: 6, subcode: 9, data: Uint8Array.of(6, 2, 1, 65) });
  t.same(hardReset(cease(9)), { code: 6, subcode: 9, data: Uint8Array.of(1, 65) }, 'not twice');
  t.end();
});

const CONTEXT = {
  localAsn: 64512,
  peerAsn: 64512,
  localAddress: Uint8Array.of(192, 0, 2, 1),
  peerAddress: Uint8Array.of(192, 0, 2, 2),
  localPort: 179,
  peerPort: 40000,
  keepaliveTimeSeconds: 30,
};
const OFFER = { localAsn: 4200000000, routerId: 9, level: OfferLevel.full, restarting: true } as const;
const RICH = {
  ...PEER_DEFAULTS,
  addPath: { send: 'all', receive: true },
  gracefulRestart: {
    restartTimeSeconds: 77,
    longLived: { staleTimeSeconds: { 'ipv4-unicast': 3600, 'ipv6-unicast': 3600 } },
  },
  role: 'customer',
  extendedNextHop: true,
} as const;

t.test('offer: everything the settings ask for, and over the wire unharmed', (t) => {
  const open = offerOpen(RICH, { ...OFFER, forwardingPreserved: ['ipv6-unicast'] });
  const bytes = encodeOpen(open);
  t.same(decodeOpen(bytes, 19, bytes.length), open);
  t.equal(open.asn, 23456, 'AS_TRANS');
  t.same(open.capabilities, [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'multiprotocol', afi: 2, safi: 1 },
    as4(4200000000),
    { kind: 'routeRefresh' },
    { kind: 'enhancedRouteRefresh' },
    { kind: 'extendedMessage' },
    { kind: 'extendedNextHop', entries: [{ afi: 1, safi: 1, nextHopAfi: 2 }] },
    {
      kind: 'gracefulRestart',
      restarting: true,
      notification: true,
      restartTimeSeconds: 77,
      families: [
        { afi: 1, safi: 1, forwardingPreserved: false },
        { afi: 2, safi: 1, forwardingPreserved: true },
      ],
    },
    {
      kind: 'longLivedGracefulRestart',
      families: [
        { afi: 1, safi: 1, forwardingPreserved: false, staleTimeSeconds: 3600 },
        { afi: 2, safi: 1, forwardingPreserved: true, staleTimeSeconds: 3600 },
      ],
    },
    { kind: 'role', role: 3 },
    {
      kind: 'addPath',
      entries: [
        { afi: 1, safi: 1, mode: 3 },
        { afi: 2, safi: 1, mode: 3 },
      ],
    },
  ]);
  const level = (level: OfferLevel): number =>
    offerOpen(RICH, { ...OFFER, level, forwardingPreserved: [] }).capabilities.length;
  t.equal(level(OfferLevel.essential), 3);
  t.equal(level(OfferLevel.none), 0);
  t.equal(nextOffer(OfferLevel.full, ['ipv6-unicast']), OfferLevel.essential);
  t.equal(nextOffer(OfferLevel.essential, ['ipv4-unicast']), OfferLevel.none);
  t.equal(nextOffer(OfferLevel.essential, ['ipv6-unicast']), undefined, 'without capabilities there is no IPv6');
  t.equal(nextOffer(OfferLevel.none, ['ipv4-unicast']), undefined);
  t.end();
});

t.test('negotiation', (t) => {
  const rich = offerOpen(RICH, { ...OFFER, forwardingPreserved: ['ipv4-unicast'] });
  const both = negotiate(rich, rich, CONTEXT);
  t.same(
    { ...both, peerCapabilities: both.peerCapabilities.length },
    {
      type: 'internal',
      localAsn: 64512,
      offeredAsn: 4200000000,
      peerAsn: 64512,
      peerIdentifier: 9,
      holdTimeSeconds: 90,
      keepaliveTimeSeconds: 30,
      families: ['ipv4-unicast', 'ipv6-unicast'],
      fourOctetAs: true,
      routeRefresh: true,
      enhancedRouteRefresh: true,
      maxMessageLength: 65535,
      addPathReceive: ['ipv4-unicast', 'ipv6-unicast'],
      addPathSend: ['ipv4-unicast', 'ipv6-unicast'],
      extendedNextHop: true,
      gracefulRestart: {
        restarting: true,
        notification: true,
        restartTimeSeconds: 77,
        families: ['ipv4-unicast', 'ipv6-unicast'],
        forwardingPreserved: ['ipv4-unicast'],
      },
      longLived: [
        { family: 'ipv4-unicast', forwardingPreserved: true, staleTimeSeconds: 3600 },
        { family: 'ipv6-unicast', forwardingPreserved: false, staleTimeSeconds: 3600 },
      ],
      peerRole: 3,
      localAddress: CONTEXT.localAddress,
      peerAddress: CONTEXT.peerAddress,
      localPort: 179,
      peerPort: 40000,
      peerCapabilities: 11,
    },
  );

  // RFC 4760 §8: no capability at all is IPv4 unicast, with 2-octet AS numbers and short messages.
  const plain = negotiate(rich, { ...OPEN, holdTimeSeconds: 10 }, { ...CONTEXT, peerAsn: 65001 });
  t.match(plain, {
    type: 'external',
    holdTimeSeconds: 10,
    keepaliveTimeSeconds: 3,
    families: ['ipv4-unicast'],
    fourOctetAs: false,
    routeRefresh: false,
    maxMessageLength: 4096,
    addPathReceive: [],
    addPathSend: [],
    extendedNextHop: false,
    gracefulRestart: undefined,
    peerCapabilities: [],
  });
  t.equal(negotiate(rich, { ...OPEN, holdTimeSeconds: 0 }, CONTEXT).keepaliveTimeSeconds, 0);

  const without = (kind: Capability['kind']): OpenMessage => ({
    ...rich,
    capabilities: rich.capabilities.filter((capability) => capability.kind !== kind),
  });
  t.equal(negotiate(rich, without('gracefulRestart'), CONTEXT).longLived, undefined, 'RFC 9494 §4.5');
  t.equal(negotiate(without('longLivedGracefulRestart'), rich, CONTEXT).longLived, undefined, 'we did not offer it');
  t.equal(negotiate(without('role'), rich, CONTEXT).peerRole, undefined);
  const silent = { ...rich.capabilities.find(({ kind }) => kind === 'gracefulRestart')!, notification: false };
  const old = { ...without('gracefulRestart'), capabilities: [...without('gracefulRestart').capabilities, silent] };
  t.equal(negotiate(rich, old as OpenMessage, CONTEXT).gracefulRestart!.notification, false, 'RFC 8538: both');
  t.equal(negotiate(old as OpenMessage, rich, CONTEXT).gracefulRestart!.notification, false);

  // RFC 7911 §4: one side's sending is the other's receiving.
  const oneWay = (mode: number): OpenMessage => ({
    ...OPEN,
    capabilities: [{ kind: 'addPath', entries: [{ afi: 1, safi: 1, mode }] }],
  });
  t.same(negotiate(rich, oneWay(1), CONTEXT).addPathSend, ['ipv4-unicast']);
  t.same(negotiate(rich, oneWay(1), CONTEXT).addPathReceive, []);
  t.same(negotiate(rich, oneWay(2), CONTEXT).addPathReceive, ['ipv4-unicast']);

  const evpn: OpenMessage = { ...OPEN, capabilities: [{ kind: 'multiprotocol', afi: 25, safi: 70 }] };
  t.throws(() => negotiate(rich, evpn, CONTEXT), { name: 'BgpError', code: 2, subcode: 7 }, 'no common family');
  const odd = [
    { kind: 'routeRefreshCisco' },
    { kind: 'unknown', code: 131, value: new Uint8Array(0) },
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    ...evpn.capabilities,
  ] as const;
  const names = negotiate(rich, { ...OPEN, capabilities: odd }, CONTEXT);
  t.same(names.peerCapabilities, [
    'routeRefreshCisco',
    'capability 131',
    'multiprotocol ipv4-unicast',
    'multiprotocol 25/70',
  ]);
  t.equal(names.routeRefresh, true, 'the old code counts');
  t.end();
});

t.test('back-off', (t) => {
  const backOff = new BackOff(30_000, () => 1);
  const errors = Array.from({ length: 8 }, () => backOff.afterErrorMs(0));
  t.same(errors, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  t.equal(backOff.afterErrorMs(60_000), 1000, 'a long session forgives');
  t.equal(backOff.afterErrorMs(0), 2000);
  const retries = Array.from({ length: 7 }, () => backOff.connectRetryMs());
  t.same(retries, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  backOff.reached();
  t.equal(backOff.connectRetryMs(), 1000);
  t.equal(backOff.afterLossMs(5000), 250, 'a lost session is tried again at once');
  const circle = Array.from({ length: 9 }, () => backOff.afterLossMs(100));
  t.same(circle, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000], 'unless it goes round in circles');
  t.equal(backOff.afterLossMs(5000), 250);
  t.equal(new BackOff(30_000, () => 0).afterErrorMs(0), 750, 'RFC 4271 §10: jitter of 0.75..1');
  t.end();
});

t.test('after an ending: wait, and whether the peer may end the wait', (t) => {
  const policy = (): RestartPolicy => new RestartPolicy(PEER_DEFAULTS, () => 1);
  const end = (code: number, subcode: number, sent: boolean) => ({ notification: { code, subcode, sent, hard: true } });
  const lost = { notification: undefined };
  const hold = (ending: ReturnType<typeof end> | typeof lost, livedMs = 10_000) =>
    policy().idleHold(ending, true, livedMs);
  t.same(hold(lost), { waitMs: 250, accepts: true, fellBack: false }, 'a lost connection');
  t.same(hold(end(6, 2, false)), { waitMs: 250, accepts: true, fellBack: false }, 'a Cease');
  t.same(hold(end(4, 0, true)), { waitMs: 250, accepts: true, fellBack: false }, 'the hold timer');
  t.same(hold(end(3, 1, true)), { waitMs: 1000, accepts: false, fellBack: false }, 'their error: they wait as well');
  t.same(hold(end(2, 2, false), 0), { waitMs: 1000, accepts: true, fellBack: false }, 'ours, as they say');
  const refused = policy();
  const levels = [7, 4, 7].map((subcode) => {
    const { fellBack } = refused.idleHold(end(2, subcode, false), true, 0);
    return [fellBack, refused.offerLevel];
  });
  t.same(levels, [
    [true, OfferLevel.essential],
    [true, OfferLevel.none],
    [false, OfferLevel.full],
  ]);
  t.match(policy().idleHold(end(2, 0, false), true, 0), { fellBack: true }, 'Unspecific may mean a capability');
  t.match(policy().idleHold(end(2, 0, true), true, 0), { fellBack: false }, 'but not where we say it');
  t.equal(policy().connectRetryMs('Connect'), 10_000, 'time for the kernel to repeat its SYN');
  t.equal(policy().connectRetryMs('Active'), 1000);
  t.end();
});

t.test('addresses as sockets spell them', (t) => {
  t.equal(bareAddress('::ffff:192.0.2.1'), '192.0.2.1');
  t.equal(bareAddress('fe80::1%eth0'), 'fe80::1');
  t.equal(scopeOf('fe80::1%eth0'), 'eth0');
  t.equal(scopeOf('fd00::1'), undefined);
  const linkLocal = new Uint8Array(16);
  linkLocal.set([0xfe, 0x80]);
  linkLocal[15] = 1;
  t.equal(peerKey(linkLocal, 'eth0'), 'fe80::1%eth0');
  t.equal(peerKey(Uint8Array.of(192, 0, 2, 1), 'eth0'), '192.0.2.1');
  t.end();
});

t.test('TTL: directly connected unless told otherwise', (t) => {
  const none = { multihop: undefined, ttlSecurityHops: undefined };
  t.same(ttlOptions(none, true), { ttl: 1, minTtl: undefined });
  t.same(ttlOptions(none, false), { ttl: undefined, minTtl: undefined });
  t.same(ttlOptions({ ...none, multihop: 4 }, true), { ttl: 4, minTtl: undefined });
  t.same(ttlOptions({ ...none, ttlSecurityHops: 1 }, true), { ttl: 255, minTtl: 255 });
  t.same(ttlOptions({ ...none, ttlSecurityHops: 3 }, true), { ttl: 255, minTtl: 253 });
  t.end();
});
