/** RFC 9234: who may say ONLY_TO_CUSTOMER, where it is added, where it does not go; and sessions of roles that clash. */
import t from 'tap';
import type { Capability } from 'bgp-parse';
import { Role } from 'bgp-parse';
import { Rig, until } from '../reflector/fixtures/rig.js';
import type { Reflector, ScriptedPeer } from '../reflector/fixtures/rig.js';
import { u32 } from '../reflector/fixtures/say.js';
import type { Saying } from '../reflector/fixtures/say.js';

type Test = ConstructorParameters<typeof Rig>[0];
type RoleName = keyof typeof Role;

const HOP = '192.0.2.1';
const OWN = 64512;
/** What we are to each of the peers: a name says what the peer is to us. */
const OURS: Record<string, RoleName | undefined> = {
  customer: 'provider',
  provider: 'customer',
  lateral: 'peer',
  server: 'routeServerClient',
  client: 'routeServer',
  plain: undefined,
};
const NAMES = Object.keys(OURS);
const asnOf = (name: string): number => 65001 + NAMES.indexOf(name);

async function scene(t: Test) {
  const rig = new Rig(t);
  const addressOf = (name: string): string => rig.address(11 + NAMES.indexOf(name));
  const peers = NAMES.map((name) => ({
    address: addressOf(name),
    asn: asnOf(name),
    passive: true,
    import: 'accept',
    export: 'accept',
    ...(OURS[name] && { role: OURS[name] }),
  }));
  const reflector = await rig.reflector({ address: rig.address(1), config: { peers } });
  const sessions: Record<string, ScriptedPeer> = {};
  for (const name of NAMES) {
    sessions[name] = await rig.peer(reflector, {
      address: addressOf(name),
      asn: asnOf(name),
      routerId: addressOf(name),
    });
  }
  return { rig, reflector, sessions, addressOf };
}

const otc = (asn: number): Saying['raw'] => [{ flags: 0xc0, code: 35, value: u32(asn) }];
const hex = (asn: number): string => Buffer.from(u32(asn)).toString('hex');

function reasonOf(reflector: Reflector, prefix: string): string {
  return [...reflector.speaker.routes({ match: prefix })!][0]!.reason;
}

t.test('ingress and egress (§5)', async (t) => {
  const { reflector, sessions } = await scene(t);
  const all = 'customer client plain'.split(' ');
  // Said by; with OTC of; leak; who may hear of it; the OTC that a customer then sees.
  const cases: [string, number | undefined, boolean, string[], string][] = [
    ['customer', undefined, false, NAMES, hex(OWN)],
    ['customer', asnOf('customer'), true, [], ''],
    ['client', undefined, false, NAMES, hex(OWN)],
    ['client', 64999, true, [], ''],
    ['lateral', undefined, false, all, hex(asnOf('lateral'))],
    ['lateral', asnOf('lateral'), false, all, hex(asnOf('lateral'))],
    ['lateral', 64999, true, [], ''],
    ['provider', undefined, false, all, hex(asnOf('provider'))],
    ['provider', 64999, false, all, hex(64999)],
    ['server', undefined, false, all, hex(asnOf('server'))],
    ['plain', undefined, false, NAMES, hex(OWN)],
    ['plain', 64999, false, all, hex(64999)],
  ];
  for (const [index, [name, asn]] of cases.entries()) {
    const raw = asn === undefined ? {} : { raw: otc(asn)! };
    sessions[name]!.announce([`10.${index}.0.0/16`], { nextHop: HOP, asPath: [asnOf(name)], ...raw });
  }
  await until(() => [...reflector.speaker.routes({})!].length === cases.length, 'all routes');
  sessions.plain!.announce(['10.99.0.0/16'], { nextHop: HOP, asPath: [asnOf('plain')] });
  for (const name of NAMES) {
    if (name !== 'plain') await sessions[name]!.until((heard) => heard.routes.has('10.99.0.0/16'), 'the last one');
  }
  for (const [index, [name, asn, leak, hears, seen]] of cases.entries()) {
    const prefix = `10.${index}.0.0/16`;
    const what = `${name} ${asn ?? 'without'}`;
    if (leak) t.equal(reasonOf(reflector, prefix), 'route-leak', what);
    const expected = hears.filter((each) => each !== name);
    const heard = NAMES.filter((each) => sessions[each]!.heard.routes.has(prefix));
    t.same(heard, expected, `${what}: goes to`);
    if (expected.includes('customer')) t.equal(sessions.customer!.heard.attribute(prefix, 35), seen, `${what}: OTC`);
    // Without a role there is no rule: what is there goes on as it is, what is not is not added.
    if (expected.includes('plain')) {
      t.equal(sessions.plain!.heard.attribute(prefix, 35), seen === hex(OWN) ? undefined : seen, `${what}: plain`);
    }
  }
  // RFC 7947 §2.2: a route server leaves path and next hop alone.
  const toClient = sessions.client!.heard;
  t.equal(toClient.attribute('10.7.0.0/16', 2), `0201${hex(asnOf('provider'))}`);
  t.equal(toClient.routes.get('10.7.0.0/16')!.nextHop, HOP);
});

t.test('sessions: the capability, a clash, strict', async (t) => {
  const rig = new Rig(t);
  const address = rig.address(2);
  const config = (more: object): object => ({ peers: [{ address, asn: 65001, passive: true, ...more }] });
  const reflector = await rig.reflector({ address: rig.address(1), config: config({ role: 'provider' }) as never });
  const capabilities = (...roles: RoleName[]): Capability[] => [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'fourOctetAs', asn: 65001 },
    ...roles.map((role): Capability => ({ kind: 'role', role: Role[role] })),
  ];
  const clash = await rig.dial(reflector, { address, asn: 65001, capabilities: capabilities('provider') });
  await until(() => clash.closed, 'the end');
  t.match(clash.heard.notifications.join(), /^020b/);
  t.match(Buffer.from(clash.heard.opens[0]!).toString('hex'), /090100/, 'capability 9: provider');
  t.match(reflector.peer(address).lastError, /role provider, expected customer/);
  reflector.speaker.command(address, 'reset');
  const right = await rig.peer(reflector, { address, asn: 65001, capabilities: capabilities('customer') });
  t.notOk(right.closed);
  await reflector.reconfigure(config({ role: 'provider', roleStrict: true }) as never);
  await until(() => right.closed, 'a new session is needed');
  const silent = await rig.dial(reflector, { address, asn: 65001, capabilities: capabilities() });
  await until(() => silent.closed, 'refused');
  t.match(silent.heard.notifications.join(), /^020b/);
});
