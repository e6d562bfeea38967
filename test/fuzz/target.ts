/** What a fuzz target is: episodes, each of which follows from its seed alone. */
export interface Target {
  readonly name: string;
  /** Runs the episode of this seed; how many messages it took. Throws, or rejects, with what went wrong. */
  episode(seed: number): Promise<number>;
}

/** The octets (or whatever shows them) that an episode was at when it failed. */
export class FuzzFailure extends Error {
  constructor(what: string, input: Uint8Array | string, cause: unknown) {
    const shown = typeof input === 'string' ? input : Buffer.from(input).toString('hex');
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`${what}\ninput: ${shown}\n${reason}`, { cause });
    this.name = 'FuzzFailure';
  }
}

/** Seed of the n-th episode of a run. */
export const seedOf = (seed: number, episode: number): number => (Math.imul(seed, 0x9e3779b1) + episode * 7919) >>> 0;
