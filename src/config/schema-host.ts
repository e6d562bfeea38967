/** The keys of what this node originates and of its kernel side; see `schema.ts`. */
import {
  address,
  boolean,
  either,
  integer,
  interfaceName,
  list,
  map,
  oneOf,
  prefix,
  tunnelName,
  key,
} from './kinds.js';

export const NETWORK_KEYS = {
  prefix: key(prefix, 'live', 'none', 'This prefix, always.'),
  interface: key(interfaceName, 'live', 'none', 'The connected subnets of this interface, followed live.'),
  blackhole: key(
    boolean,
    'live',
    'false',
    'With `prefix`: what is sent to an address of it that no other route leads to is dropped here, instead of leaving by the default route (docs/host.md).',
  ),
} as const;

/** At the top level: what becomes of routes in the kernel. */
export const HOST_ROOT_KEYS = {
  fib: key(
    map({
      enabled: key(boolean, 'restart', 'true', 'Install routes into the kernel.'),
      table: key(integer(1, 4294967295), 'restart', '254', 'Routing table; 254 is the main table.'),
      protocol: key(
        integer(5, 255),
        'restart',
        '186',
        'Marks our routes in the kernel (`ip route` shows 186 as `bgp`). Routes of another protocol are never touched.',
      ),
      metric: key(integer(1, 4294967295), 'restart', '20', 'Metric of our routes.'),
      vrf: key(
        interfaceName,
        'restart',
        'none',
        'Instead of `table`: the table of this VRF device, where next hops are then resolved, too. Needs a kernel with VRF support.',
      ),
      prefSrc: key(
        either(address, list(address, 2)),
        'restart',
        'none',
        'Source address that packets of this host itself get when they leave by one of our routes (`src` in `ip route`); one, or a list with one of each family. Must be an address of this node.',
      ),
      setSysctls: key(
        boolean,
        'restart',
        'false',
        'Set the kernel settings that forwarding depends on (docs/host.md) where they are not right; otherwise they are only warned of.',
      ),
      masquerade: key(
        map({
          pools: key(
            list(prefix),
            'live',
            undefined,
            'Prefixes that containers have their addresses from, on all nodes; both families.',
          ),
        }),
        'live',
        'none',
        'What comes from an address of a pool and goes to one outside all pools leaves with the address of the node (source NAT by nftables, table `inet tortie`). Between pools nothing is translated. See docs/host.md.',
      ),
      backup: key(
        boolean,
        'live',
        'true',
        'Work out for each prefix with several paths where it goes when its next hops are lost, and give it to the kernel side beforehand (BGP PIC): then a lost next hop is a handful of changes, however many prefixes use it.',
      ),
      nexthopObjects: key(
        oneOf('auto', 'never'),
        'restart',
        'auto',
        'Let routes point at nexthop objects where the kernel has them (`docs/kernel.md`); `never` = classic next hops.',
      ),
    }),
    'restart',
    'see below',
    'The kernel side.',
  ),
  encapsulation: key(
    map({
      mode: key(oneOf('vxlan', 'ipip'), 'live', 'vxlan', 'Kind of tunnel: VXLAN (RFC 7348), or IP in IP (RFC 2003).'),
      when: key(
        oneOf('crossSubnet', 'always', 'never'),
        'live',
        'crossSubnet',
        'Which next hops are reached through it: those that are on no subnet of this node, or all.',
      ),
      vni: key(integer(1, 16777215), 'live', '179', 'VXLAN network identifier, the same on all hosts.'),
      port: key(integer(1, 65535), 'live', '4789', 'UDP port of VXLAN, the same on all hosts.'),
      interface: key(
        tunnelName,
        'live',
        'tortie-vxlan or tortie-ipip',
        'Name of the device; the one for IPv6 between the hosts has a 6 behind.',
      ),
      mtu: key(
        integer(1280, 65535),
        'live',
        'that of the interface below, less what the tunnel adds (50 octets for VXLAN over IPv4, 70 over IPv6)',
        'Largest packet inside the tunnel, in octets.',
      ),
      localAddress: key(
        either(address, list(address, 2)),
        'live',
        'our end of the sessions',
        'Our end of the tunnel, for each family one: the address that other hosts see as our next hop.',
      ),
      hosts: key(
        list(prefix),
        'live',
        '["0.0.0.0/0", "::/0"]',
        'Next hops that have a tunnel end; all others are reached plainly.',
      ),
    }),
    'live',
    'none, no tunnel',
    'Tunnel to hosts in other subnets.',
  ),
} as const;
