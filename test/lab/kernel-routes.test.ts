/** Routes by nexthop objects read the same in both modes of `net.ipv4.nexthop_compat_mode`, here and in the lab. */
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { hidesNexthops, withNexthops, type KernelNexthop, type KernelRoute } from '../../src/lab/kernel-routes.js';
import { probe } from '../../src/lab/probe.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from '../fib/fixtures/own-namespace.js';
import { cannotRunLab, twoHosts } from './lab-fixture.js';

// Before a namespace of our own: the lab makes its namespaces from the first one.
t.test('the lab, with fib.setSysctls', { skip: cannotRunLab() }, async (t) => {
  const { network, one } = await twoHosts(t, { keys: { fib: { setSysctls: true } }, versions: [4, 6] });
  const { namespace } = one.node.host;
  const shown = JSON.parse(await network.ip(namespace, '-j', 'route', 'show', 'proto', 'bgp')) as KernelRoute[];
  t.ok(hidesNexthops(shown), 'the daemon has set the mode: the kernel names the object alone');
  const [route] = (await one.node.kernelRoutes()).filter(({ dst }) => dst === '172.18.0.0/24');
  t.match(route, { gateway: '192.168.245.172', dev: 'ens33' });
  t.match(await probe(one.container!, ['172.18.0.2', 'fd00:18::2']), [{ reply: { ttl: 62 } }, { reply: { ttl: 62 } }]);
});

t.test('objects, groups, IPv6 gateways of IPv4 routes, blackholes', needsNamespaces(), (t) => {
  enterOwnNamespace();
  ip('link add ens33 type veth peer name far');
  ipBatch(['link set ens33 up', 'link set far up']);
  ipBatch(['addr add 10.0.0.1/24 dev ens33', 'addr add fd00::1/64 dev ens33 nodad']);
  ipBatch([
    'nexthop add id 5 via 10.0.0.2 dev ens33',
    'nexthop add id 6 via 10.0.0.3 dev ens33',
    'nexthop add id 7 group 5/6,3',
    'nexthop add id 8 via fd00::2 dev ens33',
    'route add 20.0.0.0/24 nhid 5',
    'route add 20.0.1.0/24 nhid 7',
    'route add 20.0.2.0/24 nhid 8',
    'route add 20.0.3.0/24 via 10.0.0.9',
    'route add blackhole 20.0.4.0/24',
    'route add 2001:db8::/48 nhid 8',
  ]);
  const ask = (line: string) => JSON.parse(ip(`-j ${line}`)) as unknown;
  const routes = () => {
    const shown = ['-4', '-6'].flatMap((family) => ask(`${family} route show`) as KernelRoute[]);
    return { shown, whole: withNexthops(shown, ask('nexthop') as KernelNexthop[]) };
  };
  const mode = (value: number) => writeFileSync('/proc/sys/net/ipv4/nexthop_compat_mode', String(value));
  mode(1);
  const plain = routes();
  t.notOk(hidesNexthops(plain.shown));
  t.strictSame(plain.whole, plain.shown);
  mode(0);
  const hidden = routes();
  t.ok(hidesNexthops(hidden.shown));
  t.match(hidden.whole, plain.shown.map(withoutFlags));
  t.equal(hidden.whole.length, plain.shown.length);
  t.end();
});

function withoutFlags(route: KernelRoute): object {
  const { nexthops, ...rest } = route as KernelRoute & { flags?: unknown };
  delete rest.flags;
  return {
    ...rest,
    ...(nexthops && { nexthops: nexthops.map(({ gateway, dev, weight }) => ({ gateway, dev, weight })) }),
  };
}
