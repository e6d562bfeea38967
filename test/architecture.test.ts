/**
 * Who may import whom (DESIGN: a graph without cycles), and which parts of Node only some files may touch. Reads the
 * sources, not the compiled files; `import type` counts like any other import except where the table says "types".
 */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Import {
  readonly from: string;
  readonly types: boolean;
  /** Imports nothing but `isIP`, `isIPv4`, `isIPv6`: text, not sockets. */
  readonly onlyText: boolean;
}

interface Source {
  readonly path: string;
  /** Without comments and the text of strings. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/**
 * Module of each path (the first prefix that fits), and what it may import: other modules, packages, node built-ins
 * (`node` = all of them). `name (types)` = only with `import type`.
 */
const TABLE: { readonly module: string; readonly path: string; readonly may: readonly string[] }[] = [
  { module: 'bgp', path: 'bgp/src/', may: [] },
  { module: 'netlink', path: 'netlink/src/', may: ['koffi', 'node'] },
  { module: 'support', path: 'src/support/', may: ['bgp', 'node:fs', 'node:os', 'node:util'] },
  {
    module: 'config',
    path: 'src/config/',
    may: ['bgp', 'support', 'policy', 'zod/v3', 'yaml', 'node:fs', 'node:fs/promises', 'node:path'],
  },
  { module: 'rib', path: 'src/rib/', may: ['bgp', 'support'] },
  { module: 'policy', path: 'src/policy/', may: ['bgp', 'support', 'rib'] },
  { module: 'export', path: 'src/export/', may: ['bgp', 'rib', 'policy', 'session (types)', 'support'] },
  { module: 'session', path: 'src/session/', may: ['bgp', 'support', 'config (types)', 'netlink', 'node:net'] },
  {
    module: 'fib',
    path: 'src/fib/',
    may: ['netlink', 'rib', 'config (types)', 'bgp', 'support', 'node:worker_threads', 'node:url'],
  },
  {
    module: 'bfd',
    path: 'src/bfd/',
    may: ['netlink', 'bgp', 'support', 'node:worker_threads', 'node:crypto'],
  },
  {
    module: 'control',
    path: 'src/control/',
    may: [
      'bgp',
      'support',
      'rib (types)',
      'ws',
      'node:http',
      'node:fs/promises',
      'node:path',
      'node:stream',
      'node:crypto',
    ],
  },
  {
    module: 'cli',
    path: 'src/cli/',
    may: ['bgp', 'config', 'policy', 'control (types)', 'support', 'commander', 'ws', 'node:http'],
  },
  { module: 'discovery', path: 'src/discovery/', may: ['netlink', 'support'] },
  { module: 'lab', path: 'src/lab/', may: ['netlink', 'support', 'bgp', 'yaml', 'node'] },
  { module: 'bgpctl', path: 'src/bgpctl.ts', may: ['cli', 'lab', 'support'] },
  {
    module: 'daemon',
    path: 'src/daemon',
    may: [
      'daemon',
      'speaker',
      'control',
      'config',
      'support',
      'netlink',
      'pino',
      'commander',
      'node:perf_hooks',
      'node:fs',
    ],
  },
  // speaker.ts and what it is made of: the only place that sees every stage.
  {
    module: 'speaker',
    path: 'src/',
    may: [
      'session',
      'rib',
      'policy',
      'export',
      'fib',
      'bfd',
      'discovery',
      'config',
      'control (types)',
      'support',
      'bgp',
      'node:os',
      'node:crypto',
    ],
  },
];

const PACKAGES: { readonly [name: string]: string } = { 'bgp-parse': 'bgp', netlink: 'netlink' };

/** Files that are programs of their own: they may use `process`. */
const ENTRY_POINTS = /^src\/(daemon|bgpctl|daemon-log|config\/generate-docs)\.ts$|^src\/lab\//;

function readSources(folder: string): Source[] {
  return readdirSync(root + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return readSources(path);
    return path.endsWith('.ts') ? [readSource(path)] : [];
  });
}

function readSource(path: string): Source {
  const text = readFileSync(root + path, 'utf8').replaceAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const imports: Import[] = [];
  for (const [, type, names, from] of text.matchAll(
    /^(?:import|export)\s+(type\s+)?([^;'"]*?)\s*from\s+['"]([^'"]+)['"]/gm,
  )) {
    const listed = /^\{(.*)\}$/s
      .exec(names!)?.[1]!
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    const types = type !== undefined || (listed?.every((name) => name.startsWith('type ')) ?? false);
    imports.push({ from: from!, types, onlyText: listed?.every((name) => /^isIP(v[46])?$/.test(name)) ?? false });
  }
  for (const [, from] of text.matchAll(/(?:^import\s+|\bimport\(\s*)['"]([^'"]+)['"]/gm))
    imports.push({ from: from!, types: false, onlyText: false });
  const code = text.replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''");
  return { path, code, imports };
}

const sources = ['bgp/src', 'netlink/src', 'src'].flatMap(readSources);

function moduleOf(path: string): (typeof TABLE)[number] {
  return TABLE.find((row) => path.startsWith(row.path))!;
}

/** A file of this repository, a package or a built-in. */
function target(source: Source, from: string): string {
  return from.startsWith('.') ? normalize(join(dirname(source.path), from)).replace(/\.js$/, '.ts') : from;
}

function isAllowed(may: readonly string[], name: string, types: boolean): boolean {
  return may.includes(name) || (types && may.includes(`${name} (types)`));
}

t.test('the scanner sees imports', (t) => {
  t.ok(sources.length > 50, `${sources.length} files`);
  const speaker = sources.find((source) => source.path === 'src/speaker.ts')!;
  t.ok(speaker.imports.some(({ from, types }) => from === './config/settings.js' && types));
  const daemon = sources.find((source) => source.path === 'src/daemon.ts')!;
  t.ok(
    daemon.imports.some(({ from, types }) => from === './speaker.js' && !types),
    'dynamic ones, too',
  );
  for (const source of sources) {
    const count = source.code.match(/^import /gm)?.length ?? 0;
    t.ok(source.imports.length >= count, `${source.path}: all ${count} were understood`);
  }
  t.end();
});

t.test('every import is in the table', (t) => {
  for (const source of sources) {
    const { module, may } = moduleOf(source.path);
    for (const { from, types } of source.imports) {
      const to = target(source, from);
      const name = from.startsWith('.') ? moduleOf(to).module : (PACKAGES[from] ?? from);
      const isNode = name.startsWith('node:') || builtinModules.includes(name);
      const good = name === module || isAllowed(may, name, types) || (isNode && may.includes('node'));
      if (!good) t.fail(`${source.path} (${module}) may not import ${from}${types ? ' (types)' : ''}`);
    }
  }
  t.end();
});

t.test('the table itself has no cycle', (t) => {
  const done = new Set<string>();
  const visit = (module: string, trail: readonly string[]): void => {
    if (trail.includes(module)) t.fail(`cycle: ${[...trail, module].join(' → ')}`);
    if (trail.includes(module) || done.has(module)) return;
    const row = TABLE.find((candidate) => candidate.module === module);
    for (const name of row?.may ?? []) {
      const next = name.replace(' (types)', '');
      if (next !== module) visit(next, [...trail, module]);
    }
    done.add(module);
  };
  for (const { module } of TABLE) visit(module, []);
  t.end();
});

t.test('no file needs itself', (t) => {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const visit = (source: Source, trail: readonly string[]): void => {
    if (trail.includes(source.path))
      t.fail(`cycle: ${[...trail.slice(trail.indexOf(source.path)), source.path].join(' → ')}`);
    if (trail.includes(source.path) || done.has(source.path)) return;
    // Types are gone when the program runs.
    for (const { from, types } of source.imports) {
      const next = types ? undefined : byPath.get(target(source, from));
      if (next) visit(next, [...trail, source.path]);
    }
    done.add(source.path);
  };
  for (const source of sources) visit(source, []);
  t.end();
});

t.test('programs', (t) => {
  // Workers are found by their file beside the code that starts them; packed, all lie in one folder.
  const config = readFileSync(join(root, 'esbuild.config.js'), 'utf8');
  const started = sources.flatMap(({ path }) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/new Worker\(new URL\('\.\/([\w-]+)\.js'/g)].map(
      ([, name]) => ({ name: name!, file: `dist/${path.slice(0, path.lastIndexOf('/'))}/${name}.js` }),
    ),
  );
  t.ok(started.length > 0, 'there are workers');
  t.equal(new Set(started.map(({ name }) => name)).size, started.length, 'each has a name of its own');
  for (const { name, file } of started)
    t.match(config, new RegExp(`['"]?${name}['"]?: '${file}'`), `${file} is packed`);
  t.end();
});

t.test('parts of Node', (t) => {
  const rules: { what: string; found: (source: Source) => boolean; only: RegExp }[] = [
    {
      what: 'TCP (node:net)',
      found: ({ imports }) => imports.some(({ from, onlyText }) => /^(node:)?net$/.test(from) && !onlyText),
      only: /^src\/session\/|^src\/lab\/throughput-child\.ts$/,
    },
    {
      what: 'TCP options (netlink) in a session',
      found: ({ path, imports }) => path.startsWith('src/session/') && imports.some(({ from }) => from === 'netlink'),
      only: /^src\/session\/sockopt\.ts$/,
    },
    {
      what: 'worker threads',
      found: ({ imports }) => imports.some(({ from }) => /^(node:)?worker_threads$/.test(from)),
      only: /^src\/(fib|bfd)\//,
    },
    {
      what: 'process',
      found: ({ code, imports }) =>
        /(?<![.\w])process\s*[.[]/.test(code) || imports.some(({ from }) => /^(node:)?process$/.test(from)),
      only: ENTRY_POINTS,
    },
    {
      what: 'clocks and timers',
      found: ({ code, imports }) =>
        /(?<![.\w])(setTimeout|setInterval|setImmediate|performance\.now|Date\.now|new Date\(\))/.test(code) ||
        imports.some(({ from }) => /^(node:)?timers/.test(from)),
      // The FIB worker is a program of its own, in its own thread.
      only: /^src\/support\/clock\.ts$|^src\/fib\/fib-worker\.ts$|^src\/(lab|daemon)|^netlink\/src\/icmp\.ts$/,
    },
    {
      what: 'files',
      found: ({ imports }) => imports.some(({ from }) => /^(node:)?fs(\/promises)?$/.test(from)),
      only: /^src\/(config\/(load|secret-file|generate-docs)|support\/\w[\w-]*|control\/(server|unix-socket)|lab\/.*|daemon-log-sink)\.ts$|^netlink\//,
    },
  ];
  for (const { what, found, only } of rules) {
    const users = sources.filter(found);
    t.ok(users.length > 0 || what === 'worker threads', `${what}: the rule finds users at all`);
    for (const { path } of users) if (!only.test(path)) t.fail(`${path} may not use ${what}`);
  }
  t.end();
});

t.test('every dependency is in the table of ARCHITECTURE.md, with its reason', (t) => {
  const table = readFileSync(`${root}ARCHITECTURE.md`, 'utf8').split('## Dependencies')[1]!.split('\n## ')[0]!;
  const rows = table.split('\n').filter((line) => line.startsWith('|') && line.includes('`'));
  const named = new Set(rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)));
  const wanted = new Set<string>();
  for (const folder of ['', 'bgp/', 'netlink/']) {
    const manifest = JSON.parse(readFileSync(`${root}${folder}package.json`, 'utf8')) as {
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
    };
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }))
      if (!(name in PACKAGES)) wanted.add(name);
  }
  for (const name of wanted) t.ok(named.has(name), `${name} is in the table`);
  for (const name of named) t.ok(wanted.has(name), `${name} is a dependency`);
  for (const row of rows) {
    const [names, reason] = row.split('|').slice(1, 3);
    if (!names!.includes('for development')) t.ok(reason!.trim() !== '', `${names!.trim()}: a reason`);
  }
  t.end();
});
