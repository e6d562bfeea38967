/** The library: two speakers in one process, over loopback, without kernel routes. */
import t from 'tap';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Speaker, parseConfig, silentLog, systemClock } from '../../src/index.js';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain: ${what}`);
}

t.test('two speakers in one process exchange routes and take them back', async (t) => {
  const [portA, portB] = [await freePort(), await freePort()];
  const config = (self: string, peer: string, port: number, peerPort: number, network: string): string =>
    JSON.stringify({
      asn: 64512,
      routerId: self,
      listen: [self],
      port,
      networks: [{ prefix: network }],
      fib: { enabled: false },
      peers: [{ address: peer, asn: 64512, localAddress: self, port: peerPort, families: ['ipv4-unicast'] }],
    });
  const dependencies = { clock: systemClock, log: silentLog };
  const a = new Speaker(
    await parseConfig(config('127.0.8.1', '127.0.8.2', portA, portB, '198.51.100.0/24'), 'a'),
    dependencies,
  );
  const textB = config('127.0.8.2', '127.0.8.1', portB, portA, '203.0.113.0/24');
  const b = new Speaker(await parseConfig(textB, 'b'), dependencies);
  t.teardown(() => Promise.all([a.stop(), b.stop()]));
  await Promise.all([a.start(), b.start()]);

  await until(() => a.peers()[0]?.state === 'Established', 'the session');
  // The next hop is a loopback address, which nobody may announce: the routes are refused, the session lives.
  await until(() => (a.peers()[0]?.malformedUpdates ?? 0) > 0, 'the refusal');
  t.equal(a.peers()[0]?.state, 'Established');
  t.match(a.peers()[0]?.notes.join(), /malformed NEXT_HOP/);
  t.equal([...a.routes({})!].length, 1, 'only its own');

  const report = await b.apply(await parseConfig(textB.replace('203.0.113.0/24', '192.0.2.0/24'), 'b'));
  t.match(report.join(), /192.0.2.0.*added.*203.0.113.0.*removed/);
  t.equal(b.peers()[0]?.state, 'Established', 'the session did not notice');
  t.equal([...b.routes({ match: '192.0.2.0/24' })!].length, 1);
  t.equal([...b.routes({ match: '203.0.113.0/24' })!].length, 0);

  t.equal(b.command('127.0.8.1', 'disable', { text: 'see you' }), undefined);
  await until(() => a.peers()[0]?.state !== 'Established', 'the end of the session');
  t.match(a.peers()[0]?.lastError, /Administrative Shutdown.*see you/s);
  t.match(b.command('127.0.8.9', 'reset'), /no such peer/);
});
