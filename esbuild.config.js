/**
 * Packs the compiled daemon into a few files: `dist/src/` → `dist/program/`. Nothing is changed or left out; the point
 * is the start, where reading and linking two hundred modules takes longer than all the rest (docs/benchmarks.md).
 */
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

// Parts carry a hash in their names: those of an older build would stay.
rmSync('dist/program', { recursive: true, force: true });

await build({
  entryPoints: {
    tortied: 'dist/src/daemon.js',
    'fib-worker': 'dist/src/fib/fib-worker.js',
    'bfd-worker': 'dist/src/bfd/bfd-worker.js',
  },
  outdir: 'dist/program',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'linked',
  // Comments and white space are a third of what would be read.
  minifyWhitespace: true,
  // Its native part is found beside its own files.
  external: ['koffi'],
  // Packages written as CommonJS ask for built-in modules by `require`.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
});
