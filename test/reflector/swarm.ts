/** A tortied process that reflects between swarms of clients, all over loopback, and all ended with the test. */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '../../src/cli/client.js';
import type { PeerDto, SummaryDto } from '../../src/control/dto.js';
import type { SwarmCommand, SwarmOptions, SwarmStatus } from './swarm-child.js';

// tap would load its process tracer into every program that is started here.
delete process.env['NODE_OPTIONS'];

const DAEMON = fileURLToPath(new URL('../../src/daemon.js', import.meta.url));
const SWARM = fileURLToPath(new URL('./swarm-child.js', import.meta.url));
const OPEN_FILES = 20_000;

interface Test {
  teardown(run: () => Promise<void>): void;
  comment(text: string): void;
  passing(): boolean;
}

/** Resolves with the answer that satisfies; rejects after `limitMs` with the last one. */
export async function poll<T>(
  what: string,
  ask: () => Promise<T>,
  satisfies: (answer: T) => boolean,
  limitMs = 120_000,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (satisfies(answer)) return answer;
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** `127.X`, different for processes that run at the same time; X is 128..251. */
const network = `127.${128 + (process.pid % 124)}`;

export class Reflector {
  readonly address = `${network}.255.1`;
  readonly port: number;
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #client: Client;

  private constructor(port: number, directory: string, child: ChildProcess) {
    this.port = port;
    this.#directory = directory;
    this.#child = child;
    this.#client = new Client(join(directory, 'control.sock'));
  }

  static async start(t: Test, config: Readonly<Record<string, unknown>> = {}): Promise<Reflector> {
    const address = `${network}.255.1`;
    const port = await freePort(address);
    const directory = mkdtempSync(join(tmpdir(), `tortie-reflector-${process.pid}-`));
    const file = join(directory, 'tortie.yaml');
    const text = {
      asn: 64512,
      routerId: '10.0.0.1',
      listen: [address],
      port,
      fib: { enabled: false },
      listenRanges: [{ prefix: `${network}.0.0/16`, asn: 64512, routeReflectorClient: true }],
      control: { socket: join(directory, 'control.sock') },
      ...config,
    };
    writeFileSync(file, JSON.stringify(text));
    const log = openSync(join(directory, 'log'), 'a');
    const command = `ulimit -n ${OPEN_FILES}; exec "$0" "$@"`;
    const child = spawn('sh', ['-c', command, process.execPath, DAEMON, '--config', file], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const reflector = new Reflector(port, directory, child);
    t.teardown(() => reflector.#stop(t));
    const answers = async (): Promise<boolean> => {
      if (child.exitCode !== null)
        throw new Error(`tortied has ended: ${readFileSync(join(directory, 'log'), 'utf8')}`);
      return reflector.summary().then(
        () => true,
        () => false,
      );
    };
    await poll('the control socket', answers, (up) => up, 20_000);
    return reflector;
  }

  summary(): Promise<SummaryDto> {
    return this.#client.get<SummaryDto>('/v1/summary');
  }

  peers(): Promise<PeerDto[]> {
    return this.#client.get<PeerDto[]>('/v1/peers');
  }

  /** Now and at most, MB. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const value = (name: string): number =>
      Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
    return { now: value('VmRSS'), peak: value('VmHWM') };
  }

  /** Processor time of the daemon so far, in seconds. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    // utime and stime, in ticks of 10 ms.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async #stop(t: Test): Promise<void> {
    if (!t.passing()) {
      const lines = readFileSync(join(this.#directory, 'log'), 'utf8').trimEnd().split('\n');
      t.comment(`the last of ${lines.length} lines:\n${lines.slice(-10).join('\n')}`);
    }
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export class Swarm {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `place` 0..200: swarms of a reflector have addresses 127.X.PLACE.1 and on, 256 to a place. */
  static start(
    t: Test,
    reflector: Reflector,
    place: number,
    options: Omit<SwarmOptions, 'host' | 'port' | 'base'>,
  ): Swarm {
    const child = fork(SWARM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const swarm = new Swarm(child);
    t.teardown(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    child.send({ host: reflector.address, port: reflector.port, base: `${network}.${place}.1`, ...options });
    return swarm;
  }

  run(command: SwarmCommand): void {
    this.#child.send({ run: command });
  }

  async status(): Promise<SwarmStatus> {
    const answered = once(this.#child, 'message');
    this.#child.send('status');
    const [answer] = (await answered) as [SwarmStatus];
    return answer;
  }

  until(what: string, satisfies: (status: SwarmStatus) => boolean): Promise<SwarmStatus> {
    return poll(what, () => this.status(), satisfies);
  }
}

async function freePort(address: string): Promise<number> {
  const server = net.createServer().listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
