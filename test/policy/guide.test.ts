/** The examples of docs/policy.md are configurations that load, and its console session is what bgpctl prints. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseConfig } from '../../src/config/load.js';
import { runCli } from '../../src/cli/program.js';
import { AsPathPattern } from '../../src/policy/as-path-pattern.js';
import { Policies } from '../../src/policy/policies.js';
import { many } from '../../src/policy/definition.js';
import { temporaryDirectory } from '../control/fake-queries.js';

const guide = readFileSync(fileURLToPath(new URL('../../../docs/policy.md', import.meta.url)), 'utf8');

function blocks(language: string): string[] {
  return [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map((match) => match[1]!);
}

t.test('configurations', async (t) => {
  const examples = blocks('yaml');
  t.ok(examples.length >= 3);
  for (const [index, text] of examples.entries()) {
    const settings = await parseConfig(text, `example ${index + 1}`);
    const policies = new Policies(
      { definitions: settings.policy, ownAs: settings.asn, ownNetworks: [], functions: {}, failed: () => undefined },
      undefined,
    );
    for (const peer of settings.peers) {
      t.ok(policies.chain('import', many(peer.import)).steps.length > 0);
      t.ok(policies.chain('export', many(peer.export)).steps.length > 0);
    }
  }
});

t.test('AS-path patterns', (t) => {
  const [, table] = /### AS-path patterns\n([^]*?)\n\n`\.`/.exec(guide)!;
  const patterns = [...table!.matchAll(/^\| (`[^|]*?(?:\\\|[^|]*?)*`[^|]*) \|/gm)].flatMap((row) =>
    [...row[1]!.matchAll(/`([^`]*)`/g)].map((one) => one[1]!.replaceAll('\\|', '|')),
  );
  t.ok(patterns.length >= 9, patterns.join('  '));
  for (const pattern of patterns) t.ok(new AsPathPattern(pattern), pattern);
  t.end();
});

t.test('the console session', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(() => directory.remove());
  const file = join(directory.path, 'tortie.yaml');
  writeFileSync(file, blocks('yaml').at(-1)!);
  const [command, ...expected] = blocks('console')[0]!.trimEnd().split('\n');
  const words = [...command!.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
  let out = '';
  const code = await runCli(
    words.slice(2).map((word) => (word === 'tortie.yaml' ? file : word)),
    {
      out: (text) => Promise.resolve(void (out += text)),
      err: (text) => t.fail(text),
      columns: 80,
      socket: undefined,
      version: '0',
    },
  );
  t.equal(code, 0);
  t.same(out.trimEnd().split('\n'), expected);
});
