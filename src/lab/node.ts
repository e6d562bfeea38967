/**
 * A `tortied` on a host of the lab: its configuration, process, log and control socket, each in the network's own
 * directory. The daemon runs in a session of its own, so it outlives the lab when that is left up.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { systemClock } from '../support/clock.js';
import { CommandError, runCommand } from './command.js';
import { hidesNexthops, withNexthops, type KernelNexthop, type KernelRoute } from './kernel-routes.js';
import type { Host, Network } from './network.js';
import { giveAway, unprivilegedWrapper } from './unprivileged.js';
import { until, type Arrived } from './until.js';

const DAEMON = fileURLToPath(new URL('../daemon.js', import.meta.url));
/** The program file of `bgpctl`. */
export const CONTROL_PROGRAM = fileURLToPath(new URL('../bgpctl.js', import.meta.url));
const START_TIMEOUT_MS = 60_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A daemon that ended although nobody asked it to. */
export class DaemonEndedError extends Error {
  constructor(node: LabNode, exit: Exit) {
    super(`tortied on ${node.host.name} ended with ${exit.signal ?? `exit code ${exit.code}`} (log: ${node.logFile})`);
    this.name = 'DaemonEndedError';
  }
}

/** gateway undefined = no such route. */
export interface ExpectedRoute {
  readonly prefix: string;
  readonly gateway: string | undefined;
}

/** A configuration as an object, or as the text of a file; `control` is the lab's and may not be in it. */
export type NodeConfig = Readonly<Record<string, unknown>> | string;

export class LabNode {
  readonly host: Host;
  readonly configFile: string;
  readonly socket: string;
  readonly logFile: string;
  /** Put in front of the daemon's command line, inside the namespace. */
  wrapper: readonly string[] = [];
  readonly #network: Network;
  readonly #signal: AbortSignal | undefined;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;
  #ended: Exit | undefined;
  #stopping = false;

  private constructor(network: Network, host: Host, paths: readonly [string, string, string], signal?: AbortSignal) {
    this.#network = network;
    this.host = host;
    [this.configFile, this.socket, this.logFile] = paths;
    this.#signal = signal;
  }

  /** Prepares the files; `start` starts it. */
  static async create(network: Network, host: Host, config: NodeConfig, signal?: AbortSignal): Promise<LabNode> {
    const node = new LabNode(
      network,
      host,
      [
        await network.path(host.name, 'tortie.yaml'),
        await network.path(host.name, 'control.sock'),
        await network.path(host.name, 'tortied.log'),
      ],
      signal,
    );
    await node.configure(config);
    if (network.capabilities) {
      node.wrapper = unprivilegedWrapper(network.capabilities);
      await giveAway(node.configFile);
    }
    return node;
  }

  /** Writes the configuration file; a running daemon reads it at `reload`. */
  async configure(config: NodeConfig): Promise<void> {
    const text = typeof config === 'string' ? config.trimEnd() + '\n' : stringify(config);
    await writeFile(this.configFile, `${text}control: { socket: ${JSON.stringify(this.socket)} }\n`);
  }

  /** Starts the daemon and waits until it answers on its control socket. */
  async start(): Promise<void> {
    // A killed daemon leaves its socket behind; only another one says that the new daemon listens.
    const before = await identity(this.socket);
    const log = openSync(this.logFile, 'a');
    const program = [...this.wrapper, execPath, DAEMON, '--config', this.configFile];
    const argv = ['netns', 'exec', this.host.namespace, ...program];
    const child = spawn('ip', argv, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    child.unref();
    this.#child = child;
    this.#ended = undefined;
    this.#stopping = false;
    this.#exit = new Promise<Exit>((resolve) => {
      child.once('error', () => resolve({ code: null, signal: null }));
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    void this.#exit.then((exit) => {
      if (this.#child === child) this.#ended = exit;
    });
    await this.until(`the control socket of ${this.host.name}`, START_TIMEOUT_MS, async () => {
      const now = await identity(this.socket);
      return now !== undefined && now !== before && (await answers(this.socket)) ? true : undefined;
    });
  }

  /** Process id of the running daemon (`ip netns exec` becomes the program it runs). */
  get pid(): number | undefined {
    return this.#ended ? undefined : this.#child?.pid;
  }

  /** Sends a signal and, unless it only asks for a reload, waits for the end. */
  async stop(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' = 'SIGTERM'): Promise<Exit> {
    this.#stopping = true;
    this.#child?.ref();
    this.#child?.kill(signal);
    return (await this.#exit) ?? { code: null, signal: null };
  }

  reload(): void {
    this.#child?.kill('SIGHUP');
  }

  /** Resolves with stdout; rejects with a `CommandError` that holds the exit code. */
  async bgpctl(...argv: string[]): Promise<string> {
    return (await runCommand([execPath, CONTROL_PROGRAM, '--socket', this.socket, ...argv])).stdout;
  }

  /** `bgpctl --json …`, parsed. */
  async query<T>(...argv: string[]): Promise<T> {
    return JSON.parse(await this.bgpctl('--json', ...argv)) as T;
  }

  /** The main table of the host's kernel. */
  async kernelRoutes(family: 4 | 6 = 4): Promise<KernelRoute[]> {
    const ask = async (...argv: string[]): Promise<unknown> =>
      JSON.parse((await this.#network.ip(this.host.namespace, '-j', ...argv)) || '[]');
    const routes = (await ask(`-${family}`, 'route')) as KernelRoute[];
    return hidesNexthops(routes) ? withNexthops(routes, (await ask('nexthop')) as KernelNexthop[]) : routes;
  }

  /** Waits until the kernel's route to `prefix` goes via `gateway` (undefined: until there is none). */
  async untilRoute(prefix: string, gateway: string | undefined, timeoutMs: number): Promise<Arrived<true>> {
    return this.untilRoutes([{ prefix, gateway }], timeoutMs);
  }

  /** The same for several prefixes at once. */
  untilRoutes(expected: readonly ExpectedRoute[], timeoutMs: number): Promise<Arrived<true>> {
    const what = expected.map(({ prefix, gateway }) => (gateway ? `${prefix} via ${gateway}` : `no ${prefix}`));
    const families = ([4, 6] as const).filter((family) => expected.some(({ prefix }) => familyOf(prefix) === family));
    return this.until(`these routes on ${this.host.name}: ${what.join(', ')}`, timeoutMs, async () => {
      const routes = (await Promise.all(families.map((family) => this.kernelRoutes(family)))).flat();
      const arrived = expected.every(({ prefix, gateway }) => {
        const found = routes.filter((route) => route.dst === prefix);
        return gateway === undefined
          ? found.length === 0
          : found.length > 0 && found.every((r) => r.gateway === gateway);
      });
      return arrived ? true : undefined;
    });
  }

  /** Waits for a condition, and fails at once when the daemon ends meanwhile without having been told to. */
  until<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined>): Promise<Arrived<T>> {
    const guarded = async () => {
      if (this.#ended && !this.#stopping) throw new DaemonEndedError(this, this.#ended);
      return probe();
    };
    return until(guarded, { clock: systemClock, what, timeoutMs, signal: this.#signal });
  }

  /** The last lines of the log, for people. */
  async logTail(lines = 20): Promise<string> {
    const text = await readFile(this.logFile, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }
}

/** The exit code of a failed `bgpctl`; undefined = it could not be run. */
export function exitCodeOf(error: unknown): number | undefined {
  return error instanceof CommandError ? (error.exitCode ?? undefined) : undefined;
}

function familyOf(prefix: string): 4 | 6 {
  return prefix.includes(':') ? 6 : 4;
}

/** The socket is there before the daemon is: until then it says that it is starting. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    get({ socketPath, path: '/v1/summary' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

async function identity(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && `${found.ino}:${found.ctimeMs}`;
}
