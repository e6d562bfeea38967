/**
 * What to do about one prefix: wanted against what the kernel has. Pure; the whole policy of the kernel side.
 */
// HOT: called once per changed prefix; answers are packed into one number.
import { FibStatus } from './port.js';

export const Action = { none: 0, add: 1, replace: 2, remove: 3 } as const;
export type Action = (typeof Action)[keyof typeof Action];

/** Why a wanted route is not in the kernel. */
export const Reason = { none: 0, blocked: 1, unreachable: 2, errno: 3, loop: 4 } as const;
export type Reason = (typeof Reason)[keyof typeof Reason];

const decisions = {
  keep: decision(Action.none, FibStatus.installed, Reason.none),
  forget: decision(Action.none, FibStatus.absent, Reason.none),
  add: decision(Action.add, FibStatus.installed, Reason.none),
  replace: decision(Action.replace, FibStatus.installed, Reason.none),
  remove: decision(Action.remove, FibStatus.absent, Reason.none),
  blocked: decision(Action.none, FibStatus.failed, Reason.blocked),
  removeBlocked: decision(Action.remove, FibStatus.failed, Reason.blocked),
  loop: decision(Action.none, FibStatus.failed, Reason.loop),
  removeLoop: decision(Action.remove, FibStatus.failed, Reason.loop),
  unreachable: decision(Action.none, FibStatus.pending, Reason.unreachable),
  removeUnreachable: decision(Action.remove, FibStatus.pending, Reason.unreachable),
} as const;

/**
 * @param wanted whether the speaker wants a route
 * @param gateway where its next hop leads now; 0 = nowhere
 * @param installed where our route in the kernel leads; 0 = there is none
 * @param blocked somebody else has a route to the prefix in this table
 * @param loops it would take the packets of the tunnel that it leads into
 * @param adopted ours of a previous run, not asked for yet: it keeps forwarding
 */
export function decide(
  wanted: boolean,
  gateway: number,
  installed: number,
  blocked: boolean,
  loops: boolean,
  adopted: boolean,
): number {
  if (!wanted) return installed === 0 ? decisions.forget : adopted ? decisions.keep : decisions.remove;
  if (blocked) return installed === 0 ? decisions.blocked : decisions.removeBlocked;
  if (loops) return installed === 0 ? decisions.loop : decisions.removeLoop;
  if (gateway === 0) return installed === 0 ? decisions.unreachable : decisions.removeUnreachable;
  if (installed === gateway) return decisions.keep;
  return installed === 0 ? decisions.add : decisions.replace;
}

export function actionOf(packed: number): Action {
  return (packed & 15) as Action;
}

/** Status once the action has been carried out. */
export function statusOf(packed: number): number {
  return (packed >> 4) & 15;
}

export function reasonOf(packed: number): Reason {
  return (packed >> 8) as Reason;
}

function decision(action: Action, status: number, reason: Reason): number {
  return action | (status << 4) | (reason << 8);
}
