/** Bounds that the configuration checks and the compiler relies on. */

export const MOST_PREPENDS = 100;

/** Steps of a policy with all calls written out: a configuration with more has calls of calls of calls. */
export const MOST_STEPS = 10_000;

/** Policies that call each other in a row. */
export const MOST_CALLS_DEEP = 100;
