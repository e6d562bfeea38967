/**
 * What becomes of one peer's paths between the end of a session and the End-of-RIB of the next one: the receiving speaker
 * of RFC 4724 §4.2 (with RFC 8538), and the helper of RFC 9494 §4.2.
 *
 *   down ─► stale ──restart time──► long-lived stale ──its stale time──► gone
 *             └─► gone, where the peer has not asked for more
 *   established: what the peer has not preserved goes; what it does not say again by End-of-RIB goes
 *
 * A long-lived stale time that runs is not touched by further sessions until the peer has said End-of-RIB in one; what
 * such a session has brought is long-lived stale, too, when it is lost and the restart time is over again.
 */
import type { Family } from 'bgp-parse';
import type { Pipeline } from './pipeline.js';
import type { RibPeer } from './rib/rib-peers.js';
import type { LongLivedFamily, Negotiated } from './session/types.js';
import type { Cancel, Clock } from './support/clock.js';
import type { Log } from './support/log.js';

/** What is still stale this long after the peer came back goes, End-of-RIB or not. */
const STALE_PATHS_MS = 360_000;
/** ... but for a peer of which we do not read all it says (`limits.messageRate`): it is asked again so often, up to the hour. */
export const PACED_AGAIN_MS = 10_000;
export const PACED_MOST_MS = 3_600_000;

export interface StalePathsHost {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly pipeline: Pipeline;
  /** The peer has more to say than is read of it. */
  isPaced(): boolean;
  /** Nothing is waited for any more. */
  forgotten(): void;
}

export class StalePaths {
  readonly #host: StalePathsHost;
  #cancelRestart: Cancel | undefined;
  /** Families whose long-lived stale time runs. */
  readonly #longLived = new Map<Family, Cancel>();

  constructor(host: StalePathsHost) {
    this.#host = host;
  }

  /** Stale paths are still waited for. */
  get isWaiting(): boolean {
    return this.#cancelRestart !== undefined || this.#longLived.size > 0;
  }

  /** The session has ended in a way that the peer's paths may outlive. Says for people how long. */
  keep(
    peer: RibPeer,
    restart: NonNullable<Negotiated['gracefulRestart']>,
    longLived: readonly LongLivedFamily[],
  ): string {
    const { clock, pipeline } = this.#host;
    const asked = longLived.filter(({ staleTimeSeconds }) => staleTimeSeconds > 0);
    const kept = new Set([...restart.families, ...asked.map(({ family }) => family)]);
    if (kept.size === 0) {
      this.cancel();
      pipeline.rib.down(peer);
      return '0 s';
    }
    pipeline.rib.downKeepingStale(peer, [...kept], [...this.#longLived.keys()]);
    this.#cancelRestart?.();
    this.#cancelRestart = undefined;
    // RFC 9494 §4.2: what only its capability names has no restart time.
    for (const each of asked) if (!restart.families.includes(each.family)) this.#enterLongLived(peer, each);
    if (restart.families.length > 0) {
      this.#cancelRestart = clock.after(restart.restartTimeSeconds * 1000, () => {
        this.#cancelRestart = undefined;
        this.#afterRestartTime(peer, asked);
      });
    }
    const later = asked.map(({ family, staleTimeSeconds }) => `, ${family} ${staleTimeSeconds} s more`).join('');
    return `${restart.restartTimeSeconds} s${later}`;
  }

  /** Families whose stale paths outlive the coming of a new session. */
  preserved({ gracefulRestart, longLived }: Negotiated): Family[] {
    return (gracefulRestart?.families ?? []).concat(longLived?.map(({ family }) => family) ?? []).filter((family) =>
      // RFC 9494 §4.2: once its period has begun, its own bits count.
      this.#longLived.has(family)
        ? longLived?.some((each) => each.family === family && each.forwardingPreserved)
        : gracefulRestart?.forwardingPreserved.includes(family),
    );
  }

  /** A new session is up, and what it has not preserved is gone. */
  established(peer: RibPeer, preserved: readonly Family[]): void {
    this.#cancelRestart?.();
    this.#cancelRestart = undefined;
    for (const family of [...this.#longLived.keys()]) if (!preserved.includes(family)) this.#stopLongLived(family);
    if (peer.stale[0]! + peer.stale[1]! === 0) return;
    this.#sweepAfter(peer, STALE_PATHS_MS, this.#host.clock.nowMs() + PACED_MOST_MS);
  }

  #sweepAfter(peer: RibPeer, delayMs: number, latestMs: number): void {
    const { clock } = this.#host;
    this.#cancelRestart = clock.after(delayMs, () => {
      this.#cancelRestart = undefined;
      if (this.#host.isPaced() && clock.nowMs() < latestMs) this.#sweepAfter(peer, PACED_AGAIN_MS, latestMs);
      else this.#sweep(peer, ['ipv4-unicast', 'ipv6-unicast']);
    });
  }

  /** The peer has said all of a family: it is synchronised. */
  endOfRib(peer: RibPeer, family: Family): void {
    this.#stopLongLived(family);
    if (peer.stale[0]! + peer.stale[1]! > 0) return;
    this.#cancelRestart?.();
    this.#cancelRestart = undefined;
  }

  /** The session has ended for good, or the peer has. */
  cancel(): void {
    this.#cancelRestart?.();
    this.#cancelRestart = undefined;
    for (const family of [...this.#longLived.keys()]) this.#stopLongLived(family);
  }

  /** Nothing is forwarded there any more: the paths go now. */
  giveUp(peer: RibPeer): void {
    this.cancel();
    this.#sweep(peer, ['ipv4-unicast', 'ipv6-unicast']);
  }

  #afterRestartTime(peer: RibPeer, asked: readonly LongLivedFamily[]): void {
    for (const each of asked) this.#enterLongLived(peer, each);
    const others = (['ipv4-unicast', 'ipv6-unicast'] as const).filter((family) => !this.#longLived.has(family));
    this.#sweep(peer, others);
  }

  #enterLongLived(peer: RibPeer, { family, staleTimeSeconds }: LongLivedFamily): void {
    const { clock, log, name, pipeline } = this.#host;
    const kept = pipeline.rib.makeLongLived(peer, family);
    pipeline.schedule();
    // What was heard since the time began to run is marked, too, but gets no time of its own.
    if (this.#longLived.has(family)) return;
    log.warn(
      { peer: name, family, kept, staleTime: staleTimeSeconds },
      `peer ${name}: ${kept} ${family} paths are kept as a last resort for ${staleTimeSeconds} s (LLGR)`,
    );
    const cancel = clock.after(staleTimeSeconds * 1000, () => {
      this.#longLived.delete(family);
      this.#sweep(peer, [family]);
    });
    this.#longLived.set(family, cancel);
  }

  #stopLongLived(family: Family): void {
    this.#longLived.get(family)?.();
    this.#longLived.delete(family);
  }

  #sweep(peer: RibPeer, families: readonly Family[]): void {
    const { log, name, pipeline } = this.#host;
    let swept = 0;
    for (const family of families) swept += pipeline.rib.sweepStale(peer, family);
    if (swept > 0) log.info({ peer: name, swept }, `peer ${name}: ${swept} stale paths removed`);
    pipeline.schedule();
    if (!this.isWaiting) this.#host.forgotten();
  }
}
