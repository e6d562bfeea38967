/** What two OPENs come to where an RFC has a rule for the odd case. */
import t from 'tap';
import { parseAddress } from 'bgp-parse';
import type { Capability, OpenMessage } from 'bgp-parse';
import { negotiate } from '../../src/session/negotiate.js';

const FAMILY = { afi: 1, safi: 1 };

function restart(restartTimeSeconds: number, restarting: boolean): Capability {
  const families = [{ ...FAMILY, forwardingPreserved: restarting }];
  return { kind: 'gracefulRestart', restarting, notification: false, restartTimeSeconds, families };
}

const open = (...capabilities: Capability[]): OpenMessage => ({
  version: 4,
  asn: 64512,
  holdTimeSeconds: 90,
  identifier: 1,
  capabilities: [{ kind: 'multiprotocol', ...FAMILY }, ...capabilities],
});

t.test('graceful restart: of several capabilities the last (RFC 4724 §3)', (t) => {
  const address = parseAddress('192.0.2.1')!;
  const { gracefulRestart } = negotiate(open(restart(120, false)), open(restart(10, true), restart(77, false)), {
    localAsn: 64512,
    peerAsn: 64512,
    localAddress: address,
    peerAddress: address,
    localPort: 179,
    peerPort: 179,
    keepaliveTimeSeconds: 30,
  });
  t.match(gracefulRestart, { restartTimeSeconds: 77, restarting: false, forwardingPreserved: [] });
  t.end();
});
