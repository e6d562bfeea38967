/** What the main thread and the BFD thread say to each other. Ids are the main thread's and never used again. */
import type { MessagePort } from 'node:worker_threads';
import type { BfdChange, BfdTarget, BfdTimers } from './port.js';

export interface WorkerStart {
  readonly port: MessagePort;
  readonly wakeFd: number;
  /** The kernel's number of the thread to keep apart from; 0 = none. */
  readonly busyThread: number;
  /** Of `OpenSockets`. */
  readonly openSockets: SharedArrayBuffer;
}

export type ToWorker =
  | {
      readonly type: 'open';
      readonly id: number;
      readonly target: BfdTarget;
      readonly timers: BfdTimers;
      /** What it tells of a session of before is gone on with. */
      readonly view: SharedArrayBuffer;
    }
  | { readonly type: 'change'; readonly id: number; readonly timers: BfdTimers }
  | { readonly type: 'retarget'; readonly id: number; readonly target: BfdTarget }
  | { readonly type: 'close'; readonly id: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'changed'; readonly id: number; readonly change: BfdChange }
  /** Why packets cannot be sent or received; undefined = they can again. */
  | { readonly type: 'error'; readonly id: number; readonly text: string | undefined }
  /** How the kernel runs the thread, once. */
  | { readonly type: 'scheduled'; readonly as: 'realtime' | 'nice' | 'normal' };
