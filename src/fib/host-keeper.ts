/**
 * What the kernel side does on the host besides installing the routes of the RIB, beside the syncer in the FIB thread.
 * Each duty looks after itself; here they are started, waited for and ended together.
 */
import { NftablesSocket } from 'netlink';
import { Masquerade, NFT_TABLE_NAME, type MasqueradeEvents, type MasqueradeState } from './masquerade.js';

/** What the settings ask for. */
export interface HostDuties {
  /** Pools of `fib.masquerade`; empty = no masquerading. */
  readonly masqueradePools: readonly string[];
}

export interface HostState {
  readonly masquerade: MasqueradeState;
}

export const NO_HOST_STATE: HostState = { masquerade: { repaired: 0, error: undefined } };
export const NO_DUTIES: HostDuties = { masqueradePools: [] };

export class HostKeeper {
  readonly #masquerade: Masquerade;
  #told: HostState = NO_HOST_STATE;

  constructor(events: MasqueradeEvents, nowMs: () => number) {
    this.#masquerade = new Masquerade(() => new NftablesSocket(NFT_TABLE_NAME), events, nowMs);
  }

  /** Takes the duties from now on, also to the end of those that are no more. */
  set(duties: HostDuties): void {
    this.#masquerade.setPools(duties.masqueradePools);
  }

  /** Descriptors to wait for besides the time that `step` names. */
  get fds(): readonly number[] {
    return this.#masquerade.fds;
  }

  /** The state, if it is not as told before. */
  takeState(): HostState | undefined {
    const { repaired, error } = this.#masquerade;
    const { masquerade } = this.#told;
    if (repaired === masquerade.repaired && error === masquerade.error) return undefined;
    this.#told = { masquerade: { repaired, error } };
    return this.#told;
  }

  /** Milliseconds until it wants to be called again. */
  step(): number {
    return this.#masquerade.step();
  }

  /** `keep`: what is in the kernel stays for the next run. */
  stop(keep: boolean): void {
    this.#masquerade.stop(keep);
  }
}
