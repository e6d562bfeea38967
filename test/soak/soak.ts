/**
 * The soak: a daemon with a kernel of its own (a network namespace), dozens of scripted peers with 3 s hold time, and
 * everything that disturbs at once: churn, lost sessions, peers that stop reading, reloads, others' hands on the routes.
 * While it runs nobody may wait for a keepalive; in the end the RIB is what the peers said, the kernel is what the RIB
 * says, and a freshly started daemon that is told the same tells its peers the same.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FibRowDto, RouteDto, SummaryDto } from '../../src/control/dto.js';
import { Random } from '../bench/load/random.js';
import { ask } from '../control/harness.js';
import { enterOwnNamespace, ip, ipBatch } from '../fib/fixtures/own-namespace.js';
import type { Sample } from './figures.js';
import type { MachineDelay } from './delay-child.js';
import type { HeapAnswer } from './heap-probe.js';
import { BFD_TIMERS } from './peers-child-settings.js';
import type { PeerPlan, PeersCommand, PeersStatus, Tables } from './peers-child.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const DAEMON = path('../../src/daemon.js');
const PROBE = path('./heap-probe.js');
const PEERS = path('./peers-child.js');
const DELAY = path('./delay-child.js');

const ASN = 64512;
const HOST = '10.98.255.1';
const PROTOCOL = 186;
const NET1_V6 = '2001:db8:99:2::fe/64';
/** A dynamic peer that is lost for longer would make room for another; ours come back. */
const WAIT_MS = 60_000;

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Seconds between two readings of the heap. */
  readonly heapEvery: number;
  readonly print: (text: string) => void;
}

export interface SoakResult {
  readonly peers: PeersStatus;
  readonly peerCount: number;
  readonly resident: readonly Sample[];
  /** Heap and what hangs on it, after a collection: of the main thread, and of the others together. */
  readonly heap: readonly Sample[];
  readonly otherHeaps: readonly Sample[];
  /** RSS without what V8 has taken for its heaps. */
  readonly uncommitted: readonly Sample[];
  readonly loopDelayMs: SummaryDto['loopDelayMs'];
  /** How late the machine ran a process without work. */
  readonly machineDelayMs: MachineDelay;
  /** The longest that the daemon waited for a processor in a few seconds, ms: what it said late for that is not its fault. */
  readonly starvedMs: number;
  readonly gracefulCount: number;
  readonly addPathCount: number;
  readonly bfdSessions: number;
  readonly reloads: number;
  readonly noise: number;
  readonly paths: number;
  readonly prefixes: number;
  readonly kernelRoutes: number;
  /** The daemon's log about sessions that were lost and nobody ended. */
  readonly said: readonly string[];
  /** Empty = as it should be. */
  readonly differences: { readonly received: string[]; readonly kernel: string[]; readonly fresh: string[] };
}

const MB = 1024 * 1024;
/** Of a second and more each: as many as a gap between two keepalives spans. */
const STARVED_SAMPLES = 3;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function plansOf(): PeerPlan[] {
  const plan = (
    kind: number,
    count: number,
    part: PeerPlan['part'],
    external: boolean,
    more: Partial<PeerPlan> = {},
  ): PeerPlan[] =>
    Array.from({ length: count }, (_, index) => ({
      address: `10.98.${kind}.${index + 1}`,
      asn: external ? 65000 + kind * 100 + index : ASN,
      external,
      part,
      ...more,
    }));
  return [
    ...plan(0, 6, 'witness', false, { bfd: true }),
    ...plan(1, 14, 'churner', false),
    ...plan(2, 5, 'slow', false),
    ...plan(3, 6, 'churner', false, { graceful: true }),
    ...plan(4, 4, 'churner', false, { addPath: true }),
    ...plan(10, 2, 'witness', true, { bfd: true }),
    ...plan(11, 7, 'churner', true),
  ];
}

/** Where each kind of peer comes from. */
const RANGES = [
  { prefix: '10.98.0.0/24', group: 'watched' },
  { prefix: '10.98.0.0/22', group: 'clients' },
  { prefix: '10.98.3.0/24', group: 'graceful' },
  { prefix: '10.98.4.0/24', group: 'multi' },
  { prefix: '10.98.8.0/21', group: 'outside' },
  { prefix: '10.98.10.0/24', group: 'quiet' },
];

/** What the peers are given; policies and `description` are what reloads change. */
function groupsOf(withBfd: boolean, inside: string, outside: string, description?: string): object {
  const common = { holdTime: 3, keepaliveTime: 1, gracefulRestart: false, addPath: { send: 'best', receive: false } };
  const client = { ...common, asn: ASN, routeReflectorClient: true, import: inside };
  const bfd = withBfd ? { bfd: { ...BFD_TIMERS, multihop: false } } : {};
  return {
    clients: { ...client, ...(description === undefined ? {} : { description }) },
    watched: { ...client, ...bfd },
    graceful: { ...client, gracefulRestart: { restartTime: 10 } },
    multi: { ...client, addPath: { send: 'all', receive: true } },
    outside: { ...common, asn: 'external', import: outside, export: 'accept' },
    // External witnesses are told nothing: they hear KEEPALIVEs alone, one a second.
    quiet: { ...common, ...bfd, asn: 'external', export: 'reject' },
  };
}

/** One daemon of the soak; `keys` are added to the configuration. */
class SoakDaemon {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #port: number;
  readonly #fib: boolean;

  constructor(directory: string, port: number, fib: boolean) {
    this.#directory = directory;
    this.#port = port;
    this.#fib = fib;
    this.configure({});
    const log = openSync(join(directory, `log-${port}`), 'a');
    const args = ['--expose-gc', '--import', PROBE, DAEMON, '--config', this.#file('yaml')];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async ready(): Promise<void> {
    const endMs = performance.now() + WAIT_MS;
    for (;;) {
      if (!this.running) throw new Error(`tortied has ended: ${this.log().slice(-2000)}`);
      try {
        await this.get('/v1/summary');
        return;
      } catch (error) {
        if (performance.now() > endMs) throw error;
        await sleep(20);
      }
    }
  }

  configure(keys: object): void {
    const settings = {
      asn: ASN,
      routerId: HOST,
      listen: [HOST],
      port: this.#port,
      networks: [{ prefix: '192.168.1.0/24' }, { prefix: '2001:db8:168::/64' }],
      groups: groupsOf(this.#fib, 'accept', 'accept'),
      listenRanges: RANGES,
      fib: { enabled: this.#fib },
      control: { socket: this.#file('sock') },
      log: { level: 'warn' },
      ...keys,
    };
    writeFileSync(this.#file('next'), JSON.stringify(settings));
    renameSync(this.#file('next'), this.#file('yaml'));
  }

  hangUp(): void {
    this.#child.kill('SIGHUP');
  }

  async reload(): Promise<void> {
    const { status, text } = await ask({ socketPath: this.#file('sock') }, '/v1/reload', 'POST');
    if (status !== 200) throw new Error(`reload: ${text}`);
  }

  async get<T>(what: string): Promise<T> {
    const { status, text } = await ask({ socketPath: this.#file('sock') }, what);
    if (status !== 200) throw new Error(`${what}: ${text}`);
    return JSON.parse(text) as T;
  }

  async command(address: string, command: string): Promise<void> {
    await ask({ socketPath: this.#file('sock') }, `/v1/peers/${address}/${command}`, 'POST');
  }

  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  /** How long its main thread has waited for a processor so far, ms. */
  waitedMs(): number {
    const { pid } = this.#child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  }

  async heap(): Promise<HeapAnswer> {
    const answered = once(this.#child, 'message');
    this.#child.send('heap');
    const [answer] = (await answered) as [HeapAnswer];
    return answer;
  }

  log(): string {
    return readFileSync(join(this.#directory, `log-${this.#port}`), 'utf8');
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  #file(ending: string): string {
    return join(this.#directory, `tortie-${this.#port}.${ending}`);
  }
}

/** Changes that a reload brings, none of which may end a session. */
function variant(random: Random): object {
  const pick = random.below(8);
  return {
    networks: Array.from({ length: 1 + random.below(20) }, (_, index) => ({ prefix: `192.168.${index + 1}.0/24` })),
    policies: {
      tune: {
        statements: [
          { match: { community: `${ASN}:${random.below(4)}` }, set: { localPref: 50 + random.below(200) } },
          {
            match: { prefix: [`10.${32 + random.below(3)}.0.0/16 le 32`, '2001:db8:32:100::/56 le 64'] },
            then: pick === 0 ? 'reject' : 'accept',
          },
        ],
        default: 'accept',
      },
    },
    groups: groupsOf(
      true,
      pick < 4 ? 'tune' : 'accept',
      pick % 2 === 0 ? 'tune' : 'accept',
      `round ${random.below(1000)}`,
    ),
    peers: pick === 3 ? [] : [{ address: '10.98.7.7', asn: ASN, passive: true, description: 'nobody' }],
    multipath: { ebgp: 1 + random.below(2), ibgp: 1 + random.below(3) },
  };
}

/** Somebody else's hands on the kernel: routes deleted and replaced, links and addresses that come and go. */
function disturb(random: Random, number: number): void {
  const lines: string[] = [];
  const prefix = (): string => `10.${32 + random.below(3)}.${random.below(256)}.0/24`;
  for (let n = 0; n < 8; n++) lines.push(`route del ${prefix()} proto ${PROTOCOL}`);
  for (let n = 0; n < 2; n++) lines.push(`route replace ${prefix()} via 10.99.0.200 proto ${PROTOCOL} metric 20`);
  lines.push(`route replace ${prefix()} via 10.99.0.201 proto static metric 500`);
  const prefix6 = (): string => `2001:db8:32:${(16 + random.below(600)).toString(16)}::/64`;
  for (let n = 0; n < 4; n++) lines.push(`-6 route del ${prefix6()} proto ${PROTOCOL}`);
  lines.push(`-6 route replace ${prefix6()} via 2001:db8:99:1::200 proto ${PROTOCOL} metric 20`);
  // So that there is something left to install.
  if (number % 60 === 0) lines.push('route flush proto static');
  lines.push(`addr replace 172.31.${number & 63}.1/24 dev net0`, `addr del 172.31.${(number + 9) & 63}.1/24 dev net0`);
  // An interface that goes down loses its IPv6 addresses.
  if (number % 10 === 0) lines.push('link set net1 down', 'link set net1 up', `addr replace ${NET1_V6} dev net1 nodad`);
  if (number % 25 === 0) lines.push(`route flush proto ${PROTOCOL}`, `-6 route flush proto ${PROTOCOL}`);
  try {
    // What is not there cannot be deleted: -force goes on.
    ip(`-force -batch ${batchFile(lines)}`);
  } catch {
    // It says so with its exit code.
  }
}

let batch = '';
function batchFile(lines: readonly string[]): string {
  writeFileSync(batch, lines.join('\n') + '\n');
  return batch;
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { seconds, seed, print } = options;
  enterOwnNamespace();
  ipBatch([
    'link add net0 type veth peer name far0',
    'link add net1 type veth peer name far1',
    ...['net0', 'far0', 'net1', 'far1'].map((name) => `link set ${name} up`),
    'addr add 10.99.0.254/18 dev net0',
    'addr add 10.99.64.254/18 dev net1',
    'addr add 2001:db8:99:1::fe/64 dev net0 nodad',
    `addr add ${NET1_V6} dev net1 nodad`,
    'addr add 2001:db8:98::1/128 dev lo nodad',
    `addr add ${HOST}/32 dev lo`,
    ...plansOf().map(({ address }) => `addr add ${address}/32 dev lo`),
  ]);
  const directory = mkdtempSync(join(tmpdir(), `tortie-soak-${process.pid}-`));
  batch = join(directory, 'batch');
  const random = new Random(seed);
  const plans = plansOf();
  const daemons: SoakDaemon[] = [];
  // tap would load its process tracer into every program that is started here.
  delete process.env['NODE_OPTIONS'];
  const swarm = fork(PEERS, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const beside = fork(DELAY, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const askPeers = async <T>(run: 'status' | 'tables'): Promise<T> => {
    const answered = once(swarm, 'message');
    swarm.send({ run } satisfies PeersCommand);
    const [answer] = (await answered) as [T];
    return answer;
  };
  const established = async (): Promise<void> => {
    const endMs = performance.now() + WAIT_MS;
    for (;;) {
      const status = await askPeers<PeersStatus>('status');
      if (status.established === plans.length) return;
      if (performance.now() > endMs) throw new Error(`${status.established} of ${plans.length} sessions`);
      await sleep(50);
    }
  };
  try {
    const daemon = new SoakDaemon(directory, 179, true);
    daemons.push(daemon);
    await daemon.ready();
    swarm.send({
      start: { host: HOST, port: 179, ownAsn: ASN, plans, universe: 600, each: 80, seed },
    } satisfies PeersCommand);
    await established();
    swarm.send({ run: 'churn' } satisfies PeersCommand);
    print(`${plans.length} sessions are Established; ${seconds} s of disturbance`);

    const resident: Sample[] = [];
    const heap: Sample[] = [];
    const otherHeaps: Sample[] = [];
    const uncommitted: Sample[] = [];
    const waited: number[] = [];
    let reloads = 0;
    let noise = 0;
    let nextHeap = 0;
    let nextReload = 1;
    let nextWord = 60;
    const startMs = performance.now();
    for (;;) {
      const at = (performance.now() - startMs) / 1000;
      if (at >= seconds) break;
      if (!daemon.running) throw new Error(`tortied has ended: ${daemon.log().slice(-3000)}`);
      resident.push({ seconds: at, value: daemon.residentBytes() / MB });
      waited.push(daemon.waitedMs());
      disturb(random, noise++);
      if (at >= nextReload) {
        nextReload = at + 4;
        reloads++;
        daemon.configure(variant(random));
        daemon.hangUp();
        if (reloads % 4 === 0) await daemon.command(plans[8 + random.below(20)]!.address, 'refresh');
      }
      if (at >= nextHeap) {
        nextHeap = at + options.heapEvery;
        const { mainBytes, otherBytes, committedBytes } = await daemon.heap();
        heap.push({ seconds: at, value: mainBytes / MB });
        otherHeaps.push({ seconds: at, value: otherBytes / MB });
        uncommitted.push({ seconds: at, value: (daemon.residentBytes() - committedBytes) / MB });
      }
      if (at >= nextWord) {
        nextWord += 60;
        const { longestGapMs, resets, unexpected, starved } = await askPeers<PeersStatus>('status');
        const [memory, used] = [resident.at(-1)!.value, heap.at(-1)!.value];
        print(
          `${Math.round(at / 60)} min: RSS ${memory.toFixed(1)} MB, heap ${used.toFixed(1)} MB, longest gap ${longestGapMs} ms, ${resets} resets, ${unexpected.length} lost, ${starved} for want of a processor`,
        );
      }
      await sleep(1000);
    }

    swarm.send({ run: 'calm' } satisfies PeersCommand);
    // Over routes of others nothing is installed.
    ip('route flush proto static');
    // What was put in the place of ours is repaired; the last round may just have taken an address along.
    ip(`addr replace ${NET1_V6} dev net1 nodad`);
    daemon.configure({});
    await daemon.reload();
    await established();
    const peers = await askPeers<PeersStatus>('status');
    const delayed = once(beside, 'message');
    beside.send('delay');
    const [machineDelayMs] = (await delayed) as [MachineDelay];
    const told = await settledTables(() => askPeers<Tables[]>('tables'));
    const received = await untilSame(() => compareReceived(daemon, told));
    const kernel = await untilSame(() => compareKernel(daemon));
    const summary = await daemon.get<SummaryDto>('/v1/summary');
    const sum = (of: (family: SummaryDto['families'][number]) => number): number =>
      summary.families.reduce((total, family) => total + of(family), 0);
    const kernelRoutes = kernelTable().size;

    const fresh = new SoakDaemon(directory, 1179, false);
    daemons.push(fresh);
    await fresh.ready();
    swarm.send({ mirror: { port: 1179 } } satisfies PeersCommand);
    await established();
    const differences = await untilSame(async () => compareHeard(told, await askPeers<Tables[]>('tables')));
    return {
      peers,
      peerCount: plans.length,
      resident,
      heap,
      otherHeaps,
      uncommitted,
      loopDelayMs: summary.loopDelayMs,
      reloads,
      noise,
      machineDelayMs,
      starvedMs: Math.round(
        Math.max(0, ...waited.map((ms, index) => ms - waited[Math.max(0, index - STARVED_SAMPLES)]!)),
      ),
      gracefulCount: plans.filter(({ graceful }) => graceful).length,
      addPathCount: plans.filter(({ addPath }) => addPath).length,
      bfdSessions: plans.filter(({ bfd }) => bfd).length,
      paths: sum(({ paths }) => paths),
      prefixes: sum(({ prefixes }) => prefixes),
      kernelRoutes,
      differences: { received, kernel, fresh: differences },
      said: linesAbout(peers.unexpected, daemon.log()),
    };
  } finally {
    for (const daemon of daemons) await daemon.stop();
    swarm.kill('SIGKILL');
    beside.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What the daemon logged of the sessions that were lost and nobody ended. */
function linesAbout(lost: readonly string[], log: string): string[] {
  const addresses = lost.map((text) => text.split(' ')[0]!);
  return log.split('\n').filter((line) => addresses.some((address) => line.includes(`"${address}"`)));
}

/** Looks until nothing differs, or for as long as there is patience: what still differs then. */
async function untilSame(compare: () => Promise<string[]>): Promise<string[]> {
  const endMs = performance.now() + WAIT_MS / 2;
  for (;;) {
    // A peer that is just coming back is not there to be asked.
    const differences = await compare().catch((error: unknown) => [String(error)]);
    if (differences.length === 0 || performance.now() > endMs) return differences;
    await sleep(200);
  }
}

/** The peers' tables when they have not changed for a second. */
async function settledTables(read: () => Promise<Tables[]>): Promise<Tables[]> {
  const endMs = performance.now() + WAIT_MS;
  let last = '';
  for (;;) {
    const tables = await read();
    const text = JSON.stringify(tables.map(({ heard }) => [...heard].sort()));
    if (text === last || performance.now() > endMs) return tables;
    last = text;
    await sleep(1000);
  }
}

/** Adj-RIB-In of every peer against what the peer says it has said. */
async function compareReceived(daemon: SoakDaemon, tables: readonly Tables[]): Promise<string[]> {
  const out: string[] = [];
  for (const { address, external, said } of tables) {
    const rows = await daemon.get<RouteDto[]>(`/v1/routes?peer=${address}&direction=received`);
    const is = rows.map((row) =>
      [
        `${row.prefix}#${row.pathId ?? ''}`,
        row.nextHop,
        external ? '' : row.localPref,
        row.med ?? '',
        row.asPath.join(' '),
        row.communities,
      ].join('|'),
    );
    const should = said.map((route) =>
      [
        `${route.prefix}#${route.pathId ?? ''}`,
        route.nextHop,
        external ? '' : route.localPref,
        route.med ?? '',
        route.asPath.join(' '),
        `${route.community >>> 16}:${route.community & 0xffff}`,
      ].join('|'),
    );
    out.push(...difference(should, is).map((text) => `${address} ${text}`));
  }
  return out;
}

/** The daemon's FIB rows against what the kernel has of its protocol: there is neither more nor less. */
async function compareKernel(daemon: SoakDaemon): Promise<string[]> {
  const rows = await daemon.get<FibRowDto[]>('/v1/fib');
  const should = rows.map(
    ({ prefix, nextHops }) =>
      `${prefix} ${nextHops
        .map(({ via }) => via)
        .sort()
        .join(',')}`,
  );
  const is = [...kernelTable()].map(([prefix, via]) => `${prefix} ${via}`);
  const summary = await daemon.get<SummaryDto>('/v1/summary');
  const { pending, failed } = summary.fib;
  return [...difference(should, is), ...(pending + failed > 0 ? [`${pending} pending, ${failed} failed`] : [])];
}

interface KernelRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly nexthops?: readonly { readonly gateway?: string | undefined; readonly weight: number }[];
}

/** Prefix → gateways of the kernel's routes of our protocol. */
function kernelTable(): Map<string, string> {
  const rows = [`-j route show proto ${PROTOCOL}`, `-6 -j route show proto ${PROTOCOL}`].flatMap((what) => {
    const text = ip(what);
    return JSON.parse(text.trim() === '' ? '[]' : text) as KernelRoute[];
  });
  return new Map(
    rows.map(({ dst, gateway, nexthops }) => [
      dst,
      inUse(nexthops ?? [{ gateway, weight: 1 }])
        .map((hop) => hop.gateway)
        .sort()
        .join(','),
    ]),
  );
}

/** Beside one of weight 256, a next hop of weight 1 only stands by (docs/kernel.md). */
function inUse<T extends { readonly weight: number }>(hops: readonly T[]): readonly T[] {
  return hops.some(({ weight }) => weight === 256) ? hops.filter(({ weight }) => weight > 1) : hops;
}

/** What each peer had heard of the old daemon against what it hears of the new one, attributes octet for octet. */
function compareHeard(before: readonly Tables[], after: readonly Tables[]): string[] {
  return before.flatMap(({ address, heard }, index) =>
    difference(heard, after[index]!.heard).map((text) => `${address} ${text}`),
  );
}

function difference(should: readonly string[], is: readonly string[]): string[] {
  const [left, right] = [new Set(should), new Set(is)];
  return [
    ...[...left].filter((row) => !right.has(row)).map((row) => `missing ${row}`),
    ...[...right].filter((row) => !left.has(row)).map((row) => `too much ${row}`),
  ];
}
