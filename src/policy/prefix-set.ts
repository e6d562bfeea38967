// HOT: once per route where a policy looks at prefixes.
/**
 * A set of prefixes with ranges of lengths, as a path-compressed trie of one family in typed arrays. A route matches
 * when an entry covers it and allows its length. What the entries above allow is pushed down when the set is made, so
 * the deepest node that covers the route has the answer.
 */
import type { Prefix } from 'bgp-parse';
import type { PrefixPattern } from './patterns.js';

interface Node {
  readonly prefix: Prefix;
  /** Lengths allowed to routes below, 1 bit each. */
  readonly lengths: Uint32Array;
  readonly children: [Node | undefined, Node | undefined];
}

/** Nodes of an octet of the address are looked for below its own root: most routes end there. */
const ROOTS = 256;

class FamilySet {
  readonly #words: number;
  /** 1-based; 0 = none. */
  readonly #roots = new Int32Array(ROOTS);
  readonly #address: Uint32Array;
  readonly #length: Uint8Array;
  readonly #children: Int32Array;
  readonly #lengths: Uint32Array;
  readonly #lengthWords: number;

  constructor(patterns: readonly PrefixPattern[], bits: number) {
    this.#words = bits / 32;
    this.#lengthWords = (bits >> 5) + 1;
    const roots: (Node | undefined)[] = [];
    for (const pattern of patterns) this.#insert(roots, pattern);
    const nodes: Node[] = [];
    const collect = (node: Node | undefined, above: Uint32Array | undefined): void => {
      if (!node) return;
      if (above) for (const [i, word] of above.entries()) node.lengths[i] = node.lengths[i]! | word;
      nodes.push(node);
      for (const child of node.children) collect(child, node.lengths);
    };
    for (const root of roots) collect(root, undefined);
    const index = new Map(nodes.map((node, i) => [node, i + 1]));
    this.#address = new Uint32Array((nodes.length + 1) * this.#words);
    this.#length = new Uint8Array(nodes.length + 1);
    this.#children = new Int32Array((nodes.length + 1) * 2);
    this.#lengths = new Uint32Array((nodes.length + 1) * this.#lengthWords);
    for (const [i, node] of nodes.entries()) {
      const at = i + 1;
      for (let word = 0; word < this.#words; word++) {
        this.#address[at * this.#words + word] = readWord(node.prefix.bytes, word);
      }
      this.#length[at] = node.prefix.length;
      this.#lengths.set(node.lengths, at * this.#lengthWords);
      for (const [side, child] of node.children.entries()) {
        if (child) this.#children[at * 2 + side] = index.get(child)!;
      }
    }
    for (const [octet, root] of roots.entries()) if (root) this.#roots[octet] = index.get(root)!;
  }

  matches(address: Uint32Array, at: number, length: number): boolean {
    let node = this.#roots[address[at]! >>> 24]!;
    let deepest = 0;
    while (node !== 0 && this.#length[node]! <= length && this.#covers(node, address, at)) {
      deepest = node;
      const depth = this.#length[node]!;
      if (depth >= length) break;
      const bit = (address[at + (depth >> 5)]! >>> (31 - (depth & 31))) & 1;
      node = this.#children[node * 2 + bit]!;
    }
    if (deepest === 0) return false;
    return (this.#lengths[deepest * this.#lengthWords + (length >> 5)]! & (1 << (length & 31))) !== 0;
  }

  #covers(node: number, address: Uint32Array, at: number): boolean {
    const length = this.#length[node]!;
    const from = node * this.#words;
    const whole = length >> 5;
    for (let word = 0; word < whole; word++) if (this.#address[from + word] !== address[at + word]) return false;
    const rest = length & 31;
    return rest === 0 || (this.#address[from + whole]! ^ address[at + whole]!) >>> (32 - rest) === 0;
  }

  /** Prefixes shorter than an octet stand below each octet they cover. */
  #insert(roots: (Node | undefined)[], { prefix, ge, le }: PrefixPattern): void {
    const lengths = new Uint32Array(this.#lengthWords);
    for (let length = ge; length <= le; length++) lengths[length >> 5] = lengths[length >> 5]! | (1 << (length & 31));
    const span = prefix.length >= 8 ? 1 : 1 << (8 - prefix.length);
    for (let i = 0; i < span; i++) {
      const octet = prefix.bytes[0]! + i;
      roots[octet] = insertNode(roots[octet], { prefix, lengths: lengths.slice(), children: [undefined, undefined] });
    }
  }
}

function insertNode(into: Node | undefined, node: Node): Node {
  if (!into) return node;
  const common = commonLength(into.prefix, node.prefix);
  if (common === into.prefix.length && common === node.prefix.length) {
    for (const [i, word] of node.lengths.entries()) into.lengths[i] = into.lengths[i]! | word;
    return into;
  }
  if (common === into.prefix.length) {
    const side = bitAt(node.prefix, common);
    into.children[side] = insertNode(into.children[side], node);
    return into;
  }
  if (common === node.prefix.length) {
    node.children[bitAt(into.prefix, common)] = into;
    return node;
  }
  const fork: Node = {
    prefix: { bytes: node.prefix.bytes, length: common },
    lengths: new Uint32Array(node.lengths.length),
    children: [undefined, undefined],
  };
  fork.children[bitAt(into.prefix, common)] = into;
  fork.children[bitAt(node.prefix, common)] = node;
  return fork;
}

function commonLength(a: Prefix, b: Prefix): number {
  const most = Math.min(a.length, b.length);
  for (let bit = 0; bit < most; bit++) if (bitAt(a, bit) !== bitAt(b, bit)) return bit;
  return most;
}

function bitAt(prefix: Prefix, bit: number): 0 | 1 {
  return ((prefix.bytes[bit >> 3]! >> (7 - (bit & 7))) & 1) as 0 | 1;
}

function readWord(bytes: Uint8Array, word: number): number {
  const at = word * 4;
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export class PrefixSet {
  readonly #v4: FamilySet | undefined;
  readonly #v6: FamilySet | undefined;

  constructor(patterns: readonly PrefixPattern[]) {
    const v4 = patterns.filter(({ prefix }) => prefix.bytes.length === 4);
    const v6 = patterns.filter(({ prefix }) => prefix.bytes.length === 16);
    this.#v4 = v4.length > 0 ? new FamilySet(v4, 32) : undefined;
    this.#v6 = v6.length > 0 ? new FamilySet(v6, 128) : undefined;
  }

  /** Whether a route of `words` 32-bit words of address, from `at` on, and this length is in the set. */
  matches(address: Uint32Array, at: number, words: number, length: number): boolean {
    const set = words === 1 ? this.#v4 : this.#v6;
    return set !== undefined && set.matches(address, at, length);
  }
}
