/** Rows as people see them. Cold: only `show fib` and logs read it. */
import { formatAddress, formatPrefix } from 'bgp-parse';
import { errnoName } from 'netlink';
import type { FamilyTable } from './family-table.js';
import { NO_GATEWAY, OBJECT_CODE } from './gateways.js';
import type { FibRow } from './port.js';
import { preferredSource } from './preferred-source.js';
import { Reason } from './reconcile.js';
import type { Syncer } from './syncer.js';

const RTPROT_KERNEL = 2;
const EINVAL = 22;
/** /etc/iproute2/rt_protos as iproute2 ships it. */
const protocolNames: Readonly<Record<number, string>> = {
  ...{ 1: 'redirect', 2: 'kernel', 3: 'boot', 4: 'static', 8: 'gated', 9: 'ra', 10: 'mrt', 11: 'zebra', 12: 'bird' },
  ...{ 13: 'dnrouted', 14: 'xorp', 15: 'ntk', 16: 'dhcp', 17: 'mrouted', 18: 'keepalived', 42: 'babel' },
  ...{ 186: 'bgp', 187: 'isis', 188: 'ospf', 189: 'rip', 192: 'eigrp' },
};

const typeNames: Readonly<Record<number, string>> = {
  ...{ 1: 'unicast', 2: 'local', 3: 'broadcast', 4: 'anycast', 5: 'multicast', 6: 'blackhole', 7: 'unreachable' },
  ...{ 8: 'prohibit', 9: 'throw' },
};

export function prefixText(table: FamilyTable, row: number): string {
  const bytes = new Uint8Array(table.rows.words * 4);
  table.storeAddress(row, bytes);
  return formatPrefix({ bytes, length: table.rows.length[row]! });
}

export function describeRow(syncer: Syncer, index: number, row: number): FibRow {
  const table = syncer.mirror.tables[index]!;
  const { rows } = table;
  const prefix = new Uint8Array(rows.words * 4);
  table.storeAddress(row, prefix);
  return {
    family: table.family,
    prefix,
    length: rows.length[row]!,
    nextHops: nextHops(syncer, table, row),
    status: rows.status[row]!,
    error: errorText(syncer, table, row),
  };
}

function nextHops(syncer: Syncer, table: FamilyTable, row: number): FibRow['nextHops'] {
  const { installed, nextHop } = table.rows;
  const { gateways, network } = syncer.mirror;
  const code = installed[row]!;
  const target = nextHop[row]!;
  let hops = code >= OBJECT_CODE ? syncer.objects.hopsOf(code) : gateways.hopsOf(code);
  if (code === NO_GATEWAY) hops = syncer.targets.leadOf(target, table.addressFamily).hops;
  const rows = hops.flatMap(({ gateway, weight }) => {
    const lead = gateways.get(gateway);
    if (!lead) return [];
    const via = lead.family === 0 ? undefined : lead.bytes.slice(0, lead.family === 2 ? 4 : 16);
    return [{ via, interface: network.linkByIndex(lead.interfaceIndex)?.name, weight }];
  });
  const wanted = syncer.resolver.get(target);
  if (rows.length || !wanted) return rows;
  return [{ via: wanted.address, interface: wanted.interfaceName, weight: 1 }];
}

/** Why a row is not in the kernel; undefined = nothing is known against it. */
export function errorText(syncer: Syncer, table: FamilyTable, row: number): string | undefined {
  const { rows } = table;
  switch (rows.reason[row]) {
    case Reason.blocked:
      return `blocked by ${blockerText(syncer, table, row)}`;
    case Reason.unreachable: {
      const set = syncer.targets.set(rows.nextHop[row]!);
      if (!set) return unreachableText(syncer, rows.nextHop[row]!);
      const all = [...set.primary, ...set.backup].map(({ nextHop }) => unreachableText(syncer, nextHop));
      return [...new Set(all)].join('; ');
    }
    case Reason.loop: {
      const end = syncer.tunnelEndTaken(table, row);
      const address = end ? formatAddress(end.address) : 'one of the hosts';
      return `leads into the tunnel to ${address}, and would take the packets of that tunnel along`;
    }
    case Reason.errno:
      return refusalText(syncer, table, rows.errno[row]!);
    default:
      return undefined;
  }
}

function refusalText(syncer: Syncer, table: FamilyTable, errno: number): string {
  const { prefSrc } = syncer.settings;
  const source = prefSrc && preferredSource(prefSrc, table.addressFamily);
  if (errno !== EINVAL || !source) return errnoName(errno);
  return `${errnoName(errno)}: fib.prefSrc ${formatAddress(source)} may be no address of this node`;
}

function unreachableText(syncer: Syncer, id: number): string {
  const nextHop = syncer.resolver.get(id);
  if (!nextHop) return 'next hop is not known any more';
  const hint = syncer.targets.isDown(id) ? 'its peer is down' : 'an IPv6 route needs an IPv6 next hop';
  return `next hop ${formatAddress(nextHop.address.subarray(0, 16))} is not reachable: ${nextHop.resolvable ? hint : nextHop.detail}`;
}

function blockerText(syncer: Syncer, table: FamilyTable, row: number): string {
  const { foreign } = table;
  const at = table.blocker(row, syncer.settings.table);
  if (at < 0) return 'another route';
  const protocol = foreign.protocol[at]!;
  const interfaceIndex = syncer.mirror.gateways.get(foreign.gateway[at]!)?.interfaceIndex ?? 0;
  return ownerText(syncer, protocol, foreign.priority[at]!, interfaceIndex);
}

/** Whose route it is, in the words of `ip route`. */
export function ownerText(syncer: Syncer, protocol: number, metric: number, interfaceIndex: number): string {
  const name = protocolNames[protocol] ?? String(protocol);
  const device = syncer.mirror.network.linkByIndex(interfaceIndex)?.name;
  if (protocol === RTPROT_KERNEL && device !== undefined) return `proto ${name} dev ${device}`;
  return `proto ${name} metric ${metric}`;
}

/** RTN_* by the names of `ip route`. */
export function routeTypeName(type: number): string {
  return typeNames[type] ?? `type ${type}`;
}
