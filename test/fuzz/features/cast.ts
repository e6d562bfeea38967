/**
 * Who is there in the `features` target, and the configuration they are given: everything that a reload may change is
 * rolled anew by `roll`, all of it without the end of a session but where `Live` says so.
 */
import type { PolicyFunction } from '../../../src/index.js';
import { LOCAL_ASN, ROUTER_ID } from '../../malformed/fixtures/rig.js';
import type { Random } from '../random.js';

/** Communities that make the policy function throw, or answer nonsense, on the way in and on the way out. */
export const THROWS = 0xfde80001;
export const BABBLES = 0xfde80002;
export const THROWS_OUT = 0xfde80003;
export const RESTART_SECONDS = 30;
export const STALE_SECONDS = 60;

export type Part = 'plain' | 'graceful' | 'limited' | 'leaky' | 'judged' | 'large' | 'dynamic';
export const ROLES = ['provider', 'customer', 'peer'] as const;
export type Role = (typeof ROLES)[number];
/** RFC 9234 §4.1: what the far end says when we are this. */
export const FAR_ROLE: Readonly<Record<Role, number>> = { provider: 3, customer: 0, peer: 4 };

export interface Actor {
  readonly address: string;
  readonly identifier: readonly number[];
  readonly asn: number;
  readonly part: Part;
  readonly addPath: boolean;
  /** It offers enhanced route refresh (RFC 7313); the others say its words all the same, which then mean something else. */
  readonly enhanced: boolean;
  /** In percent. */
  readonly damage: number;
}

const actor = (last: number, part: Part, asn: number, addPath: boolean, damage: number): Actor => ({
  address: `192.0.2.${last}`,
  identifier: [10, 0, 0, last],
  asn,
  part,
  addPath,
  enhanced: last % 2 === 0 || part === 'limited',
  damage,
});

export const ACTORS: readonly Actor[] = [
  actor(21, 'plain', LOCAL_ASN, true, 30),
  actor(22, 'graceful', 65022, false, 0),
  actor(23, 'limited', 65023, false, 0),
  actor(24, 'leaky', 65024, false, 20),
  actor(25, 'judged', 65025, true, 20),
  actor(26, 'large', LOCAL_ASN, false, 5),
  actor(130, 'dynamic', 65130, false, 40),
  actor(131, 'dynamic', 65131, false, 0),
];

export interface Spectator {
  readonly address: string;
  readonly identifier: readonly number[];
  readonly asn: number;
  /** It reads path identifiers. */
  readonly addPath: boolean;
  /** Stops reading at times. */
  readonly slow: boolean;
  readonly role?: true;
}

const spectator = (last: number, asn: number, more: Partial<Spectator> = {}): Spectator => ({
  address: `192.0.2.${last}`,
  identifier: [10, 0, 0, last],
  asn,
  addPath: false,
  slow: false,
  ...more,
});

export const SPECTATORS: readonly Spectator[] = [
  spectator(31, LOCAL_ASN),
  spectator(32, 65032, { role: true }),
  spectator(33, LOCAL_ASN, { addPath: true, slow: true }),
  spectator(34, 65034, { slow: true }),
  spectator(35, LOCAL_ASN, { slow: true }),
];

/** What stays for an episode. */
export interface Fixed {
  readonly leakyRole: Role;
  readonly spectatorRole: Role;
  readonly paths: 'all' | 2;
  readonly limit: { readonly max: number; readonly action: 'reject' | 'reset' };
}

/** What reloads change. */
export interface Live {
  /** Whether the actor `plain` is configured. */
  readonly hasPlain: boolean;
  readonly keys: Record<string, unknown>;
  readonly judged: readonly string[];
  readonly outward: readonly string[];
  readonly outsideOptions: Record<string, unknown>;
}

export function fix(random: Random): Fixed {
  return {
    leakyRole: random.pick(ROLES),
    spectatorRole: random.pick(ROLES),
    paths: random.pick(['all', 2] as const),
    limit: { max: 1 + random.below(6), action: random.pick(['reject', 'reject', 'reset'] as const) },
  };
}

export function roll(random: Random): Live {
  const flag = (): boolean => random.chance(50);
  return {
    hasPlain: random.chance(75),
    keys: {
      policies: { tune: policy(random), outward: policy(random) },
      networks: Array.from({ length: random.below(4) }, (_, n) => ({ prefix: `172.20.${n}.0/24` })),
      decision: { alwaysCompareMed: flag() },
      clientToClientReflection: random.chance(80),
    },
    judged: random.pick([
      ['guard', 'tune'],
      ['tune', 'guard'],
      ['guard', 'accept'],
    ]),
    outward: random.pick([['guardOut', 'outward'], ['guardOut', 'accept'], ['outward']]),
    outsideOptions: {
      gracefulShutdown: random.chance(20),
      removePrivateAs: random.pick([false, 'all', 'replace']),
      asOverride: random.chance(20),
      sendCommunity: { standard: flag(), large: flag(), extended: flag() },
    },
  };
}

function policy(random: Random): object {
  const community = (): string => `65000:${random.below(8)}`;
  const match = (): object =>
    random.pick([
      () => ({ community: community() }),
      () => ({ prefix: [`100.${16 * random.below(16)}.0.0/12 le 32`] }),
      () => ({ prefix: ['2001:db8::/40 le 64'] }),
      () => ({ asPathLength: `${random.below(3)}..` }),
      () => ({ med: `..${2 ** 31}` }),
      () => ({ family: 'ipv6-unicast' }),
      () => ({ not: { community: community() } }),
    ])();
  const set = (): object =>
    random.pick<() => object>([
      () => ({ localPref: random.below(300) }),
      () => ({ med: random.below(3) }),
      () => ({ med: 'none' }),
      () => ({ community: { add: `64999:${random.below(3)}` } }),
      () => ({ community: { remove: '65000:*' } }),
      () => ({ prepend: { as: 'last', times: 1 + random.below(3) } }),
      () => ({ origin: 'incomplete' }),
    ])();
  const then = (): string => random.pick(['accept', 'next', 'next', 'reject']);
  return {
    statements: Array.from({ length: 1 + random.below(4) }, () => ({ match: match(), set: set(), then: then() })),
    default: random.pick(['accept', 'accept', 'reject']),
  };
}

const text = (community: number): string => `${community >>> 16}:${community & 0xffff}`;

export const FUNCTIONS: Readonly<Record<string, PolicyFunction>> = {
  guard: ({ communities }) => {
    if (communities.includes(text(THROWS))) throw new Error('this policy has a mistake');
    if (communities.includes(text(BABBLES))) return 'perhaps' as never;
    return 'next';
  },
  guardOut: ({ communities }) => {
    if (communities.includes(text(THROWS_OUT))) throw new Error('this policy has a mistake');
    return 'next';
  },
};

/** The document. */
export function document({ leakyRole, spectatorRole, paths, limit }: Fixed, live: Live): object {
  const open = { import: 'accept', export: 'accept', gracefulRestart: false, asSets: 'accept' };
  const inside = { gracefulRestart: false, asSets: 'accept', routeReflectorClient: true };
  const options: Record<Exclude<Part, 'dynamic'>, object> = {
    plain: { ...inside, addPath: { receive: true } },
    graceful: {
      ...open,
      gracefulRestart: { restartTime: RESTART_SECONDS, longLived: { staleTime: STALE_SECONDS } },
    },
    limited: { ...open, prefixLimit: { ...limit, ...(limit.action === 'reset' ? { restartAfter: 1 } : {}) } },
    leaky: { ...open, role: leakyRole },
    judged: { ...open, import: live.judged, addPath: { receive: true } },
    large: { ...inside, extendedMessages: true },
  };
  const peers = ACTORS.flatMap(({ part, address, asn }) =>
    part === 'dynamic' || (part === 'plain' && !live.hasPlain) ? [] : [{ address, asn, ...options[part] }],
  );
  const watching = SPECTATORS.map(({ address, asn, addPath, role }) => {
    if (asn === LOCAL_ASN) return { address, asn, ...inside, addPath: { send: addPath ? paths : 'best' } };
    return role
      ? { address, asn, ...open, role: spectatorRole }
      : { address, asn, ...open, export: live.outward, ...live.outsideOptions };
  });
  return {
    asn: LOCAL_ASN,
    routerId: ROUTER_ID.join('.'),
    listen: [],
    fib: { enabled: false },
    limits: { asPathLength: 16383, communities: 16383 },
    peers: [...peers, ...watching],
    listenRanges: [{ prefix: '192.0.2.128/28', asn: 'external', ...open }],
    ...live.keys,
  };
}
