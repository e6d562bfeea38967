/**
 * Scenarios of the sending side: who hears of the best path, and with which attributes.
 */
import { NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED } from './attributes.js';
import {
  attributes,
  P,
  P6,
  PEERS,
  reach,
  reflected,
  say,
  sequence,
  start,
  upWith,
  withoutIpv4,
  withoutIpv6,
  withoutPolicy,
  type Scenario,
} from './scenario-kit.js';

export const EXPORT_SCENARIOS: readonly Scenario[] = [
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
    rfc: 'RFC 8212 §3',
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
