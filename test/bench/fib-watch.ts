/**
 * Watches the kernel's main table from inside the speaker's namespace: says when every prefix of a run is there, and
 * when all are gone again. Arguments: the number of prefixes, and for a failover two gateways: then it says, instead of when
 * they are gone, when all that went through the first goes through the second. Prints `FibEvent` lines.
 *
 * Times come from route notifications. The kernel does not notify the routes that go with a nexthop object or a link,
 * and a reader that is too slow loses some: after either the table is read again, until it is as awaited.
 */

import { AF_INET, decodeRoute, encodeRouteDump, NetlinkSocket, RouteMessage, pollReadable } from 'netlink';
import { RTM_DELNEXTHOP, RTM_DELROUTE, RTM_NEWROUTE, RTNLGRP_IPV4_ROUTE, RTNLGRP_NEXTHOP } from 'netlink';
import { monotonicMs } from './clock.js';
import { ForwardingWatch } from './forwarding-watch.js';
import type { FibEvent } from './load/plan.js';
import { Prefixes } from './load/prefixes.js';

const MAIN_TABLE = 254;
const RECEIVE_BUFFER = 256 * 1024 * 1024;

class TableWatch {
  readonly #prefixes: Prefixes;
  readonly #there: Uint8Array;
  readonly #route = new RouteMessage();
  readonly #events = NetlinkSocket.open({
    groups: [RTNLGRP_IPV4_ROUTE, RTNLGRP_NEXTHOP],
    receiveBuffer: RECEIVE_BUFFER,
  });
  readonly #requests = NetlinkSocket.open();
  #count = 0;
  #overruns = 0;
  /** Notifications are missing: the table must be read once. */
  #lost = false;
  /** Routes go without notifications: the table must be read until it is as awaited. */
  #flushed = false;

  constructor(count: number) {
    this.#prefixes = new Prefixes('table', count);
    this.#there = new Uint8Array(this.#prefixes.indexEnd);
  }

  /** Returns when the table has so many of the prefixes. */
  waitFor(count: number): void {
    this.#flushed = false;
    while (this.#count !== count) {
      const waits = pollReadable([this.#events.fd], this.#lost || this.#flushed ? 0 : 1000).length > 0;
      if (!waits && (this.#lost || this.#flushed)) this.#readTable();
      const result = this.#events.receive((message) => {
        if (message.type === RTM_DELNEXTHOP) this.#flushed = true;
        else if (message.type === RTM_NEWROUTE || message.type === RTM_DELROUTE) {
          decodeRoute(message, this.#route);
          this.#note(message.type === RTM_NEWROUTE);
        }
      });
      if (result === 'overrun') {
        this.#overruns++;
        this.#lost = true;
      }
    }
  }

  close(): void {
    this.#events.close();
    this.#requests.close();
  }

  tell(event: FibEvent['event'], atMs = monotonicMs()): void {
    const line: FibEvent = { event, atMs, overruns: this.#overruns };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }

  #readTable(): void {
    const clear = (): void => {
      this.#there.fill(0);
      this.#count = 0;
    };
    clear();
    this.#lost = !this.#requests.dump(
      'routes',
      (writer, sequence) => encodeRouteDump(writer, sequence, AF_INET),
      (message) => {
        decodeRoute(message, this.#route);
        this.#note(true);
      },
      clear,
    );
  }

  #note(there: boolean): void {
    const { table, dst, dstLength } = this.#route;
    if (table !== MAIN_TABLE) return;
    const bits = (dst[0]! << 24) | (dst[1]! << 16) | (dst[2]! << 8) | dst[3]!;
    const index = this.#prefixes.indexOf(bits, dstLength);
    if (index < 0 || this.#there[index] === Number(there)) return;
    this.#there[index] = Number(there);
    this.#count += there ? 1 : -1;
  }
}

const count = Number(process.argv[2]);
const [, , , from, to] = process.argv;
const watch = new TableWatch(count);
watch.tell('ready');
watch.waitFor(count);
if (from === undefined || to === undefined) {
  watch.tell('all');
  watch.waitFor(0);
  watch.tell('none');
} else {
  // A listener more is work for the kernel.
  watch.close();
  const forwarding = new ForwardingWatch(count);
  // Before it is told, since the first one is lost thereupon: who comes late never sees all go through it.
  forwarding.waitFor(from);
  watch.tell('all');
  watch.tell('restored', forwarding.waitFor(to));
}
