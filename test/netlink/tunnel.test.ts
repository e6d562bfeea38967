/**
 * Tunnel devices: what we ask the kernel for, compared with what `ip link add` of iproute2 6.1 asks for the same device,
 * octet by octet of each attribute; and devices read back as the kernel tells them.
 */
import * as nl from 'netlink';
import t from 'tap';

/** Attributes by type, nested ones (of link information) with their path: "18.2.9". */
function attributes(bytes: Uint8Array, path = ''): Map<string, string> {
  const out = new Map<string, string>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = view.getUint16(at, little);
    const type = `${path}${view.getUint16(at + 2, little) & 0x3fff}`;
    const value = bytes.subarray(at + 4, at + length);
    if (type === '18' || type === '18.2') for (const [key, text] of attributes(value, `${type}.`)) out.set(key, text);
    else
      out.set(
        type,
        Buffer.from(value)
          .toString('hex')
          .replace(/^((?:[^0].|.[^0])+)00$/, '$1'),
      );
    at += (length + 3) & ~3;
  }
  return out;
}

function asked(tunnel: nl.NewTunnel): Map<string, string> {
  const writer = new nl.MessageWriter();
  nl.encodeNewTunnel(writer, 1, tunnel);
  return attributes(writer.bytes.slice(32));
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

// ip link add name t1 mtu 1480 type ipip local 192.0.2.1 ttl inherit pmtudisc
const IPIP = hex(`
  08000400c8050000 0700030074310000 68001200 0800010069706970 5c000200 0500090000000000 08000200c0000201
  05000a0001000000 0500050000000000 0500040000000000 0800010000000000 0800140000000000 06000f0000000000
  0600100000000000 0600110000000000 0600120000000000`);
// ip link add name t2 mtu 1460 type ip6tnl mode ip6ip6 local 2001:db8::1 encaplimit none hoplimit 64
const IP6TNL = hex(`
  08000400b4050000 0700030074320000 80001200 0a000100697036746e6c0000 70000200 0500090029000000
  1400020020010db8000000000000000000000001 0500040040000000 0500060004000000 0800070000000000 0800080001000000
  0800010000000000 0800140000000000 06000f0000000000 0600100002000000 0600110000000000 0600120000000000`);

t.test('ipip and ip6tnl: every attribute as iproute2 writes it', async (t) => {
  const ipip = asked({ name: 't1', kind: 'ipip', local: hex('c0000201'), mtu: 1480 });
  const theirs = attributes(IPIP);
  // iproute2's 0 is "any protocol"; ours is IPv4 alone.
  t.equal(ipip.get('18.2.9'), '04');
  for (const [key, value] of ipip) if (key !== '18.2.9') t.equal(value, theirs.get(key), `attribute ${key}`);
  t.same([...ipip.keys()].sort(), ['18.1', '18.2.10', '18.2.2', '18.2.4', '18.2.9', '3', '4']);

  const local = hex('20010db8000000000000000000000001');
  const ip6tnl = asked({ name: 't2', kind: 'ip6tnl', local, mtu: 1460 });
  for (const [key, value] of ip6tnl) t.equal(value, attributes(IP6TNL).get(key), `attribute ${key}`);
  t.same([...ip6tnl.keys()].sort(), ['18.1', '18.2.2', '18.2.4', '18.2.8', '18.2.9', '3', '4']);
});

t.test('vxlan: identifier, port in network order, no learning, either family', async (t) => {
  const address = hex('0274c0000201');
  const four = asked({ name: 'v', kind: 'vxlan', local: hex('c0000201'), vni: 179, port: 4789, address, mtu: 1450 });
  t.match(
    four,
    new Map([
      ['18.2.4', 'c0000201'],
      ['18.2.15', '12b5'],
      ['18.2.7', '00'],
      ['1', '0274c0000201'],
    ]),
  );
  const six = asked({ name: 'v', kind: 'vxlan', local: hex('20010db8000000000000000000000001'), mtu: 1430 });
  t.ok(six.has('18.2.17'));
  t.notOk(six.has('18.2.4'));
});

t.test('what is asked for is read back, alias included; other kinds have no tunnel', async (t) => {
  const tunnel = { name: 'v', kind: 'vxlan', local: hex('c0000201'), vni: 179, port: 4789, mtu: 1450 } as const;
  const writer = new nl.MessageWriter();
  nl.encodeNewTunnel(writer, 1, tunnel);
  nl.encodeLinkChange(writer, 2, 'v', { alias: 'ours', up: true });
  nl.encodeNewTunnel(writer, 3, { name: 'i', kind: 'ipip', local: hex('c0000202'), mtu: 1480 });
  const reader = new nl.MessageReader(writer.bytes.slice());
  const next = () => (reader.nextMessage() ? nl.decodeTunnelLink(reader) : undefined);
  const { kind, local, vni, port } = tunnel;
  t.match(next(), { name: 'v', mtu: 1450, alias: '', learning: false, tunnel: { kind, local, vni, port } });
  t.match(next(), { name: 'v', alias: 'ours', tunnel: undefined, flags: nl.IFF_UP });
  t.match(next(), { name: 'i', tunnel: { kind: 'ipip', local: hex('c0000202') } });
});
