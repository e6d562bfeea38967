/**
 * Routes of everybody else, chained per prefix row: they block ours, and they resolve next hops.
 *
 * 20 octets per route. A route's identity is all of table, TOS, metric, protocol, type and gateway, as the kernel
 * names them again when it deletes the route.
 */
// HOT: another daemon may hold as many routes as we do.
import type { RouteMessage } from './kernel.js';
import { grown } from './prefix-table.js';

export class ForeignRoutes {
  table = new Uint32Array(64);
  priority = new Uint32Array(64);
  /** Gateway id (`gateways.ts`). */
  gateway = new Uint32Array(64);
  protocol = new Uint8Array(64);
  type = new Uint8Array(64);
  tos = new Uint8Array(64);
  /** More than one hop: the kernel may delete hop by hop. */
  multipath = new Uint8Array(64);
  next = new Int32Array(64);
  #limit = 0;
  #free = -1;

  clear(): void {
    this.#limit = 0;
    this.#free = -1;
  }

  /** Adds to the chain that begins at `head`, unless it is there already; returns the new head. */
  add(head: number, route: RouteMessage, gateway: number): number {
    if (this.find(head, route, gateway) >= 0) return head;
    if (this.#free < 0 && this.#limit === this.next.length) this.#grow();
    let at = this.#free;
    if (at >= 0) this.#free = this.next[at]!;
    else at = this.#limit++;
    this.table[at] = route.table;
    this.priority[at] = route.priority;
    this.gateway[at] = gateway;
    this.protocol[at] = route.protocol;
    this.type[at] = route.type;
    this.tos[at] = route.tos;
    this.multipath[at] = route.hops.length > 1 ? 1 : 0;
    this.next[at] = head;
    return at;
  }

  /** The entry with the same identity; -1 = none. */
  find(head: number, route: RouteMessage, gateway: number): number {
    for (let at = head; at >= 0; at = this.next[at]!) {
      if (this.gateway[at] === gateway && this.protocol[at] === route.protocol && this.type[at] === route.type) {
        if (this.sameKey(at, route)) return at;
      }
    }
    return -1;
  }

  /** Same table, TOS and metric: what the kernel replaces. */
  sameKey(at: number, route: RouteMessage): boolean {
    return this.table[at] === route.table && this.priority[at] === route.priority && this.tos[at] === route.tos;
  }

  /** Takes one entry out of its chain; returns the new head. */
  remove(head: number, entry: number): number {
    const after = this.next[entry]!;
    this.next[entry] = this.#free;
    this.#free = entry;
    if (head === entry) return after;
    let at = head;
    while (this.next[at] !== entry) at = this.next[at]!;
    this.next[at] = after;
    return head;
  }

  #grow(): void {
    const size = this.next.length * 2;
    this.table = grown(this.table, size);
    this.priority = grown(this.priority, size);
    this.gateway = grown(this.gateway, size);
    this.protocol = grown(this.protocol, size);
    this.type = grown(this.type, size);
    this.tos = grown(this.tos, size);
    this.multipath = grown(this.multipath, size);
    this.next = grown(this.next, size);
  }
}
