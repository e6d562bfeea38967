/**
 * Where connections come in: the listeners, and the registry that says whose a connection is. A connection of an
 * unknown address is offered to `onUnknown` (listen ranges); otherwise it is closed, counted, and logged now and then.
 *
 * Owns what all sessions share: the ticker (`timers`). Must not know more of a session than `AcceptingSession`.
 * RFC 4271 §8.1.4 (invalid connection requests never reach a state machine), RFC 4486 (Connection Rejected).
 */
import * as net from 'node:net';
import { CeaseSubcode, NotificationCode, encodeNotification } from 'bgp-parse';
import type { AddressBytes } from 'bgp-parse';
import type { Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import { isLinkLocal, parseSocketAddress, peerKey, scopeOf } from './address.js';
import { SessionTimers } from './session-timers.js';
import { closeSocket, familyOf, guardListenerTtl, prepareListener, setListenerPassword } from './sockopt.js';

/** What the server needs of a session; PeerSession implements it. */
export interface AcceptingSession {
  readonly address: AddressBytes;
  /** Its key in the registry, see `peerKey`. */
  readonly key: string;
  readonly dynamic: boolean;
  readonly password: string | undefined;
  /** RFC 5082: both ends send with TTL 255. */
  readonly ttlSecurity: boolean;
  readonly established: boolean;
  /** True until `start`, false after. */
  readonly stopped: boolean;
  start(): void;
  /** Takes the connection, or closes it: then with what people should know about it, if anything. */
  accept(socket: net.Socket, listenerFamily: 4 | 6): string | undefined;
}

export interface SessionServerOptions {
  /** Addresses to accept on; empty = never accept. */
  readonly listen: readonly string[];
  /** 0 = any free port (tests). */
  readonly port: number;
  /**
   * A session for an address that is not registered, registered or not; undefined = nobody, 'refused' = its owner has
   * said why it may not come.
   */
  readonly onUnknown?:
    | ((address: AddressBytes, interfaceName: string | undefined) => AcceptingSession | 'refused' | undefined)
    | undefined;
}

/** Why connections were closed at once. */
export interface RefusedConnections {
  /** Nobody is configured for the address. */
  readonly unknown: number;
  /** The listen range is full or shut down, or its peer is held down (prefixLimit) or disabled. */
  readonly listenRange: number;
  /** Too many dynamic peers are not Established. */
  readonly pending: number;
  /** `ttlSecurity` or `password` could not be enforced, or the TTL was too low. */
  readonly guard: number;
}

export interface SessionServerDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** Connections waiting for `accept`: a reflector that starts is dialled by all its clients at once, and a lost SYN costs 1 s. */
const BACKLOG = 4096;
/** Dynamic peers that have connected and are not Established: more are refused, so that strangers cannot fill memory. */
const PENDING_DYNAMIC = 1024;
/** Strangers that are told why, in a second: beyond, words would be work that anybody can make us do. */
const REJECTIONS_PER_SECOND = 100;
/** At most one line in the log per this time about refused connections. */
const REFUSAL_LOG_INTERVAL_MS = 10_000;

export class SessionServer {
  readonly timers: SessionTimers;
  /** Connections that were closed at once, by reason. */
  readonly refused: { -readonly [Reason in keyof RefusedConnections]: number } = {
    unknown: 0,
    listenRange: 0,
    pending: 0,
    guard: 0,
  };
  /** Most dynamic peers that have connected and are not Established. */
  pendingLimit = PENDING_DYNAMIC;
  /** How long a dynamic peer may take to say OPEN. */
  openHoldMs = 60_000;
  /** Messages that are read from a peer in a second; undefined = as many as come. */
  messageRate: number | undefined;
  #rejectionsSinceMs = -Infinity;
  #rejections = 0;
  #options: SessionServerOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sessions = new Map<string, AcceptingSession>();
  /** Keys of sessions whose password no listener took: nobody may come in for them. */
  readonly #keyless = new Set<string>();
  readonly #pendingDynamic = new Set<AcceptingSession>();
  readonly #passwords: { address: AddressBytes; prefixLength: number; password: string }[] = [];
  readonly #ttlRanges: AddressBytes[] = [];
  #listeners: { server: net.Server; family: 4 | 6 }[] = [];
  /** A listener that is being opened: it is guarded like the others before it listens. */
  #opening: { fd: number; family: 4 | 6 } | undefined;
  #lastRefusalLogMs = -Infinity;
  #refusedSinceLog = 0;
  #lastAttemptLogMs = -Infinity;
  #attemptsSinceLog = 0;

  constructor(options: SessionServerOptions, deps: SessionServerDeps) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.timers = new SessionTimers(deps.clock);
  }

  /** Opens all listeners, or none: rejects with the address, the port and what to do. */
  async start(): Promise<void> {
    try {
      for (const host of this.#options.listen) await this.#listen(host);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops accepting. Sessions go on. */
  async stop(): Promise<void> {
    const listeners = this.#listeners;
    this.#listeners = [];
    await Promise.all(listeners.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  }

  /** Other addresses or another port; sessions go on. Rejects when one cannot be opened: the old ones are back then. */
  async relisten(listen: readonly string[], port: number): Promise<void> {
    const before = this.#options;
    await this.stop();
    this.#options = { ...before, listen, port };
    try {
      await this.start();
    } catch (error) {
      this.#options = before;
      await this.start();
      throw error;
    }
  }

  /** Where it accepts now; the port is the real one when 0 was asked for. */
  get listening(): { readonly address: string; readonly port: number }[] {
    return this.#listeners.map(({ server }) => {
      const { address, port } = server.address() as net.AddressInfo;
      return { address, port };
    });
  }

  /** Connections from the session's address are its from now on. A second session of one address is a mistake. */
  register(session: AcceptingSession): void {
    const registered = this.#sessions.get(session.key);
    if (registered === session) return;
    if (registered) throw new Error(`peer ${session.key} has a session already`);
    this.#sessions.set(session.key, session);
    this.#guard(session);
  }

  unregister(session: AcceptingSession): void {
    if (this.#sessions.get(session.key) !== session) return;
    this.#sessions.delete(session.key);
    this.#pendingDynamic.delete(session);
    if (hasOwnKey(session) && !this.#keyless.delete(session.key)) {
      // A range of one address has its key in the same place of the kernel, and so has a peer with the same link-local
      // address on another link: without it the door would stand open.
      const { address } = session;
      const twin = isLinkLocal(address) ? this.#guardedTwin(session) : undefined;
      const range = this.#rangePassword(address, address.length * 8);
      this.#setPassword(address, undefined, twin?.password ?? range?.password);
    }
  }

  #guardedTwin({ address }: AcceptingSession): AcceptingSession | undefined {
    for (const other of this.#sessions.values()) {
      if (hasOwnKey(other) && Buffer.compare(other.address, address) === 0) return other;
    }
    return undefined;
  }

  session(key: string): AcceptingSession | undefined {
    return this.#sessions.get(key);
  }

  /** TCP MD5 for everyone from a prefix (listen ranges); undefined removes it. The key is replaced in one step. */
  setRangePassword(address: AddressBytes, prefixLength: number, password: string | undefined): void {
    const known = this.#rangePassword(address, prefixLength);
    if (known?.password === password) return;
    if (known) this.#passwords.splice(this.#passwords.indexOf(known), 1);
    if (password !== undefined) this.#passwords.push({ address, prefixLength, password });
    this.#setPassword(address, prefixLength, password);
    if (prefixLength < address.length * 8) return;
    for (const session of this.#sessions.values()) {
      if (hasOwnKey(session) && Buffer.compare(session.address, address) === 0) this.#guard(session);
    }
  }

  #rangePassword(address: AddressBytes, prefixLength: number) {
    return this.#passwords.find(
      (range) => range.prefixLength === prefixLength && Buffer.compare(range.address, address) === 0,
    );
  }

  /** GTSM for everyone from a prefix: its first packets are answered with TTL 255 already (RFC 5082). */
  raiseRangeTtl(address: AddressBytes): void {
    if (!this.#ttlRanges.some((known) => familyOf(known) === familyOf(address))) this.#ttlRanges.push(address);
    this.#guardTtl(address);
  }

  #guardTtl(address: AddressBytes): void {
    for (const { fd, family } of this.#listenersFor(address)) guardListenerTtl(fd, family);
  }

  async #listen(host: string): Promise<void> {
    const address = parseSocketAddress(host)!;
    const family = familyOf(address);
    // Paused: the handle moves to a socket of ours before anything is read (Connection.adopt).
    const server = net.createServer({ pauseOnConnect: true }, (socket) => this.accept(socket, family));
    // Port 0 means any free port, and the same one for every address.
    const port = this.#options.port === 0 ? (this.listening[0]?.port ?? 0) : this.#options.port;
    try {
      const fd = prepareListener(address, port, scopeOf(host));
      try {
        this.#guardOpening(fd, family);
      } catch (error) {
        closeSocket(fd);
        throw error;
      }
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ fd }, BACKLOG, resolve);
      });
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
    server.on('error', (error) => this.#log.error({ address: host, port, error: error.message }, 'listener failed'));
    this.#listeners.push({ server, family });
    // Who was registered meanwhile.
    for (const session of this.#sessions.values()) this.#guard(session);
  }

  /** Every key and TTL that a listener of the family has, on one that is not open yet. */
  #guardOpening(fd: number, family: 4 | 6): void {
    this.#opening = { fd, family };
    try {
      for (const address of this.#ttlRanges) this.#guardTtl(address);
      for (const session of this.#sessions.values()) this.#guard(session);
      for (const { address, prefixLength, password } of this.#passwords)
        this.#setPassword(address, prefixLength, password);
    } finally {
      this.#opening = undefined;
    }
  }

  /** A connection that a listener has taken: to the session with its address, or to nobody. */
  accept(socket: net.Socket, listenerFamily: 4 | 6): void {
    const text = socket.remoteAddress;
    const address = text === undefined ? undefined : parseSocketAddress(text);
    // Gone before we looked.
    if (text === undefined || !address) {
      socket.destroy();
      return;
    }
    socket.on('error', () => undefined);
    const interfaceName = scopeOf(text);
    const session =
      this.#sessions.get(peerKey(address, interfaceName)) ??
      this.#sessions.get(peerKey(address, undefined)) ??
      this.#dynamic(address, interfaceName);
    if (!session || session === 'refused' || this.#keyless.has(session.key)) {
      this.#refuse(socket, text, session);
      return;
    }
    const why = session.accept(socket, listenerFamily);
    if (why === undefined) return;
    this.refused.guard++;
    this.#logRefusal(text, why);
  }

  #dynamic(address: AddressBytes, interfaceName: string | undefined): AcceptingSession | 'refused' | undefined {
    if (!this.#options.onUnknown) return undefined;
    if (this.#pendingDynamic.size >= this.pendingLimit) {
      for (const pending of this.#pendingDynamic) {
        if (pending.established || pending.stopped) this.#pendingDynamic.delete(pending);
      }
      if (this.#pendingDynamic.size >= this.pendingLimit) return undefined;
    }
    const session = this.#options.onUnknown(address, interfaceName);
    if (!session || session === 'refused') return session;
    this.#pendingDynamic.add(session);
    this.register(session);
    if (session.stopped) session.start();
    return session;
  }

  #refuse(socket: net.Socket, address: string, session: AcceptingSession | 'refused' | undefined): void {
    const nowMs = this.#clock.nowMs();
    // RFC 4486 §4: say so, then go; no memory is kept for strangers.
    const rejected = {
      code: NotificationCode.cease,
      subcode: CeaseSubcode.connectionRejected,
      data: new Uint8Array(0),
    };
    if (nowMs - this.#rejectionsSinceMs >= 1000) {
      this.#rejectionsSinceMs = nowMs;
      this.#rejections = 0;
    }
    if (this.#rejections++ < REJECTIONS_PER_SECOND) {
      socket.end(encodeNotification(rejected), () => socket.destroy());
    } else socket.destroy();
    if (session === 'refused') {
      this.refused.listenRange++;
    } else if (session) {
      this.refused.guard++;
      this.#logRefusal(address, 'the listener has no key for this peer');
    } else if (this.#pendingDynamic.size >= this.pendingLimit) {
      this.refused.pending++;
      const text = `${this.pendingLimit} dynamic peers are not Established yet (limits.pendingSessions)`;
      this.#logRefusal(address, text);
    } else {
      this.refused.unknown++;
      this.#logRefusal(address, 'no peer is configured for the address');
    }
  }

  #logRefusal(address: string, why: string): void {
    this.#refusedSinceLog++;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastRefusalLogMs < REFUSAL_LOG_INTERVAL_MS) return;
    this.#log.warn({ address, refused: this.#refusedSinceLog }, `connection refused: ${why}`);
    this.#lastRefusalLogMs = nowMs;
    this.#refusedSinceLog = 0;
  }

  /**
   * The attempt of a dynamic peer has ended before it was Established. Whoever is in a listen range can bring that about
   * as often as they like, and each time the peer is a new one.
   */
  dynamicAttemptEnded(fields: { readonly peer: string; readonly state: string; readonly reason: string }): void {
    this.#attemptsSinceLog++;
    const nowMs = this.#clock.nowMs();
    const due = nowMs - this.#lastAttemptLogMs >= REFUSAL_LOG_INTERVAL_MS;
    if (!due) {
      this.#log.debug(fields, 'connection attempt ended');
      return;
    }
    this.#log.info(
      { ...fields, attempts: this.#attemptsSinceLog },
      'connection attempts of dynamic peers ended, the last',
    );
    this.#lastAttemptLogMs = nowMs;
    this.#attemptsSinceLog = 0;
  }

  /** Dynamic peers that have connected and are not Established. */
  get pendingSessions(): number {
    let count = 0;
    for (const pending of this.#pendingDynamic) if (!pending.established && !pending.stopped) count++;
    return count;
  }

  #setPassword(address: AddressBytes, prefixLength: number | undefined, password: string | undefined): void {
    for (const { fd, family } of this.#listenersFor(address)) {
      setListenerPassword(fd, family, { address, prefixLength }, password);
    }
  }

  /** What the session asks of the listeners. A key that cannot be set shuts the door instead of leaving it open. */
  #guard(session: AcceptingSession): void {
    const { key, address, password, ttlSecurity } = session;
    try {
      if (ttlSecurity) this.#guardTtl(address);
      if (hasOwnKey(session)) this.#setPassword(address, undefined, password);
    } catch (error) {
      if (hasOwnKey(session)) this.#keyless.add(key);
      const text = error instanceof Error ? error.message : String(error);
      this.#log.error({ peer: key, error: text }, 'the listener cannot guard this peer: it may only be dialled');
    }
  }

  /** The listeners that can see the address: an IPv6-only one never sees IPv4. */
  #listenersFor(address: AddressBytes): { fd: number; family: 4 | 6 }[] {
    if (this.#opening) return this.#opening.family === familyOf(address) ? [this.#opening] : [];
    return this.#listeners.flatMap(({ server, family }) => {
      const fd = (server as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
      return fd >= 0 && familyOf(address) === family ? [{ fd, family }] : [];
    });
  }
}

/** Dynamic peers are signed with the key of their range; keys of their own would fill the listener's few. */
function hasOwnKey(session: AcceptingSession): boolean {
  return session.password !== undefined && !session.dynamic;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const where = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(`cannot listen on ${where}: another program (another BGP daemon?) has the port`, {
        cause: error,
      });
    case 'EACCES':
      return new Error(
        `cannot listen on ${where}: not permitted; run as root, give CAP_NET_BIND_SERVICE, or set another port`,
        {
          cause: error,
        },
      );
    case 'EADDRNOTAVAIL':
      return new Error(`cannot listen on ${where}: not an address of this host; correct \`listen\``, { cause: error });
    default:
      return new Error(`cannot listen on ${where}: ${error.message}`, { cause: error });
  }
}
