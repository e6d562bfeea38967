/** Kernel settings that forwarding depends on: what is found, what is set, and what the speaker says of it. */
import t from 'tap';
import { ForwardingCheck, forwardingFacts, interfaceTowards } from '../../src/host.js';
import type { KernelState } from '../../src/fib/port.js';
import {
  describeFinding,
  dotted,
  findSysctls,
  procSysctls,
  setSysctls,
  type ForwardingFacts,
  type Sysctls,
} from '../../src/support/sysctls.js';
import { parseConfig } from '../../src/config/load.js';
import { enterOwnNamespace, ip, needsNamespaces } from '../fib/fixtures/own-namespace.js';

const FACTS: ForwardingFacts = { ipv6: true, interfaces: ['eth0', 'br0'], multipath: true, nexthopObjects: true };

class FakeSysctls implements Sysctls {
  readonly values: Map<string, string>;
  readonly refusal: string | undefined;
  constructor(values: Map<string, string>, refusal?: string) {
    this.values = values;
    this.refusal = refusal;
  }
  read(name: string): string | undefined {
    return this.values.get(name);
  }
  write(name: string, value: string): void {
    if (this.refusal) throw Object.assign(new Error(this.refusal), { code: this.refusal });
    this.values.set(name, value);
  }
}

const bad = (): Map<string, string> =>
  new Map([
    ['net/ipv4/ip_forward', '0'],
    ['net/ipv6/conf/all/forwarding', '0'],
    ['net/ipv6/conf/eth0/accept_ra', '1'],
    ['net/ipv6/conf/br0/accept_ra', '0'],
    ['net/ipv4/conf/all/rp_filter', '1'],
    ['net/ipv4/conf/eth0/rp_filter', '0'],
    ['net/ipv4/conf/br0/rp_filter', '2'],
    ['net/ipv4/fib_multipath_hash_policy', '0'],
    ['net/ipv6/fib_multipath_hash_policy', '0'],
    ['net/ipv4/nexthop_compat_mode', '1'],
  ]);

t.test('what is not right, and why', (t) => {
  const names = (facts: ForwardingFacts): string[] =>
    findSysctls(new FakeSysctls(bad()), facts).map(({ name }) => name);
  t.same(names(FACTS), [
    'net/ipv4/ip_forward',
    'net/ipv6/conf/all/forwarding',
    'net/ipv4/conf/eth0/rp_filter',
    'net/ipv4/fib_multipath_hash_policy',
    'net/ipv6/fib_multipath_hash_policy',
    'net/ipv4/nexthop_compat_mode',
  ]);
  t.same(names({ ipv6: false, interfaces: [], multipath: false, nexthopObjects: false }), ['net/ipv4/ip_forward']);
  t.same(findSysctls(new FakeSysctls(new Map()), FACTS), [], 'a kernel without them');
  const [first] = findSysctls(new FakeSysctls(bad()), FACTS);
  t.equal(
    describeFinding(first!),
    'sysctl net.ipv4.ip_forward is 0: no IPv4 packet is forwarded to or from containers; set it to 1, or set fib.setSysctls: true',
  );
  t.equal(dotted('net/ipv4/conf/eth0.5/rp_filter'), 'net.ipv4.conf.eth0/5.rp_filter');
  t.end();
});

t.test('set: all is right afterwards, and a default route from router advertisements stays', (t) => {
  const sysctls = new FakeSysctls(bad());
  const changes = setSysctls(sysctls, findSysctls(sysctls, FACTS), ['eth0', 'br0']);
  t.same(findSysctls(sysctls, FACTS), []);
  t.equal(sysctls.read('net/ipv6/conf/eth0/accept_ra'), '2');
  t.equal(sysctls.read('net/ipv6/conf/br0/accept_ra'), '0');
  const at = (name: string): number => changes.findIndex((change) => change.name === name);
  t.ok(at('net/ipv6/conf/eth0/accept_ra') < at('net/ipv6/conf/all/forwarding'), 'before IPv6 is forwarded');
  const refused = setSysctls(new FakeSysctls(bad(), 'EROFS'), findSysctls(sysctls, FACTS).slice(0, 1), []);
  t.same(refused, []);
  const readOnly = new FakeSysctls(bad(), 'EROFS');
  t.match(setSysctls(readOnly, findSysctls(readOnly, FACTS).slice(0, 1), []), [{ after: '1', error: 'EROFS' }]);
  t.end();
});

t.test('what only costs time is told once, and a warning where there are many routes', async (t) => {
  const settings = await parseConfig('asn: 1\n', 'x.yaml');
  const said: string[] = [];
  const say = (level: string) => (_: object, text: string) => void said.push(`${level} ${text}`);
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  const values = new Map([
    ['net/ipv4/ip_forward', '0'],
    ['net/ipv4/nexthop_compat_mode', '1'],
  ]);
  const check = new ForwardingCheck(new FakeSysctls(values), log);
  check.start(settings, { links: [], addresses: [] });
  t.match(said, [/^warn sysctl net\.ipv4\.ip_forward /, /^info sysctl net\.ipv4\.nexthop_compat_mode is 1: /]);
  t.match(check.warnings(200), [/ip_forward/]);
  t.equal(check.warnings(200).length, 1);
  t.match(check.warnings(200_000), [/ip_forward/, /nexthop_compat_mode/]);
});

t.test('which interfaces matter', async (t) => {
  const address = (ifindex: number, bytes: number[], prefixLength: number, local = false) => ({
    ifindex,
    bytes: Uint8Array.from(bytes),
    prefixLength,
    local,
    tentative: false,
  });
  const kernel: KernelState = {
    links: ['lo', 'eth0', 'br0', 'eth1', 'eth2'].map((name, index) => ({ index: index + 1, name, up: true })),
    addresses: [
      address(1, [127, 0, 0, 1], 8, true),
      address(2, [192, 168, 245, 168], 24),
      address(3, [172, 17, 0, 1], 24),
      address(4, [10, 9, 0, 1], 16),
      address(5, [10, 9, 9, 1], 24),
    ],
  };
  const settings = await parseConfig(
    'asn: 1\npeers: [{address: 192.168.245.172, asn: 1}, {address: "fe80::1", interface: eth9, asn: 2}]\n' +
      'networks: [{interface: br0}]\nlistenRanges: [{prefix: 10.9.9.0/24, asn: 1}]\n',
    'x.yaml',
  );
  t.same(forwardingFacts(settings, kernel), {
    ipv6: false,
    interfaces: ['br0', 'eth0', 'eth2'],
    multipath: false,
    nexthopObjects: true,
  });
  t.equal(interfaceTowards(Uint8Array.of(10, 9, 9, 7), kernel)?.name, 'eth2', 'the longest subnet');
  t.equal(interfaceTowards(Uint8Array.of(10, 9, 8, 7), kernel)?.name, 'eth1');
  t.equal(interfaceTowards(Uint8Array.of(10, 8, 8, 7), kernel), undefined);
});

const options = needsNamespaces();
t.test('the real ones, in a namespace', options, (t) => {
  enterOwnNamespace();
  ip('link add eth0 type veth peer name eth1');
  const facts = { ...FACTS, interfaces: ['eth0'] };
  procSysctls.write('net/ipv4/ip_forward', '0');
  procSysctls.write('net/ipv4/conf/eth0/rp_filter', '1');
  const found = findSysctls(procSysctls, facts).map(({ name }) => name);
  t.ok(found.includes('net/ipv4/ip_forward'), found.join(' '));
  t.ok(found.includes('net/ipv4/conf/eth0/rp_filter'));
  const changes = setSysctls(procSysctls, findSysctls(procSysctls, facts), ['lo', 'eth0']);
  t.same(
    changes.filter(({ error }) => error !== undefined),
    [],
  );
  t.same(findSysctls(procSysctls, facts), []);
  t.end();
});
