/** Tunnels to hosts in other subnets against the real kernel: which next hops take them, what is kept right, and when. */
import { execFileSync } from 'node:child_process';
import t, { type Test } from 'tap';
import type { EncapsulationSettings } from '../../src/config/settings.js';
import { tunnelMac, tunnelMtu } from '../../src/fib/encapsulation/vtep.js';
import { parseAddress } from 'bgp-parse';
import { Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, ip, ipBatch, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
if (!options.skip) {
  enterOwnNamespace();
  ipBatch([
    'link add ens33 type veth peer name far',
    'link set ens33 up',
    'link set far up',
    'addr add 192.168.245.168/24 dev ens33',
    'addr add fd00:245::168/64 dev ens33 nodad',
    'route add default via 192.168.245.1',
    'route add default via fd00:245::1',
  ]);
}

const VXLAN: EncapsulationSettings = {
  mode: 'vxlan',
  when: 'crossSubnet',
  vni: 179,
  port: 4789,
  interface: 'tortie-vxlan',
  mtu: undefined,
  localAddresses: [],
  hosts: ['0.0.0.0/0', '::/0'],
};
const OWN4 = '192.168.245.168';
const OWN6 = 'fd00:245::168';

interface Link {
  ifindex: number;
  ifname: string;
  flags: string[];
  mtu: number;
  address: string;
  ifalias?: string;
  linkinfo?: { info_kind: string; info_data: { id: number; local?: string; local6?: string; port: number } };
}

const links = () => JSON.parse(ip('-j -d link show')) as Link[];
const device = (name = 'tortie-vxlan') => links().find((link) => link.ifname === name);
const lines = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim().replace(/ nhid \d+/, ''))
    .filter(Boolean);
const routes = () =>
  [...lines(ip('route show proto bgp')), ...lines(ip('-6 route show proto bgp'))].map((line) =>
    line.replace(/ nhid \d+/, ''),
  );
const neighbours = (name = 'tortie-vxlan') => lines(ip(`neigh show dev ${name} nud permanent`)).sort();

function tell(h: Harness): void {
  for (const own of [OWN4, OWN6]) h.fib.tellOwnNextHop(parseAddress(own)!);
}

async function started(t: Test, settings: Partial<EncapsulationSettings> = {}, keep = false): Promise<Harness> {
  const harness = new Harness({ encapsulation: { ...VXLAN, ...settings } });
  let stopped = false;
  const stop = async (keepRoutes: boolean) => {
    if (stopped) return;
    stopped = true;
    await harness.fib.stop(keepRoutes);
  };
  t.teardown(() => stop(keep));
  await harness.fib.start();
  return harness;
}

t.test('link-layer addresses and sizes follow from the address alone', async (t) => {
  const mac = (address: string) => Buffer.from(tunnelMac(parseAddress(address)!)).toString('hex');
  t.equal(mac('192.168.245.172'), '0274c0a8f5ac');
  t.equal(mac('fd00:245::172'), mac('fd00:245:0::172'));
  t.match(mac('fd00:245::172'), /^06/);
  const many = new Set(Array.from({ length: 5000 }, (_, i) => mac(`fd00:${(i % 7).toString(16)}::${i.toString(16)}`)));
  t.equal(many.size, 5000);
  t.same([tunnelMtu(VXLAN, 4, 1500), tunnelMtu(VXLAN, 6, 1500)], [1450, 1430]);
  t.same([tunnelMtu({ ...VXLAN, mode: 'ipip' }, 4, 9000), tunnelMtu({ ...VXLAN, mtu: 1400 }, 6, 9000)], [8980, 1400]);
});

t.test('next hops on our subnets stay plain, others go through the tunnel, both families', options, async (t) => {
  const h = await started(t);
  h.track(1, '192.168.245.172');
  h.track(2, '10.9.0.172');
  h.track(3, 'fd00:9::172');
  await until('answers', () => h.nextHops.size === 3);
  t.match(h.nextHops.get(2), { resolvable: false, detail: /no session has shown our own address/ });
  t.equal(device(), undefined);
  tell(h);
  h.submit(
    { id: 1, prefix: '172.18.0.0/24', nextHop: 1 },
    { id: 2, prefix: '172.19.0.0/24', nextHop: 2 },
    { id: 3, prefix: 'fd00:19::/64', nextHop: 3 },
    { id: 4, prefix: '172.20.0.0/24', nextHop: 3 },
  );
  await until('installed', () => h.fib.counts().installed === 4);
  t.match(routes(), [
    /^172\.18\.0\.0\/24 via 192\.168\.245\.172 dev ens33 metric 20/,
    /^172\.19\.0\.0\/24 via 10\.9\.0\.172 dev tortie-vxlan metric 20 onlink/,
    /^172\.20\.0\.0\/24 via inet6 fd00:9::172 dev tortie-vxlan6 metric 20 onlink/,
    /^fd00:19::\/64 via fd00:9::172 dev tortie-vxlan6 metric 20 (pref medium )?onlink/,
  ]);
  t.match(h.nextHops.get(2), { resolvable: true, detail: /^onlink dev .* over ens33$/ });
  t.match(device(), {
    mtu: 1450,
    address: '02:74:c0:a8:f5:a8',
    ifalias: /tortied/,
    linkinfo: { info_kind: 'vxlan', info_data: { id: 179, local: OWN4, port: 4789 } },
  });
  t.match(device('tortie-vxlan6'), { mtu: 1430, linkinfo: { info_data: { id: 179, local6: OWN6 } } });
  t.same(neighbours(), ['10.9.0.172 lladdr 02:74:0a:09:00:ac PERMANENT']);
  t.equal(h.fib.counts().repaired, 0);

  h.submit({ id: 2, prefix: '172.19.0.0/24', nextHop: 0 });
  h.fib.forgetNextHop(2);
  await until('its entries are gone', () => neighbours().length === 0);
  t.notMatch(forwarding(), /0a:09:00:ac/);
  t.match(forwarding('tortie-vxlan6'), /dst fd00:9::172/);
  await h.fib.stop(false);
  t.same([device(), device('tortie-vxlan6'), routes()], [undefined, undefined, []], 'nothing is left');
});

t.test('a route that would take the packets of the tunnel along is not installed', options, async (t) => {
  const h = await started(t);
  tell(h);
  h.track(1, '192.168.245.172');
  h.track(2, '10.9.0.172');
  h.track(3, 'fd00:9::172');
  const count = (n: number) => until(`${n} installed`, () => h.fib.counts().installed === n);
  h.submit(
    { id: 1, prefix: '172.19.0.0/24', nextHop: 2 },
    // The segment of the far host, announced by it; half of everything; IPv6 likewise.
    { id: 2, prefix: '10.9.0.0/24', nextHop: 2 },
    { id: 3, prefix: '0.0.0.0/1', nextHop: 2 },
    { id: 4, prefix: 'fd00:9::/64', nextHop: 3 },
    { id: 5, prefix: '10.10.0.0/16', nextHop: 2 },
    // Plainly they may go.
    { id: 6, prefix: '10.0.0.0/9', nextHop: 1 },
  );
  await count(3);
  await until('said', () => h.fib.counts().failed === 3);
  const why = 'leads into the tunnel to 10.9.0.172, and would take the packets of that tunnel along';
  t.equal(await h.errorOf('10.9.0.0/24'), why);
  t.equal(await h.errorOf('0.0.0.0/1'), why);
  t.match(await h.errorOf('fd00:9::/64'), /into the tunnel to fd00:9::172/);
  t.match(
    [...(await h.fib.diff())].map(({ kind, detail }) => `${kind}: ${detail}`),
    [/^unreachable: leads into/, /^unreachable: leads into/, /^unreachable: leads into/],
  );
  const outer = () => /dev (\S+)/.exec(ip('route get 10.9.0.172'))![1];
  t.equal(outer(), 'ens33');
  t.match(ip('route get 10.10.0.5'), /dev tortie-vxlan/);

  // A host comes up where a route leads into the tunnel already.
  h.track(4, '10.10.0.5');
  await until('taken out', () => h.fib.counts().failed === 4);
  t.match(ip('route get 10.10.0.5'), /via 192\.168\.245\.172 dev ens33/);
  h.fib.forgetNextHop(4);
  await until('in again', () => h.fib.counts().failed === 3);

  // A route of others to the far host itself: nothing takes its packets any more.
  ip('route add 10.9.0.172/32 via 192.168.245.1');
  await count(5);
  t.equal(outer(), 'ens33');
  ip('route del 10.9.0.172/32');
  await count(3);
  // The host is met plainly from now on.
  h.submit({ id: 2, prefix: '10.9.0.0/24', nextHop: 1 });
  await count(4);
  // Somebody leads the far host into the tunnel by hand.
  ip('route add 10.9.0.172/32 dev tortie-vxlan');
  await until('told', () => h.nextHops.get(2)?.resolvable === false);
  t.match(h.nextHops.get(2)!.detail, /leads into the tunnel itself, dev tortie-vxlan/);
  ip('route del 10.9.0.172/32');
  await until('back', () => h.nextHops.get(2)?.resolvable === true);
});

/** `bridge fdb` by iproute2; it is in the same package as `ip`. */
function forwarding(name = 'tortie-vxlan'): string {
  return execFileSync('bridge', ['fdb', 'show', 'dev', name], { encoding: 'utf8' });
}

t.test('whatever is changed by hand is put right, counted, and said once', options, async (t) => {
  const h = await started(t);
  tell(h);
  h.track(1, '10.9.0.172');
  h.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 });
  await until('installed', () => h.fib.counts().installed === 1);
  const right = () =>
    routes()[0]?.startsWith('172.19.0.0/24 via 10.9.0.172 dev tortie-vxlan') === true &&
    neighbours().join() === '10.9.0.172 lladdr 02:74:0a:09:00:ac PERMANENT' &&
    /^02:74:0a:09:00:ac dst 10\.9\.0\.172 .*permanent/m.test(forwarding()) &&
    device()!.mtu === 1450 &&
    device()!.address === '02:74:c0:a8:f5:a8' &&
    device()!.flags.includes('UP');
  t.ok(right());
  const harm: [string, () => unknown][] = [
    ['device deleted', () => ip('link del tortie-vxlan')],
    ['address changed', () => ip('link set tortie-vxlan address 02:00:00:00:00:01')],
    ['MTU changed', () => ip('link set tortie-vxlan mtu 1500')],
    ['set down', () => ip('link set tortie-vxlan down')],
    ['neighbour deleted', () => ip('neigh del 10.9.0.172 dev tortie-vxlan')],
    ['neighbour changed', () => ip('neigh replace 10.9.0.172 lladdr 02:00:00:00:00:02 dev tortie-vxlan nud permanent')],
    ['forwarding deleted', () => bridge('fdb del 02:74:0a:09:00:ac dev tortie-vxlan')],
    ['forwarding changed', () => bridge('fdb replace 02:74:0a:09:00:ac dev tortie-vxlan dst 10.9.0.1')],
    ['deleted again', () => ip('link del tortie-vxlan')],
  ];
  for (const [what, change] of harm) {
    const before = repairs(h);
    change();
    await until(`right again after: ${what}`, () => right() && repairs(h) > before);
    await until('and counted as such', () => h.fib.counts().failed === 0);
    t.pass(what);
  }
  ip('link set ens33 mtu 1400');
  await until('follows the MTU of the interface below', () => device()!.mtu === 1350);
  ip('link set ens33 mtu 1500');
  await until('and back', () => device()!.mtu === 1450);
  t.equal(repairs(h), harm.length, 'said once for each, and not for what is no repair');
  t.ok(h.fib.counts().repaired >= harm.length, 'and counted');
});

const repairs = (h: Harness) => h.logs.filter(({ text }) => text.startsWith('put right the tunnel')).length;

function bridge(line: string): void {
  execFileSync('bridge', line.split(' '));
}

t.test('a restart adopts device and entries; what nobody asks for any more goes with the sweep', options, async (t) => {
  const first = await started(t, {}, true);
  tell(first);
  first.track(1, '10.9.0.172');
  first.track(2, '10.9.0.173');
  first.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 }, { id: 2, prefix: '172.20.0.0/24', nextHop: 2 });
  await until('installed', () => first.fib.counts().installed === 2);
  const before = device()!;
  await first.fib.stop(true);
  t.equal(neighbours().length, 2, 'kept');

  const second = await started(t);
  t.equal(device()?.ifindex, before.ifindex);
  second.track(1, '10.9.0.172');
  second.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 });
  await until('wanted again, before any session is up', () => second.statusOf(1) === 2);
  t.equal(neighbours().length, 2, 'all is still there');
  second.fib.sweepStale();
  await until('swept', () => neighbours().length === 1 && routes().length === 1);
  tell(second);
  await until('told', () => device('tortie-vxlan6') !== undefined);
  t.equal(device()?.ifindex, before.ifindex, 'the same device all the time');
  t.equal(repairs(second), 0);
});

t.test('a reload changes or ends it', options, async (t) => {
  const h = await started(t);
  tell(h);
  h.track(1, '10.9.0.172');
  h.track(2, '192.168.245.172');
  h.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 }, { id: 2, prefix: '172.18.0.0/24', nextHop: 2 });
  await until('installed', () => routes()[1]?.includes('tortie-vxlan') === true);
  h.fib.encapsulate({ ...VXLAN, vni: 200, when: 'always' });
  await until('other VNI, all next hops', () => routes().filter((line) => line.includes('tortie-vxlan')).length === 2);
  t.match(device(), { linkinfo: { info_data: { id: 200 } } });
  h.fib.encapsulate({ ...VXLAN, when: 'always', hosts: ['10.9.0.0/16'], interface: 'tunnel' });
  await until('only the hosts named', () => routes()[0]?.includes('dev ens33') === true);
  await until('another name', () => routes()[1]?.includes('dev tunnel ') === true);
  t.equal(device(), undefined);
  h.fib.encapsulate(undefined);
  await until('plain', () => routes()[1]?.startsWith('172.19.0.0/24 via 192.168.245.1 dev ens33') === true);
  t.equal(device('tunnel'), undefined);
});

t.test('an interface of somebody else is not touched', options, async (t) => {
  ip('link add tortie-vxlan type bridge');
  const refused = new Harness({ encapsulation: VXLAN });
  await t.rejects(refused.fib.start(), { message: /tortie-vxlan exists and is not Tortie's: remove it \(ip link del/ });
  ip('link del tortie-vxlan');

  const h = await started(t);
  tell(h);
  h.track(1, '10.9.0.172');
  h.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 });
  await until('installed', () => h.fib.counts().installed === 1);
  // Both in one go: the name is taken before we can take it again.
  ipBatch(['link set tortie-vxlan name other', 'link add tortie-vxlan type bridge']);
  await until('said', () => h.nextHops.get(1)?.detail.includes("is not Tortie's") === true);
  await until('no route', () => routes().length === 0);
  t.equal(device()?.linkinfo?.info_kind, 'bridge');
  ip('link del tortie-vxlan');
  ip('link del other');
  await until('ours again', () => routes().length === 1);
});

t.test('IP in IP where the kernel has it, and why not where it has not', options, async (t) => {
  const h = new Harness({ encapsulation: { ...VXLAN, mode: 'ipip', interface: 'tortie-ipip' } });
  const error = await h.fib.start().then(
    () => undefined,
    (caught: unknown) => caught as Error,
  );
  if (error) {
    t.match(error.message, /no ipip devices: load the module \(modprobe ipip\), or set encapsulation.mode: vxlan/);
    return;
  }
  t.teardown(() => h.fib.stop(false));
  tell(h);
  h.track(1, '10.9.0.172');
  h.submit({ id: 1, prefix: '172.19.0.0/24', nextHop: 1 });
  await until('installed', () => routes()[0]?.includes('via 10.9.0.172 dev tortie-ipip') === true);
  t.match(device('tortie-ipip'), { mtu: 1480, linkinfo: { info_kind: 'ipip' } });
});
