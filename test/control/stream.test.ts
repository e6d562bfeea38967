/** `/v1/monitor`: snapshot, end, changes in order, and what happens to who does not read. */
import { once } from 'node:events';
import t from 'tap';
import { WebSocket } from 'ws';
import type { MonitorEventDto } from '../../src/control/dto.js';
import { MOST_QUEUED } from '../../src/control/stream.js';
import { manyRoutes, peer, route } from './fake-queries.js';
import { startHarness, until, type Harness } from './harness.js';

function open(harness: Harness): { socket: WebSocket; events: MonitorEventDto[] } {
  const socket = new WebSocket(`ws+unix:${harness.socket}:/v1/monitor`);
  const events: MonitorEventDto[] = [];
  socket.on('message', (data: Buffer) => events.push(JSON.parse(data.toString()) as MonitorEventDto));
  return { socket, events };
}

const types = (events: MonitorEventDto[]): string => events.map((event) => event.type).join(' ');

t.test('snapshot, end-of-snapshot, changes', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const { socket, events } = open(harness);
  await until(() => events.some((event) => event.type === 'end-of-snapshot'), 'the snapshot');
  t.equal(types(events), 'peer peer route route end-of-snapshot');
  t.match(harness.queries.filters, [{ best: true }], 'the snapshot is the best routes');
  harness.queries.emit({ type: 'withdrawn', prefix: '172.18.0.0/24', family: 'ipv4-unicast' });
  harness.queries.emit({ type: 'peer', peer: peer({ state: 'Idle' }) });
  harness.queries.emit({ type: 'route', route: route({ prefix: '172.19.0.0/24' }) });
  await until(() => events.length === 8, 'the changes');
  t.equal(types(events.slice(5)), 'withdrawn peer route');
  socket.close();
  await until(() => harness.queries.listeners.size === 0, 'the subscription ends with the client');
  t.pass('unsubscribed');
});

t.test('what changes during the snapshot comes after it', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  harness.queries.routeSource = function* () {
    yield route({ prefix: '10.0.0.0/8' });
    harness.queries.emit({ type: 'withdrawn', prefix: '10.0.0.0/8', family: 'ipv4-unicast' });
    yield route({ prefix: '11.0.0.0/8' });
  };
  const { socket, events } = open(harness);
  await until(() => events.length === 6, 'all events');
  t.equal(types(events), 'peer peer route route end-of-snapshot withdrawn');
  socket.terminate();
});

t.test('a client that does not read is told what it missed', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  const { socket, events } = open(harness);
  await until(() => events.length === 5, 'the snapshot');
  socket.pause();
  const COUNT = 50_000;
  let emitted = 0;
  for (const change of manyRoutes(COUNT)) {
    harness.queries.emit({ type: 'route', route: change });
    // In turns, as a speaker would: the server sends as much as the client takes.
    if (++emitted % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  socket.resume();
  await until(() => events.some((event) => event.type === 'lagged'), 'the gap is told');
  await until(() => {
    const missed = events.reduce((sum, event) => sum + (event.type === 'lagged' ? event.missed : 0), 0);
    const got = events.filter((event) => event.type === 'route').length - 2;
    return missed + got === COUNT;
  }, 'every change is either sent or counted as missed');
  const got = events.filter((event) => event.type === 'route').length - 2;
  t.ok(got >= MOST_QUEUED && got < COUNT, `${got} were sent`);
  harness.queries.emit({ type: 'withdrawn', prefix: '10.0.0.0/8', family: 'ipv4-unicast' });
  await until(() => events.at(-1)?.type === 'withdrawn', 'and it goes on');
  socket.terminate();
});

t.test('a long snapshot leaves the event loop free', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  harness.queries.routeSource = () => manyRoutes(100_000);
  let turns = 0;
  const ticker = setInterval(() => turns++, 1);
  t.teardown(() => clearInterval(ticker));
  const { socket, events } = open(harness);
  await until(() => events.at(-1)?.type === 'end-of-snapshot', 'the snapshot');
  t.equal(events.length, 100_003);
  t.ok(turns > 20, `${turns} turns`);
  socket.terminate();
});

t.test('a table that cannot be read ends that monitor only', async (t) => {
  const harness = await startHarness();
  t.teardown(() => harness.close());
  harness.queries.routeSource = () => {
    throw new Error('inside');
  };
  const { socket } = open(harness);
  const [code] = (await once(socket, 'close')) as [number];
  t.equal(code, 1011);
  await until(() => harness.queries.listeners.size === 0, 'the subscription ends');
});

t.test('refusals', async (t) => {
  const harness = await startHarness({ http: { host: '127.0.0.1', port: 0 } });
  t.teardown(() => harness.close());
  const tcp = `ws://127.0.0.1:${harness.server.httpPort}`;
  const cases: [url: string, options: object, status: number][] = [
    [`ws+unix:${harness.socket}:/v1/routes`, {}, 404],
    [`ws+unix:${harness.socket}:/v1/monitor?x=1`, {}, 400],
    [`${tcp}/v1/monitor`, { origin: 'http://evil.example' }, 403],
  ];
  for (const [url, options, status] of cases) {
    const socket = new WebSocket(url, options);
    const [error] = (await once(socket, 'error')) as [Error];
    t.match(error.message, String(status), url);
  }
  const allowed = new WebSocket(`${tcp}/v1/monitor`, { origin: tcp.replace('ws:', 'http:') });
  await once(allowed, 'open');
  allowed.terminate();
});

t.test('the end of the server ends its monitors', async (t) => {
  const harness = await startHarness();
  const { socket, events } = open(harness);
  await until(() => events.length === 5, 'the snapshot');
  const closed = once(socket, 'close');
  await harness.close();
  await closed;
  await until(() => harness.queries.listeners.size === 0, 'the subscription ends');
  t.pass('closed');
});
