/**
 * What `fib diff` has found, in a form that a thread can hand over whatever its size: ten words a difference, and the
 * texts and leads they name, each kept once.
 */
import { type AddressBytes, type Family, FAMILIES } from 'bgp-parse';

/**
 * missing: wanted, not in the kernel. extra: ours in the kernel, not wanted. nextHop: there, but leading elsewhere.
 * blocked: kept out by a foreign route. failed: refused by the kernel. unreachable: its next hop is.
 */
export const DIFFERENCE_KINDS = ['missing', 'extra', 'nextHop', 'blocked', 'failed', 'unreachable'] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

/** Where a route leads, with all that tells two routes to one prefix apart. */
export interface RouteLead {
  /** As `ip route` calls it: unicast, blackhole, … */
  readonly type: string;
  readonly nextHops: readonly {
    readonly via: AddressBytes | undefined;
    readonly interface: string | undefined;
    readonly onlink: boolean;
    /** As the kernel has it: a standby member of a group has 1 beside 256. */
    readonly weight: number;
  }[];
  /** Preferred source address. */
  readonly source: AddressBytes | undefined;
  /** What the route points at: a nexthop object of ours or of somebody else, or hops of its own. */
  readonly by: 'object' | 'foreignObject' | 'hops';
}

export interface FibDifference {
  readonly kind: DifferenceKind;
  /** Undefined = a nexthop object, not a route. */
  readonly route: { readonly family: Family; readonly prefix: AddressBytes; readonly length: number } | undefined;
  /** Kernel id of the nexthop object. */
  readonly nexthop: number | undefined;
  readonly desired: RouteLead | undefined;
  readonly actual: RouteLead | undefined;
  readonly detail: string | undefined;
}

export interface PackedDifferences {
  /** kind, family (2 = nexthop object), length, 4 address words (or the id), desired, actual, detail. */
  readonly words: Uint32Array;
  readonly count: number;
  readonly leads: readonly (RouteLead | undefined)[];
  readonly details: readonly (string | undefined)[];
}

const WORDS = 10;
const NEXTHOP = 2;

export class DifferenceList {
  #words = new Uint32Array(64 * WORDS);
  #count = 0;
  /** 0 = none. */
  readonly #leads: (RouteLead | undefined)[] = [undefined];
  readonly #leadIds = new Map<string, number>();
  readonly #details: (string | undefined)[] = [undefined];
  readonly #detailIds = new Map<string, number>();

  /** The id of a lead; leads with the same key are the same. */
  lead(key: string, make: () => RouteLead): number {
    let id = this.#leadIds.get(key);
    if (id === undefined) {
      id = this.#leads.push(make()) - 1;
      this.#leadIds.set(key, id);
    }
    return id;
  }

  addRoute(
    kind: DifferenceKind,
    family: number,
    address: ArrayLike<number>,
    length: number,
    about: { readonly desired: number; readonly actual: number; readonly detail: string | undefined },
  ): void {
    const at = this.#add(kind, family, length, about);
    for (let i = 0; i < address.length; i++) this.#words[at + 3 + i] = address[i]!;
  }

  addNexthop(
    kind: DifferenceKind,
    id: number,
    about: { readonly desired: number; readonly actual: number; readonly detail: string | undefined },
  ): void {
    this.#words[this.#add(kind, NEXTHOP, 0, about) + 3] = id;
  }

  pack(): PackedDifferences {
    return { words: this.#words, count: this.#count, leads: this.#leads, details: this.#details };
  }

  #add(
    kind: DifferenceKind,
    family: number,
    length: number,
    {
      desired,
      actual,
      detail,
    }: { readonly desired: number; readonly actual: number; readonly detail?: string | undefined },
  ): number {
    const at = this.#count++ * WORDS;
    if (at === this.#words.length) {
      const grown = new Uint32Array(at * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words.set([DIFFERENCE_KINDS.indexOf(kind), family, length], at);
    this.#words.set([desired, actual, this.#detail(detail)], at + 7);
    return at;
  }

  #detail(text: string | undefined): number {
    if (text === undefined) return 0;
    let id = this.#detailIds.get(text);
    if (id === undefined) {
      id = this.#details.push(text) - 1;
      this.#detailIds.set(text, id);
    }
    return id;
  }
}

/** One after the other, made when asked for. */
export function* unpackDifferences({ words, count, leads, details }: PackedDifferences): Iterable<FibDifference> {
  for (let i = 0, at = 0; i < count; i++, at += WORDS) {
    const isNexthop = words[at + 1] === NEXTHOP;
    yield {
      kind: DIFFERENCE_KINDS[words[at]!]!,
      route: isNexthop ? undefined : routeAt(words, at),
      nexthop: isNexthop ? words[at + 3] : undefined,
      desired: leads[words[at + 7]!],
      actual: leads[words[at + 8]!],
      detail: details[words[at + 9]!],
    };
  }
}

function routeAt(words: Uint32Array, at: number): FibDifference['route'] {
  const family = FAMILIES[words[at + 1]!]!;
  const prefix = new Uint8Array(family === 'ipv4-unicast' ? 4 : 16);
  const view = new DataView(prefix.buffer);
  for (let i = 0; i < prefix.length / 4; i++) view.setUint32(i * 4, words[at + 3 + i]!);
  return { family, prefix, length: words[at + 2]! };
}
