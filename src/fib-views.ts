/** The kernel side as `bgpctl` shows it. Cold. */
import { formatAddress } from 'bgp-parse';
import type { FibDifferenceDto, FibLeadDto, FibRowDto } from './control/dto.js';
import type { FibDifference, RouteLead } from './fib/differences.js';
import { type FibRow, FibStatus } from './fib/port.js';

const FIB_STATES = { [FibStatus.installed]: 'installed', [FibStatus.failed]: 'failed' } as const;

/** A row of `show fib`. */
export function fibRow(row: FibRow, table: number, metric: number, protocol: number): FibRowDto {
  return {
    prefix: `${formatAddress(row.prefix)}/${row.length}`,
    nextHops: row.nextHops.map(({ via, interface: name, weight }) => ({
      via: via ? formatAddress(via) : null,
      interface: name ?? null,
      weight,
    })),
    table,
    metric,
    protocol,
    state: FIB_STATES[row.status as keyof typeof FIB_STATES] ?? 'pending',
    error: row.error ?? null,
  };
}

/** One after the other, made when asked for. */
export function* fibDifferences(differences: Iterable<FibDifference>): Iterable<FibDifferenceDto> {
  for (const { kind, route, nexthop, desired, actual, detail } of differences) {
    yield {
      kind,
      prefix: route ? `${formatAddress(route.prefix)}/${route.length}` : null,
      nexthop: nexthop ?? null,
      desired: fibLead(desired),
      actual: fibLead(actual),
      detail: detail ?? null,
    };
  }
}

function fibLead(lead: RouteLead | undefined): FibLeadDto | null {
  if (!lead) return null;
  const { type, nextHops, source, by } = lead;
  return {
    type,
    nextHops: nextHops.map(({ via, interface: name, onlink, weight }) => ({
      via: via ? formatAddress(via) : null,
      interface: name ?? null,
      onlink,
      weight,
    })),
    source: source ? formatAddress(source) : null,
    by,
  };
}
