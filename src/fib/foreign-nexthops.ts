/**
 * Nexthop objects of others: routes that point at them resolve next hops too, and with `nexthop_compat_mode` 0 the
 * kernel names nothing but the id in them.
 */
import { type Gateways, OTHER_GATEWAY } from './gateways.js';
import type { NexthopMessage } from './kernel.js';

const RTNH_F_DEAD = 1;
const RTNH_F_ONLINK = 4;

export class ForeignNexthops {
  readonly #gateways: Gateways;
  readonly #all = new Map<number, NexthopMessage>();
  /** Ids that routes led through. */
  readonly #asked = new Set<number>();

  constructor(gateways: Gateways) {
    this.#gateways = gateways;
    gateways.foreignNexthop = (id) => this.#gatewayOf(id);
  }

  /** Before a whole reading. */
  clear(): void {
    this.#all.clear();
    this.#asked.clear();
  }

  /** Whether routes may lead elsewhere now. */
  set(nexthop: NexthopMessage, deleted: boolean): boolean {
    if (deleted) this.#all.delete(nexthop.id);
    else this.#all.set(nexthop.id, nexthop);
    return this.#asked.has(nexthop.id);
  }

  /** Of a group the first that is alive, as for classic routes of several hops. */
  #gatewayOf(id: number): number {
    this.#asked.add(id);
    let nexthop = this.#all.get(id);
    if (nexthop?.group.length) {
      const members = nexthop.group.map((each) => this.#all.get(each.id));
      nexthop = members.find((each) => each && !(each.flags & RTNH_F_DEAD)) ?? members[0];
      if (nexthop) this.#asked.add(nexthop.id);
    }
    if (!nexthop || nexthop.blackhole) return OTHER_GATEWAY;
    const { gateway, family, interfaceIndex, flags } = nexthop;
    const onlink = (flags & RTNH_F_ONLINK) !== 0;
    return this.#gateways.intern(gateway ? family : 0, gateway ?? new Uint8Array(0), interfaceIndex, onlink);
  }
}
