/** TCP sockets made by descriptor: MD5 keys, GTSM, IPv6-only and binding, over loopback against the real kernel. */
import { once } from 'node:events';
import net from 'node:net';
import {
  bindSocket,
  bindToDevice,
  clearTcpMd5,
  closeSocket,
  createTcpSocket,
  encodeTcpMd5,
  listenSocket,
  setIpv6Only,
  setMinTtl,
  setTcpMd5,
  setTrafficClass,
  setTtl,
  socketName,
  SystemError,
} from 'netlink';
import t, { type Test } from 'tap';

const loopback4 = Uint8Array.of(127, 0, 0, 1);
const loopback6 = Uint8Array.from([...new Array<number>(15).fill(0), 1]);
const any6 = new Uint8Array(16);

/** A server on a descriptor of ours; every connection is answered with "ok". */
async function serve(t: Test, fd: number): Promise<number> {
  listenSocket(fd);
  const { port } = socketName(fd);
  const server = net.createServer((socket) => socket.on('error', () => undefined).end('ok'));
  server.listen({ fd });
  await once(server, 'listening');
  t.teardown(() => server.close());
  return port;
}

/** "ok" when connected and answered; undefined when nothing came within `waitMs`. */
async function dial(fd: number, host: string, port: number, waitMs = 400): Promise<string | undefined> {
  const socket = new net.Socket({ fd });
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(undefined), waitMs);
      socket.on('error', (error) => (clearTimeout(timer), reject(error)));
      socket.on('data', (data) => (clearTimeout(timer), resolve(String(data))));
      socket.connect({ host, port });
    });
  } finally {
    socket.destroy();
  }
}

t.test('MD5: the right key connects, a wrong or missing one is ignored', async (t) => {
  const listener = createTcpSocket(4);
  bindSocket(listener, loopback4, 0);
  setTcpMd5(listener, 4, { address: loopback4 }, 's3cret');
  const port = await serve(t, listener);

  const right = createTcpSocket(4);
  bindSocket(right, loopback4, 0);
  setTcpMd5(right, 4, { address: loopback4 }, 's3cret');
  t.equal(await dial(right, '127.0.0.1', port, 5000), 'ok');

  const wrong = createTcpSocket(4);
  setTcpMd5(wrong, 4, { address: loopback4 }, 'other');
  t.equal(await dial(wrong, '127.0.0.1', port), undefined);
  t.equal(await dial(createTcpSocket(4), '127.0.0.1', port), undefined);

  clearTcpMd5(listener, 4, { address: loopback4 });
  clearTcpMd5(listener, 4, { address: loopback4 });
  t.equal(await dial(createTcpSocket(4), '127.0.0.1', port, 5000), 'ok', 'without key again');
});

t.test('MD5 for a prefix, on a dual-stack listener, for both families', async (t) => {
  const listener = createTcpSocket(6);
  setIpv6Only(listener, false);
  bindSocket(listener, any6, 0);
  setTcpMd5(listener, 6, { address: Uint8Array.of(127, 0, 0, 0), prefixLength: 8 }, 'four');
  setTcpMd5(listener, 6, { address: loopback6 }, 'six');
  const port = await serve(t, listener);

  const four = createTcpSocket(4);
  setTcpMd5(four, 4, { address: loopback4 }, 'four');
  t.equal(await dial(four, '127.0.0.1', port, 5000), 'ok');
  const six = createTcpSocket(6);
  setTcpMd5(six, 6, { address: loopback6 }, 'six');
  t.equal(await dial(six, '::1', port, 5000), 'ok');
  t.equal(await dial(createTcpSocket(4), '127.0.0.1', port), undefined);
});

t.test('GTSM: RFC 5082 keeps out what was sent with a lower TTL', async (t) => {
  for (const [family, address, host] of [
    [4, loopback4, '127.0.0.1'],
    [6, loopback6, '::1'],
  ] as const) {
    const listener = createTcpSocket(family);
    bindSocket(listener, address, 0);
    setMinTtl(listener, family, 255);
    const port = await serve(t, listener);
    const near = createTcpSocket(family);
    setTtl(near, family, 255);
    setTrafficClass(near, family, 0xc0);
    t.equal(await dial(near, host, port, 5000), 'ok', `${host} with 255`);
    t.equal(await dial(createTcpSocket(family), host, port), undefined, `${host} with the default`);
  }
});

t.test('IPv6-only leaves the port to an IPv4 socket', (t) => {
  const six = createTcpSocket(6);
  const four = createTcpSocket(4);
  t.teardown(() => [six, four].forEach(closeSocket));
  setIpv6Only(six, true);
  bindSocket(six, any6, 0);
  listenSocket(six);
  bindSocket(four, new Uint8Array(4), socketName(six).port);
  listenSocket(four);
  t.same(socketName(four), { address: new Uint8Array(4), port: socketName(six).port });
  t.end();
});

t.test('failures carry the name of the errno', (t) => {
  const fd = createTcpSocket(4);
  t.teardown(() => closeSocket(fd));
  t.throws(() => bindSocket(fd, Uint8Array.of(192, 0, 2, 1), 0), { name: 'SystemError', code: 'EADDRNOTAVAIL' });
  t.throws(() => bindToDevice(fd, 'no-such-dev'), SystemError);
  t.throws(() => setTcpMd5(fd, 4, { address: loopback4 }, 'x'.repeat(81)), /1 to 80 octets/);
  t.throws(() => setTcpMd5(fd, 4, { address: loopback4 }, ''), RangeError);
  t.end();
});

t.test('struct tcp_md5sig, octet for octet', (t) => {
  const bytes = encodeTcpMd5(6, { address: Uint8Array.of(10, 1, 0, 0), prefixLength: 16 }, Uint8Array.of(0x61, 0x62));
  t.equal(bytes.length, 216);
  t.same([...bytes.subarray(0, 4)], [10, 0, 0, 0], 'AF_INET6, port 0');
  t.same([...bytes.subarray(8, 24)], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 0], 'IPv4-mapped');
  t.same([...bytes.subarray(128, 140)], [1, 16, 2, 0, 0, 0, 0, 0, 0x61, 0x62, 0, 0], 'flags, prefix, length, key');
  t.end();
});
