/** A daemon without a descriptor to spare: whoever comes is turned away, nobody who is there notices, and it passes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { PeerDto } from '../../src/control/dto.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { ask } from '../control/harness.js';
import { RawPeer, rawOpen } from '../fixtures/raw-peer.js';
import { KEEPALIVE } from '../malformed/fixtures/compose.js';

const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));
const SPARE = 3;
const COMERS = 7;
/** The daemon reads the node's addresses, which takes a descriptor, no more often than each second. */
const APART_MS = 1100;
const needed = spawnSync('prlimit', ['--version']).error ? { skip: 'needs prlimit (package util-linux)' } : {};
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

t.test('EMFILE', needed, async (t) => {
  const directory = temporaryDirectory();
  t.teardown(() => directory.remove());
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  const socket = join(directory.path, 'c.sock');
  const file = join(directory.path, 'tortie.json');
  const config = {
    asn: 64513,
    routerId: '10.0.0.1',
    listen: ['127.0.0.1'],
    port,
    fib: { enabled: false },
    control: { socket },
    listenRanges: [{ prefix: '127.0.0.0/8', asn: 64512, import: 'accept', export: 'accept' }],
  };
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [DAEMON, '--config', file], { stdio: ['ignore', 'ignore', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  let established = -1;
  const look = async (): Promise<void> => {
    const answer = await ask({ socketPath: socket }, '/v1/peers').catch(() => undefined);
    const peers = answer?.status === 200 ? (JSON.parse(answer.text) as PeerDto[]) : undefined;
    if (peers) established = peers.filter(({ state }) => state === 'Established').length;
  };
  // One after the other: each question takes a descriptor of the daemon for a moment.
  const endMs = Date.now() + 60_000;
  const lookUntil = async (wanted: number): Promise<boolean> => {
    while (established !== wanted && child.exitCode === null && Date.now() < endMs) {
      await look();
      await sleep(20);
    }
    return established === wanted;
  };
  t.ok(await lookUntil(0), 'the daemon answers');
  const open = readdirSync(`/proc/${child.pid}/fd`).map(Number);
  // Some of its descriptors have high numbers: what counts is how many free ones are below the limit.
  let limit = 0;
  for (let free = 0; free < SPARE; limit++) if (!open.includes(limit)) free++;
  t.equal(spawnSync('prlimit', ['--pid', String(child.pid), `--nofile=${limit}:4096`]).status, 0);

  const peer = await RawPeer.listen('127.0.0.1');
  t.teardown(() => peer.close());
  const host = 10 + (process.pid % 200);
  const joins = async (n: number): Promise<boolean> => {
    try {
      const connection = await peer.dial('127.0.0.1', port, `127.${host}.0.${n + 1}`);
      connection.send(rawOpen({ identifier: 100 + n }), KEEPALIVE);
      return true;
    } catch {
      // Refused, or closed at once.
      return false;
    }
  };
  for (let n = 0; n < COMERS; n++) {
    await joins(n);
    await sleep(APART_MS);
  }
  t.equal(child.exitCode, null, 'it lives');
  const there = peer.connections.filter(({ closed }) => !closed);
  t.ok(there.length > 0 && there.length < COMERS, `${there.length} of ${COMERS} are there`);
  spawnSync('prlimit', ['--pid', String(child.pid), '--nofile=4096:4096']);
  t.ok(await joins(COMERS));
  t.ok(await lookUntil(there.length + 1), 'who comes afterwards is taken, and who was there still is');
});
