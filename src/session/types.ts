/**
 * The seam between sessions and the speaker: what a session promises once Established, what it tells, what it takes.
 * Only ids, views and bytes cross it, so either side could move to another thread.
 */
import type { AddressBytes, BgpError, Family } from 'bgp-parse';

export type SessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** The result of both OPEN messages. Immutable for the life of the session. */
export interface Negotiated {
  readonly type: 'internal' | 'external';
  readonly localAsn: number;
  /** The AS number of our OPEN: another one with `localAs`. */
  readonly offeredAsn: number;
  readonly peerAsn: number;
  /** BGP identifier of the peer, unsigned 32-bit. */
  readonly peerIdentifier: number;
  readonly holdTimeSeconds: number;
  readonly keepaliveTimeSeconds: number;
  /** Families that both sides offered. Without the multiprotocol capability: ipv4-unicast (RFC 4760 §8). */
  readonly families: readonly Family[];
  /** RFC 6793: AS numbers in AS_PATH and AGGREGATOR are 4 octets both ways. */
  readonly fourOctetAs: boolean;
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  /** Largest message either side may send, octets: 4096 or 65535 (RFC 8654). */
  readonly maxMessageLength: number;
  /** RFC 7911, per family. */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
  /** RFC 8950: IPv4 NLRI with an IPv6 next hop is allowed. */
  readonly extendedNextHop: boolean;
  /** The peer's graceful restart capability (RFC 4724), when both sides have it. */
  readonly gracefulRestart:
    | {
        readonly restarting: boolean;
        /** RFC 8538: both sides keep routes also over a NOTIFICATION that is no Hard Reset. */
        readonly notification: boolean;
        readonly restartTimeSeconds: number;
        readonly forwardingPreserved: readonly Family[];
        readonly families: readonly Family[];
      }
    | undefined;
  /** The peer's long-lived graceful restart capability (RFC 9494), when both sides have it and RFC 4724's. */
  readonly longLived: readonly LongLivedFamily[] | undefined;
  /** The peer's BGP role (RFC 9234), one of Role; undefined = it said none, or the session is internal. */
  readonly peerRole: number | undefined;
  /** Ends of the TCP connection. IPv4-mapped addresses are given as 4 octets. */
  readonly localAddress: AddressBytes;
  readonly peerAddress: AddressBytes;
  readonly localPort: number;
  readonly peerPort: number;
  /** Names of all capabilities seen from the peer, for people. */
  readonly peerCapabilities: readonly string[];
}

export interface LongLivedFamily {
  readonly family: Family;
  /** How long the peer asks for its routes to be kept; 0 = not at all. */
  readonly staleTimeSeconds: number;
  readonly forwardingPreserved: boolean;
}

export interface DownReason {
  /** One line for people: "hold timer expired", "peer sent Cease/Administrative Shutdown: maintenance". */
  readonly text: string;
  /** NOTIFICATION that ended the session, either way; undefined = the TCP connection was lost. */
  readonly notification:
    | {
        readonly code: number;
        readonly subcode: number;
        readonly sent: boolean;
        /** RFC 8538: graceful restart does not apply, though both sides support it for NOTIFICATIONs. */
        readonly hard: boolean;
      }
    | undefined;
}

/** What a session tells its owner. Calls are synchronous; bytes are valid only during the call. */
export interface SessionListener {
  established(negotiated: Negotiated): void;
  /**
   * One UPDATE; `start`..`end` is the message body behind the 19-octet header, in place.
   * A returned error has disposition sessionReset: the session sends its NOTIFICATION and ends.
   */
  update(bytes: Uint8Array, start: number, end: number): BgpError | undefined;
  routeRefresh(family: Family, subtype: number): void;
  /** Only after `established`. */
  down(reason: DownReason): void;
  /** Everything written has been handed to the kernel after `backlogBytes` had been above zero. */
  drained(): void;
}

/** What the speaker may do with an established session. */
export interface SessionSink {
  /**
   * Writes whole messages from `bytes[start, end)`. The bytes are either copied, or taken by the kernel, before it
   * returns, unless it returns true: then the session still holds a reference and the caller must not reuse the memory.
   * `messages` is how many these are, for the counters.
   */
  write(bytes: Uint8Array, start: number, end: number, messages: number): boolean;
  /** Octets accepted by `write` that the kernel has not taken yet. */
  readonly backlogBytes: number;
}
