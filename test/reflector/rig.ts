/**
 * Reflectors in this process and scripted peers of theirs over loopback. Every reflector and every peer has an address
 * of its own in a part of 127/8 that follows from the process id, so runs beside each other do not meet. Reflectors
 * install nothing.
 */
import { once } from 'node:events';
import * as net from 'node:net';
import { encodeOpen, keepaliveMessage, parseIpv4Number } from 'bgp-parse';
import type { Capability } from 'bgp-parse';
import { Speaker, parseConfig, silentLog, systemClock } from '../../src/index.js';
import type { Clock, Log, PeerDto } from '../../src/index.js';
import { Heard } from './heard.js';
import { announce, endOfRib, withdraw } from './say.js';
import type { Saying } from './say.js';

const ASN = 64512;
/** Generous, for machines that do several things at once: a test that passes never waits so long. */
const PATIENCE_MS = 25_000;

/** Resolves when the condition holds; asks again every few milliseconds. */
export async function until(condition: () => boolean, what: string | (() => string)): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${typeof what === 'string' ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

interface Test {
  teardown(run: () => Promise<void>): void;
}

export interface ReflectorOptions {
  readonly address: string;
  /** Keys of the configuration beside asn, routerId, listen, port and fib. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly clock?: Clock;
  readonly log?: Log;
}

export interface Reflector {
  readonly speaker: Speaker;
  readonly address: string;
  readonly port: number;
  /** Other keys; the rest stays. */
  reconfigure(config: Readonly<Record<string, unknown>>): Promise<readonly string[]>;
  peer(address: string): PeerDto;
  /** Prefixes of the Loc-RIB. */
  best(): string[];
}

export interface PeerOptions {
  readonly address: string;
  readonly asn?: number;
  /** Default: the address. */
  readonly routerId?: string;
  /** Default 0: no keepalives are needed. */
  readonly holdTimeSeconds?: number;
  readonly capabilities?: readonly Capability[];
  /** Default true: says End-of-RIB of both families at once. */
  readonly endOfRib?: boolean;
}

const rigs = new Map<number, number>();

export class Rig {
  readonly #base: string;
  readonly #closers: (() => Promise<void>)[] = [];
  #ports = 0;

  constructor(t: Test) {
    // 127.64.0.0 to 127.127.255.255, one /24 for each rig of a process.
    const number = rigs.get(process.pid) ?? 0;
    rigs.set(process.pid, number + 1);
    const block = (process.pid * 8 + number) & 0x3fff;
    this.#base = `127.${64 + (block >> 8)}.${block & 255}`;
    t.teardown(() => this.close());
  }

  /** Address of this number, 1..254. */
  address(number: number): string {
    return `${this.#base}.${number}`;
  }

  /** A prefix that covers all addresses of the rig. */
  get range(): string {
    return `${this.#base}.0/24`;
  }

  async freePort(address: string): Promise<number> {
    const server = net.createServer().listen(0, address);
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    this.#ports++;
    return port;
  }

  /** A running reflector of AS 64512 whose router id is `10.0.0.N` of its address `….N`. */
  async reflector(options: ReflectorOptions & { readonly port?: number }): Promise<Reflector> {
    const { address } = options;
    const port = options.port ?? (await this.freePort(address));
    let current = options.config;
    const settings = (): ReturnType<typeof parseConfig> =>
      parseConfig(
        JSON.stringify({
          asn: ASN,
          routerId: `10.0.0.${address.split('.')[3]}`,
          listen: [address],
          port,
          fib: { enabled: false },
          ...current,
        }),
        'reflector',
      );
    const dependencies = { clock: options.clock ?? systemClock, log: options.log ?? silentLog };
    const speaker = new Speaker(await settings(), dependencies);
    await speaker.start();
    this.#closers.push(() => speaker.stop());
    return {
      speaker,
      address,
      port,
      async reconfigure(config) {
        current = { ...current, ...config };
        return speaker.apply(await settings());
      },
      peer: (peer) => speaker.peer(peer)!,
      best: () => [...speaker.routes({ best: true })!].map((route) => route.prefix).sort(),
    };
  }

  /** A scripted peer, Established at the reflector. */
  async peer(reflector: Reflector, options: PeerOptions): Promise<ScriptedPeer> {
    const peer = await this.dial(reflector, options);
    await until(
      () => reflector.speaker.peer(options.address)?.state === 'Established',
      () => `the session of ${options.address}: ${reflector.speaker.peer(options.address)?.lastError}`,
    );
    return peer;
  }

  /** The same, not waited for. */
  async dial(reflector: Reflector, options: PeerOptions): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(reflector, options);
    this.#closers.push(() => peer.close());
    await peer.connected();
    return peer;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

export class ScriptedPeer {
  readonly address: string;
  readonly heard = new Heard();
  closed = false;
  readonly #socket: net.Socket;
  readonly #keepalives: NodeJS.Timeout | undefined;

  constructor(reflector: Reflector, options: PeerOptions) {
    const { address, asn = ASN, routerId = address, holdTimeSeconds = 0 } = options;
    this.address = address;
    this.#socket = net.connect({ host: reflector.address, port: reflector.port, localAddress: address });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (data) => this.heard.push(data));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.closed = true;
      clearInterval(this.#keepalives);
    });
    const capabilities = options.capabilities ?? [
      { kind: 'multiprotocol', afi: 1, safi: 1 },
      { kind: 'multiprotocol', afi: 2, safi: 1 },
      { kind: 'routeRefresh' },
      { kind: 'fourOctetAs', asn },
    ];
    const identifier = parseIpv4Number(routerId)!;
    this.say(
      encodeOpen({ version: 4, asn: asn > 0xffff ? 23456 : asn, holdTimeSeconds, identifier, capabilities }),
      keepaliveMessage,
    );
    if (options.endOfRib ?? true) this.say(endOfRib(1), endOfRib(2));
    if (holdTimeSeconds > 0) {
      this.#keepalives = setInterval(() => this.say(keepaliveMessage), (holdTimeSeconds * 1000) / 3);
    }
  }

  async connected(): Promise<void> {
    await until(() => !this.#socket.connecting, `the connection of ${this.address}`);
  }

  say(...messages: Uint8Array[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(messages));
  }

  announce(prefixes: readonly string[], saying: Saying): void {
    this.say(announce(prefixes, saying));
  }

  withdraw(prefixes: readonly string[]): void {
    this.say(withdraw(prefixes));
  }

  /** Reads nothing any more: the kernel's buffers fill, then the window closes. */
  freeze(): void {
    this.#socket.pause();
  }

  thaw(): void {
    this.#socket.resume();
  }

  /** Resolves when everything of this connection that was sent before has been worked through by the reflector. */
  async until(condition: (heard: Heard) => boolean, what: string): Promise<void> {
    await until(
      () => condition(this.heard),
      () =>
        `${what} at ${this.address}; it has ${this.heard.routes.size} routes: ${[...this.heard.routes.keys()].slice(0, 8).join(' ')}`,
    );
  }

  /** Ends the connection without a word (RST when something is unread). */
  async close(): Promise<void> {
    clearInterval(this.#keepalives);
    this.#socket.destroy();
    if (!this.closed) await once(this.#socket, 'close');
  }
}

/** N prefixes of 10.A.0.0/16 as /24, from the first on. */
export function blocks(a: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.${a + (index >> 8)}.${index & 255}.0/24`);
}
