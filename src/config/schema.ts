/**
 * Every key of the configuration: its kind, default, unit, meaning, and what changing it does to a running daemon.
 * The one source: the loader checks with it, `docs/configuration.md` and `docs/configuration.schema.json` are written
 * from it, and `resolve.ts` takes its defaults from `DEFAULTS`.
 */
import { FAMILIES } from 'bgp-parse';
import { POLICY_ROOT_KEYS } from './policy-schema.js';
import {
  address,
  anything,
  asn,
  boolean,
  dottedQuad,
  either,
  family,
  hostPort,
  integer,
  interfaceName,
  list,
  map,
  named,
  oneOf,
  prefix,
  text,
  tunnelName,
  type Key,
  type Kind,
  type Reload,
  type Values,
} from './kinds.js';

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

type Extra = Pick<Key<unknown>, 'unit' | 'secret'>;

function key<T>(kind: Kind<T>, reload: Reload, fallback: string | undefined, doc: string, extra: Extra = {}): Key<T> {
  return { kind, reload, fallback, doc, ...extra };
}

const seconds = { unit: 'seconds' } as const;
const asnOrType = either(asn, oneOf('internal', 'external'));
const policyName = text(64);
const policyChain = either(policyName, list(policyName));

const staleTime = integer(1, 16_777_215);
const ofFamily = key(staleTime, 'session', 'not long-lived', 'In this family.', seconds);

/** Keys that a peer, a group and a listen range share. */
export const PEER_OPTION_KEYS = {
  asn: key(
    asnOrType,
    'session',
    undefined,
    "The peer's AS number; `internal` = the same as ours, `external` = any but ours (for dynamic peers).",
  ),
  description: key(text(255), 'live', 'none', 'Free text, shown by `bgpctl`.'),
  localAddress: key(
    address,
    'session',
    'chosen by the kernel',
    'Our end of the connection. Must be of the same family as the address of the peer.',
  ),
  interface: key(
    interfaceName,
    'session',
    'none',
    'Only over this interface. Required for a link-local peer address, and for a peer without address.',
  ),
  port: key(integer(1, 65535), 'session', '179', 'TCP port of the peer.'),
  passive: key(boolean, 'live', 'false', 'Never dial, only accept.'),
  multihop: key(
    either(boolean, integer(1, 255)),
    'session',
    'false',
    'An external peer that is not directly connected. A number is the TTL to send with; `true` means 255.',
    { unit: 'hops' },
  ),
  ttlSecurity: key(
    either(boolean, integer(1, 254)),
    'session',
    'false',
    'GTSM (RFC 5082): send with TTL 255 and accept only what comes from at most this many hops away; `true` means 1. Not together with `multihop`.',
    { unit: 'hops' },
  ),
  password: key(
    text(80),
    'session',
    'none',
    'TCP MD5 signature key (RFC 2385), the same at both ends; at most 80 octets.',
    {
      secret: true,
    },
  ),
  passwordFile: key(
    text(4096),
    'session',
    'none',
    'File whose only line is the password, instead of `password`; read at the start and at every reload. A path without `/` in front is relative to the directory of this file.',
  ),
  tcpAo: key(
    anything,
    'session',
    'none',
    'Refused: TCP-AO (RFC 5925) needs Linux 6.7 or later with CONFIG_TCP_AO, and is not in this version. Use `password`.',
  ),
  holdTime: key(
    either(oneOf(0), integer(3, 65535)),
    'session',
    '90',
    'A session that is silent for so long is down (RFC 4271 §4.2). 0 = never.',
    seconds,
  ),
  keepaliveTime: key(
    integer(0, 65534),
    'session',
    'a third of `holdTime`',
    'Time between KEEPALIVE messages, less than `holdTime`; the negotiated hold time may shorten it.',
    seconds,
  ),
  connectRetryTime: key(integer(1, 65535), 'live', '30', 'Time between attempts to connect (with jitter).', seconds),
  families: key(
    list(family),
    'session',
    '[ipv4-unicast, ipv6-unicast]',
    'Address families to offer; what the peer does not offer is not used.',
  ),
  routeReflectorClient: key(boolean, 'session', 'false', 'Reflect routes to and from this internal peer (RFC 4456).'),
  nextHopSelf: key(boolean, 'session', 'false', 'Advertise ourselves as the next hop, also to internal peers.'),
  addPath: key(
    map({
      send: key(
        either(oneOf('best', 'all'), integer(1, 255)),
        'session',
        'best',
        'Paths to advertise of each prefix: the best one, all, or the best so many.',
      ),
      receive: key(boolean, 'session', 'true', 'Offer to receive several paths of a prefix.'),
    }),
    'session',
    '{send: best, receive: true}',
    'Several paths of one prefix (RFC 7911).',
  ),
  gracefulRestart: key(
    either(
      boolean,
      map({
        restartTime: key(
          integer(1, 4095),
          'session',
          '120',
          'How long the peer may keep our routes while we restart.',
          seconds,
        ),
        longLived: key(
          map({
            staleTime: key(
              either(staleTime, map({ 'ipv4-unicast': ofFamily, 'ipv6-unicast': ofFamily })),
              'session',
              '86400',
              'How long the peer may keep our routes after `restartTime`, as a last resort; one time, or one for each family. How long we keep its routes is what it asks for.',
              seconds,
            ),
          }),
          'session',
          'none',
          'Long-lived graceful restart (RFC 9494): routes outlive `restartTime`, marked LLGR_STALE and preferred least. `{}` takes the default.',
        ),
      }),
    ),
    'session',
    'true',
    'Graceful restart (RFC 4724), also over NOTIFICATIONs (RFC 8538): forwarding goes on while one side restarts.',
  ),
  prefixLimit: key(
    map({
      max: key(integer(1, 4294967295), 'live', undefined, 'Most prefixes that are taken from the peer.'),
      warnAt: key(integer(1, 4294967295), 'live', 'none', 'Number of prefixes from which a warning is logged.'),
      action: key(
        oneOf('reject', 'reset'),
        'live',
        'reject',
        'What happens above `max`: the surplus is not taken, or the session is closed (Cease, Maximum Number of Prefixes Reached).',
      ),
      restartAfter: key(
        integer(1, 86400),
        'live',
        'none',
        'Time after which a session that was reset is opened again; without it, `bgpctl peer A enable` does.',
        seconds,
      ),
    }),
    'live',
    'none',
    'Limit of received prefixes of each family, counted before any policy (with ADD-PATH, every path counts).',
  ),
  prefixLimitOut: key(
    map({
      max: key(integer(1, 4294967295), 'live', undefined, 'Most prefixes that are advertised to the peer.'),
      warnAt: key(integer(1, 4294967295), 'live', 'none', 'Number of prefixes from which a warning is logged.'),
      restartAfter: key(
        integer(1, 86400),
        'live',
        'none',
        'Time after which the session is opened again; without it, `bgpctl peer A enable` does.',
        seconds,
      ),
    }),
    'live',
    'none',
    'Limit of advertised prefixes of each family: a guard against leaks. With more to tell, the session is closed (Cease, Maximum Number of Prefixes Reached).',
  ),
  import: key(
    policyChain,
    'live',
    '`accept` for internal peers, nothing for external ones (RFC 8212)',
    'Policy for routes from the peer: the name of one, or several that are asked in turn. Built in: `accept`, `reject`, `node`.',
  ),
  export: key(
    policyChain,
    'live',
    '`accept` for internal peers, nothing for external ones (RFC 8212)',
    'Policy for routes to the peer: the name of one, or several that are asked in turn. Built in: `accept`, `reject`, `node`.',
  ),
  role: key(
    oneOf('provider', 'customer', 'peer', 'routeServer', 'routeServerClient'),
    'session',
    'none',
    'Our role towards this external peer (RFC 9234): `provider` = it is our customer. Route leaks are then kept out and not passed on.',
  ),
  roleStrict: key(boolean, 'session', 'false', 'With `role`: a peer that says no role of its own is refused.'),
  gracefulShutdown: key(
    boolean,
    'live',
    'false',
    'This peer is asked to prefer other paths than ours (RFC 8326): GRACEFUL_SHUTDOWN goes with every route, and localPref 0 to an internal peer.',
  ),
  allowAsIn: key(
    integer(1, 10),
    'session',
    '0',
    'How often our own AS number may stand in a path from the peer: for sites of one AS that meet over another.',
  ),
  asOverride: key(
    boolean,
    'live',
    'false',
    'The AS number of this external peer, in paths to it, is replaced by ours.',
  ),
  localAs: key(
    either(
      asn,
      map({
        asn: key(asn, 'session', undefined, 'Our AS number towards this peer.'),
        noPrepend: key(boolean, 'session', 'false', 'Do not put it in front of paths from the peer.'),
        replaceAs: key(boolean, 'session', 'false', 'Do not show our real AS number to the peer.'),
        dualAs: key(
          boolean,
          'session',
          'false',
          'The peer may be configured for either number: when it refuses the one, the other is tried.',
        ),
      }),
    ),
    'session',
    'our AS number',
    'Another AS number of ours towards this external peer (RFC 7705). A number means `{asn: number}`.',
  ),
  removePrivateAs: key(
    either(boolean, oneOf('all', 'replace')),
    'live',
    'false',
    "Private AS numbers (RFC 6996) in paths to this external peer: `true` = taken out where the whole path is private, `all` = taken out, `replace` = replaced by ours. The peer's own number stays.",
  ),
  nextHopUnchanged: key(boolean, 'live', 'false', 'To this external peer, routes keep the next hop they came with.'),
  sendCommunity: key(
    map({
      standard: key(boolean, 'live', 'true', 'COMMUNITIES (RFC 1997). LLGR_STALE is sent in any case.'),
      large: key(boolean, 'live', 'true', 'Large communities (RFC 8092).'),
      extended: key(boolean, 'live', 'true', 'Extended communities (RFC 4360, RFC 5701).'),
    }),
    'live',
    'all',
    'Which communities the peer is sent.',
  ),
  defaultOriginate: key(
    either(
      boolean,
      map({
        families: key(list(family), 'live', 'those of the session', 'Families in which it is sent.'),
        when: key(
          either(prefix, list(prefix)),
          'live',
          'always',
          'Only while there is a route to one of these prefixes, exactly: a best path that does not come from this peer, or a route of others in the kernel. Each family has its own; without a prefix of a family it is not sent there.',
        ),
        policy: key(
          policyChain,
          'live',
          'none, it goes out as it is',
          'Policies that this one route goes through: they may change or reject it.',
        ),
      }),
    ),
    'live',
    'false',
    'The peer is sent a default route that leads to this node, in the place of any other one, and whatever `export` says. It is not installed here (docs/protocol.md).',
  ),
  enforceFirstAs: key(
    boolean,
    'session',
    'true, but with `role: routeServerClient`',
    "A path from an external peer must begin with the peer's AS number (RFC 4271 §6.3). Route servers do not put theirs there.",
  ),
  asSets: key(
    oneOf('accept', 'reject'),
    'session',
    'reject',
    'Paths with AS_SET segments, which RFC 9774 has treated as withdrawn.',
  ),
  blackhole: key(
    oneOf('accept', 'ignore'),
    'session',
    'ignore',
    'Routes with the BLACKHOLE community (RFC 7999): `accept` = traffic to them is dropped here, and they are not passed on to external peers.',
  ),
  bfd: key(
    either(
      boolean,
      map({
        minTxMs: key(integer(10, 60000), 'live', '300', 'Least time between packets sent, in milliseconds.'),
        minRxMs: key(integer(10, 60000), 'live', '300', 'Least time between packets received, in milliseconds.'),
        multiplier: key(integer(2, 255), 'live', '3', 'The peer may find us gone after so many packets it missed.'),
        multihop: key(
          boolean,
          'live',
          'whether the peer is on none of our own subnets',
          'RFC 5883 (UDP 4784) instead of RFC 5881 (UDP 3784), the same at both ends.',
        ),
      }),
    ),
    'live',
    'false',
    'Fast failure detection (RFC 5880); when it finds the peer gone, the session is closed at once.',
  ),
  extendedNextHop: key(
    boolean,
    'session',
    '`true` for a peer without address, else `false`',
    'IPv4 prefixes with IPv6 next hops (RFC 8950).',
  ),
  extendedMessages: key(
    boolean,
    'session',
    'false',
    'Messages of up to 65535 octets (RFC 8654), when the peer offers them too.',
  ),
  shutdown: key(boolean, 'live', 'false', 'Configured, but administratively down.'),
} as const;

/** A group has the options of a peer, and no address or group of its own. */
export const GROUP_KEYS = PEER_OPTION_KEYS;

const groupName = text(64);

export const PEER_KEYS = {
  address: key(
    address,
    'session',
    'whoever is found on `interface`',
    'Address of the peer. Without it the peer is unnumbered: the router at the other end of `interface`, found by its link-local address.',
  ),
  group: key(groupName, 'live', 'none', 'Group whose keys hold where the peer has none of its own.'),
  ...PEER_OPTION_KEYS,
} as const;

export const RANGE_KEYS = {
  prefix: key(
    prefix,
    'session',
    undefined,
    'Whoever connects from this prefix becomes a peer; of overlapping ranges the longest holds.',
  ),
  group: key(groupName, 'live', 'none', 'Group whose keys hold where the range has none of its own.'),
  maxPeers: key(
    integer(1, 65000),
    'live',
    '10000',
    'Most peers that may be there by this range at a time; whoever comes beyond is refused, who is there stays.',
  ),
  ...PEER_OPTION_KEYS,
} as const;

export const NETWORK_KEYS = {
  prefix: key(prefix, 'live', 'none', 'This prefix, always.'),
  interface: key(interfaceName, 'live', 'none', 'The connected subnets of this interface, followed live.'),
  blackhole: key(
    boolean,
    'live',
    'false',
    'With `prefix`: what is sent to an address of it that no other route leads to is dropped here, instead of leaving by the default route (docs/host.md).',
  ),
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
  fib: key(
    map({
      enabled: key(boolean, 'restart', 'true', 'Install routes into the kernel.'),
      table: key(integer(1, 4294967295), 'restart', '254', 'Routing table; 254 is the main table.'),
      protocol: key(
        integer(5, 255),
        'restart',
        '186',
        'Marks our routes in the kernel (`ip route` shows 186 as `bgp`). Routes of another protocol are never touched.',
      ),
      metric: key(integer(1, 4294967295), 'restart', '20', 'Metric of our routes.'),
      vrf: key(
        interfaceName,
        'restart',
        'none',
        'Instead of `table`: the table of this VRF device, where next hops are then resolved, too. Needs a kernel with VRF support.',
      ),
      prefSrc: key(
        either(address, list(address, 2)),
        'restart',
        'none',
        'Source address that packets of this host itself get when they leave by one of our routes (`src` in `ip route`); one, or a list with one of each family. Must be an address of this node.',
      ),
      setSysctls: key(
        boolean,
        'restart',
        'false',
        'Set the kernel settings that forwarding depends on (docs/host.md) where they are not right; otherwise they are only warned of.',
      ),
      masquerade: key(
        map({
          pools: key(
            list(prefix),
            'live',
            undefined,
            'Prefixes that containers have their addresses from, on all nodes; both families.',
          ),
        }),
        'live',
        'none',
        'What comes from an address of a pool and goes to one outside all pools leaves with the address of the node (source NAT by nftables, table `inet tortie`). Between pools nothing is translated. See docs/host.md.',
      ),
      backup: key(
        boolean,
        'live',
        'true',
        'Work out for each prefix with several paths where it goes when its next hops are lost, and give it to the kernel side beforehand (BGP PIC): then a lost next hop is a handful of changes, however many prefixes use it.',
      ),
      nexthopObjects: key(
        oneOf('auto', 'never'),
        'restart',
        'auto',
        'Let routes point at nexthop objects where the kernel has them (`docs/kernel.md`); `never` = classic next hops.',
      ),
    }),
    'restart',
    'see below',
    'The kernel side.',
  ),
  encapsulation: key(
    map({
      mode: key(oneOf('vxlan', 'ipip'), 'live', 'vxlan', 'Kind of tunnel: VXLAN (RFC 7348), or IP in IP (RFC 2003).'),
      when: key(
        oneOf('crossSubnet', 'always', 'never'),
        'live',
        'crossSubnet',
        'Which next hops are reached through it: those that are on no subnet of this node, or all.',
      ),
      vni: key(integer(1, 16777215), 'live', '179', 'VXLAN network identifier, the same on all hosts.'),
      port: key(integer(1, 65535), 'live', '4789', 'UDP port of VXLAN, the same on all hosts.'),
      interface: key(
        tunnelName,
        'live',
        'tortie-vxlan or tortie-ipip',
        'Name of the device; the one for IPv6 between the hosts has a 6 behind.',
      ),
      mtu: key(
        integer(1280, 65535),
        'live',
        'that of the interface below, less what the tunnel adds (50 octets for VXLAN over IPv4, 70 over IPv6)',
        'Largest packet inside the tunnel, in octets.',
      ),
      localAddress: key(
        either(address, list(address, 2)),
        'live',
        'our end of the sessions',
        'Our end of the tunnel, for each family one: the address that other hosts see as our next hop.',
      ),
      hosts: key(
        list(prefix),
        'live',
        '["0.0.0.0/0", "::/0"]',
        'Next hops that have a tunnel end; all others are reached plainly.',
      ),
    }),
    'live',
    'none, no tunnel',
    'Tunnel to hosts in other subnets.',
  ),
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

export type RawPeerOptions = Values<typeof PEER_OPTION_KEYS>;
export type RawPeer = Values<typeof PEER_KEYS>;
export type RawRange = Values<typeof RANGE_KEYS>;
export type RawConfig = Values<typeof ROOT_KEYS>;
