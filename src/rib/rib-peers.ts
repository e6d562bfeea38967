/**
 * The peers as the RIB sees them, addressed by `PeerId`: ranking columns for decision, and the record of each
 * established session for the receiving side. PeerId 0 is this node itself.
 */
import type { Family } from 'bgp-parse';
import { grow, grownCapacity } from './columns/grow.js';
import type { ImportFilter } from './import-filter.js';
import type { IngressRules } from './ingress.js';
import type { PrefixLimit } from './prefix-limit.js';

/** Where a path came from, which decides to whom it may go (RFC 4271 §9.2, RFC 4456 §6). */
export const SourceKind = { local: 0, external: 1, client: 2, nonClient: 3 } as const;
export type SourceKind = (typeof SourceKind)[keyof typeof SourceKind];

/** What the RIB needs to know of an established session. */
export interface RibSession {
  readonly address: Uint8Array;
  readonly asn: number;
  readonly external: boolean;
  readonly routeReflectorClient: boolean;
  /** BGP identifier, unsigned 32-bit. */
  readonly identifier: number;
  readonly fourOctetAs: boolean;
  readonly families: readonly Family[];
  readonly addPathReceive: readonly Family[];
  /** RFC 8950. */
  readonly extendedNextHop: boolean;
  /** False: nothing is used of what the peer says. */
  readonly importAccept: boolean;
  /** Judges what `importAccept` lets in; undefined = all is taken as it is. */
  readonly importFilter?: ImportFilter | undefined;
  /** Name of the configuration's group, for policies that look at it. */
  readonly group?: string | undefined;
  /** What the settings make of the peer's attributes, less the interface; undefined = nothing. */
  readonly ingress?: IngressRules | undefined;
  /** Paths may begin with another AS number than the external peer's (RFC 4271 §6.3: MAY). */
  readonly anyFirstAs?: boolean | undefined;
  /** Interface of link-local next hops. */
  readonly interfaceName: string | undefined;
}

/** Per family index (0 = IPv4, 1 = IPv6). */
export class RibPeer {
  readonly id: number;
  session: RibSession;
  /** Block context of this session's attributes, without the MP bit. */
  context = 0;
  /** The same for link-local next hops. */
  linkLocalContext = 0;
  /** AS number that every path must begin with; 0 = any. */
  firstAs = 0;
  readonly negotiated = [false, false];
  readonly addPath = [false, false];
  /** Paths held in Adj-RIB-In. */
  readonly paths = [0, 0];
  /** Those of them that the import filter has rejected. */
  readonly rejected = [0, 0];
  /** Those of them that are stale: kept over a restart (RFC 4724), or not repeated yet in a refresh (RFC 7313). */
  readonly stale = [0, 0];
  /** It is a refresh that has made them stale: they are as good as ever. */
  readonly refreshing = [false, false];
  /** End-of-RIB has been received in this session. */
  readonly endOfRib = [false, false];
  /** Counts of paths above which a message is looked at prefix by prefix (`limit`). */
  watchAt = Infinity;
  limit: PrefixLimit | undefined;
  malformedUpdates = 0;
  lastMalformed = '';

  constructor(id: number, session: RibSession) {
    this.id = id;
    this.session = session;
  }
}

const LOCAL_SESSION: RibSession = {
  address: new Uint8Array(4),
  asn: 0,
  external: false,
  routeReflectorClient: false,
  identifier: 0,
  fourOctetAs: true,
  families: [],
  addPathReceive: [],
  extendedNextHop: false,
  importAccept: true,
  interfaceName: undefined,
};

/** At most this many peers: PeerId is 16 bits wide in the path columns. */
export const MAX_PEERS = 0xffff;

export class RibPeers {
  kind = new Uint8Array(64);
  identifier = new Uint32Array(64);
  importAccept = new Uint8Array(64);
  readonly #peers: (RibPeer | undefined)[] = [];
  readonly #free: number[] = [];

  constructor() {
    this.#peers[0] = new RibPeer(0, LOCAL_SESSION);
    this.importAccept[0] = 1;
  }

  /** A new peer, or undefined when there are too many. */
  add(session: RibSession): RibPeer | undefined {
    const id = this.#free.pop() ?? this.#peers.length;
    if (id > MAX_PEERS) return undefined;
    const peer = new RibPeer(id, session);
    this.#peers[id] = peer;
    if (id >= this.kind.length) {
      const capacity = grownCapacity(this.kind.length, id + 1);
      this.kind = grow(this.kind, capacity);
      this.identifier = grow(this.identifier, capacity);
      this.importAccept = grow(this.importAccept, capacity);
    }
    this.update(peer, session);
    return peer;
  }

  /** Takes over what a new session of the same peer negotiated. */
  update(peer: RibPeer, session: RibSession): void {
    peer.session = session;
    this.kind[peer.id] = session.external
      ? SourceKind.external
      : session.routeReflectorClient
        ? SourceKind.client
        : SourceKind.nonClient;
    this.identifier[peer.id] = session.identifier;
    this.importAccept[peer.id] = session.importAccept ? 1 : 0;
  }

  /** Only when no path of the peer is left. */
  remove(peer: RibPeer): void {
    this.#peers[peer.id] = undefined;
    this.#free.push(peer.id);
  }

  get(id: number): RibPeer | undefined {
    return this.#peers[id];
  }

  get count(): number {
    return this.#peers.length;
  }

  /** RFC 4271 §9.1.2.2 g: lower address first; IPv4 before IPv6. */
  compareAddresses(a: number, b: number): number {
    const left = this.#peers[a]!.session.address;
    const right = this.#peers[b]!.session.address;
    if (left.length !== right.length) return left.length - right.length;
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return left[i]! - right[i]!;
    return 0;
  }
}
