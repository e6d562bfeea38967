/**
 * Every key of the configuration: its kind, default, unit, meaning, and what changing it does to a running daemon.
 * The one source: the loader checks with it, `docs/configuration.md` and `docs/configuration.schema.json` are written
 * from it, and `resolve.ts` takes its defaults from `DEFAULTS`. By part: `schema-peers.ts`, `schema-host.ts`,
 * `policy-schema.ts`.
 */
import { FAMILIES } from 'bgp-parse';
import { POLICY_ROOT_KEYS } from './policy-schema.js';
import { HOST_ROOT_KEYS, NETWORK_KEYS } from './schema-host.js';
import { GROUP_KEYS, PEER_KEYS, RANGE_KEYS } from './schema-peers.js';
import {
  address,
  asn,
  boolean,
  dottedQuad,
  either,
  hostPort,
  integer,
  list,
  map,
  named,
  oneOf,
  text,
  key,
  seconds,
  type Values,
} from './kinds.js';

export { NETWORK_KEYS } from './schema-host.js';
export { GROUP_KEYS, PEER_KEYS, PEER_OPTION_KEYS, RANGE_KEYS } from './schema-peers.js';
export type { RawPeer, RawPeerOptions, RawRange } from './schema-peers.js';

/** Values used where the file says nothing. Times are seconds. */
export const DEFAULTS = {
  listen: ['0.0.0.0', '::'],
  port: 179,
  peerPort: 179,
  holdTime: 90,
  /** keepaliveTime is a third of the hold time (RFC 4271 §10). */
  keepaliveDivisor: 3,
  connectRetryTime: 30,
  families: FAMILIES,
  restartTime: 120,
  /** A day. */
  staleTime: 86_400,
  multihopTtl: 255,
  addPath: { send: 'best', receive: true },
  maxPeers: 10_000,
  bfd: { minTxMs: 300, minRxMs: 300, multiplier: 3 },
  multipath: { ebgp: 1, ibgp: 1, asPath: 'length' },
  fib: { enabled: true, table: 254, protocol: 186, metric: 20, nexthopObjects: 'auto', backup: true },
  encapsulation: {
    mode: 'vxlan',
    when: 'crossSubnet',
    vni: 179,
    port: 4789,
    interface: { vxlan: 'tortie-vxlan', ipip: 'tortie-ipip' },
    hosts: ['0.0.0.0/0', '::/0'],
  },
  limits: { asPathLength: 1000, communities: 1000, pendingSessions: 1024, openTime: 60 },
  socket: '/run/tortie/control.sock',
  logLevel: 'info',
} as const;
export const ROOT_KEYS = {
  asn: key(asn, 'sessions', undefined, 'Our AS number.'),
  routerId: key(
    dottedQuad,
    'sessions',
    "derived from the node's own addresses, and logged",
    'BGP identifier of this node (RFC 6286).',
  ),
  listen: key(list(address), 'live', '["0.0.0.0", "::"]', 'Addresses to accept connections on; `[]` = never accept.'),
  port: key(integer(1, 65535), 'live', '179', 'TCP port to accept connections on.'),
  networks: key(
    list(map(NETWORK_KEYS)),
    'live',
    '[]',
    'What this node originates; each entry has a prefix or an interface.',
  ),
  clusterId: key(dottedQuad, 'sessions', 'the router id', 'Route reflector cluster (RFC 4456).'),
  clientToClientReflection: key(
    boolean,
    'live',
    'true',
    'Reflect routes of clients to other clients. `false` = only to non-clients and external peers, for clients that are meshed among themselves.',
  ),
  decision: key(
    map({
      alwaysCompareMed: key(
        boolean,
        'live',
        'false',
        'Compare the MED of paths of different neighbouring ASes, too. Must be the same on all nodes of the AS.',
      ),
      deterministicMed: key(
        boolean,
        'live',
        'true',
        'MEDs are compared within all paths of a neighbouring AS at once. `false` = two paths at a time, as routers without deterministic MED do, but in a fixed order instead of that of arrival ([decision.md](decision.md)). Must be the same on all nodes of the AS.',
      ),
    }),
    'live',
    'see below',
    'The choice of the best path.',
  ),
  groups: key(named(map(GROUP_KEYS)), 'live', '{}', "Settings shared by peers; a peer's own keys win."),
  peers: key(list(map(PEER_KEYS)), 'live', '[]', 'Configured peers.'),
  listenRanges: key(list(map(RANGE_KEYS)), 'live', '[]', 'Dynamic peers.'),
  multipath: key(
    map({
      ebgp: key(integer(1, 64), 'live', '1', 'Most paths of external peers that share the traffic of a prefix.'),
      ibgp: key(integer(1, 64), 'live', '1', 'Most paths of internal peers that share the traffic of a prefix.'),
      asPath: key(
        oneOf('length', 'exact'),
        'live',
        'length',
        'What the AS_PATH of paths that share must have in common: its length, or every AS number.',
      ),
    }),
    'live',
    '{ebgp: 1, ibgp: 1, asPath: length}',
    'Several paths of one prefix in the kernel (ECMP), weighted by link bandwidth communities where every path has one. Which paths may share is told in [decision.md](decision.md).',
  ),
  advertise: key(
    oneOf('always', 'whenInstalled'),
    'live',
    'always',
    'When routes learnt from peers go to other peers. `whenInstalled`: once they are in the kernel, and no longer than they are (docs/host.md); needs `fib.enabled`.',
  ),
  ...HOST_ROOT_KEYS,
  ...POLICY_ROOT_KEYS,
  limits: key(
    map({
      asPathLength: key(
        integer(1, 16383),
        'live',
        '1000',
        'Most AS numbers in the AS_PATH of a route. A longer one is treated as withdrawn, counted with the malformed ones and named in the log; what is there stays.',
      ),
      communities: key(
        integer(1, 16383),
        'live',
        '1000',
        'Most communities of a route: standard, large and extended ones together. With more it is treated as withdrawn, likewise.',
      ),
      pendingSessions: key(
        integer(1, 65000),
        'live',
        '1024',
        'Most dynamic peers (`listenRanges`) that have connected and are not Established yet; whoever comes beyond is refused.',
      ),
      openTime: key(
        integer(1, 240),
        'live',
        '60',
        'How long such a connection may last without an OPEN message. Configured peers have 240 seconds (RFC 4271 §8.2.2).',
        seconds,
      ),
      messageRate: key(
        integer(10, 10_000_000),
        'live',
        'as many as come',
        'Most messages that are read from a peer in a second, of all types together. What is beyond waits in the peer, by the means of TCP; nothing is lost, no session ends, and stale routes wait for it up to an hour. A full table is some hundred thousand messages.',
      ),
    }),
    'live',
    '{asPathLength: 1000, communities: 1000, pendingSessions: 1024, openTime: 60}',
    'What peers may ask of this node; SECURITY.md lists all limits.',
  ),
  control: key(
    map({
      socket: key(text(107), 'restart', '/run/tortie/control.sock', 'Path of the Unix socket `bgpctl` talks to.'),
      mode: key(
        oneOf('0600', '0660'),
        'restart',
        '"0660"',
        'Permissions of the socket, in quotes: whoever may write to it may give commands.',
      ),
      group: key(
        either(integer(0, 4294967294), text(32)),
        'restart',
        "the daemon's group",
        'Group of the socket: a name of /etc/group, or a number.',
      ),
      http: key(
        hostPort,
        'restart',
        'off',
        'HTTP listener: everybody who reaches it may read; commands need `tokenFile`.',
      ),
      tokenFile: key(
        text(4096),
        'live',
        'none, read-only',
        'File whose only line (16 to 255 characters) is the token that commands over `http` must show (`Authorization: Bearer TOKEN`); read at the start and at every reload.',
      ),
    }),
    'restart',
    'see below',
    'The control server.',
  ),
  log: key(
    map({ level: key(oneOf('debug', 'info', 'warn', 'error'), 'live', 'info', 'Least level that is logged.') }),
    'live',
    'see below',
    'Logging.',
  ),
} as const;

export const ROOT = map(ROOT_KEYS);

export type RawConfig = Values<typeof ROOT_KEYS>;
