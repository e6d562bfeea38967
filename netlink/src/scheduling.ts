/** How the kernel schedules the calling thread. */
import * as libc from './libc.js';

const SCHED_RR = 2;

/**
 * Lets the calling thread run as soon as it has something to do, whatever else is busy: real-time (SCHED_RR, lowest
 * priority of that class), else a nice value of -20. What was allowed is returned; both need CAP_SYS_NICE.
 */
export function preferThisThread(): 'realtime' | 'nice' | 'normal' {
  if (libc.schedule(SCHED_RR, 1) === 0) return 'realtime';
  return libc.nice(-20) === 0 ? 'nice' : 'normal';
}
