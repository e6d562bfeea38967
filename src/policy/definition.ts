/**
 * Policies as values: the shape of the configuration, checked there, compiled here. A list may be written as its only
 * entry. Names are looked up when it is compiled.
 */
import type { Family } from 'bgp-parse';

export type OneOrMore<T> = T | readonly T[];

/** `next`: no decision, the next statement or policy has the word. */
export type Then = 'accept' | 'reject' | 'next';
export type RouteType = 'local' | 'internal' | 'external';

/** All that is set must hold; of a list, one entry must. */
export interface MatchDefinition {
  /** Prefixes with `ge` and `le`, or names of prefix lists. */
  readonly prefix?: OneOrMore<string> | undefined;
  /** Inside of what this node originates, or not. */
  readonly own?: boolean | undefined;
  /** Patterns over AS numbers, or names of AS-path lists. */
  readonly asPath?: OneOrMore<string | number> | undefined;
  readonly asPathLength?: number | string | undefined;
  readonly originAs?: OneOrMore<number | string> | undefined;
  readonly neighborAs?: OneOrMore<number | string> | undefined;
  /** Patterns of communities, or names of community lists. */
  readonly community?: OneOrMore<string> | undefined;
  /** The same, and each of them must be there. */
  readonly allCommunities?: OneOrMore<string> | undefined;
  /** Addresses, prefixes or names of prefix lists. */
  readonly nextHop?: OneOrMore<string> | undefined;
  /** The peer the policy is run for: addresses, prefixes. */
  readonly peer?: OneOrMore<string> | undefined;
  readonly group?: OneOrMore<string> | undefined;
  /** The peer the route was learned from: addresses, prefixes. */
  readonly from?: OneOrMore<string> | undefined;
  readonly fromGroup?: OneOrMore<string> | undefined;
  readonly family?: OneOrMore<Family> | undefined;
  readonly type?: OneOrMore<RouteType> | undefined;
  readonly origin?: OneOrMore<'igp' | 'egp' | 'incomplete'> | undefined;
  readonly med?: number | string | undefined;
  readonly localPref?: number | string | undefined;
  /** Must not hold (as a whole). */
  readonly not?: MatchDefinition | undefined;
}

export interface CommunityChanges {
  /** Patterns, or names of community lists. */
  readonly remove?: OneOrMore<string> | undefined;
  readonly add?: OneOrMore<string> | undefined;
  /** All communities of the kinds that stand here (standard, large, extended) go, these come. */
  readonly replace?: OneOrMore<string> | undefined;
}

export type PrependDefinition =
  number | { readonly as?: 'own' | 'last' | undefined; readonly times?: number | undefined };

export interface SetDefinition {
  /** A number, or an adjustment: "+= 10", "-= 10". */
  readonly localPref?: number | string | undefined;
  /** A number, an adjustment, or `none`. */
  readonly med?: number | string | undefined;
  readonly origin?: 'igp' | 'egp' | 'incomplete' | undefined;
  /** An address, `self` or `unchanged`. */
  readonly nextHop?: string | undefined;
  /** How often, or of whom (`own`, or `last` = the AS that stands first now) and how often. */
  readonly prepend?: PrependDefinition | undefined;
  readonly community?: CommunityChanges | undefined;
}

export interface StatementDefinition {
  readonly name?: string | undefined;
  readonly match?: MatchDefinition | undefined;
  readonly set?: SetDefinition | undefined;
  /** Runs another policy here; what it does not decide goes on with `then`. */
  readonly call?: string | undefined;
  readonly then?: Then | undefined;
}

export interface PolicyDefinition {
  readonly statements?: readonly StatementDefinition[] | undefined;
  /** When no statement has decided; absent = `next`, and in the end that is `reject`. */
  readonly default?: Then | undefined;
}

/** Everything of the configuration that policies are made of. */
export interface PolicyDefinitions {
  readonly policies: { readonly [name: string]: PolicyDefinition };
  readonly prefixLists: { readonly [name: string]: readonly string[] };
  readonly asPathLists: { readonly [name: string]: readonly (string | number)[] };
  readonly communityLists: { readonly [name: string]: readonly string[] };
  /** Where container networks come from: what the policy `node` lets in. */
  readonly pools: readonly string[];
}

/** Policies that are always there. `accept` and `reject` are decided before anything is compiled. */
export const BUILT_IN_POLICIES = ['accept', 'reject', 'node'] as const;

/** The list named `pools` for the preset. */
export const POOLS_LIST = 'pools';

/**
 * The usual node, in one word. Out goes what the node originates and nothing else; in comes what lies inside `pools`,
 * but never a part of our own networks. A default route lies in no pool, unless a pool is the whole address space.
 */
export const NODE_PRESET: { readonly import: PolicyDefinition; readonly export: PolicyDefinition } = {
  import: {
    statements: [
      { name: 'own networks', match: { own: true }, then: 'reject' },
      { name: 'inside pools', match: { prefix: POOLS_LIST }, then: 'accept' },
    ],
  },
  export: { statements: [{ name: 'own networks', match: { type: 'local' }, then: 'accept' }] },
};

export function many<T>(value: OneOrMore<T> | undefined): readonly T[] {
  return value === undefined ? [] : Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
