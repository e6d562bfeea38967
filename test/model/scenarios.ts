/**
 * Scenarios as data: one rule each, with the clause it stands in, what happens, and what has to be seen then. They are
 * played to the model and to the real RIB alike; expectations were written from the RFCs, not taken from either.
 *
 * The speaker is AS 64512, router and cluster id 10.0.0.100. Its peers: `i1`, `i2` internal, `c1`, `c2` internal and
 * clients, `e1`, `e3` external in AS 65001, `e2` external in AS 65002.
 */
import {
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  type PathAttributes,
  type Peer,
  type Segment,
} from './attributes.js';
import type { SpeakerIdentity } from './model.js';
import type { Operation } from './operations.js';

export const SPEAKER: SpeakerIdentity = {
  asn: 64512,
  routerId: '10.0.0.100',
  clusterId: '10.0.0.100',
  ownAddresses: ['10.0.0.100', '192.0.2.100', '2001:db8::100'],
};

export interface Scenario {
  readonly name: string;
  /** The clause it was written from. */
  readonly rfc: string;
  readonly operations: readonly Operation[];
  /** By prefix: whose path is best (`us` = ours, null = nobody's) and why every candidate is where it is. */
  readonly verdicts?: Readonly<Record<string, { best: string | null; reasons: Readonly<Record<string, string>> }>>;
  /** By peer and prefix: exactly these attributes, or null = not advertised. */
  readonly advertised?: Readonly<Record<string, Readonly<Record<string, PathAttributes | null>>>>;
  /** By prefix: the next hop for the kernel, null = none. */
  readonly fib?: Readonly<Record<string, string | null>>;
}

const internal = (id: string, n: number, more: Partial<Peer> = {}): Peer => ({
  id,
  address: `10.0.0.${n}`,
  type: 'internal',
  asn: 64512,
  routerId: `10.0.0.${n}`,
  client: false,
  families: ['ipv4-unicast', 'ipv6-unicast'],
  nextHopSelf: false,
  localAddress4: '10.0.0.100',
  localAddress6: '2001:db8::100',
  ...more,
});
const external = (id: string, n: number, asn: number, more: Partial<Peer> = {}): Peer => ({
  ...internal(id, n),
  address: `192.0.2.${n}`,
  routerId: `192.0.2.${n}`,
  type: 'external',
  asn,
  importAccept: true,
  exportAccept: true,
  localAddress4: '192.0.2.100',
  ...more,
});

export const PEERS = {
  i1: internal('i1', 1),
  i2: internal('i2', 2),
  c1: internal('c1', 11, { client: true }),
  c2: internal('c2', 12, { client: true }),
  e1: external('e1', 1, 65001),
  e2: external('e2', 2, 65002),
  e3: external('e3', 3, 65001),
} satisfies Record<string, Peer>;
type PeerName = keyof typeof PEERS;

export const sequence = (...asns: number[]): Segment[] => (asns.length > 0 ? [{ kind: 'sequence', asns }] : []);
const attributes = (asns: number[], nextHop: string, more: Partial<PathAttributes> = {}): PathAttributes => ({
  origin: 0,
  asPath: sequence(...asns),
  nextHop,
  ...more,
});

const P = '203.0.113.0/24';
const P6 = '2001:db8:1::/48';

const up = (...names: PeerName[]): Operation[] => names.map((name) => ({ op: 'establish', peer: PEERS[name] }));
const upWith = (name: PeerName, more: Partial<Peer>): Operation => ({
  op: 'establish',
  peer: { ...PEERS[name], ...more },
});
const reach = (address: string, metric = 0): Operation => ({ op: 'nextHop', address, metric });
const lose = (address: string): Operation => ({ op: 'nextHop', address });
/** `peer` says the prefix is reachable by itself, through these ASes. RFC 4271 §5: internal peers always say LOCAL_PREF. */
const say = (peer: PeerName, asns: number[], more: Partial<PathAttributes> = {}, prefix = P): Operation => ({
  op: 'announce',
  peer,
  prefix,
  attributes: attributes(asns, PEERS[peer].address, {
    ...(PEERS[peer].type === 'internal' ? { localPref: 100 } : {}),
    ...more,
  }),
});
const everyone = Object.keys(PEERS) as PeerName[];
const start: Operation[] = [...up(...everyone), ...everyone.map((name) => reach(PEERS[name].address))];

/** Two paths that differ at one step of the ladder and, the other way round, at every later one. */
const contest = (best: string, reasons: Record<string, string>) => ({ verdicts: { [P]: { best, reasons } } });

export const SCENARIOS: readonly Scenario[] = [
  // ---- eligibility -------------------------------------------------------------------------------------------------
  {
    name: 'an external peer without an import policy tells nothing',
    rfc: 'RFC 8212 §2',
    operations: [...start, { op: 'establish', peer: withoutPolicy(PEERS.e1) }, say('e1', [65001])],
    verdicts: { [P]: { best: null, reasons: { e1: 'import-rejected' } } },
    advertised: { i1: { [P]: null } },
    fib: { [P]: null },
  },
  {
    name: 'our AS in the AS_PATH of an external path is a loop',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, say('e1', [65001, 64512, 65009])],
    verdicts: { [P]: { best: null, reasons: { e1: 'as-loop' } } },
  },
  {
    name: 'our AS inside an AS_SET of an internal path is a loop',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, say('i1', [], { asPath: [...sequence(65001), { kind: 'set', asns: [7, 64512] }] })],
    verdicts: { [P]: { best: null, reasons: { i1: 'as-loop' } } },
  },
  {
    name: 'our router id as ORIGINATOR_ID is a loop',
    rfc: 'RFC 4456 §8',
    operations: [...start, say('i1', [], { originatorId: '10.0.0.100', clusterList: ['9.9.9.9'] })],
    verdicts: { [P]: { best: null, reasons: { i1: 'originator-loop' } } },
  },
  {
    name: 'our cluster id anywhere in CLUSTER_LIST is a loop',
    rfc: 'RFC 4456 §8',
    operations: [...start, say('i1', [], { originatorId: '10.0.0.9', clusterList: ['9.9.9.9', '10.0.0.100'] })],
    verdicts: { [P]: { best: null, reasons: { i1: 'cluster-loop' } } },
  },
  {
    name: 'ORIGINATOR_ID, CLUSTER_LIST and LOCAL_PREF of an external peer are not heard',
    rfc: 'RFC 7606 §7.5, §7.9, §7.10',
    operations: [
      ...start,
      say('e1', [65001], { originatorId: '10.0.0.100', clusterList: ['10.0.0.100'], localPref: 500 }),
      say('i1', [65009, 65010], { localPref: 101 }),
    ],
    ...contest('i1', { i1: 'local-pref', e1: 'local-pref' }),
  },
  {
    name: 'an unreachable next hop, then reachable, then lost again',
    rfc: 'RFC 4271 §9.1.2.1',
    operations: [...start, lose('192.0.2.1'), say('e1', [65001]), reach('192.0.2.1'), lose('192.0.2.1')],
    verdicts: { [P]: { best: null, reasons: { e1: 'next-hop-unreachable' } } },
    advertised: { i1: { [P]: null } },
  },
  {
    name: 'a next hop that becomes reachable makes its path best',
    rfc: 'RFC 4271 §9.1.2.1',
    operations: [...start, lose('192.0.2.1'), say('e1', [65001]), say('e2', [65002, 7]), reach('192.0.2.1')],
    ...contest('e1', { e1: 'as-path-length', e2: 'as-path-length' }),
  },
  {
    name: 'our own address as next hop is never used',
    rfc: 'RFC 4271 §5.1.3',
    operations: [...start, reach('10.0.0.100'), say('i1', [], { nextHop: '10.0.0.100' })],
    verdicts: { [P]: { best: null, reasons: { i1: 'next-hop-unreachable' } } },
  },
  {
    name: "an external path that does not begin with the peer's AS takes back what the peer said before",
    rfc: 'RFC 4271 §6.3, RFC 7606 §7.2',
    operations: [...start, say('e1', [65001]), say('e1', [65002])],
    verdicts: { [P]: { best: null, reasons: {} } },
  },
  {
    name: 'a path with confederation segments takes back what the peer said before: we are in no confederation',
    rfc: 'RFC 5065 §5, RFC 7606 §7.2',
    operations: [
      ...start,
      say('i1', []),
      say('i1', [], { asPath: [{ kind: 'confedSequence', asns: [65001] }] }),
      say('i2', [], { asPath: [...sequence(4), { kind: 'confedSet', asns: [65001] }] }),
    ],
    verdicts: { [P]: { best: null, reasons: {} } },
  },
  {
    name: 'a family that was not negotiated is not heard and not told',
    rfc: 'RFC 4760 §8',
    operations: [
      ...start,
      upWith('e1', { families: ['ipv4-unicast'] }),
      say('i1', [], { nextHop: '2001:db8::1' }, P6),
      reach('2001:db8::1'),
    ],
    advertised: { e1: { [P6]: null }, c1: { [P6]: reflected('i1', attributes([], '2001:db8::1')) } },
  },

  // ---- decision: each path that wins at a step would lose at every later one ---------------------------------------
  {
    name: 'a single path needs no reason',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, say('e1', [65001])],
    ...contest('e1', { e1: 'only-path' }),
    fib: { [P]: '192.0.2.1' },
  },
  {
    name: 'ineligible paths are no rivals',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, say('e1', [65001]), say('i1', [64512])],
    ...contest('e1', { e1: 'only-path', i1: 'as-loop' }),
  },
  {
    name: 'what we originate wins over everything and is not installed',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, say('i1', [], { localPref: 4294967295 }), { op: 'originate', prefix: P }],
    ...contest('us', { us: 'local-origin', i1: 'local-origin' }),
    fib: { [P]: null },
  },
  {
    name: 'what we no longer originate is learned again',
    rfc: 'RFC 4271 §9.1.2',
    operations: [...start, { op: 'originate', prefix: P }, say('i1', []), { op: 'unoriginate', prefix: P }],
    ...contest('i1', { i1: 'only-path' }),
    fib: { [P]: '10.0.0.1' },
  },
  {
    name: 'highest LOCAL_PREF',
    rfc: 'RFC 4271 §9.1.1',
    operations: [...start, say('i1', [1, 2, 3], { localPref: 101, origin: 2, med: 9 }), say('e1', [65001])],
    ...contest('i1', { i1: 'local-pref', e1: 'local-pref' }),
  },
  {
    name: 'LOCAL_PREF is unsigned',
    rfc: 'RFC 4271 §4.3',
    operations: [...start, say('i1', [1], { localPref: 2147483648 }), say('i2', [], { localPref: 2147483647 })],
    ...contest('i1', { i1: 'local-pref', i2: 'local-pref' }),
  },
  {
    name: 'shortest AS_PATH',
    rfc: 'RFC 4271 §9.1.2.2 a',
    operations: [...start, say('i1', [7], { localPref: 100, origin: 2 }), say('e1', [65001, 7])],
    ...contest('i1', { i1: 'as-path-length', e1: 'as-path-length' }),
  },
  {
    name: 'an AS_SET counts as one',
    rfc: 'RFC 4271 §9.1.2.2 a',
    operations: [
      ...start,
      say('i1', [], { asPath: [...sequence(4), { kind: 'set', asns: [5, 6, 7] }] }),
      say('e1', [65001, 8, 9]),
    ],
    ...contest('i1', { i1: 'as-path-length', e1: 'as-path-length' }),
  },
  {
    name: 'lowest ORIGIN',
    rfc: 'RFC 4271 §9.1.2.2 b',
    operations: [...start, say('i1', [65001], { origin: 1, med: 9 }), say('e1', [65001], { origin: 2, med: 1 })],
    ...contest('i1', { i1: 'origin', e1: 'origin' }),
  },
  {
    name: 'lowest MED from the same AS',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [...start, say('i1', [65001], { med: 1 }), say('e1', [65001], { med: 2 })],
    ...contest('i1', { i1: 'med', e1: 'med' }),
  },
  {
    name: 'a missing MED is the lowest',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [...start, say('e3', [65001]), say('e1', [65001], { med: 1 })],
    ...contest('e3', { e3: 'med', e1: 'med' }),
  },
  {
    name: 'the MEDs of different ASes are not compared',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [...start, say('e1', [65001], { med: 9 }), say('e2', [65002], { med: 1 })],
    ...contest('e1', { e1: 'router-id', e2: 'router-id' }),
  },
  {
    name: 'MED throws out a path that a later step would have chosen, whatever came first',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [
      ...start,
      say('e1', [65001], { med: 9 }),
      say('e2', [65002], { med: 50 }),
      say('e3', [65001], { med: 1 }),
    ],
    ...contest('e2', { e2: 'router-id', e3: 'router-id', e1: 'med' }),
  },
  {
    name: 'the same, arriving the other way round',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [
      ...start,
      say('e3', [65001], { med: 1 }),
      say('e2', [65002], { med: 50 }),
      say('e1', [65001], { med: 9 }),
    ],
    ...contest('e2', { e2: 'router-id', e3: 'router-id', e1: 'med' }),
  },
  {
    name: 'internal paths with an empty AS_PATH come from one AS: ours',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [...start, say('i1', [], { med: 2 }), say('i2', [], { med: 1 })],
    ...contest('i2', { i2: 'med', i1: 'med' }),
  },
  {
    name: 'so do those that begin with an AS_SET',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [
      ...start,
      say('i1', [], { med: 2, asPath: [{ kind: 'set', asns: [5] }] }),
      say('i2', [], { med: 1, asPath: [{ kind: 'set', asns: [6] }] }),
    ],
    ...contest('i2', { i2: 'med', i1: 'med' }),
  },
  {
    name: 'external before internal',
    rfc: 'RFC 4271 §9.1.2.2 d',
    operations: [...start, reach('192.0.2.2', 500), say('e2', [65002]), say('i1', [65009])],
    ...contest('e2', { e2: 'external', i1: 'external' }),
  },
  {
    name: 'nearest next hop',
    rfc: 'RFC 4271 §9.1.2.2 e',
    operations: [...start, reach('10.0.0.1', 20), reach('10.0.0.2', 10), say('i1', [7]), say('i2', [8])],
    ...contest('i2', { i2: 'next-hop-metric', i1: 'next-hop-metric' }),
  },
  {
    name: 'a next hop that moves away loses',
    rfc: 'RFC 4271 §9.1.2.2 e',
    operations: [...start, say('i1', [7]), say('i2', [8]), reach('10.0.0.1', 11)],
    ...contest('i2', { i2: 'next-hop-metric', i1: 'next-hop-metric' }),
  },
  {
    name: 'lowest BGP identifier',
    rfc: 'RFC 4271 §9.1.2.2 f',
    operations: [...start, upWith('i1', { routerId: '200.0.0.1' }), say('i1', [7]), say('i2', [8])],
    ...contest('i2', { i2: 'router-id', i1: 'router-id' }),
  },
  {
    name: 'ORIGINATOR_ID stands in for the identifier',
    rfc: 'RFC 4456 §9',
    operations: [
      ...start,
      say('i1', [7], { originatorId: '10.0.0.9', clusterList: ['1.1.1.1'] }),
      say('i2', [8], { originatorId: '10.0.0.8', clusterList: ['1.1.1.1', '2.2.2.2'] }),
    ],
    ...contest('i2', { i2: 'router-id', i1: 'router-id' }),
  },
  {
    name: 'shortest CLUSTER_LIST',
    rfc: 'RFC 4456 §9',
    operations: [
      ...start,
      say('i1', [7], { originatorId: '10.0.0.9', clusterList: ['1.1.1.1', '2.2.2.2'] }),
      say('i2', [8], { originatorId: '10.0.0.9', clusterList: ['3.3.3.3'] }),
    ],
    ...contest('i2', { i2: 'cluster-list-length', i1: 'cluster-list-length' }),
  },
  {
    name: 'lowest peer address',
    rfc: 'RFC 4271 §9.1.2.2 g',
    operations: [
      ...start,
      say('i2', [7], { originatorId: '10.0.0.9', clusterList: ['1.1.1.1'] }),
      say('c1', [8], { originatorId: '10.0.0.9', clusterList: ['3.3.3.3'] }),
    ],
    ...contest('i2', { i2: 'peer-address', c1: 'peer-address' }),
  },
  {
    name: 'an IPv4 peer address before an IPv6 one',
    rfc: 'RFC 4271 §9.1.2.2 g',
    operations: [
      ...start,
      upWith('i1', { address: '1::1', routerId: '10.0.0.2' }),
      say('i1', [7], { nextHop: '10.0.0.1' }),
      say('i2', [8]),
    ],
    ...contest('i2', { i2: 'peer-address', i1: 'peer-address' }),
  },

  // ---- changes -----------------------------------------------------------------------------------------------------
  {
    name: 'an announcement replaces what the same peer said before',
    rfc: 'RFC 4271 §9',
    operations: [...start, say('e1', [65001]), say('e2', [65002, 7]), say('e1', [65001, 7, 8])],
    ...contest('e2', { e2: 'as-path-length', e1: 'as-path-length' }),
  },
  {
    name: 'a withdrawal uncovers the next best',
    rfc: 'RFC 4271 §9',
    operations: [...start, say('e1', [65001]), say('e2', [65002, 7]), { op: 'withdraw', peer: 'e1', prefix: P }],
    ...contest('e2', { e2: 'only-path' }),
    advertised: { e2: { [P]: null }, e1: { [P]: attributes([64512, 65002, 7], '192.0.2.100') } },
  },
  {
    name: 'a lost session takes its paths along, and gets none',
    rfc: 'RFC 4271 §6',
    operations: [...start, say('e1', [65001]), say('e2', [65002, 7]), { op: 'down', peer: 'e1' }],
    ...contest('e2', { e2: 'only-path' }),
    advertised: { e1: { [P]: null } },
    fib: { [P]: '192.0.2.2' },
  },

  // ---- graceful restart, helper's side -----------------------------------------------------------------------------
  {
    name: 'a stale path stays best while its peer restarts',
    rfc: 'RFC 4724 §4.2',
    operations: [...start, say('e1', [65001]), say('e2', [65002, 7]), { op: 'down', peer: 'e1', keepStale: true }],
    ...contest('e1', { e1: 'as-path-length', e2: 'as-path-length' }),
    fib: { [P]: '192.0.2.1' },
  },
  {
    name: 'End-of-RIB removes what was not announced again, in its family only',
    rfc: 'RFC 4724 §4.2',
    operations: [
      ...start,
      reach('2001:db8::1'),
      say('i1', []),
      say('i1', [], {}, '198.51.100.0/24'),
      say('i1', [], { nextHop: '2001:db8::1' }, P6),
      { op: 'down', peer: 'i1', keepStale: true },
      ...up('i1'),
      say('i1', [], {}, '198.51.100.0/24'),
      { op: 'endOfRib', peer: 'i1', family: 'ipv4-unicast' },
    ],
    fib: { [P]: null, '198.51.100.0/24': '10.0.0.1', [P6]: '2001:db8::1' },
  },
  {
    name: 'a second restart removes what was still stale',
    rfc: 'RFC 4724 §4.2',
    operations: [
      ...start,
      say('i1', []),
      say('i1', [], {}, '198.51.100.0/24'),
      { op: 'down', peer: 'i1', keepStale: true },
      ...up('i1'),
      say('i1', [], {}, '198.51.100.0/24'),
      { op: 'down', peer: 'i1', keepStale: true },
    ],
    fib: { [P]: null, '198.51.100.0/24': '10.0.0.1' },
  },
  {
    name: 'a family whose forwarding state the peer lost is removed as soon as it is back',
    rfc: 'RFC 4724 §4.2',
    operations: [
      ...start,
      reach('2001:db8::1'),
      say('i1', []),
      say('i1', [], { nextHop: '2001:db8::1' }, P6),
      { op: 'down', peer: 'i1', keepStale: true },
      { op: 'establish', peer: PEERS.i1, preserved: ['ipv6-unicast'] },
    ],
    fib: { [P]: null, [P6]: '2001:db8::1' },
  },

  {
    name: 'what was kept of one speaker is not taken for another one at the same address',
    rfc: 'RFC 4456 §8, RFC 4271 §9.1.2.2 f',
    operations: [
      ...start,
      say('c1', []),
      { op: 'down', peer: 'c1', keepStale: true },
      upWith('c1', { routerId: '10.0.0.99' }),
    ],
    verdicts: { [P]: { best: null, reasons: {} } },
    advertised: { i1: { [P]: null }, e1: { [P]: null } },
  },
  {
    name: 'nor is what a client told taken for the word of a non-client',
    rfc: 'RFC 4456 §6',
    operations: [...start, say('c1', []), { op: 'down', peer: 'c1', keepStale: true }, upWith('c1', { client: false })],
    verdicts: { [P]: { best: null, reasons: {} } },
    advertised: { i1: { [P]: null }, e1: { [P]: null } },
  },

  // ---- to whom -----------------------------------------------------------------------------------------------------
  {
    name: 'an external path goes to everybody but its source',
    rfc: 'RFC 4271 §9.1.3',
    operations: [...start, say('e1', [65001], { med: 5 })],
    advertised: {
      e1: { [P]: null },
      e2: { [P]: attributes([64512, 65001], '192.0.2.100') },
      e3: { [P]: attributes([64512, 65001], '192.0.2.100') },
      i1: { [P]: attributes([65001], '192.0.2.1', { med: 5, localPref: 100 }) },
      c1: { [P]: attributes([65001], '192.0.2.1', { med: 5, localPref: 100 }) },
    },
  },
  {
    name: 'a path of an internal non-client goes to clients and external peers only',
    rfc: 'RFC 4456 §6 (1)',
    operations: [...start, say('i1', [7], { med: 5, localPref: 200 })],
    advertised: {
      i1: { [P]: null },
      i2: { [P]: null },
      c1: { [P]: reflected('i1', attributes([7], '10.0.0.1', { med: 5, localPref: 200 })) },
      e1: { [P]: attributes([64512, 7], '192.0.2.100') },
    },
  },
  {
    name: 'a path of a client goes to everybody but its source',
    rfc: 'RFC 4456 §6 (2)',
    operations: [...start, say('c1', [7])],
    advertised: {
      c1: { [P]: null },
      c2: { [P]: reflected('c1', attributes([7], '10.0.0.11')) },
      i1: { [P]: reflected('c1', attributes([7], '10.0.0.11')) },
      e1: { [P]: attributes([64512, 7], '192.0.2.100') },
    },
  },
  {
    name: 'without an export policy an external peer is told nothing',
    rfc: 'RFC 8212 §2',
    operations: [...start, { op: 'establish', peer: withoutPolicy(PEERS.e1) }, { op: 'originate', prefix: P }],
    advertised: { e1: { [P]: null }, e2: { [P]: attributes([64512], '192.0.2.100') } },
  },
  {
    name: 'NO_EXPORT stays inside the AS',
    rfc: 'RFC 1997',
    operations: [...start, say('e1', [65001], { communities: [65001, NO_EXPORT] })],
    advertised: {
      e2: { [P]: null },
      i1: { [P]: attributes([65001], '192.0.2.1', { communities: [65001, NO_EXPORT], localPref: 100 }) },
    },
  },
  {
    name: 'NO_EXPORT_SUBCONFED stays inside the AS',
    rfc: 'RFC 1997',
    operations: [...start, say('c1', [7], { communities: [NO_EXPORT_SUBCONFED] })],
    advertised: {
      e2: { [P]: null },
      i1: { [P]: reflected('c1', attributes([7], '10.0.0.11', { communities: [NO_EXPORT_SUBCONFED] })) },
    },
  },
  {
    name: 'NO_ADVERTISE goes nowhere, and is used here',
    rfc: 'RFC 1997',
    operations: [...start, say('c1', [7], { communities: [NO_ADVERTISE] })],
    advertised: { e2: { [P]: null }, i1: { [P]: null }, c2: { [P]: null } },
    fib: { [P]: '10.0.0.11' },
  },
  {
    name: 'a path is sent even to an AS that it passed',
    rfc: 'RFC 4271 §9.1.3',
    operations: [...start, say('e1', [65001, 65002])],
    advertised: { e2: { [P]: attributes([64512, 65001, 65002], '192.0.2.100') } },
  },

  // ---- with which attributes ---------------------------------------------------------------------------------------
  {
    name: 'what we originate: our AS and address outside, LOCAL_PREF inside',
    rfc: 'RFC 4271 §5.1',
    operations: [...start, { op: 'originate', prefix: P }, { op: 'originate', prefix: P6 }],
    advertised: {
      e1: { [P]: attributes([64512], '192.0.2.100'), [P6]: attributes([64512], '2001:db8::100') },
      i1: {
        [P]: attributes([], '10.0.0.100', { localPref: 100 }),
        [P6]: attributes([], '2001:db8::100', { localPref: 100 }),
      },
    },
  },
  {
    name: 'nextHopSelf changes what came from outside',
    rfc: 'RFC 4271 §5.1.3',
    operations: [...start, upWith('i1', { nextHopSelf: true }), say('e1', [65001])],
    advertised: {
      i1: { [P]: attributes([65001], '10.0.0.100', { localPref: 100 }) },
      i2: { [P]: attributes([65001], '192.0.2.1', { localPref: 100 }) },
    },
  },
  {
    name: 'nextHopSelf spares what is reflected',
    rfc: 'RFC 4456 §10',
    operations: [...start, upWith('c2', { nextHopSelf: true }), say('c1', [7])],
    advertised: { c2: { [P]: reflected('c1', attributes([7], '10.0.0.11')) } },
  },
  {
    name: 'a second reflector keeps the originator and adds its cluster in front',
    rfc: 'RFC 4456 §8',
    operations: [...start, say('i1', [7], { originatorId: '10.0.0.9', clusterList: ['1.1.1.1'], localPref: 50 })],
    advertised: {
      c1: {
        [P]: attributes([7], '10.0.0.1', {
          originatorId: '10.0.0.9',
          clusterList: ['10.0.0.100', '1.1.1.1'],
          localPref: 50,
        }),
      },
      e1: { [P]: attributes([64512, 7], '192.0.2.100') },
    },
  },
  {
    name: 'unknown transitive attributes travel on as Partial, aggregation and communities untouched',
    rfc: 'RFC 4271 §5, §9',
    operations: [
      ...start,
      say('e1', [65001], {
        atomicAggregate: true,
        aggregator: { asn: 65001, address: '192.0.2.1' },
        communities: [65001],
        largeCommunities: ['65001:1:2'],
        unknown: [{ type: 200, partial: false, hex: 'c0ffee' }],
      }),
    ],
    advertised: {
      e2: {
        [P]: attributes([64512, 65001], '192.0.2.100', {
          atomicAggregate: true,
          aggregator: { asn: 65001, address: '192.0.2.1' },
          communities: [65001],
          largeCommunities: ['65001:1:2'],
          unknown: [{ type: 200, partial: true, hex: 'c0ffee' }],
        }),
      },
    },
  },
  {
    name: 'IPv4 by way of IPv6: only from and to peers that know of it',
    rfc: 'RFC 8950 §4',
    operations: [
      ...start,
      upWith('c1', { extendedNextHop: true }),
      upWith('c2', { extendedNextHop: true }),
      reach('2001:db8::1'),
      say('c1', [], { nextHop: '2001:db8::1' }),
      say('e1', [65001], {}, '198.51.100.0/24'),
      say('e1', [65001], { nextHop: '2001:db8::1' }, '198.51.100.0/24'),
    ],
    verdicts: { '198.51.100.0/24': { best: null, reasons: {} } },
    advertised: {
      c2: { [P]: reflected('c1', attributes([], '2001:db8::1')) },
      i1: { [P]: null },
      e1: { [P]: attributes([64512], '192.0.2.100') },
    },
    fib: { [P]: '2001:db8::1' },
  },
  {
    name: 'without an IPv4 address our IPv6 one is the next hop, for who understands it',
    rfc: 'RFC 8950 §4',
    operations: [
      ...start,
      { op: 'establish', peer: { ...withoutIpv4(PEERS.e1), extendedNextHop: true } },
      { op: 'establish', peer: withoutIpv4(PEERS.e2) },
      { op: 'originate', prefix: P },
    ],
    advertised: { e1: { [P]: attributes([64512], '2001:db8::100') }, e2: { [P]: null } },
  },
  {
    name: 'a link-local next hop stays on its link',
    rfc: 'RFC 2545 §3',
    operations: [
      ...start,
      reach('2001:db8::1'),
      say('e1', [65001], { nextHop: '2001:db8::1', linkLocalNextHop: 'fe80::1' }, P6),
    ],
    advertised: {
      i1: { [P6]: attributes([65001], '2001:db8::1', { localPref: 100 }) },
      e2: { [P6]: attributes([64512, 65001], '2001:db8::100') },
    },
  },
  {
    name: 'our AS goes before an AS_SET in a segment of its own',
    rfc: 'RFC 4271 §5.1.2',
    operations: [...start, say('i1', [], { asPath: [{ kind: 'set', asns: [8, 9] }] })],
    advertised: {
      e1: { [P]: attributes([], '192.0.2.100', { asPath: [...sequence(64512), { kind: 'set', asns: [8, 9] }] }) },
    },
  },
  {
    name: 'our AS goes before a full segment in a segment of its own',
    rfc: 'RFC 4271 §5.1.2',
    operations: [
      ...start,
      say('i1', new Array<number>(255).fill(7)),
      say('i2', new Array<number>(254).fill(7), {}, '198.51.100.0/24'),
    ],
    advertised: {
      e1: {
        [P]: attributes([], '192.0.2.100', {
          asPath: [...sequence(64512), ...sequence(...new Array<number>(255).fill(7))],
        }),
        '198.51.100.0/24': attributes([64512, ...new Array<number>(254).fill(7)], '192.0.2.100'),
      },
    },
  },
  {
    name: 'without an address of the family we cannot be the next hop, so the prefix stays here',
    rfc: 'RFC 4271 §5.1.3, RFC 2545 §3',
    operations: [
      ...start,
      { op: 'establish', peer: withoutIpv6(PEERS.e1) },
      { op: 'originate', prefix: P6 },
      { op: 'originate', prefix: P },
    ],
    advertised: { e1: { [P6]: null, [P]: attributes([64512], '192.0.2.100') } },
  },
];

/** As a reflector passes it on, first of its kind. */
function reflected(source: PeerName, received: PathAttributes): PathAttributes {
  return { localPref: 100, ...received, originatorId: PEERS[source].routerId, clusterList: ['10.0.0.100'] };
}

function withoutPolicy({ importAccept: _import, exportAccept: _export, ...peer }: Peer): Peer {
  return peer;
}

function withoutIpv4({ localAddress4: _address, ...peer }: Peer): Peer {
  return peer;
}

function withoutIpv6({ localAddress6: _address, ...peer }: Peer): Peer {
  return peer;
}
