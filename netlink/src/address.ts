/** RTM_NEWADDR and RTM_DELADDR (struct ifaddrmsg): addresses of the namespace's interfaces. */
import * as C from './constants.js';
import { AF_INET } from './libc.js';
import type { MessageReader, MessageWriter } from './message.js';

const IFADDRMSG_LENGTH = 8;

export interface AddressMessage {
  readonly family: number;
  readonly interfaceIndex: number;
  readonly prefixLength: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IFA_F_*. */
  readonly flags: number;
  /** The interface's own address, 4 or 16 octets. */
  readonly address: Uint8Array;
}

export function decodeAddress(reader: MessageReader): AddressMessage {
  const at = reader.header(IFADDRMSG_LENGTH);
  const family = reader.u8(at);
  let flags = reader.u8(at + 2);
  let address: Uint8Array | undefined;
  let local: Uint8Array | undefined;
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.IFA_ADDRESS) address = reader.valueBytes();
    else if (reader.attributeType === C.IFA_LOCAL) local = reader.valueBytes();
    else if (reader.attributeType === C.IFA_FLAGS) flags = reader.valueU32();
  }
  return {
    family,
    interfaceIndex: reader.i32(at + 4),
    prefixLength: reader.u8(at + 1),
    scope: reader.u8(at + 3),
    flags,
    // On a point-to-point interface IFA_ADDRESS is the other end; IFA_LOCAL is always ours.
    address: local ?? address ?? new Uint8Array(family === AF_INET ? 4 : 16),
  };
}

export function encodeAddressDump(writer: MessageWriter, sequence: number, family: number): void {
  writer.begin(C.RTM_GETADDR, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  writer.u8(family);
  for (let i = 1; i < IFADDRMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}

/** Adds (RTM_NEWADDR) or removes (RTM_DELADDR) an address. */
export function encodeAddress(
  writer: MessageWriter,
  type: number,
  flags: number,
  sequence: number,
  address: AddressMessage,
): void {
  writer.begin(type, flags | C.NLM_F_REQUEST, sequence);
  writer.u8(address.family);
  writer.u8(address.prefixLength);
  writer.u8(address.flags & 0xff);
  writer.u8(address.scope);
  writer.u32(address.interfaceIndex);
  writer.attribute(C.IFA_LOCAL, address.address);
  writer.attribute(C.IFA_ADDRESS, address.address);
  writer.end();
}
