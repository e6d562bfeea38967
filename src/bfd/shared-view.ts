/**
 * What a session shows, in memory that both threads see: the BFD thread writes numbers, the main thread reads them
 * whenever somebody asks, and nobody sends a message. A reader may see a packet's numbers half written; they are for
 * people.
 */
import type { BfdState } from 'bgp-parse';
import type { BfdView } from './port.js';
import type { BfdSession } from './session.js';

const Field = {
  state: 0,
  /** -1 = nothing is being heard. */
  remoteState: 1,
  diagnostic: 2,
  remoteDiagnostic: 3,
  transmitIntervalUs: 4,
  detectionUs: 5,
  remoteMinTxUs: 6,
  remoteMinRxUs: 7,
  remoteMultiplier: 8,
  localDiscriminator: 9,
  remoteDiscriminator: 10,
  flaps: 11,
  packetsIn: 12,
  packetsOut: 13,
  discarded: 14,
  /** 0 = none yet. */
  sourcePort: 15,
} as const;

const FIELDS = 16;

/** 128 octets per session. */
export function createSharedView(): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(FIELDS * Float64Array.BYTES_PER_ELEMENT);
  const fields = new Float64Array(buffer);
  fields[Field.state] = 1;
  fields[Field.remoteState] = -1;
  return buffer;
}

export function publish(session: BfdSession, discarded: number, sourcePort: number, fields: Float64Array): void {
  fields[Field.state] = session.state;
  fields[Field.remoteState] = session.hears ? session.remoteState : -1;
  fields[Field.diagnostic] = session.diagnostic;
  fields[Field.remoteDiagnostic] = session.remoteDiagnostic;
  fields[Field.transmitIntervalUs] = session.transmitIntervalUs;
  fields[Field.detectionUs] = session.hears ? session.detectionUs : 0;
  fields[Field.remoteMinTxUs] = session.remoteMinTxUs;
  fields[Field.remoteMinRxUs] = session.remoteMinRxUs;
  fields[Field.remoteMultiplier] = session.remoteMultiplier;
  fields[Field.localDiscriminator] = session.localDiscriminator;
  fields[Field.remoteDiscriminator] = session.remoteDiscriminator;
  fields[Field.flaps] = session.flaps;
  fields[Field.packetsIn] = session.packetsIn;
  fields[Field.packetsOut] = session.packetsOut;
  fields[Field.discarded] = discarded;
  fields[Field.sourcePort] = sourcePort;
}

/** Of the transport it had last; undefined = none yet. */
export function readSourcePort(fields: Float64Array): number | undefined {
  return fields[Field.sourcePort] || undefined;
}

export function readSharedView(fields: Float64Array, error: string | undefined): BfdView {
  const remoteState = fields[Field.remoteState]!;
  return {
    state: fields[Field.state] as BfdState,
    remoteState: remoteState < 0 ? undefined : (remoteState as BfdState),
    diagnostic: fields[Field.diagnostic]!,
    remoteDiagnostic: fields[Field.remoteDiagnostic]!,
    transmitIntervalMs: fields[Field.transmitIntervalUs]! / 1000,
    detectionMs: fields[Field.detectionUs]! / 1000,
    remoteMinTxMs: fields[Field.remoteMinTxUs]! / 1000,
    remoteMinRxMs: fields[Field.remoteMinRxUs]! / 1000,
    remoteMultiplier: fields[Field.remoteMultiplier]!,
    localDiscriminator: fields[Field.localDiscriminator]!,
    remoteDiscriminator: fields[Field.remoteDiscriminator]!,
    flaps: fields[Field.flaps]!,
    packetsIn: fields[Field.packetsIn]!,
    packetsOut: fields[Field.packetsOut]!,
    discarded: fields[Field.discarded]!,
    error,
  };
}
