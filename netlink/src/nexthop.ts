/** RTM_NEWNEXTHOP and RTM_DELNEXTHOP (struct nhmsg): nexthop objects and groups, kernel 5.3 and later. */
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
}

export function decodeNexthop(reader: MessageReader): NexthopMessage {
  const at = reader.header(NHMSG_LENGTH);
  let { id, interfaceIndex, blackhole } = { id: 0, interfaceIndex: 0, blackhole: false };
  let gateway: Uint8Array | undefined;
  const group: { id: number; weight: number }[] = [];
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.NHA_ID) id = reader.valueU32();
    else if (reader.attributeType === C.NHA_OIF) interfaceIndex = reader.valueU32();
    else if (reader.attributeType === C.NHA_GATEWAY) gateway = reader.valueBytes();
    else if (reader.attributeType === C.NHA_BLACKHOLE) blackhole = true;
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
  };
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
    }
  }
  writer.end();
}

export function encodeNexthopDump(writer: MessageWriter, sequence: number): void {
  writer.begin(C.RTM_GETNEXTHOP, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  for (let i = 0; i < NHMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}
