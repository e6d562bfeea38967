/**
 * RTM_NEWNEXTHOP and RTM_DELNEXTHOP (struct nhmsg): nexthop objects and groups, kernel 5.3 and later; resilient groups
 * (a table of buckets instead of hash thresholds), 5.13 and later.
 */
import * as C from './constants.js';
import { AF_INET, AF_UNSPEC } from './libc.js';
import type { MessageReader, MessageWriter } from './message.js';

const NHMSG_LENGTH = 8;
const NEXTHOP_GRP_LENGTH = 8;

export interface NexthopMessage {
  readonly id: number;
  /** AF_INET or AF_INET6; AF_UNSPEC for groups. */
  readonly family: number;
  readonly protocol: number;
  readonly scope: number;
  /** RTNH_F_*. */
  readonly flags: number;
  readonly interfaceIndex: number;
  /** 4 or 16 octets; undefined = directly connected, or a group. */
  readonly gateway: Uint8Array | undefined;
  readonly blackhole: boolean;
  /** Members of a group, weight 1..256; empty for a single nexthop. */
  readonly group: readonly { readonly id: number; readonly weight: number }[];
  /** Of a resilient group. */
  readonly resilient?: ResilientGroup | undefined;
}

export interface ResilientGroup {
  /** 1..65535; cannot be changed afterwards. */
  readonly buckets: number;
  /** How long a bucket must have had no packet before it may move, 1/100 s. */
  readonly idleTimer: number;
  /** After how long out of balance buckets move although they are busy, 1/100 s; 0 = never. */
  readonly unbalancedTimer: number;
}

export function decodeNexthop(reader: MessageReader): NexthopMessage {
  const at = reader.header(NHMSG_LENGTH);
  let { id, interfaceIndex, blackhole } = { id: 0, interfaceIndex: 0, blackhole: false };
  let gateway: Uint8Array | undefined;
  const group: { id: number; weight: number }[] = [];
  let resilient: ResilientGroup | undefined;
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.NHA_ID) id = reader.valueU32();
    else if (reader.attributeType === C.NHA_OIF) interfaceIndex = reader.valueU32();
    else if (reader.attributeType === C.NHA_GATEWAY) gateway = reader.valueBytes();
    else if (reader.attributeType === C.NHA_BLACKHOLE) blackhole = true;
    else if (reader.attributeType === C.NHA_RES_GROUP) resilient = readResilient(reader);
    else if (reader.attributeType === C.NHA_GROUP) {
      const end = reader.valueStart + reader.valueLength;
      for (let entry = reader.valueStart; entry + NEXTHOP_GRP_LENGTH <= end; entry += NEXTHOP_GRP_LENGTH) {
        group.push({ id: reader.u32(entry), weight: reader.u8(entry + 4) + 1 });
      }
    }
  }
  return {
    id,
    family: reader.u8(at),
    scope: reader.u8(at + 1),
    protocol: reader.u8(at + 2),
    flags: reader.u32(at + 4),
    interfaceIndex,
    gateway,
    blackhole,
    group,
    ...(resilient && { resilient }),
  };
}

function readResilient(reader: MessageReader): ResilientGroup {
  const rest = reader.attributesRest;
  let { buckets, idleTimer, unbalancedTimer } = { buckets: 0, idleTimer: 0, unbalancedTimer: 0 };
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.NHA_RES_GROUP_BUCKETS) buckets = reader.u16(reader.valueStart);
    else if (reader.attributeType === C.NHA_RES_GROUP_IDLE_TIMER) idleTimer = reader.valueU32();
    else if (reader.attributeType === C.NHA_RES_GROUP_UNBALANCED_TIMER) unbalancedTimer = reader.valueU32();
  }
  reader.within(rest.start, rest.end);
  return { buckets, idleTimer, unbalancedTimer };
}

/** Appends RTM_NEWNEXTHOP or RTM_DELNEXTHOP; a deletion needs only the id. */
export function encodeNexthop(
  writer: MessageWriter,
  type: number,
  flags: number,
  sequence: number,
  nexthop: NexthopMessage,
): void {
  writer.begin(type, flags | C.NLM_F_REQUEST, sequence);
  const deletion = type === C.RTM_DELNEXTHOP;
  writer.u8(deletion ? AF_UNSPEC : nexthop.family);
  writer.u8(deletion ? 0 : nexthop.scope);
  writer.u8(deletion ? 0 : nexthop.protocol);
  writer.u8(0);
  writer.u32(deletion ? 0 : nexthop.flags);
  writer.attributeU32(C.NHA_ID, nexthop.id);
  if (!deletion) {
    if (nexthop.blackhole) writer.attribute(C.NHA_BLACKHOLE, new Uint8Array(0));
    if (nexthop.gateway) writer.attribute(C.NHA_GATEWAY, nexthop.gateway, nexthop.family === AF_INET ? 4 : 16);
    if (nexthop.interfaceIndex) writer.attributeU32(C.NHA_OIF, nexthop.interfaceIndex);
    if (nexthop.group.length) {
      const start = writer.beginNested(C.NHA_GROUP);
      for (const member of nexthop.group) {
        writer.u32(member.id);
        writer.u8(member.weight - 1);
        writer.u8(0);
        writer.u16(0);
      }
      writer.endNested(start);
      if (nexthop.resilient) writeResilient(writer, nexthop.resilient);
    }
  }
  writer.end();
}

function writeResilient(writer: MessageWriter, { buckets, idleTimer, unbalancedTimer }: ResilientGroup): void {
  writer.attributeU16(C.NHA_GROUP_TYPE, C.NEXTHOP_GRP_TYPE_RES);
  const start = writer.beginNested(C.NHA_RES_GROUP | C.NLA_F_NESTED);
  writer.attributeU16(C.NHA_RES_GROUP_BUCKETS, buckets);
  writer.attributeU32(C.NHA_RES_GROUP_IDLE_TIMER, idleTimer);
  writer.attributeU32(C.NHA_RES_GROUP_UNBALANCED_TIMER, unbalancedTimer);
  writer.endNested(start);
}

export function encodeNexthopDump(writer: MessageWriter, sequence: number): void {
  writer.begin(C.RTM_GETNEXTHOP, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  for (let i = 0; i < NHMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}
