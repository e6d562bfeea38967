/** Measuring from inside a container: does the other one answer, with which TTL, and as whom does it see us. */
import { spawn } from 'node:child_process';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../support/clock.js';
import { runCommand } from './command.js';
import type { Container } from './network.js';

export interface ProbeResult {
  readonly address: string;
  /** null = no answer to the ICMP echo. */
  readonly reply: { readonly from: string; readonly ttl: number; readonly rttMs: number } | null;
  /** The source address the other end sees; null = its witness did not answer. */
  readonly seenAs: string | null;
}

/** So often in a row nothing more has come, at this interval: it does not come any more. */
const LOOKS = 20;
const LOOK_MS = 100;

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

export interface TrafficResult {
  readonly sent: number;
  /** By the count of the receiving kernel. */
  readonly arrived: number;
}

/** Datagrams from one container to another, `perSecond`, until `end()`, which tells how many were sent and arrived. */
export async function startTraffic(
  from: Container,
  to: Container,
  address: string,
  perSecond: number,
): Promise<{ end(): Promise<TrafficResult> }> {
  const before = await datagramsIn(to);
  const argv = ['netns', 'exec', from.namespace, execPath, PROGRAM, 'send', address, String(perSecond)];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
  child.stdin.on('error', () => undefined);
  const closed = new Promise<void>((resolve, reject) => child.on('error', reject).on('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    closed.then(() => reject(new Error(`traffic from ${from.name} ended before it began`)), reject);
  });
  return {
    async end() {
      child.stdin.end();
      await closed;
      const sent = Number(text.split('\n')[1]);
      // What is not lost may still lie in a queue of a busy kernel: until all is there, or nothing more has come for long.
      let arrived = -1;
      for (let looks = 0; looks < LOOKS && arrived < sent; looks++) {
        if (arrived >= 0) await new Promise<void>((resolve) => systemClock.after(LOOK_MS, resolve));
        const now = (await datagramsIn(to)) - before;
        if (now !== arrived) looks = 0;
        arrived = now;
      }
      return { sent, arrived };
    },
  };
}

/** Datagrams for any port, open or not, that the container's kernel has taken (`Udp:` of /proc/net/snmp). */
async function datagramsIn(container: Container): Promise<number> {
  const { stdout } = await runCommand(['ip', 'netns', 'exec', container.namespace, 'cat', '/proc/net/snmp']);
  const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Udp: '));
  const columns = names!.split(' ');
  const numbers = values!.split(' ').map(Number);
  const count = (name: string): number => numbers[columns.indexOf(name)] ?? 0;
  return count('InDatagrams') + count('NoPorts') + count('RcvbufErrors');
}
