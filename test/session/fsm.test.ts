/**
 * The transition table, to be read beside RFC 4271 §8.2.2: one block per state, one line per event. Every pair stands
 * here; a pair that is missing fails the last test.
 *
 * Shorthand of the actions: STOP = stopConnectRetryTimer releaseResources dropTcp; N6/7 = sendNotification, code 6
 * subcode 7; N* = the notification that the event carries.
 */
import t from 'tap';
import { NOTIFYING_EVENTS, PLAIN_EVENTS, step } from '../../src/session/fsm.js';
import type { FsmEvent, FsmEventType } from '../../src/session/fsm.js';
import type { SessionState } from '../../src/session/types.js';

const DAMP = 'incrementConnectRetryCounter damp';

type Row = readonly [event: FsmEventType, next: SessionState, actions: string];

const TABLE: Record<SessionState, readonly Row[]> = {
  Idle: [
    ['ManualStart', 'Connect', 'resetConnectRetryCounter startConnectRetryTimer initiateTcp'],
    ['ManualStartPassive', 'Active', 'resetConnectRetryCounter'],
    ['AutomaticStart', 'Connect', 'resetConnectRetryCounter startConnectRetryTimer initiateTcp'],
    ['AutomaticStartPassive', 'Active', 'resetConnectRetryCounter'],
    ['TcpCrAcked', 'Idle', 'dropTcp'],
    ['TcpConnectionConfirmed', 'Idle', 'dropTcp'],
    // "Any other event received in the Idle state does not cause change in the state of the local system."
    ['ManualStop', 'Idle', ''],
    ['AutomaticStop', 'Idle', ''],
    ['ConnectRetryTimerExpires', 'Idle', ''],
    ['HoldTimerExpires', 'Idle', ''],
    ['KeepaliveTimerExpires', 'Idle', ''],
    ['SendHoldTimerExpires', 'Idle', ''],
    ['TcpConnectionFails', 'Idle', ''],
    ['BgpOpen', 'Idle', ''],
    ['BgpHeaderErr', 'Idle', ''],
    ['BgpOpenMsgErr', 'Idle', ''],
    ['OpenCollisionDump', 'Idle', ''],
    ['NotifMsgVerErr', 'Idle', ''],
    ['NotifMsg', 'Idle', ''],
    ['KeepAliveMsg', 'Idle', ''],
    ['UpdateMsg', 'Idle', ''],
    ['UpdateMsgErr', 'Idle', ''],
    ['RouteRefreshMsg', 'Idle', ''],
    ['RouteRefreshMsgErr', 'Idle', ''],
  ],
  Connect: [
    ['ManualStart', 'Connect', ''],
    ['ManualStartPassive', 'Connect', ''],
    ['AutomaticStart', 'Connect', ''],
    ['AutomaticStartPassive', 'Connect', ''],
    ['ManualStop', 'Idle', 'STOP resetConnectRetryCounter'],
    ['ConnectRetryTimerExpires', 'Connect', 'dropTcp startConnectRetryTimer initiateTcp'],
    ['TcpCrAcked', 'OpenSent', 'stopConnectRetryTimer sendOpen startOpenHoldTimer'],
    ['TcpConnectionConfirmed', 'OpenSent', 'stopConnectRetryTimer sendOpen startOpenHoldTimer'],
    // DEVIATION: the RFC goes to Idle here; see fsm.ts.
    ['TcpConnectionFails', 'Active', 'dropTcp startConnectRetryTimer'],
    ['AutomaticStop', 'Idle', `STOP ${DAMP}`],
    ['HoldTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['KeepaliveTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['SendHoldTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['BgpOpen', 'Idle', `STOP ${DAMP}`],
    ['BgpHeaderErr', 'Idle', `STOP ${DAMP}`],
    ['BgpOpenMsgErr', 'Idle', `STOP ${DAMP}`],
    ['OpenCollisionDump', 'Idle', `STOP ${DAMP}`],
    ['NotifMsgVerErr', 'Idle', `STOP ${DAMP}`],
    ['NotifMsg', 'Idle', `STOP ${DAMP}`],
    ['KeepAliveMsg', 'Idle', `STOP ${DAMP}`],
    ['UpdateMsg', 'Idle', `STOP ${DAMP}`],
    ['UpdateMsgErr', 'Idle', `STOP ${DAMP}`],
    ['RouteRefreshMsg', 'Idle', `STOP ${DAMP}`],
    ['RouteRefreshMsgErr', 'Idle', `STOP ${DAMP}`],
  ],
  Active: [
    ['ManualStart', 'Active', ''],
    ['ManualStartPassive', 'Active', ''],
    ['AutomaticStart', 'Active', ''],
    ['AutomaticStartPassive', 'Active', ''],
    ['ManualStop', 'Idle', 'STOP resetConnectRetryCounter'],
    ['ConnectRetryTimerExpires', 'Connect', 'startConnectRetryTimer initiateTcp'],
    ['TcpCrAcked', 'OpenSent', 'stopConnectRetryTimer sendOpen startOpenHoldTimer'],
    ['TcpConnectionConfirmed', 'OpenSent', 'stopConnectRetryTimer sendOpen startOpenHoldTimer'],
    ['TcpConnectionFails', 'Idle', `STOP ${DAMP}`],
    ['AutomaticStop', 'Idle', `STOP ${DAMP}`],
    ['HoldTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['KeepaliveTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['SendHoldTimerExpires', 'Idle', `STOP ${DAMP}`],
    ['BgpOpen', 'Idle', `STOP ${DAMP}`],
    ['BgpHeaderErr', 'Idle', `STOP ${DAMP}`],
    ['BgpOpenMsgErr', 'Idle', `STOP ${DAMP}`],
    ['OpenCollisionDump', 'Idle', `STOP ${DAMP}`],
    ['NotifMsgVerErr', 'Idle', `STOP ${DAMP}`],
    ['NotifMsg', 'Idle', `STOP ${DAMP}`],
    ['KeepAliveMsg', 'Idle', `STOP ${DAMP}`],
    ['UpdateMsg', 'Idle', `STOP ${DAMP}`],
    ['UpdateMsgErr', 'Idle', `STOP ${DAMP}`],
    ['RouteRefreshMsg', 'Idle', `STOP ${DAMP}`],
    ['RouteRefreshMsgErr', 'Idle', `STOP ${DAMP}`],
  ],
  OpenSent: [
    ['ManualStart', 'OpenSent', ''],
    ['ManualStartPassive', 'OpenSent', ''],
    ['AutomaticStart', 'OpenSent', ''],
    ['AutomaticStartPassive', 'OpenSent', ''],
    ['ManualStop', 'Idle', 'N* STOP resetConnectRetryCounter'],
    ['AutomaticStop', 'Idle', `N* STOP ${DAMP}`],
    ['HoldTimerExpires', 'Idle', `N4/0 STOP ${DAMP}`],
    // A second connection is tracked by a machine of its own.
    ['TcpCrAcked', 'OpenSent', ''],
    ['TcpConnectionConfirmed', 'OpenSent', ''],
    ['TcpConnectionFails', 'Active', 'dropTcp releaseResources startConnectRetryTimer'],
    ['BgpOpen', 'OpenConfirm', 'stopConnectRetryTimer sendKeepalive startHoldTimer startKeepaliveTimer'],
    ['BgpHeaderErr', 'Idle', `N* STOP ${DAMP}`],
    ['BgpOpenMsgErr', 'Idle', `N* STOP ${DAMP}`],
    ['OpenCollisionDump', 'Idle', `N6/7 STOP ${DAMP}`],
    ['NotifMsgVerErr', 'Idle', 'STOP'],
    // DEVIATION: the RFC answers with an FSM Error; see fsm.ts.
    ['NotifMsg', 'Idle', `STOP ${DAMP}`],
    // "In response to any other event": FSM Error, with the subcode of RFC 6608.
    ['ConnectRetryTimerExpires', 'Idle', `N5/1 STOP ${DAMP}`],
    ['KeepaliveTimerExpires', 'Idle', `N5/1 STOP ${DAMP}`],
    ['SendHoldTimerExpires', 'Idle', `N5/1 STOP ${DAMP}`],
    ['KeepAliveMsg', 'Idle', `N5/1 STOP ${DAMP}`],
    ['UpdateMsg', 'Idle', `N5/1 STOP ${DAMP}`],
    ['UpdateMsgErr', 'Idle', `N5/1 STOP ${DAMP}`],
    ['RouteRefreshMsg', 'Idle', `N5/1 STOP ${DAMP}`],
    ['RouteRefreshMsgErr', 'Idle', `N5/1 STOP ${DAMP}`],
  ],
  OpenConfirm: [
    ['ManualStart', 'OpenConfirm', ''],
    ['ManualStartPassive', 'OpenConfirm', ''],
    ['AutomaticStart', 'OpenConfirm', ''],
    ['AutomaticStartPassive', 'OpenConfirm', ''],
    ['ManualStop', 'Idle', 'N* STOP resetConnectRetryCounter'],
    ['AutomaticStop', 'Idle', `N* STOP ${DAMP}`],
    ['HoldTimerExpires', 'Idle', `N4/0 STOP ${DAMP}`],
    ['KeepaliveTimerExpires', 'OpenConfirm', 'sendKeepalive startKeepaliveTimer'],
    ['TcpCrAcked', 'OpenConfirm', ''],
    ['TcpConnectionConfirmed', 'OpenConfirm', ''],
    ['TcpConnectionFails', 'Idle', `STOP ${DAMP}`],
    ['NotifMsg', 'Idle', `STOP ${DAMP}`],
    ['NotifMsgVerErr', 'Idle', 'STOP'],
    ['BgpHeaderErr', 'Idle', `N* STOP ${DAMP}`],
    ['BgpOpenMsgErr', 'Idle', `N* STOP ${DAMP}`],
    ['OpenCollisionDump', 'Idle', `N6/7 STOP ${DAMP}`],
    ['KeepAliveMsg', 'Established', 'restartHoldTimer established'],
    // A second OPEN on one connection; collisions are another event.
    ['BgpOpen', 'Idle', `N5/2 STOP ${DAMP}`],
    ['ConnectRetryTimerExpires', 'Idle', `N5/2 STOP ${DAMP}`],
    ['SendHoldTimerExpires', 'Idle', `N5/2 STOP ${DAMP}`],
    ['UpdateMsg', 'Idle', `N5/2 STOP ${DAMP}`],
    ['UpdateMsgErr', 'Idle', `N5/2 STOP ${DAMP}`],
    ['RouteRefreshMsg', 'Idle', `N5/2 STOP ${DAMP}`],
    ['RouteRefreshMsgErr', 'Idle', `N5/2 STOP ${DAMP}`],
  ],
  Established: [
    ['ManualStart', 'Established', ''],
    ['ManualStartPassive', 'Established', ''],
    ['AutomaticStart', 'Established', ''],
    ['AutomaticStartPassive', 'Established', ''],
    ['ManualStop', 'Idle', 'N* STOP resetConnectRetryCounter deleteRoutes'],
    ['AutomaticStop', 'Idle', `N* STOP ${DAMP} deleteRoutes`],
    ['HoldTimerExpires', 'Idle', `N4/0 STOP ${DAMP} deleteRoutes`],
    ['KeepaliveTimerExpires', 'Established', 'sendKeepalive startKeepaliveTimer'],
    // RFC 9687.
    ['SendHoldTimerExpires', 'Idle', `N8/0 STOP ${DAMP} deleteRoutes`],
    ['TcpCrAcked', 'Established', ''],
    ['TcpConnectionConfirmed', 'Established', ''],
    ['TcpConnectionFails', 'Idle', `STOP ${DAMP} deleteRoutes`],
    ['NotifMsg', 'Idle', `STOP ${DAMP} deleteRoutes`],
    ['NotifMsgVerErr', 'Idle', 'STOP deleteRoutes'],
    ['KeepAliveMsg', 'Established', 'restartHoldTimer'],
    ['UpdateMsg', 'Established', 'processUpdate restartHoldTimer'],
    ['UpdateMsgErr', 'Idle', `N* STOP ${DAMP} deleteRoutes`],
    ['RouteRefreshMsg', 'Established', 'processRouteRefresh restartHoldTimer'],
    ['RouteRefreshMsgErr', 'Idle', `N* STOP ${DAMP} deleteRoutes`],
    ['OpenCollisionDump', 'Idle', `N6/7 STOP ${DAMP} deleteRoutes`],
    ['BgpOpen', 'Idle', `N5/3 STOP ${DAMP} deleteRoutes`],
    // DEVIATION: the RFC's "any other event"; §6.1 wants the header error itself.
    ['BgpHeaderErr', 'Idle', `N* STOP ${DAMP} deleteRoutes`],
    ['BgpOpenMsgErr', 'Idle', `N* STOP ${DAMP} deleteRoutes`],
    ['ConnectRetryTimerExpires', 'Idle', `N5/3 STOP ${DAMP} deleteRoutes`],
  ],
};

const CARRIED = { code: 99, subcode: 1, data: Uint8Array.of(7) };

function eventOf(type: FsmEventType): FsmEvent {
  const notifying = (NOTIFYING_EVENTS as readonly string[]).includes(type);
  return (notifying ? { type, notification: CARRIED } : { type }) as FsmEvent;
}

function shorthand(state: SessionState, type: FsmEventType): string {
  const { actions, notification } = step(state, eventOf(type));
  const text = actions.join(' ').replace('stopConnectRetryTimer releaseResources dropTcp', 'STOP');
  const what = notification === CARRIED ? '*' : `${notification?.code}/${notification?.subcode}`;
  return text.replace('sendNotification', `N${what}`);
}

for (const [state, rows] of Object.entries(TABLE) as [SessionState, readonly Row[]][]) {
  t.test(state, (t) => {
    for (const [type, next, actions] of rows) {
      t.equal(step(state, eventOf(type)).state, next, `${type} leads to ${next}`);
      t.equal(shorthand(state, type), actions, `${type} does: ${actions || 'nothing'}`);
    }
    const named = rows.map(([type]) => type).sort();
    t.same(named, [...PLAIN_EVENTS, ...NOTIFYING_EVENTS].sort(), 'every event stands in the table, once');
    t.end();
  });
}
