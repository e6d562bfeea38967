// HOT: once per attribute set and pattern.
/**
 * Regular expressions over AS numbers, not over their digits: "^64500 .* (64501|64502)$".
 *
 *   64500      this AS                        .          any AS
 *   [64512..65534 4200000000]  one of these   [^64500]   any but these
 *   a b        a, then b (a space or `_` between)         a|b  ( )   either; a group
 *   * + ? {2} {2,5} {2,}       repetition     ^ $        begin and end of the path
 *
 * Without ^ or $ the pattern may stand anywhere in the path. An AS_SET is one step, matched by any of its members.
 *
 * The pattern becomes the positions of its atoms and which may follow which (Glushkov). Matching keeps the set of
 * positions that the path may be at: linear in the path whatever the pattern, nothing is tried twice.
 */
import { SegmentType } from 'bgp-parse';

/** Positions after repetitions are written out: the cost of one step of the path. */
const MOST_POSITIONS = 512;
const MOST_REPEATS = 255;

interface Atom {
  /** Ranges [least, most] in pairs. */
  readonly ranges: readonly number[];
  readonly negated: boolean;
}

/** A part of the pattern: positions it may begin and end with, whether it may be nothing. */
interface Part {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly nullable: boolean;
}

/** Where the path begins and ends, as far as positions go. */
const EMPTY: Part = { first: [], last: [], nullable: true };

/** What is wrong with a pattern, and where. */
export class AsPathPatternError extends Error {
  readonly reason: string;
  /** Counted from 1. */
  readonly at: number;

  constructor(reason: string, at: number, text: string) {
    super(`${reason} (at ${at} of ${JSON.stringify(text)})`);
    this.name = 'AsPathPatternError';
    this.reason = reason;
    this.at = at;
  }
}

export class AsPathPattern {
  readonly text: string;
  readonly #atoms: readonly Atom[];
  /** Bit sets of positions, `#words` words each. */
  readonly #follow: Uint32Array;
  readonly #first: Uint32Array;
  readonly #last: Uint32Array;
  readonly #nullable: boolean;
  readonly #words: number;
  #active: Uint32Array;
  #next: Uint32Array;

  /** Throws an `AsPathPatternError` that says what is wrong. */
  constructor(text: string) {
    this.text = text;
    const parser = new Parser(text);
    const whole = parser.parse();
    this.#atoms = parser.atoms;
    this.#words = Math.max(1, (parser.atoms.length + 31) >> 5);
    this.#follow = new Uint32Array(this.#words * parser.atoms.length);
    for (const [from, to] of parser.follow.entries()) {
      for (const position of to) setBit(this.#follow, from * this.#words, position);
    }
    this.#first = this.#setOf(whole.first);
    this.#last = this.#setOf(whole.last);
    this.#nullable = whole.nullable;
    this.#active = new Uint32Array(this.#words);
    this.#next = new Uint32Array(this.#words);
  }

  /** Whether the AS_PATH value bytes[start, end), 4 octets a number, matches. Confederation segments are stepped over. */
  matches(bytes: Uint8Array, start: number, end: number): boolean {
    const words = this.#words;
    this.#active.fill(0);
    let isBegin = true;
    for (let at = start; at < end;) {
      const type = bytes[at]!;
      const count = bytes[at + 1]!;
      const first = at + 2;
      at = first + count * 4;
      if (type === SegmentType.set) {
        this.#step(bytes, first, at, isBegin);
        isBegin = false;
      } else if (type === SegmentType.sequence) {
        for (let one = first; one < at; one += 4) {
          this.#step(bytes, one, one + 4, isBegin);
          isBegin = false;
        }
      }
    }
    if (isBegin && this.#nullable) return true;
    for (let word = 0; word < words; word++) if ((this.#active[word]! & this.#last[word]!) !== 0) return true;
    return false;
  }

  /** One AS or one set, bytes[from, to). */
  #step(bytes: Uint8Array, from: number, to: number, isBegin: boolean): void {
    const words = this.#words;
    const next = this.#next;
    next.fill(0);
    if (isBegin) for (let word = 0; word < words; word++) next[word] = this.#first[word]!;
    for (let word = 0; word < words; word++) {
      for (let bits = this.#active[word]!; bits !== 0; bits &= bits - 1) {
        const position = word * 32 + 31 - Math.clz32(bits & -bits);
        for (let i = 0; i < words; i++) next[i] = next[i]! | this.#follow[position * words + i]!;
      }
    }
    for (let word = 0; word < words; word++) {
      let kept = 0;
      for (let bits = next[word]!; bits !== 0; bits &= bits - 1) {
        const low = bits & -bits;
        if (matchesAny(this.#atoms[word * 32 + 31 - Math.clz32(low)]!, bytes, from, to)) kept |= low;
      }
      next[word] = kept;
    }
    this.#next = this.#active;
    this.#active = next;
  }

  #setOf(positions: readonly number[]): Uint32Array {
    const out = new Uint32Array(this.#words);
    for (const position of positions) setBit(out, 0, position);
    return out;
  }
}

function matchesAny(atom: Atom, bytes: Uint8Array, from: number, to: number): boolean {
  const { ranges, negated } = atom;
  for (let at = from; at < to; at += 4) {
    const asn = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
    let inside = false;
    for (let i = 0; i < ranges.length && !inside; i += 2) inside = asn >= ranges[i]! && asn <= ranges[i + 1]!;
    if (inside !== negated) return true;
  }
  return false;
}

function setBit(set: Uint32Array, offset: number, position: number): void {
  const word = offset + (position >> 5);
  set[word] = set[word]! | (1 << (position & 31));
}

/** Recursive descent; every atom written is a position, repetitions write theirs again. */
class Parser {
  readonly atoms: Atom[] = [];
  readonly follow: Set<number>[] = [];
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The whole pattern, with "anything" where it is not anchored: each alternative has anchors of its own. */
  parse(): Part {
    const part = this.#alternatives();
    if (this.#at < this.#text.length) this.#fail(`unexpected ${JSON.stringify(this.#text[this.#at])}`);
    return part;
  }

  #alternatives(): Part {
    if (++this.#depth > 50) this.#fail('too deeply nested');
    const top = this.#depth === 1;
    let part = top ? this.#anchored() : this.#sequence();
    while (this.#peek() === '|') {
      this.#at++;
      const other = top ? this.#anchored() : this.#sequence();
      part = {
        first: [...part.first, ...other.first],
        last: [...part.last, ...other.last],
        nullable: part.nullable || other.nullable,
      };
    }
    this.#depth--;
    return part;
  }

  #anchored(): Part {
    this.#skip();
    const begins = this.#take('^');
    let part = begins ? EMPTY : this.#anything();
    part = this.#join(part, this.#sequence());
    this.#skip();
    return this.#take('$') ? part : this.#join(part, this.#anything());
  }

  #anything(): Part {
    return this.#repeat(this.#atom({ ranges: [], negated: true }), true);
  }

  #sequence(): Part {
    let part = EMPTY;
    for (;;) {
      this.#skip();
      const character = this.#peek();
      if (character === undefined || character === '|' || character === ')' || character === '$') return part;
      part = this.#join(part, this.#repeated());
    }
  }

  #repeated(): Part {
    const start = this.#at;
    const atoms = this.atoms.length;
    let part = this.#single();
    const character = this.#peek();
    if (character === '{') {
      part = this.#counted(start, this.atoms.length > atoms);
    } else if (character === '*' || character === '+' || character === '?') {
      this.#at++;
      part = character === '?' ? { ...part, nullable: true } : this.#repeat(part, character === '*');
    }
    if (/[*+?{]/.test(this.#peek() ?? '')) this.#fail('a repetition of a repetition needs parentheses');
    return part;
  }

  /** `{least,most}`: what stands from `start` on is read again as often as it is needed; `()` is nothing, however often. */
  #counted(start: number, hasAtoms: boolean): Part {
    const match = /^\{(\d{1,3})(,)?(\d{1,3})?\}/.exec(this.#text.slice(this.#at));
    if (!match) this.#fail('a repetition is {2}, {2,} or {2,5}');
    const least = Number(match[1]);
    const open = match[2] !== undefined && match[3] === undefined;
    const most = match[3] === undefined ? least : Number(match[3]);
    if (match[2] === undefined && match[3] !== undefined) this.#fail('a repetition is {2}, {2,} or {2,5}');
    if (Math.max(least, most) > MOST_REPEATS || most < least) this.#fail(`repetitions are at most ${MOST_REPEATS}`);
    const after = this.#at + match[0].length;
    const again = (): Part => {
      this.#at = start;
      return this.#single();
    };
    if (!hasAtoms) {
      this.#at = after;
      return EMPTY;
    }
    let part: Part = EMPTY;
    for (let i = 0; i < least; i++) part = this.#join(part, again());
    if (open) part = this.#join(part, this.#repeat(again(), true));
    for (let i = least; i < most; i++) part = this.#join(part, { ...again(), nullable: true });
    this.#at = after;
    return part;
  }

  #single(): Part {
    const character = this.#peek();
    if (character === '(') {
      this.#at++;
      const part = this.#alternatives();
      if (!this.#take(')')) this.#fail('a parenthesis is not closed');
      return part;
    }
    if (character === '.') {
      this.#at++;
      return this.#atom({ ranges: [], negated: true });
    }
    if (character === '[') return this.#atom(this.#listed());
    if (character === '^') this.#fail('^ stands at the beginning only');
    const number = this.#number();
    return this.#atom({ ranges: [number, number], negated: false });
  }

  #listed(): Atom {
    this.#at++;
    const negated = this.#take('^');
    const ranges: number[] = [];
    for (;;) {
      this.#skip();
      if (this.#take(',')) continue;
      if (this.#take(']')) break;
      if (this.#peek() === undefined) this.#fail('a bracket is not closed');
      const least = this.#number();
      const most = this.#text.startsWith('..', this.#at) ? ((this.#at += 2), this.#number()) : least;
      if (most < least) this.#fail(`${least}..${most} is empty`);
      ranges.push(least, most);
    }
    if (ranges.length === 0) this.#fail('[] matches nothing');
    return { ranges, negated };
  }

  #number(): number {
    const match = /^\d{1,10}/.exec(this.#text.slice(this.#at));
    if (!match) this.#fail('an AS number is missing here');
    if (Number(match[0]) > 0xffffffff) this.#fail(`${match[0]} is no AS number`);
    this.#at += match[0].length;
    return Number(match[0]);
  }

  #atom(atom: Atom): Part {
    const position = this.atoms.push(atom) - 1;
    if (this.atoms.length > MOST_POSITIONS) this.#fail(`the pattern has more than ${MOST_POSITIONS} steps`);
    this.follow.push(new Set());
    return { first: [position], last: [position], nullable: false };
  }

  #join(a: Part, b: Part): Part {
    for (const last of a.last) for (const first of b.first) this.follow[last]!.add(first);
    return {
      first: a.nullable ? [...a.first, ...b.first] : a.first,
      last: b.nullable ? [...a.last, ...b.last] : b.last,
      nullable: a.nullable && b.nullable,
    };
  }

  #repeat(part: Part, nullable: boolean): Part {
    this.#join(part, part);
    return { ...part, nullable: nullable || part.nullable };
  }

  #skip(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '_') this.#at++;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #fail(what: string): never {
    throw new AsPathPatternError(what, this.#at + 1, this.#text);
  }
}
