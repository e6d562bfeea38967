/**
 * A flood of foreign route changes, more than the notifications' buffer holds: no exit, no leak, everything read anew, and
 * afterwards the kernel has what it should have.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
const [OURS, CHANGES, ROUNDS] = [50_000, 300_000, 6];
const SABOTAGED = OURS / 10;

if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up', 'addr add 192.168.245.168/24 dev ens33']);
}

/** Many lines, without standing in the way of what the thread tells meanwhile. */
async function ipLines(lines: readonly string[]): Promise<void> {
  const child = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(`${lines.join('\n')}\n`);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`ip ended with ${code}`);
}

const megabytes = (): number => Math.round(process.memoryUsage.rss() / (1 << 20));

t.test(`${CHANGES} foreign changes over ${OURS} routes of ours`, { ...options, timeout: 600_000 }, async (t) => {
  const node = new Harness({ receiveBuffer: 1 << 16 });
  t.teardown(() => node.fib.stop(false));
  await node.fib.start();
  node.track(1, '192.168.245.172');
  node.track(2, '192.168.245.173');
  const ours = Array.from({ length: OURS }, (_, i) => ({
    id: i,
    prefix: `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`,
    nextHop: 1 + (i % 2),
  }));
  for (let at = 0; at < OURS; at += 4096) {
    await until('room', () => node.fib.canSubmit);
    node.submit(...ours.slice(at, at + 4096));
  }
  const allIn = () => node.fib.counts().installed === OURS;
  await until('installed', allIn);
  const overruns = () => node.logs.filter(({ text }) => text.includes('faster than they were read')).length;

  const perRound = CHANGES / ROUNDS / 2;
  const memory = [megabytes()];
  for (let round = 0; round < ROUNDS; round++) {
    const theirs = Array.from({ length: perRound }, (_, i) => {
      return `${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24 via 192.168.245.9 proto static`;
    });
    const some = ours.slice(round * SABOTAGED, (round + 1) * SABOTAGED);
    await ipLines([
      ...theirs.slice(0, perRound / 2).map((line) => `route add ${line}`),
      ...some.map(({ prefix }, i) =>
        i % 2 ? `route del ${prefix}` : `route change ${prefix} via 192.168.245.66 proto bgp metric 20`,
      ),
      ...theirs.slice(perRound / 2).map((line) => `route add ${line}`),
    ]);
    await ipLines(theirs.map((line) => `route del ${line}`));
    const began = performance.now();
    await until('right', async () => allIn() && [...(await node.fib.diff())].length === 0, 120_000);
    memory.push(megabytes());
    t.comment(`round ${round}: right ${Math.round(performance.now() - began)} ms after the flood, ${memory.at(-1)} MB`);
  }
  t.ok(overruns() > 0, `${overruns()} overruns`);
  t.equal(node.fib.counts().installed, OURS);
  t.equal(ip('route show proto static'), '');
  t.strictSame(node.fatals, []);
  // Rows and garbage of the first rounds stay; what grows from there on would be a leak.
  const [before, after] = [Math.max(...memory.slice(1, 4)), memory.at(-1)!];
  t.ok(after < before * 1.15, `${memory.join(', ')} MB`);
});
