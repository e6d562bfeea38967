/** What the soak and its peers have in common. */

/** How long a peer that restarts gracefully says it will be away. */
export const RESTART_SECONDS = 5;
export const BFD_TIMERS = { minTxMs: 300, minRxMs: 300, multiplier: 4 };
