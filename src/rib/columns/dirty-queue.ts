// HOT: guarded by bench S1.
/**
 * A first-in first-out ring of ids. The caller keeps an id out while its flag says it is in, so the ring is bounded by
 * the table. `pushed` and `popped` count for ever: "everything queued before X has been handled" is one comparison.
 */
export class DirtyQueue {
  pushed = 0;
  popped = 0;
  #ring = new Int32Array(1024);
  #mask = 1023;

  get size(): number {
    return this.pushed - this.popped;
  }

  push(id: number): void {
    if (this.pushed - this.popped > this.#mask) this.#grow();
    this.#ring[this.pushed++ & this.#mask] = id;
  }

  /** The oldest id; only when `size` > 0. */
  pop(): number {
    return this.#ring[this.popped++ & this.#mask]!;
  }

  #grow(): void {
    const larger = new Int32Array((this.#mask + 1) * 2);
    const mask = larger.length - 1;
    for (let at = this.popped; at < this.pushed; at++) larger[at & mask] = this.#ring[at & this.#mask]!;
    this.#ring = larger;
    this.#mask = mask;
  }
}
