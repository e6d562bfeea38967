/** Rows that the kernel refused, tried again with growing delays: 0.5 s, 1 s, … up to 30 s. Cold unless much fails. */

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;

export class Retries {
  readonly #rows = new Map<number, { attempts: number; at: number }>();
  /** When the next is due, milliseconds; Infinity = none. May be early, never late. */
  at = Infinity;

  /** Notes a failure; how many there have been in a row. */
  failed(row: number, nowMs: number): number {
    const attempts = (this.#rows.get(row)?.attempts ?? 0) + 1;
    const at = nowMs + Math.min(FIRST_DELAY_MS * 2 ** (attempts - 1), LAST_DELAY_MS);
    this.#rows.set(row, { attempts, at });
    this.at = Math.min(this.at, at);
    return attempts;
  }

  forget(row: number): void {
    if (this.#rows.size) this.#rows.delete(row);
  }

  /** Names the rows whose time has come; they stay until forgotten or failed again. */
  due(nowMs: number, each: (row: number) => void): void {
    if (nowMs < this.at) return;
    let next = Infinity;
    for (const [row, retry] of this.#rows) {
      if (retry.at <= nowMs) {
        retry.at = Infinity;
        each(row);
      } else next = Math.min(next, retry.at);
    }
    this.at = next;
  }

  /** Names all rows: circumstances have changed. */
  hurry(each: (row: number) => void): void {
    for (const row of this.#rows.keys()) each(row);
  }
}
