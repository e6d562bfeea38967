/** Loaded into the daemon beside its program (`--import`): answers the soak with the heap after a collection. */
export interface HeapAnswer {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly residentBytes: number;
}

process.on('message', (question) => {
  if (question !== 'heap') return;
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const answer: HeapAnswer = { heapBytes: heapUsed, externalBytes: external, residentBytes: rss };
  process.send!(answer);
});
// The channel alone keeps nothing running.
process.channel?.unref();
