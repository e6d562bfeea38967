/**
 * Our own restart (RFC 4724 §4.1): the time after the start in which peers are still telling us what they have.
 *
 * Until every configured peer has said End-of-RIB, or the restart time is over, kernel routes of a previous run that
 * nobody has confirmed stay. Until then we do not say our End-of-RIB, either, but for peers that restart themselves:
 * those must not be waited for, they are waiting for us.
 */
import type { Settings } from './config/settings.js';
import type { Peer } from './peer.js';
import type { Pipeline } from './pipeline.js';
import { PACED_AGAIN_MS, PACED_MOST_MS } from './stale-paths.js';
import type { Cancel, Clock } from './support/clock.js';

/** The wait where no peer has graceful restart configured. */
const DEFAULT_WAIT_MS = 120_000;
/** Dynamic peers are not known beforehand: they are taken for complete when none has come for this long. */
const DYNAMIC_PEERS_QUIET_MS = 10_000;

export interface RestartHost {
  readonly clock: Clock;
  readonly pipeline: Pipeline;
  peers(): Iterable<Peer>;
  /** Everything that is to be confirmed has been: what is left of a previous run is stale. */
  sweepKernel(): void;
}

export class Restart {
  readonly #host: RestartHost;
  readonly #dynamic: boolean;
  #active = true;
  #cancelEnd: Cancel;
  #cancelQuiet: Cancel | undefined;
  #checkIsDue = false;

  constructor(settings: Settings, host: RestartHost) {
    this.#host = host;
    this.#dynamic = settings.listenRanges.length > 0;
    const all = [...settings.peers, ...settings.listenRanges.map((range) => range.peer)];
    const times = all.map((peer) => peer.gracefulRestart?.restartTimeSeconds ?? 0);
    host.pipeline.exporter.holdEndOfRib = true;
    const waitMs = all.length === 0 ? 0 : Math.max(...times) * 1000 || DEFAULT_WAIT_MS;
    this.#cancelEnd = this.#endAfter(waitMs, host.clock.nowMs() + PACED_MOST_MS);
  }

  #endAfter(delayMs: number, latestMs: number): Cancel {
    const { clock } = this.#host;
    return clock.after(delayMs, () => {
      const isPaced = [...this.#host.peers()].some((peer) => peer.session.isPaced && !peer.hasSaidAll);
      if (isPaced && clock.nowMs() < latestMs) this.#cancelEnd = this.#endAfter(PACED_AGAIN_MS, latestMs);
      else this.#end();
    });
  }

  /** The Restart State bit of our OPEN. */
  get isActive(): boolean {
    return this.#active;
  }

  /** A session has come or gone, or End-of-RIB has been received. */
  peersChanged(): void {
    if (!this.#active) return;
    const { clock } = this.#host;
    if (this.#dynamic) {
      this.#cancelQuiet?.();
      this.#cancelQuiet = clock.after(DYNAMIC_PEERS_QUIET_MS, () => this.#endIfComplete());
      return;
    }
    // Once for all peers that have come up together.
    if (this.#checkIsDue) return;
    this.#checkIsDue = true;
    clock.soon(() => {
      this.#checkIsDue = false;
      this.#endIfComplete();
    });
  }

  cancel(): void {
    this.#active = false;
    this.#cancelEnd();
    this.#cancelQuiet?.();
  }

  #endIfComplete(): void {
    if (!this.#active) return;
    const peers = [...this.#host.peers()];
    if (peers.length === 0 || peers.some((peer) => peer.holdsOurEndOfRib)) return;
    // What we pass on comes before our End-of-RIB: the next hops of what we have learnt may still be looked up.
    this.#host.pipeline.afterFibIdle(() => this.#releaseEndOfRib());
    if (peers.every((peer) => peer.hasSaidAll)) this.#end();
  }

  #releaseEndOfRib(): void {
    const { exporter } = this.#host.pipeline;
    if (exporter.holdEndOfRib) exporter.releaseEndOfRib();
  }

  #end(): void {
    if (!this.#active) return;
    this.cancel();
    // After the turn that decides what End-of-RIB has completed.
    this.#host.pipeline.afterFibIdle(() => {
      this.#releaseEndOfRib();
      this.#host.sweepKernel();
    });
  }
}
