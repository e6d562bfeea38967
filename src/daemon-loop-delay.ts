/**
 * How late the loop runs what is due, measured from the start of the daemon on: what a session's timers and everything
 * else waits when the speaker is busy.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SummaryDto } from './control/dto.js';

const RESOLUTION_MS = 10;

/** Starts measuring; the returned function reads. */
export function measureLoopDelay(): () => NonNullable<SummaryDto['loopDelayMs']> {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // What is recorded is the time between two runs of a timer: its own interval is no delay.
  const ms = (nanoseconds: number): number =>
    Math.max(0, Math.round((nanoseconds / 1e6 - RESOLUTION_MS) * 100) / 100) || 0;
  return () => ({
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    p999: ms(histogram.percentile(99.9)),
    max: ms(histogram.max),
  });
}
