/** How much one TCP stream carries from container to container. */
import { spawn } from 'node:child_process';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.js';
import type { Container } from './network.js';

/** Received between the end of the warm-up and the end of the stream. */
export interface Throughput {
  readonly octets: number;
  readonly ms: number;
}

const PROGRAM = fileURLToPath(new URL('./throughput-child.js', import.meta.url));

/** Sends from one container to another for some seconds; resolves with what arrived, in Gbit/s. */
export async function throughput(from: Container, to: Container, address: string, seconds: number): Promise<number> {
  const sink = spawn('ip', ['netns', 'exec', to.namespace, execPath, PROGRAM, 'sink'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  let complaint = '';
  sink.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = new Promise<void>((resolve, reject) => sink.on('error', reject).on('close', () => resolve()));
  await Promise.race([
    new Promise<void>((resolve) =>
      sink.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.startsWith('ready\n')) resolve();
      }),
    ),
    ended,
  ]);
  try {
    const argv = ['netns', 'exec', from.namespace, execPath, PROGRAM, 'source', address, String(seconds)];
    await runCommand(['ip', ...argv]);
    await ended;
  } finally {
    sink.kill('SIGKILL');
  }
  const result = said.split('\n')[1];
  if (!result) throw new Error(`the throughput of ${address} could not be measured: ${complaint.trim()}`);
  const { octets, ms } = JSON.parse(result) as Throughput;
  return ms > 0 ? (octets * 8) / ms / 1e6 : 0;
}
