/**
 * Entry point of the lab's measuring programs, run inside a container's namespace by `probe.ts`.
 *
 *   witness            answers UDP datagrams with the source address it sees them coming from, until it is killed
 *   ping ADDRESS …     ICMP echo to each address, then asks the witness there; prints one `ProbeResult` a line
 *   stream ADDRESS     ICMP echo after ICMP echo until its input ends; prints one `StreamResult`
 *   send ADDRESS RATE  RATE datagrams a second until its input ends; prints how many
 *
 * A Debian without `ping` is enough. That the witness sees the container's own address is the proof that there is no
 * NAT on the way.
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { ping } from 'netlink';
import { systemClock } from '../support/clock.js';
import type { ProbeResult, StreamResult } from './probe.js';

const WITNESS_PORT = 7777;
const ATTEMPTS = 3;
const ATTEMPT_MS = 1000;
const DISCARD_PORT = 9;
/** After a pause of the machine: not so many that a queue on the way could be too short. */
const MOST_IN_A_BURST = 50;
const STREAM_INTERVAL_MS = 20;
/** Far above any delay here: only a lost packet has no answer by then. */
const STREAM_TIMEOUT_MS = 3000;

async function witness(): Promise<void> {
  const socket = await bindEveryFamily();
  socket.on('message', (_message, sender) => {
    const seen = sender.address.replace(/^::ffff:/, '');
    socket.send(seen, sender.port, sender.address);
  });
  process.stdout.write('ready\n');
}

/** Both families where the kernel has IPv6. */
function bindEveryFamily(): Promise<Socket> {
  const bound = (type: 'udp4' | 'udp6') =>
    new Promise<Socket>((resolve, reject) => {
      const socket = createSocket({ type });
      socket.once('error', reject);
      socket.bind(WITNESS_PORT, () => resolve(socket));
    });
  return bound('udp6').catch(() => bound('udp4'));
}

function askWitness(address: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    let attempts = 0;
    const end = (seen: string | null) => {
      cancel();
      socket.close();
      resolve(seen);
    };
    const send = () => {
      if (attempts++ === ATTEMPTS) end(null);
      else socket.send('who am I?', WITNESS_PORT, address, () => undefined);
    };
    const cancel = systemClock.every(ATTEMPT_MS, send);
    socket.on('error', () => undefined);
    socket.on('message', (message) => end(message.toString()));
    send();
  });
}

async function probe(address: string): Promise<ProbeResult> {
  const [reply] = await ping(address, { count: 1, timeoutMs: ATTEMPT_MS });
  if (!reply) return { address, reply: null, seenAs: null };
  return {
    address,
    reply: { from: reply.from, ttl: reply.ttl, rttMs: reply.rttMs },
    seenAs: await askWitness(address),
  };
}

async function stream(address: string): Promise<StreamResult> {
  let ended = false;
  process.stdin.on('end', () => (ended = true)).resume();
  let sent = 0;
  let answered = 0;
  const echo = async () => {
    sent++;
    const replies = await ping(address, { count: 1, timeoutMs: STREAM_TIMEOUT_MS });
    answered += replies.length;
  };
  const underway: Promise<void>[] = [];
  while (!ended) {
    underway.push(echo());
    await new Promise<void>((resolve) => systemClock.after(STREAM_INTERVAL_MS, resolve));
  }
  await Promise.all(underway);
  return { sent, answered };
}

/** To nobody: the kernel there counts what arrives, however busy the programs are. */
async function sendDatagrams(address: string, perSecond: number): Promise<number> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  let ended = false;
  process.stdin.on('end', () => (ended = true)).resume();
  process.stdout.write('sending\n');
  let sent = 0;
  const beganMs = systemClock.nowMs();
  while (!ended) {
    const due = ((systemClock.nowMs() - beganMs) * perSecond) / 1000;
    for (let burst = 0; sent < due && burst < MOST_IN_A_BURST; burst++, sent++) {
      socket.send('x', DISCARD_PORT, address, () => undefined);
    }
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
  }
  await new Promise<void>((resolve) => socket.close(resolve));
  return sent;
}

const [mode, ...addresses] = process.argv.slice(2);
if (mode === 'witness') {
  await witness();
} else if (mode === 'stream') {
  process.stdout.write(JSON.stringify(await stream(addresses[0]!)));
} else if (mode === 'send') {
  process.stdout.write(String(await sendDatagrams(addresses[0]!, Number(addresses[1]))));
} else {
  for (const address of addresses) process.stdout.write(JSON.stringify(await probe(address)) + '\n');
}
