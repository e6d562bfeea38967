/** What the kernel's counters of dropped segments say about a peer that does not answer. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { Md5Watch } from '../../src/session/md5-watch.js';
import { parseTcpMd5Counters, readTcpMd5Counters, type TcpMd5Counters } from '../../src/support/tcp-md5.js';
import { FakeClock } from '../fixtures/fake-clock.js';

t.test('/proc/net/netstat', (t) => {
  const text = `TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPSackShifted
TcpExt: 9 1 22 333 4
IpExt: InNoRoutes
IpExt: 5
`;
  t.same(parseTcpMd5Counters(text), { wrong: 333, unsigned: 1, unexpected: 22 });
  t.equal(parseTcpMd5Counters(text.replace('TCPMD5Failure', 'Other')), undefined, 'a kernel without');
  t.equal(parseTcpMd5Counters('IpExt: A\nIpExt: 1\n'), undefined);
  t.equal(parseTcpMd5Counters(''), undefined);
  const here = /\sTCPMD5Failure\s/.test(readFileSync('/proc/net/netstat', 'utf8'));
  t.equal(readTcpMd5Counters() !== undefined, here, 'of this kernel');
  t.end();
});

t.test('suspicions', (t) => {
  const clock = new FakeClock();
  let counters: TcpMd5Counters | undefined = { wrong: 5, unsigned: 5, unexpected: 5 };
  let reads = 0;
  const watch = new Md5Watch(clock, () => (reads++, counters));
  const before = watch.now();
  t.equal(watch.suspicion(before, true), undefined, 'what was before is nobody’s');
  t.equal(watch.suspicion(before, false), undefined);
  t.equal(reads, 1, 'peers that ask in one moment share an answer');

  counters = { wrong: 5, unsigned: 5, unexpected: 6 };
  clock.advance(1000);
  t.equal(watch.suspicion(before, true), undefined, 'a signature that nobody expects is no matter of a password');
  t.match(watch.suspicion(before, false), /signature come to this host from where no password is set/);
  counters = { wrong: 5, unsigned: 7, unexpected: 6 };
  clock.advance(1000);
  t.match(watch.suspicion(before, true), /^segments without a TCP MD5 signature/);
  counters = { wrong: 6, unsigned: 7, unexpected: 6 };
  clock.advance(1000);
  t.match(watch.suspicion(before, true), /^segments with a wrong TCP MD5 signature/);
  t.same(watch.total, { wrong: 1, unsigned: 2, unexpected: 1 });
  t.equal(watch.suspicion(watch.now(), true), undefined, 'since then, none');
  t.equal(watch.suspicion(undefined, true), undefined);

  counters = undefined;
  clock.advance(1000);
  t.equal(watch.suspicion(before, true), undefined, 'no longer told');
  t.equal(watch.total, undefined);
  t.end();
});
