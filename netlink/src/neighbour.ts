/** RTM_NEWNEIGH and RTM_DELNEIGH (struct ndmsg): the neighbour (ARP, ND) and forwarding tables. */
import * as C from './constants.js';
import type { MessageReader, MessageWriter } from './message.js';

const NDMSG_LENGTH = 12;

export interface NeighbourMessage {
  /** AF_INET, AF_INET6 or AF_BRIDGE (7). */
  readonly family: number;
  readonly interfaceIndex: number;
  /** NUD_*. */
  readonly state: number;
  /** NTF_*. */
  readonly flags: number;
  /** Network-layer address; undefined in most forwarding entries. */
  readonly destination: Uint8Array | undefined;
  readonly linkAddress: Uint8Array | undefined;
}

export function decodeNeighbour(reader: MessageReader): NeighbourMessage {
  const at = reader.header(NDMSG_LENGTH);
  let destination: Uint8Array | undefined;
  let linkAddress: Uint8Array | undefined;
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.NDA_DST) destination = reader.valueBytes();
    else if (reader.attributeType === C.NDA_LLADDR) linkAddress = reader.valueBytes();
  }
  return {
    family: reader.u8(at),
    interfaceIndex: reader.i32(at + 4),
    state: reader.u16(at + 8),
    flags: reader.u8(at + 10),
    destination,
    linkAddress,
  };
}

export function encodeNeighbour(
  writer: MessageWriter,
  type: number,
  flags: number,
  sequence: number,
  neighbour: NeighbourMessage,
): void {
  writer.begin(type, flags | C.NLM_F_REQUEST, sequence);
  writer.u8(neighbour.family);
  writer.u8(0);
  writer.u16(0);
  writer.u32(neighbour.interfaceIndex);
  writer.u16(neighbour.state);
  writer.u8(neighbour.flags);
  writer.u8(0);
  if (neighbour.destination) writer.attribute(C.NDA_DST, neighbour.destination);
  if (neighbour.linkAddress) writer.attribute(C.NDA_LLADDR, neighbour.linkAddress);
  writer.end();
}

export function encodeNeighbourDump(writer: MessageWriter, sequence: number, family: number): void {
  writer.begin(C.RTM_GETNEIGH, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  writer.u8(family);
  for (let i = 1; i < NDMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}
