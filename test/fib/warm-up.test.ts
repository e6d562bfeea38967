/** The FIB thread's warm-up does the work it is there for, leaves no trace in the kernel, and ends. */
import t from 'tap';
import { NetlinkSocket } from 'netlink';
import { warmUpSlices } from '../../src/fib/warm-up.js';

const settings = { table: 254, protocol: 186, metric: 20, watchOnly: false, nexthopObjects: 'auto' } as const;

t.test('it ends, in slices, with and without nexthop objects', (t) => {
  for (const nexthopObjects of ['auto', 'never'] as const) {
    let slices = 0;
    for (const slice of warmUpSlices({ ...settings, nexthopObjects })) slices += slice === undefined ? 1 : 0;
    t.ok(slices > 30 && slices < 500, `${nexthopObjects}: ${slices} slices`);
  }
  t.end();
});

t.test('it writes: a socket to nowhere is asked for as many messages as there are changes', (t) => {
  const { batch } = NetlinkSocket.prototype;
  let octets = 0;
  NetlinkSocket.prototype.batch = function (this: NetlinkSocket, writer, ...rest) {
    octets += writer.bytes.length;
    if (this.fd !== -1) throw new Error('the warm-up spoke to the kernel');
    return batch.call(this, writer, ...rest);
  };
  t.teardown(() => {
    NetlinkSocket.prototype.batch = batch;
  });
  for (const slice of warmUpSlices(settings)) if (slice !== undefined) break;
  // Three rounds of 12 x 1,024 additions or moves, of at least 44 octets each.
  t.ok(octets > 3 * 12 * 1024 * 44, `${octets} octets`);
  t.end();
});
