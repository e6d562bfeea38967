/**
 * The seam between the speaker and the BFD thread: sessions are opened, changed and closed here; changes of state come
 * back. What a session shows is in memory that the thread writes and anybody may read (`BfdView`).
 */
import type { AddressBytes, BfdState } from 'bgp-parse';

export interface BfdTimers {
  /** Least time between packets that we send. */
  readonly minTxMs: number;
  /** Least time between packets that we take. */
  readonly minRxMs: number;
  /** Packets that may be missed. */
  readonly multiplier: number;
}

/** Between which addresses, and how. */
export interface BfdTarget {
  readonly address: AddressBytes;
  /** undefined = chosen by the kernel's routes. */
  readonly localAddress: AddressBytes | undefined;
  /** Only over this interface. Required for link-local addresses. */
  readonly interface: string | undefined;
  /** RFC 5883 (UDP 4784) instead of RFC 5881 (UDP 3784). */
  readonly multihop: boolean;
  /** Least TTL that is taken: 255 on a single hop (RFC 5881 §5), else as configured (RFC 5883 §4.2: 0 = any). */
  readonly minTtl: number;
}

export interface BfdChange {
  readonly state: BfdState;
  readonly before: BfdState;
  readonly remoteState: BfdState;
  readonly diagnostic: number;
  readonly remoteDiagnostic: number;
  /** The peer's C bit (RFC 5880 §4.1). */
  readonly remoteIndependent: boolean;
}

export interface BfdView {
  readonly state: BfdState;
  /** undefined = nothing is being heard. */
  readonly remoteState: BfdState | undefined;
  readonly diagnostic: number;
  readonly remoteDiagnostic: number;
  readonly transmitIntervalMs: number;
  readonly detectionMs: number;
  readonly remoteMinTxMs: number;
  readonly remoteMinRxMs: number;
  readonly remoteMultiplier: number;
  readonly localDiscriminator: number;
  readonly remoteDiscriminator: number;
  readonly flaps: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  /** Packets from the peer that were not taken: too low a TTL, malformed, of nobody's session. */
  readonly discarded: number;
  /** Why packets cannot be sent or received; undefined = they can. */
  readonly error: string | undefined;
}

export interface BfdHandle {
  readonly view: BfdView;
  /** Sends and detects by new timers without leaving its state. */
  change(timers: BfdTimers): void;
  /** Goes on between other addresses. */
  retarget(target: BfdTarget): void;
  /** Says AdminDown for a while, and is gone. */
  close(): void;
}

export interface BfdPort {
  /** `changed` is called on every change of either side's state. */
  open(target: BfdTarget, timers: BfdTimers, changed: (change: BfdChange) => void): BfdHandle;
  /** Says AdminDown once to everybody and ends the thread. */
  stop(): Promise<void>;
}
