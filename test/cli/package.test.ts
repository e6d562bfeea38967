/**
 * What `npm pack` makes is all that a host needs: the in-tree packages are in it (their names on the registry are other
 * people's), what comes from the registry is not, and both programs run out of it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { temporaryDirectory } from '../control/fake-queries.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly bundleDependencies: readonly string[];
};
const run = (command: string, args: readonly string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

t.test('the packed package runs on its own', (t) => {
  const { path: directory, remove } = temporaryDirectory();
  t.teardown(remove);
  const modules = join(directory, 'node_modules');
  mkdirSync(modules);
  // It has just been built: the scripts would build it again, under the other tests.
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], root);
  run('tar', ['xzf', `tortie-${manifest.version}.tgz`], directory);
  const packed = run('tar', ['tzf', `tortie-${manifest.version}.tgz`], directory)
    .trim()
    .split('\n');
  const bundled = new Set(packed.flatMap((file) => /^package\/node_modules\/([^/]+)/.exec(file)?.[1] ?? []));
  t.same([...bundled].sort(), ['bgp-parse', 'netlink']);
  t.same([...manifest.bundleDependencies].sort(), ['bgp-parse', 'netlink']);
  t.notOk(
    packed.some((file) => file.includes('/test/')),
    'no tests',
  );
  for (const file of ['package/examples/systemd/tortied.service', 'package/docs/configuration.md', 'package/LICENSE']) {
    t.ok(packed.includes(file), file);
  }

  // As npm lays it out, but for the download.
  for (const name of Object.keys(manifest.dependencies)) {
    if (bundled.has(name)) continue;
    const to = join(directory, 'package', 'node_modules', name);
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), to);
  }
  symlinkSync(join(directory, 'package'), join(modules, 'tortie'));
  const config = join(directory, 'tortie.yaml');
  writeFileSync(config, 'asn: 64512\nnetworks: [{ interface: br0 }]\n');
  const bin = (name: 'tortied' | 'bgpctl'): string => {
    const { bin } = JSON.parse(readFileSync(join(directory, 'package/package.json'), 'utf8')) as {
      bin: Record<string, string>;
    };
    return join(directory, 'package', bin[name]!);
  };
  // Made executable and linked, as npm does it.
  for (const name of ['tortied', 'bgpctl'] as const) {
    chmodSync(bin(name), 0o755);
    symlinkSync(bin(name), join(directory, name));
  }
  for (const name of ['./tortied', './bgpctl']) t.match(run(name, ['--version'], directory), manifest.version);
  run('./tortied', ['--check', '--config', config], directory);
  const script = 'import { Speaker } from "tortie"; console.log(typeof Speaker)';
  t.equal(run(process.execPath, ['--input-type=module', '-e', script], directory).trim(), 'function');
  t.end();
});
