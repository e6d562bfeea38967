/**
 * The finite state machine of RFC 4271 §8, as a pure function: `step(state, event)` says the next state and what to do,
 * and does nothing itself. One state per TCP connection (attempt); two run side by side only while connections collide
 * (§6.8), and `collision.ts` decides which goes.
 *
 * Every pair of state and event is defined; `test/session/fsm.test.ts` is the table, to be read beside §8.2.2.
 * Left out, because optional in the RFC and not offered: DelayOpen (events 12 and 20). Folded: IdleHoldTimer_Expires (13)
 * is given as AutomaticStart, as §8.2.2 Idle says; invalid TCP requests (14, 15) are turned away before the machine.
 *
 * DEVIATION: Connect + TcpConnectionFails goes to Active, not Idle: a refused connection must not make us deaf to the
 * peer's own attempt. Passive attempts run no ConnectRetryTimer: a passive peer is never dialled.
 * DEVIATION: a NOTIFICATION in OpenSent is not answered with an FSM Error (§6.4: no NOTIFICATION about a NOTIFICATION),
 * and header errors in Established are reported as such (§6.1), not as FSM Error.
 * RFC 6608 (FSM Error subcodes), RFC 9687 (SendHoldTimer), RFC 2918 (ROUTE-REFRESH as one more message).
 */
import { CeaseSubcode, FsmSubcode, NotificationCode } from 'bgp-parse';
import type { SessionState } from './types.js';

/** What the NOTIFICATION of an error carries. */
export interface NotificationFields {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
  /** Ours only: a Hard Reset (RFC 8538) is meant, where the peer understands one. */
  readonly hard?: boolean;
}

/** Events that carry nothing. Names and meaning: RFC 4271 §8.1. */
export const PLAIN_EVENTS = [
  'ManualStart',
  'ManualStartPassive',
  'AutomaticStart',
  'AutomaticStartPassive',
  'ConnectRetryTimerExpires',
  'HoldTimerExpires',
  'KeepaliveTimerExpires',
  'SendHoldTimerExpires',
  'TcpCrAcked',
  'TcpConnectionConfirmed',
  'TcpConnectionFails',
  'BgpOpen',
  'OpenCollisionDump',
  'NotifMsgVerErr',
  'NotifMsg',
  'KeepAliveMsg',
  'UpdateMsg',
  'RouteRefreshMsg',
] as const;

/** Events that carry the NOTIFICATION to send: an error found by the codec, or the Cease of a stop. */
export const NOTIFYING_EVENTS = [
  'ManualStop',
  'AutomaticStop',
  'BgpHeaderErr',
  'BgpOpenMsgErr',
  'UpdateMsgErr',
  'RouteRefreshMsgErr',
] as const;

export type FsmEvent =
  | { readonly type: (typeof PLAIN_EVENTS)[number] }
  | { readonly type: (typeof NOTIFYING_EVENTS)[number]; readonly notification: NotificationFields };

export type FsmEventType = FsmEvent['type'];

/**
 * What the shell does, in this order. `damp` = "performs peer oscillation damping": the next AutomaticStart waits for the
 * IdleHoldTimer. `releaseResources` stops the connection's timers. `deleteRoutes` = the session is over for the speaker.
 */
export type FsmAction =
  | 'initiateTcp'
  | 'dropTcp'
  | 'startConnectRetryTimer'
  | 'stopConnectRetryTimer'
  | 'resetConnectRetryCounter'
  | 'incrementConnectRetryCounter'
  | 'sendOpen'
  | 'sendKeepalive'
  | 'sendNotification'
  | 'startOpenHoldTimer'
  | 'startHoldTimer'
  | 'restartHoldTimer'
  | 'startKeepaliveTimer'
  | 'releaseResources'
  | 'damp'
  | 'established'
  | 'processUpdate'
  | 'processRouteRefresh'
  | 'deleteRoutes';

export interface Step {
  readonly state: SessionState;
  readonly actions: readonly FsmAction[];
  /** For `sendNotification`. */
  readonly notification?: NotificationFields;
}

export function step(state: SessionState, event: FsmEvent): Step {
  switch (state) {
    case 'Idle':
      return idle(event);
    case 'Connect':
      return connect(event);
    case 'Active':
      return active(event);
    case 'OpenSent':
      return openSent(event);
    case 'OpenConfirm':
      return openConfirm(event);
    case 'Established':
      return established(event);
  }
}

// RFC 4271 §8.2.2, Idle state: refuses connections, waits for a start.
function idle(event: FsmEvent): Step {
  switch (event.type) {
    case 'ManualStart':
    case 'AutomaticStart':
      return { state: 'Connect', actions: ['resetConnectRetryCounter', 'startConnectRetryTimer', 'initiateTcp'] };
    case 'ManualStartPassive':
    case 'AutomaticStartPassive':
      return { state: 'Active', actions: ['resetConnectRetryCounter'] };
    case 'TcpConnectionConfirmed':
    case 'TcpCrAcked':
      return { state: 'Idle', actions: ['dropTcp'] };
    default:
      return stay('Idle');
  }
}

// RFC 4271 §8.2.2, Connect state: waiting for the TCP connection to complete.
function connect(event: FsmEvent): Step {
  switch (event.type) {
    case 'ConnectRetryTimerExpires':
      return { state: 'Connect', actions: ['dropTcp', 'startConnectRetryTimer', 'initiateTcp'] };
    case 'TcpConnectionFails':
      return { state: 'Active', actions: ['dropTcp', 'startConnectRetryTimer'] };
    default:
      return beforeOpen('Connect', event);
  }
}

// RFC 4271 §8.2.2, Active state: listening, and dialling again when the ConnectRetryTimer expires.
function active(event: FsmEvent): Step {
  switch (event.type) {
    case 'ConnectRetryTimerExpires':
      return { state: 'Connect', actions: ['startConnectRetryTimer', 'initiateTcp'] };
    default:
      return beforeOpen('Active', event);
  }
}

function beforeOpen(state: 'Connect' | 'Active', event: FsmEvent): Step {
  switch (event.type) {
    case 'ManualStart':
    case 'ManualStartPassive':
    case 'AutomaticStart':
    case 'AutomaticStartPassive':
      return stay(state);
    case 'ManualStop':
      return end('resetConnectRetryCounter');
    case 'TcpCrAcked':
    case 'TcpConnectionConfirmed':
      return { state: 'OpenSent', actions: ['stopConnectRetryTimer', 'sendOpen', 'startOpenHoldTimer'] };
    default:
      // Nothing was sent yet, so there is nobody to notify.
      return end('incrementConnectRetryCounter', 'damp');
  }
}

// RFC 4271 §8.2.2, OpenSent state: our OPEN is out, theirs is awaited.
function openSent(event: FsmEvent): Step {
  switch (event.type) {
    case 'TcpConnectionFails':
      return { state: 'Active', actions: ['dropTcp', 'releaseResources', 'startConnectRetryTimer'] };
    case 'BgpOpen':
      return {
        state: 'OpenConfirm',
        actions: ['stopConnectRetryTimer', 'sendKeepalive', 'startHoldTimer', 'startKeepaliveTimer'],
      };
    case 'NotifMsg':
      return end('incrementConnectRetryCounter', 'damp');
    default:
      return afterOpen('OpenSent', event);
  }
}

// RFC 4271 §8.2.2, OpenConfirm state: both OPENs are in, the peer's KEEPALIVE is awaited.
function openConfirm(event: FsmEvent): Step {
  switch (event.type) {
    case 'KeepaliveTimerExpires':
      return { state: 'OpenConfirm', actions: ['sendKeepalive', 'startKeepaliveTimer'] };
    case 'TcpConnectionFails':
    case 'NotifMsg':
      return end('incrementConnectRetryCounter', 'damp');
    case 'KeepAliveMsg':
      return { state: 'Established', actions: ['restartHoldTimer', 'established'] };
    default:
      return afterOpen('OpenConfirm', event);
  }
}

// RFC 4271 §8.2.2, Established state.
function established(event: FsmEvent): Step {
  switch (event.type) {
    case 'KeepaliveTimerExpires':
      return { state: 'Established', actions: ['sendKeepalive', 'startKeepaliveTimer'] };
    case 'KeepAliveMsg':
      return { state: 'Established', actions: ['restartHoldTimer'] };
    case 'UpdateMsg':
      return { state: 'Established', actions: ['processUpdate', 'restartHoldTimer'] };
    case 'RouteRefreshMsg':
      return { state: 'Established', actions: ['processRouteRefresh', 'restartHoldTimer'] };
    case 'UpdateMsgErr':
    case 'RouteRefreshMsgErr':
      return down(endNotifying(event.notification, 'incrementConnectRetryCounter', 'damp'));
    case 'SendHoldTimerExpires':
      // RFC 9687 §4: the NOTIFICATION is tried, the connection goes either way.
      return down(
        endNotifying(plain(NotificationCode.sendHoldTimerExpired, 0), 'incrementConnectRetryCounter', 'damp'),
      );
    case 'TcpConnectionFails':
    case 'NotifMsg':
      return down(end('incrementConnectRetryCounter', 'damp'));
    default:
      return down(afterOpen('Established', event));
  }
}

/** What OpenSent, OpenConfirm and Established have in common. */
function afterOpen(state: 'OpenSent' | 'OpenConfirm' | 'Established', event: FsmEvent): Step {
  switch (event.type) {
    case 'ManualStart':
    case 'ManualStartPassive':
    case 'AutomaticStart':
    case 'AutomaticStartPassive':
      return stay(state);
    case 'TcpCrAcked':
    case 'TcpConnectionConfirmed':
      // RFC 4271 §8.2.2: a second connection is tracked by a machine of its own.
      return stay(state);
    case 'ManualStop':
      return endNotifying(event.notification, 'resetConnectRetryCounter');
    case 'AutomaticStop':
    case 'BgpHeaderErr':
    case 'BgpOpenMsgErr':
      return endNotifying(event.notification, 'incrementConnectRetryCounter', 'damp');
    case 'HoldTimerExpires':
      return endNotifying(plain(NotificationCode.holdTimerExpired, 0), 'incrementConnectRetryCounter', 'damp');
    case 'OpenCollisionDump':
      return endNotifying(
        plain(NotificationCode.cease, CeaseSubcode.connectionCollision),
        'incrementConnectRetryCounter',
        'damp',
      );
    case 'NotifMsgVerErr':
      return end();
    default:
      // RFC 6608 §3: the subcode says in which state the message was not expected.
      return endNotifying(plain(NotificationCode.fsm, UNEXPECTED_IN[state]), 'incrementConnectRetryCounter', 'damp');
  }
}

const UNEXPECTED_IN = {
  OpenSent: FsmSubcode.openSent,
  OpenConfirm: FsmSubcode.openConfirm,
  Established: FsmSubcode.established,
} as const;

function stay(state: SessionState): Step {
  return { state, actions: [] };
}

function end(...rest: FsmAction[]): Step {
  return { state: 'Idle', actions: ['stopConnectRetryTimer', 'releaseResources', 'dropTcp', ...rest] };
}

function endNotifying(notification: NotificationFields, ...rest: FsmAction[]): Step {
  const { state, actions } = end(...rest);
  return { state, actions: ['sendNotification', ...actions], notification };
}

/** Leaving Established takes the routes along. */
function down(result: Step): Step {
  return result.state === 'Established' ? result : { ...result, actions: [...result.actions, 'deleteRoutes'] };
}

function plain(code: number, subcode: number): NotificationFields {
  return { code, subcode, data: new Uint8Array(0) };
}
