/**
 * What the main thread and the FIB worker say to each other. Arrays are copied, never transferred: the first array that
 * is detached makes V8 throw away all code that it has compiled for typed arrays, and check each access from then on.
 */
import type { Family } from 'bgp-parse';
import type { MessagePort } from 'node:worker_threads';
import type { EncapsulationSettings } from '../config/settings.js';
import type { PackedDifferences } from './differences.js';
import type { HostDuties, HostState } from './host-keeper.js';
import type { FibRow, KernelState, NextHopSet, NextHopState } from './port.js';
import type { SyncerSettings } from './syncer.js';

/** As a literal: V8 compares a string that came in a message octet by octet, and compiles the code anew for it. */
export function familyOf(received: Family): Family {
  return received === 'ipv4-unicast' ? 'ipv4-unicast' : 'ipv6-unicast';
}

export interface RowCursor {
  readonly table: number;
  readonly row: number;
}

export interface Counts {
  readonly installed: number;
  readonly pending: number;
  readonly failed: number;
  /** Routes, and parts of tunnels, put back since the start. */
  readonly repaired: number;
}

export interface WorkerStart {
  readonly settings: SyncerSettings;
  readonly encapsulation: EncapsulationSettings | undefined;
  readonly port: MessagePort;
  /** Readable when something has been said to the worker. */
  readonly wakeFd: number;
  /** Octets; undefined = default. */
  readonly receiveBuffer: number | undefined;
  readonly duties: HostDuties;
}

export type ToWorker =
  | { readonly type: 'track'; readonly id: number; readonly address: Uint8Array; readonly interfaceName?: string }
  | { readonly type: 'forget'; readonly id: number }
  | { readonly type: 'down'; readonly id: number; readonly down: boolean }
  | { readonly type: 'define'; readonly id: number; readonly set: NextHopSet }
  | { readonly type: 'forgetSet'; readonly id: number }
  | { readonly type: 'encapsulate'; readonly settings: EncapsulationSettings | undefined }
  | { readonly type: 'ownNextHop'; readonly address: Uint8Array }
  | { readonly type: 'submit'; readonly family: Family; readonly records: Uint32Array; readonly count: number }
  | { readonly type: 'sweep' }
  | { readonly type: 'watch'; readonly prefixes: readonly string[] }
  | { readonly type: 'duties'; readonly duties: HostDuties }
  | { readonly type: 'rows'; readonly request: number; readonly cursor: RowCursor; readonly max: number }
  | { readonly type: 'diff'; readonly request: number }
  | { readonly type: 'stop'; readonly keepRoutes: boolean };

export type FromWorker =
  | { readonly type: 'ready'; readonly state: KernelState; readonly counts: Counts; readonly threadId: number }
  | { readonly type: 'kernel'; readonly state: KernelState }
  | { readonly type: 'nextHops'; readonly changes: readonly NextHopState[] }
  | { readonly type: 'routesPresent'; readonly prefixes: readonly string[] }
  | { readonly type: 'status'; readonly family: Family; readonly pairs: Uint32Array; readonly count: number }
  | { readonly type: 'counts'; readonly counts: Counts }
  | { readonly type: 'host'; readonly state: HostState }
  /** A submitted batch has been taken in. */
  | { readonly type: 'absorbed' }
  | {
      readonly type: 'rows';
      readonly request: number;
      readonly rows: readonly FibRow[];
      readonly next: RowCursor | undefined;
    }
  /** Undefined = the kernel could not be read whole. */
  | { readonly type: 'diff'; readonly request: number; readonly differences: PackedDifferences | undefined }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn'; readonly fields: object; readonly text: string }
  | { readonly type: 'fatal'; readonly text: string }
  | { readonly type: 'stopped' };
