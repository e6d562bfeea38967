/**
 * BFD Control packets (RFC 5880 §4.1): read into and written from an object that the caller keeps, so that a packet
 * costs no memory. Authentication (§4.2 to §4.4) is recognised and refused: nothing here uses it.
 */

/** RFC 5880 §4.1, State. */
export const BfdState = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
export type BfdState = (typeof BfdState)[keyof typeof BfdState];

/** RFC 5880 §4.1, Diagnostic. */
export const BfdDiagnostic = {
  none: 0,
  controlDetectionTimeExpired: 1,
  echoFunctionFailed: 2,
  neighborSignaledSessionDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const STATE_NAMES = ['AdminDown', 'Down', 'Init', 'Up'] as const;

const DIAGNOSTIC_NAMES = [
  'none',
  'control detection time expired',
  'echo function failed',
  'neighbor signaled session down',
  'forwarding plane reset',
  'path down',
  'concatenated path down',
  'administratively down',
  'reverse concatenated path down',
] as const;

/** `AdminDown`, `Down`, `Init`, `Up`. */
export function formatBfdState(state: BfdState): (typeof STATE_NAMES)[number] {
  return STATE_NAMES[state];
}

/** In the words of RFC 5880 §4.1. */
export function formatBfdDiagnostic(diagnostic: number): string {
  return DIAGNOSTIC_NAMES[diagnostic] ?? `diagnostic ${diagnostic}`;
}

/** The fields of RFC 5880 §4.1; intervals are microseconds, discriminators unsigned 32-bit. */
export interface BfdControl {
  diagnostic: number;
  state: BfdState;
  poll: boolean;
  final: boolean;
  controlPlaneIndependent: boolean;
  demand: boolean;
  detectMultiplier: number;
  myDiscriminator: number;
  yourDiscriminator: number;
  desiredMinTxUs: number;
  requiredMinRxUs: number;
  requiredMinEchoRxUs: number;
}

/** Why a packet is discarded (RFC 5880 §6.8.6), by the field at fault. */
export type BfdFault =
  'truncated' | 'version' | 'length' | 'detectMultiplier' | 'multipoint' | 'discriminator' | 'authentication';

export const BFD_CONTROL_LENGTH = 24;
const VERSION = 1;
/** With the A bit: at least the authentication's type and length. */
const AUTHENTICATED_LENGTH = 26;

const Flag = { poll: 0x20, final: 0x10, independent: 0x08, authentication: 0x04, demand: 0x02, multipoint: 0x01 };

/** A packet to read into or to fill. */
export function createBfdControl(): BfdControl {
  return {
    diagnostic: 0,
    state: BfdState.down,
    poll: false,
    final: false,
    controlPlaneIndependent: false,
    demand: false,
    detectMultiplier: 3,
    myDiscriminator: 0,
    yourDiscriminator: 0,
    desiredMinTxUs: 0,
    requiredMinRxUs: 0,
    requiredMinEchoRxUs: 0,
  };
}

/**
 * Reads the UDP payload `bytes[0, length)` into `packet`. A fault means: discard it (RFC 5880 §6.8.6); what `packet`
 * holds then means nothing.
 */
export function decodeBfdControl(bytes: Uint8Array, length: number, packet: BfdControl): BfdFault | undefined {
  if (length < BFD_CONTROL_LENGTH) return 'truncated';
  if (bytes[0]! >>> 5 !== VERSION) return 'version';
  const flags = bytes[1]!;
  const authenticated = (flags & Flag.authentication) !== 0;
  const said = bytes[3]!;
  if (said < (authenticated ? AUTHENTICATED_LENGTH : BFD_CONTROL_LENGTH) || said > length) return 'length';
  packet.detectMultiplier = bytes[2]!;
  if (packet.detectMultiplier === 0) return 'detectMultiplier';
  if (flags & Flag.multipoint) return 'multipoint';
  packet.diagnostic = bytes[0]! & 0x1f;
  packet.state = (flags >>> 6) as BfdState;
  packet.poll = (flags & Flag.poll) !== 0;
  packet.final = (flags & Flag.final) !== 0;
  packet.controlPlaneIndependent = (flags & Flag.independent) !== 0;
  packet.demand = (flags & Flag.demand) !== 0;
  packet.myDiscriminator = readU32(bytes, 4);
  packet.yourDiscriminator = readU32(bytes, 8);
  packet.desiredMinTxUs = readU32(bytes, 12);
  packet.requiredMinRxUs = readU32(bytes, 16);
  packet.requiredMinEchoRxUs = readU32(bytes, 20);
  if (packet.myDiscriminator === 0) return 'discriminator';
  // Who does not know us yet can only be down.
  if (packet.yourDiscriminator === 0 && packet.state > BfdState.down) return 'discriminator';
  if (authenticated) return 'authentication';
  return undefined;
}

/** Writes the 24 octets of `packet` to the beginning of `bytes`. */
export function encodeBfdControl(packet: BfdControl, bytes: Uint8Array): void {
  bytes[0] = (VERSION << 5) | packet.diagnostic;
  bytes[1] =
    (packet.state << 6) |
    (packet.poll ? Flag.poll : 0) |
    (packet.final ? Flag.final : 0) |
    (packet.controlPlaneIndependent ? Flag.independent : 0) |
    (packet.demand ? Flag.demand : 0);
  bytes[2] = packet.detectMultiplier;
  bytes[3] = BFD_CONTROL_LENGTH;
  writeU32(bytes, 4, packet.myDiscriminator);
  writeU32(bytes, 8, packet.yourDiscriminator);
  writeU32(bytes, 12, packet.desiredMinTxUs);
  writeU32(bytes, 16, packet.requiredMinRxUs);
  writeU32(bytes, 20, packet.requiredMinEchoRxUs);
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
