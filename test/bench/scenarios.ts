/** The scenarios: who sends what to whom, and in which phases. `--scale` makes them smaller, never larger in kind. */
import type { PrefixKind } from './load/prefixes.js';

export type Phase =
  | 'announce'
  | 'reannounce'
  | 'withdraw'
  | 'drop'
  | 'churn'
  | 'refresh'
  /** Timed by what the kernel has, not by receivers. */
  | 'install'
  | 'uninstall'
  /** The first sender is lost: over when the kernel forwards through the second. */
  | 'failover';

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly senders: number;
  /** Peers that only receive. */
  readonly receivers: number;
  /** Route reflector clients of the speaker: every one sends and receives. */
  readonly reflector: boolean;
  /** Prefixes in all, or of each client when `reflector`. */
  readonly prefixes: number;
  readonly kind: PrefixKind;
  /** All senders announce the same prefixes. */
  readonly same: boolean;
  /** The first sender's paths are the best, instead of each sender's for some prefixes. */
  readonly primary: boolean;
  /** The first sender is on a link of its own, which goes down in the failover; else its connection closes. */
  readonly ownLink: boolean;
  /** The speaker installs into the kernel. */
  readonly kernel: boolean;
  readonly phases: readonly Phase[];
  /** Phases that are only there for what follows. */
  readonly unreported: readonly Phase[];
  readonly churnSeconds: number;
  readonly churnPerSecond: number;
}

const plain = {
  senders: 1,
  receivers: 1,
  reflector: false,
  kind: 'table',
  same: false,
  primary: false,
  ownLink: false,
  kernel: false,
  unreported: [],
  churnSeconds: 0,
  churnPerSecond: 0,
} as const;

const reflector = { ...plain, receivers: 0, reflector: true, kind: 'blocks' } as const;
const failover = {
  ...plain,
  title: 'two senders of the same prefixes, the better one is lost: the kernel forwards through the other',
  senders: 2,
  receivers: 0,
  same: true,
  primary: true,
  kernel: true,
  phases: ['install', 'failover'],
  unreported: ['install'],
} as const;
const linkDown = {
  ...failover,
  title: 'as S8, but the link of the better sender goes down',
  ownLink: true,
} as const;
const ROUND: readonly Phase[] = ['announce', 'reannounce', 'withdraw'];

const SCENARIOS: readonly Scenario[] = [
  { ...plain, name: 'S1', title: 'full table: one sender to one receiver', prefixes: 1_000_000, phases: ROUND },
  {
    ...plain,
    name: 'S2',
    title: 'fan-out: one sender to ten receivers',
    receivers: 10,
    prefixes: 500_000,
    phases: ['announce'],
  },
  {
    ...plain,
    name: 'S3',
    title: 'best path: ten senders of the same prefixes, one receiver',
    senders: 10,
    prefixes: 100_000,
    same: true,
    phases: ['announce', 'withdraw'],
  },
  {
    ...reflector,
    name: 'S4',
    title: 'route reflector: 200 clients with ten /26 each, all to all',
    senders: 200,
    prefixes: 10,
    phases: ROUND,
  },
  {
    ...reflector,
    name: 'S4b',
    title: 'route reflector: 500 clients with four /26 each, all to all',
    senders: 500,
    prefixes: 4,
    phases: ROUND,
  },
  {
    ...plain,
    name: 'S5',
    title: 'the sender is lost: ten receivers are told',
    receivers: 10,
    prefixes: 500_000,
    phases: ['announce', 'drop'],
    unreported: ['announce'],
  },
  {
    ...plain,
    name: 'S6',
    title: 'churn on a table of 100,000: 1,000 updates a second for 10 s, then a route refresh',
    prefixes: 100_000,
    phases: ['announce', 'churn', 'refresh'],
    unreported: ['announce'],
    churnSeconds: 10,
    churnPerSecond: 1000,
  },
  {
    ...plain,
    name: 'S7',
    title: "one sender into the kernel's main table, then the sender is lost",
    receivers: 0,
    prefixes: 200_000,
    kernel: true,
    phases: ['install', 'uninstall'],
  },
  { ...failover, name: 'S8a', prefixes: 1000 },
  { ...failover, name: 'S8b', prefixes: 10_000 },
  { ...failover, name: 'S8', prefixes: 200_000 },
  { ...linkDown, name: 'S8La', prefixes: 1000 },
  { ...linkDown, name: 'S8Lb', prefixes: 10_000 },
  { ...linkDown, name: 'S8L', prefixes: 200_000 },
];

export const SCENARIO_NAMES: readonly string[] = SCENARIOS.map(({ name }) => name);

/** Throws RangeError for an unknown name. */
export function scenario(name: string, scale: number): Scenario {
  const full = SCENARIOS.find((candidate) => candidate.name === name);
  if (!full) throw new RangeError(`no scenario ${name}: there are ${SCENARIO_NAMES.join(', ')}`);
  const churnSeconds = full.churnSeconds && Math.min(full.churnSeconds, Math.max(0.3, full.churnSeconds * scale));
  // Of a reflector it is the clients that make the work.
  if (full.reflector) return { ...full, senders: Math.max(5, Math.round(full.senders * scale)), churnSeconds };
  return { ...full, prefixes: Math.max(50, Math.round(full.prefixes * scale)), churnSeconds };
}
