/** What the control server asks of the speaker. Declared by the caller; `speaker.ts` joins the two. */
import type { Family } from 'bgp-parse';
import type { FibDifferenceDto, FibRowDto, MonitorEventDto, PeerDto, RouteDto, SummaryDto } from './dto.js';

export interface RouteFilter {
  readonly family?: Family | undefined;
  /** `a.b.c.d/n` = this prefix; a bare address = the longest match. Already checked to be well-formed. */
  readonly match?: string | undefined;
  /** With a prefix: also everything more specific. */
  readonly longer?: boolean | undefined;
  /** Only this peer's paths: as received from it (Adj-RIB-In) or as advertised to it (Adj-RIB-Out). */
  readonly peer?: { readonly address: string; readonly direction: 'received' | 'advertised' } | undefined;
  /** Only best paths. */
  readonly best?: boolean | undefined;
}

export type PeerCommand = 'enable' | 'disable' | 'reset' | 'refresh';

export interface PeerCommandOptions {
  /** Goes to the peer as the shutdown communication (RFC 9003): `disable`, `reset`. */
  readonly text?: string | undefined;
  /** `reset`: no routes are kept over it (RFC 8538). */
  readonly hard?: boolean | undefined;
}

export interface Queries {
  summary(): SummaryDto;
  /** Each is looked at when it is pulled: to count what one is told may mean to walk a table. */
  eachPeer(): Iterable<PeerDto>;
  /** undefined = no such peer. */
  peer(address: string): PeerDto | undefined;
  /** Walks the tables as it is pulled, so a million routes never stand in memory; undefined = no such peer. */
  routes(filter: RouteFilter): Iterable<RouteDto> | undefined;
  fib(): AsyncIterable<FibRowDto>;
  /** Against a fresh reading of the kernel; rejects with why there is none. */
  fibDiff(): Promise<Iterable<FibDifferenceDto>>;
  /** undefined = done; a text = why it was refused. */
  command(address: string, command: PeerCommand, options?: PeerCommandOptions): string | undefined;
  /** RFC 8326: asks every peer to prefer other paths than ours, or no longer. undefined = done; a text = refused. */
  drain(draining: boolean): string | undefined;
  /** Live changes from now on. The listener must not throw and must not block. */
  subscribe(listener: (event: MonitorEventDto) => void): () => void;
}
