/** What two OPENs come to where an RFC has a rule for the odd case. */
import t from 'tap';
import { decodeOpen, encodeOpen, parseAddress } from 'bgp-parse';
import type { Capability, OpenMessage } from 'bgp-parse';
import { offerOpen } from '../../src/session/open-offer.js';
import { negotiate } from '../../src/session/negotiate.js';
import { open as openOctets } from '../malformed/fixtures/compose.js';

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

t.test('graceful restart: reserved bits mean nothing, and are zero in what we send (RFC 4724 §3)', (t) => {
  const read = (value: number[]): unknown => {
    const bytes = openOctets({ capabilities: [[64, value.length, ...value]] });
    return decodeOpen(bytes, 19, bytes.length).capabilities[0];
  };
  t.same(read([0xb0 | 1, 44, 0, 1, 1, 0xff]), read([0x80 | 1, 44, 0, 1, 1, 0x80]), 'all of them set');
  t.match(read([0x30, 9, 0, 1, 1, 0x7f]), {
    restarting: false,
    notification: false,
    restartTimeSeconds: 9,
    families: [{ forwardingPreserved: false }],
  });
  // A restart time that does not fit is no reason to set them.
  for (const [restarting, preserved] of [
    [true, true],
    [false, false],
  ] as const) {
    const families = [{ ...FAMILY, forwardingPreserved: preserved }];
    const capability = { kind: 'gracefulRestart', restarting, notification: false, restartTimeSeconds: 4095, families };
    const bytes = encodeOpen(open(capability as Capability));
    const at = bytes.findIndex((octet, i) => octet === 64 && bytes[i + 1] === 6);
    t.equal(bytes[at + 2]! & 0x70, 0, 'restart flags');
    t.equal(bytes[at + 7]! & 0x7f, 0, 'flags of the family');
    t.equal(bytes[at + 7]! >> 7, preserved ? 1 : 0);
  }
  t.end();
});

t.test('what we offer: each capability once, whatever is configured (RFC 4724 §3, RFC 5492 §4, RFC 7911 §4)', (t) => {
  const peer = {
    families: ['ipv4-unicast', 'ipv6-unicast'],
    holdTimeSeconds: 90,
    gracefulRestart: { restartTimeSeconds: 120, longLived: { staleTimeSeconds: 3600 } },
    extendedMessages: true,
    extendedNextHop: true,
    addPath: { send: 'all', receive: true },
    role: 'peer',
  } as unknown as Parameters<typeof offerOpen>[0];
  const context = { localAsn: 4200000001, routerId: 1, level: 0, restarting: true, forwardingPreserved: [] } as const;
  const { capabilities } = offerOpen(peer, context);
  const kinds = capabilities.map(({ kind }) => kind).filter((kind) => kind !== 'multiprotocol');
  t.equal(new Set(kinds).size, kinds.length, kinds.join(', '));
  t.ok(kinds.includes('gracefulRestart') && kinds.includes('addPath') && kinds.length >= 8);
  const texts = capabilities.map((capability) => JSON.stringify(capability));
  t.equal(new Set(texts).size, texts.length, 'nor one family twice');
  const addPath = capabilities.find(({ kind }) => kind === 'addPath');
  t.match(addPath, { entries: [{ afi: 1 }, { afi: 2 }] }, 'all families in one');
  t.end();
});
