/**
 * Tunnel devices: RTM_NEWLINK with the parameters of `vxlan`, `ipip` and `ip6tnl`, RTM_DELLINK, and reading them back.
 * (struct ifinfomsg; IFLA_VXLAN_* and IFLA_IPTUN_* of <linux/if_link.h> and <linux/if_tunnel.h>.)
 */
import * as C from './constants.js';
import { decodeLink, type LinkMessage } from './link.js';
import type { MessageReader, MessageWriter } from './message.js';

const IFINFOMSG_LENGTH = 16;
const IPPROTO_IPIP = 4;
const IPPROTO_IPV6 = 41;
/** Without it ip6tnl adds 8 octets of Tunnel Encapsulation Limit (RFC 2473 §4.1.1) to every packet. */
const IP6_TNL_F_IGN_ENCAP_LIMIT = 1;
const IP6TNL_HOP_LIMIT = 64;

export type TunnelKind = 'vxlan' | 'ipip' | 'ip6tnl';

/** What cannot be changed while the device exists. */
export interface TunnelParameters {
  readonly kind: TunnelKind;
  /** Source of the outer packets: 4 octets for `ipip`, 16 for `ip6tnl`, either for `vxlan`. */
  readonly local: Uint8Array;
  /** Of `vxlan` only: network identifier and UDP port. */
  readonly vni?: number;
  readonly port?: number;
}

export interface NewTunnel extends TunnelParameters {
  readonly name: string;
  /** Link-layer address; `vxlan` only. */
  readonly address?: Uint8Array;
  readonly mtu: number;
}

export interface TunnelLinkMessage extends LinkMessage {
  /** What stands behind `alias` in `ip link`: free text. */
  readonly alias: string;
  /** Undefined when it is no tunnel of these kinds, or none with an address of its own. */
  readonly tunnel: TunnelParameters | undefined;
  /** VXLAN learns where addresses are from the packets it receives. */
  readonly learning: boolean;
}

/** Reads a link message with what a tunnel device has besides. */
export function decodeTunnelLink(reader: MessageReader): TunnelLinkMessage {
  const link = decodeLink(reader);
  let alias = '';
  const info: TunnelInfo = { local: undefined, vni: 0, port: 0, learning: false };
  reader.header(IFINFOMSG_LENGTH);
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.IFLA_IFALIAS) alias = reader.valueText();
    else if (reader.attributeType === C.IFLA_LINKINFO) readInfo(reader, link.kind, info);
  }
  const { kind } = link;
  const { local, learning } = info;
  let tunnel: TunnelParameters | undefined;
  if (local && kind === 'vxlan') tunnel = { kind, local, vni: info.vni, port: info.port };
  else if (local && (kind === 'ipip' || kind === 'ip6tnl')) tunnel = { kind, local };
  return { ...link, alias, tunnel, learning };
}

interface TunnelInfo {
  local: Uint8Array | undefined;
  vni: number;
  port: number;
  learning: boolean;
}

function readInfo(reader: MessageReader, kind: string, into: TunnelInfo): void {
  const rest = reader.attributesRest;
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  while (reader.nextAttribute()) if (reader.attributeType === C.IFLA_INFO_DATA) readData(reader, kind, into);
  reader.within(rest.start, rest.end);
}

function readData(reader: MessageReader, kind: string, into: TunnelInfo): void {
  const rest = reader.attributesRest;
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  while (reader.nextAttribute()) {
    const type = reader.attributeType;
    const at = reader.valueStart;
    if (kind !== 'vxlan') {
      if (type === C.IFLA_IPTUN_LOCAL) into.local = reader.valueBytes();
    } else if (type === C.IFLA_VXLAN_LOCAL || type === C.IFLA_VXLAN_LOCAL6) into.local = reader.valueBytes();
    else if (type === C.IFLA_VXLAN_ID) into.vni = reader.valueU32();
    else if (type === C.IFLA_VXLAN_PORT) into.port = (reader.u8(at) << 8) | reader.u8(at + 1);
    else if (type === C.IFLA_VXLAN_LEARNING) into.learning = reader.u8(at) !== 0;
  }
  reader.within(rest.start, rest.end);
}

/**
 * Makes a device, down and without alias. VXLAN neither learns nor floods: where a link-layer address is must be said
 * with forwarding entries. `ipip` and `ip6tnl` have no remote end of their own: the gateway of each route is it.
 */
export function encodeNewTunnel(writer: MessageWriter, sequence: number, tunnel: NewTunnel): void {
  writer.begin(C.RTM_NEWLINK, C.NLM_F_REQUEST | C.NLM_F_CREATE | C.NLM_F_EXCL, sequence);
  for (let i = 0; i < IFINFOMSG_LENGTH; i++) writer.u8(0);
  writer.attributeText(C.IFLA_IFNAME, tunnel.name);
  writer.attributeU32(C.IFLA_MTU, tunnel.mtu);
  if (tunnel.address) writer.attribute(C.IFLA_ADDRESS, tunnel.address);
  const info = writer.beginNested(C.IFLA_LINKINFO);
  writer.attributeText(C.IFLA_INFO_KIND, tunnel.kind);
  const data = writer.beginNested(C.IFLA_INFO_DATA);
  if (tunnel.kind === 'vxlan') writeVxlan(writer, tunnel);
  else writeIpTunnel(writer, tunnel);
  writer.endNested(data);
  writer.endNested(info);
  writer.end();
}

function writeVxlan(writer: MessageWriter, tunnel: NewTunnel): void {
  writer.attributeU32(C.IFLA_VXLAN_ID, tunnel.vni ?? 0);
  writer.attribute(tunnel.local.length === 4 ? C.IFLA_VXLAN_LOCAL : C.IFLA_VXLAN_LOCAL6, tunnel.local);
  const port = tunnel.port ?? 0;
  writer.attribute(C.IFLA_VXLAN_PORT, Uint8Array.of(port >> 8, port & 255));
  writer.attribute(C.IFLA_VXLAN_LEARNING, Uint8Array.of(0));
}

function writeIpTunnel(writer: MessageWriter, tunnel: NewTunnel): void {
  writer.attribute(C.IFLA_IPTUN_LOCAL, tunnel.local);
  if (tunnel.kind === 'ipip') {
    writer.attribute(C.IFLA_IPTUN_PROTO, Uint8Array.of(IPPROTO_IPIP));
    // TTL 0: taken from the inner packet.
    writer.attribute(C.IFLA_IPTUN_TTL, Uint8Array.of(0));
    writer.attribute(C.IFLA_IPTUN_PMTUDISC, Uint8Array.of(1));
    return;
  }
  writer.attribute(C.IFLA_IPTUN_PROTO, Uint8Array.of(IPPROTO_IPV6));
  writer.attribute(C.IFLA_IPTUN_TTL, Uint8Array.of(IP6TNL_HOP_LIMIT));
  writer.attributeU32(C.IFLA_IPTUN_FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT);
}

/** A request that no kernel grants: EOPNOTSUPP where the kind of device is not known, another error where it is. */
export function encodeTunnelProbe(writer: MessageWriter, sequence: number, kind: TunnelKind): void {
  writer.begin(C.RTM_NEWLINK, C.NLM_F_REQUEST | C.NLM_F_CREATE | C.NLM_F_EXCL, sequence);
  for (let i = 0; i < IFINFOMSG_LENGTH; i++) writer.u8(0);
  const info = writer.beginNested(C.IFLA_LINKINFO);
  writer.attributeText(C.IFLA_INFO_KIND, kind);
  const data = writer.beginNested(C.IFLA_INFO_DATA);
  if (kind === 'vxlan') writer.attributeU32(C.IFLA_VXLAN_ID, 0xffffffff);
  else writer.attribute(C.IFLA_IPTUN_PROTO, Uint8Array.of(255));
  writer.endNested(data);
  writer.endNested(info);
  writer.end();
}

export interface LinkChange {
  readonly alias?: string;
  readonly mtu?: number;
  /** Link-layer address. */
  readonly address?: Uint8Array;
  readonly up?: boolean;
}

/** Changes a device, found by its name. */
export function encodeLinkChange(writer: MessageWriter, sequence: number, name: string, change: LinkChange): void {
  writer.begin(C.RTM_NEWLINK, C.NLM_F_REQUEST, sequence);
  writer.u32(0);
  writer.u32(0);
  writer.u32(change.up ? C.IFF_UP : 0);
  writer.u32(change.up === undefined ? 0 : C.IFF_UP);
  writer.attributeText(C.IFLA_IFNAME, name);
  if (change.mtu !== undefined) writer.attributeU32(C.IFLA_MTU, change.mtu);
  if (change.address) writer.attribute(C.IFLA_ADDRESS, change.address);
  // Without a terminating zero, which would become a part of it.
  if (change.alias !== undefined) writer.attribute(C.IFLA_IFALIAS, new TextEncoder().encode(change.alias));
  writer.end();
}

/** Removes a device, and with it all routes through it. */
export function encodeDeleteLink(writer: MessageWriter, sequence: number, index: number): void {
  writer.begin(C.RTM_DELLINK, C.NLM_F_REQUEST, sequence);
  writer.u32(0);
  writer.u32(index);
  writer.u32(0);
  writer.u32(0);
  writer.end();
}
