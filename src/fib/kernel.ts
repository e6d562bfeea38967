/**
 * What the FIB needs of the kernel: whole readings, a stream of changes that may overrun, and batches of route changes
 * with a verdict per route. `netlink-kernel.ts` is the real one; tests bring their own.
 */
import type { AddressMessage, LinkMessage, NexthopMessage, RouteMessage } from 'netlink';

export type { AddressMessage, LinkMessage, NexthopMessage, RouteMessage };

/** Told by readings and by the stream alike. Messages are valid only during the call. */
export interface KernelListener {
  link(link: LinkMessage, deleted: boolean): void;
  address(address: AddressMessage, deleted: boolean): void;
  /** `replaced`: it took the place of another route with the same prefix and metric, which is gone without a word. */
  route(route: RouteMessage, deleted: boolean, replaced: boolean): void;
  nexthop(nexthop: NexthopMessage, deleted: boolean): void;
  /** A reading of the routes of a family starts over: what it has told so far may not be so. */
  begunAnew?(addressFamily: number): void;
}

/** What the kernel knows of nexthop objects: nothing; objects and groups; and groups that keep flows in place. */
export type NexthopSupport = 'none' | 'groups' | 'resilientGroups';

/**
 * `add` never replaces: EEXIST when a route of the same prefix and metric is there. `replace` takes the place of the
 * one that is there: ENOENT or ESRCH when there is none. `remove` removes only routes of the message's own protocol
 * and metric: ESRCH when there is none.
 */
export const KernelOperation = { add: 1, replace: 2, remove: 3 } as const;
export type KernelOperation = (typeof KernelOperation)[keyof typeof KernelOperation];

/** All routes of both families and all tables, piece by piece, while the tables may be written. */
export interface RouteReading {
  /** 'interrupted' = it is over, and may have missed some. */
  step(listener: KernelListener): 'more' | 'done' | 'interrupted';
  close(): void;
}

export interface Kernel {
  /** All links, then all addresses. */
  readNetwork(listener: KernelListener): void;
  /** All routes of both families and all tables; false = changes kept interrupting, the reading may miss some. */
  readRoutes(listener: KernelListener): boolean;
  /** Tries out, by way of the objects `id` and `id + 1`, which are gone afterwards; 'none' also when we may not. */
  probeNexthops(id: number, protocol: number): NexthopSupport;
  /** All nexthop objects, also those of others; false as with `readRoutes`. */
  readNexthops(listener: KernelListener): boolean;
  /**
   * One nexthop object, at once; 0 or the errno of the refusal. `add` refuses an id that is there (EEXIST), `replace`
   * and `remove` one that is not (ENOENT). What uses an object that is removed goes with it, for IPv4 without a word.
   */
  changeNexthop(operation: KernelOperation, nexthop: NexthopMessage): number;
  /** Changes that others made since the last call, a bounded number; 'overrun' = some are lost, read everything. */
  receive(listener: KernelListener): 'empty' | 'messages' | 'overrun';
  /** Forgets changes not received yet (before a whole reading). */
  discard(): void;
  /** Adds to the batch; the message is copied. Returns its position in the batch. */
  queue(operation: KernelOperation, route: RouteMessage): number;
  /** Carries the batch out. `onError` tells what was refused, positive errno; 'overrun' = some refusals are lost. */
  commit(onError: (position: number, errno: number) => void): 'done' | 'overrun';
  close(): void;
}
