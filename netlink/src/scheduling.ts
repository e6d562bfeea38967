/** How and where the kernel runs a thread. */
import * as libc from './libc.js';

const SCHED_RR = 2;
/** Octets of a processor mask: 8192 processors. */
const MASK_LENGTH = 1024;

/**
 * Lets the calling thread run as soon as it has something to do, whatever else is busy: real-time (SCHED_RR, lowest
 * priority of that class), else a nice value of -20. What was allowed is returned; both need CAP_SYS_NICE.
 */
export function preferThisThread(): 'realtime' | 'nice' | 'normal' {
  if (libc.schedule(SCHED_RR, 1) === 0) return 'realtime';
  return libc.nice(-20) === 0 ? 'nice' : 'normal';
}

/** The kernel's number of the calling thread: other threads of the process may name it by this. */
export function currentThreadId(): number {
  return libc.threadId();
}

/** Numbers of the processors that a thread may run on, lowest first; none when the kernel does not tell. */
export function processorsOf(threadId: number): number[] {
  const mask = new Uint8Array(MASK_LENGTH);
  if (libc.getAffinity(threadId, mask) < 0) return [];
  const out: number[] = [];
  for (let cpu = 0; cpu < MASK_LENGTH * 8; cpu++) if (mask[cpu >> 3]! & (1 << (cpu & 7))) out.push(cpu);
  return out;
}

/** Lets a thread run on these processors alone; false when the kernel refuses. */
export function setProcessors(threadId: number, processors: readonly number[]): boolean {
  const mask = new Uint8Array(MASK_LENGTH);
  for (const cpu of processors) mask[cpu >> 3] = mask[cpu >> 3]! | (1 << (cpu & 7));
  return libc.setAffinity(threadId, mask) === 0;
}
