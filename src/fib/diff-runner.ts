/**
 * Comparisons with the kernel, in slices: between two of them the thread hears the kernel and writes routes as always, so
 * a failover or a repair does not wait for somebody who looks. Who asks while one is under way gets the next one's answer,
 * together with everybody else who waits.
 */
import type { PackedDifferences } from './differences.js';
import { FibDiff, compareWithKernel } from './fib-diff.js';
import type { Kernel, RouteReading } from './kernel.js';
import type { Syncer } from './syncer.js';

/** Of reading at a stretch; less while there are routes to write. */
const SLICE_MS = 4;
const BUSY_SLICE_MS = 1;
/** Readings in slices that others' changes may spoil, before one in a piece. */
const TRIES = 3;

export interface DiffKernel extends Kernel {
  readInParts(): RouteReading;
}

export class DiffRunner {
  readonly #syncer: Syncer;
  readonly #kernel: DiffKernel;
  readonly #answer: (requests: readonly number[], differences: PackedDifferences | undefined) => void;
  readonly #nowMs: () => number;
  #waiting: number[] = [];
  #requests: readonly number[] = [];
  #reading: RouteReading | undefined;
  #diff: FibDiff | undefined;
  #tries = 0;

  /** `answer` with undefined: the kernel's tables changed all the time. */
  constructor(
    syncer: Syncer,
    kernel: DiffKernel,
    nowMs: () => number,
    answer: (requests: readonly number[], differences: PackedDifferences | undefined) => void,
  ) {
    this.#syncer = syncer;
    this.#kernel = kernel;
    this.#nowMs = nowMs;
    this.#answer = answer;
  }

  request(id: number): void {
    this.#waiting.push(id);
  }

  /** One slice; whether there is more to do. Throws what the kernel says against being read, and the requests are lost. */
  step(): boolean {
    if (!this.#diff) {
      if (this.#waiting.length === 0) return false;
      this.#requests = this.#waiting;
      this.#waiting = [];
      this.#tries = 0;
      this.#begin();
    }
    const end = this.#nowMs() + (this.#syncer.pending ? BUSY_SLICE_MS : SLICE_MS);
    for (;;) {
      const read = this.#reading!.step(this.#diff!);
      if (read === 'more') {
        if (this.#nowMs() >= end) return true;
        continue;
      }
      const result = this.#diff!.result(this.#kernel);
      this.close();
      if (read === 'done' && result && !result.isDoubtful) this.#tell(result.differences);
      else if (++this.#tries < TRIES) this.#begin();
      else this.#tell(compareWithKernel(this.#syncer, this.#kernel));
      return this.#diff !== undefined || this.#waiting.length > 0;
    }
  }

  /** Gives up what is under way; whose requests these were. */
  abandon(): readonly number[] {
    this.close();
    const requests = this.#requests;
    this.#requests = [];
    return requests;
  }

  close(): void {
    this.#reading?.close();
    this.#reading = this.#diff = undefined;
  }

  #begin(): void {
    this.#reading = this.#kernel.readInParts();
    this.#diff = new FibDiff(this.#syncer);
  }

  #tell(differences: PackedDifferences | undefined): void {
    const requests = this.#requests;
    this.#requests = [];
    this.#answer(requests, differences);
  }
}
