/**
 * RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE (struct rtmsg): IPv4 and IPv6 routes with classic next hops, multipath,
 * `via` of the other family (RFC 8950) and nexthop objects.
 */
// HOT: `RouteMessage` is filled again and again; only multipath routes allocate.
import * as C from './constants.js';
import { AF_INET, AF_INET6 } from './libc.js';
import { NetlinkFormatError, type MessageReader, type MessageWriter } from './message.js';

const RTMSG_LENGTH = 12;
const RTNEXTHOP_LENGTH = 8;
const EMPTY: readonly RouteHop[] = [];

/** One hop of a multipath route. */
export interface RouteHop {
  readonly interfaceIndex: number;
  /** AF_INET, AF_INET6 or 0 = directly connected. */
  readonly gatewayFamily: number;
  /** 16 octets; the first 4 are used for AF_INET. */
  readonly gateway: Uint8Array;
  /** 1..256. */
  readonly weight: number;
  readonly flags: number;
}

/** A route as the kernel tells it and takes it; zero means absent where the kernel says so. */
export class RouteMessage {
  /** AF_INET or AF_INET6. */
  family = 0;
  /** Prefix length in bits. */
  dstLength = 0;
  /** 16 octets, zero behind the address. */
  readonly dst = new Uint8Array(16);
  tos = 0;
  table = 0;
  protocol = 0;
  scope = 0;
  type = 0;
  /** RTNH_F_* and RTM_F_*. */
  flags = 0;
  /** The metric. */
  priority = 0;
  interfaceIndex = 0;
  gatewayFamily = 0;
  readonly gateway = new Uint8Array(16);
  nexthopId = 0;
  /** Octets of `prefSrc`: 4, 16, or 0 = none. */
  prefSrcLength = 0;
  /** The source address that this host's own packets are given by the route. */
  readonly prefSrc = new Uint8Array(16);
  hops: readonly RouteHop[] = EMPTY;

  clear(): void {
    this.family = this.dstLength = this.tos = this.table = this.protocol = this.scope = this.type = this.flags = 0;
    this.priority = this.interfaceIndex = this.gatewayFamily = this.nexthopId = this.prefSrcLength = 0;
    this.dst.fill(0);
    this.gateway.fill(0);
    this.hops = EMPTY;
  }
}

/** Reads the route message the reader stands on. */
export function decodeRoute(reader: MessageReader, into: RouteMessage): void {
  const at = reader.header(RTMSG_LENGTH);
  into.clear();
  const { bytes } = reader;
  into.family = bytes[at]!;
  into.dstLength = bytes[at + 1]!;
  into.tos = bytes[at + 3]!;
  into.table = bytes[at + 4]!;
  into.protocol = bytes[at + 5]!;
  into.scope = bytes[at + 6]!;
  into.type = bytes[at + 7]!;
  into.flags = reader.u32(at + 8);
  if (into.dstLength > (into.family === AF_INET ? 32 : 128)) {
    throw new NetlinkFormatError(`prefix length ${into.dstLength}`);
  }
  while (reader.nextAttribute()) {
    switch (reader.attributeType) {
      case C.RTA_DST:
        reader.copyValue(into.dst);
        break;
      case C.RTA_TABLE:
        into.table = reader.valueU32();
        break;
      case C.RTA_PRIORITY:
        into.priority = reader.valueU32();
        break;
      case C.RTA_OIF:
        into.interfaceIndex = reader.valueU32();
        break;
      case C.RTA_GATEWAY:
        into.gatewayFamily = into.family;
        reader.copyValue(into.gateway);
        break;
      case C.RTA_VIA:
        into.gatewayFamily = readVia(reader, into.gateway);
        break;
      case C.RTA_PREFSRC:
        into.prefSrcLength = reader.copyValue(into.prefSrc);
        break;
      case C.RTA_NH_ID:
        into.nexthopId = reader.valueU32();
        break;
      case C.RTA_MULTIPATH:
        into.hops = readMultipath(reader, into.family);
        break;
    }
  }
}

/** struct rtvia: address family, then the address. */
function readVia(reader: MessageReader, gateway: Uint8Array): number {
  const family = reader.u16(reader.valueStart);
  reader.copy(gateway, reader.valueStart + 2, Math.max(0, reader.valueLength - 2));
  return family;
}

function readMultipath(reader: MessageReader, family: number): RouteHop[] {
  const rest = reader.attributesRest;
  const end = reader.valueStart + reader.valueLength;
  const hops: RouteHop[] = [];
  for (let at = reader.valueStart; at + RTNEXTHOP_LENGTH <= end;) {
    const length = reader.u16(at);
    if (length < RTNEXTHOP_LENGTH || at + length > end) throw new NetlinkFormatError(`multipath hop length ${length}`);
    const gateway = new Uint8Array(16);
    let gatewayFamily = 0;
    reader.within(at + RTNEXTHOP_LENGTH, at + length);
    while (reader.nextAttribute()) {
      if (reader.attributeType === C.RTA_GATEWAY) {
        gatewayFamily = family;
        reader.copyValue(gateway);
      } else if (reader.attributeType === C.RTA_VIA) gatewayFamily = readVia(reader, gateway);
    }
    const weight = reader.u8(at + 3) + 1;
    hops.push({ interfaceIndex: reader.i32(at + 4), gatewayFamily, gateway, weight, flags: reader.u8(at + 2) });
    at += (length + 3) & ~3;
  }
  reader.within(rest.start, rest.end);
  return hops;
}

/** Appends one message. `type` is RTM_NEWROUTE or RTM_DELROUTE; NLM_F_REQUEST is added. */
export function encodeRoute(
  writer: MessageWriter,
  type: number,
  flags: number,
  sequence: number,
  route: RouteMessage,
): void {
  const size = route.family === AF_INET ? 4 : 16;
  writer.begin(type, flags | C.NLM_F_REQUEST, sequence);
  writer.u8(route.family);
  writer.u8(route.dstLength);
  writer.u8(0);
  writer.u8(route.tos);
  writer.u8(route.table < 256 ? route.table : C.RT_TABLE_COMPAT);
  writer.u8(route.protocol);
  writer.u8(route.scope);
  writer.u8(route.type);
  writer.u32(route.flags);
  writer.attribute(C.RTA_DST, route.dst, size);
  writer.attributeU32(C.RTA_TABLE, route.table);
  if (route.priority) writer.attributeU32(C.RTA_PRIORITY, route.priority);
  if (route.prefSrcLength) writer.attribute(C.RTA_PREFSRC, route.prefSrc, route.prefSrcLength);
  if (route.nexthopId) writer.attributeU32(C.RTA_NH_ID, route.nexthopId);
  if (route.gatewayFamily) writeGateway(writer, route.family, route.gatewayFamily, route.gateway);
  if (route.interfaceIndex) writer.attributeU32(C.RTA_OIF, route.interfaceIndex);
  if (route.hops.length) {
    const multipath = writer.beginNested(C.RTA_MULTIPATH);
    for (const hop of route.hops) {
      writer.u16(RTNEXTHOP_LENGTH + gatewayOctets(route.family, hop.gatewayFamily));
      writer.u8(hop.flags);
      writer.u8(hop.weight - 1);
      writer.u32(hop.interfaceIndex);
      if (hop.gatewayFamily) writeGateway(writer, route.family, hop.gatewayFamily, hop.gateway);
    }
    writer.endNested(multipath);
  }
  writer.end();
}

/** Where the address stands in a message: behind nlmsghdr, rtmsg and the header of RTA_DST, which comes first. */
const DST_AT = 16 + RTMSG_LENGTH + 4;
const DST_LENGTH_AT = 17;

/**
 * Encodes runs of routes that differ in nothing but the prefix (nexthop objects, removals): the second and later ones
 * are copies of the first with another address.
 */
export class RouteEncoder {
  readonly #last = new RouteMessage();
  #template = new Uint8Array(0);
  #type = -1;
  #flags = 0;

  /** As `encodeRoute`. */
  append(writer: MessageWriter, type: number, flags: number, sequence: number, route: RouteMessage): void {
    if (type === this.#type && flags === this.#flags && this.#isLike(route)) {
      const start = writer.copy(this.#template, sequence);
      writer.setU8(start + DST_LENGTH_AT, route.dstLength);
      writer.setBytes(start + DST_AT, route.dst, route.family === AF_INET ? 4 : 16);
      return;
    }
    const start = writer.length;
    encodeRoute(writer, type, flags, sequence, route);
    this.#type = -1;
    if (!isPlain(route)) return;
    this.#template = writer.bytes.slice(start);
    this.#type = type;
    this.#flags = flags;
    const last = this.#last;
    last.family = route.family;
    last.tos = route.tos;
    last.table = route.table;
    last.protocol = route.protocol;
    last.scope = route.scope;
    last.type = route.type;
    last.flags = route.flags;
    last.priority = route.priority;
    last.nexthopId = route.nexthopId;
  }

  #isLike(route: RouteMessage): boolean {
    const last = this.#last;
    return (
      route.nexthopId === last.nexthopId &&
      route.family === last.family &&
      route.type === last.type &&
      route.priority === last.priority &&
      route.table === last.table &&
      route.protocol === last.protocol &&
      route.scope === last.scope &&
      route.flags === last.flags &&
      route.tos === last.tos &&
      isPlain(route)
    );
  }
}

/** Nothing in it but what `RouteEncoder` compares. */
function isPlain(route: RouteMessage): boolean {
  return (
    route.gatewayFamily === 0 && route.interfaceIndex === 0 && route.prefSrcLength === 0 && route.hops.length === 0
  );
}

/** Octets that the gateway attribute of a hop takes, padded. */
function gatewayOctets(family: number, gatewayFamily: number): number {
  if (gatewayFamily === 0) return 0;
  const size = gatewayFamily === AF_INET ? 4 : 16;
  return family === gatewayFamily ? 4 + size : (4 + 2 + size + 3) & ~3;
}

function writeGateway(writer: MessageWriter, family: number, gatewayFamily: number, gateway: Uint8Array): void {
  const size = gatewayFamily === AF_INET ? 4 : 16;
  if (gatewayFamily === family) {
    writer.attribute(C.RTA_GATEWAY, gateway, size);
    return;
  }
  const via = writer.beginNested(C.RTA_VIA);
  writer.u16(gatewayFamily);
  writer.raw(gateway, size);
  writer.endNested(via);
}

/** A dump request for all routes of a family (all tables). */
export function encodeRouteDump(writer: MessageWriter, sequence: number, family: number): void {
  writer.begin(C.RTM_GETROUTE, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  writer.u8(family);
  for (let i = 1; i < RTMSG_LENGTH; i++) writer.u8(0);
  writer.end();
}

/** Asks which way the kernel would send a packet to `address` (4 or 16 octets): the answer is a route message. */
export function encodeRouteGet(writer: MessageWriter, sequence: number, address: Uint8Array): void {
  writer.begin(C.RTM_GETROUTE, C.NLM_F_REQUEST, sequence);
  writer.u8(address.length === 4 ? AF_INET : AF_INET6);
  writer.u8(address.length * 8);
  for (let i = 2; i < RTMSG_LENGTH; i++) writer.u8(0);
  writer.attribute(C.RTA_DST, address, address.length);
  writer.end();
}
