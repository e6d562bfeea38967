/**
 * The speaker's tables as the JSON of the control API. Cold; walks as it is pulled.
 */
import {
  asPathToJson,
  decodeAttributes,
  formatAddress,
  formatCommunity,
  formatExtendedCommunity,
  formatIpv4Number,
  formatLargeCommunity,
  formatOrigin,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from 'bgp-parse';
import type { PathAttributes } from 'bgp-parse';
import type { PeerDto, RouteDto } from './control/dto.js';
import type { RouteFilter } from './control/queries.js';
import { FibStatus } from './fib/port.js';
import type { Peer } from './peer.js';
import type { Pipeline } from './pipeline.js';
import { DECISION_REASONS } from './rib/decision.js';
import type { FamilyRib } from './rib/family-rib.js';
import { attributesOf, longestMatch, matchingIds, pathsOf, prefixIds } from './rib/route-view.js';
import type { PathView } from './rib/route-view.js';
import { chainText } from './speaker-policies.js';
import type { Clock } from './support/clock.js';

export class SpeakerViews {
  readonly #pipeline: Pipeline;
  readonly #clock: Clock;
  readonly #peerOf: (ribPeerId: number) => Peer | undefined;

  /** `peerOf`: by the RIB's id. */
  constructor(pipeline: Pipeline, clock: Clock, peerOf: (ribPeerId: number) => Peer | undefined) {
    this.#pipeline = pipeline;
    this.#clock = clock;
    this.#peerOf = peerOf;
  }

  /** Routes that pass the filter; `peer` is the one the filter names. */
  *routes(filter: RouteFilter, peer: Peer | undefined): Iterable<RouteDto> {
    const { rib } = this.#pipeline;
    for (const family of rib.families) {
      if (filter.family !== undefined && filter.family !== family.family) continue;
      const ownDefault = filter.peer?.direction === 'advertised' && peer && this.#ownDefault(family, filter, peer);
      if (ownDefault) yield ownDefault;
      for (const id of this.#ids(family, filter)) {
        if (filter.peer?.direction === 'advertised') {
          if (peer) yield* this.advertised(family, id, peer);
          continue;
        }
        for (const view of pathsOf(rib, family, id, this.#withBackup)) {
          if (filter.best && !view.best) continue;
          if (filter.peer && (!peer?.ribPeer || view.peerId !== peer.ribPeer.id)) continue;
          yield this.#route(family, view, filter.peer !== undefined);
        }
      }
    }
  }

  /** The best path of a prefix, undefined when there is none. */
  best(family: FamilyRib, id: number): RouteDto | undefined {
    if (family.prefixes.bestAttribute[id] === 0) return undefined;
    const { prefixes, paths } = family;
    const path = prefixes.firstPath[id]!;
    if (path === 0) return undefined;
    const { multipath } = this.#pipeline.rib;
    if (multipath.enabled) multipath.choose(paths, path, false);
    return this.#route(family, {
      prefixId: id,
      path,
      peerId: paths.peer[path]!,
      attribute: paths.attribute[path]!,
      best: true,
      multipath: multipath.enabled && multipath.primaryCount > 1,
      backup: false,
      stale: this.#pipeline.rib.isStale(family, path),
      pathId: undefined,
      reason: DECISION_REASONS[prefixes.reason[id]!]!,
      changedAtSeconds: paths.changedAt[path]!,
    });
  }

  prefixText(family: FamilyRib, id: number): string {
    return formatPrefix({ bytes: family.addressBytes(id), length: family.prefixes.length[id]! });
  }

  /** The prefix as it stands in the peer's Adj-RIB-Out. */
  *advertised(family: FamilyRib, id: number, peer: Peer): Iterable<RouteDto> {
    const { exporter, rib } = this.#pipeline;
    const member = peer.members[family.index];
    if (!member) return;
    for (const { attribute, source, pathId } of exporter.advertised(member, id)) {
      const outgoing = exporter.describe(member, id, attribute, source);
      const view = pathsOf(rib, family, id).find((path) => path.attribute === attribute && path.peerId === source);
      if (!outgoing || !view) continue;
      const attributes = decodeAttributes(outgoing.attributes, 0, outgoing.attributes.length);
      const nextHop = nextHopText(outgoing.nextHop);
      yield { ...this.#route(family, view), ...attributeFields(attributes), nextHop, pathId: pathId ?? null };
    }
  }

  /** The default route that is made for the peer alone (`defaultOriginate`); it stands in no table. */
  #ownDefault(family: FamilyRib, filter: RouteFilter, peer: Peer): RouteDto | undefined {
    const told = peer.members[family.index]?.group.ownDefault;
    const prefix = family.index === 0 ? '0.0.0.0/0' : '::/0';
    if (!told || (filter.match !== undefined && filter.match !== prefix)) return undefined;
    const attributes = decodeAttributes(told.attributes, 0, told.attributes.length);
    return {
      ...{ prefix, family: family.family, best: false, multipath: false, backup: false, installed: false },
      ...{ peer: null, peerAsn: null, nextHop: nextHopText(told.hop), ...attributeFields(attributes) },
      ...{ pathId: null, stale: false, reason: 'default-originate', ageSeconds: 0 },
    };
  }

  peer(peer: Peer): PeerDto {
    const { session, negotiated, options, ribPeer } = peer;
    const { rib } = this.#pipeline;
    const establishedAtMs = session.establishedAtMs;
    const received = (ribPeer?.paths[0] ?? 0) + (ribPeer?.paths[1] ?? 0);
    const isAccepted = ribPeer !== undefined && rib.peers.importAccept[ribPeer.id] === 1;
    let advertised = 0;
    for (const member of peer.members) if (member) advertised += this.#pipeline.exporter.advertisedCount(member);
    return {
      address: peer.name,
      asn: negotiated?.peerAsn ?? (typeof options.asn === 'number' ? options.asn : null),
      state: session.state,
      description: options.description ?? null,
      group: options.group ?? null,
      uptimeSeconds: establishedAtMs === undefined ? null : Math.floor((this.#clock.nowMs() - establishedAtMs) / 1000),
      lastError: session.lastError ?? null,
      notes: this.#notes(peer),
      routerId: negotiated ? formatIpv4Number(negotiated.peerIdentifier) : null,
      families: [...(negotiated?.families ?? options.families)],
      type: peer.external ? 'external' : 'internal',
      dynamic: peer.dynamic,
      localAddress: negotiated ? formatAddress(negotiated.localAddress) : (options.localAddress ?? null),
      holdTimeSeconds: negotiated?.holdTimeSeconds ?? options.holdTimeSeconds,
      keepaliveTimeSeconds: negotiated?.keepaliveTimeSeconds ?? options.keepaliveTimeSeconds,
      capabilities: [...(negotiated?.peerCapabilities ?? [])],
      import: chainText(options.import) ?? (peer.external ? 'reject' : 'accept'),
      export: chainText(options.export) ?? (peer.external ? 'reject' : 'accept'),
      received,
      accepted: isAccepted ? received - ribPeer.rejected[0]! - ribPeer.rejected[1]! : 0,
      advertised,
      messagesIn: session.counters.messagesIn,
      messagesOut: session.counters.messagesOut,
      updatesIn: session.counters.updatesIn,
      updatesOut: session.counters.updatesOut,
      sessionsEstablished: session.counters.sessionsEstablished,
      sendBacklogBytes: session.backlogBytes,
      malformedUpdates: ribPeer?.malformedUpdates ?? 0,
      bfd: peer.bfd.view,
    };
  }

  get #withBackup(): boolean {
    return this.#pipeline.fibFeed?.withBackup ?? false;
  }

  #notes(peer: Peer): string[] {
    const notes: string[] = [];
    const { options } = peer;
    if (peer.awaited) {
      notes.push(`nobody has been heard on ${options.interface} yet: no router advertisement, and no connection`);
    }
    if (options.shutdown) notes.push('administratively down: shutdown is set in the configuration');
    if (peer.disabled) notes.push('administratively down: disabled with bgpctl');
    const bfd = peer.bfd.view;
    if (bfd && bfd.error !== null) notes.push(`BFD: ${bfd.error}`);
    else if (bfd && bfd.state !== 'Up' && peer.negotiated) {
      notes.push(
        `BFD is ${bfd.state}: ${bfd.remoteState === null ? 'nothing heard of the peer' : `the peer's is ${bfd.remoteState}`}`,
      );
    }
    const md5 = peer.session.md5Suspicion;
    if (md5 !== undefined && !peer.session.lastError?.includes(md5)) notes.push(md5);
    if (peer.limits.heldDown !== undefined) notes.push(peer.limits.heldDown);
    for (const [index, rejected] of (peer.limits.incoming?.rejected ?? []).entries()) {
      if (rejected === 0 || peer.limits.incoming?.rule.action === 'reset') continue;
      const family = index === 0 ? 'ipv4-unicast' : 'ipv6-unicast';
      notes.push(
        `${rejected} ${family} announcements were not taken: prefixLimit is ${peer.limits.incoming!.rule.max}`,
      );
    }
    if (peer.external && options.import === undefined) {
      notes.push('nothing is accepted from this external peer: no import policy is named (RFC 8212)');
    }
    if (peer.external && options.export === undefined) {
      const what = options.defaultOriginate ? 'nothing but a default route' : 'nothing';
      notes.push(`${what} is advertised to this external peer: no export policy is named (RFC 8212)`);
    }
    for (const member of peer.members) {
      const family = member?.group.parameters.family;
      const asked = options.defaultOriginate;
      if (family && asked && (asked.families ?? [family]).includes(family) && !member.group.ownDefault) {
        notes.push(
          `no ${family} default route is originated: ${asked.when ? 'none of `when` is there, or ' : ''}its policy rejects it, or we have no next hop`,
        );
      }
      if (member && member.group.tooLong > 0) {
        const { maxMessageLength } = member.group.parameters;
        notes.push(
          `${member.group.tooLong} times routes were not told, or taken back: their attributes do not fit into ${maxMessageLength} octets${maxMessageLength > 4096 ? '' : ', and there are no extended messages (RFC 8654)'}`,
        );
      }
      const unsaid = member?.group.parameters.nextHop ? member.group.unencodable - member.group.tooLong : 0;
      if (unsaid > 0) {
        notes.push(
          `${unsaid} times ${family} routes were not told, or taken back: the peer cannot be told their next hop (link-local of another link, or of another family: nextHopSelf, extendedNextHop)`,
        );
      }
      if (member && !member.group.parameters.nextHop) {
        notes.push(`no own next hop for ${member.group.parameters.family} on the session's interface`);
      }
      if (member && !member.inStream)
        notes.push(`${member.pending} ${member.group.parameters.family} prefixes to send`);
    }
    const { pauses } = peer.session.counters;
    if (pauses > 0) notes.push(`reading from it has waited ${pauses} times: more messages than limits.messageRate`);
    const malformed = peer.ribPeer;
    if (malformed && malformed.malformedUpdates > 0) {
      notes.push(`${malformed.malformedUpdates} malformed updates, the last: ${malformed.lastMalformed}`);
    }
    if (malformed && malformed.stale[0]! + malformed.stale[1]! > 0) {
      notes.push('routes it has not repeated yet after a restart or refresh are kept as stale');
    }
    return notes;
  }

  *#ids(family: FamilyRib, filter: RouteFilter): Iterable<number> {
    if (filter.match === undefined) {
      yield* prefixIds(family);
      return;
    }
    const bits = family.index === 0 ? 4 : 16;
    if (filter.match.includes('/')) {
      const prefix = parsePrefix(filter.match);
      if (prefix?.bytes.length === bits) yield* matchingIds(family, prefix, filter.longer ?? false);
      return;
    }
    const address = parseAddress(filter.match);
    if (address?.length !== bits) return;
    const id = longestMatch(family, address);
    if (id !== 0) yield id;
  }

  #reason(family: FamilyRib, view: PathView): string {
    if (view.reason !== 'import-rejected') return view.reason;
    const peer = this.#peerOf(view.peerId);
    return peer?.whyRejected(family, view.prefixId, family.paths.receivedOf(view.path)) ?? view.reason;
  }

  /** `asReceived`: with the attributes from before import policy; a rejected path is always shown so. */
  #route(family: FamilyRib, view: PathView, asReceived = false): RouteDto {
    const { rib, fibFeed } = this.#pipeline;
    const session = view.peerId === 0 ? undefined : rib.peers.get(view.peerId)?.session;
    const attributes = attributesOf(rib, asReceived ? family.paths.receivedOf(view.path) : view.attribute);
    return {
      prefix: this.prefixText(family, view.prefixId),
      family: family.family,
      best: view.best,
      multipath: view.multipath,
      backup: view.backup,
      installed: (view.best || view.multipath) && fibFeed?.status(family, view.prefixId) === FibStatus.installed,
      peer: session ? formatAddress(session.address) : null,
      peerAsn: session?.asn ?? null,
      nextHop: session ? nextHopText(attributes.nextHop) : 'self',
      ...attributeFields(attributes),
      pathId: view.pathId ?? null,
      stale: view.stale,
      reason: this.#reason(family, view),
      ageSeconds: Math.max(0, this.#pipeline.elapsedSeconds - view.changedAtSeconds),
    };
  }
}

function nextHopText(bytes: Uint8Array | undefined): string {
  return bytes ? formatAddress(bytes.length === 32 ? bytes.subarray(0, 16) : bytes) : '';
}

function attributeFields(
  attributes: PathAttributes,
): Pick<
  RouteDto,
  | 'asPath'
  | 'origin'
  | 'localPref'
  | 'med'
  | 'communities'
  | 'largeCommunities'
  | 'extendedCommunities'
  | 'originatorId'
  | 'clusterList'
> {
  return {
    asPath: asPathToJson(attributes.asPath),
    origin: formatOrigin(attributes.origin),
    localPref: attributes.localPref ?? null,
    med: attributes.med ?? null,
    communities: attributes.communities?.map(formatCommunity) ?? null,
    largeCommunities: attributes.largeCommunities?.map((community) => formatLargeCommunity(community)) ?? null,
    extendedCommunities: attributes.extendedCommunities?.map(formatExtendedCommunity) ?? null,
    originatorId: attributes.originatorId === undefined ? null : formatIpv4Number(attributes.originatorId),
    clusterList: attributes.clusterList?.map(formatIpv4Number) ?? null,
  };
}
