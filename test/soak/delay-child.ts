/**
 * Measures how late this machine runs a process that has nothing else to do: what the daemon's and the peers' lateness is
 * to be held against. Answers any message with what it has seen so far.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface MachineDelay {
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

const RESOLUTION_MS = 5;
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();

const late = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e4) / 100 - RESOLUTION_MS);

process.on('message', () => {
  const answer: MachineDelay = {
    p99: late(histogram.percentile(99)),
    p999: late(histogram.percentile(99.9)),
    max: late(histogram.max),
  };
  process.send!(answer);
});
process.on('disconnect', () => process.exit(0));
