/** A small generator of random numbers (xorshift32) with a seed: every run sends the same. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  }

  /** Unsigned 32 bits. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  shuffle(numbers: Int32Array): void {
    for (let i = numbers.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const swap = numbers[i]!;
      numbers[i] = numbers[j]!;
      numbers[j] = swap;
    }
  }
}
