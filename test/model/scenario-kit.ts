/**
 * What scenarios are written with: the speaker, its peers, and short names for what they do.
 *
 * The speaker is AS 64512, router and cluster id 10.0.0.100. Its peers: `i1`, `i2` internal, `c1`, `c2` internal and
 * clients, `e1`, `e3` external in AS 65001, `e2` external in AS 65002.
 */
import type { PathAttributes, Peer, Segment } from './attributes.js';
import type { SpeakerIdentity } from './model.js';
import type { Operation } from './operations.js';

export const SPEAKER: SpeakerIdentity = {
  asn: 64512,
  routerId: '10.0.0.100',
  clusterId: '10.0.0.100',
  ownAddresses: ['10.0.0.100', '192.0.2.100', '2001:db8::100'],
};

export interface Scenario {
  readonly name: string;
  /** The clause it was written from. */
  readonly rfc: string;
  readonly operations: readonly Operation[];
  /** Where it is not the usual one. */
  readonly speaker?: Partial<SpeakerIdentity>;
  /** By prefix: whose path is best (`us` = ours, null = nobody's) and why every candidate is where it is. */
  readonly verdicts?: Readonly<Record<string, { best: string | null; reasons: Readonly<Record<string, string>> }>>;
  /** By peer and prefix: exactly these attributes, or null = not advertised. */
  readonly advertised?: Readonly<Record<string, Readonly<Record<string, PathAttributes | null>>>>;
  /** By prefix: the next hop for the kernel, null = none. */
  readonly fib?: Readonly<Record<string, string | null>>;
}

const internal = (id: string, n: number, more: Partial<Peer> = {}): Peer => ({
  id,
  address: `10.0.0.${n}`,
  type: 'internal',
  asn: 64512,
  routerId: `10.0.0.${n}`,
  client: false,
  families: ['ipv4-unicast', 'ipv6-unicast'],
  nextHopSelf: false,
  localAddress4: '10.0.0.100',
  localAddress6: '2001:db8::100',
  ...more,
});
const external = (id: string, n: number, asn: number, more: Partial<Peer> = {}): Peer => ({
  ...internal(id, n),
  address: `192.0.2.${n}`,
  routerId: `192.0.2.${n}`,
  type: 'external',
  asn,
  importAccept: true,
  exportAccept: true,
  localAddress4: '192.0.2.100',
  ...more,
});

export const PEERS = {
  i1: internal('i1', 1),
  i2: internal('i2', 2),
  c1: internal('c1', 11, { client: true }),
  c2: internal('c2', 12, { client: true }),
  e1: external('e1', 1, 65001),
  e2: external('e2', 2, 65002),
  e3: external('e3', 3, 65001),
} satisfies Record<string, Peer>;
export type PeerName = keyof typeof PEERS;

export const sequence = (...asns: number[]): Segment[] => (asns.length > 0 ? [{ kind: 'sequence', asns }] : []);
export const attributes = (asns: number[], nextHop: string, more: Partial<PathAttributes> = {}): PathAttributes => ({
  origin: 0,
  asPath: sequence(...asns),
  nextHop,
  ...more,
});

export const P = '203.0.113.0/24';
export const P6 = '2001:db8:1::/48';

export const up = (...names: PeerName[]): Operation[] => names.map((name) => ({ op: 'establish', peer: PEERS[name] }));
export const upWith = (name: PeerName, more: Partial<Peer>): Operation => ({
  op: 'establish',
  peer: { ...PEERS[name], ...more },
});
export const reach = (address: string, metric = 0): Operation => ({ op: 'nextHop', address, metric });
export const lose = (address: string): Operation => ({ op: 'nextHop', address });
/** `peer` says the prefix is reachable by itself, through these ASes. RFC 4271 §5: internal peers always say LOCAL_PREF. */
export const say = (peer: PeerName, asns: number[], more: Partial<PathAttributes> = {}, prefix = P): Operation => ({
  op: 'announce',
  peer,
  prefix,
  attributes: attributes(asns, PEERS[peer].address, {
    ...(PEERS[peer].type === 'internal' ? { localPref: 100 } : {}),
    ...more,
  }),
});
const everyone = Object.keys(PEERS) as PeerName[];
export const start: Operation[] = [...up(...everyone), ...everyone.map((name) => reach(PEERS[name].address))];

/** Two paths that differ at one step of the ladder and, the other way round, at every later one. */
export const contest = (best: string, reasons: Record<string, string>) => ({ verdicts: { [P]: { best, reasons } } });

/** As a reflector passes it on, first of its kind. */
export function reflected(source: PeerName, received: PathAttributes): PathAttributes {
  return { localPref: 100, ...received, originatorId: PEERS[source].routerId, clusterList: ['10.0.0.100'] };
}

export function withoutPolicy({ importAccept: _import, exportAccept: _export, ...peer }: Peer): Peer {
  return peer;
}

export function withoutIpv4({ localAddress4: _address, ...peer }: Peer): Peer {
  return peer;
}

export function withoutIpv6({ localAddress6: _address, ...peer }: Peer): Peer {
  return peer;
}
