/**
 * Where our tunnels end: the next hops that are reached through a tunnel device, and how specific the route of others is
 * that the outer packets take. A route of ours that covers such an address, is more specific and leads into a tunnel would
 * take the outer packets along, into the tunnel again: it must not be installed. Pure.
 */
// HOT: `covered` is asked once per row, while there are tunnels.

/** A next hop that is reached through a tunnel. */
export interface TunnelEnd {
  /** 4 or 16 octets. */
  readonly address: Uint8Array;
  readonly interfaceIndex: number;
  /** Length of the route of others to it: nothing less specific, and not the same, gets in its way. */
  readonly underlayLength: number;
}

interface Entry extends TunnelEnd {
  readonly words: Uint32Array;
}

export class TunnelEnds {
  readonly #byNextHop = new Map<number, Entry>();
  /** IPv4, IPv6: in the order of addresses. */
  #sorted: readonly [Entry[], Entry[]] = [[], []];
  #interfaces = new Set<number>();
  #gone: Entry[] = [];
  #changed = false;

  get size(): number {
    return this.#byNextHop.size;
  }

  /** What is now known of a next hop; undefined = it is not reached through a tunnel. */
  set(nextHop: number, end: TunnelEnd | undefined): void {
    const before = this.#byNextHop.get(nextHop);
    if (!before && !end) return;
    if (before && end && same(before, end)) return;
    if (before) this.#gone.push(before);
    if (end) this.#byNextHop.set(nextHop, { ...end, words: wordsOf(end.address) });
    else this.#byNextHop.delete(nextHop);
    this.#changed = true;
  }

  /** The ends that concern rows otherwise than before: all there are, and those that have gone. Empties itself. */
  takeChanged(): readonly TunnelEnd[] {
    if (!this.#changed) return NONE;
    this.#changed = false;
    const now = [...this.#byNextHop.values()];
    const inOrder = (words: number) => now.filter((entry) => entry.words.length === words).sort(compare);
    this.#sorted = [inOrder(1), inOrder(4)];
    this.#interfaces = new Set(now.map(({ interfaceIndex }) => interfaceIndex));
    const gone = this.#gone;
    this.#gone = [];
    return [...now, ...gone];
  }

  isTunnel(interfaceIndex: number): boolean {
    return this.#interfaces.has(interfaceIndex);
  }

  /** An end whose outer packets a route to this prefix would take, into whatever it leads to. */
  covered(address: Uint32Array, at: number, length: number, words: number): TunnelEnd | undefined {
    const ends = this.#sorted[words === 1 ? 0 : 1];
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order(ends[middle]!.words, address, at) < 0) low = middle + 1;
      else high = middle;
    }
    for (; low < ends.length && contains(address, at, length, ends[low]!.words); low++) {
      if (length > ends[low]!.underlayLength) return ends[low];
    }
    return undefined;
  }
}

const NONE: readonly TunnelEnd[] = [];

function same(a: TunnelEnd, b: TunnelEnd): boolean {
  if (a.interfaceIndex !== b.interfaceIndex || a.underlayLength !== b.underlayLength) return false;
  return a.address.length === b.address.length && a.address.every((octet, i) => octet === b.address[i]);
}

function wordsOf(address: Uint8Array): Uint32Array {
  const view = new DataView(address.buffer, address.byteOffset, address.length);
  return Uint32Array.from({ length: address.length / 4 }, (_, i) => view.getUint32(i * 4));
}

function compare(a: Entry, b: Entry): number {
  return order(a.words, b.words, 0);
}

function order(words: Uint32Array, other: Uint32Array, at: number): number {
  for (let i = 0; i < words.length; i++) {
    const difference = words[i]! - other[at + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function contains(prefix: Uint32Array, at: number, length: number, words: Uint32Array): boolean {
  for (let i = 0, left = length; left > 0; i++, left -= 32) {
    const mask = left >= 32 ? 0xffffffff : ~(0xffffffff >>> left);
    if (((prefix[at + i]! ^ words[i]!) & mask) !== 0) return false;
  }
  return true;
}
