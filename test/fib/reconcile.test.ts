/** The whole policy of the kernel side as a table. */
import t from 'tap';
import { FibStatus } from '../../src/fib/port.js';
import { Action, Reason, actionOf, decide, reasonOf, statusOf } from '../../src/fib/reconcile.js';

const { absent, pending, installed, failed } = FibStatus;
const [W, A, B, L] = [true, true, true, true];
const no = false;
// wanted, gateway, in the kernel, blocked, loops, adopted -> action, status, reason
const rows = [
  [no, 0, 0, no, no, no, Action.none, absent, Reason.none],
  [no, 0, 5, no, no, no, Action.remove, absent, Reason.none],
  [no, 0, 5, no, no, A, Action.none, installed, Reason.none],
  [no, 0, 5, B, no, no, Action.remove, absent, Reason.none],
  [W, 5, 0, no, no, no, Action.add, installed, Reason.none],
  [W, 5, 5, no, no, no, Action.none, installed, Reason.none],
  [W, 6, 5, no, no, no, Action.replace, installed, Reason.none],
  [W, 6, 1, no, no, no, Action.replace, installed, Reason.none],
  [W, 5, 0, B, no, no, Action.none, failed, Reason.blocked],
  [W, 5, 5, B, no, no, Action.remove, failed, Reason.blocked],
  [W, 0, 0, B, no, no, Action.none, failed, Reason.blocked],
  [W, 0, 0, no, no, no, Action.none, pending, Reason.unreachable],
  [W, 0, 5, no, no, no, Action.remove, pending, Reason.unreachable],
  [W, 5, 0, no, L, no, Action.none, failed, Reason.loop],
  [W, 5, 5, no, L, no, Action.remove, failed, Reason.loop],
  [W, 5, 5, B, L, no, Action.remove, failed, Reason.blocked],
] as const;

for (const [wanted, gateway, kernel, blocked, loops, adopted, action, status, reason] of rows) {
  const packed = decide(wanted, gateway, kernel, blocked, loops, adopted);
  const name = `${wanted ? 'wanted' : 'unwanted'} ${gateway} over ${kernel}${blocked ? ', blocked' : ''}${loops ? ', in circles' : ''}${adopted ? ', adopted' : ''}`;
  t.strictSame([actionOf(packed), statusOf(packed), reasonOf(packed)], [action, status, reason], name);
}
