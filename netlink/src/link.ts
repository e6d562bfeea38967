/** RTM_NEWLINK and RTM_DELLINK (struct ifinfomsg): interfaces of the namespace. */
import * as C from './constants.js';
import type { MessageReader, MessageWriter } from './message.js';

const IFINFOMSG_LENGTH = 16;

export interface LinkMessage {
  /** AF_UNSPEC for the interface itself; AF_BRIDGE (7) messages speak of a bridge port. */
  readonly family: number;
  readonly index: number;
  readonly name: string;
  /** IFF_*. */
  readonly flags: number;
  readonly mtu: number;
  /** Index of the bridge or VRF it belongs to; 0 = none. */
  readonly master: number;
  /** "bridge", "veth", "vxlan"; empty for plain devices. */
  readonly kind: string;
  /** Of a VRF device. */
  readonly vrfTable?: number | undefined;
  /** Link-layer address. */
  readonly address: Uint8Array;
}

export function decodeLink(reader: MessageReader): LinkMessage {
  const at = reader.header(IFINFOMSG_LENGTH);
  const family = reader.u8(at);
  const index = reader.i32(at + 4);
  const flags = reader.u32(at + 8);
  let name = '';
  let info: LinkInfo = { kind: '', vrfTable: undefined };
  let [mtu, master] = [0, 0];
  let address: Uint8Array = new Uint8Array(0);
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.IFLA_IFNAME) name = reader.valueText();
    else if (reader.attributeType === C.IFLA_MTU) mtu = reader.valueU32();
    else if (reader.attributeType === C.IFLA_MASTER) master = reader.valueU32();
    else if (reader.attributeType === C.IFLA_ADDRESS) address = reader.valueBytes();
    else if (reader.attributeType === C.IFLA_LINKINFO) info = readInfo(reader);
  }
  return { family, index, name, flags, mtu, master, address, ...info };
}

type LinkInfo = Pick<LinkMessage, 'kind' | 'vrfTable'>;

function readInfo(reader: MessageReader): LinkInfo {
  const rest = reader.attributesRest;
  let kind = '';
  let vrfTable: number | undefined;
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.IFLA_INFO_KIND) kind = reader.valueText();
    // The kind comes before its data, whose numbers mean something else for each kind.
    else if (reader.attributeType === C.IFLA_INFO_DATA && kind === 'vrf') vrfTable = readVrfTable(reader);
  }
  reader.within(rest.start, rest.end);
  return { kind, vrfTable };
}

function readVrfTable(reader: MessageReader): number | undefined {
  const rest = reader.attributesRest;
  let table: number | undefined;
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  while (reader.nextAttribute()) if (reader.attributeType === C.IFLA_VRF_TABLE) table = reader.valueU32();
  reader.within(rest.start, rest.end);
  return table;
}

export function encodeLinkDump(writer: MessageWriter, sequence: number): void {
  writer.begin(C.RTM_GETLINK, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  for (let i = 0; i < IFINFOMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}

/** Sets the interface up or down. */
export function encodeLinkUp(writer: MessageWriter, sequence: number, index: number, up: boolean): void {
  writer.begin(C.RTM_NEWLINK, C.NLM_F_REQUEST | C.NLM_F_ACK, sequence);
  writer.u32(0);
  writer.u32(index);
  writer.u32(up ? C.IFF_UP : 0);
  writer.u32(C.IFF_UP);
  writer.end();
}
