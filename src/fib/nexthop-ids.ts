/**
 * The kernel ids of our nexthop objects: a range of our own, so that they are known for ours also after a restart.
 *
 *    31        24 23   18 17                 0
 *   +------------+-------+--------------------+
 *   |  protocol  |  mix  |      counter       |
 *   +------------+-------+--------------------+
 *
 * `mix` keeps two speakers of one namespace apart that differ in table or metric only.
 */
const COUNTER_BITS = 18;
const LAST = (1 << COUNTER_BITS) - 1;

export class NexthopIds {
  readonly protocol: number;
  readonly #base: number;
  #counter = 0;

  constructor(settings: { readonly protocol: number; readonly table: number; readonly metric: number }) {
    this.protocol = settings.protocol;
    const mix = (settings.table * 31 + settings.metric * 7) & 63;
    this.#base = ((settings.protocol << 24) | (mix << COUNTER_BITS)) >>> 0;
  }

  /** First id of the range, which is never used for long: probes are made with it and the one behind. */
  get probe(): number {
    return this.#base;
  }

  contains(id: number): boolean {
    return id >>> COUNTER_BITS === this.#base >>> COUNTER_BITS;
  }

  /** Goes round the range, so that an id is not used again soon. */
  next(): number {
    this.#counter = this.#counter === LAST ? 2 : Math.max(2, this.#counter + 1);
    return this.#base + this.#counter;
  }
}
