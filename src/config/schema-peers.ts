/** The keys of peers, groups and listen ranges; see `schema.ts`. */
import {
  address,
  anything,
  asn,
  boolean,
  either,
  family,
  integer,
  interfaceName,
  list,
  map,
  oneOf,
  prefix,
  text,
  key,
  seconds,
  type Values,
} from './kinds.js';

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

export type RawPeerOptions = Values<typeof PEER_OPTION_KEYS>;
export type RawPeer = Values<typeof PEER_KEYS>;
export type RawRange = Values<typeof RANGE_KEYS>;
