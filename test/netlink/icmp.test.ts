/** ICMP echo over loopback for both families, and its silence. */
import { encodeEcho, internetChecksum, ping } from 'netlink';
import t from 'tap';

const root = process.getuid?.() === 0 || process.env.TORTIE_NO_SKIP === '1';
const needsRoot = root ? {} : { skip: 'raw sockets need root' };

t.test('IPv4 and IPv6 replies with TTL and time', needsRoot, async (t) => {
  for (const address of ['127.0.0.1', '::1', '0:0:0:0:0:0:0:1']) {
    const replies = await ping(address, { count: 2, intervalMs: 1 });
    t.match(replies, [
      { sequence: 1, ttl: 64 },
      { sequence: 2, ttl: 64 },
    ]);
    t.equal(replies[0]?.from, address.includes(':') ? '::1' : address);
    t.ok(replies.every((reply) => reply.rttMs >= 0));
  }
  t.match(await ping('127.0.0.1', { count: 1, source: '127.0.0.9' }), [{ from: '127.0.0.1' }]);
});

t.test('pings at the same time do not take each other’s replies', needsRoot, async (t) => {
  const results = await Promise.all(Array.from({ length: 8 }, () => ping('127.0.0.1', { count: 3, intervalMs: 2 })));
  t.same(
    results.map((replies) => replies.map((reply) => reply.sequence)),
    new Array(8).fill([1, 2, 3]),
  );
});

t.test('silence gives no reply, nonsense throws', needsRoot, async (t) => {
  // Class E is never routed: the kernel refuses it or nobody answers.
  t.same(
    await ping('240.0.0.1', { count: 1, timeoutMs: 20 }).catch((error: { code?: string }) =>
      error.code === 'EINVAL' ? [] : error,
    ),
    [],
  );
  await t.rejects(ping('nonsense'), RangeError);
  await t.rejects(ping('fe80::1%no-such-dev'), /no interface named no-such-dev/);
});

t.test('RFC 1071: a message with its checksum sums to zero', (t) => {
  const message = encodeEcho(8, 0x1234, 7);
  const checksum = internetChecksum(message);
  new DataView(message.buffer).setUint16(2, checksum);
  t.equal(internetChecksum(message), 0);
  t.not(checksum, 0);
  t.equal(internetChecksum(Uint8Array.of(0x01)), 0xfeff, 'odd length is padded with zero');
  t.end();
});
