/**
 * Settings: the configuration as plain values, groups merged and defaults applied. The speaker takes these and changes
 * of these; it never reads files. Field names are the configuration's, with units in the name.
 */
import type { Family } from 'bgp-parse';
import type { OneOrMore, PolicyDefinitions } from '../policy/definition.js';

export interface Settings {
  readonly asn: number;
  /** Dotted quad; undefined = derived from the node's own addresses. */
  readonly routerId: string | undefined;
  /** Addresses to accept connections on; empty = never accept. */
  readonly listen: readonly string[];
  readonly port: number;
  readonly networks: readonly NetworkSettings[];
  /** Dotted quad; undefined = the router id. */
  readonly clusterId: string | undefined;
  /** RFC 4456 §6: routes of clients go to other clients. */
  readonly clientToClientReflection: boolean;
  /** Absent = everything as RFC 4271 has it. */
  readonly decision?: { readonly alwaysCompareMed: boolean; readonly deterministicMed: boolean } | undefined;
  readonly peers: readonly PeerSettings[];
  readonly listenRanges: readonly ListenRangeSettings[];
  readonly multipath: MultipathSettings;
  /** `whenInstalled`: a route goes to peers once the kernel has it. Default `always`. */
  readonly advertise?: 'always' | 'whenInstalled' | undefined;
  /** Policies and the lists they are made of. */
  readonly policy: PolicyDefinitions;
  readonly fib: FibSettings;
  /** undefined = never. */
  readonly encapsulation: EncapsulationSettings | undefined;
  /** undefined = the defaults. */
  readonly limits?: LimitSettings | undefined;
  readonly control: ControlSettings;
  readonly log: { readonly level: LogLevel };
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What this node originates: a static prefix, or the connected subnets of an interface, followed live. */
export type NetworkSettings =
  | {
      readonly prefix: string;
      /** Its addresses that no longer route leads to are dropped, not sent on. */
      readonly blackhole?: true;
    }
  | { readonly interface: string };

/** Shared by a configured peer and by the dynamic peers of a listen range. */
export interface PeerOptions {
  /** The peer's AS; 'internal' = ours, 'external' = any but ours. */
  readonly asn: number | 'internal' | 'external';
  readonly group: string | undefined;
  readonly description: string | undefined;
  readonly localAddress: string | undefined;
  readonly interface: string | undefined;
  /** TCP port of the peer. */
  readonly port: number;
  /** Never dial, only accept. */
  readonly passive: boolean;
  /** eBGP over more than one hop; a number is the TTL to send. */
  readonly multihop: number | undefined;
  /** GTSM (RFC 5082): how many hops away the peer may be (1 = directly connected). */
  readonly ttlSecurityHops: number | undefined;
  readonly password: string | undefined;
  readonly holdTimeSeconds: number;
  readonly keepaliveTimeSeconds: number;
  readonly connectRetryTimeSeconds: number;
  readonly families: readonly Family[];
  readonly routeReflectorClient: boolean;
  readonly nextHopSelf: boolean;
  readonly addPath: { readonly send: 'best' | 'all' | number; readonly receive: boolean };
  readonly gracefulRestart:
    | {
        readonly restartTimeSeconds: number;
        /** RFC 9494; undefined = not offered, not done. */
        readonly longLived?:
          | {
              /** By family: those without are not offered, and their routes are not kept. */
              readonly staleTimeSeconds: { readonly [family in Family]?: number | undefined };
            }
          | undefined;
      }
    | undefined;
  /** RFC 9234: our role towards an external peer. */
  readonly role?: 'provider' | 'customer' | 'peer' | 'routeServer' | 'routeServerClient' | undefined;
  /** A peer that says no role is refused. */
  readonly roleStrict?: boolean | undefined;
  readonly extendedMessages: boolean;
  readonly extendedNextHop: boolean;
  /** undefined = off. */
  readonly bfd: BfdSettings | undefined;
  readonly shutdown: boolean;
  readonly gracefulShutdown?: boolean | undefined;
  readonly allowAsIn?: number | undefined;
  readonly asOverride?: boolean | undefined;
  readonly localAs?: LocalAsSettings | undefined;
  /** `whole` = only from paths that are private as a whole. */
  readonly removePrivateAs?: 'whole' | 'all' | 'replace' | undefined;
  readonly nextHopUnchanged?: boolean | undefined;
  readonly sendCommunity?:
    { readonly standard: boolean; readonly large: boolean; readonly extended: boolean } | undefined;
  /** undefined = as the role has it. */
  readonly enforceFirstAs?: boolean | undefined;
  readonly asSets?: 'accept' | 'reject' | undefined;
  readonly blackhole?: 'accept' | 'ignore' | undefined;
  /** undefined = no default route of our own. */
  readonly defaultOriginate?: DefaultOriginateSettings | undefined;
  readonly prefixLimit?: PrefixLimitSettings | undefined;
  readonly prefixLimitOut?: Omit<PrefixLimitSettings, 'action'> | undefined;
  /**
   * Policy names, several are asked in turn; `accept`, `reject` and `node` are built in. undefined = the default of the
   * session type (RFC 8212).
   */
  readonly import: OneOrMore<string> | undefined;
  readonly export: OneOrMore<string> | undefined;
}

/** A default route towards the peer, whether or not there is one in the table. */
export interface DefaultOriginateSettings {
  /** undefined = all of the session. */
  readonly families?: readonly Family[] | undefined;
  /** Only while there is a route to one of these prefixes of the family; undefined = always. */
  readonly when?: readonly string[] | undefined;
  /** Judges the default route and may change it; undefined = it goes out as it is. */
  readonly policy?: OneOrMore<string> | undefined;
}

export interface LocalAsSettings {
  readonly asn: number;
  /** Not put in front of what the peer says. */
  readonly noPrepend: boolean;
  /** Our real AS number is not shown to the peer. */
  readonly replaceAs: boolean;
  /** The peer may have our real AS number configured as well. */
  readonly dualAs: boolean;
}

export interface PrefixLimitSettings {
  readonly max: number;
  readonly warnAt: number | undefined;
  readonly action: 'reject' | 'reset';
  /** undefined = until an operator enables the peer. */
  readonly restartAfterSeconds: number | undefined;
}

/** RFC 5880 §6.8.1: bfd.DesiredMinTxInterval, bfd.RequiredMinRxInterval, bfd.DetectMult. */
export interface BfdSettings {
  readonly minTxMs: number;
  readonly minRxMs: number;
  readonly multiplier: number;
  /** undefined = as the addresses suggest. */
  readonly multihop: boolean | undefined;
}

export interface PeerSettings extends PeerOptions {
  /** A link-local one with its interface (`fe80::1%eth1`); `%eth1` = whoever is found on that interface. */
  readonly address: string;
}

/** Dynamic peers: whoever connects from this prefix. */
export interface ListenRangeSettings {
  readonly prefix: string;
  /** Most dynamic peers of this range at a time. */
  readonly maxPeers: number;
  readonly peer: PeerOptions;
}

/** Paths of one prefix that forward together. */
export interface MultipathSettings {
  readonly ebgp: number;
  readonly ibgp: number;
  readonly asPath: 'length' | 'exact';
}

export interface FibSettings {
  readonly enabled: boolean;
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
  /** VRF device whose table is used; then `table` does not count. */
  readonly vrf?: string | undefined;
  /** Preferred source addresses, at most one of each family. */
  readonly prefSrc?: readonly string[] | undefined;
  /** Kernel settings that forwarding depends on are set, not only checked. */
  readonly setSysctls?: boolean | undefined;
  readonly nexthopObjects: 'auto' | 'never';
  /** What comes from the pools and goes elsewhere leaves with the node's own address; undefined = not. */
  readonly masquerade?: { readonly pools: readonly string[] } | undefined;
  /** Next hops to fall back to are worked out beforehand (BGP PIC). */
  readonly backup: boolean;
}

/** Routes to hosts in other subnets go through a tunnel. */
export interface EncapsulationSettings {
  readonly mode: 'vxlan' | 'ipip';
  readonly when: 'crossSubnet' | 'always';
  /** Of VXLAN. */
  readonly vni: number;
  readonly port: number;
  /** Name of the device for IPv4 between the hosts; that for IPv6 has a 6 behind. */
  readonly interface: string;
  /** undefined = what the underlay takes less what the tunnel adds. */
  readonly mtu: number | undefined;
  /** At most one of each family; where there is none, the sessions show it. */
  readonly localAddresses: readonly string[];
  /** Next hops in these prefixes have a tunnel end. */
  readonly hosts: readonly string[];
}

/** What peers may ask of this node. */
export interface LimitSettings {
  readonly asPathLength: number;
  readonly communities: number;
  /** Dynamic peers that are not Established. */
  readonly pendingSessions: number;
  /** Until they have said OPEN. */
  readonly openTimeSeconds: number;
  /** Messages that are read from a peer in a second; undefined = as many as come. */
  readonly messageRate?: number | undefined;
}

export interface ControlSettings {
  /** Path of the Unix socket. */
  readonly socket: string;
  /** Permissions of the socket; undefined = 0660. */
  readonly mode?: number | undefined;
  /** Group of the socket; undefined = that of the process. */
  readonly group?: string | number | undefined;
  /** `host:port` of the HTTP listener; undefined = off. */
  readonly http: string | undefined;
  /** What commands over HTTP must show; undefined = there are none. */
  readonly token?: string | undefined;
}
