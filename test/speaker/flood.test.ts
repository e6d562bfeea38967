/**
 * Floods of connections, from one address and from thousands: whoever is Established hears and is heard meanwhile, the
 * log stays short, and everything is counted. SECURITY.md, limits.
 */
import { spawn } from 'node:child_process';
import { execPath } from 'node:process';
import t from 'tap';
import type { Log } from '../../src/index.js';
import { silentLog } from '../../src/index.js';
import { rawOpen } from '../fixtures/raw-peer.js';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { Reflector } from '../reflector/fixtures/rig.js';

t.setTimeout(300_000);

const HOLD_SECONDS = 3;

interface Flood {
  readonly count: number;
  /** Different source addresses. */
  readonly sources: number;
  /** Said on each connection, then its end; empty = nothing is said, and the connection is kept. */
  readonly words: Uint8Array;
}

/** A process of its own, that connects as fast as it can; resolves when the last connection is over (or kept). */
async function flood(reflector: Reflector, { count, sources, words }: Flood, held: (stop: () => void) => void) {
  // One /17 for each run of this test.
  const high = 128 + (process.pid % 127);
  const script = `
    const { connect } = require('node:net');
    const words = Buffer.from('${Buffer.from(words).toString('hex')}', 'hex');
    let [open, over, next] = [0, 0, 0];
    const kept = [];
    function more() {
      while (open < 1000 && next < ${count}) {
        const source = next++ % ${sources};
        open++;
        const localAddress = '127.${high}.' + (source >> 8) + '.' + (source & 255);
        const socket = connect({ host: '${reflector.address}', port: ${reflector.port}, localAddress });
        let ended = false;
        const end = () => {
          if (ended) return;
          ended = true;
          open--;
          if (++over === ${count}) console.log('over');
          more();
        };
        socket.on('error', () => undefined);
        socket.on('close', end);
        socket.on('data', () => undefined);
        socket.on('connect', () => {
          if (words.length > 0) socket.end(words);
          else if (${sources} > 1 && kept.push(socket)) socket.once('data', end);
        });
      }
    }
    more();
    setInterval(() => undefined, 1000);`;
  const child = spawn(execPath, ['-e', script], { env: {}, stdio: ['ignore', 'pipe', 'inherit'] });
  held(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (data) => (said += String(data)));
  await until(() => said.includes('over'), `the end of a flood of ${count}`);
}

const FLOODS: readonly (Flood & { name: string; ranged: boolean; check: (reflector: Reflector) => boolean })[] = [
  {
    name: 'one stranger, 5,000 connections',
    ...{ count: 5000, sources: 1, words: new Uint8Array(0), ranged: false },
    check: ({ speaker }) => speaker.summary().connections.refused.unknown === 5000,
  },
  {
    name: '5,000 strangers',
    ...{ count: 5000, sources: 5000, words: new Uint8Array(0), ranged: false },
    check: ({ speaker }) => speaker.summary().connections.refused.unknown === 5000,
  },
  {
    name: '3,000 of a listen range that say nothing',
    ...{ count: 3000, sources: 3000, words: new Uint8Array(0), ranged: true },
    check: ({ speaker }) => {
      const { refused, pending } = speaker.summary().connections;
      // Who came when there was room has it still.
      return refused.pending === 2000 && pending === 1000;
    },
  },
  {
    name: '2,000 of a listen range with an OPEN that is refused',
    ...{ count: 2000, sources: 2000, words: rawOpen({ asn: 7, capabilities: [] }), ranged: true },
    check: ({ speaker }) => speaker.summary().connections.pending === 0,
  },
];

for (const { name, ranged, check, ...what } of FLOODS) {
  t.test(name, async (t) => {
    const rig = new Rig(t);
    const lines: string[] = [];
    const keep = (_: object, message: string): void => void lines.push(message);
    const log: Log = { ...silentLog, info: keep, warn: keep, error: keep };
    const [speaks, hears] = [rig.address(2), rig.address(3)];
    const peers = [speaks, hears].map((address) => {
      return { address, asn: 64512, passive: true, routeReflectorClient: true, holdTime: HOLD_SECONDS };
    });
    const listenRanges = ranged ? [{ prefix: `127.${128 + (process.pid % 127)}.0.0/16`, asn: 64512 }] : [];
    const config = { peers, listenRanges, limits: { pendingSessions: 1000 } };
    const reflector = await rig.reflector({ address: rig.address(1), config, log });
    const one = await rig.peer(reflector, { address: speaks, holdTimeSeconds: HOLD_SECONDS });
    const two = await rig.peer(reflector, { address: hears, holdTimeSeconds: HOLD_SECONDS });
    const before = lines.length;
    const startMs = performance.now();
    let flooding = true;
    const flooded = flood(reflector, what, (stop) => t.teardown(stop)).finally(() => (flooding = false));
    let rounds = 0;
    let worstMs = 0;
    while (flooding) {
      const prefix = `10.${rounds >> 8}.${rounds & 255}.0/24`;
      const saidMs = performance.now();
      one.announce([prefix], { nextHop: '192.0.2.1' });
      await two.until((heard) => heard.routes.has(prefix), 'what is said during the flood');
      worstMs = Math.max(worstMs, performance.now() - saidMs);
      rounds++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await flooded;
    await until(
      () => check(reflector),
      () => `the counters: ${JSON.stringify(reflector.speaker.summary().connections)}`,
    );
    for (const address of [speaks, hears]) {
      t.match(reflector.peer(address), { state: 'Established', sessionsEstablished: 1 }, 'the session has stayed');
    }
    const seconds = (performance.now() - startMs) / 1000;
    t.comment(`${seconds.toFixed(1)} s, ${rounds} routes passed on meanwhile, the slowest in ${worstMs.toFixed(0)} ms`);
    // Of each kind one in ten seconds.
    t.ok(lines.length - before <= 3 * (1 + seconds / 10), `${lines.length - before} lines in the log`);
  });
}
