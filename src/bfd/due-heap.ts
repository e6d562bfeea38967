// HOT: `update` runs per packet; no allocation.
/**
 * Which session has something to do first: a binary heap of due times. Times may only be too early: a session that has
 * more time than the heap knows is found out when it comes up, so that a received packet costs nothing here.
 */

export interface Due {
  readonly dueMs: number;
  /** Owned by the heap: place in it, -1 = not in it. */
  heapIndex: number;
}

export class DueHeap<T extends Due> {
  readonly #items: T[] = [];
  /** The due times that the order is by. */
  readonly #times: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** Not before this is anything due; Infinity = nothing ever. */
  get firstMs(): number {
    return this.#times[0] ?? Infinity;
  }

  add(item: T): void {
    this.#items.push(item);
    this.#times.push(item.dueMs);
    item.heapIndex = this.#items.length - 1;
    this.#up(item.heapIndex);
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.#items.pop()!;
    const lastTime = this.#times.pop()!;
    if (last === item) return;
    this.#place(index, last, lastTime);
    this.#up(index);
    this.#down(last.heapIndex);
  }

  /** `item.dueMs` may have become earlier. */
  update(item: T): void {
    const dueMs = item.dueMs;
    if (item.heapIndex < 0 || dueMs >= this.#times[item.heapIndex]!) return;
    this.#times[item.heapIndex] = dueMs;
    this.#up(item.heapIndex);
  }

  /** The session that is due at `nowMs`; undefined when none is. It stays in the heap: `update` or `settle` it. */
  due(nowMs: number): T | undefined {
    while (this.#items.length > 0 && this.#times[0]! <= nowMs) {
      const first = this.#items[0]!;
      if (first.dueMs <= nowMs) return first;
      this.settle(first);
    }
    return undefined;
  }

  /** Puts `item` where its due time belongs, also when that has become later. */
  settle(item: T): void {
    if (item.heapIndex < 0) return;
    this.#times[item.heapIndex] = item.dueMs;
    this.#up(item.heapIndex);
    this.#down(item.heapIndex);
  }

  #up(index: number): void {
    const item = this.#items[index]!;
    const time = this.#times[index]!;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#times[parent]! <= time) break;
      this.#place(index, this.#items[parent]!, this.#times[parent]!);
      index = parent;
    }
    this.#place(index, item, time);
  }

  #down(index: number): void {
    const item = this.#items[index]!;
    const time = this.#times[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#times[child + 1]! < this.#times[child]!) child++;
      if (this.#times[child]! >= time) break;
      this.#place(index, this.#items[child]!, this.#times[child]!);
      index = child;
    }
    this.#place(index, item, time);
  }

  #place(index: number, item: T, time: number): void {
    this.#items[index] = item;
    this.#times[index] = time;
    item.heapIndex = index;
  }
}
