/** Bounds that the configuration checks and the compiler relies on. */

export const MOST_PREPENDS = 100;
