/** Measuring from inside a container: does the other one answer, with which TTL, and as whom does it see us. */
import { spawn } from 'node:child_process';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.js';
import type { Container } from './network.js';

export interface ProbeResult {
  readonly address: string;
  /** null = no answer to the ICMP echo. */
  readonly reply: { readonly from: string; readonly ttl: number; readonly rttMs: number } | null;
  /** The source address the other end sees; null = its witness did not answer. */
  readonly seenAs: string | null;
}

const PROGRAM = fileURLToPath(new URL('./probe-child.js', import.meta.url));

/** Starts the container's witness; resolves when it answers. It ends with its namespace. */
export function startWitness(container: Container): Promise<void> {
  const argv = ['netns', 'exec', container.namespace, execPath, PROGRAM, 'witness'];
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  return new Promise((resolve, reject) => {
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.stdout.once('data', () => {
      // It lives on without us, also when the lab is left up.
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      resolve();
    });
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`the witness in ${container.name} ended: ${complaint.trim()}`)));
  });
}

/** Pings each address once and asks the witness there. No answer is a result, not an error. */
export async function probe(container: Container, addresses: readonly string[]): Promise<ProbeResult[]> {
  const { stdout } = await runCommand([
    ...['ip', 'netns', 'exec', container.namespace, execPath, PROGRAM, 'ping'],
    ...addresses,
  ]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ProbeResult);
}

export interface StreamResult {
  readonly sent: number;
  readonly answered: number;
}

/** Pings without pause (50 a second) until `end()`, which tells how many were sent and answered. */
export function startStream(container: Container, address: string): { end(): Promise<StreamResult> } {
  const argv = ['netns', 'exec', container.namespace, execPath, PROGRAM, 'stream', address];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  child.stdin.on('error', () => undefined);
  const closed = new Promise<void>((resolve, reject) => child.on('error', reject).on('close', () => resolve()));
  return {
    async end() {
      child.stdin.end();
      await closed;
      return JSON.parse(text) as StreamResult;
    },
  };
}
