/** What names inside of policies stand for: prefix, AS-path and community lists, each compiled once. */
import type { Prefix } from 'bgp-parse';
import { AsPathPattern } from './as-path-pattern.js';
import { CommunitySet } from './community-set.js';
import { hostOrPrefix } from './condition.js';
import { POOLS_LIST } from './definition.js';
import type { PolicyDefinitions } from './definition.js';
import { isName, parseCommunityPatterns, parsePrefixPattern } from './patterns.js';
import type { CommunityPattern, PrefixPattern } from './patterns.js';
import { PrefixSet } from './prefix-classes.js';

/** A policy names what is not there, or itself. The configuration's checks find these first, with their places. */
export class PolicyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PolicyError';
  }
}

export class Names {
  readonly ownNetworks: PrefixSet;
  readonly #definitions: PolicyDefinitions;
  readonly #prefixSets = new Map<string, PrefixSet>();
  readonly #asPaths = new Map<string, AsPathPattern>();
  readonly #communities = new Map<string, CommunitySet>();

  constructor(definitions: PolicyDefinitions, ownNetworks: readonly Prefix[]) {
    this.#definitions = definitions;
    this.ownNetworks = new PrefixSet(ownNetworks.map(andLonger));
  }

  /** The union of patterns and lists. The same texts give the same set, so that a program has it once. */
  prefixSet(texts: readonly string[]): PrefixSet {
    return remember(
      this.#prefixSets,
      texts.join(','),
      () => new PrefixSet(texts.flatMap((text) => this.#prefixes(text))),
    );
  }

  asPaths(value: string | number): AsPathPattern[] {
    const text = String(value);
    const list = isName(text) ? named(this.#definitions.asPathLists, text, 'AS-path list') : [text];
    return list.map(String).map((pattern) => remember(this.#asPaths, pattern, () => new AsPathPattern(pattern)));
  }

  communitySet(texts: readonly string[]): CommunitySet {
    return remember(this.#communities, texts.join(','), () => {
      return new CommunitySet(texts.flatMap((text) => parseCommunityPatterns(text, true) ?? this.communityList(text)));
    });
  }

  communityList(name: string): CommunityPattern[] {
    return named(this.#definitions.communityLists, name, 'community list').flatMap((text) => {
      return parseCommunityPatterns(text, true) ?? [];
    });
  }

  nextHops(text: string): Prefix[] {
    return isName(text) ? this.#prefixes(text).map(({ prefix }) => prefix) : [hostOrPrefix(text)];
  }

  #prefixes(text: string): PrefixPattern[] {
    const pattern = parsePrefixPattern(text);
    if (pattern) return [pattern];
    if (text === POOLS_LIST && !Object.hasOwn(this.#definitions.prefixLists, text)) {
      return this.#definitions.pools.map((pool) => andLonger(parsePrefixPattern(pool)!.prefix));
    }
    return named(this.#definitions.prefixLists, text, 'prefix list').map((entry) => parsePrefixPattern(entry)!);
  }
}

function andLonger(prefix: Prefix): PrefixPattern {
  return { prefix, ge: prefix.length, le: prefix.bytes.length * 8 };
}

function named<T>(lists: { readonly [name: string]: T }, name: string, what: string): T {
  if (!Object.hasOwn(lists, name)) throw new PolicyError(`there is no ${what} ${JSON.stringify(name)}`);
  return lists[name]!;
}

function remember<T>(known: Map<string, T>, key: string, make: () => T): T {
  let value = known.get(key);
  if (value === undefined) known.set(key, (value = make()));
  return value;
}
