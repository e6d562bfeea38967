/** 500 sessions reset at once, three times: all recover, and nobody else misses a keepalive. */
import t from 'tap';
import { Reflector, Swarm } from './fixtures/swarm.js';

t.setTimeout(300_000);

const COUNT = 500;
const WITNESSES = 20;
const BLOCKS = 2;
const STORMS = 3;
/** The shortest there is (RFC 4271 §4.2): a keepalive that is 3 s late ends the session. */
const HOLD_SECONDS = 3;

t.test('a storm of resets', { timeout: 300_000 }, async (t) => {
  const reflector = await Reflector.start(t);
  const totalBlocks = (COUNT + WITNESSES) * BLOCKS;
  const common = { blocks: BLOCKS, totalBlocks };
  // A process of their own: their keepalives do not wait for the storm at its other end.
  const witnesses = Swarm.start(t, reflector, 100, {
    ...common,
    count: WITNESSES,
    firstBlock: COUNT * BLOCKS,
    holdTimeSeconds: HOLD_SECONDS,
  });
  const storm = Swarm.start(t, reflector, 0, { ...common, count: COUNT, firstBlock: 0, holdTimeSeconds: 90 });
  for (const [swarm, count] of [
    [witnesses, WITNESSES],
    [storm, COUNT],
  ] as const) {
    swarm.run('connect');
    await swarm.until('the sessions', ({ established }) => established === count);
    swarm.run('announce');
  }
  const everywhere = async (): Promise<void> => {
    await storm.until('all blocks at the many', ({ complete }) => complete === COUNT);
    await witnesses.until('all blocks at the witnesses', ({ complete }) => complete === WITNESSES);
  };
  await everywhere();

  for (let round = 1; round <= STORMS; round++) {
    const startMs = performance.now();
    // RST of all at once, and all dial again in the same moment.
    storm.run('reset');
    await storm.until('the sessions after the storm', ({ established }) => established === COUNT);
    await witnesses.until('their blocks to go', ({ held }) => held === WITNESSES * (WITNESSES - 1) * BLOCKS);
    storm.run('announce');
    await everywhere();
    t.comment(`storm ${round}: everything as before after ${((performance.now() - startMs) / 1000).toFixed(2)} s`);
  }
  const seen = await witnesses.status();
  t.match(seen, { lost: 0, reasons: [], ownHeard: 0, established: WITNESSES }, 'no witness lost its session');
  t.ok(seen.longestSilenceMs < HOLD_SECONDS * 1000, `longest silence ${seen.longestSilenceMs} ms`);
  const after = await storm.status();
  t.match(after, { lost: 0, ownHeard: 0 }, 'no session was lost but by the storm');
  const { peers, warnings, loopDelayMs } = await reflector.summary();
  t.same(peers, { configured: 0, dynamic: COUNT + WITNESSES, established: COUNT + WITNESSES });
  t.same(warnings, []);
  t.comment(`loop delay ${JSON.stringify(loopDelayMs)}, memory ${JSON.stringify(reflector.memory())}`);
  for (const peer of await reflector.peers()) {
    if (peer.holdTimeSeconds === HOLD_SECONDS && peer.sessionsEstablished !== 1) t.fail(`${peer.address} came anew`);
  }
});
