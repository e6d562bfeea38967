/**
 * What the kernel side does on the host besides installing the routes of the RIB, beside the syncer in the FIB thread.
 * Each duty looks after itself; here they are started, waited for and ended together.
 */
import { NftablesSocket } from 'netlink';
import { Masquerade, NFT_TABLE_NAME, type MasqueradeEvents, type MasqueradeState } from './masquerade.js';
import { NetlinkBlackholes } from './netlink-blackholes.js';
import { type BlackholeState, OwnBlackholes } from './own-blackholes.js';

/** What the settings ask for. */
export interface HostDuties {
  /** Pools of `fib.masquerade`; empty = no masquerading. */
  readonly masqueradePools: readonly string[];
  /** Prefixes of `networks` with `blackhole: true`, as `formatPrefix` writes them. */
  readonly blackholes: readonly string[];
}

export interface HostState {
  readonly masquerade: MasqueradeState;
  readonly blackholes: BlackholeState;
}

export const NO_DUTIES: HostDuties = { masqueradePools: [], blackholes: [] };

export const NO_HOST_STATE: HostState = {
  masquerade: { repaired: 0, error: undefined },
  blackholes: { installed: 0, repaired: 0, error: undefined },
};

export class HostKeeper {
  /** To be told of routes. */
  readonly blackholes: OwnBlackholes;
  readonly #masquerade: Masquerade;
  readonly #blackholeKernel: NetlinkBlackholes;
  #told: HostState = NO_HOST_STATE;

  constructor(
    ours: { readonly table: number; readonly protocol: number },
    events: MasqueradeEvents,
    nowMs: () => number,
  ) {
    this.#masquerade = new Masquerade(() => new NftablesSocket(NFT_TABLE_NAME), events, nowMs);
    this.#blackholeKernel = new NetlinkBlackholes(ours);
    this.blackholes = new OwnBlackholes(ours, this.#blackholeKernel, events, nowMs);
  }

  /** Takes the duties from now on, also to the end of those that are no more. */
  set(duties: HostDuties): void {
    this.#masquerade.setPools(duties.masqueradePools);
    this.blackholes.set(duties.blackholes);
  }

  /** Descriptors to wait for besides the time that `step` names. */
  get fds(): readonly number[] {
    return this.#masquerade.fds;
  }

  /** The state, if it is not as told before. */
  takeState(): HostState | undefined {
    const { masquerade, blackholes } = this.#told;
    if (isSame(masquerade, this.#masquerade) && isSame(blackholes, this.blackholes)) {
      if (blackholes.installed === this.blackholes.installed) return undefined;
    }
    const { installed } = this.blackholes;
    this.#told = { masquerade: copy(this.#masquerade), blackholes: { ...copy(this.blackholes), installed } };
    return this.#told;
  }

  /** Milliseconds until it wants to be called again. */
  step(): number {
    return Math.min(this.#masquerade.step(), this.blackholes.step());
  }

  /** `keep`: what is in the kernel stays for the next run. */
  stop(keep: boolean): void {
    this.#masquerade.stop(keep);
    this.blackholes.stop(keep);
    this.#blackholeKernel.close();
  }
}

function isSame(a: MasqueradeState, b: MasqueradeState): boolean {
  return a.repaired === b.repaired && a.error === b.error;
}

function copy({ repaired, error }: MasqueradeState): MasqueradeState {
  return { repaired, error };
}
