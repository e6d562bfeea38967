/** Results for people: tables that fit the terminal (80 columns when there is none) and are written while they arrive. */
import { formatProblem } from '../../config/problems.js';
import type { FibDifferenceDto, FibLeadDto, FibRowDto, MonitorEventDto, PeerDto, RouteDto } from '../../control/dto.js';
import { printableLines } from '../../support/printable.js';
import type { PolicyTestDto } from '../commands/policy.js';
import type { JsonLines, Output, Result, Write } from '../result.js';
import { indented, layoutPairs, layoutRow, planWidths, type Column } from './layout.js';
import { policyText } from './policy.js';
import { peerPairs, summaryPairs } from './pairs.js';
import { formatDuration, formatPathAndOrigin } from './text.js';

export function createTableOutput(out: Write, total: number): Output {
  // Descriptions, names of interfaces, what peers say: nothing of it moves the cursor.
  const write: Write = (text) => out(printableLines(text));
  return {
    async print(result: Result): Promise<void> {
      switch (result.kind) {
        case 'routes':
          return printTable(result.lines, total >= WIDE ? WIDE_ROUTES : ROUTES, total, write);
        case 'peers':
          return printTable(result.lines, PEERS, total, write);
        case 'fib':
          return printTable(result.lines, FIB, total, write);
        case 'fibDiff':
          return printTable(result.lines, FIB_DIFF, total, write);
        case 'policy':
          for await (const lines of result.lines) {
            await write(lines.map((line) => policyText(JSON.parse(line) as PolicyTestDto)).join(''));
          }
          return;
        case 'peer':
          return write(layoutPairs(peerPairs(result.peer), total));
        case 'summary':
          return write(layoutPairs(summaryPairs(result.summary), total));
        case 'monitor':
          for await (const events of result.events) await write(events.map(monitorLine).join(''));
          return;
        case 'done':
          return write(`${result.peer === undefined ? '' : `peer ${result.peer}: `}${result.command} done\n`);
        case 'check':
          if (result.problems.length === 0) return write(`${result.file}: good\n`);
          return write(result.problems.map((problem) => `${formatProblem(result.file, problem)}\n`).join(''));
      }
    },
  };
}

/** From this many columns on routes show the peer, too. */
const WIDE = 100;

interface Table<T> {
  readonly legend?: string;
  readonly columns: readonly Column[];
  cells(row: T): string[];
  /** Remarks below the row. */
  notes?(row: T): string[];
  readonly none: string;
}

/** The first batch gives the widths; later rows that need more wrap. */
async function printTable<T>(batches: JsonLines, table: Table<T>, total: number, write: Write): Promise<void> {
  let widths: number[] | undefined;
  for await (const lines of batches) {
    const rows = lines.map((line) => JSON.parse(line) as T);
    const cells = rows.map((row) => table.cells(row));
    let text = '';
    if (!widths) {
      widths = planWidths(table.columns, cells, total);
      if (table.legend) text += `${table.legend}\n`;
      text += layoutRow(
        table.columns,
        widths,
        table.columns.map((column) => column.title),
      );
    }
    for (const [index, row] of rows.entries()) {
      text += layoutRow(table.columns, widths, cells[index]!);
      for (const note of table.notes?.(row) ?? []) text += indented(note, NOTE_INDENT, total);
    }
    await write(text);
  }
  if (!widths) await write(`${table.none}\n`);
}

const NOTE_INDENT = 4;

const flags = (route: RouteDto): string =>
  `${route.best ? '*' : route.multipath ? '=' : route.backup ? 'b' : ' '}${route.installed ? 'K' : ' '}${route.stale ? 'S' : ''}`;

const FLAGS: Column = { title: '', least: 2, most: 3 };
const PREFIX: Column = { title: 'Prefix', least: 18, most: 22 };
const NEXT_HOP: Column = { title: 'Next hop', least: 15, most: 20 };
const LEGEND = '* best, = multipath, b backup, K in the kernel, S stale';

const ROUTES: Table<RouteDto> = {
  legend: LEGEND,
  columns: [FLAGS, PREFIX, NEXT_HOP, { title: 'AS path', least: 12, most: 26 }, { title: 'Why', least: 14, most: 40 }],
  cells: (route) => [flags(route), route.prefix, route.nextHop, formatPathAndOrigin(route), route.reason],
  none: 'no routes',
};

const WIDE_ROUTES: Table<RouteDto> = {
  legend: LEGEND,
  columns: [
    FLAGS,
    { ...PREFIX, most: 43 },
    { ...NEXT_HOP, most: 39 },
    { title: 'Peer', least: 15, most: 39 },
    { title: 'AS path', least: 12, most: 60 },
    { title: 'Why', least: 14, most: 60 },
  ],
  cells: (route) => [
    flags(route),
    route.prefix,
    route.nextHop,
    route.peer ?? 'this node',
    formatPathAndOrigin(route),
    route.reason,
  ],
  none: 'no routes',
};

const count = (title: string): Column => ({ title, least: 8, most: 10, align: 'right' });

const PEERS: Table<PeerDto> = {
  columns: [
    { title: 'Peer', least: 15, most: 16 },
    { title: 'AS', least: 5, most: 10, align: 'right' },
    { title: 'State', least: 11, most: 11 },
    { title: 'Up', least: 8, most: 8, align: 'right' },
    count('Received'),
    count('Accepted'),
    { ...count('Advert.'), least: 7 },
  ],
  cells: (peer) => [
    peer.address,
    peer.asn === null ? '-' : String(peer.asn),
    peer.state,
    peer.uptimeSeconds === null ? '-' : formatDuration(peer.uptimeSeconds),
    String(peer.received),
    String(peer.accepted),
    String(peer.advertised),
  ],
  notes: (peer) => [
    ...(peer.state !== 'Established' && peer.lastError !== null ? [`last error: ${peer.lastError}`] : []),
    ...peer.notes,
  ],
  none: 'no peers',
};

const FIB: Table<FibRowDto> = {
  columns: [
    PREFIX,
    { title: 'Next hop', least: 24, most: 36 },
    { title: 'Metric', least: 6, most: 10, align: 'right' },
    { title: 'State', least: 9, most: 9 },
  ],
  cells: (row) => [row.prefix, row.nextHops.map(formatNextHop).join('\n'), String(row.metric), row.state],
  notes: (row) => (row.error === null ? [] : [row.error]),
  none: 'no routes in the kernel',
};

const FIB_DIFF: Table<FibDifferenceDto> = {
  columns: [PREFIX, { title: 'Difference', least: 11, most: 11 }, { title: 'Why', least: 30, most: 80 }],
  cells: (row) => [row.prefix ?? `nexthop ${row.nexthop}`, DIFFERENCE_NAMES[row.kind], row.detail ?? ''],
  notes: ({ desired, actual }) => [
    ...(desired === null ? [] : [`desired  ${formatLead(desired, actual)}`]),
    ...(actual === null ? [] : [`actual   ${formatLead(actual, desired)}`]),
  ],
  none: 'no differences: the kernel has what it should have',
};

const DIFFERENCE_NAMES: Readonly<Record<FibDifferenceDto['kind'], string>> = {
  ...{ missing: 'missing', extra: 'extra', nextHop: 'next hop' },
  ...{ blocked: 'blocked', failed: 'failed', unreachable: 'unreachable' },
};

/** What goes without saying, since it is the same on both sides, is left out. */
function formatLead({ nextHops, type, source, by }: FibLeadDto, other: FibLeadDto | null): string {
  const words = nextHops.map((hop, index) => formatNextHop(hop, index, nextHops) + (hop.onlink ? ' onlink' : ''));
  if (type !== 'unicast') words.unshift(type);
  if (source !== null) words.push(`src ${source}`);
  if (other && other.by !== by) words.push(LEAD_BY[by]);
  return words.join(', ');
}

const LEAD_BY: Readonly<Record<FibLeadDto['by'], string>> = {
  object: 'by a nexthop object',
  foreignObject: "by somebody else's nexthop object",
  hops: 'without a nexthop object',
};

function formatNextHop(hop: FibRowDto['nextHops'][number], _index: number, all: readonly unknown[]): string {
  const parts = [hop.via === null ? '' : `via ${hop.via}`, hop.interface === null ? '' : `dev ${hop.interface}`];
  if (all.length > 1) parts.push(`weight ${hop.weight}`);
  return parts.filter((part) => part !== '').join(' ');
}

/** One line an event; what is gone begins with `-`, so that it can be told without reading on. */
function monitorLine(event: MonitorEventDto): string {
  switch (event.type) {
    case 'route': {
      const { route } = event;
      const from = route.peer === null ? 'this node' : `peer ${route.peer}`;
      return `+ ${route.prefix} via ${route.nextHop} from ${from} path ${formatPathAndOrigin(route)} (${route.reason})\n`;
    }
    case 'withdrawn':
      return `- ${event.prefix}\n`;
    case 'peer': {
      const { peer } = event;
      const why = peer.state !== 'Established' && peer.lastError !== null ? ` (${peer.lastError})` : '';
      return `peer ${peer.address} ${peer.state}${why}\n`;
    }
    case 'end-of-snapshot':
      return '-- end of snapshot, changes follow\n';
    case 'lagged':
      return `!! ${event.missed} changes were missed: this end reads too slowly\n`;
  }
}
