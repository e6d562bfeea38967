/**
 * Desired against actual: one fresh reading of the kernel's nexthop objects and routes, compared with what the speaker
 * wants. What the mirror believes to be in the kernel is not asked, so a mirror that is wrong is found out, too; from the
 * syncer come only the wishes, and why a wish has not been carried out.
 *
 * Reads and compares at a stretch: the thread writes nothing meanwhile, so a difference is one of this very moment.
 */
import { DifferenceList, type PackedDifferences, type RouteLead } from './differences.js';
import type { FamilyTable } from './family-table.js';
import type { Gateway } from './gateways.js';
import { groupShape, inProportion } from './group-weights.js';
import type { Kernel, KernelListener, NexthopMessage, RouteMessage } from './kernel.js';
import { OWN_BLACKHOLE_METRIC } from './own-blackholes.js';
import { BLACKHOLE_TARGET } from './port.js';
import { RowFlag } from './prefix-table.js';
import { preferredSource } from './preferred-source.js';
import { errorText, routeTypeName, ownerText } from './row-view.js';
import { Reason } from './reconcile.js';
import type { Syncer } from './syncer.js';

const AF_INET = 2;
const RTNH_F_ONLINK = 4;
const RTN_UNICAST = 1;
const NOT_THERE = 0;

interface Hop {
  readonly family: number;
  readonly bytes: Uint8Array | undefined;
  readonly interfaceIndex: number;
  readonly onlink: boolean;
  readonly weight: number;
}

interface Form {
  readonly type: number;
  readonly tos: number;
  readonly source: Uint8Array | undefined;
  readonly by: RouteLead['by'];
  /** Of a resilient group; 0 = a group by hash threshold, -1 = no group. */
  readonly buckets: number;
  readonly hops: readonly Hop[];
}

/** What the reading has found in one family. */
class Found {
  readonly table: FamilyTable;
  /** Lead of our route by row. */
  readonly actual: Uint32Array;
  /** Rows that a foreign route keeps out, and whose it is. */
  readonly blockers = new Map<number, string>();
  /** Ours, of prefixes that nobody has ever spoken of. */
  readonly unknown = new Map<string, { words: Uint32Array; length: number; lead: number }>();

  constructor(table: FamilyTable) {
    this.table = table;
    this.actual = new Uint32Array(table.rows.rowLimit);
  }

  clear(): void {
    this.actual.fill(NOT_THERE);
    this.blockers.clear();
    this.unknown.clear();
  }
}

/** Undefined = the kernel's tables changed all the time while they were read. */
export function compareWithKernel(syncer: Syncer, kernel: Kernel): PackedDifferences | undefined {
  const diff = new FibDiff(syncer);
  const complete = kernel.readNexthops(diff) && kernel.readRoutes(diff);
  return complete ? diff.result() : undefined;
}

class FibDiff implements KernelListener {
  readonly #syncer: Syncer;
  readonly #list = new DifferenceList();
  readonly #found: readonly Found[];
  readonly #nexthops = new Map<number, NexthopMessage>();
  /** Ids that routes point at. */
  readonly #used = new Set<number>();
  /** Leads by nexthop object, of routes with nothing else to them. */
  readonly #leadOfId = new Map<number, number>();
  /** Leads that routes should have. */
  readonly #desired = new Set<number>();
  #lastId = 0;

  constructor(syncer: Syncer) {
    this.#syncer = syncer;
    this.#found = syncer.mirror.tables.map((table) => new Found(table));
  }

  link(): void {}
  address(): void {}

  nexthop(nexthop: NexthopMessage): void {
    this.#nexthops.set(nexthop.id, nexthop);
  }

  begunAnew(addressFamily: number): void {
    this.#found[addressFamily === AF_INET ? 0 : 1]!.clear();
  }

  route(route: RouteMessage): void {
    const { mirror, settings } = this.#syncer;
    if (route.nexthopId !== this.#lastId) this.#used.add((this.#lastId = route.nexthopId));
    if (route.table !== settings.table) return;
    const found = this.#found[route.family === AF_INET ? 0 : 1]!;
    const { table } = found;
    const row = table.rowOf(route, false);
    if (!mirror.isOurs(route)) {
      const keptApart = route.protocol === settings.protocol && route.priority === OWN_BLACKHOLE_METRIC;
      if (row >= 0 && table.rows.nextHop[row] !== 0 && !keptApart) found.blockers.set(row, this.#ownerOf(route));
      return;
    }
    const lead = this.#actualLead(route);
    if (row >= 0) found.actual[row] = lead;
    else {
      const words = table.key.slice();
      found.unknown.set(`${words.join()}/${route.dstLength}`, { words, length: route.dstLength, lead });
    }
  }

  result(): PackedDifferences {
    for (const [index, found] of this.#found.entries()) {
      this.#compare(index, found);
      for (const { words, length, lead } of found.unknown.values()) {
        this.#list.addRoute('extra', index, words, length, { desired: NOT_THERE, actual: lead, detail: undefined });
      }
    }
    this.#findUnusedNexthops();
    return this.#list.pack();
  }

  #compare(index: number, { table, actual, blockers }: Found): void {
    const { rows } = table;
    const desiredOf = new Map<number, number>();
    for (let row = 0; row < rows.rowLimit; row++) {
      if (rows.isFree(row)) continue;
      const target = rows.nextHop[row]!;
      const there = actual[row]!;
      if (target === 0 && there === NOT_THERE) continue;
      let desired = desiredOf.get(target);
      if (desired === undefined) desiredOf.set(target, (desired = this.#desiredLead(target, table.addressFamily)));
      // Rows of one target lead the same way, but not all may.
      if (desired !== NOT_THERE && this.#syncer.tunnelEndTaken(table, row)) desired = NOT_THERE;
      const blocker = blockers.get(row);
      if (desired === there && blocker === undefined && desired !== NOT_THERE) continue;
      this.#add(index, table, row, desired, there, blocker);
    }
  }

  #add(
    index: number,
    table: FamilyTable,
    row: number,
    desired: number,
    actual: number,
    blocker: string | undefined,
  ): void {
    const { rows } = table;
    const { words } = rows;
    const address = rows.address.subarray(row * words, (row + 1) * words);
    const waits = rows.flags[row]! & RowFlag.dirty ? 'waits to be written' : undefined;
    const say = (kind: Parameters<DifferenceList['addRoute']>[0], detail: string | undefined) =>
      this.#list.addRoute(kind, index, address, rows.length[row]!, { desired, actual, detail });
    const error = () => errorText(this.#syncer, table, row);
    if (rows.nextHop[row] === 0) {
      const kept = (rows.flags[row]! & RowFlag.adopted) !== 0;
      say('extra', kept ? 'of a previous run, kept until End-of-RIB or the end of the restart time' : waits);
    } else if (blocker !== undefined) say('blocked', `blocked by ${blocker}`);
    else if (desired === NOT_THERE) say(actual === NOT_THERE ? 'unreachable' : 'extra', waits ?? error());
    else if (actual !== NOT_THERE) say('nextHop', rows.reason[row] === Reason.errno ? error() : waits);
    else if (rows.reason[row] === Reason.errno) say('failed', error());
    else say('missing', waits);
  }

  // Objects in our range that no route and no group uses.

  #findUnusedNexthops(): void {
    const { objects } = this.#syncer;
    for (const { group } of this.#nexthops.values()) for (const { id } of group) this.#used.add(id);
    for (const nexthop of this.#nexthops.values()) {
      if (!objects.isOurs(nexthop) || this.#used.has(nexthop.id)) continue;
      const actual = this.#intern({ ...PLAIN, ...this.#throughObject(nexthop.id) });
      // Its routes are missing, which has been said.
      if (this.#desired.has(actual)) continue;
      this.#list.addNexthop('extra', nexthop.id, { desired: NOT_THERE, actual, detail: 'no route uses it' });
    }
  }

  // What is.

  #actualLead(route: RouteMessage): number {
    const { nexthopId, type, tos, prefSrcLength } = route;
    const isPlain = nexthopId !== 0 && type === RTN_UNICAST && tos === 0 && prefSrcLength === 0;
    if (!isPlain) return this.#intern(this.#formOf(route));
    let lead = this.#leadOfId.get(nexthopId);
    if (lead === undefined) this.#leadOfId.set(nexthopId, (lead = this.#intern(this.#formOf(route))));
    return lead;
  }

  #formOf(route: RouteMessage): Form {
    const { type, tos, prefSrc, prefSrcLength, nexthopId } = route;
    const source = prefSrcLength ? prefSrc.slice(0, prefSrcLength) : undefined;
    const base = { ...PLAIN, type, tos, source };
    if (nexthopId) return { ...base, ...this.#throughObject(nexthopId) };
    if (type !== RTN_UNICAST) return base;
    if (route.hops.length === 0) {
      const { gatewayFamily: family, gateway: bytes, interfaceIndex, flags } = route;
      return { ...base, hops: [hop({ family, bytes, interfaceIndex, onlink: isOnlink(flags) }, 1)] };
    }
    const hops = route.hops.map(({ gatewayFamily, gateway, interfaceIndex, weight, flags }) =>
      hop({ family: gatewayFamily, bytes: gateway, interfaceIndex, onlink: isOnlink(flags) }, weight),
    );
    return { ...base, hops };
  }

  #throughObject(id: number): Pick<Form, 'by' | 'buckets' | 'hops'> {
    const nexthop = this.#nexthops.get(id);
    const by = nexthop && this.#syncer.objects.isOurs(nexthop) ? 'object' : 'foreignObject';
    if (!nexthop || nexthop.blackhole) return { by, buckets: NO_GROUP, hops: [] };
    if (nexthop.group.length === 0) return { by, buckets: NO_GROUP, hops: [hopOf(nexthop, 1)] };
    const hops = nexthop.group.flatMap((member) => {
      const each = this.#nexthops.get(member.id);
      return each ? [hopOf(each, member.weight)] : [];
    });
    return { by, buckets: nexthop.resilient?.buckets ?? 0, hops };
  }

  #ownerOf({ protocol, priority, interfaceIndex, hops }: RouteMessage): string {
    return ownerText(this.#syncer, protocol, priority, interfaceIndex || (hops[0]?.interfaceIndex ?? 0));
  }

  // What should be.

  #desiredLead(target: number, addressFamily: number): number {
    const { targets, settings, support, mirror } = this.#syncer;
    if (target === 0) return NOT_THERE;
    if (target === BLACKHOLE_TARGET) return this.#intern({ ...PLAIN, type: RTN_BLACKHOLE });
    const lead = targets.leadOf(target, addressFamily);
    if (lead.hops.length === 0) return NOT_THERE;
    const source = settings.prefSrc && preferredSource(settings.prefSrc, addressFamily);
    const isGroup = support !== 'none' && lead.width > 0;
    const shape = isGroup ? groupShape(lead, support === 'resilientGroups') : undefined;
    const members = shape?.members ?? lead.hops;
    const hops = members.map(({ gateway, weight }) =>
      hop(mirror.gateways.get(gateway)!, isGroup || members.length > 1 ? weight : 1),
    );
    const by = support === 'none' ? 'hops' : 'object';
    const buckets = isGroup ? (shape?.resilient?.buckets ?? 0) : NO_GROUP;
    const id = this.#intern({ ...PLAIN, source, by, buckets, hops });
    this.#desired.add(id);
    return id;
  }

  /** The same number for what does the same. */
  #intern(form: Form): number {
    const { type, tos, source, by, buckets, hops } = form;
    const texts = inProportion(hops).map(
      ({ family, bytes, interfaceIndex, onlink, weight }) =>
        `${family}/${bytes?.join('.') ?? ''}/${interfaceIndex}/${onlink}*${weight}`,
    );
    const key = [type, tos, source?.join('.') ?? '', by, buckets, ...texts.sort()].join(' ');
    return this.#list.lead(key, () => this.#describe(form));
  }

  #describe({ type, tos, source, by, hops }: Form): RouteLead {
    const { network } = this.#syncer.mirror;
    return {
      type: tos === 0 ? routeTypeName(type) : `${routeTypeName(type)} tos ${tos}`,
      nextHops: hops.map(({ bytes, interfaceIndex, onlink, weight }) => {
        return { via: bytes, interface: network.linkByIndex(interfaceIndex)?.name, onlink, weight };
      }),
      source,
      by,
    };
  }
}

const RTN_BLACKHOLE = 6;
const NO_GROUP = -1;
const PLAIN: Form = { type: RTN_UNICAST, tos: 0, source: undefined, by: 'hops', buckets: NO_GROUP, hops: [] };

function hop({ family, bytes, interfaceIndex, onlink }: Gateway, weight: number): Hop {
  const length = family === AF_INET ? 4 : 16;
  return { family, bytes: family === 0 ? undefined : bytes.slice(0, length), interfaceIndex, onlink, weight };
}

function hopOf({ family, gateway, interfaceIndex, flags }: NexthopMessage, weight: number): Hop {
  return { family: gateway ? family : 0, bytes: gateway, interfaceIndex, onlink: isOnlink(flags), weight };
}

function isOnlink(flags: number): boolean {
  return (flags & RTNH_F_ONLINK) !== 0;
}
