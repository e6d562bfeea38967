/** The examples of bgp/README.md run and print what they say. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

// From dist/test/bgp to the root.
const root = fileURLToPath(new URL('../../../', import.meta.url));
const readme = readFileSync(`${root}bgp/README.md`, 'utf8');
const examples = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!);

t.equal(examples.length, 3);
for (const [index, code] of examples.entries()) {
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });
  const promised = [...code.matchAll(/^\/\/ prints: (.*)$/gm)].map(([, line]) => `${line}\n`).join('');
  t.equal(printed, promised, `example ${index + 1}`);
}
