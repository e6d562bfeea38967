/** Interned gateways: the same place has the same number, until nobody uses it any more. */
import { RouteMessage } from 'netlink';
import t from 'tap';
import { Gateways, OTHER_GATEWAY } from '../../src/fib/gateways.js';

const a = Uint8Array.of(10, 0, 0, 1);
const b = Uint8Array.of(10, 0, 0, 2);

t.test('one number per family, address, interface and onlink', (t) => {
  const gateways = new Gateways();
  const id = gateways.intern(2, a, 1, false);
  const others = [
    gateways.intern(2, b, 1, false),
    gateways.intern(2, a, 2, false),
    gateways.intern(2, a, 1, true),
    gateways.intern(10, a, 1, false),
  ];
  t.equal(new Set([id, ...others]).size, 5);
  t.equal(gateways.intern(2, a, 1, false), id);
  t.match(gateways.get(id), { family: 2, interfaceIndex: 1, onlink: false });
  t.equal(gateways.get(OTHER_GATEWAY), undefined);
  t.end();
});

t.test('what is in no use is forgotten, what is used keeps its number', (t) => {
  const gateways = new Gateways();
  const kept = gateways.intern(2, a, 1, false);
  const dropped = gateways.intern(2, b, 1, false);
  gateways.sweep(new Set([kept]));
  t.equal(gateways.size, 1);
  t.equal(gateways.get(dropped), undefined);
  t.equal(gateways.intern(2, a, 1, false), kept);
  t.equal(gateways.intern(2, b, 9, false), dropped, 'numbers are used again');
  t.match(gateways.get(dropped), { interfaceIndex: 9 });
  t.end();
});

t.test('routes of several hops: of others the first one alive counts, ours are all of them', (t) => {
  const gateways = new Gateways();
  const route = new RouteMessage();
  const hop = { gatewayFamily: 2, gateway: a, weight: 1 };
  route.hops = [
    { ...hop, interfaceIndex: 1, flags: 1 },
    { ...hop, interfaceIndex: 2, flags: 0 },
  ];
  t.match(gateways.get(gateways.ofRoute(route, true)), { interfaceIndex: 2 });
  const both = gateways.ofRoute(route, false);
  t.strictSame(
    gateways.hopsOf(both).map(({ gateway, weight }) => [gateways.get(gateway)?.interfaceIndex, weight]),
    [
      [2, 1],
      [1, 1],
    ],
  );
  route.hops = [...route.hops].reverse();
  t.equal(gateways.ofRoute(route, false), both, 'in any order');
  route.hops = [];
  route.nexthopId = 7;
  route.interfaceIndex = 3;
  t.match(gateways.get(gateways.ofRoute(route, true)), { interfaceIndex: 3 });
  t.equal(gateways.ofRoute(route, false), OTHER_GATEWAY);
  t.end();
});
