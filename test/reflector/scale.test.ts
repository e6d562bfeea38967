/**
 * A reflector with many clients, five blocks each: all blocks at all clients, no session lost. 300 clients as a rule,
 * 2,000 with TORTIE_SCALE=full (as in the issue; the open-file limit is 20,000 then).
 */
import t from 'tap';
import type { SwarmCommand } from './fixtures/swarm-child.js';
import { Reflector, Swarm } from './fixtures/swarm.js';

t.setTimeout(600_000);

const COUNT = process.env['TORTIE_SCALE'] === 'full' ? 2000 : 300;
const BLOCKS = 5;

t.test(`${COUNT} clients with ${BLOCKS} blocks each`, { timeout: 600_000 }, async (t) => {
  const reflector = await Reflector.start(t);
  const swarm = Swarm.start(t, reflector, 0, {
    count: COUNT,
    blocks: BLOCKS,
    totalBlocks: COUNT * BLOCKS,
    firstBlock: 0,
    holdTimeSeconds: 90,
  });
  let startMs = 0;
  let startCpu = 0;
  const start = (command: SwarmCommand): void => {
    startMs = performance.now();
    startCpu = reflector.cpuSeconds();
    swarm.run(command);
  };
  // The time that passes is of a machine that may do other things; the processor's is the daemon's own.
  const report = async (what: string): Promise<void> => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(2);
    const cpu = (reflector.cpuSeconds() - startCpu).toFixed(2);
    const { now, peak } = reflector.memory();
    const delay = JSON.stringify((await reflector.summary()).loopDelayMs);
    t.comment(`${what}: ${seconds} s, processor ${cpu} s; memory ${now} MB, at most ${peak} MB; loop delay ${delay}`);
  };
  start('connect');
  await swarm.until('all sessions', ({ established }) => established === COUNT);
  await report('all sessions');
  for (const round of [1, 2]) {
    start('announce');
    await swarm.until('all blocks at all clients', ({ complete }) => complete === COUNT);
    await report(`${round}: ${COUNT * BLOCKS} blocks at ${COUNT} clients`);
    start('withdraw');
    await swarm.until('all withdrawals', ({ empty }) => empty === COUNT);
    await report(`${round}: withdrawn`);
  }
  const status = await swarm.status();
  t.same(
    { lost: status.lost, reasons: status.reasons, ownHeard: status.ownHeard },
    { lost: 0, reasons: [], ownHeard: 0 },
  );
  const summary = await reflector.summary();
  t.same(summary.peers, { configured: 0, dynamic: COUNT, established: COUNT });
  t.same(summary.warnings, []);
  for (const peer of await reflector.peers()) {
    if (peer.sessionsEstablished !== 1 || peer.malformedUpdates > 0) t.fail(`${peer.address}: ${JSON.stringify(peer)}`);
  }
  t.comment(
    `each client heard ${Math.round(status.updates / COUNT)} messages, ${Math.round(status.octets / COUNT)} octets`,
  );
});
