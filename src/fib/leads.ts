/**
 * Targets of one family to what rows hold for them: the gateway itself (classic next hops) or a nexthop object that is
 * made when the first row asks. When next hops change, objects are changed in place: no row needs to be looked at
 * unless its target begins or ceases to lead anywhere.
 */
// HOT: `codeOf` is asked once per row.
import { BLACKHOLE_GATEWAY, type Gateways, type Hop, NO_GATEWAY } from './gateways.js';
import type { NexthopObjects } from './nexthop-objects.js';
import { BLACKHOLE_TARGET } from './port.js';
import type { Lead, Targets } from './targets.js';

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;

interface Entry {
  lead: Lead;
  /** What rows hold; `NO_GATEWAY` = it leads nowhere, or the kernel refused it. */
  code: number;
  /** The kernel's refusal of the object. */
  errno: number;
  attempts: number;
  retryAt: number;
}

export class Leads {
  readonly #addressFamily: number;
  readonly #targets: Targets;
  readonly #gateways: Gateways;
  /** Undefined = classic next hops. */
  readonly #objects: NexthopObjects | undefined;
  readonly #nowMs: () => number;
  readonly #entries = new Map<number, Entry>();
  /** When something is to be tried again, milliseconds; may be early, never late. */
  retryAt = Infinity;
  #dropped: number[] = [];
  #lastTarget = 0;
  #lastCode = NO_GATEWAY;

  constructor(
    addressFamily: number,
    targets: Targets,
    gateways: Gateways,
    objects: NexthopObjects | undefined,
    nowMs: () => number,
  ) {
    this.#addressFamily = addressFamily;
    this.#targets = targets;
    this.#gateways = gateways;
    this.#objects = objects;
    this.#nowMs = nowMs;
  }

  codeOf(target: number): number {
    if (target === this.#lastTarget) return this.#lastCode;
    let code = BLACKHOLE_GATEWAY;
    if (target !== BLACKHOLE_TARGET) {
      let entry = this.#entries.get(target);
      if (!entry) {
        const lead = this.#targets.leadOf(target, this.#addressFamily);
        entry = { lead, code: NO_GATEWAY, errno: 0, attempts: 0, retryAt: Infinity };
        this.#entries.set(target, entry);
        this.#make(target, entry);
      }
      code = entry.code;
    }
    this.#lastTarget = target;
    this.#lastCode = code;
    return code;
  }

  /** Why a target has no code although it leads somewhere. */
  errnoOf(target: number): number {
    return this.#entries.get(target)?.errno ?? 0;
  }

  /** Where the objects of these targets are to lead now. */
  *wanted(targets: Iterable<number>): Iterable<readonly [code: number, lead: Lead]> {
    if (!this.#objects) return;
    for (const target of targets) {
      const code = this.#entries.get(target)?.code ?? NO_GATEWAY;
      if (code !== NO_GATEWAY) yield [code, this.#targets.leadOf(target, this.#addressFamily)];
    }
  }

  /** Looks where a target leads now, and leads its object there; true = its rows must be looked at. */
  refresh(target: number): boolean {
    const entry = this.#entries.get(target);
    if (!entry) return true;
    const lead = this.#targets.leadOf(target, this.#addressFamily);
    return sameLead(lead, entry.lead) && entry.errno === 0 ? false : this.#lead(target, entry, lead);
  }

  /** The target is not known any more. */
  forget(target: number): void {
    // The id may name another next hop from now on.
    this.#lastTarget = 0;
    const entry = this.#entries.get(target);
    if (!entry) return;
    this.#entries.delete(target);
    this.#drop(entry);
  }

  /** Objects whose targets lead nowhere any more since this was last asked; routes may be on them. */
  takeDropped(): readonly number[] {
    const dropped = this.#dropped;
    if (dropped.length) this.#dropped = [];
    return dropped;
  }

  /** An object has gone from the kernel: the next row that asks gets another. */
  objectGone(code: number, target: number): void {
    const entry = this.#entries.get(target);
    if (entry?.code !== code) return;
    this.#entries.delete(target);
    this.#lastTarget = 0;
  }

  /** Objects have been read again: what could not be put right is tried again later. */
  watchIncomplete(): void {
    if (!this.#objects) return;
    for (const entry of this.#entries.values()) {
      if (entry.retryAt === Infinity && this.#objects.isIncomplete(entry.code)) this.#failed(entry);
    }
  }

  /** Tries again what the kernel refused: what is due, or `all`; the targets whose rows must be looked at. */
  retry(nowMs: number, all: boolean): number[] {
    if (this.retryAt === Infinity || (nowMs < this.retryAt && !all)) return [];
    const look: number[] = [];
    let next = Infinity;
    for (const [target, entry] of this.#entries) {
      if (entry.retryAt === Infinity) continue;
      if ((all || entry.retryAt <= nowMs) && this.#lead(target, entry, entry.lead)) look.push(target);
      next = Math.min(next, entry.retryAt);
    }
    this.retryAt = next;
    return look;
  }

  /** Gateways that must keep their ids. */
  *gatewaysInUse(): Iterable<number> {
    for (const { code, lead } of this.#entries.values()) {
      yield code;
      for (const { gateway } of [...lead.hops, ...lead.standby]) yield gateway;
    }
  }

  #lead(target: number, entry: Entry, lead: Lead): boolean {
    entry.lead = lead;
    entry.retryAt = Infinity;
    this.#lastTarget = 0;
    const { code } = entry;
    if (this.#objects && code !== NO_GATEWAY && lead.hops.length) {
      if (this.#objects.replace(code, lead) === 0) {
        if (this.#objects.isIncomplete(code)) this.#failed(entry);
        else entry.attempts = 0;
        return false;
      }
    } else this.#drop(entry);
    return this.#make(target, entry) !== code || code === NO_GATEWAY;
  }

  #make(target: number, entry: Entry): number {
    entry.errno = 0;
    entry.code = NO_GATEWAY;
    const { lead } = entry;
    if (!this.#objects) return (entry.code = this.#gateways.internHops(lead.hops));
    if (lead.hops.length === 0) return NO_GATEWAY;
    const { code, errno } = this.#objects.create(target, this.#addressFamily, lead);
    entry.code = code;
    entry.errno = errno;
    if (errno || this.#objects.isIncomplete(code)) this.#failed(entry);
    else entry.attempts = 0;
    return code;
  }

  #failed(entry: Entry): void {
    entry.retryAt = this.#nowMs() + Math.min(FIRST_DELAY_MS * 2 ** entry.attempts++, LAST_DELAY_MS);
    this.retryAt = Math.min(this.retryAt, entry.retryAt);
  }

  #drop(entry: Entry): void {
    if (!this.#objects || entry.code === NO_GATEWAY) return;
    this.#objects.disown(entry.code);
    this.#dropped.push(entry.code);
    entry.code = NO_GATEWAY;
  }
}

function sameLead(a: Lead, b: Lead): boolean {
  return sameHops(a.hops, b.hops) && sameHops(a.standby, b.standby);
}

function sameHops(a: readonly Hop[], b: readonly Hop[]): boolean {
  return a.length === b.length && a.every((hop, i) => hop.gateway === b[i]!.gateway && hop.weight === b[i]!.weight);
}
