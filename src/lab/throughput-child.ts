/**
 * Entry point of the lab's throughput generator, run inside a container's namespace by `throughput.ts`.
 *
 *   sink              takes one TCP connection and prints, when it ends, a `Throughput`
 *   source ADDRESS SECONDS   sends to the sink there as fast as it goes
 */
import { createConnection, createServer } from 'node:net';
import { systemClock } from '../support/clock.js';
import type { Throughput } from './throughput.js';

const SINK_PORT = 7778;
const CHUNK_OCTETS = 256 * 1024;
/** The first moments show how a connection begins, not what the path carries. */
const WARM_UP_MS = 300;

function sink(): void {
  const server = createServer((accepted) => {
    let octets = 0;
    let startMs = systemClock.nowMs() + WARM_UP_MS;
    let lastMs = startMs;
    accepted.on('data', (part: Buffer) => {
      lastMs = systemClock.nowMs();
      if (lastMs < startMs) return;
      if (octets === 0) startMs = lastMs;
      octets += part.length;
    });
    accepted.on('error', () => undefined);
    accepted.on('close', () => {
      const result: Throughput = { octets, ms: lastMs - startMs };
      process.stdout.write(`${JSON.stringify(result)}\n`);
      server.close();
    });
  });
  server.listen({ host: '::', port: SINK_PORT }, () => process.stdout.write('ready\n'));
}

function source(address: string, seconds: number): void {
  const chunk = Buffer.alloc(CHUNK_OCTETS);
  const socket = createConnection({ host: address, port: SINK_PORT });
  let ended = false;
  const send = (): void => {
    if (!ended) socket.write(chunk, send);
  };
  socket.on('connect', () => {
    send();
    systemClock.after(WARM_UP_MS + seconds * 1000, () => {
      ended = true;
      socket.destroy();
    });
  });
  socket.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}

const [mode, address = '', seconds = '2'] = process.argv.slice(2);
if (mode === 'sink') sink();
else source(address, Number(seconds));
