/** Several paths of a prefix in the kernel: which share the traffic, in what proportion, and which stands by. */
import { type ForwardingSettings } from './forwarding.js';
import type { Operation } from './operations.js';
import { lose, P, PEERS, reach, say, start, upWith, type Scenario } from './scenario-kit.js';

const MULTIPATH = 'docs/decision.md §4';
const forwarding = (settings: Partial<ForwardingSettings>): Operation => ({
  op: 'forwarding',
  settings: { ebgp: 4, ibgp: 4, asPath: 'length', backup: false, ...settings },
});

export const MULTIPATH_SCENARIOS: readonly Scenario[] = [
  {
    name: 'external paths of one length share, best first, the others wait for the best to go',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({}),
      say('e3', [65001]),
      say('e1', [65001]),
      say('e2', [65002]),
      say('i1', [65003]),
    ],
    verdicts: {
      [P]: { best: 'e1', reasons: { e1: 'router-id', e2: 'router-id', e3: 'router-id', i1: 'external' } },
    },
    fib: { [P]: '192.0.2.1*1 192.0.2.2*1 192.0.2.3*1' },
  },
  {
    name: 'no more than configured, chosen by the tie-breaks',
    rfc: MULTIPATH,
    operations: [...start, forwarding({ ebgp: 2 }), say('e3', [65001]), say('e2', [65002]), say('e1', [65001])],
    fib: { [P]: '192.0.2.1*1 192.0.2.2*1' },
  },
  {
    name: 'internal paths have a limit of their own',
    rfc: MULTIPATH,
    operations: [...start, forwarding({ ebgp: 1, ibgp: 2 }), say('i1', [7]), say('i2', [7]), say('c1', [7])],
    fib: { [P]: '10.0.0.1*1 10.0.0.2*1' },
  },
  {
    name: 'an internal path does not share with an external one',
    rfc: MULTIPATH,
    operations: [...start, forwarding({}), say('e1', [65001]), say('i1', [65001])],
    fib: { [P]: '192.0.2.1' },
  },
  {
    name: 'asPath exact: every AS number must be the same',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ asPath: 'exact' }),
      say('e1', [65001, 7]),
      say('e2', [65002, 7]),
      say('e3', [65001, 7]),
    ],
    fib: { [P]: '192.0.2.1*1 192.0.2.3*1' },
  },
  {
    name: 'a longer path, another ORIGIN, a worse MED of the same AS or a farther next hop do not share',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({}),
      say('e1', [65001], { med: 1 }),
      say('e3', [65001], { med: 2 }),
      say('e2', [65002, 7]),
    ],
    fib: { [P]: '192.0.2.1' },
  },
  {
    name: 'paths of one next hop count once',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ ibgp: 2 }),
      say('i1', [7]),
      say('i2', [7], { nextHop: '10.0.0.1' }),
      say('c1', [7]),
    ],
    fib: { [P]: '10.0.0.1*1 10.0.0.11*1' },
  },
  {
    name: 'link bandwidth: weights in proportion when every path has one',
    rfc: 'draft-ietf-idr-link-bandwidth',
    operations: [
      ...start,
      forwarding({}),
      say('e1', [65001], { linkBandwidth: 1_250_000 }),
      say('e2', [65002], { linkBandwidth: 3_750_000 }),
      say('e3', [65001], { linkBandwidth: 5_000_000 }),
    ],
    fib: { [P]: '192.0.2.1*1 192.0.2.2*3 192.0.2.3*4' },
  },
  {
    name: 'link bandwidth: equal shares when one path has none',
    rfc: 'draft-ietf-idr-link-bandwidth',
    operations: [
      ...start,
      forwarding({}),
      say('e1', [65001], { linkBandwidth: 1_250_000 }),
      say('e2', [65002]),
      say('e3', [65001], { linkBandwidth: 5_000_000 }),
    ],
    fib: { [P]: '192.0.2.1*1 192.0.2.2*1 192.0.2.3*1' },
  },
  {
    name: 'the second best stands by',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ ebgp: 1, ibgp: 1, backup: true }),
      say('e1', [65001]),
      say('e2', [65002, 7]),
      say('e3', [65001, 7, 8]),
    ],
    fib: { [P]: '192.0.2.1 | 192.0.2.2' },
  },
  {
    name: 'nothing stands by where every path has the same next hop',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ backup: true }),
      say('i1', [7], { nextHop: '10.0.0.11' }),
      say('i2', [7], { nextHop: '10.0.0.11' }),
    ],
    fib: { [P]: '10.0.0.11' },
  },
  {
    name: 'what stands by is what would be best then, though it lost by MED to a path that goes',
    rfc: 'RFC 4271 §9.1.2.2 c',
    operations: [
      ...start,
      forwarding({ ebgp: 1, backup: true }),
      upWith('e3', { routerId: '0.0.0.1' }),
      say('e1', [65001], { med: 1 }),
      say('e3', [65001], { med: 2 }),
      say('e2', [65002]),
    ],
    fib: { [P]: '192.0.2.1 | 192.0.2.3' },
  },
  {
    name: 'a next hop that cannot be reached neither shares nor stands by',
    rfc: 'RFC 4271 §9.1.2.1',
    operations: [
      ...start,
      forwarding({ ebgp: 2, backup: true }),
      say('e1', [65001]),
      say('e2', [65002]),
      say('e3', [65001]),
      lose('192.0.2.2'),
    ],
    fib: { [P]: '192.0.2.1*1 192.0.2.3*1' },
  },
  {
    name: 'another interior cost takes a path out of the set, the best one staying',
    rfc: 'RFC 4271 §9.1.2.2 e',
    operations: [...start, forwarding({}), say('i1', [7]), say('i2', [7]), say('c1', [7]), reach('10.0.0.2', 5)],
    fib: { [P]: '10.0.0.1*1 10.0.0.11*1' },
  },
  {
    name: 'own prefixes have neither',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ backup: true }),
      { op: 'originate', prefix: P },
      say('e1', [65001]),
      say('e2', [65002]),
    ],
    fib: { [P]: null },
  },
  {
    name: 'a session that ends takes its share with it',
    rfc: MULTIPATH,
    operations: [
      ...start,
      forwarding({ backup: true }),
      say('e1', [65001]),
      say('e2', [65002]),
      say('i1', [7]),
      { op: 'down', peer: PEERS.e2.id },
    ],
    fib: { [P]: '192.0.2.1 | 10.0.0.1' },
  },
  {
    name: 'settings changed at run time hold for what is there already',
    rfc: MULTIPATH,
    operations: [
      ...start,
      say('e1', [65001]),
      say('e2', [65002]),
      forwarding({}),
      forwarding({ ebgp: 1, backup: true }),
    ],
    fib: { [P]: '192.0.2.1 | 192.0.2.2' },
  },
];
