/**
 * The pipeline, readable aloud; the only file that sees every stage. (Stub: the stages are being joined.)
 */
import type { Settings } from './config/settings.js';
import type { FibRowDto, MonitorEventDto, PeerDto, RouteDto, SummaryDto } from './control/dto.js';
import type { PeerCommand, Queries, RouteFilter } from './control/queries.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';

export interface SpeakerDependencies {
  readonly clock: Clock;
  readonly log: Log;
}

/** What a reload did, one line each for people: "peer 192.0.2.1: added". Empty = nothing changed. */
export type ApplyReport = readonly string[];

export class Speaker implements Queries {
  constructor(_settings: Settings, _dependencies: SpeakerDependencies) {}

  /** Opens the listeners, reads the kernel, starts the sessions. Rejects with what is wrong and what to do. */
  start(): Promise<void> {
    return Promise.reject(new Error('not implemented'));
  }

  /** Takes new settings and touches only what differs. Rejects, changing nothing, when they cannot be applied. */
  apply(_settings: Settings): Promise<ApplyReport> {
    return Promise.reject(new Error('not implemented'));
  }

  /** Says Cease to every peer, removes our kernel routes, closes everything. */
  stop(): Promise<void> {
    return Promise.resolve();
  }

  summary(): SummaryDto {
    throw new Error('not implemented');
  }
  peers(): PeerDto[] {
    return [];
  }
  peer(_address: string): PeerDto | undefined {
    return undefined;
  }
  routes(_filter: RouteFilter): Iterable<RouteDto> | undefined {
    return [];
  }
  // eslint-disable-next-line @typescript-eslint/require-await
  async *fib(): AsyncIterable<FibRowDto> {}
  command(_address: string, _command: PeerCommand, _text?: string): string | undefined {
    return 'not implemented';
  }
  subscribe(_listener: (event: MonitorEventDto) => void): () => void {
    return () => undefined;
  }
}
