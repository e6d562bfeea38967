/**
 * A set of next hops as a kernel group. Pure.
 *
 * Resilient groups have a fixed table of buckets that are dealt out to the members by weight, rounded. A member whose
 * share comes to less than half a bucket gets none and carries nothing, but it is there: when the link of the others
 * goes down the kernel deals out again by itself, and traffic moves before anybody in user space has heard of it. So
 * the backup is the last member, with weight 1 beside weights so large that it stays without a bucket:
 *
 *   buckets × standby / (weights + standby) < 1/2
 *
 * Groups by hash threshold (older kernels) give every member its share, so there the backup stays out.
 */
import type { ResilientGroup } from 'netlink';
import type { Hop } from './gateways.js';
import type { Lead } from './targets.js';

const MAX_WEIGHT = 256;
/** Enough to divide by weight to 1.6 %, few enough to leave room for standby members. */
const BUCKETS = 64;
const MANY_BUCKETS = 512;
/** Most members of a group with `BUCKETS`. */
const MANY = 16;
/** 1/100 s. A flow stays where it is for as long as it has pauses shorter than this, … */
const IDLE_TIMER = 500;
/** … and the group is out of balance for less than this. */
const UNBALANCED_TIMER = 6000;

export interface GroupShape {
  /** `gateway` ids with kernel weights 1..256. */
  readonly members: readonly Hop[];
  /** Undefined = by hash threshold. */
  readonly resilient: ResilientGroup | undefined;
}

export function groupShape(lead: Lead, resilient: boolean): GroupShape {
  if (!resilient) return { members: lead.hops, resilient: undefined };
  const buckets = lead.width <= 1 ? 1 : lead.width <= MANY ? BUCKETS : MANY_BUCKETS;
  const largest = lead.hops.reduce((most, { weight }) => Math.max(most, weight), 1);
  // Whoever is in use has a bucket at least.
  const least = Math.ceil((MAX_WEIGHT * lead.hops.length) / buckets);
  const members = lead.hops.map(({ gateway, weight }) => ({
    gateway,
    weight: Math.min(MAX_WEIGHT, Math.max(least, Math.round((weight * MAX_WEIGHT) / largest))),
  }));
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const room = Math.ceil(total / (2 * buckets - 1)) - 1;
  const standby = lead.standby.slice(0, Math.max(0, room)).map(({ gateway }) => ({ gateway, weight: 1 }));
  // One bucket has nothing to keep in place: it moves at once.
  const timers = buckets === 1 ? { idleTimer: 0, unbalancedTimer: 0 } : TIMERS;
  return { members: [...members, ...standby], resilient: { buckets, ...timers } };
}

const TIMERS = { idleTimer: IDLE_TIMER, unbalancedTimer: UNBALANCED_TIMER } as const;

/** Weights by their smallest common measure: groups of the same proportions do the same. */
export function inProportion<T extends { readonly weight: number }>(members: readonly T[]): readonly T[] {
  const measure = members.reduce((most, { weight }) => greatestCommonDivisor(most, weight), 0);
  return measure > 1 ? members.map((member) => ({ ...member, weight: member.weight / measure })) : members;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
