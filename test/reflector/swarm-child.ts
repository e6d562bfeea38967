/**
 * Many clients in one process, as cheap as they can be: a program of its own, driven over IPC by `swarm.ts`. Every
 * client is a raw socket with an address of its own in 127/8, announces some blocks of 10/8, and counts what it hears.
 */
import * as net from 'node:net';

export interface SwarmOptions {
  readonly host: string;
  readonly port: number;
  /** Clients get `A.B.C.D` from here on: 127.x.0.1, … */
  readonly base: string;
  readonly count: number;
  readonly blocks: number;
  /** Blocks of all swarms together; those of this one start at `firstBlock`. */
  readonly totalBlocks: number;
  readonly firstBlock: number;
  readonly holdTimeSeconds: number;
}

export type SwarmCommand = 'connect' | 'announce' | 'withdraw' | 'reset';

export interface SwarmStatus {
  /** Sessions that are up now (our KEEPALIVE was answered). */
  readonly established: number;
  /** Connections that ended although nobody here wanted it. */
  readonly lost: number;
  readonly reasons: readonly string[];
  /** Clients that hold the blocks of everybody else. */
  readonly complete: number;
  readonly empty: number;
  /** Blocks that the clients hold, all together. */
  readonly held: number;
  /** Times that any client was told a block of its own. */
  readonly ownHeard: number;
  readonly updates: number;
  readonly octets: number;
  /** Longest time that any Established session heard nothing, milliseconds. */
  readonly longestSilenceMs: number;
}

const MARKER = Buffer.alloc(16, 0xff);

function message(type: number, body: readonly number[]): Buffer {
  const length = 19 + body.length;
  return Buffer.concat([MARKER, Buffer.from([length >> 8, length & 255, type, ...body])]);
}

const KEEPALIVE = message(4, []);
const quad = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

const receive = Buffer.alloc(256 * 1024);

class RawClient {
  socket: net.Socket | undefined;
  established = false;
  held = 0;
  ownHeard = 0;
  longestSilenceMs = 0;
  readonly #swarm: Swarm;
  readonly #number: number;
  readonly #holds: Uint8Array;
  #lastHeardMs = 0;
  #carry = Buffer.alloc(0);

  constructor(swarm: Swarm, number: number) {
    this.#swarm = swarm;
    this.#number = number;
    this.#holds = new Uint8Array(swarm.options.totalBlocks);
  }

  get #address(): number {
    const [a, b, c, d] = this.#swarm.options.base.split('.').map(Number) as [number, number, number, number];
    return (((a << 24) | (b << 16) | (c << 8) | d) + this.#number) >>> 0;
  }

  get #firstBlock(): number {
    const { firstBlock, blocks } = this.#swarm.options;
    return firstBlock + this.#number * blocks;
  }

  connect(): void {
    const { host, port, holdTimeSeconds } = this.#swarm.options;
    this.#holds.fill(0);
    this.held = 0;
    this.#carry = Buffer.alloc(0);
    const socket = net.connect({
      host,
      port,
      localAddress: quad(this.#address).join('.'),
      onread: {
        buffer: receive,
        callback: (length: number) => {
          if (this.socket === socket) this.#read(length);
          return true;
        },
      },
    });
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.#ended(socket, error.message));
    socket.on('close', () => this.#ended(socket, 'closed'));
    // Capabilities: multiprotocol IPv4, 4-octet AS 64512.
    const capabilities = [2, 14, 1, 4, 0, 1, 0, 1, 65, 4, ...quad(64512), 2, 0];
    socket.write(
      message(1, [
        4,
        0xfc,
        0x00,
        holdTimeSeconds >> 8,
        holdTimeSeconds & 255,
        ...quad(this.#address),
        16,
        ...capabilities,
      ]),
    );
    socket.write(KEEPALIVE);
  }

  announce(): void {
    const hop = [192, 0, 2 + (this.#number >> 8), this.#number & 255];
    const attributes = [0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, ...hop, 0x40, 5, 4, 0, 0, 0, 100];
    this.socket!.write(message(2, [0, 0, 0, attributes.length, ...attributes, ...this.#nlri()]));
  }

  withdraw(): void {
    const nlri = this.#nlri();
    this.socket!.write(message(2, [nlri.length >> 8, nlri.length & 255, ...nlri, 0, 0]));
  }

  /** RST, and again at once. */
  reset(): void {
    const { socket } = this;
    this.socket = undefined;
    this.established = false;
    socket?.resetAndDestroy();
    this.connect();
  }

  keepalive(nowMs: number): void {
    if (!this.established) return;
    this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - this.#lastHeardMs);
    this.socket!.write(KEEPALIVE);
  }

  #nlri(): number[] {
    const out: number[] = [];
    for (let k = 0; k < this.#swarm.options.blocks; k++) {
      const block = this.#firstBlock + k;
      out.push(24, 10, block >> 8, block & 255);
    }
    return out;
  }

  #ended(socket: net.Socket, reason: string): void {
    if (this.socket !== socket) return;
    this.socket = undefined;
    this.established = false;
    this.#swarm.lost(reason);
  }

  #read(length: number): void {
    const nowMs = performance.now();
    if (this.established) this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - this.#lastHeardMs);
    this.#lastHeardMs = nowMs;
    this.#swarm.octets += length;
    let bytes = receive.subarray(0, length);
    if (this.#carry.length > 0) bytes = Buffer.concat([this.#carry, bytes]);
    let at = 0;
    while (bytes.length - at >= 19) {
      const end = at + ((bytes[at + 16]! << 8) | bytes[at + 17]!);
      if (end > bytes.length) break;
      this.#message(bytes[at + 18]!, bytes, at + 19, end);
      at = end;
    }
    this.#carry = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0);
  }

  #message(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === 4) this.established = true;
    else if (type === 3) this.#swarm.reasons.add(`NOTIFICATION ${bytes[start]}/${bytes[start + 1]}`);
    if (type !== 2) return;
    this.#swarm.updates++;
    const withdrawn = start + 2 + ((bytes[start]! << 8) | bytes[start + 1]!);
    this.#prefixes(bytes, start + 2, withdrawn, 0);
    const attributes = withdrawn + 2 + ((bytes[withdrawn]! << 8) | bytes[withdrawn + 1]!);
    this.#prefixes(bytes, attributes, end, 1);
  }

  #prefixes(bytes: Buffer, start: number, end: number, value: 0 | 1): void {
    const holds = this.#holds;
    const own = this.#firstBlock;
    for (let at = start; at < end; at += 4) {
      if (bytes[at] !== 24) throw new Error(`a prefix of length ${bytes[at]}`);
      const block = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (value === 1 && block >= own && block < own + this.#swarm.options.blocks) this.ownHeard++;
      this.held += value - holds[block]!;
      holds[block] = value;
    }
  }
}

class Swarm {
  readonly options: SwarmOptions;
  readonly reasons = new Set<string>();
  updates = 0;
  octets = 0;
  readonly #clients: RawClient[];
  #lost = 0;

  constructor(options: SwarmOptions) {
    this.options = options;
    this.#clients = Array.from({ length: options.count }, (_, number) => new RawClient(this, number));
    const everyMs = (options.holdTimeSeconds * 1000) / 3;
    setInterval(() => {
      const nowMs = performance.now();
      for (const client of this.#clients) client.keepalive(nowMs);
    }, everyMs);
  }

  lost(reason: string): void {
    this.#lost++;
    this.reasons.add(reason);
  }

  run(command: SwarmCommand): void {
    for (const client of this.#clients) client[command]();
  }

  status(): SwarmStatus {
    const clients = this.#clients;
    const others = this.options.totalBlocks - this.options.blocks;
    return {
      established: clients.filter((client) => client.established).length,
      lost: this.#lost,
      reasons: [...this.reasons].slice(0, 10),
      complete: clients.filter((client) => client.held === others).length,
      held: clients.reduce((sum, client) => sum + client.held, 0),
      empty: clients.filter((client) => client.held === 0).length,
      ownHeard: clients.reduce((sum, client) => sum + client.ownHeard, 0),
      updates: this.updates,
      octets: this.octets,
      longestSilenceMs: Math.round(Math.max(0, ...clients.map((client) => client.longestSilenceMs))),
    };
  }
}

let swarm: Swarm | undefined;
process.on('message', (what: SwarmOptions | { run: SwarmCommand } | 'status') => {
  if (what === 'status') process.send!(swarm!.status());
  else if ('run' in what) swarm!.run(what.run);
  else swarm = new Swarm(what);
});
process.on('disconnect', () => process.exit(0));
