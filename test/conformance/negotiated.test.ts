/** What two OPENs come to where an RFC has a rule for the odd case. */
import t from 'tap';
import { decodeOpen, encodeOpen, parseAddress } from 'bgp-parse';
import type { Capability, OpenMessage } from 'bgp-parse';
import { parseConfig } from '../../src/config/load.js';
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

const address = parseAddress('192.0.2.1')!;
const CONTEXT = {
  localAsn: 64512,
  peerAsn: 64512,
  localAddress: address,
  peerAddress: address,
  localPort: 179,
  peerPort: 179,
  keepaliveTimeSeconds: 30,
};

t.test('ADD-PATH: only where one offers to send and the other to receive (RFC 7911 §4, §5)', (t) => {
  const offers = (mode: number): OpenMessage => open({ kind: 'addPath', entries: [{ ...FAMILY, mode }] });
  const family = ['ipv4-unicast'];
  for (const ours of [0, 1, 2, 3]) {
    for (const theirs of [0, 1, 2, 3]) {
      const { addPathReceive, addPathSend } = negotiate(offers(ours), offers(theirs), CONTEXT);
      // 1: receives, 2: sends.
      const receives = (ours === 1 || ours === 3) && (theirs === 2 || theirs === 3);
      const sends = (ours === 2 || ours === 3) && (theirs === 1 || theirs === 3);
      t.same(addPathReceive, receives ? family : [], `${ours} and ${theirs}: what we expect`);
      t.same(addPathSend, sends ? family : [], `${ours} and ${theirs}: what we send`);
    }
  }
  t.end();
});

t.test('ADD-PATH: a value other than 1, 2 and 3 is no offer (RFC 7911 §4)', (t) => {
  for (let mode = 0; mode < 256; mode++) {
    const bytes = openOctets({
      capabilities: [
        [1, 4, 0, 1, 0, 1],
        [69, 4, 0, 1, 1, mode],
      ],
    });
    const theirs = decodeOpen(bytes, 19, bytes.length);
    const kinds = theirs.capabilities.map(({ kind }) => kind);
    const wanted = mode >= 1 && mode <= 3;
    if (kinds.includes('addPath') !== wanted) t.fail(`${mode}: ${kinds.join(', ')}`);
    const ours = open({ kind: 'addPath', entries: [{ ...FAMILY, mode: 3 }] });
    const { addPathReceive, addPathSend } = negotiate(ours, theirs, CONTEXT);
    if (addPathReceive.length + addPathSend.length > 0 !== wanted) t.fail(`${mode}: ${addPathReceive} ${addPathSend}`);
  }
  t.end();
});

t.test('graceful restart: Restart State while we restart, and then only (RFC 4724 §4.1, §4.2)', async (t) => {
  const peer = { address: '192.0.2.1', asn: 64513, gracefulRestart: {} };
  const { peers } = await parseConfig(JSON.stringify({ asn: 64512, routerId: '10.0.0.1', peers: [peer] }), 'plain');
  for (const restarting of [true, false]) {
    const context = { localAsn: 64512, routerId: 1, level: 0, restarting, forwardingPreserved: [] } as const;
    const bytes = encodeOpen(offerOpen(peers[0]!, context));
    const at = bytes.findIndex((octet, i) => octet === 64 && bytes[i + 1]! % 4 === 2 && i > 28);
    t.equal(bytes[at + 2]! >> 7, restarting ? 1 : 0, `restarting: ${restarting}`);
  }
  t.end();
});

t.test('graceful restart: of several capabilities the last (RFC 4724 §3)', (t) => {
  const theirs = open(restart(10, true), restart(77, false));
  const { gracefulRestart } = negotiate(open(restart(120, false)), theirs, CONTEXT);
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

t.test('what is offered unless more is configured: nothing that brings a parser of its own', async (t) => {
  const config = { asn: 64512, routerId: '10.0.0.1', peers: [{ address: '192.0.2.1', asn: 64513 }] };
  const { peers } = await parseConfig(JSON.stringify(config), 'plain');
  const context = { localAsn: 64512, routerId: 1, level: 0, restarting: false, forwardingPreserved: [] } as const;
  const kinds = offerOpen(peers[0]!, context).capabilities.map(({ kind }) => kind);
  const plain = ['multiprotocol', 'fourOctetAs', 'routeRefresh', 'enhancedRouteRefresh', 'gracefulRestart', 'addPath'];
  t.same(
    kinds.filter((kind) => !plain.includes(kind)),
    [],
    kinds.join(', '),
  );
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
