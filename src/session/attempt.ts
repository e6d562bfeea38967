// HOT: `message` for UPDATE and KEEPALIVE; no allocation, no timer; guarded by bench S1 and S4.
/**
 * One run of the state machine with its connection: carries out what `fsm.step` says, turns messages and deadlines into
 * events. A session owns one attempt, and a second only while connections collide.
 *
 * Invariants: `state` is changed only by `feed`; a state from OpenSent on has a connection, Idle and Active have none;
 * the owner hears `settled` after every event, when the attempt is consistent again.
 * UPDATE and KEEPALIVE in Established pass beside the machine: step() would answer "stay, restart the hold timer", which
 * here is one number written.
 */
import {
  BgpError,
  MessageType,
  NotificationCode,
  OpenSubcode,
  RouteRefreshSubtype,
  decodeNotification,
  decodeOpen,
  decodeRouteRefresh,
  describeNotification,
  encodeNotification,
  encodeOpen,
  keepaliveMessage,
  notificationText,
} from 'bgp-parse';
import type { Family, OpenMessage } from 'bgp-parse';
import type { Cancel, Clock } from '../support/clock.js';
import type { Initiator } from './collision.js';
import type { Connection, ConnectionHandler } from './connection.js';
import { step } from './fsm.js';
import type { FsmEvent, NotificationFields } from './fsm.js';
import { hardReset, isHard } from './hard-reset.js';
import { MessagePace } from './message-pace.js';
import { TICK_MS } from './session-timers.js';
import type { SessionTimers, Timed } from './session-timers.js';
import type { DownReason, Negotiated, SessionState } from './types.js';

/** RFC 9687 §4.3: SendHoldTime is the larger of 8 minutes and twice the hold time. */
const SEND_HOLD_MIN_MS = 480_000;
/** RFC 4271 §4.4. */
const KEEPALIVE_MIN_MS = 1000;
/** How long a KEEPALIVE may wait for the other connection's OPEN (see `holdBack`), ms. */
const HELD_BACK_MAX_MS = 1000;

/** What ended an attempt, for the back-off and for people. */
export interface Ending extends DownReason {
  /** The state it ended from. */
  readonly from: SessionState;
}

/** What an attempt asks and tells; implemented by PeerSession. */
export interface AttemptOwner {
  readonly clock: Clock;
  readonly timers: SessionTimers;
  random(): number;
  /** Never dial: no ConnectRetryTimer runs. */
  readonly passive: boolean;
  readonly counters: MessageCounters;
  /** How long to wait for the peer's OPEN. */
  readonly openHoldMs: number;
  /** Messages that are read in a second; undefined = as many as come. */
  readonly messageRate: number | undefined;
  /** The ConnectRetryTime, for the state in which it is started. */
  connectRetryMs(state: SessionState): number;
  /** Starts a TCP connection; throws when it cannot even be tried. */
  dial(attempt: Attempt): Connection;
  /** False = this connection, just made, would lose a collision: it goes without an OPEN. */
  wanted(attempt: Attempt): boolean;
  /** The OPEN to send on a new connection. */
  offer(): OpenMessage;
  /** Checks the peer's OPEN against ours and settles collisions; throws BgpError; false = this attempt has ended. */
  agree(attempt: Attempt, sent: OpenMessage, received: OpenMessage): Negotiated | false;
  /** Why nobody may have answered, for people. */
  unanswered(): string;
  /** Whether the KEEPALIVE that makes it Established must wait, because the other connection should win a collision. */
  holdBack(attempt: Attempt): boolean;
  /** It is Established; ends the other attempt, if there is one. */
  becameEstablished(attempt: Attempt, negotiated: Negotiated): void;
  update(bytes: Uint8Array, start: number, end: number): BgpError | undefined;
  routeRefresh(family: Family, subtype: number): void;
  drained(): void;
  /** The connection has been given its last message and is closing. */
  closing(connection: Connection): void;
  /** An Established session has ended. */
  down(reason: DownReason): void;
  /** After each event. `ending` when a connection or attempt has ended by it; `damp` as the machine says. */
  settled(attempt: Attempt, ending: Ending | undefined, damp: boolean): void;
}

export interface MessageCounters {
  messagesIn: number;
  messagesOut: number;
  updatesIn: number;
  updatesOut: number;
  notificationsIn: number;
  notificationsOut: number;
  sessionsEstablished: number;
  /** How often reading has waited for `messageRate`. */
  pauses: number;
}

export class Attempt implements ConnectionHandler, Timed {
  state: SessionState;
  connection: Connection | undefined;
  negotiated: Negotiated | undefined;
  establishedAtMs = 0;
  /** The KEEPALIVE that would make it Established is in, and waits. */
  heldBack = false;
  readonly #owner: AttemptOwner;
  #sent: OpenMessage | undefined;
  #cancelRetry: Cancel | undefined;
  #nowMs = 0;
  #lastReceivedMs = 0;
  #lastSentMs = 0;
  #openDeadlineMs = 0;
  #holdMs = 0;
  #keepaliveMs = 0;
  #keepaliveDueMs = 0;
  #unsentBytes = 0;
  #unsentSinceMs = 0;
  #heldSinceMs = 0;
  #pace: MessagePace | undefined;
  /** `messagesIn` that the pace knows of. */
  #paced = 0;

  constructor(owner: AttemptOwner, state: 'Idle' | 'Active') {
    this.#owner = owner;
    this.state = state;
  }

  get initiator(): Initiator {
    return this.connection?.initiator ?? 'local';
  }

  /** Takes an accepted connection: only in Active. */
  accept(connection: Connection): void {
    this.connection = connection;
    this.feed({ type: 'TcpConnectionConfirmed' });
  }

  /** Runs one event through the machine and does what it says. `text` is for people, should it end the attempt. */
  feed(event: FsmEvent, text = '', received?: NotificationFields): void {
    const from = this.state;
    const result = step(from, event);
    this.state = result.state;
    const notification = result.notification;
    const ended = result.state === 'Idle' || result.state === 'Active';
    const retried = from === 'Connect' && event.type === 'ConnectRetryTimerExpires';
    const ending: Ending | undefined =
      retried || (ended && from !== 'Idle' && from !== result.state)
        ? { from, ...endReason(text, notification, received, this.#knowsHardReset) }
        : undefined;
    let damp = false;
    for (const action of result.actions) {
      switch (action) {
        case 'initiateTcp':
          this.#dial();
          break;
        case 'dropTcp':
          this.#drop();
          break;
        case 'startConnectRetryTimer':
          this.#startRetry();
          break;
        case 'stopConnectRetryTimer':
          this.#cancelRetry?.();
          break;
        case 'sendOpen':
          this.#sent = this.#owner.offer();
          this.#sendMessage(encodeOpen(this.#sent));
          break;
        case 'sendKeepalive':
          this.#sendMessage(keepaliveMessage);
          break;
        case 'sendNotification':
          this.#notify(notification!);
          break;
        case 'startOpenHoldTimer':
          this.#openDeadlineMs = this.#owner.clock.nowMs() + this.#owner.openHoldMs;
          this.#owner.timers.add(this);
          break;
        case 'startHoldTimer':
          this.#lastReceivedMs = this.#owner.clock.nowMs();
          this.#holdMs = this.negotiated!.holdTimeSeconds * 1000;
          this.#keepaliveMs = this.negotiated!.keepaliveTimeSeconds * 1000;
          // Without a hold time no timer runs (RFC 4271 §8.2.2), but nobody may wait in OpenConfirm for ever.
          this.#openDeadlineMs = this.#holdMs > 0 ? 0 : this.#lastReceivedMs + this.#owner.openHoldMs;
          break;
        case 'restartHoldTimer':
          this.#lastReceivedMs = this.#owner.clock.nowMs();
          break;
        case 'startKeepaliveTimer':
          this.#startKeepalive();
          break;
        case 'releaseResources':
          this.#owner.timers.delete(this);
          break;
        case 'damp':
          damp = true;
          break;
        case 'established':
          this.#openDeadlineMs = 0;
          this.establishedAtMs = this.#owner.clock.nowMs();
          this.#unsentSinceMs = this.establishedAtMs;
          this.#owner.becameEstablished(this, this.negotiated!);
          break;
        case 'deleteRoutes':
          this.#owner.down(ending!);
          break;
        case 'resetConnectRetryCounter':
        case 'incrementConnectRetryCounter':
          // Counted by the back-off of the session.
          break;
        case 'processUpdate':
        case 'processRouteRefresh':
          // Done by `message`, which passes beside the machine in Established.
          break;
      }
    }
    this.#owner.settled(this, ending, damp);
  }

  /** Lets go of everything without a word to the owner: the other attempt goes on. */
  dispose(): void {
    this.#cancelRetry?.();
    this.#owner.timers.delete(this);
    this.#drop();
    this.state = 'Idle';
  }

  /** Sends whole messages; see SessionSink.write. */
  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.#lastSentMs = this.#owner.clock.nowMs();
    return this.connection!.write(bytes, start, end);
  }

  /** The other connection has gone, or the peer has moved on: the KEEPALIVE that waited counts now. */
  release(): void {
    if (!this.heldBack) return;
    this.heldBack = false;
    if (this.state === 'OpenConfirm') this.feed({ type: 'KeepAliveMsg' });
  }

  // ===== Timed: the deadlines =====

  tick(nowMs: number): boolean {
    if (this.#keepaliveMs > 0 && nowMs + TICK_MS / 2 >= this.#lastSentMs + this.#keepaliveDueMs) {
      // Messages that wait for the kernel say the same, once they leave.
      if ((this.connection?.backlogBytes ?? 0) === 0) this.feed({ type: 'KeepaliveTimerExpires' });
    }
    if (this.heldBack && nowMs - this.#heldSinceMs >= HELD_BACK_MAX_MS) this.release();
    return this.#overdue(nowMs) !== undefined;
  }

  expire(nowMs: number): void {
    const event = this.#overdue(nowMs);
    if (event === 'SendHoldTimerExpires') this.feed({ type: event }, 'send hold timer expired: the peer reads nothing');
    else if (event) {
      const missed = this.state === 'OpenSent' ? 'OPEN' : 'KEEPALIVE after its OPEN';
      this.feed({ type: event }, this.#openDeadlineMs > 0 ? `no ${missed} from the peer` : 'hold timer expired');
    }
  }

  #overdue(nowMs: number): 'HoldTimerExpires' | 'SendHoldTimerExpires' | undefined {
    if (this.#openDeadlineMs > 0) return nowMs >= this.#openDeadlineMs ? 'HoldTimerExpires' : undefined;
    if (this.#holdMs > 0 && nowMs - this.#lastReceivedMs >= this.#holdMs) return 'HoldTimerExpires';
    if (this.state !== 'Established') return undefined;
    const unsentBytes = this.connection?.unsentBytes ?? 0;
    if (unsentBytes === 0 || unsentBytes < this.#unsentBytes) this.#unsentSinceMs = nowMs;
    this.#unsentBytes = unsentBytes;
    return nowMs - this.#unsentSinceMs >= Math.max(SEND_HOLD_MIN_MS, 2 * this.#holdMs)
      ? 'SendHoldTimerExpires'
      : undefined;
  }

  // ===== ConnectionHandler: what the network says =====

  connected(): void {
    if (this.#owner.wanted(this)) this.feed({ type: 'TcpCrAcked' });
    else this.feed({ type: 'ManualStop', notification: { code: 0, subcode: 0, data: new Uint8Array(0) } });
  }

  receiving(): void {
    this.#nowMs = this.#owner.clock.nowMs();
    this.#paced = this.#owner.counters.messagesIn;
  }

  pauseMs(): number {
    const { messageRate, counters, clock } = this.#owner;
    if (messageRate === undefined) return 0;
    const count = counters.messagesIn - this.#paced;
    this.#paced = counters.messagesIn;
    const nowMs = clock.nowMs();
    const pauseMs = (this.#pace ??= new MessagePace()).read(count, messageRate, nowMs);
    if (pauseMs === 0) return 0;
    if (count > 0) counters.pauses++;
    // What it says meanwhile is not heard: its silence is ours.
    this.#lastReceivedMs = nowMs + pauseMs;
    return pauseMs;
  }

  /** Reading waits, or did a moment ago: what the peer has to say is not all heard. */
  get isPaced(): boolean {
    const { messageRate, clock } = this.#owner;
    return messageRate !== undefined && this.#pace?.isAhead(clock.nowMs()) === true;
  }

  failed(text: string): void {
    this.connection = undefined;
    this.feed({ type: 'TcpConnectionFails' }, this.state === 'OpenSent' ? `${text} before its OPEN` : text);
  }

  drained(): void {
    if (this.state === 'Established') this.#owner.drained();
  }

  headerError(error: BgpError): void {
    this.feed({ type: 'BgpHeaderErr', notification: error }, error.message);
  }

  message(type: number, bytes: Uint8Array, start: number, end: number): boolean {
    const connection = this.connection;
    const counters = this.#owner.counters;
    counters.messagesIn++;
    // The peer would not send routes on a connection that it is about to give up.
    if (this.heldBack && (type === MessageType.update || type === MessageType.routeRefresh)) this.release();
    if (this.state === 'Established' && (type === MessageType.update || type === MessageType.keepalive)) {
      this.#lastReceivedMs = this.#nowMs;
      if (type === MessageType.update) {
        counters.updatesIn++;
        const error = this.#owner.update(bytes, start, end);
        if (error && this.connection === connection) {
          // RFC 4271 §8.1.2: too many prefixes are an automatic stop, nothing is wrong with the message.
          const type = error.code === NotificationCode.cease ? 'AutomaticStop' : 'UpdateMsgErr';
          this.feed({ type, notification: error }, error.message);
        }
      }
    } else {
      this.#dispatch(type, bytes, start, end);
    }
    return connection !== undefined && this.connection === connection;
  }

  #dispatch(type: number, bytes: Uint8Array, start: number, end: number): void {
    switch (type) {
      case MessageType.open:
        this.#receiveOpen(bytes, start, end);
        break;
      case MessageType.notification:
        this.#receiveNotification(bytes, start, end);
        break;
      case MessageType.keepalive:
        if (this.state === 'OpenConfirm' && this.#owner.holdBack(this)) {
          this.heldBack = true;
          this.#heldSinceMs = this.#nowMs;
          this.#lastReceivedMs = this.#nowMs;
        } else this.feed({ type: 'KeepAliveMsg' }, this.#unexpected('KEEPALIVE'));
        break;
      case MessageType.update:
        this.feed({ type: 'UpdateMsg' }, this.#unexpected('UPDATE'));
        break;
      case MessageType.routeRefresh:
        this.#receiveRouteRefresh(bytes, start, end);
        break;
    }
  }

  #receiveOpen(bytes: Uint8Array, start: number, end: number): void {
    if (this.state !== 'OpenSent') {
      this.feed({ type: 'BgpOpen' }, this.#unexpected('OPEN'));
      return;
    }
    let negotiated: Negotiated | false;
    try {
      negotiated = this.#owner.agree(this, this.#sent!, decodeOpen(bytes, start, end));
    } catch (error) {
      if (!(error instanceof BgpError)) throw error;
      this.feed({ type: 'BgpOpenMsgErr', notification: error }, error.message);
      return;
    }
    if (!negotiated) return;
    this.negotiated = negotiated;
    this.connection!.framer.maxMessageLength = negotiated.maxMessageLength;
    this.feed({ type: 'BgpOpen' });
  }

  #receiveNotification(bytes: Uint8Array, start: number, end: number): void {
    const notification = decodeNotification(bytes, start, end);
    const { code, subcode } = notification;
    this.#owner.counters.notificationsIn++;
    // RFC 4271 §8.1.5: event 24 is the NOTIFICATION about the version number.
    const versionError = code === NotificationCode.open && subcode === OpenSubcode.unsupportedVersion;
    const text = `peer sent ${describeNotification(notification)}`;
    this.feed({ type: versionError ? 'NotifMsgVerErr' : 'NotifMsg' }, text, notification);
  }

  #receiveRouteRefresh(bytes: Uint8Array, start: number, end: number): void {
    if (this.state !== 'Established') {
      this.feed({ type: 'RouteRefreshMsg' }, this.#unexpected('ROUTE-REFRESH'));
      return;
    }
    this.#lastReceivedMs = this.#nowMs;
    try {
      const { families, enhancedRouteRefresh } = this.negotiated!;
      const { family, subtype } = decodeRouteRefresh(bytes, start, end, enhancedRouteRefresh);
      // RFC 2918 §4: a family that was not advertised is ignored; RFC 7313 §5: so is a subtype that is not known.
      const isKnown = subtype <= RouteRefreshSubtype.endOfRefresh;
      if (isKnown && family !== undefined && families.includes(family)) this.#owner.routeRefresh(family, subtype);
    } catch (error) {
      if (!(error instanceof BgpError)) throw error;
      this.feed({ type: 'RouteRefreshMsgErr', notification: error }, error.message);
    }
  }

  #unexpected(message: string): string {
    return `unexpected ${message} in ${this.state}`;
  }

  // ===== Actions =====

  #dial(): void {
    try {
      this.connection = this.#owner.dial(this);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      // Not from inside the step that asked for it.
      this.#owner.clock.soon(() => {
        if (this.state === 'Connect' && !this.connection) this.feed({ type: 'TcpConnectionFails' }, text);
      });
    }
  }

  #drop(): void {
    this.connection?.destroy();
    this.connection = undefined;
    this.negotiated = undefined;
    this.heldBack = false;
    this.#openDeadlineMs = this.#holdMs = this.#keepaliveMs = 0;
  }

  #startRetry(): void {
    this.#cancelRetry?.();
    if (this.#owner.passive) return;
    this.#cancelRetry = this.#owner.clock.after(this.#owner.connectRetryMs(this.state), () => {
      const text = this.#owner.unanswered();
      if (!this.#owner.passive) this.feed({ type: 'ConnectRetryTimerExpires' }, text);
      // Passive by now: this was the last attempt.
      else if (this.state === 'Connect') this.feed({ type: 'TcpConnectionFails' }, text);
    });
  }

  // RFC 4271 §10: keepalives are spread over 0.75..1 of their time, so that sessions do not move in step; but they are a
  // second apart at least (§4.4), also when the ticker is early.
  #startKeepalive(): void {
    const spreadMs = this.#keepaliveMs * (0.75 + 0.25 * this.#owner.random());
    this.#keepaliveDueMs = Math.max(spreadMs, KEEPALIVE_MIN_MS + TICK_MS / 2);
  }

  #sendMessage(message: Uint8Array): void {
    this.#owner.counters.messagesOut++;
    this.write(message, 0, message.length);
  }

  get #knowsHardReset(): boolean {
    return this.negotiated?.gracefulRestart?.notification === true;
  }

  #notify(notification: NotificationFields): void {
    this.#owner.counters.messagesOut++;
    this.#owner.counters.notificationsOut++;
    const connection = this.connection;
    if (!connection) return;
    // RFC 8538 §3: only to a peer that has set the N bit.
    const hard = this.#knowsHardReset && isHard(notification, true);
    connection.closeWith(encodeNotification(hard ? hardReset(notification) : notification));
    this.#owner.closing(connection);
  }
}

function endReason(
  text: string,
  sent: NotificationFields | undefined,
  received: NotificationFields | undefined,
  knowsHardReset: boolean,
): DownReason {
  const notification = received ?? sent;
  if (!notification) return { text, notification: undefined };
  const { code, subcode } = notification;
  // Without the N bit every NOTIFICATION is the end (RFC 4724 §4.2).
  const hard = !knowsHardReset || isHard(notification, !received);
  return {
    text: received ? text : text || `sent ${notificationText(code, subcode)}`,
    notification: { code, subcode, sent: !received, hard },
  };
}
