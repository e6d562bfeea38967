/**
 * Peers that get the same bytes: same type, capabilities, export policy and next hop (see `groupKey`). What a group may
 * be told is a pure function of attribute set, source and prefix, so no Adj-RIB-Out is stored: it is the Loc-RIB seen
 * through `exports` and the policy's filter, minus each member's own routes. Only ADD-PATH needs a memory of its own
 * (`sent`).
 */
import { AttributeFlag } from '../rib/columns/attribute-pool.js';
import type { FamilyRib } from '../rib/family-rib.js';
import { SourceKind } from '../rib/rib-peers.js';
import type { ExportFilter } from '../policy/export-filter.js';
import type { Counted } from './advertised-counts.js';
import { oneShape } from './group-parameters.js';
import type { GroupParameters } from './group-parameters.js';
import type { Member } from './member.js';
import { WithoutDefault } from './default-route.js';
import type { DefaultMessages } from './default-route.js';
import type { ChunkMemory } from './chunk-memory.js';
import { MessageChunk } from './message-chunk.js';
import { SentPaths } from './sent-paths.js';

export class UpdateGroup {
  readonly key: string;
  readonly parameters: GroupParameters;
  readonly rib: FamilyRib;
  /** Whether routes of a `SourceKind` may go to this group. */
  readonly acceptsKind = new Uint8Array(4);
  /** Attribute flags that keep a set from this group. */
  readonly refusedFlags: number;
  readonly filter: ExportFilter | undefined;
  /** What `AdvertisedCounts` knows of it. */
  counted: Counted | undefined;
  readonly members = new Set<Member>();
  /** Members in the shared stream. */
  readonly stream: Member[] = [];
  readonly lagging = new Set<Member>();
  /** What is being packed. */
  chunk: MessageChunk;
  /** What groups with ADD-PATH have been told; undefined = only best paths, read off the Loc-RIB. */
  sent: SentPaths | undefined;
  /** What is said of a default route of the group's own; undefined = it has none, or none can be said. */
  readonly ownDefault: DefaultMessages | undefined;
  /** Attribute sets that did not fit into a message, or whose next hop the group does not understand. */
  unencodable = 0;
  /** Of these, the ones that were too long (RFC 4271 §9.2, RFC 8654 §4). */
  tooLong = 0;

  constructor(
    key: string,
    parameters: GroupParameters,
    rib: FamilyRib,
    memory: ChunkMemory,
    ownDefault?: DefaultMessages,
  ) {
    this.ownDefault = ownDefault;
    this.chunk = new MessageChunk(memory);
    this.key = key;
    this.parameters = oneShape(parameters);
    this.rib = rib;
    const { external, client, clientToClient, accept } = parameters;
    this.sent = parameters.addPathLimit > 0 ? new SentPaths() : undefined;
    if (accept) {
      this.acceptsKind[SourceKind.local] = 1;
      this.acceptsKind[SourceKind.external] = 1;
      // RFC 4271 §9.2 and RFC 4456 §6: from internal peers to internal peers only by reflection.
      this.acceptsKind[SourceKind.client] = clientToClient || !client ? 1 : 0;
      this.acceptsKind[SourceKind.nonClient] = external || client ? 1 : 0;
    }
    this.filter = ownDefault ? new WithoutDefault(parameters.filter) : parameters.filter;
    const { rules } = parameters;
    this.refusedFlags =
      AttributeFlag.noAdvertise |
      (external ? AttributeFlag.noExport : 0) |
      // RFC 9494 §4.3: not to who has not said that it understands.
      (rules?.longLived ? 0 : AttributeFlag.longLivedStale) |
      (rules?.refuseOtc ? AttributeFlag.onlyToCustomer : 0) |
      (rules?.refuseNoPeer ? AttributeFlag.noPeer : 0);
  }

  /** Whether a best path with these flags from a peer of this kind is told to the group, if the filter agrees. */
  exports(attributeFlags: number, kind: number): boolean {
    return this.acceptsKind[kind] === 1 && (attributeFlags & this.refusedFlags) === 0;
  }
}
