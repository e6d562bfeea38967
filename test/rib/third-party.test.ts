/** RFC 4271 §5.1.3: on a link that external peers share, a route keeps its neighbour as the next hop; nobody else's. */
import t from 'tap';
import { parseAddress, parseIpv4Number } from 'bgp-parse';
import { Pipeline } from '../../src/pipeline.js';
import type { SessionSink } from '../../src/session/types.js';
import { Heard } from '../reflector/fixtures/heard.js';
import { announce } from '../reflector/fixtures/say.js';

const OWN = '192.0.2.1';
const STILL = {
  nowMs: () => 0,
  wallMs: () => 0,
  after: () => () => undefined,
  every: () => () => undefined,
  soon: () => undefined,
};

class ExternalPeer implements SessionSink {
  readonly heard = new Heard();
  readonly backlogBytes = 0;
  readonly #say: (bytes: Uint8Array) => void;

  constructor(
    pipeline: Pipeline,
    address: string,
    asn: number,
    more: { nextHopSelf?: boolean; onLink?: boolean } = {},
  ) {
    const { nextHopSelf = false, onLink = true } = more;
    const session = {
      ...{ address: parseAddress(address)!, asn, external: true, routeReflectorClient: false, identifier: asn },
      ...{ fourOctetAs: true, families: ['ipv4-unicast'] as const, addPathReceive: [], extendedNextHop: false },
      ...{ importAccept: true, interfaceName: undefined },
    };
    const rib = pipeline.rib.addPeer(session)!;
    pipeline.rib.establish(rib, session, []);
    pipeline.exporter.join(rib.id, this, {
      ...{ family: 'ipv4-unicast', familyIndex: 0, external: true, client: false, clientToClient: true, accept: true },
      ...{ fourOctetAs: true, extendedNextHop: false, addPathLimit: 0, maxMessageLength: 4096, nextHopSelf },
      rules: onLink ? { subnet: { bytes: parseAddress(OWN)!, prefixLength: 24 } } : undefined,
      nextHop: parseAddress(OWN)!,
    });
    this.#say = (bytes) => {
      const error = pipeline.rib.receive(rib, bytes, 19, bytes.length);
      if (error) throw error;
    };
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.heard.push(bytes, start, end);
    return false;
  }

  says(prefix: string, nextHop: string, asn: number): void {
    this.#say(announce([prefix], { nextHop, asPath: [asn] }));
  }
}

t.test('who hears which next hop', (t) => {
  const id = parseIpv4Number('10.0.0.1')!;
  const identity = { asn: 64512, routerId: id, clusterId: id };
  const pipeline = new Pipeline({ identity, clock: STILL, seed: 1, fib: undefined, onEndOfRib: () => undefined });
  const a = new ExternalPeer(pipeline, '192.0.2.2', 65001);
  const b = new ExternalPeer(pipeline, '192.0.2.3', 65002);
  const self = new ExternalPeer(pipeline, '192.0.2.4', 65003, { nextHopSelf: true });
  const away = new ExternalPeer(pipeline, '203.0.113.9', 65004, { onLink: false });
  a.says('10.1.0.0/24', '192.0.2.2', 65001);
  a.says('10.2.0.0/24', '192.0.2.3', 65001);
  a.says('10.3.0.0/24', '192.0.2.77', 65001);
  a.says('10.4.0.0/24', '198.51.100.9', 65001);
  away.says('10.5.0.0/24', '203.0.113.9', 65004);
  pipeline.turn();
  const hops = (peer: ExternalPeer): string =>
    [1, 2, 3, 4, 5].map((number) => peer.heard.routes.get(`10.${number}.0.0/24`)?.nextHop ?? '-').join(' ');
  t.equal(hops(b), `192.0.2.2 ${OWN} ${OWN} ${OWN} ${OWN}`, 'the source itself, and never the address of who is told');
  t.equal(hops(self), `${OWN} ${OWN} ${OWN} ${OWN} ${OWN}`, 'nextHopSelf');
  t.equal(hops(away), `${OWN} ${OWN} ${OWN} ${OWN} -`, 'not on the link');
  t.equal(hops(a), `- - - - ${OWN}`);
  t.end();
});
