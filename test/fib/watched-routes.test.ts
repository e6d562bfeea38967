/** Whether others have a route to a prefix, exactly, followed live: against the real kernel. */
import t from 'tap';
import { Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up', 'addr add 192.168.245.168/24 dev ens33']);
  ipBatch(['addr add fd00:245::168/64 dev ens33 nodad']);
}

t.test('default routes and others: there, gone, of no use, ours', options, async (t) => {
  ip('route add default via 192.168.245.1 proto static');
  for (const watchOnly of [false, true]) {
    const harness = new Harness({ watchOnly, enabled: !watchOnly });
    t.teardown(() => harness.fib.stop(false));
    await harness.fib.start();
    const sees = (...prefixes: string[]) =>
      until(prefixes.join(' ') || 'nothing', () => harness.present.join(' ') === prefixes.join(' '));
    harness.fib.watchRoutes(['0.0.0.0/0', '203.0.113.0/24', '::/0']);
    await sees('0.0.0.0/0');
    ip('route add 203.0.113.0/24 via 192.168.245.2 proto static');
    await sees('0.0.0.0/0', '203.0.113.0/24');
    ip('-6 route add default via fd00:245::1 proto static');
    await sees('0.0.0.0/0', '203.0.113.0/24', '::/0');
    ip('route del default via 192.168.245.1 proto static');
    await sees('203.0.113.0/24', '::/0');
    ip('route replace blackhole 203.0.113.0/24 proto static');
    await sees('::/0');
    // A part of it, a larger one, and one of our own protocol do not count.
    ip('route add default via 192.168.245.1 proto bgp metric 20');
    ip('route add 203.0.112.0/23 via 192.168.245.2 proto static');
    ip('-6 route del default via fd00:245::1 proto static');
    await sees();
    ip('route replace default via 192.168.245.1 proto static metric 0');
    await sees('0.0.0.0/0');
    harness.fib.watchRoutes([]);
    await sees();
    ip('route del 203.0.112.0/23');
    ip('route del blackhole 203.0.113.0/24');
    await harness.fib.stop(false);
    ip('route flush proto bgp');
  }
});
