/**
 * What the kernel might say, and what it never should: datagrams of rtnetlink messages, right ones put together by our
 * own encoders and then damaged. Reading ends, and either yields messages or `NetlinkFormatError`; what it yields does not
 * depend on octets outside the datagram (they are other ones the second time); what was not damaged is read as it was
 * written; and runs of routes are written as each of them alone.
 */
import assert from 'node:assert/strict';
import * as netlink from 'netlink';
import { MessageReader, MessageWriter, NetlinkFormatError, RouteMessage } from 'netlink';
import type { NexthopMessage } from 'netlink';
import { mutate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 400;
const MARGIN = 64;
const { RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNEIGH, RTM_NEWRULE, NLMSG_ERROR } = netlink; // prettier-ignore
const KINDS = [RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNEIGH, RTM_NEWRULE, NLMSG_ERROR]; // prettier-ignore

/** A route or a nexthop object: what is written and what is read must say the same. */
function said(value: RouteMessage | NexthopMessage): string {
  const octets = (_: string, part: unknown): unknown =>
    part instanceof Uint8Array
      ? Buffer.from(part)
          .toString('hex')
          .replace(/(00)*$/, '')
      : part;
  const counts = { ...value, ...('prefSrc' in value && { prefSrc: value.prefSrc.slice(0, value.prefSrcLength) }) };
  const parts = Object.entries(counts).filter(([, part]) => part !== undefined);
  return JSON.stringify(Object.fromEntries(parts.sort(([a], [b]) => (a < b ? -1 : 1))), octets);
}

/** Everything that a message says, as text. */
function read(bytes: Uint8Array, length: number): string {
  const reader = new MessageReader(bytes, length);
  const route = new RouteMessage();
  const out: unknown[] = [];
  try {
    while (reader.nextMessage()) {
      out.push([reader.type, reader.flags, reader.sequence, reader.portId]);
      switch (reader.type) {
        case RTM_NEWROUTE:
        case RTM_DELROUTE:
          netlink.decodeRoute(reader, route);
          assert.ok(route.prefSrcLength <= 16);
          out.push(said(route));
          break;
        case RTM_NEWNEXTHOP:
        case RTM_DELNEXTHOP:
          out.push(said(netlink.decodeNexthop(reader)));
          break;
        case RTM_NEWLINK: {
          const rest = [reader.start, reader.end] as const;
          out.push(netlink.decodeLink(reader));
          reader.within(...rest);
          out.push(netlink.decodeTunnelLink(reader));
          break;
        }
        case RTM_NEWADDR:
          out.push(netlink.decodeAddress(reader));
          break;
        case RTM_NEWNEIGH:
          out.push(netlink.decodeNeighbour(reader));
          break;
        case RTM_NEWRULE:
          out.push(netlink.decodeRule(reader));
          break;
        default: {
          const lines: string[] = [];
          const { start, end } = reader;
          netlink.describeNft(reader, lines);
          reader.within(start, end);
          out.push(lines, netlink.nftTableOf(reader));
        }
      }
    }
  } catch (error) {
    if (!(error instanceof NetlinkFormatError)) throw error;
    out.push(error.message);
  }
  return JSON.stringify(out);
}

/** With other octets around it. */
function readBetween(datagram: Uint8Array, filler: number): string {
  const bytes = new Uint8Array(datagram.length + MARGIN).fill(filler);
  bytes.set(datagram);
  return read(bytes, datagram.length);
}

function address(random: Random, family: number): Uint8Array {
  return Uint8Array.from(random.bytes(family === 2 ? 4 : 16));
}

function randomRoute(random: Random): RouteMessage {
  const route = new RouteMessage();
  route.family = random.pick([2, 10]);
  route.dstLength = random.below(route.family === 2 ? 33 : 129);
  route.dst.set(random.bytes(Math.ceil(route.dstLength / 8)));
  route.table = random.pick([254, 255, 252, 1000, 2 ** 31]);
  route.protocol = random.pick([2, 4, 186]);
  route.type = random.pick([1, 1, 6, 7]);
  route.priority = random.pick([0, 20, 500]);
  if (route.type === 1) {
    const hop = random.below(4);
    if (hop === 0) route.nexthopId = 1 + random.below(100);
    else if (hop === 1) {
      route.hops = Array.from({ length: 2 + random.below(4) }, () => {
        const gateway = new Uint8Array(16);
        gateway.set(address(random, route.family));
        const weight = 1 + random.below(256);
        return { interfaceIndex: 1 + random.below(9), gatewayFamily: route.family, gateway, weight, flags: 0 };
      });
    } else {
      route.interfaceIndex = 1 + random.below(9);
      route.gatewayFamily = hop === 2 ? route.family : 10;
      route.gateway.set(address(random, route.gatewayFamily));
    }
  }
  if (random.chance(20)) {
    route.prefSrcLength = route.family === 2 ? 4 : 16;
    route.prefSrc.set(address(random, route.family));
  }
  return route;
}

/** Routes as the kernel side writes them: many that are alike but for the prefix, and then one that is not. */
function alike(random: Random): RouteMessage[] {
  let last = randomRoute(random);
  return Array.from({ length: 2 + random.below(6) }, () => {
    const next = Object.assign(randomRoute(random), {
      ...(random.chance(80) && { family: last.family, table: last.table, protocol: last.protocol, type: last.type }),
      ...(random.chance(80) && { priority: last.priority, prefSrcLength: last.prefSrcLength }),
      ...(random.chance(60) && { nexthopId: last.nexthopId }),
      ...(random.chance(80) && { hops: [], gatewayFamily: 0, interfaceIndex: 0, prefSrcLength: 0 }),
    });
    next.dstLength &= next.family === 2 ? 31 : 127;
    next.dst.fill(0, next.family === 2 ? 4 : 16);
    last = next;
    return next;
  });
}

/** The encoder of runs writes what the plain one writes. */
function checkRuns(random: Random): Uint8Array {
  const [runs, plain] = [new MessageWriter(), new MessageWriter()];
  const encoder = new netlink.RouteEncoder();
  for (const route of alike(random)) {
    const type = random.chance(80) ? RTM_NEWROUTE : RTM_DELROUTE;
    const flags = random.pick([0, 0, 0x100]);
    encoder.append(runs, type, flags, 1, route);
    netlink.encodeRoute(plain, type, flags, 1, route);
  }
  const written = runs.bytes.slice(0, runs.length);
  assert.deepEqual(written, plain.bytes.slice(0, plain.length), 'a run is written otherwise');
  return written;
}

/** One message; nothing where it is one that only the kernel writes: that is made up of attributes. */
function writeMessage(random: Random, writer: MessageWriter): RouteMessage | NexthopMessage | undefined {
  const sequence = random.below(1000);
  const kind = random.below(10);
  if (kind < 5) {
    const route = randomRoute(random);
    netlink.encodeRoute(writer, random.pick([RTM_NEWROUTE, RTM_DELROUTE]), 0, sequence, route);
    return route;
  }
  if (kind < 7) {
    const family = random.pick([2, 10]);
    const group = Array.from({ length: random.below(4) }, (_, id) => ({ id: id + 1, weight: 1 + random.below(256) }));
    const nexthop = {
      id: 1 + random.below(1000),
      family,
      scope: 0,
      protocol: 186,
      flags: 0,
      interfaceIndex: group.length > 0 ? 0 : 1 + random.below(9),
      gateway: group.length > 0 ? undefined : address(random, family),
      blackhole: random.chance(10),
      group,
      ...(group.length > 0 && random.chance(30)
        ? { resilient: { buckets: 1 + random.below(65535), idleTimer: random.u32(), unbalancedTimer: random.u32() } }
        : {}),
    };
    netlink.encodeNexthop(writer, RTM_NEWNEXTHOP, 0, sequence, nexthop);
    return nexthop;
  }
  writer.begin(random.pick(KINDS), 0, sequence);
  for (const octet of random.bytes(random.pick([0, 4, 8, 12, 16, 20]))) writer.u8(octet);
  for (let count = random.below(6); count > 0; count--) {
    const value = Uint8Array.from(random.bytes(random.pick([0, 1, 2, 4, 4, 4, 8, 16, 20, 32])));
    writer.attribute(random.below(36), value);
  }
  writer.end();
  return undefined;
}

export const netlinkTarget: Target = {
  name: 'netlink',
  episode(seed) {
    const random = new Random(seed);
    let messages = 0;
    for (let i = 0; i < CASES; i++) {
      const writer = new MessageWriter();
      const count = 1 + random.below(4);
      const routes = Array.from({ length: count }, () => writeMessage(random, writer));
      messages += count;
      const written = writer.bytes.slice(0, writer.length);
      const damaged = random.chance(70) ? mutate(random, written) : written;
      try {
        checkRuns(random);
        const got = readBetween(damaged, 0);
        assert.equal(readBetween(damaged, 0xff), got, 'octets outside the datagram count');
        // What we never write may end the reading.
        if (damaged !== written || routes.includes(undefined)) continue;
        for (const one of routes) {
          const wanted = JSON.stringify(said(one!));
          assert.ok(got.includes(wanted), `not read as written: ${wanted} in ${got}`);
        }
      } catch (error) {
        throw new FuzzFailure(`netlink: case ${i}`, damaged, error);
      }
    }
    return Promise.resolve(messages);
  },
};
