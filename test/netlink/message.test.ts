/** Framing and every message kind: what is written is read back, and lengths that lie are refused. */
import * as nl from 'netlink';
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';

function readerOf(write: (writer: nl.MessageWriter) => void): nl.MessageReader {
  const writer = new nl.MessageWriter();
  write(writer);
  const reader = new nl.MessageReader(writer.bytes.slice());
  if (!reader.nextMessage()) throw new Error('no message');
  return reader;
}

const address = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const padded = (bytes: Uint8Array) => {
  const out = new Uint8Array(16);
  out.set(bytes);
  return out;
};

t.test('routes: any route survives the round trip', (t) => {
  const family = fc.constantFrom(nl.AF_INET, nl.AF_INET6);
  const hop = (size: number, own: number) =>
    fc.record({
      interfaceIndex: fc.integer({ min: 1, max: 99999 }),
      gatewayFamily: size === 4 ? fc.constantFrom(0, own, nl.AF_INET6) : fc.constantFrom(0, own),
      raw: address(16),
      weight: fc.integer({ min: 1, max: 256 }),
      flags: fc.constantFrom(0, nl.RTNH_F_ONLINK),
    });
  const arbitrary = family.chain((own) => {
    const size = own === nl.AF_INET ? 4 : 16;
    return fc.record({
      family: fc.constant(own),
      dstLength: fc.integer({ min: 0, max: size * 8 }),
      dst: address(size),
      table: fc.constantFrom(1, 254, 255, 256, 100000),
      protocol: fc.nat(255),
      type: fc.nat(11),
      scope: fc.nat(255),
      priority: fc.nat(0xffffffff),
      nexthopId: fc.nat(0xffffffff),
      first: hop(size, own),
      hops: fc.array(hop(size, own), { maxLength: 4 }),
    });
  });
  const fixed = (gatewayFamily: number, raw: Uint8Array) =>
    gatewayFamily === 0 ? new Uint8Array(16) : padded(raw.subarray(0, gatewayFamily === nl.AF_INET ? 4 : 16));
  const encoder = new nl.RouteEncoder();
  fc.assert(
    fc.property(arbitrary, (it) => {
      const route = new nl.RouteMessage();
      const { first, hops, dst, ...scalars } = it;
      Object.assign(route, scalars);
      route.dst.set(dst);
      route.interfaceIndex = first.interfaceIndex;
      route.gatewayFamily = first.gatewayFamily;
      route.gateway.set(fixed(first.gatewayFamily, first.raw));
      route.hops = hops.map(({ raw, ...rest }) => ({ ...rest, gateway: fixed(rest.gatewayFamily, raw) }));
      const reader = readerOf((writer) => nl.encodeRoute(writer, nl.RTM_NEWROUTE, nl.NLM_F_CREATE, 7, route));
      const back = new nl.RouteMessage();
      nl.decodeRoute(reader, back);
      t.equal(reader.sequence, 7);
      t.equal(reader.flags, nl.NLM_F_CREATE | nl.NLM_F_REQUEST);
      t.strictSame({ ...back }, { ...route });
      const one = plainRoute(route, back.dst);
      // A run, interrupted by a route of another kind, is as if each had been written by itself.
      const runs = [
        one,
        plainRoute(
          route,
          back.dst.map((octet) => octet ^ 255),
        ),
        route,
        one,
      ];
      const [together, apart] = [new nl.MessageWriter(), new nl.MessageWriter()];
      runs.forEach((each, i) => {
        encoder.append(together, nl.RTM_NEWROUTE, nl.NLM_F_EXCL, i, each);
        nl.encodeRoute(apart, nl.RTM_NEWROUTE, nl.NLM_F_EXCL, i, each);
      });
      t.same(together.bytes, apart.bytes);
    }),
    { numRuns: runs(300) },
  );
  t.end();
});

t.test('the octets of one route are those that ip sends', (t) => {
  const route = new nl.RouteMessage();
  route.family = nl.AF_INET;
  route.dstLength = 24;
  route.dst.set([172, 18, 0]);
  route.table = 254;
  route.protocol = nl.RTPROT_BGP;
  route.type = nl.RTN_UNICAST;
  route.priority = 20;
  route.gatewayFamily = nl.AF_INET;
  route.gateway.set([192, 168, 245, 172]);
  route.interfaceIndex = 3;
  const writer = new nl.MessageWriter();
  nl.encodeRoute(writer, nl.RTM_NEWROUTE, nl.NLM_F_CREATE | nl.NLM_F_EXCL, 1, route);
  t.equal(
    Buffer.from(writer.bytes).toString('hex'),
    '44000000' +
      '1800' +
      '0106' +
      '01000000' +
      '00000000' + // nlmsghdr
      '02180000fe' +
      'ba' +
      '00' +
      '01' +
      '00000000' + // rtmsg
      '08000100ac120000' +
      '08000f00fe000000' +
      '0800060014000000' +
      '08000500c0a8f5ac' +
      '0800040003000000',
  );
  t.end();
});

t.test('links, addresses, nexthops, neighbours, rules', (t) => {
  const own = {
    family: 2,
    interfaceIndex: 4,
    prefixLength: 24,
    scope: 0,
    flags: 0x80,
    address: Uint8Array.of(10, 0, 0, 1),
  };
  t.strictSame(nl.decodeAddress(readerOf((w) => nl.encodeAddress(w, nl.RTM_NEWADDR, 0, 1, own))), own);

  const nexthop = {
    ...{ id: 9, family: 10, protocol: 186, scope: 0, flags: 4, interfaceIndex: 3, blackhole: false, group: [] },
    gateway: Uint8Array.from({ length: 16 }, (_, i) => i),
  };
  t.strictSame(nl.decodeNexthop(readerOf((w) => nl.encodeNexthop(w, nl.RTM_NEWNEXTHOP, 0, 1, nexthop))), nexthop);
  const group = {
    ...nexthop,
    family: 0,
    flags: 0,
    interfaceIndex: 0,
    gateway: undefined,
    group: [{ id: 9, weight: 256 }],
  };
  t.strictSame(nl.decodeNexthop(readerOf((w) => nl.encodeNexthop(w, nl.RTM_NEWNEXTHOP, 0, 1, group))), group);
  t.equal(nl.decodeNexthop(readerOf((w) => nl.encodeNexthop(w, nl.RTM_DELNEXTHOP, 0, 1, nexthop))).id, 9);

  const neighbour = {
    ...{ family: 2, interfaceIndex: 3, state: 0x80, flags: 2, destination: Uint8Array.of(10, 0, 0, 9) },
    linkAddress: Uint8Array.of(2, 0, 0, 0, 0, 1),
  };
  t.strictSame(nl.decodeNeighbour(readerOf((w) => nl.encodeNeighbour(w, nl.RTM_NEWNEIGH, 0, 1, neighbour))), neighbour);

  const rule = {
    ...{ family: 2, table: 1000, action: 1, priority: 77, destination: undefined, outputInterface: undefined },
    source: { address: Uint8Array.of(10, 0, 0, 0), length: 8 },
    inputInterface: 'eth0',
    mark: { value: 1, mask: 0xff },
  };
  t.strictSame(nl.decodeRule(readerOf((w) => nl.encodeRule(w, nl.RTM_NEWRULE, 0, 1, rule))), rule);
  t.end();
});

t.test('malformed octets are refused by name or read as they are, never run over', (t) => {
  const route = new nl.RouteMessage();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, framed) => {
      if (framed && noise.length >= 16) new DataView(noise.buffer).setUint32(0, noise.length, true);
      const reader = new nl.MessageReader(noise);
      try {
        while (reader.nextMessage()) {
          const { end } = reader;
          nl.decodeRoute(reader, route);
          if (end > noise.length) throw new Error('ran over');
        }
      } catch (error) {
        if (!(error instanceof nl.NetlinkFormatError)) throw error;
      }
    }),
    { numRuns: runs(2000) },
  );
  const short = new Uint8Array(20);
  new DataView(short.buffer).setUint32(0, 400, true);
  t.throws(() => new nl.MessageReader(short).nextMessage(), /message length 400 with 20 octets left/);
  t.throws(() => readerOf((w) => (w.begin(24, 0, 1), w.end())).header(12), nl.NetlinkFormatError);
  t.end();
});

/** The same without gateways, to another destination. */
function plainRoute(route: nl.RouteMessage, dst: Uint8Array): nl.RouteMessage {
  const plain = Object.assign(new nl.RouteMessage(), {
    ...{ family: route.family, dstLength: route.dstLength, table: route.table, protocol: route.protocol },
    ...{ type: route.type, scope: route.scope, priority: route.priority, nexthopId: route.nexthopId },
  });
  plain.dst.set(dst.subarray(0, route.family === nl.AF_INET ? 4 : 16));
  return plain;
}
