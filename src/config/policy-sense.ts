/**
 * Policies against each other and the rest of the file: every name is that of something, calls come to an end, and what a
 * policy sets is possible where it is used.
 */
import { AsPathPattern, AsPathPatternError } from '../policy/as-path-pattern.js';
import { MOST_CALLS_DEEP, MOST_STEPS } from '../policy/limits.js';
import { BUILT_IN_POLICIES, POOLS_LIST, many } from '../policy/definition.js';
import type { MatchDefinition, OneOrMore, PolicyDefinition, StatementDefinition } from '../policy/definition.js';
import { WELL_KNOWN_COMMUNITIES, isName, parseCommunityPatterns } from '../policy/patterns.js';
import type { Path } from './problems.js';
import { listed, quoted } from './shown.js';
import type { RawConfig, RawPeerOptions } from './schema.js';

type Report = (path: Path, message: string) => void;
type Named<T> = { readonly [name: string]: T } | undefined;

/** `functions`: policies that the embedding program brings along. */
export function checkPolicies(raw: RawConfig, functions: readonly string[], report: Report): void {
  for (const section of ['policies', 'prefixLists', 'asPathLists', 'communityLists'] as const) {
    for (const name of Object.keys(raw[section] ?? {})) checkName(section, name, report);
  }
  for (const [name, patterns] of Object.entries(raw.asPathLists ?? {})) {
    patterns.forEach((pattern, index) => checkAsPath(String(pattern), ['asPathLists', name, index], report));
  }
  const known = [...new Set<string>([...BUILT_IN_POLICIES, ...functions, ...Object.keys(raw.policies ?? {})])];
  for (const [name, policy] of Object.entries(raw.policies ?? {})) {
    policy.statements?.forEach((statement, index) => {
      checkStatement(statement as StatementDefinition, ['policies', name, 'statements', index], raw, known, report);
    });
  }
  checkCalls(raw, report);
}

/** The policies that a peer, group or range names; `origin`: where the key stands. */
export function checkPolicyUse(
  options: RawPeerOptions,
  origin: (key: string) => Path,
  raw: RawConfig,
  functions: readonly string[],
  report: Report,
): void {
  const known = [...new Set<string>([...BUILT_IN_POLICIES, ...functions, ...Object.keys(raw.policies ?? {})])];
  const { defaultOriginate } = options;
  const ofDefault = typeof defaultOriginate === 'object' ? defaultOriginate.policy : undefined;
  checkNames(ofDefault, [...origin('defaultOriginate'), 'policy'], known, report);
  for (const direction of ['import', 'export'] as const) {
    const names = many(options[direction] as OneOrMore<string> | undefined);
    const at = origin(direction);
    checkNames(options[direction], at, known, report);
    if (direction !== 'import') continue;
    if (reaches(names, 'node', raw) && (raw.pools ?? []).length === 0) {
      report(
        at,
        'the policy node imports what lies inside pools, and pools is empty: say where container networks come from',
      );
    }
    for (const name of names) checkImported(name, at, raw, report);
  }
}

function checkNames(chain: OneOrMore<string> | undefined, at: Path, known: readonly string[], report: Report): void {
  const names = many(chain);
  if (chain !== undefined && names.length === 0) report(at, 'is empty: name a policy; reject lets nothing through');
  for (const [index, name] of names.entries()) {
    if (!known.includes(name)) {
      report(at, `there is no policy ${quoted(name)}; policies are ${listed(known)}`);
    } else if ((name === 'accept' || name === 'reject') && index < names.length - 1) {
      report(at, `nothing is asked after ${name}: let it be the last`);
    }
  }
}

function checkName(section: string, name: string, report: Report): void {
  const at = [section, name];
  if (!isName(name)) report(at, 'is no good name: a letter, then letters, digits, hyphens, dots or underscores');
  else if (section === 'policies' && (BUILT_IN_POLICIES as readonly string[]).includes(name)) {
    report(at, `${name} is built in: choose another name`);
  } else if (section === 'prefixLists' && name === POOLS_LIST) {
    report(at, 'is the list of the key pools: choose another name');
  } else if (section === 'communityLists' && WELL_KNOWN_COMMUNITIES.includes(name)) {
    report(at, `${name} is a well-known community: choose another name`);
  }
}

function checkStatement(
  statement: StatementDefinition,
  at: Path,
  raw: RawConfig,
  policies: readonly string[],
  report: Report,
): void {
  const { match, set, call, then } = statement;
  if (set === undefined && call === undefined && then === undefined) {
    report(at, 'does nothing: give it one of the keys set, call and then');
  }
  if (match) checkMatch(match, [...at, 'match'], raw, report);
  const { community } = set ?? {};
  for (const key of ['remove', 'add', 'replace'] as const) {
    const where = [...at, 'set', 'community', key];
    checkCommunities(community?.[key], where, raw, report);
    if (key === 'remove') continue;
    for (const name of many(community?.[key])) {
      const entries = Object.hasOwn(raw.communityLists ?? {}, name) ? raw.communityLists![name]! : [];
      const wild = entries.find((entry) => parseCommunityPatterns(entry, false) === undefined);
      if (wild !== undefined) report(where, `the list ${name} has ${wild}: what is added can have no *`);
    }
  }
  if (call === undefined) return;
  if (call === 'accept' || call === 'reject') report([...at, 'call'], `is for policies; write then: ${call}`);
  else if (!policies.includes(call)) {
    report([...at, 'call'], `there is no policy ${quoted(call)}; policies are ${listed(policies)}`);
  }
}

function checkMatch(match: MatchDefinition, at: Path, raw: RawConfig, report: Report): void {
  if (Object.keys(match).length === 0) report(at, 'is empty; a statement for every route has no match');
  const prefixLists = { ...raw.prefixLists, [POOLS_LIST]: [] };
  checkLists(match.prefix, prefixLists, 'prefix list', [...at, 'prefix'], report);
  checkLists(match.nextHop, prefixLists, 'prefix list', [...at, 'nextHop'], report);
  checkCommunities(match.community, [...at, 'community'], raw, report);
  checkCommunities(match.allCommunities, [...at, 'allCommunities'], raw, report);
  for (const text of many(match.asPath).map(String)) {
    if (isName(text)) checkLists(text, raw.asPathLists, 'AS-path list', [...at, 'asPath'], report);
    else checkAsPath(text, [...at, 'asPath'], report);
  }
  for (const key of ['group', 'fromGroup'] as const) {
    for (const name of many(match[key])) {
      if (Object.hasOwn(raw.groups ?? {}, name)) continue;
      const names = Object.keys(raw.groups ?? {});
      report(
        [...at, key],
        `there is no group ${quoted(name)}; ${names.length ? `groups are ${listed(names)}` : 'groups is empty'}`,
      );
    }
  }
  if (match.not) checkMatch(match.not, [...at, 'not'], raw, report);
}

function checkCommunities(texts: OneOrMore<string> | undefined, at: Path, raw: RawConfig, report: Report): void {
  const names = many(texts).filter((text) => parseCommunityPatterns(text, true) === undefined);
  checkLists(names, raw.communityLists, 'community list', at, report);
}

function checkLists(
  texts: OneOrMore<string> | undefined,
  lists: Named<unknown>,
  what: string,
  at: Path,
  report: Report,
): void {
  for (const name of many(texts).filter(isName)) {
    if (Object.hasOwn(lists ?? {}, name)) continue;
    const names = Object.keys(lists ?? {});
    report(at, `there is no ${what} ${quoted(name)}${names.length ? `; there are ${listed(names)}` : ''}`);
  }
}

function checkAsPath(text: string, at: Path, report: Report): void {
  try {
    new AsPathPattern(text);
  } catch (error) {
    if (!(error instanceof AsPathPatternError)) throw error;
    report(at, `is no pattern of AS numbers: ${error.reason} (at ${error.at} of ${quoted(text)})`);
  }
}

/** What has been looked at: steps and depth of a policy with its calls written out. */
interface Extent {
  readonly steps: number;
  readonly depth: number;
}

/** A policy that calls itself, in however many steps, would never end; and what calls write out to has bounds. */
function checkCalls(raw: RawConfig, report: Report): void {
  const known = new Map<string, Extent>();
  const visit = (name: string, trail: readonly string[]): Extent => {
    const before = known.get(name);
    if (before) return before;
    let [steps, depth] = [1, 0];
    for (const [index, { call }] of statementsOf(raw, name).entries()) {
      steps += 2;
      if (call === undefined) continue;
      const at = ['policies', name, 'statements', index, 'call'];
      const loop = [...trail, name].indexOf(call);
      if (loop >= 0) {
        const names = [...trail, name, call].slice(loop);
        report(at, `calls without end: ${listed(names, ' calls ')}`);
        continue;
      }
      // Deeper than is looked at, it is too deep in any case.
      const inner = trail.length < MOST_CALLS_DEEP ? visit(call, [...trail, name]) : { steps: 1, depth: 0 };
      steps += inner.steps;
      depth = Math.max(depth, inner.depth + 1);
      if (depth > MOST_CALLS_DEEP || trail.length >= MOST_CALLS_DEEP) {
        report(at, `is a call in a call in a call, more than ${MOST_CALLS_DEEP} deep`);
      } else if (steps > MOST_STEPS) report(at, `comes to more than ${MOST_STEPS} steps with all that it calls`);
    }
    known.set(name, { steps, depth });
    return { steps, depth };
  };
  for (const name of Object.keys(raw.policies ?? {})) visit(name, []);
}

/** `self` and `unchanged` are about what a peer is told. */
function checkImported(name: string, at: Path, raw: RawConfig, report: Report): void {
  for (const one of reached([name], raw)) {
    for (const [index, { set }] of statementsOf(raw, one).entries()) {
      if (set?.nextHop !== 'self' && set?.nextHop !== 'unchanged') continue;
      const where = `policy ${one} statement ${index + 1}`;
      report(at, `${where} sets nextHop: ${set.nextHop}, which is for export; on import give an address`);
      return;
    }
  }
}

function reaches(names: readonly string[], wanted: string, raw: RawConfig): boolean {
  return reached(names, raw).has(wanted);
}

function reached(names: readonly string[], raw: RawConfig): Set<string> {
  // A set is walked with what is added meanwhile.
  const all = new Set(names);
  for (const name of all) for (const { call } of statementsOf(raw, name)) if (call !== undefined) all.add(call);
  return all;
}

function statementsOf(raw: RawConfig, name: string): readonly StatementDefinition[] {
  if (!Object.hasOwn(raw.policies ?? {}, name)) return [];
  return (raw.policies![name] as PolicyDefinition).statements ?? [];
}
