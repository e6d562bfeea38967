/** The socket against the real kernel, in a network namespace of the test's own. */
import * as nl from 'netlink';
import t from 'tap';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from '../fib/fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ip('link add v0 type veth peer name v1');
  ip('link set v0 up');
  ip('link set v1 up');
  ip('addr add 10.0.0.1/24 dev v0');
}

function route(index: number, third: number, gatewayLast = 9): nl.RouteMessage {
  const out = new nl.RouteMessage();
  out.family = nl.AF_INET;
  out.dstLength = 24;
  out.dst.set([20, index >> 8, index & 255, third]);
  out.table = nl.RT_TABLE_MAIN;
  out.protocol = nl.RTPROT_BGP;
  out.type = nl.RTN_UNICAST;
  out.priority = 20;
  out.gatewayFamily = nl.AF_INET;
  out.gateway.set([10, 0, 0, gatewayLast]);
  out.interfaceIndex = nl.interfaceIndex('v0')!;
  return out;
}

function dumpOurs(socket: nl.NetlinkSocket): number {
  const each = new nl.RouteMessage();
  let count = 0;
  const consistent = socket.dump(
    'dump of routes',
    (writer, sequence) => nl.encodeRouteDump(writer, sequence, nl.AF_INET),
    (reader) => {
      nl.decodeRoute(reader, each);
      if (each.protocol === nl.RTPROT_BGP) count++;
    },
  );
  if (!consistent) throw new Error('dump never consistent');
  return count;
}

t.test('links and addresses', options, (t) => {
  const socket = nl.NetlinkSocket.open();
  t.teardown(() => socket.close());
  const links: nl.LinkMessage[] = [];
  socket.dump('links', nl.encodeLinkDump, (reader) => links.push(nl.decodeLink(reader)));
  t.match(
    links.find((link) => link.name === 'v0'),
    { kind: 'veth', mtu: 1500, master: 0, index: nl.interfaceIndex('v0') },
  );
  const addresses: nl.AddressMessage[] = [];
  socket.dump(
    'addresses',
    (writer, sequence) => nl.encodeAddressDump(writer, sequence, nl.AF_INET),
    (reader) => addresses.push(nl.decodeAddress(reader)),
  );
  t.match(addresses.at(-1), { prefixLength: 24, address: Uint8Array.of(10, 0, 0, 1) });
  t.end();
});

t.test('a request is acknowledged or refused by name', options, (t) => {
  const socket = nl.NetlinkSocket.open();
  t.teardown(() => socket.close());
  const add = (it: nl.RouteMessage) =>
    socket.request('add route', (writer, sequence) => {
      nl.encodeRoute(writer, nl.RTM_NEWROUTE, nl.NLM_F_CREATE | nl.NLM_F_EXCL, sequence, it);
    });
  add(route(1, 0));
  t.match(ip('route show proto bgp'), '20.0.1.0/24 via 10.0.0.9 dev v0 metric 20');
  t.throws(() => add(route(1, 0)), { name: 'NetlinkError', code: 'EEXIST', message: /^add route: EEXIST/ });
  t.throws(() => add(route(2, 1)), { code: 'EINVAL', message: /Invalid prefix for given prefix length/ });
  const far = route(2, 0);
  far.gateway.set([192, 0, 2, 1]);
  t.throws(() => add(far), { code: 'ENETUNREACH' });
  socket.request('delete', (writer, sequence) => nl.encodeRoute(writer, nl.RTM_DELROUTE, 0, sequence, route(1, 0)));
  t.equal(dumpOurs(socket), 0);
  t.end();
});

t.test(
  'a batch: one ACK, refusals by sequence number; the echo is kept from a monitor that ignores us',
  options,
  (t) => {
    const socket = nl.NetlinkSocket.open();
    const groups = [nl.RTNLGRP_IPV4_ROUTE];
    const deaf = nl.NetlinkSocket.open({ groups, ignorePortId: socket.portId });
    const monitor = nl.NetlinkSocket.open({ groups });
    t.teardown(() => [socket, deaf, monitor].forEach((each) => each.close()));
    const writer = new nl.MessageWriter();
    const sequences: number[] = [];
    for (let i = 0; i < 3000; i++) {
      sequences.push(socket.nextSequence());
      // Every third has host bits set, which the kernel refuses.
      nl.encodeRoute(writer, nl.RTM_NEWROUTE, nl.NLM_F_CREATE, sequences[i]!, route(i, i % 3 ? 0 : 1));
    }
    const refused: number[] = [];
    t.equal(
      socket.batch(writer, sequences.at(-1)!, (sequence, errno) => {
        t.equal(errno, nl.Errno.EINVAL);
        refused.push(sequence);
      }),
      'done',
    );
    t.strictSame(
      refused,
      sequences.filter((_, i) => i % 3 === 0),
    );
    t.equal(dumpOurs(socket), 2000);
    let seen = 0;
    while (monitor.receive((reader) => void (reader.portId === socket.portId && seen++)) === 'messages');
    t.equal(seen, 2000);
    t.equal(
      deaf.receive(() => undefined),
      'empty',
    );
    ip('route del 20.0.1.0/24');
    const events: number[] = [];
    t.equal(
      deaf.receive((reader) => events.push(reader.type)),
      'messages',
    );
    t.strictSame(events, [nl.RTM_DELROUTE], 'what others do is heard');
    ip('route flush proto bgp');
    t.end();
  },
);

t.test('an overrun is a result, and the socket goes on', options, (t) => {
  const monitor = nl.NetlinkSocket.open({ groups: [nl.RTNLGRP_IPV4_ROUTE], receiveBuffer: 4096 });
  t.teardown(() => monitor.close());
  ipBatch(Array.from({ length: 2000 }, (_, i) => `route add 30.${i >> 8}.${i & 255}.0/24 via 10.0.0.9`));
  const results: nl.ReceiveResult[] = [];
  do results.push(monitor.receive(() => undefined));
  while (results.at(-1) !== 'empty' && results.length < 100);
  t.ok(results.includes('overrun'));
  monitor.discard();
  ip('route del 30.0.1.0/24');
  let heard = 0;
  t.equal(
    monitor.receive(() => heard++),
    'messages',
  );
  t.equal(heard, 1);
  t.end();
});

t.test('a waiting thread is woken', (t) => {
  const fd = nl.createWakeup();
  t.strictSame(nl.pollReadable([fd], 0), []);
  nl.wake(fd);
  nl.wake(fd);
  t.strictSame(nl.pollReadable([fd], 1000), [fd]);
  nl.clearWakeup(fd);
  t.strictSame(nl.pollReadable([fd], 0), []);
  t.end();
});
