// HOT: once per route where a policy looks at prefixes. Guarded by bench S1, S4 with a policy.
/**
 * In which of a policy's prefix sets a route is, as one number: its class. Class 0 = in none. All sets of a policy stand
 * in one path-compressed trie per family, in typed arrays, so a route is looked up once, however many sets there are.
 *
 * What the entries above allow is pushed down when the trie is made: the deepest node that covers a route has its class,
 * by length. Two tables answer at once, which is nearly everywhere with the usual lists: by first octet, where all below
 * is of one class; by first octet and length, where nothing deeper can matter. What the trie has answered is remembered
 * by prefix id, 2 octets each.
 */
import type { Prefix } from 'bgp-parse';
import type { PrefixTable } from '../rib/columns/prefix-table.js';
import { ORDINARY_OCTETS } from '../rib/update-parts.js';
import type { PrefixPattern } from './patterns.js';

/** The prefixes that one condition of a policy names. Compared by identity. */
export class PrefixSet {
  readonly patterns: readonly PrefixPattern[];

  constructor(patterns: readonly PrefixPattern[]) {
    this.patterns = patterns;
  }
}

/** Nodes of an octet of the address are looked for below its own root. */
const ROOT_BITS = 8;
const ROOTS = 1 << ROOT_BITS;
/** Classes that a column of 16 bits can hold, 0 meaning unknown. */
const MOST_REMEMBERED = 0xffff;

interface Node {
  readonly prefix: Prefix;
  /** By set: lengths allowed to routes below, 1 bit each. */
  readonly lengths: Map<number, Uint32Array>;
  readonly children: [Node | undefined, Node | undefined];
}

/** Gives a number to each combination of sets; all of them are known once the tries are made. */
class ClassList {
  /** Sets of each class, ascending. */
  readonly sets: (readonly number[])[] = [[]];
  readonly #ids = new Map<string, number>([['', 0]]);

  idOf(sets: readonly number[]): number {
    const key = sets.join(' ');
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.sets.push(sets) - 1;
      this.#ids.set(key, id);
    }
    return id;
  }
}

class FamilyClasses {
  readonly #words: number;
  /**
   * By first octet: the class of all prefixes that begin with it, and one more; 0 = there are several, or some may be no
   * destination.
   */
  readonly octets = new Uint16Array(ROOTS);
  /** By first octet and length: the class and one more; 0 = the trie knows. */
  readonly top: Uint16Array;
  readonly stride: number;
  /** 1-based; 0 = none. */
  readonly #roots = new Int32Array(ROOTS);
  readonly #address: Uint32Array;
  readonly #length: Uint8Array;
  readonly #children: Int32Array;
  /** By node: where its classes by length begin in `#classes`. */
  readonly #row: Int32Array;
  readonly #classes: Int32Array;

  constructor(sets: readonly (readonly PrefixPattern[])[], bits: number, classes: ClassList) {
    this.#words = bits / 32;
    this.stride = bits + 1;
    const roots: (Node | undefined)[] = [];
    for (const [set, patterns] of sets.entries()) for (const pattern of patterns) insert(roots, pattern, set, bits);
    const nodes: Node[] = [];
    const collect = (node: Node | undefined, above: Node['lengths'] | undefined): void => {
      if (!node) return;
      if (above) for (const [set, lengths] of above) allow(node.lengths, set, lengths);
      nodes.push(node);
      for (const child of node.children) collect(child, node.lengths);
    };
    for (const root of roots) collect(root, undefined);
    const index = new Map(nodes.map((node, i) => [node, i + 1]));
    this.#address = new Uint32Array((nodes.length + 1) * this.#words);
    this.#length = new Uint8Array(nodes.length + 1);
    this.#children = new Int32Array((nodes.length + 1) * 2);
    this.#row = new Int32Array(nodes.length + 1);
    const rows = new Map<string, number>();
    const all: number[] = [];
    for (const [i, node] of nodes.entries()) {
      const at = i + 1;
      for (let word = 0; word < this.#words; word++) {
        this.#address[at * this.#words + word] = readWord(node.prefix.bytes, word);
      }
      this.#length[at] = node.prefix.length;
      for (const [side, child] of node.children.entries()) {
        if (child) this.#children[at * 2 + side] = index.get(child)!;
      }
      // Most nodes of a list allow the same as others do: their classes stand there once.
      const key = [...node.lengths].map(([set, lengths]) => `${set}:${lengths.join()}`).join(' ');
      let row = rows.get(key);
      if (row === undefined) {
        rows.set(key, (row = all.length));
        for (let length = 0; length < this.stride; length++) all.push(classes.idOf(setsAt(node.lengths, length)));
      }
      this.#row[at] = row;
    }
    this.#classes = Int32Array.from(all);
    for (const [octet, root] of roots.entries()) if (root) this.#roots[octet] = index.get(root)!;
    this.top = new Uint16Array(ROOTS * this.stride);
    const ordinary = ORDINARY_OCTETS[bits === 32 ? 0 : 1];
    for (let octet = 0; octet < ROOTS; octet++) this.#fillTop(octet, ordinary[octet] !== 0);
  }

  /** Through the trie. */
  classOf(address: Uint32Array, at: number, length: number): number {
    let node = this.#roots[address[at]! >>> 24]!;
    let deepest = 0;
    while (node !== 0 && this.#length[node]! <= length && this.#covers(node, address, at)) {
      deepest = node;
      const depth = this.#length[node]!;
      if (depth >= length) break;
      const bit = (address[at + (depth >> 5)]! >>> (31 - (depth & 31))) & 1;
      node = this.#children[node * 2 + bit]!;
    }
    return deepest === 0 ? 0 : this.#classes[this.#row[deepest]! + length]!;
  }

  #covers(node: number, address: Uint32Array, at: number): boolean {
    const length = this.#length[node]!;
    const from = node * this.#words;
    const whole = length >> 5;
    for (let word = 0; word < whole; word++) if (this.#address[from + word] !== address[at + word]) return false;
    const rest = length & 31;
    return rest === 0 || (this.#address[from + whole]! ^ address[at + whole]!) >>> (32 - rest) === 0;
  }

  /** Nodes that cover the whole octet stand in one line; a node below them may matter from its own length on. */
  #fillTop(octet: number, isOrdinary: boolean): void {
    const covering: number[] = [];
    let node = this.#roots[octet]!;
    while (node !== 0 && this.#length[node]! <= ROOT_BITS) {
      covering.push(node);
      const depth = this.#length[node]!;
      const next: number = depth < ROOT_BITS ? this.#children[node * 2 + ((octet >> (ROOT_BITS - 1 - depth)) & 1)]! : 0;
      if (depth === ROOT_BITS) break;
      node = next;
    }
    const last = covering.at(-1);
    let deeper = Infinity;
    if (last !== undefined && this.#length[last] === ROOT_BITS) {
      for (const side of [0, 1]) {
        const child = this.#children[last * 2 + side]!;
        if (child !== 0) deeper = Math.min(deeper, this.#length[child]!);
      }
    } else if (node !== 0) deeper = this.#length[node]!;
    for (let length = 0; length < this.stride; length++) {
      if (length >= deeper) continue;
      const deepest = covering.findLast((one) => this.#length[one]! <= length);
      const id = deepest === undefined ? 0 : this.#classes[this.#row[deepest]! + length]!;
      if (id < MOST_REMEMBERED) this.top[octet * this.stride + length] = id + 1;
    }
    // Shorter than the octet is only what has zeros from there on.
    const least = octet === 0 ? 0 : ROOT_BITS - Math.min(ROOT_BITS, 31 - Math.clz32(octet & -octet));
    const all = this.top.subarray(octet * this.stride + least, (octet + 1) * this.stride);
    if (isOrdinary && all.every((one) => one === all[0])) this.octets[octet] = all[0]!;
  }
}

export class PrefixClasses {
  readonly #families: readonly [FamilyClasses | undefined, FamilyClasses | undefined];
  /** By class: a bit for each set, in words of 32. */
  readonly #members: Uint32Array;
  readonly #memberWords: number;
  readonly count: number;
  /** By family and prefix id: the class and one more, 0 = not known. */
  readonly #known: [Uint16Array, Uint16Array] = [new Uint16Array(0), new Uint16Array(0)];
  readonly #generation: [number, number] = [-1, -1];

  constructor(sets: readonly PrefixSet[]) {
    const classes = new ClassList();
    const family = (bits: 32 | 128): FamilyClasses | undefined => {
      const patterns = sets.map((set) => set.patterns.filter(({ prefix }) => prefix.bytes.length * 8 === bits));
      return patterns.some((some) => some.length > 0) ? new FamilyClasses(patterns, bits, classes) : undefined;
    };
    this.#families = [family(32), family(128)];
    this.count = classes.sets.length;
    this.#memberWords = (sets.length + 31) >> 5;
    this.#members = new Uint32Array(this.count * this.#memberWords);
    for (const [id, members] of classes.sets.entries()) {
      for (const set of members) {
        const word = id * this.#memberWords + (set >> 5);
        this.#members[word] = this.#members[word]! | (1 << (set & 31));
      }
    }
  }

  /** Whether a route of the class is in the set with this index. */
  isIn(id: number, set: number): boolean {
    return (this.#members[id * this.#memberWords + (set >> 5)]! & (1 << (set & 31))) !== 0;
  }

  /** No set has a prefix of the family: every route is of class 0. */
  isPlain(familyIndex: 0 | 1): boolean {
    return this.#families[familyIndex] === undefined;
  }

  /** See `ImportFilter`: by first octet the class of all prefixes that begin with it, and one more. */
  octetsOf(familyIndex: 0 | 1): Uint16Array {
    return this.#families[familyIndex]?.octets ?? ORDINARY_OCTETS[familyIndex];
  }

  /** The class of a route of `words` 32-bit words of address, from `at` on, and this length. */
  classOf(address: Uint32Array, at: number, words: 1 | 4, length: number): number {
    const family = this.#families[words === 1 ? 0 : 1];
    if (family === undefined) return 0;
    const known = family.top[(address[at]! >>> 24) * family.stride + length]!;
    return known !== 0 ? known - 1 : family.classOf(address, at, length);
  }

  /** The same for a prefix as it stands in a message, from its length octet on; `address` is room for it. */
  classOfNlri(bytes: Uint8Array, at: number, words: 1 | 4, address: Uint32Array): number {
    const family = this.#families[words === 1 ? 0 : 1];
    if (family === undefined) return 0;
    const length = bytes[at]!;
    // RFC 4271 §4.3: the value of trailing bits is irrelevant.
    const octet = length >= 8 ? bytes[at + 1]! : length === 0 ? 0 : bytes[at + 1]! & (0xff00 >> length);
    const known = family.top[octet * family.stride + length]!;
    if (known !== 0) return known - 1;
    readNlri(bytes, at, words, address);
    return family.classOf(address, 0, length);
  }

  /** The same for a prefix of the table. */
  classAt(prefixes: PrefixTable, id: number): number {
    const { words, address } = prefixes;
    const family = this.#families[words === 1 ? 0 : 1];
    if (family === undefined) return 0;
    const octet = address[words === 1 ? id : id * 4]! >>> 24;
    const whole = family.octets[octet]!;
    if (whole !== 0) return whole - 1;
    const length = prefixes.length[id]!;
    const known = family.top[octet * family.stride + length]!;
    return known !== 0 ? known - 1 : this.#remembered(prefixes, family, id, length);
  }

  #remembered(prefixes: PrefixTable, family: FamilyClasses, id: number, length: number): number {
    const { words } = prefixes;
    const index = words === 1 ? 0 : 1;
    let known = this.#known[index];
    if (prefixes.generation !== this.#generation[index] || id >= known.length) {
      const room = new Uint16Array(prefixes.length.length);
      if (prefixes.generation === this.#generation[index]) room.set(known);
      this.#generation[index] = prefixes.generation;
      known = this.#known[index] = room;
    }
    if (known[id] !== 0) return known[id]! - 1;
    const found = family.classOf(prefixes.address, id * words, length);
    if (found < MOST_REMEMBERED) known[id] = found + 1;
    return found;
  }
}

/** The address of a prefix as it stands in a message, from its length octet on; zero past its length. */
export function readNlri(bytes: Uint8Array, at: number, words: 1 | 4, address: Uint32Array): void {
  const length = bytes[at]!;
  for (let word = 0; word < words; word++) {
    const bits = Math.min(32, Math.max(0, length - word * 32));
    let value = 0;
    for (let octet = 0; octet < (bits + 7) >> 3; octet++)
      value |= bytes[at + 1 + word * 4 + octet]! << (24 - octet * 8);
    address[word] = bits === 0 ? 0 : value & (-1 << (32 - bits));
  }
}

/** Prefixes shorter than an octet stand below each octet they cover. */
function insert(roots: (Node | undefined)[], { prefix, ge, le }: PrefixPattern, set: number, bits: number): void {
  const lengths = new Uint32Array((bits >> 5) + 1);
  for (let length = ge; length <= le; length++) lengths[length >> 5] = lengths[length >> 5]! | (1 << (length & 31));
  const span = prefix.length >= ROOT_BITS ? 1 : 1 << (ROOT_BITS - prefix.length);
  for (let i = 0; i < span; i++) {
    const octet = prefix.bytes[0]! + i;
    const node: Node = { prefix, lengths: new Map([[set, lengths.slice()]]), children: [undefined, undefined] };
    roots[octet] = insertNode(roots[octet], node);
  }
}

function insertNode(into: Node | undefined, node: Node): Node {
  if (!into) return node;
  const common = commonLength(into.prefix, node.prefix);
  if (common === into.prefix.length && common === node.prefix.length) {
    for (const [set, lengths] of node.lengths) allow(into.lengths, set, lengths);
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
    lengths: new Map(),
    children: [undefined, undefined],
  };
  fork.children[bitAt(into.prefix, common)] = into;
  fork.children[bitAt(node.prefix, common)] = node;
  return fork;
}

function allow(into: Node['lengths'], set: number, lengths: Uint32Array): void {
  const known = into.get(set);
  if (!known) into.set(set, lengths.slice());
  else for (const [i, word] of lengths.entries()) known[i] = known[i]! | word;
}

function setsAt(lengths: Node['lengths'], length: number): number[] {
  const sets: number[] = [];
  for (const [set, bits] of lengths) if ((bits[length >> 5]! & (1 << (length & 31))) !== 0) sets.push(set);
  return sets.sort((a, b) => a - b);
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
