/** The JSON forms of the control API and of `bgpctl --json`: the contract with scripts. Absent values are null. */
import type { Family } from 'bgp-parse';

export type AsPathSegmentDto = number | number[] | { confedSequence: number[] } | { confedSet: number[] };

export interface RouteDto {
  prefix: string;
  family: Family;
  best: boolean;
  /** Shares the traffic with other paths of the prefix (ECMP). */
  multipath: boolean;
  /** Takes over when the next hops in use are lost. */
  backup: boolean;
  /** In the kernel: best, or one of several that share. */
  installed: boolean;
  /** Address of the peer the path came from; null = originated here. */
  peer: string | null;
  peerAsn: number | null;
  nextHop: string;
  asPath: AsPathSegmentDto[];
  origin: 'igp' | 'egp' | 'incomplete';
  localPref: number | null;
  med: number | null;
  communities: string[] | null;
  largeCommunities: string[] | null;
  extendedCommunities: string[] | null;
  originatorId: string | null;
  clusterList: string[] | null;
  pathId: number | null;
  stale: boolean;
  /** Why this path is best, or why it is not. */
  reason: string;
  ageSeconds: number;
}

export interface PeerDto {
  address: string;
  asn: number | null;
  state: 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';
  description: string | null;
  group: string | null;
  uptimeSeconds: number | null;
  /** What ended the last session or attempt, or keeps routes from passing. */
  lastError: string | null;
  /** Remarks that explain what the table shows, e.g. the RFC 8212 default. */
  notes: string[];
  routerId: string | null;
  families: Family[];
  type: 'internal' | 'external' | null;
  dynamic: boolean;
  localAddress: string | null;
  holdTimeSeconds: number | null;
  keepaliveTimeSeconds: number | null;
  capabilities: string[];
  import: string;
  export: string;
  received: number;
  accepted: number;
  advertised: number;
  messagesIn: number;
  messagesOut: number;
  updatesIn: number;
  updatesOut: number;
  sessionsEstablished: number;
  sendBacklogBytes: number;
  malformedUpdates: number;
  /** null = not configured. */
  bfd: PeerBfdDto | null;
}

/** The peer's BFD session (RFC 5880). Times are milliseconds. */
export interface PeerBfdDto {
  state: 'AdminDown' | 'Down' | 'Init' | 'Up';
  /** null = nothing is being heard. */
  remoteState: 'AdminDown' | 'Down' | 'Init' | 'Up' | null;
  diagnostic: string;
  remoteDiagnostic: string | null;
  multihop: boolean;
  upSeconds: number | null;
  /** Between two packets that we send, before jitter. */
  intervalMs: number | null;
  /** Silence after which the peer is taken for gone. */
  detectionMs: number | null;
  minTxMs: number;
  minRxMs: number;
  multiplier: number;
  remoteMinTxMs: number | null;
  remoteMinRxMs: number | null;
  remoteMultiplier: number | null;
  localDiscriminator: number | null;
  remoteDiscriminator: number | null;
  /** How often it has left Up, and why the last time. */
  flaps: number;
  lastDown: string | null;
  packetsIn: number;
  packetsOut: number;
  /** From the peer, but malformed, with too low a TTL, or of a session we do not have. */
  packetsDiscarded: number;
  /** Why packets cannot be sent or received. */
  error: string | null;
}

export interface FibRowDto {
  prefix: string;
  nextHops: { via: string | null; interface: string | null; weight: number }[];
  table: number;
  metric: number;
  protocol: number;
  state: 'installed' | 'pending' | 'failed';
  error: string | null;
}

/** Where a route leads. */
export interface FibLeadDto {
  /** As in `ip route`: unicast, blackhole, … */
  type: string;
  nextHops: { via: string | null; interface: string | null; onlink: boolean; weight: number }[];
  /** Preferred source address. */
  source: string | null;
  /** A nexthop object of ours, one of somebody else, or hops of its own. */
  by: 'object' | 'foreignObject' | 'hops';
}

export interface FibDifferenceDto {
  kind: 'missing' | 'extra' | 'nextHop' | 'blocked' | 'failed' | 'unreachable';
  /** null = a nexthop object. */
  prefix: string | null;
  nexthop: number | null;
  desired: FibLeadDto | null;
  actual: FibLeadDto | null;
  /** Why, when it is known. */
  detail: string | null;
}

export interface SummaryDto {
  version: string;
  asn: number;
  routerId: string;
  clusterId: string | null;
  uptimeSeconds: number;
  peers: { configured: number; dynamic: number; established: number };
  families: { family: Family; prefixes: number; paths: number; best: number }[];
  attributeSets: number;
  /** TCP connections closed at once since the listeners were made, by reason, and dynamic peers that are not Established. */
  connections: {
    refused: { unknown: number; listenRange: number; pending: number; guard: number };
    pending: number;
  };
  /** Segments that the kernel has dropped on this host since the start for their TCP MD5 signature; null = not known. */
  tcpMd5: { wrong: number; unsigned: number; unexpected: number } | null;
  fib: {
    enabled: boolean;
    installed: number;
    pending: number;
    failed: number;
    /** Routes and nexthop objects put right since the start. */
    repaired: number;
  };
  /** null = off. */
  masquerade: { pools: readonly string[]; repaired: number; error: string | null } | null;
  memoryBytes: number;
  /** How late the daemon's loop ran timers since its start, milliseconds. */
  loopDelayMs: { p50: number; p99: number; p999: number; max: number } | null;
  warnings: string[];
}

export type MonitorEventDto =
  | { type: 'route'; route: RouteDto }
  | { type: 'withdrawn'; prefix: string; family: Family }
  | { type: 'peer'; peer: PeerDto }
  | { type: 'end-of-snapshot' }
  | { type: 'lagged'; missed: number };
