/** Pairs (prefixId, status) on their way to the speaker, collected per slice. */
// HOT: one pair per route and change.

const CAPACITY = 8192;

export class StatusReport {
  readonly #send: (pairs: Uint32Array, count: number) => void;
  #pairs = new Uint32Array(0);
  #count = 0;

  /** `send` may keep the array: it gets a copy. */
  constructor(send: (pairs: Uint32Array, count: number) => void) {
    this.#send = send;
  }

  push(prefixId: number, status: number): void {
    if (this.#count * 2 === this.#pairs.length) this.#makeRoom();
    this.#pairs[this.#count * 2] = prefixId;
    this.#pairs[this.#count * 2 + 1] = status;
    this.#count++;
  }

  flush(): void {
    if (this.#count === 0) return;
    this.#send(this.#pairs.slice(0, this.#count * 2), this.#count);
    this.#count = 0;
  }

  #makeRoom(): void {
    if (this.#count === CAPACITY) {
      this.flush();
      return;
    }
    const larger = new Uint32Array(Math.min(CAPACITY * 2, Math.max(64, this.#count * 4)));
    larger.set(this.#pairs);
    this.#pairs = larger;
  }
}
