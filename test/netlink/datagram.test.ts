/** UDP sockets that tell TTL and interface, the poller, and where a thread runs; over loopback. */
import {
  DatagramReceiver,
  Poller,
  bindDatagram,
  closeSocket,
  connectDatagram,
  createUdpSocket,
  currentThreadId,
  interfaceIndex,
  prepareReceiver,
  processorsOf,
  sendDatagram,
  setProcessors,
  setTtl,
  socketName,
} from 'netlink';
import t from 'tap';

const loopback4 = Uint8Array.of(127, 0, 0, 1);
const loopback6 = Uint8Array.from([...new Array<number>(15).fill(0), 1]);

for (const [name, address, family] of [
  ['IPv4', loopback4, 4],
  ['IPv6', loopback6, 6],
] as const) {
  t.test(`${name}: source, TTL and interface of each datagram`, (t) => {
    const [receiving, sending] = [createUdpSocket(family), createUdpSocket(family)];
    t.teardown(() => {
      closeSocket(receiving);
      closeSocket(sending);
    });
    try {
      bindDatagram(receiving, address, 0);
    } catch (error) {
      t.match(error, { code: 'EADDRNOTAVAIL' }, 'no IPv6 here');
      t.end();
      return;
    }
    prepareReceiver(receiving, family, 65536);
    connectDatagram(sending, address, socketName(receiving).port);
    t.throws(() => bindDatagram(createUdpSocket(family), address, socketName(receiving).port), { code: 'EADDRINUSE' });

    const poller = new Poller();
    for (let i = 0; i < 20; i++) poller.add(receiving);
    t.equal(poller.wait(0), 0);
    const receiver = new DatagramReceiver();
    t.notOk(receiver.receive(receiving), 'nothing yet');
    for (const ttl of [255, 254, 1]) {
      setTtl(sending, family, ttl);
      t.equal(sendDatagram(sending, Uint8Array.of(ttl, 7)), 0);
      t.equal(poller.wait(1000), 20);
      t.ok(poller.isReady(0) && poller.isReady(19));
      t.ok(receiver.receive(receiving));
      t.same([...receiver.data.subarray(0, receiver.length)], [ttl, 7]);
      t.same([...receiver.source.subarray(0, receiver.sourceLength)], [...address]);
      t.equal(receiver.ttl, ttl);
      t.equal(receiver.interfaceIndex, interfaceIndex('lo'));
    }
    poller.clear();
    poller.add(receiving);
    t.equal(poller.wait(0), 0, 'all is read');
    t.end();
  });
}

t.test('processors of a thread', (t) => {
  const processors = processorsOf(0);
  t.ok(processors.length >= 1);
  t.same(processorsOf(currentThreadId()), processors, 'by its number, too');
  t.ok(setProcessors(0, processors.slice(-1)));
  t.same(processorsOf(0), processors.slice(-1));
  t.ok(setProcessors(0, processors));
  t.notOk(setProcessors(0, []), 'none is refused');
  t.end();
});
