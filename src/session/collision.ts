/**
 * Connection collision (RFC 4271 §6.8): both ends dialled, one connection may stay. Pure.
 *
 * Both ends must come to the same verdict from what each of them knows, so it rests on the two identifiers alone as
 * long as neither connection is Established. RFC 6286 §2.3: equal identifiers (external peers only) compare AS numbers.
 */

/** Who opened the TCP connection. */
export type Initiator = 'local' | 'peer';

export interface SpeakerIdentity {
  /** Unsigned 32-bit BGP identifier. */
  readonly identifier: number;
  readonly asn: number;
}

/** Whose connection stays when both dialled. */
export function preferredInitiator(local: SpeakerIdentity, peer: SpeakerIdentity): Initiator {
  if (local.identifier !== peer.identifier) return local.identifier > peer.identifier ? 'local' : 'peer';
  return local.asn > peer.asn ? 'local' : 'peer';
}

/** The connection that was there before the one whose OPEN has just come in. */
export interface ExistingConnection {
  readonly state: 'Connect' | 'OpenSent' | 'OpenConfirm' | 'Established';
  readonly initiator: Initiator;
  /** How long it has been Established, ms; 0 before. */
  readonly establishedForMs: number;
  /** RFC 4724: the peer announced graceful restart on it, so a new connection may be the restarted peer. */
  readonly gracefulRestart: boolean;
}

/**
 * A connection this young that collides was dialled at the same time, and is no restart: the peer has not lived long
 * enough on it. Dialling both ways overlaps by a round trip and a turn of the event loop.
 */
const DIAL_RACE_MS = 2000;

/**
 * Which of the two goes, once the OPEN on the `newer` one is in. 'none' = both stay for now: a connection still in
 * Connect is decided when it has an OPEN, or dropped when the other is Established.
 */
export function collide(
  newer: { readonly initiator: Initiator },
  existing: ExistingConnection,
  local: SpeakerIdentity,
  peer: SpeakerIdentity,
): 'closeNewer' | 'closeExisting' | 'none' {
  switch (existing.state) {
    case 'Connect':
      return 'none';
    case 'Established':
      // RFC 4724 §5: with graceful restart the new connection is the peer come back; else the Established one stays.
      return existing.gracefulRestart && existing.establishedForMs > DIAL_RACE_MS ? 'closeExisting' : 'closeNewer';
    case 'OpenSent':
    case 'OpenConfirm':
      // Two of the peer's own: it would not open the second if it still had the first.
      if (newer.initiator === existing.initiator) return 'closeExisting';
      return newer.initiator === preferredInitiator(local, peer) ? 'closeExisting' : 'closeNewer';
  }
}
