/**
 * Blackholes for the node's own prefixes (`networks: - {prefix, blackhole: true}`): what is sent to an address that no
 * container has is dropped here, instead of going out by the default route and coming back until its TTL is used up.
 *
 * Their metric is the largest that is told apart, so every other route to the prefix wins, and every longer one anyway.
 * Protocol and metric together make them ours: they are heard of beside the routes of the RIB, block none of those, and
 * resolve no next hop. Put right like routes; a previous run's are adopted or removed.
 */
import { type AddressBytes, formatPrefix, parsePrefix } from 'bgp-parse';
import type { RouteMessage } from './kernel.js';
import type { RouteWatcher } from './kernel-mirror.js';

export const OWN_BLACKHOLE_METRIC = 0xfffffffe;

const AF_INET = 2;
const AF_INET6 = 10;
const RTN_BLACKHOLE = 6;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 60_000;

export interface BlackholeKernel {
  /** Adds, never replaces. Throws what the kernel says. */
  add(family: number, prefix: AddressBytes, length: number): void;
  /** That there is none is no error. */
  remove(family: number, prefix: AddressBytes, length: number): void;
}

export interface BlackholeEvents {
  log(level: 'debug' | 'info' | 'warn', fields: object, message: string): void;
}

export interface BlackholeState {
  readonly installed: number;
  readonly repaired: number;
  /** Why one of them is not there; undefined = all are. */
  readonly error: string | undefined;
}

interface Prefix {
  readonly bytes: AddressBytes;
  readonly length: number;
}

export class OwnBlackholes implements BlackholeState, RouteWatcher {
  repaired = 0;
  error: string | undefined;
  readonly #ours: { readonly table: number; readonly protocol: number };
  readonly #kernel: BlackholeKernel;
  readonly #events: BlackholeEvents;
  readonly #nowMs: () => number;
  #wanted = new Map<string, Prefix>();
  readonly #present = new Map<string, Prefix>();
  /** Found by the reading under way. */
  #seen: Set<string> | undefined;
  /** Gone without us. */
  readonly #lost = new Set<string>();
  #dueMs = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(
    ours: { readonly table: number; readonly protocol: number },
    kernel: BlackholeKernel,
    events: BlackholeEvents,
    nowMs: () => number,
  ) {
    this.#ours = ours;
    this.#kernel = kernel;
    this.#events = events;
    this.#nowMs = nowMs;
  }

  get installed(): number {
    return this.#present.size;
  }

  /** Takes the texts of the prefixes that are to have one. */
  set(prefixes: readonly string[]): void {
    this.#wanted = new Map(prefixes.map((text) => [text, parsePrefix(text)!]));
    this.#dueMs = this.#nowMs();
  }

  /** A whole reading of routes begins: what it does not find is gone. */
  beginReading(): void {
    this.#seen = new Set();
  }

  endReading(isComplete: boolean): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (!seen || !isComplete) return;
    for (const text of this.#present.keys()) if (!seen.has(text)) this.#gone(text);
  }

  /** The kernel tells of a route; true = it is one of these, and nobody else's business. */
  hear(route: RouteMessage, deleted: boolean, replaced: boolean): boolean {
    if (route.priority !== OWN_BLACKHOLE_METRIC || route.table !== this.#ours.table) return false;
    const prefix = { bytes: route.dst.slice(0, route.family === AF_INET ? 4 : 16), length: route.dstLength };
    const text = formatPrefix(prefix);
    if (route.protocol !== this.#ours.protocol || route.type !== RTN_BLACKHOLE) {
      // It may have taken the place of ours, which is not told.
      if (replaced && this.#present.has(text)) this.#gone(text);
      return false;
    }
    if (deleted) {
      if (this.#present.has(text)) this.#gone(text);
      return true;
    }
    this.#seen?.add(text);
    this.#present.set(text, prefix);
    if (!this.#wanted.has(text)) this.#dueMs = this.#nowMs();
    return true;
  }

  /** Makes the kernel have what is wanted; milliseconds until it wants to be called again. */
  step(): number {
    const nowMs = this.#nowMs();
    if (nowMs >= this.#dueMs) {
      this.#dueMs = Infinity;
      this.#makeRight();
    }
    return Math.max(0, this.#dueMs - nowMs);
  }

  /** Takes them away, or leaves them to the next run. */
  stop(keep: boolean): void {
    if (keep) return;
    this.set([]);
    this.#makeRight();
  }

  #gone(text: string): void {
    this.#present.delete(text);
    if (!this.#wanted.has(text)) return;
    this.#lost.add(text);
    this.#dueMs = this.#nowMs();
  }

  #makeRight(): void {
    let error: string | undefined;
    const attempt = (what: string, text: string, change: () => void): void => {
      try {
        change();
      } catch (thrown) {
        error ??= `${what} the blackhole ${text}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      }
    };
    for (const [text, prefix] of this.#present) {
      if (this.#wanted.has(text)) continue;
      attempt('removing', text, () => {
        this.#kernel.remove(familyOf(prefix), prefix.bytes, prefix.length);
        this.#present.delete(text);
      });
    }
    for (const [text, prefix] of this.#wanted) {
      if (this.#present.has(text)) continue;
      attempt('installing', text, () => {
        this.#kernel.add(familyOf(prefix), prefix.bytes, prefix.length);
        this.#present.set(text, prefix);
        const wasLost = this.#lost.delete(text);
        if (wasLost) this.repaired++;
        const fields = { prefix: text, ...(wasLost ? { total: this.repaired } : {}) };
        if (wasLost) this.#events.log('warn', fields, `put back the blackhole ${text} that somebody had removed`);
        else this.#events.log('info', fields, `blackhole ${text}: installed`);
      });
    }
    if (error !== undefined && error !== this.error) this.#events.log('warn', {}, error);
    this.error = error;
    this.#retryMs = error === undefined ? FIRST_RETRY_MS : Math.min(this.#retryMs * 2, LAST_RETRY_MS);
    if (error !== undefined) this.#dueMs = this.#nowMs() + this.#retryMs;
  }
}

function familyOf(prefix: Prefix): number {
  return prefix.bytes.length === 4 ? AF_INET : AF_INET6;
}
