/** The whole policy of the kernel side as a table. */
import t from 'tap';
import { FibStatus } from '../../src/fib/port.js';
import { Action, Reason, actionOf, decide, reasonOf, statusOf } from '../../src/fib/reconcile.js';

const { absent, pending, installed, failed } = FibStatus;
const [W, A, B] = [true, true, true];
const no = false;
// wanted, gateway, in the kernel, blocked, adopted -> action, status, reason
const rows = [
  [no, 0, 0, no, no, Action.none, absent, Reason.none],
  [no, 0, 5, no, no, Action.remove, absent, Reason.none],
  [no, 0, 5, no, A, Action.none, installed, Reason.none],
  [no, 0, 5, B, no, Action.remove, absent, Reason.none],
  [W, 5, 0, no, no, Action.add, installed, Reason.none],
  [W, 5, 5, no, no, Action.none, installed, Reason.none],
  [W, 6, 5, no, no, Action.replace, installed, Reason.none],
  [W, 6, 1, no, no, Action.replace, installed, Reason.none],
  [W, 5, 0, B, no, Action.none, failed, Reason.blocked],
  [W, 5, 5, B, no, Action.remove, failed, Reason.blocked],
  [W, 0, 0, B, no, Action.none, failed, Reason.blocked],
  [W, 0, 0, no, no, Action.none, pending, Reason.unreachable],
  [W, 0, 5, no, no, Action.remove, pending, Reason.unreachable],
] as const;

for (const [wanted, gateway, kernel, blocked, adopted, action, status, reason] of rows) {
  const packed = decide(wanted, gateway, kernel, blocked, adopted);
  const name = `${wanted ? 'wanted' : 'unwanted'} ${gateway} over ${kernel}${blocked ? ', blocked' : ''}${adopted ? ', adopted' : ''}`;
  t.strictSame([actionOf(packed), statusOf(packed), reasonOf(packed)], [action, status, reason], name);
}
