/**
 * Desired against actual: one fresh reading of the kernel's nexthop objects and routes, compared with what the speaker
 * wants. What the mirror believes to be in the kernel is not asked, so a mirror that is wrong is found out, too; from the
 * syncer come only the wishes, and why a wish has not been carried out.
 *
 * Routes may be read piece by piece while the thread writes. Rows that have been marked since the beginning are then not
 * judged by the reading, which may be older: for them the kernel's own verdict on the last write counts. Objects are read
 * at the end, in one piece with the comparison, so one that is replaced meanwhile makes no difference.
 */
import { DifferenceList, type PackedDifferences, type RouteLead } from './differences.js';
import type { FamilyTable } from './family-table.js';
import { NO_GATEWAY, OBJECT_CODE } from './gateways.js';
import { groupShape } from './group-weights.js';
import type { Kernel, KernelListener, NexthopMessage, RouteMessage } from './kernel.js';
import { OWN_BLACKHOLE_METRIC } from './own-blackholes.js';
import { BLACKHOLE_TARGET } from './port.js';
import { RowFlag } from './prefix-table.js';
import { preferredSource } from './preferred-source.js';
import { NO_GROUP, PLAIN, type RouteForm, formOf, hop, hopOf, keyOfForm } from './route-form.js';
import { errorText, routeTypeName, ownerText } from './row-view.js';
import { Reason } from './reconcile.js';
import type { Syncer } from './syncer.js';

const AF_INET = 2;
const RTN_UNICAST = 1;
const RTN_BLACKHOLE = 6;
const NOT_THERE = 0;

/** What the reading has found in one family. */
class Found {
  readonly table: FamilyTable;
  /** Our route by row: 1 + index of its form as read. */
  readonly actual: Uint32Array;
  /** Rows that a foreign route keeps out, and whose it is. */
  readonly blockers = new Map<number, string>();
  /** Ours, of prefixes that nobody has ever spoken of. */
  readonly unknown = new Map<string, { words: Uint32Array; length: number; form: number }>();

  constructor(table: FamilyTable) {
    this.table = table;
    const { flags, rowLimit } = table.rows;
    this.actual = new Uint32Array(rowLimit);
    for (let row = 0; row < rowLimit; row++) if (!(flags[row]! & RowFlag.dirty)) flags[row]! &= ~RowFlag.changed;
  }

  clear(): void {
    this.actual.fill(NOT_THERE);
    this.blockers.clear();
    this.unknown.clear();
  }
}

/** In one piece. Undefined = the kernel's tables changed all the time while they were read. */
export function compareWithKernel(syncer: Syncer, kernel: Kernel): PackedDifferences | undefined {
  const diff = new FibDiff(syncer);
  return kernel.readRoutes(diff) ? diff.result(kernel)?.differences : undefined;
}

/** A route as read; where an object leads is seen at the end. */
interface FoundForm {
  readonly form: RouteForm;
  readonly nexthopId: number;
}

export class FibDiff implements KernelListener {
  readonly #syncer: Syncer;
  readonly #list = new DifferenceList();
  readonly #found: readonly Found[];
  readonly #nexthops = new Map<number, NexthopMessage>();
  /** Ids that routes point at. */
  readonly #used = new Set<number>();
  readonly #forms: FoundForm[] = [];
  readonly #formIds = new Map<string, number>();
  /** Of routes with nothing else to them, by nexthop object. */
  readonly #formOfId = new Map<number, number>();
  /** Leads by form. */
  #leads = new Uint32Array(0);
  /** Leads that routes should have. */
  readonly #desired = new Set<number>();
  #lastId = 0;
  /** Differences that nobody but the reading knows of, and rows that were written meanwhile. */
  #unexplained = 0;
  #disturbed = 0;

  /** The routes are read from now on; at most one comparison at a time. */
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
    const form = this.#formOf(route);
    if (row >= 0) {
      if (row < found.actual.length) found.actual[row] = form;
      return;
    }
    const words = table.key.slice();
    found.unknown.set(`${words.join()}/${route.dstLength}`, { words, length: route.dstLength, form });
  }

  /**
   * When all routes have been read. `isDoubtful`: there are differences that only the reading knows of, and it may have
   * missed routes because others were written. Undefined = nexthop objects changed all the time.
   */
  result(kernel: Kernel): { differences: PackedDifferences; isDoubtful: boolean } | undefined {
    if (!kernel.readNexthops(this)) return undefined;
    this.#leads = Uint32Array.from(this.#forms, (found) => this.#leadOf(found));
    for (const [index, found] of this.#found.entries()) {
      this.#compare(index, found);
      const { rows } = found.table;
      for (const { words, length, form } of found.unknown.values()) {
        const row = rows.find(words, 0, length);
        if (row >= 0 && rows.flags[row]! & RowFlag.changed) continue;
        this.#unexplained++;
        const actual = this.#leads[form - 1]!;
        this.#list.addRoute('extra', index, words, length, { desired: NOT_THERE, actual, detail: undefined });
      }
    }
    this.#findUnusedNexthops();
    return { differences: this.#list.pack(), isDoubtful: this.#unexplained > 0 && this.#disturbed > 0 };
  }

  #compare(index: number, { table, actual, blockers }: Found): void {
    const { rows } = table;
    const desiredOf = new Map<number, number>();
    for (let row = 0; row < rows.rowLimit; row++) {
      if (rows.isFree(row)) continue;
      const target = rows.nextHop[row]!;
      const isChanged = (rows.flags[row]! & RowFlag.changed) !== 0;
      const isGone = isChanged && rows.installed[row] === NO_GATEWAY;
      const form = isGone ? NOT_THERE : (actual[row] ?? NOT_THERE);
      const there = form === NOT_THERE ? NOT_THERE : this.#leads[form - 1]!;
      if (isChanged) this.#noteWritten(rows.installed[row]!);
      if (target === 0 && there === NOT_THERE) continue;
      let desired = desiredOf.get(target);
      if (desired === undefined) desiredOf.set(target, (desired = this.#desiredLead(target, table.addressFamily)));
      // Rows of one target lead the same way, but not all may.
      if (desired !== NOT_THERE && this.#syncer.tunnelEndTaken(table, row)) desired = NOT_THERE;
      const blocker = blockers.get(row);
      if (desired === there && blocker === undefined && desired !== NOT_THERE) continue;
      if (isChanged && this.#isSettled(table, row)) continue;
      this.#add(index, table, row, desired, there, blocker);
    }
  }

  #noteWritten(installed: number): void {
    this.#disturbed++;
    // An object may be younger than the reading.
    if (installed >= OBJECT_CODE) this.#used.add(this.#syncer.objects.kernelId(installed));
  }

  /** Written after it was read, maybe, and nothing was refused. */
  #isSettled({ rows }: FamilyTable, row: number): boolean {
    if (rows.flags[row]! & RowFlag.dirty || rows.reason[row] !== Reason.none) return false;
    return rows.nextHop[row] !== 0 || rows.installed[row] === NO_GATEWAY;
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
    if (!(rows.flags[row]! & (RowFlag.dirty | RowFlag.adopted)) && rows.reason[row] === Reason.none)
      this.#unexplained++;
    const address = rows.address.subarray(row * words, (row + 1) * words);
    const waits = rows.flags[row]! & RowFlag.dirty ? 'waits to be written' : undefined;
    const say = (kind: Parameters<DifferenceList['addRoute']>[0], detail: string | undefined) =>
      this.#list.addRoute(kind, index, address, rows.length[row]!, { desired, actual, detail });
    const error = () => errorText(this.#syncer, table, row);
    if (rows.nextHop[row] === 0) {
      const kept = (rows.flags[row]! & RowFlag.adopted) !== 0;
      say('extra', kept ? 'of a previous run, kept until End-of-RIB or the end of the restart time' : waits);
    } else if (blocker !== undefined) say('blocked', `blocked by ${blocker}`);
    else if (rows.reason[row] === Reason.blocked && waits === undefined) say('blocked', error());
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

  /** 1 + index among the forms. */
  #formOf(route: RouteMessage): number {
    const { nexthopId, type, tos, prefSrcLength } = route;
    const isPlain = nexthopId !== 0 && type === RTN_UNICAST && tos === 0 && prefSrcLength === 0;
    const known = isPlain ? this.#formOfId.get(nexthopId) : undefined;
    if (known !== undefined) return known;
    const form = formOf(route);
    const key = `${nexthopId} ${keyOfForm(form)}`;
    let id = this.#formIds.get(key);
    if (id === undefined) this.#formIds.set(key, (id = this.#forms.push({ form, nexthopId })));
    if (isPlain) this.#formOfId.set(nexthopId, id);
    return id;
  }

  #leadOf({ form, nexthopId }: FoundForm): number {
    return this.#intern(nexthopId ? { ...form, ...this.#throughObject(nexthopId) } : form);
  }

  #throughObject(id: number): Pick<RouteForm, 'by' | 'buckets' | 'hops'> {
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
  #intern(form: RouteForm): number {
    return this.#list.lead(keyOfForm(form), () => this.#describe(form));
  }

  #describe({ type, tos, source, by, hops }: RouteForm): RouteLead {
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
