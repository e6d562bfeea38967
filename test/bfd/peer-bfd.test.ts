/** A peer's part in BFD, without a thread: between which addresses it is, whatever comes in which order. */
import t from 'tap';
import { BfdState, parseAddress } from 'bgp-parse';
import type { BfdPort, BfdTarget, BfdView } from '../../src/bfd/port.js';
import { PeerBfd } from '../../src/peer-bfd.js';
import { silentLog } from '../../src/support/log.js';
import { FakeClock } from '../fixtures/fake-clock.js';
import { PEER_DEFAULTS } from '../fixtures/session-rig.js';

t.test('a reload while it is not up yet leaves it the address of the BGP session', (t) => {
  const targets: BfdTarget[] = [];
  const port: BfdPort = {
    open(target) {
      targets.push(target);
      return {
        view: { state: BfdState.down } as BfdView,
        change: () => undefined,
        retarget: (to) => void targets.push(to),
        close: () => undefined,
      };
    },
    stop: () => Promise.resolve(),
  };
  const options = { ...PEER_DEFAULTS, bfd: { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false } };
  const bfd = new PeerBfd(options, {
    name: 'test',
    address: parseAddress('192.0.2.1')!,
    bfd: port,
    clock: new FakeClock(),
    log: silentLog,
    external: () => true,
    nodeAddresses: () => [],
    failed: () => undefined,
    recovered: () => undefined,
  });
  bfd.start();
  t.equal(targets.at(-1)!.localAddress, undefined, 'not known yet');
  const own = parseAddress('192.0.2.254')!;
  bfd.established(own);
  t.same(targets.at(-1)!.localAddress, own);
  // As a reload does.
  bfd.reconfigure({ ...options });
  bfd.start();
  t.same(targets.at(-1)!.localAddress, own);
  t.equal(targets.length, 2);
  t.end();
});
