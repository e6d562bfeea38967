/** CLOCK_MONOTONIC in milliseconds: the same in every process of the machine, so that their times can be compared. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
