/** The keys of policies and their lists. What is written inside of the texts is parsed by `policy/patterns.ts`. */
import { MOST_PREPENDS } from '../policy/limits.js';
import {
  COMMUNITY_FORMS,
  isName,
  parseAdjustment,
  parseCommunityPatterns,
  parsePrefixPattern,
  parseRange,
} from '../policy/patterns.js';
import { parseAddress, parsePrefix } from 'bgp-parse';
import { asn, boolean, either, family, integer, list, map, matching, named, oneOf, scalar, text } from './kinds.js';
import type { Key, Kind } from './kinds.js';

/** All of it is taken over live. */
function key<T>(kind: Kind<T>, fallback: string | undefined, doc: string): Key<T> {
  return { kind, reload: 'live', fallback, doc };
}

function oneOrMore<T>(kind: Kind<T>): Kind<T | T[]> {
  return either(kind, list(kind));
}

const prefixPattern = matching(
  'a prefix without host bits, with lengths where it stands for others, too: 10.0.0.0/8, 10.0.0.0/8 le 24, 10.0.0.0/8 ge 16 le 24',
  (value) => parsePrefixPattern(value) !== undefined,
);
const prefixOrList = matching(
  'a prefix such as 10.0.0.0/8 le 24, or the name of a prefix list',
  (value) => isName(value) || parsePrefixPattern(value) !== undefined,
);
const communityPattern = matching(
  `a community (parts may be *): ${COMMUNITY_FORMS}`,
  (value) => parseCommunityPatterns(value, true) !== undefined,
);
const communityOrList = matching(
  `the name of a community list, or a community (parts may be *): ${COMMUNITY_FORMS}`,
  (value) => isName(value) || parseCommunityPatterns(value, true) !== undefined,
);
const addedCommunity = matching(
  `the name of a community list, or a community: ${COMMUNITY_FORMS}`,
  (value) => isName(value) || parseCommunityPatterns(value, false) !== undefined,
);
const nextHopMatch = matching(
  'an address, a prefix, or the name of a prefix list',
  (value) => isName(value) || parseAddress(value) !== undefined || parsePrefix(value, true) !== undefined,
);
const host = matching(
  'an address or a prefix',
  (value) => parseAddress(value) !== undefined || parsePrefix(value, true) !== undefined,
);
const range = scalar('a number, or a range such as 1..5, ..5 or 5..', (value) => parseRange(value) !== undefined);
const adjustment = scalar(
  'a number, or more or less of it, such as += 10 or -= 10',
  (value) => parseAdjustment(value) !== undefined,
);
const asPath = either(text(1000), asn);
const listName = text(64);
const policyName = text(64);
const then = oneOf('accept', 'reject', 'next');
const origin = oneOf('igp', 'egp', 'incomplete');

const MATCH_LEAVES = {
  prefix: key(
    oneOrMore(prefixOrList),
    'any',
    'Prefix of the route: exactly, or with `ge` and `le` the lengths below it; or prefix lists.',
  ),
  own: key(boolean, 'any', 'Whether the prefix lies inside of what this node originates.'),
  asPath: key(
    oneOrMore(asPath),
    'any',
    'Regular expression over AS numbers (see docs/policy.md), or the name of an AS-path list.',
  ),
  asPathLength: key(range, 'any', 'Length of the AS path, a set counting one.'),
  originAs: key(oneOrMore(range), 'any', 'Last AS of the path.'),
  neighborAs: key(oneOrMore(range), 'any', 'First AS of the path.'),
  community: key(
    oneOrMore(communityOrList),
    'any',
    'The route has one of these communities: standard, large or extended.',
  ),
  allCommunities: key(oneOrMore(communityOrList), 'any', 'The route has all of these.'),
  nextHop: key(
    oneOrMore(nextHopMatch),
    'any',
    'Next hop: addresses, prefixes or prefix lists (their lengths mean nothing here).',
  ),
  peer: key(oneOrMore(host), 'any', 'The peer the policy is run for: the sender on import, the receiver on export.'),
  group: key(oneOrMore(listName), 'any', "That peer's group."),
  from: key(oneOrMore(host), 'any', 'The peer the route was learned from.'),
  fromGroup: key(oneOrMore(listName), 'any', "That peer's group."),
  family: key(oneOrMore(family), 'any', 'Address family of the route.'),
  type: key(
    oneOrMore(oneOf('local', 'internal', 'external')),
    'any',
    'Originated by this node, or learned from an internal or an external peer.',
  ),
  origin: key(oneOrMore(origin), 'any', 'ORIGIN of the route.'),
  med: key(range, 'any', 'MULTI_EXIT_DISC; a route without one does not match.'),
  localPref: key(range, 'any', 'LOCAL_PREF; a route without one has 100.'),
} as const;

export const MATCH_KEYS = {
  ...MATCH_LEAVES,
  not: key(map(MATCH_LEAVES), 'nothing', 'The same keys; matches where these do not (as a whole).'),
} as const;

export const COMMUNITY_CHANGE_KEYS = {
  remove: key(oneOrMore(communityOrList), 'nothing', 'Communities that go, with wildcards; or community lists.'),
  add: key(oneOrMore(addedCommunity), 'nothing', 'Communities that come.'),
  replace: key(
    oneOrMore(addedCommunity),
    'nothing',
    'Communities that come in place of all others of their kind (standard, large, extended).',
  ),
} as const;

export const PREPEND_KEYS = {
  as: key(oneOf('own', 'last'), 'own', '`own` = our AS; `last` = the AS that stands first in the path now.'),
  times: key(integer(1, MOST_PREPENDS), '1', 'How often.'),
} as const;

export const SET_KEYS = {
  localPref: key(adjustment, 'unchanged', 'LOCAL_PREF, higher is better. Never told to external peers.'),
  med: key(
    either(adjustment, oneOf('none')),
    'unchanged',
    'MULTI_EXIT_DISC, lower is better; set on export, external peers are told it. `none` removes it.',
  ),
  origin: key(origin, 'unchanged', 'ORIGIN.'),
  nextHop: key(
    matching(
      'an address, self or unchanged',
      (value) => value === 'self' || value === 'unchanged' || parseAddress(value) !== undefined,
    ),
    'as without policy',
    'An address (for routes of its family). On export also `self`, and `unchanged` (as received, also to external peers).',
  ),
  prepend: key(
    either(integer(1, MOST_PREPENDS), map(PREPEND_KEYS)),
    'nothing',
    'Our AS so many times in front of the path, beside what the wire adds to external peers.',
  ),
  community: key(map(COMMUNITY_CHANGE_KEYS), 'unchanged', 'Communities of all kinds.'),
} as const;

export const STATEMENT_KEYS = {
  name: key(text(100), 'none', 'For people: shown where this statement decides.'),
  match: key(map(MATCH_KEYS), 'every route', 'What the statement is about: all keys must hold, of a list one entry.'),
  set: key(map(SET_KEYS), 'nothing', 'What changes; later statements see it changed.'),
  call: key(policyName, 'none', 'Runs another policy here, after `set`. What it does not decide goes on with `then`.'),
  then: key(then, 'next', '`accept` and `reject` decide; `next` goes on with the next statement.'),
} as const;

export const POLICY_KEYS = {
  statements: key(list(map(STATEMENT_KEYS)), '[]', 'Run in order until one decides.'),
  default: key(
    then,
    'next',
    'When no statement has decided. `next` leaves it to who called, or the next policy of the list; in the end it is `reject`.',
  ),
} as const;

export const POLICY_ROOT_KEYS = {
  policies: key(
    named(map(POLICY_KEYS)),
    '{}',
    'Named policies, for `import` and `export`. `accept`, `reject` and `node` are built in.',
  ),
  prefixLists: key(named(list(prefixPattern)), '{}', 'Named lists of prefixes for policies.'),
  asPathLists: key(named(list(asPath)), '{}', 'Named lists of regular expressions over AS numbers.'),
  communityLists: key(named(list(communityPattern)), '{}', 'Named lists of communities.'),
  pools: key(
    list(matching('a prefix without host bits', (value) => parsePrefix(value, true) !== undefined)),
    '[]',
    'Where container networks come from: the policy `node` imports what lies inside. Also a prefix list of that name.',
  ),
} as const;
