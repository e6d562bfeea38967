/** The namespaces of the interop tests do not outlive them, whatever ends the process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import t from 'tap';
import { cannotRunLab } from '../lab/lab-fixture.js';
import { waitFor } from './fixtures/process.js';

const OWNER = `
const { Namespaces } = await import(${JSON.stringify(new URL('./fixtures/namespace.js', import.meta.url).href)});
const { spawn } = await import('node:child_process');
const namespaces = new Namespaces();
const one = await namespaces.create();
const [program, ...args] = one.command('sleep', '600');
const inside = spawn(program, args, { detached: true, stdio: 'ignore' });
console.log(JSON.stringify({ name: one.name, pid: inside.pid, directory: namespaces.directory }));
setInterval(() => undefined, 1000);
`;

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  t.test(`ended by ${signal}`, { skip: cannotRunLab() }, async (t) => {
    const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => owner.kill('SIGTERM'));
    const line = await createInterface(owner.stdout)[Symbol.asyncIterator]().next();
    const { name, pid, directory } = JSON.parse(String(line.value)) as { name: string; pid: number; directory: string };
    const traces = [`/run/netns/${name}`, `/proc/${pid}/exe`, directory];
    t.same(traces.filter(existsSync), traces, 'there it is');
    const ended = once(owner, 'exit');
    owner.kill(signal);
    await ended;
    await waitFor('nothing is left', () => !traces.some(existsSync));
    t.pass('and gone');
  });
}
