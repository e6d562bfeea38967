/**
 * The peers of the soak, in a process of their own so that their keepalives and their measuring wait for nobody. Each
 * has an address of its own, knows what it has announced (the model) and what it has heard. Some only listen and take
 * the time, most churn and lose their session again and again, some stop reading for a while.
 */
import * as net from 'node:net';
import { setPriority } from 'node:os';
import { BfdState, parseAddress } from 'bgp-parse';
import { Bfd } from '../../src/bfd/bfd.js';
import type { BfdHandle } from '../../src/bfd/port.js';
import { systemClock } from '../../src/support/clock.js';
import { silentLog } from '../../src/support/log.js';
import { Heard } from '../reflector/fixtures/heard.js';
import { announce, endOfRib, u32, withdraw } from '../reflector/fixtures/say.js';
import { Random } from '../bench/load/random.js';
import { BFD_TIMERS, RESTART_SECONDS } from './peers-child-settings.js';

export const KEEPALIVE_MS = 1000;
export const HOLD_SECONDS = 3;

/** witness: is never disturbed. churner: announces, withdraws, resets. slow: a churner that stops reading at times. */
export type Part = 'witness' | 'churner' | 'slow';

export interface PeerPlan {
  readonly address: string;
  readonly asn: number;
  readonly external: boolean;
  readonly part: Part;
  /** Graceful restart with notifications (RFC 4724, RFC 8538): it comes back, mostly in time, and has kept forwarding. */
  readonly graceful?: true;
  /** Path identifiers both ways (RFC 7911). */
  readonly addPath?: true;
  /** A BFD session beside it. */
  readonly bfd?: true;
}

export interface PeersOptions {
  readonly host: string;
  readonly port: number;
  readonly ownAsn: number;
  readonly plans: readonly PeerPlan[];
  /** Number of different prefixes that the peers share. */
  readonly universe: number;
  /** How many of them each churner has on average. */
  readonly each: number;
  readonly seed: number;
}

/** One path that a peer announces. */
export interface ModelRoute {
  readonly prefix: string;
  readonly pathId: number | undefined;
  readonly nextHop: string;
  readonly localPref: number | undefined;
  readonly med: number | undefined;
  readonly asPath: readonly number[];
  readonly community: number;
}

export interface PeersStatus {
  readonly established: number;
  /** Sessions that nobody meant to end, with what was said. */
  readonly unexpected: readonly string[];
  /** Sessions that the daemon has ended with reason: this process was held up for so long that it said nothing for 3 s. */
  readonly starved: number;
  readonly resets: number;
  readonly pauses: number;
  readonly changes: number;
  readonly updatesHeard: number;
  readonly keepalivesHeard: number;
  /** Longest time between two messages of the speaker at a peer that was reading, ms, less what this process was late. */
  readonly longestGapMs: number;
  readonly gapsByPart: Readonly<Record<Part, number>>;
  /** How many gaps were longer than the keepalive time by half. */
  readonly lateKeepalives: number;
  /** How late this process itself was, ms. */
  readonly ownDelayMs: number;
  readonly bfdUp: number;
  /** How often a BFD session has left Up, as seen here. */
  readonly bfdFlaps: number;
}

export interface Tables {
  readonly address: string;
  readonly external: boolean;
  readonly said: readonly ModelRoute[];
  /** `prefix next-hop attributes` of what was heard. */
  readonly heard: readonly string[];
}

export type PeersCommand =
  | { readonly start: PeersOptions }
  | { readonly run: 'churn' | 'calm' | 'status' | 'tables' }
  /** Another set of peers with the same addresses that says the same, to another speaker. */
  | { readonly mirror: { readonly port: number } };

const TICK_MS = 100;
const FIRST_RESET_TICK = 5;
const FIRST_PAUSE_TICK = 10;
const STALL_TICK_MS = 10;
const CONNECT_EVERY_MS = 30;
/** Two KEEPALIVEs of 1 s fit into the hold time: with so much between them they do not. */
const STARVED_MS = 1800;
const STARVED_FOR_MS = 2000;
/** Hold Timer Expired. */
const HOLD_TIMER_EXPIRED = '0400';
/** A gap of the speaker's messages longer than this is a late keepalive. */
const LATE_MS = KEEPALIVE_MS * 1.5;

function message(type: number, body: readonly number[]): Uint8Array {
  const length = 19 + body.length;
  return Uint8Array.of(...new Array<number>(16).fill(0xff), length >> 8, length & 255, type, ...body);
}

const KEEPALIVE = message(4, []);

const keyOf = ({ prefix, pathId }: Pick<ModelRoute, 'prefix' | 'pathId'>): string => `${prefix}#${pathId ?? ''}`;

/** How long this process itself was held up so far: what it reads late was not sent late. */
class Stalls {
  #totalMs = 0;
  #lastMs = performance.now();
  worstMs = 0;
  /** When it was held up for long the last time. */
  #longMs = -Infinity;

  constructor() {
    setInterval(() => {
      const nowMs = performance.now();
      const overdueMs = this.#overdue(nowMs);
      this.#totalMs += overdueMs;
      this.worstMs = Math.max(this.worstMs, overdueMs);
      if (overdueMs >= STARVED_MS) {
        this.#longMs = nowMs;
        process.stdout.write(`the peers were held up for ${Math.round(overdueMs)} ms\n`);
      }
      this.#lastMs = nowMs;
    }, STALL_TICK_MS);
  }

  until(nowMs: number): number {
    return this.#totalMs + this.#overdue(nowMs);
  }

  /** It was held up just now for so long that the daemon must have missed its keepalives. */
  get isStarved(): boolean {
    const nowMs = performance.now();
    return this.#overdue(nowMs) >= STARVED_MS || nowMs - this.#longMs < STARVED_FOR_MS;
  }

  #overdue(nowMs: number): number {
    return Math.max(0, nowMs - this.#lastMs - 2 * STALL_TICK_MS);
  }
}

class SoakPeer {
  readonly plan: PeerPlan;
  readonly model: Map<string, ModelRoute>;
  heard: Heard;
  established = false;
  paused = false;
  longestGapMs = 0;
  late = 0;
  updates = 0;
  keepalives = 0;
  #socket: net.Socket | undefined;
  #lastHeardMs = 0;
  #stalledMs = 0;
  readonly #options: PeersOptions;
  readonly #port: number;
  readonly #lost: (text: string, starved: boolean) => void;
  readonly #stalls: Stalls;
  #counted = 0;

  constructor(
    plan: PeerPlan,
    options: PeersOptions,
    port: number,
    model: Map<string, ModelRoute>,
    stalls: Stalls,
    lost: (text: string, starved: boolean) => void,
  ) {
    this.#stalls = stalls;
    this.heard = new Heard(plan.addPath);
    this.plan = plan;
    this.#options = options;
    this.#port = port;
    this.model = model;
    this.#lost = lost;
  }

  connect(): void {
    const { plan } = this;
    this.heard = new Heard(plan.addPath);
    this.#counted = 0;
    const socket = net.connect({ host: this.#options.host, port: this.#port, localAddress: plan.address });
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data) => this.#read(socket, data));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#ended(socket));
    // Multiprotocol IPv4 and IPv6, route refresh, 4-octet AS; identifier = address.
    const capabilities = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0, 65, 4, ...u32(plan.asn)];
    // Restart state, N bit; both families, forwarding preserved.
    if (plan.graceful) capabilities.push(64, 10, 0xc0, RESTART_SECONDS, 0, 1, 1, 0x80, 0, 2, 1, 0x80);
    if (plan.addPath) capabilities.push(69, 8, 0, 1, 1, 3, 0, 2, 1, 3);
    const quad = plan.address.split('.').map(Number);
    const as2 = plan.asn > 0xffff ? 23456 : plan.asn;
    const parameters = [2, capabilities.length, ...capabilities];
    const open = [4, as2 >> 8, as2 & 255, 0, HOLD_SECONDS, ...quad, parameters.length, ...parameters];
    socket.write(message(1, open));
    socket.write(KEEPALIVE);
  }

  keepalive(): void {
    if (this.#socket?.writable) this.#socket.write(KEEPALIVE);
  }

  say(routes: readonly ModelRoute[]): void {
    if (!this.established) return;
    for (const route of routes) {
      const { prefix, pathId, nextHop, med, asPath, community } = route;
      this.#socket!.write(
        announce([prefix], {
          nextHop,
          pathId,
          asPath,
          communities: [community],
          ...(med === undefined ? {} : { med }),
          localPref: route.localPref ?? 100,
        }),
      );
    }
  }

  unsay(routes: readonly ModelRoute[]): void {
    if (!this.established) return;
    for (const { prefix, pathId } of routes) this.#socket!.write(withdraw([prefix], pathId));
  }

  /** Ends the session in one of the ways there are, and comes back after a while. */
  reset(way: number, awayMs: number): void {
    const socket = this.#socket;
    // It is away already.
    if (!socket) return;
    this.#socket = undefined;
    this.established = false;
    this.paused = false;
    if (socket?.writable) {
      // Cease, Administrative Reset; a message of a type that there is not; a malformed UPDATE; nothing but FIN.
      if (way === 1) socket.end(message(3, [6, 4]));
      else if (way === 2) socket.end(message(77, []));
      else if (way === 3) socket.end(message(2, [0xff, 0xff, 0, 0]));
      else if (way === 4) socket.end();
      else socket.resetAndDestroy();
      socket.resume();
    }
    setTimeout(() => this.connect(), awayMs);
  }

  pause(): void {
    this.paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #ended(socket: net.Socket): void {
    if (this.#socket !== socket) return;
    const said = this.heard.notifications.at(-1);
    if (this.established) {
      const text = `${this.plan.address} (${this.plan.part}): ${said === undefined ? 'closed' : `NOTIFICATION ${said}`}`;
      this.#lost(text, said === HOLD_TIMER_EXPIRED && this.#stalls.isStarved);
    }
    this.established = false;
    this.paused = false;
    // The speaker may wait a little after a session that was lost.
    setTimeout(() => {
      if (this.#socket === socket) this.connect();
    }, 250);
  }

  #read(socket: net.Socket, data: Uint8Array): void {
    if (this.#socket !== socket) return;
    const nowMs = performance.now();
    const stalledMs = this.#stalls.until(nowMs);
    if (this.paused) this.paused = false;
    else if (this.established) this.#gap(nowMs - this.#lastHeardMs - (stalledMs - this.#stalledMs));
    this.#lastHeardMs = nowMs;
    this.#stalledMs = stalledMs;
    this.heard.push(data);
    for (const event of this.heard.events.splice(0)) {
      if (event === 'keepalive') {
        this.keepalives++;
        if (!this.established) this.#up();
      }
    }
    this.updates += this.heard.updates - this.#counted;
    this.#counted = this.heard.updates;
  }

  #gap(ms: number): void {
    this.longestGapMs = Math.max(this.longestGapMs, ms);
    if (ms > LATE_MS) this.late++;
  }

  #up(): void {
    this.established = true;
    this.say([...this.model.values()]);
    this.#socket!.write(Buffer.concat([endOfRib(1), endOfRib(2)]));
  }
}

class Peers {
  readonly #options: PeersOptions;
  readonly #random: Random;
  readonly #unexpected: string[] = [];
  readonly #stalls = new Stalls();
  #peers: SoakPeer[];
  #resets = 0;
  #pauses = 0;
  #changes = 0;
  #ticks = 0;
  #churning = false;
  readonly #bfd: BfdHandle[];
  #bfdFlaps = 0;
  #starved = 0;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#peers = options.plans.map((plan) => this.#create(plan, options.port, new Map()));
    for (const peer of this.#peers) {
      if (peer.plan.part === 'witness') continue;
      for (let n = 0; n < options.each; n++) {
        const route = this.#route(peer.plan);
        peer.model.set(keyOf(route), route);
      }
    }
    this.#bfd = this.#openBfd(options);
    this.#connectAll();
    setInterval(() => {
      for (const peer of this.#peers) peer.keepalive();
    }, KEEPALIVE_MS);
    setInterval(() => {
      if (this.#churning) this.#tick();
    }, TICK_MS);
  }

  set churning(on: boolean) {
    if (on && !this.#churning) this.#begin();
    this.#churning = on;
    if (!on) for (const peer of this.#peers) peer.resume();
  }

  /** One after the other: all at once is too much for a process that has only just begun. */
  #connectAll(): void {
    this.#peers.forEach((peer, index) => setTimeout(() => peer.connect(), index * CONNECT_EVERY_MS));
  }

  /** What was seen while everything was still coming up does not count. */
  #begin(): void {
    this.#unexpected.length = 0;
    this.#stalls.worstMs = 0;
    this.#bfdFlaps = this.#starved = 0;
    for (const peer of this.#peers) peer.longestGapMs = peer.late = 0;
  }

  #openBfd({ plans, host }: PeersOptions): BfdHandle[] {
    const died = (error: Error): void => void this.#unexpected.push(error.message);
    const bfd = new Bfd({ died, busyThread: () => 0 }, silentLog, systemClock);
    return plans.flatMap(({ address, bfd: asked }) => {
      if (!asked) return [];
      const target = {
        address: parseAddress(host)!,
        localAddress: parseAddress(address)!,
        interface: undefined,
        multihop: false,
        minTtl: 255,
      };
      const handle = bfd.open(target, BFD_TIMERS, ({ before, state, remoteState }) => {
        // Without its BGP session a dynamic peer has no BFD: the daemon says AdminDown.
        if (before === BfdState.up && state !== BfdState.up && remoteState !== BfdState.adminDown) this.#bfdFlaps++;
      });
      return [handle];
    });
  }

  /** All say what they said, to another speaker, with new connections. */
  mirror(port: number): void {
    const before = this.#peers;
    for (const handle of this.#bfd.splice(0)) handle.close();
    for (const peer of before) peer.close();
    this.#peers = before.map(({ plan, model }) => this.#create(plan, port, model));
    this.#connectAll();
  }

  status(): PeersStatus {
    const peers = this.#peers;
    const sum = (of: (peer: SoakPeer) => number): number => peers.reduce((total, peer) => total + of(peer), 0);
    const worst = (part: Part): number =>
      Math.round(Math.max(0, ...peers.filter(({ plan }) => plan.part === part).map((peer) => peer.longestGapMs)));
    const gapsByPart = { witness: worst('witness'), churner: worst('churner'), slow: worst('slow') };
    return {
      established: sum((peer) => Number(peer.established)),
      unexpected: this.#unexpected.slice(0, 20),
      starved: this.#starved,
      resets: this.#resets,
      pauses: this.#pauses,
      changes: this.#changes,
      updatesHeard: sum((peer) => peer.updates),
      keepalivesHeard: sum((peer) => peer.keepalives),
      longestGapMs: Math.max(...Object.values(gapsByPart)),
      gapsByPart,
      lateKeepalives: sum((peer) => peer.late),
      ownDelayMs: Math.round(this.#stalls.worstMs),
      bfdUp: this.#bfd.filter(({ view }) => view.state === BfdState.up).length,
      bfdFlaps: this.#bfdFlaps,
    };
  }

  tables(): Tables[] {
    return this.#peers.map(({ plan, model, heard }) => ({
      address: plan.address,
      external: plan.external,
      said: [...model.values()],
      heard: [...heard.routes].map(
        ([prefix, { nextHop, attributes }]) =>
          // Path identifiers are each speaker's own.
          `${prefix.split('#')[0]} via ${nextHop} ${attributes.map(({ code, value }) => `${code}=${value}`).join(' ')}`,
      ),
    }));
  }

  #create(plan: PeerPlan, port: number, model: Map<string, ModelRoute>): SoakPeer {
    return new SoakPeer(plan, this.#options, port, model, this.#stalls, (text, starved) => {
      if (starved) this.#starved++;
      else this.#unexpected.push(text);
    });
  }

  #route(plan: PeerPlan): ModelRoute {
    const random = this.#random;
    const number = random.below(this.#options.universe);
    const isV6 = random.below(3) === 0;
    const [net, host] = [random.below(2), 1 + random.below(4)];
    // Few values each, so that all steps of the decision are reached.
    const tail = Array.from({ length: random.below(3) }, () => 64600 + random.below(2));
    return {
      prefix: isV6 ? `2001:db8:32:${(number + 16).toString(16)}::/64` : `10.${32 + (number >> 8)}.${number & 255}.0/24`,
      pathId: plan.addPath ? 1 + random.below(2) : undefined,
      nextHop: isV6 ? `2001:db8:99:${net + 1}::${host}` : `10.99.${net * 64}.${host}`,
      localPref: plan.external ? undefined : 100 + random.below(3),
      med: random.below(2) === 0 ? undefined : random.below(2),
      asPath: plan.external ? [plan.asn, ...tail] : tail,
      community: this.#options.ownAsn * 65536 + random.below(4),
    };
  }

  #tick(): void {
    const random = this.#random;
    const busy = this.#peers.filter(({ plan }) => plan.part !== 'witness');
    for (let n = 0; n < 4; n++) {
      const peer = busy[random.below(busy.length)]!;
      const count = 1 + random.below(12);
      this.#changes += count;
      const gone: ModelRoute[] = [];
      const said: ModelRoute[] = [];
      for (let k = 0; k < count; k++) {
        if (random.below(2) === 0 && peer.model.size > this.#options.each / 2) {
          const keys = [...peer.model.keys()];
          const key = keys[random.below(keys.length)]!;
          if (said.some((route) => keyOf(route) === key)) continue;
          gone.push(peer.model.get(key)!);
          peer.model.delete(key);
        } else {
          const route = this.#route(peer.plan);
          if (gone.some((other) => keyOf(other) === keyOf(route))) continue;
          peer.model.set(keyOf(route), route);
          said.push(route);
        }
      }
      peer.unsay(gone);
      peer.say(said);
    }
    // Now and then, and once at least.
    this.#ticks++;
    if (random.below(12) === 0 || this.#ticks === FIRST_RESET_TICK) {
      this.#resets++;
      const peer = busy[random.below(busy.length)]!;
      // Some of those that restart gracefully stay away for longer than they said.
      const awayMs = peer.plan.graceful ? random.below(1.5 * RESTART_SECONDS * 1000) : 20;
      peer.reset(random.below(6), awayMs);
    }
    if (random.below(15) === 0 || this.#ticks === FIRST_PAUSE_TICK) {
      const slow = busy.filter(({ plan, established, paused }) => plan.part === 'slow' && established && !paused);
      const peer = slow[random.below(slow.length)];
      if (peer !== undefined) {
        this.#pauses++;
        peer.pause();
        setTimeout(() => peer.resume(), 500 + random.below(8000));
      }
    }
  }
}

// They measure, and must say their own KEEPALIVEs in time: on a busy machine they go before the daemon.
setPriority(-10);
let peers: Peers | undefined;
process.on('message', (command: PeersCommand) => {
  if ('start' in command) peers = new Peers(command.start);
  else if ('mirror' in command) peers!.mirror(command.mirror.port);
  else if (command.run === 'status') process.send!(peers!.status());
  else if (command.run === 'tables') process.send!(peers!.tables());
  else peers!.churning = command.run === 'churn';
});
process.on('disconnect', () => process.exit(0));
