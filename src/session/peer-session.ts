/**
 * One peer's session: starts and restarts attempts, settles collisions between two of them, and is the sink and source
 * of the speaker. All times between attempts (IdleHoldTimer, ConnectRetryTimer) come from
 * `RestartPolicy`.
 *
 * Invariants: there is always a primary attempt; a secondary exists only while two connections collide, or while a
 * restarted peer knocks at an Established session; at most one attempt is Established; `down` follows every
 * `established`. RFC 4271 §6.8 and §8, RFC 4724 §5, RFC 5492 §3, RFC 9003.
 */
import type * as net from 'node:net';
import {
  CeaseSubcode,
  NotificationCode,
  RouteRefreshSubtype,
  describeNotification,
  encodeRouteRefresh,
  findCapability,
  formatAddress,
  parseAddress,
  shutdownData,
} from 'bgp-parse';
import type { AddressBytes, BgpError, Family, OpenMessage } from 'bgp-parse';
import type { PeerOptions } from '../config/settings.js';
import type { Cancel, Clock } from '../support/clock.js';
import type { Log } from '../support/log.js';
import type { TcpMd5Counters } from '../support/tcp-md5.js';
import { bareAddress, isLinkLocal, peerKey } from './address.js';
import { Attempt } from './attempt.js';
import type { AttemptOwner, Ending, MessageCounters } from './attempt.js';
import { collide, preferredInitiator } from './collision.js';
import { Connection, acceptedFd } from './connection.js';
import type { Md5Watch } from './md5-watch.js';
import { negotiate } from './negotiate.js';
import { checkOpen } from './open-check.js';
import { OfferLevel, offerOpen } from './open-offer.js';
import { RestartPolicy } from './restart-policy.js';
import type { AcceptingSession, SessionServer } from './session-server.js';
import type { SessionTimers } from './session-timers.js';
import { applyToAccepted, prepareDial, ttlOptions } from './sockopt.js';
import type { SocketOptions } from './sockopt.js';
import type { DownReason, Negotiated, SessionListener, SessionSink, SessionState } from './types.js';

export interface PeerSessionOptions {
  readonly peer: PeerOptions;
  readonly address: AddressBytes;
  readonly localAsn: number;
  /** Our BGP identifier, unsigned 32-bit. */
  readonly routerId: number;
  /** RFC 4724: whether we are within our own restart (the Restart State bit of the OPEN). */
  readonly restarting: () => boolean;
  /** RFC 4724: families whose routes still forward in the kernel (the Forwarding State bit). Default: none. */
  readonly forwardingPreserved?: (() => readonly Family[]) | undefined;
  /** Made for a connection that came in (listen range): never dials, and `ended` is called when it has no more. */
  readonly dynamic: boolean;
  /** Dynamic sessions only: the last connection has gone (after `down`, if it was established). */
  readonly ended?: ((session: PeerSession) => void) | undefined;
}

export interface PeerSessionDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** [0, 1), for jitter. */
  readonly random: () => number;
  readonly server: SessionServer;
  /** Absent = nothing is known of dropped segments. */
  readonly md5?: Md5Watch | undefined;
  /** Shared by all connections of the process; 256 KiB is a good size. */
  readonly receiveBuffer: Uint8Array;
}

const NO_DATA = new Uint8Array(0);
/** RFC 4271 §8.2.2: "a large value", how long to wait for the peer's OPEN. */
const OPEN_HOLD_MS = 240_000;
/** Never sent: there is no connection. */
const NO_WORD = { code: 0, subcode: 0, data: NO_DATA };

export class PeerSession implements SessionSink, AcceptingSession, AttemptOwner {
  readonly address: AddressBytes;
  readonly key: string;
  readonly dynamic: boolean;
  passive: boolean;
  readonly counters: MessageCounters = {
    messagesIn: 0,
    messagesOut: 0,
    updatesIn: 0,
    updatesOut: 0,
    notificationsIn: 0,
    notificationsOut: 0,
    sessionsEstablished: 0,
    pauses: 0,
  };
  /** What ended the last session or attempt, one line; undefined = nothing so far. */
  lastError: string | undefined;
  /** Why the last Established session ended. */
  #sessionEnd: string | undefined;
  readonly clock: Clock;
  readonly timers: SessionTimers;
  readonly random: () => number;
  #options: PeerSessionOptions;
  readonly #listener: SessionListener;
  readonly #deps: PeerSessionDeps;
  #policy: RestartPolicy;
  readonly #socketOptions: SocketOptions;
  #primary: Attempt;
  #secondary: Attempt | undefined;
  #active: Attempt | undefined;
  #adminUp = false;
  /** In Idle: the wait is no punishment, so a connection of the peer ends it. */
  #idleAccepts = false;
  /** After its end the session stays Idle until `holdDown(false)`. */
  #heldDown = false;
  #cancelIdleHold: Cancel | undefined;
  /** What the kernel had dropped when this began to be waited for. */
  #md5Before: TcpMd5Counters | undefined;
  /** Connections that are delivering their last words. */
  readonly #closing = new Set<Connection>();

  constructor(options: PeerSessionOptions, listener: SessionListener, deps: PeerSessionDeps) {
    const { peer, address } = options;
    this.#options = options;
    this.#listener = listener;
    this.#deps = deps;
    this.clock = deps.clock;
    this.random = deps.random;
    this.timers = deps.server.timers;
    this.address = address;
    this.key = peerKey(address, peer.interface);
    this.dynamic = options.dynamic;
    this.passive = peer.passive || options.dynamic;
    this.#policy = new RestartPolicy(peer, deps.random);
    const external = peer.asn === 'external' || (typeof peer.asn === 'number' && peer.asn !== options.localAsn);
    this.#socketOptions = { ...ttlOptions(peer, external), password: peer.password, interface: peer.interface };
    this.#primary = new Attempt(this, 'Idle');
  }

  // ===== For the speaker =====

  /** Takes settings that the running session does not depend on: who dials, how often, what is offered next time. */
  reconfigure(peer: PeerOptions): void {
    const wasPassive = this.passive;
    this.#options = { ...this.#options, peer };
    this.passive = peer.passive || this.dynamic;
    this.#policy = new RestartPolicy(peer, this.random);
    // A passive attempt has no timer that would dial some day.
    if (wasPassive && !this.passive) this.retryNow();
  }

  /** Registers with the server and starts to dial or to wait. Nothing happens when it is started already. */
  start(): void {
    if (this.#adminUp) return;
    this.#adminUp = true;
    this.#md5Before = this.#deps.md5?.now();
    this.#deps.server.register(this);
    this.#policy.forgive();
    this.#primary.feed({ type: this.passive ? 'ManualStartPassive' : 'ManualStart' });
  }

  /**
   * Ends the session with Cease/`subcode` and stays Idle until `start`; connections of the peer are refused meanwhile.
   * `text` reaches the peer's operator with administrative shutdown and reset (RFC 9003). Resolves when the NOTIFICATION
   * is delivered and the connections are closed, or after a second.
   */
  stop(subcode: number = CeaseSubcode.administrativeShutdown, text = ''): Promise<void> {
    this.#adminUp = false;
    this.#cancelIdleHold?.();
    this.#cease(subcode, text);
    return this.#closed();
  }

  /** `stop`, and forget the peer: its address is unknown to the server from now on. */
  dispose(subcode: number = CeaseSubcode.peerDeconfigured, text = ''): Promise<void> {
    const closed = this.stop(subcode, text);
    this.#deps.server.unregister(this);
    return closed;
  }

  /**
   * Ends the session with Cease/Administrative Reset and starts again at once; waiting times are cut short. `hard`: no
   * routes are kept over it, also where graceful restart would keep them (RFC 8538).
   */
  reset(text = '', hard = false): void {
    if (!this.#adminUp) return;
    this.#policy.forgive();
    if (this.#primary.state === 'Idle') this.#startAgain();
    else if (this.#primary.state !== 'Active') this.#cease(CeaseSubcode.administrativeReset, text, hard);
    else if (!this.passive) this.#primary.feed({ type: 'ConnectRetryTimerExpires' });
  }

  /** Ends the session with the NOTIFICATION of an error that was not found in a message of the peer (RFC 4271 §8.1.2). */
  cease(error: BgpError): void {
    this.#active?.feed({ type: 'AutomaticStop', notification: error }, error.message);
  }

  /** The peer can be reached (again): an attempt is due now, unless the wait is the peer's punishment. */
  retryNow(): void {
    if (!this.#adminUp || this.#heldDown || this.passive) return;
    const { state } = this.#primary;
    if (state === 'Idle' && this.#idleAccepts) this.#startAgain();
    else if (state === 'Active' || state === 'Connect') this.#primary.feed({ type: 'ConnectRetryTimerExpires' });
  }

  /** The way to the peer is gone, and nothing can be said to it: as if TCP had noticed (RFC 4271 §8.1.4). */
  connectionLost(text: string): void {
    this.#active?.feed({ type: 'TcpConnectionFails' }, text);
  }

  /** Held down, the session stays Idle after its end and refuses connections; false starts it again. */
  holdDown(held: boolean): void {
    const released = this.#heldDown && !held;
    this.#heldDown = held;
    if (released && this.#adminUp && this.#primary.state === 'Idle') this.#startAgain();
  }

  /** Asks the peer to send its routes again; false = not established, or not agreed on. */
  sendRouteRefresh(family: Family, subtype: number = RouteRefreshSubtype.request): boolean {
    const negotiated = this.negotiated;
    if (!this.#active || !negotiated?.routeRefresh || !negotiated.families.includes(family)) return false;
    const message = encodeRouteRefresh({ family, subtype });
    this.counters.messagesOut++;
    this.#active.write(message, 0, message.length);
    return true;
  }

  /** SessionSink: UPDATEs of the speaker. `updates` is how many messages these are, for the counters. */
  write(bytes: Uint8Array, start: number, end: number, updates = 1): boolean {
    const active = this.#active;
    if (!active) return false;
    this.counters.messagesOut += updates;
    this.counters.updatesOut += updates;
    return active.write(bytes, start, end);
  }

  get backlogBytes(): number {
    return this.#active?.connection?.backlogBytes ?? 0;
  }

  get state(): SessionState {
    const primary = this.#primary.state;
    const secondary = this.#secondary?.state ?? 'Idle';
    return ORDER[primary] >= ORDER[secondary] ? primary : secondary;
  }

  get established(): boolean {
    return this.#active !== undefined;
  }

  /** The peer has more to say than is read of it (`limits.messageRate`). */
  get isPaced(): boolean {
    return this.#active?.isPaced ?? false;
  }

  get stopped(): boolean {
    return !this.#adminUp;
  }

  /** Of the Established session. */
  get negotiated(): Negotiated | undefined {
    return this.#active?.negotiated;
  }

  /** `clock.nowMs()` when it became Established; undefined when it is not. */
  get establishedAtMs(): number | undefined {
    return this.#active?.establishedAtMs;
  }

  // ===== AcceptingSession =====

  get password(): string | undefined {
    return this.#options.peer.password;
  }

  get ttlSecurity(): boolean {
    return this.#options.peer.ttlSecurityHops !== undefined;
  }

  accept(socket: net.Socket, listenerFamily: 4 | 6): string | undefined {
    const fd = acceptedFd(socket);
    if (fd === undefined) return this.#turnAway('it was closed at once');
    // First of all: what must not come in ends no connection of the peer either.
    try {
      applyToAccepted(fd, listenerFamily, this.address, this.#socketOptions);
    } catch (error) {
      socket.destroy();
      return this.#turnAway(error instanceof Error ? error.message : String(error));
    }
    // The peer's own earlier connection: it would not open another if that one still lived.
    const replace = (old: Attempt): void => {
      old.feed({ type: 'OpenCollisionDump' }, 'replaced by a newer connection of the peer');
    };
    if (this.#secondary && isWaiting(this.#secondary)) replace(this.#secondary);
    if (this.#secondary && isWaiting(this.#primary)) replace(this.#primary);
    // The only one goes when the new one is there: without any, a dynamic session would be over.
    const replaced = isWaiting(this.#primary) ? this.#primary : undefined;
    if (this.#adminUp && this.#primary.state === 'Idle' && this.#idleAccepts) {
      this.#cancelIdleHold?.();
      this.#primary.feed({ type: 'AutomaticStartPassive' });
    }
    const attempt = this.#attemptForAccepted();
    const connection = attempt && Connection.adopt(socket, attempt, this.#deps.receiveBuffer, this.clock);
    if (!connection) {
      // RFC 4271 §8.2.2: Idle refuses all connections. Said without a NOTIFICATION, so that the peer only waits a little.
      socket.destroy();
      return undefined;
    }
    if (attempt !== this.#primary) this.#secondary = attempt;
    attempt.accept(connection);
    if (replaced) replace(replaced);
    return undefined;
  }

  #turnAway(text: string): string {
    if (!this.established) this.lastError = `connection refused: ${text}`;
    // A dynamic session is there for this connection alone.
    if (this.dynamic && this.#primary.state === 'Active')
      this.#primary.feed({ type: 'ManualStop', notification: NO_WORD });
    return text;
  }

  #attemptForAccepted(): Attempt | undefined {
    switch (this.#primary.state) {
      case 'Idle':
        return undefined;
      case 'Active':
        return this.#primary;
      case 'Established':
        // RFC 4271 §6.8: the Established connection stays. RFC 4724 §5: unless the peer may have restarted.
        return mayRestart(this.negotiated) && !this.#secondary ? new Attempt(this, 'Active') : undefined;
      default:
        return this.#secondary ? undefined : new Attempt(this, 'Active');
    }
  }

  // ===== AttemptOwner =====

  get messageRate(): number | undefined {
    return this.#deps.server.messageRate;
  }

  /** RFC 4271 §8.2.2 suggests 4 minutes; whoever may come from a listen range has less. */
  get openHoldMs(): number {
    return this.dynamic ? this.#deps.server.openHoldMs : OPEN_HOLD_MS;
  }

  connectRetryMs(state: SessionState): number {
    return this.#policy.connectRetryMs(state);
  }

  dial(attempt: Attempt): Connection {
    const { peer } = this.#options;
    const { address } = this;
    const localAddress = peer.localAddress === undefined ? undefined : parseAddress(bareAddress(peer.localAddress));
    const scope = isLinkLocal(address) && peer.interface !== undefined ? `%${peer.interface}` : '';
    const fd = prepareDial({ address, localAddress }, this.#socketOptions);
    const target = { host: `${formatAddress(address)}${scope}`, port: peer.port, fd };
    return Connection.dial(target, attempt, this.#deps.receiveBuffer, this.clock);
  }

  unanswered(): string {
    const text = 'no answer to the connection attempt';
    if (this.md5Suspicion !== undefined) return `${text}; ${this.md5Suspicion}`;
    return this.password === undefined
      ? text
      : `${text}; that is also how a peer with another password behaves, or with none`;
  }

  /** Why the session may not come up; undefined when it is up, or when nothing speaks for that. */
  get md5Suspicion(): string | undefined {
    if (this.established || this.stopped) return undefined;
    return this.#deps.md5?.suspicion(this.#md5Before, this.password !== undefined);
  }

  offer(): OpenMessage {
    const { peer, localAsn, routerId, restarting, forwardingPreserved } = this.#options;
    return offerOpen(peer, {
      localAsn: this.#policy.usesLocalAs && peer.localAs ? peer.localAs.asn : localAsn,
      routerId,
      level: this.#policy.offerLevel,
      restarting: restarting(),
      forwardingPreserved: forwardingPreserved?.() ?? [],
    });
  }

  wanted(attempt: Attempt): boolean {
    const other = this.#other(attempt);
    return !(other?.state === 'OpenConfirm' && this.#shouldLose(attempt, other.negotiated!));
  }

  agree(attempt: Attempt, sent: OpenMessage, received: OpenMessage): Negotiated | false {
    const { localAsn, routerId, peer } = this.#options;
    const { role, roleStrict } = peer;
    const offeredAsn = findCapability(sent.capabilities, 'fourOctetAs')?.asn ?? sent.asn;
    const expected = { localAsn, offeredAsn, localIdentifier: routerId, peerAsn: peer.asn, role, roleStrict };
    const peerAsn = checkOpen(received, expected);
    const connection = attempt.connection!;
    const negotiated = negotiate(sent, received, {
      localAsn,
      peerAsn,
      localAddress: connection.localAddress ?? NO_DATA,
      peerAddress: connection.peerAddress ?? this.address,
      localPort: connection.localPort,
      peerPort: connection.peerPort,
      keepaliveTimeSeconds: peer.keepaliveTimeSeconds,
    });
    this.#policy.reached();
    return this.#settleCollision(attempt, negotiated) ? negotiated : false;
  }

  holdBack(attempt: Attempt): boolean {
    return this.#other(attempt)?.state === 'OpenSent' && this.#shouldLose(attempt, attempt.negotiated!);
  }

  #shouldLose(attempt: Attempt, { peerIdentifier, peerAsn, offeredAsn }: Negotiated): boolean {
    const local = { identifier: this.#options.routerId, asn: offeredAsn };
    return preferredInitiator(local, { identifier: peerIdentifier, asn: peerAsn }) !== attempt.initiator;
  }

  /** RFC 4271 §6.8, on the OPEN of `attempt`. False = it is the one to go, and has gone. */
  #settleCollision(attempt: Attempt, negotiated: Negotiated): boolean {
    const other = this.#other(attempt);
    if (!other || other.state === 'Idle' || other.state === 'Active') return true;
    const existing = {
      state: other.state,
      initiator: other.initiator,
      establishedForMs: other.state === 'Established' ? this.clock.nowMs() - other.establishedAtMs : 0,
      gracefulRestart: mayRestart(other.negotiated),
    };
    // Both ends must compare the same: with `localAs` the peer knows us by that one.
    const local = { identifier: this.#options.routerId, asn: negotiated.offeredAsn };
    const peer = { identifier: negotiated.peerIdentifier, asn: negotiated.peerAsn };
    const verdict = collide(attempt, existing, local, peer);
    if (verdict === 'closeNewer') attempt.feed({ type: 'OpenCollisionDump' }, 'connection collision');
    else if (verdict === 'closeExisting') {
      // RFC 4724 §5: the old connection has failed, as far as routes are concerned.
      if (other.state === 'Established') other.feed({ type: 'TcpConnectionFails' }, 'the peer has restarted');
      else other.feed({ type: 'OpenCollisionDump' }, 'connection collision');
    }
    return verdict !== 'closeNewer';
  }

  #other(attempt: Attempt): Attempt | undefined {
    return attempt === this.#primary ? this.#secondary : this.#primary;
  }

  becameEstablished(attempt: Attempt, negotiated: Negotiated): void {
    this.#active = attempt;
    const other = this.#other(attempt);
    if (other?.state === 'Connect') other.feed({ type: 'ManualStop', notification: CEASE_COLLISION });
    else other?.feed({ type: 'OpenCollisionDump' }, 'connection collision');
    this.counters.sessionsEstablished++;
    this.#policy.established();
    // The listener tells people; it knows the peer by more than its address.
    this.#deps.log.debug(
      {
        peer: this.key,
        asn: negotiated.peerAsn,
        families: negotiated.families,
        holdTimeSeconds: negotiated.holdTimeSeconds,
      },
      'session established',
    );
    this.#listener.established(negotiated);
  }

  update(bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    return this.#listener.update(bytes, start, end);
  }

  routeRefresh(family: Family, subtype: number): void {
    this.#listener.routeRefresh(family, subtype);
  }

  drained(): void {
    this.#listener.drained();
  }

  closing(connection: Connection): void {
    this.#closing.add(connection);
    void connection.closed().then(() => this.#closing.delete(connection));
  }

  down(reason: DownReason): void {
    this.#active = undefined;
    this.#md5Before = this.#deps.md5?.now();
    this.lastError = this.#sessionEnd = reason.text;
    this.#deps.log.debug({ peer: this.key, reason: reason.text }, 'session down');
    this.#listener.down(reason);
  }

  settled(attempt: Attempt, ending: Ending | undefined, damp: boolean): void {
    if (ending) this.#remember(ending, this.#other(attempt));
    if (attempt.state === 'Idle' || attempt.state === 'Active') {
      if (attempt === this.#secondary) {
        this.#secondary = undefined;
        attempt.dispose();
      } else if (attempt === this.#primary && this.#secondary) {
        attempt.dispose();
        this.#primary = this.#secondary;
        this.#secondary = undefined;
      } else if (attempt === this.#primary && ending) this.#restart(ending, damp);
    }
    if (!this.#secondary) this.#primary.release();
  }

  // ===== What comes after an ending =====

  #remember(ending: Ending, other: Attempt | undefined): void {
    // Losing a collision is no news while the other connection lives.
    if (other && ORDER[other.state] >= ORDER.OpenSent && ending.notification?.code === NotificationCode.cease) return;
    if (ending.from === 'Established') return;
    // Why the session ended stays to be seen; what came since is added while it says less.
    const said = ending.notification !== undefined || this.#sessionEnd === undefined;
    const text = said ? ending.text : `${this.#sessionEnd}; since then: ${ending.text}`;
    const news = text !== this.lastError && ending.text !== '';
    if (ending.text !== '') this.lastError = text;
    const fields = { peer: this.key, state: ending.from, reason: ending.text };
    // A peer that stays away is one line, not one per try.
    if (news && this.dynamic) this.#deps.server.dynamicAttemptEnded(fields);
    else if (news) this.#deps.log.info(fields, 'connection attempt ended');
    else this.#deps.log.debug(fields, 'connection attempt ended');
  }

  #restart(ending: Ending, damp: boolean): void {
    if (this.dynamic) {
      // Not known to the server any more: the next connection asks `onUnknown` again, which may give this session back.
      this.#adminUp = false;
      this.#deps.server.unregister(this);
      this.#options.ended?.(this);
      return;
    }
    if (this.#primary.state !== 'Idle' || !this.#adminUp) return;
    if (this.#heldDown) {
      this.#idleAccepts = false;
      this.#cancelIdleHold?.();
      return;
    }
    const livedMs = ending.from === 'Established' ? this.clock.nowMs() - this.#primary.establishedAtMs : 0;
    const { waitMs, accepts, fellBack } = this.#policy.idleHold(ending, damp, livedMs);
    if (fellBack) {
      const text =
        this.#policy.offerLevel === OfferLevel.full
          ? 'the peer refuses our AS number: trying the other one (dualAs)'
          : 'the peer refuses our capabilities: trying with fewer';
      this.#deps.log.warn({ peer: this.key }, text);
    }
    this.#idleAccepts = accepts;
    this.#cancelIdleHold?.();
    this.#cancelIdleHold = this.clock.after(waitMs, () => this.#startAgain());
  }

  #startAgain(): void {
    this.#cancelIdleHold?.();
    this.#primary.feed({ type: this.passive ? 'AutomaticStartPassive' : 'AutomaticStart' });
  }

  #cease(subcode: number, text: string, hard = false): void {
    // RFC 9003 §2: a text goes with these two.
    const spoken = subcode === CeaseSubcode.administrativeShutdown || subcode === CeaseSubcode.administrativeReset;
    const data = spoken && text !== '' ? shutdownData(text) : NO_DATA;
    const notification = { code: NotificationCode.cease, subcode, data, hard };
    const event = { type: 'ManualStop', notification } as const;
    const reason = describeNotification(notification);
    this.#secondary?.feed(event, reason);
    this.#primary.feed(event, reason);
  }

  async #closed(): Promise<void> {
    await Promise.all([...this.#closing].map((connection) => connection.closed()));
  }
}

/** A connection that the peer has opened and not made a session of yet. */
function isWaiting(attempt: Attempt): boolean {
  return attempt.initiator === 'peer' && (attempt.state === 'OpenSent' || attempt.state === 'OpenConfirm');
}

/** RFC 4724 §5: graceful restart with at least one family; without families the peer only helps others. */
function mayRestart(negotiated: Negotiated | undefined): boolean {
  return (negotiated?.gracefulRestart?.families.length ?? 0) > 0;
}

const ORDER = { Idle: 0, Active: 1, Connect: 2, OpenSent: 3, OpenConfirm: 4, Established: 5 } as const;

const CEASE_COLLISION = { code: NotificationCode.cease, subcode: CeaseSubcode.connectionCollision, data: NO_DATA };
