/** When a soak is good: what is wrong with a result, as sentences. */
import { settled, slopePerHour, span } from './figures.js';
import type { SoakResult } from './soak.js';

/** Growth that a run may show while it is flat: a run of minutes cannot say less. */
const HEAP_GROWTH_MB = 8;
/** Of the others: batches on their way from thread to thread come and go with them. */
const OTHER_HEAPS_GROWTH_MB = 32;
/** A session ends after 3 s of silence; two keepalives of 1 s fit in. That is of time in which the daemon had a processor. */
const LONGEST_GAP_MS = 2000;

export function verdict(result: SoakResult): string[] {
  const { peers, heap, otherHeaps, differences, bfdSessions, machineDelayMs, starvedMs } = result;
  const out: string[] = [];
  const { bfdUp } = peers;
  for (const text of peers.unexpected) out.push(`a session was lost that nobody ended: ${text}`);
  const lateMs = Math.max(starvedMs, machineDelayMs.max);
  if (peers.longestGapMs > LONGEST_GAP_MS + lateMs)
    out.push(`a peer waited ${peers.longestGapMs} ms for a keepalive, ${lateMs} ms of it for a processor at the most`);
  for (const [what, samples, most] of [
    ['the heap', heap, HEAP_GROWTH_MB],
    ['the heap of the other threads', otherHeaps, OTHER_HEAPS_GROWTH_MB],
  ] as const) {
    const late = settled(samples);
    const hours = late.length === 0 ? 0 : (late.at(-1)!.seconds - late[0]!.seconds) / 3600;
    const growth = slopePerHour(late).perHour * hours;
    if (growth <= most) continue;
    const range = span(late);
    out.push(`${what} grows: ${growth.toFixed(1)} MB from ${range.least.toFixed(1)} to ${range.most.toFixed(1)} MB`);
  }
  if (peers.bfdFlaps > 0) out.push(`${peers.bfdFlaps} BFD sessions went down`);
  if (bfdUp < bfdSessions) out.push(`${bfdUp} of ${bfdSessions} BFD sessions were up before the end`);
  for (const [what, rows] of Object.entries(differences)) {
    for (const row of [...rows.slice(0, 3), ...rows.slice(-3)]) out.push(`${what}: ${row}`);
  }
  return out;
}
