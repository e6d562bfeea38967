/**
 * The reference of the configuration, written from the schema: `docs/configuration.md` for people and
 * `docs/configuration.schema.json` for editors. Pure; `generate-docs.ts` writes the files and a test compares them.
 */
import type { Key, Keys } from './kinds.js';
import {
  COMMUNITY_CHANGE_KEYS,
  MATCH_KEYS,
  POLICY_KEYS,
  PREPEND_KEYS,
  SET_KEYS,
  STATEMENT_KEYS,
} from './policy-schema.js';
import { GROUP_KEYS, NETWORK_KEYS, PEER_KEYS, PEER_OPTION_KEYS, RANGE_KEYS, ROOT, ROOT_KEYS } from './schema.js';

const INTRODUCTION = `# Configuration

<!-- Generated from src/config/schema.ts by \`npm run docs\`; change it there. -->

\`tortied\` reads one file, YAML or JSON: \`/etc/tortie/tortie.yaml\`, or the one named with \`--config\`. An unknown key is an error, and so is
a value that makes no sense; each error names file, line, column, the key and what is allowed. \`tortied --check --config FILE\` and
\`bgpctl check FILE\` only check. Times are seconds unless the name ends in \`Ms\`.

On SIGHUP the daemon reads the file again and applies what changed. A bad file changes nothing. The column *Change* says what a changed
value does: **live** = nothing is interrupted, **session** = the session of that peer is closed and opened again, **all sessions** = every
one is, **restart** = it waits for the next start of the daemon.
`;

const CHANGE = { live: 'live', session: 'session', sessions: 'all sessions', restart: 'restart' } as const;

export function configurationMarkdown(): string {
  const peerOnly = without(PEER_KEYS, PEER_OPTION_KEYS);
  const rangeOnly = without(RANGE_KEYS, PEER_OPTION_KEYS);
  return [
    INTRODUCTION,
    section('The node', 'Keys at the top of the file.', ROOT_KEYS),
    section('networks', 'Each entry has exactly one of `prefix` and `interface`.', NETWORK_KEYS),
    section('peers', 'The keys below, and all of *peers, groups and listenRanges*.', peerOnly),
    section(
      'listenRanges',
      'The keys below, and all of *peers, groups and listenRanges*. These peers are never dialled.',
      rangeOnly,
    ),
    section('peers, groups and listenRanges', 'A peer takes what it does not set itself from its group.', GROUP_KEYS),
    section('policies', 'Each named policy has these keys. docs/policy.md is the guide.', POLICY_KEYS),
    section('policies: statements', 'Each statement of a policy.', STATEMENT_KEYS),
    section('policies: match', 'Of a statement; a list may be written as its only entry.', MATCH_KEYS),
    section('policies: set', 'Of a statement.', SET_KEYS),
    section('policies: set.community', 'First `remove`, then `replace`, then `add`.', COMMUNITY_CHANGE_KEYS),
    section('policies: set.prepend', 'Where it is a map.', PREPEND_KEYS),
    ...Object.entries({ ...GROUP_KEYS, ...ROOT_KEYS })
      .filter(
        ([name, key]) => key.kind.keys && !['networks', 'peers', 'listenRanges', 'groups', 'policies'].includes(name),
      )
      .map(([name, key]) => section(name, key.doc, key.kind.keys!)),
  ].join('\n');
}

function without(keys: Keys, less: Keys): Keys {
  return Object.fromEntries(Object.entries(keys).filter(([name]) => !(name in less)));
}

function section(title: string, text: string, keys: Keys): string {
  const rows = Object.entries(keys).map(([name, key]) => tableRow(name, key));
  return `## ${title}\n\n${text}\n\n| Key | Value | Default | Change | Meaning |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function tableRow(name: string, key: Key<unknown>): string {
  const value = key.kind.allowed + (key.unit ? ` (${key.unit})` : '');
  const fallback = key.fallback === undefined ? '**required**' : key.fallback;
  const meaning = key.doc + (key.secret ? ' Never shown in logs and errors.' : '');
  return `| ${[`\`${name}\``, value, fallback, CHANGE[key.reload], meaning].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** JSON Schema (draft 2020-12). What only makes sense together (a group that exists, say) is left to the daemon. */
export function configurationJsonSchema(): string {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Tortie configuration',
    ...ROOT.json,
    required: ['asn'],
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
