/**
 * Whatever happens in whatever order: nothing throws, nothing is left behind. First the machine alone, then a session
 * against a peer that does random things over real TCP, on a fake clock.
 */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { encodeNotification, encodeRouteRefresh, keepaliveMessage } from 'bgp-parse';
import { NOTIFYING_EVENTS, PLAIN_EVENTS, step } from '../../src/session/fsm.js';
import type { FsmEvent } from '../../src/session/fsm.js';
import type { SessionState } from '../../src/session/types.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { RawPeer, rawOpen } from '../fixtures/raw-peer.js';
import { openHost, until } from '../fixtures/session-rig.js';

const notification = { code: 6, subcode: 4, data: new Uint8Array(0) };
const anyEvent: fc.Arbitrary<FsmEvent> = fc.oneof(
  fc.constantFrom(...PLAIN_EVENTS).map((type) => ({ type })),
  fc.constantFrom(...NOTIFYING_EVENTS).map((type) => ({ type, notification })),
);

t.test('the machine: no connection, timer or route survives its state', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
      let state: SessionState = 'Idle';
      let tcp = false;
      let retryTimer = false;
      let sessionTimers = false;
      let routes = false;
      for (const event of events) {
        // What the network cannot bring about: a TCP event without a connection to bring it.
        const incoming = event.type === 'TcpConnectionConfirmed' || event.type === 'TcpCrAcked';
        if (incoming && (state === 'Connect' || state === 'Active')) tcp = true;
        if (event.type === 'TcpConnectionFails') tcp = false;
        const result = step(state, event);
        for (const action of result.actions) {
          if (action === 'initiateTcp') tcp = true;
          if (action === 'dropTcp') tcp = false;
          if (action === 'startConnectRetryTimer') retryTimer = true;
          if (action === 'stopConnectRetryTimer') retryTimer = false;
          if (action === 'startOpenHoldTimer') sessionTimers = true;
          if (action === 'releaseResources') sessionTimers = false;
          if (action === 'established') routes = true;
          if (action === 'deleteRoutes') routes = false;
          if (action === 'sendNotification' && !result.notification) throw new Error('nothing to send');
        }
        state = result.state;
        const talking = state === 'OpenSent' || state === 'OpenConfirm' || state === 'Established';
        if (routes !== (state === 'Established')) throw new Error(`${state}: routes ${routes}`);
        if (sessionTimers !== talking) throw new Error(`${state}: session timers ${sessionTimers}`);
        if (state === 'Idle' && (tcp || retryTimer)) throw new Error(`Idle: tcp ${tcp}, retry timer ${retryTimer}`);
        if (state === 'Active' && tcp) throw new Error('Active: a connection');
        if (talking && retryTimer) throw new Error(`${state}: the retry timer runs`);
      }
    }),
    { numRuns: runs(5000) },
  );
  t.end();
});

// Coming up stands here more than once, else hardly any session would.
const ACTIONS = [
  'establish',
  'establish',
  'establish',
  'wait',
  'open',
  'keepalive',
  'update',
  'refresh',
  'notify',
  'garbage',
  'badOpen',
  'dial',
  'close',
  'reset',
  'wait',
  'long',
  'stop',
  'start',
] as const;
const UPDATE = Uint8Array.of(...new Array<number>(16).fill(0xff), 0, 23, 2, 0, 0, 0, 0);

t.test('the session: random peers, random operators', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...ACTIONS), { maxLength: 40 }),
      fc.boolean(),
      async (actions, graceful) => {
        const clock = new FakeClock();
        const peer = await RawPeer.listen('127.0.77.2');
        const host = await openHost('127.0.77.1', { clock });
        const { session, listener } = host.session('127.0.77.2', {
          port: peer.port,
          routerId: 5,
          gracefulRestart: graceful ? { restartTimeSeconds: 9 } : undefined,
        });
        session.start();
        const ended: Promise<void>[] = [];
        for (const action of actions) {
          const raw = peer.connections.at(-1);
          if (action === 'establish') raw?.send(rawOpen(), keepaliveMessage);
          if (action === 'open') raw?.send(rawOpen());
          if (action === 'keepalive') raw?.send(keepaliveMessage);
          if (action === 'update') raw?.send(UPDATE);
          if (action === 'refresh') raw?.send(encodeRouteRefresh({ family: 'ipv6-unicast' }));
          if (action === 'notify') raw?.send(encodeNotification(notification));
          if (action === 'garbage') raw?.send(Uint8Array.of(1, 2, 3, ...new Array<number>(40).fill(9)));
          if (action === 'badOpen') raw?.send(rawOpen({ holdTimeSeconds: 1 }));
          if (action === 'dial') await peer.dial(host.address, host.port, '127.0.77.2').catch(() => undefined);
          if (action === 'close') raw?.socket.destroy();
          if (action === 'reset') session.reset('because');
          if (action === 'stop') ended.push(session.stop(2, 'over'));
          if (action === 'start') session.start();
          if (action === 'long') clock.advance(100_000);
          if (action === 'wait') clock.advance(700);
          await new Promise((resolve) => setTimeout(resolve, 1));
          const balance = listener.events.filter((event) => event !== 'refresh ipv6-unicast 0');
          balance.forEach((event, index) => t.equal(event, index % 2 === 0 ? 'established' : 'down', 'they alternate'));
          if (session.established !== (balance.length % 2 === 1))
            throw new Error('established and not told, or the reverse');
        }
        const closed = session.dispose();
        await until(
          () => peer.openConnections === 0,
          'all connections closed',
          () => clock.advance(100),
        );
        await Promise.all([closed, ...ended]);
        if (session.state !== 'Idle') throw new Error(`state ${session.state} after the end`);
        await until(
          () => clock.pending === 0,
          'no timer left',
          () => clock.advance(100),
        );
        await host.close();
        await peer.close();
      },
    ),
    { numRuns: runs(60) },
  );
});
