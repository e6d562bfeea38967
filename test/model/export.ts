/**
 * Phase 3, to be read beside RFC 4271 §9.1.3, §9.2 and §5.1 and RFC 4456 §8: whether a peer gets to hear of the best
 * path, and which attributes it then sees.
 */
import {
  familyOfPrefix,
  isExtendedNextHop,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  type Path,
  type PathAttributes,
  type Peer,
  type Segment,
} from './attributes.js';
import { DEFAULT_LOCAL_PREF } from './decision.js';

/** RFC 4271 §4.3: the length of a path segment is one octet. */
const MAX_SEGMENT_LENGTH = 255;

/** Why a peer does not get to hear of a best path. */
export type ExportRefusal =
  | 'family'
  | 'source-peer'
  | 'internal-to-internal'
  | 'export-rejected'
  | 'community'
  | 'no-local-address'
  | 'next-hop-family';

/** Why `path`, being best, is not advertised to `peer`; undefined = it is. */
export function refusedExport(path: Path, peer: Peer): ExportRefusal | undefined {
  const source = path.peer;
  // RFC 4760 §8: only families that both sides offered.
  if (!peer.families.includes(familyOfPrefix(path.prefix))) return 'family';
  // RFC 4456 §8 lets the source ignore its own route by ORIGINATOR_ID; we never send it back, reflected or not.
  if (source?.id === peer.id) return 'source-peer';
  // RFC 4271 §9.2.1: what an internal peer told is not told to internal peers; RFC 4456 §6 lifts it: from a client to
  // every internal peer, from a non-client to the clients.
  if (source?.type === 'internal' && peer.type === 'internal' && !source.client && !peer.client) {
    return 'internal-to-internal';
  }
  // RFC 8212 §3: without a policy, nothing to an external peer. Internal peers: everything.
  if (!(peer.exportAccept ?? peer.type === 'internal')) return 'export-rejected';
  // RFC 1997 "Well-known Communities"; the whole AS is one member AS, so the last two are the same to us.
  const communities = path.attributes.communities ?? [];
  if (communities.includes(NO_ADVERTISE)) return 'community';
  if (peer.type === 'external' && (communities.includes(NO_EXPORT) || communities.includes(NO_EXPORT_SUBCONFED))) {
    return 'community';
  }
  // RFC 9494 §4.3: only to who has said that it understands.
  if (source?.longLived && communities.includes(LLGR_STALE) && !peer.longLived) return 'community';
  // RFC 4271 §5.1.3: NEXT_HOP has to be an address of ours that the peer can use.
  if (becomesNextHop(path, peer) && !selfAddress(path, peer)) return 'no-local-address';
  // RFC 8950 §4: what the peer does not understand is not said.
  const nextHop = becomesNextHop(path, peer) ? selfAddress(path, peer)! : path.attributes.nextHop;
  if (isExtendedNextHop(path.prefix, nextHop) && !peer.extendedNextHop) return 'next-hop-family';
  return undefined;
}

/** The attributes under which `peer` sees `path`, which is not refused. Every change from the received ones is here. */
export function exported(path: Path, peer: Peer, speaker: { asn: number; clusterId: string }): PathAttributes {
  const out: { -readonly [K in keyof PathAttributes]: PathAttributes[K] } = { ...path.attributes };
  const source = path.peer;
  // RFC 4271 §5.1.3: unchanged to internal peers unless told otherwise, ourselves to external ones and for our own.
  if (becomesNextHop(path, peer)) out.nextHop = selfAddress(path, peer)!;
  // RFC 2545 §3: only to a peer on the next hop's own link, which we never claim to know.
  delete out.linkLocalNextHop;
  // RFC 4271 §5, §9: unrecognised transitive attributes are passed on with the Partial bit set.
  if (out.unknown) out.unknown = out.unknown.map((attribute) => ({ ...attribute, partial: true }));
  if (peer.type === 'external') {
    // RFC 4271 §5.1.2: our AS in front. §5.1.5: no LOCAL_PREF to external peers. §5.1.4: a MED that another AS gave us
    // stays here. RFC 4456 §8: ORIGINATOR_ID and CLUSTER_LIST are non-transitive and do not leave the AS.
    out.asPath = prepended(speaker.asn, path.attributes.asPath);
    delete out.localPref;
    if (source) delete out.med;
    // RFC 4360 §6: link bandwidth is non-transitive, it says something within the AS.
    if (source) delete out.linkBandwidth;
    delete out.originatorId;
    delete out.clusterList;
  } else {
    // RFC 4271 §5.1.5: LOCAL_PREF to every internal peer. The AS_PATH and the MED are left as they are.
    out.localPref = path.attributes.localPref ?? DEFAULT_LOCAL_PREF;
    if (source?.type === 'internal') {
      // RFC 4456 §8: the first reflector names the originator, every reflector adds its cluster; §10: nothing else.
      out.originatorId = path.attributes.originatorId ?? source.routerId;
      out.clusterList = [speaker.clusterId, ...(path.attributes.clusterList ?? [])];
    }
  }
  return out;
}

/** RFC 4271 §5.1.3; RFC 4456 §10: a reflector does not touch the next hop, so `nextHopSelf` spares what it reflects. */
function becomesNextHop(path: Path, peer: Peer): boolean {
  if (peer.type === 'external' || !path.peer) return true;
  return path.peer.type === 'external' && peer.nextHopSelf;
}

/** Of the prefix's family; RFC 8950 §4 lets the IPv6 address stand in where there is no IPv4 one. */
const selfAddress = (path: Path, peer: Peer): string | undefined =>
  familyOfPrefix(path.prefix) === 'ipv6-unicast'
    ? peer.localAddress6
    : (peer.localAddress4 ?? (peer.extendedNextHop ? peer.localAddress6 : undefined));

/** RFC 4271 §5.1.2 b: into the first segment if that is a sequence with room, else into a new sequence before it. */
export function prepended(asn: number, asPath: readonly Segment[]): Segment[] {
  const [first, ...rest] = asPath;
  if (first?.kind === 'sequence' && first.asns.length < MAX_SEGMENT_LENGTH) {
    return [{ kind: 'sequence', asns: [asn, ...first.asns] }, ...rest];
  }
  return [{ kind: 'sequence', asns: [asn] }, ...asPath];
}
