/** What of a tunnel's entries is seen to be wrong, by what the kernel tells of each alone. */
import t from 'tap';
import { AF_BRIDGE, AF_INET, NUD_PERMANENT } from 'netlink';
import type { NeighbourMessage } from 'netlink';
import { TunnelDevice } from '../../src/fib/encapsulation/tunnel-device.js';
import type { TunnelKernel } from '../../src/fib/encapsulation/tunnel-kernel.js';
import { tunnelMac } from '../../src/fib/encapsulation/vtep.js';

const NUD_REACHABLE = 2;
const NEXT_HOP = Uint8Array.of(10, 9, 0, 172);
const OTHER = Uint8Array.of(10, 9, 0, 1);
const MAC = tunnelMac(NEXT_HOP);

const entry = (fields: Partial<NeighbourMessage>): NeighbourMessage => ({
  family: AF_BRIDGE,
  interfaceIndex: 1,
  state: NUD_PERMANENT,
  flags: 0,
  destination: NEXT_HOP,
  linkAddress: MAC,
  ...fields,
});

function device(): { device: TunnelDevice; written: NeighbourMessage[] } {
  const written: NeighbourMessage[] = [];
  const kernel = { create: () => undefined, setEntry: (each: NeighbourMessage) => written.push(each) };
  const device = new TunnelDevice(4, 'tunnel', kernel as unknown as TunnelKernel);
  const spec = { name: 'tunnel', kind: 'vxlan', local: OTHER, mtu: 1450, vni: 1, port: 4789, address: MAC } as const;
  device.want(NEXT_HOP);
  device.settle(spec);
  written.length = 0;
  return { device, written };
}

t.test('every way in which an entry may be wrong is seen, and mended', (t) => {
  const wrong: [string, NeighbourMessage, boolean][] = [
    ['the forwarding entry leads elsewhere', entry({ destination: OTHER }), false],
    ['the forwarding entry is not for good', entry({ state: NUD_REACHABLE }), false],
    ['the forwarding entry has gone', entry({}), true],
    ['the neighbour has another address', entry({ family: AF_INET, linkAddress: tunnelMac(OTHER) }), false],
    ['the neighbour is not for good', entry({ family: AF_INET, state: NUD_REACHABLE }), false],
    ['the neighbour has gone', entry({ family: AF_INET, linkAddress: undefined }), true],
  ];
  for (const [what, message, deleted] of wrong) {
    const made = device();
    t.equal(made.device.entryChanged(message, deleted), false, what);
    const spec = { name: 'tunnel', kind: 'vxlan', local: OTHER, mtu: 1450, vni: 1, port: 4789, address: MAC } as const;
    t.equal(made.device.settle(spec), 1, `${what}: mended`);
    t.ok(made.written.length > 0);
  }
  t.end();
});

t.test('what concerns no next hop of ours is let be', (t) => {
  const { device: made } = device();
  t.equal(made.entryChanged(entry({ destination: OTHER, linkAddress: tunnelMac(OTHER) }), false), true);
  t.equal(made.entryChanged(entry({ family: AF_INET, destination: OTHER }), true), true);
  t.equal(made.entryChanged(entry({}), false), true, 'as we have set it');
  t.end();
});
