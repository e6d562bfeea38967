/**
 * The kernel over rtnetlink: one socket for requests, one for notifications that does not hear our own echo (a burst
 * of our own changes must not overrun it).
 */
import * as nl from 'netlink';
import {
  KernelOperation,
  type Kernel,
  type KernelListener,
  type NexthopMessage,
  type NexthopSupport,
  type RouteMessage,
  type RouteReading,
} from './kernel.js';

const GROUPS = [
  nl.RTNLGRP_LINK,
  nl.RTNLGRP_IPV4_IFADDR,
  nl.RTNLGRP_IPV6_IFADDR,
  nl.RTNLGRP_IPV4_ROUTE,
  nl.RTNLGRP_IPV6_ROUTE,
];
const EOPNOTSUPP = 95;
const REQUEST_FLAGS = {
  [KernelOperation.add]: nl.NLM_F_CREATE | nl.NLM_F_EXCL,
  [KernelOperation.replace]: nl.NLM_F_REPLACE,
  [KernelOperation.remove]: 0,
} as const;

export class NetlinkKernel implements Kernel {
  /** Readable when `receive` has something. */
  readonly monitorFd: number;
  readonly #requests: nl.NetlinkSocket;
  readonly #monitor: nl.NetlinkSocket;
  readonly #batch = new nl.MessageWriter();
  readonly #encoder = new nl.RouteEncoder();
  readonly #route = new nl.RouteMessage();
  #batchLength = 0;
  #firstSequence = 0;
  #lastSequence = 0;

  constructor(requests: nl.NetlinkSocket, monitor: nl.NetlinkSocket) {
    this.#requests = requests;
    this.#monitor = monitor;
    this.monitorFd = monitor.fd;
  }

  /** `receiveBuffer` in octets, of the notifications. Listening begins here, so that a reading misses nothing. */
  static open(receiveBuffer?: number): NetlinkKernel {
    const requests = nl.NetlinkSocket.open();
    const monitor = nl.NetlinkSocket.open({
      groups: GROUPS,
      ignorePortId: requests.portId,
      ...(receiveBuffer === undefined ? {} : { receiveBuffer }),
    });
    try {
      monitor.join(nl.RTNLGRP_NEXTHOP);
    } catch {
      // Before 5.3 there is no such group, and nothing to hear.
    }
    return new NetlinkKernel(requests, monitor);
  }

  readNetwork(listener: KernelListener): void {
    this.#requests.dump('reading links', nl.encodeLinkDump, (reader) => this.#dispatch(reader, listener));
    this.#requests.dump(
      'reading addresses',
      (writer, sequence) => nl.encodeAddressDump(writer, sequence, nl.AF_UNSPEC),
      (reader) => this.#dispatch(reader, listener),
    );
  }

  readRoutes(listener: KernelListener): boolean {
    let complete = true;
    for (const family of [nl.AF_INET, nl.AF_INET6]) {
      const consistent = this.#requests.dump(
        'reading routes',
        (writer, sequence) => nl.encodeRouteDump(writer, sequence, family),
        (reader) => this.#dispatch(reader, listener),
        () => listener.begunAnew?.(family),
      );
      complete &&= consistent;
    }
    return complete;
  }

  probeNexthops(id: number, protocol: number): NexthopSupport {
    const base = { family: nl.AF_INET, protocol, scope: 0, flags: 0, interfaceIndex: 0, gateway: undefined };
    const blackhole: NexthopMessage = { ...base, id, blackhole: true, group: [] };
    const resilient = { buckets: 1, idleTimer: 0, unbalancedTimer: 0 };
    const group = {
      ...base,
      id: id + 1,
      family: nl.AF_UNSPEC,
      blackhole: false,
      group: [{ id, weight: 1 }],
      resilient,
    };
    if (this.changeNexthop(KernelOperation.add, blackhole) !== 0) return 'none';
    const refused = this.changeNexthop(KernelOperation.add, group) !== 0;
    if (!refused) this.changeNexthop(KernelOperation.remove, group);
    this.changeNexthop(KernelOperation.remove, blackhole);
    return refused ? 'groups' : 'resilientGroups';
  }

  readNexthops(listener: KernelListener): boolean {
    try {
      return this.#requests.dump('reading nexthops', nl.encodeNexthopDump, (reader) =>
        this.#dispatch(reader, listener),
      );
    } catch (error) {
      if (error instanceof nl.NetlinkError && error.errno === EOPNOTSUPP) return true;
      throw error;
    }
  }

  changeNexthop(operation: KernelOperation, nexthop: NexthopMessage): number {
    const type = operation === KernelOperation.remove ? nl.RTM_DELNEXTHOP : nl.RTM_NEWNEXTHOP;
    try {
      this.#requests.request('nexthop', (writer, sequence) => {
        nl.encodeNexthop(writer, type, REQUEST_FLAGS[operation], sequence, nexthop);
      });
      return 0;
    } catch (error) {
      if (error instanceof nl.NetlinkError) return error.errno;
      throw error;
    }
  }

  receive(listener: KernelListener): 'empty' | 'messages' | 'overrun' {
    return this.#monitor.receive((reader) => this.#dispatch(reader, listener));
  }

  discard(): void {
    this.#monitor.discard();
  }

  queue(operation: KernelOperation, route: RouteMessage): number {
    const sequence = this.#requests.nextSequence();
    if (this.#batchLength === 0) this.#firstSequence = sequence;
    this.#lastSequence = sequence;
    const type = operation === KernelOperation.remove ? nl.RTM_DELROUTE : nl.RTM_NEWROUTE;
    this.#encoder.append(this.#batch, type, REQUEST_FLAGS[operation], sequence, route);
    return this.#batchLength++;
  }

  commit(onError: (position: number, errno: number) => void): 'done' | 'overrun' {
    if (this.#batchLength === 0) return 'done';
    const first = this.#firstSequence;
    try {
      return this.#requests.batch(this.#batch, this.#lastSequence, (sequence, errno) => {
        onError((sequence - first) >>> 0, errno);
      });
    } finally {
      this.#batch.clear();
      this.#batchLength = 0;
    }
  }

  /** On a socket of its own, so that requests go on meanwhile. */
  readInParts(): RouteReading {
    const socket = nl.NetlinkSocket.open();
    const route = new nl.RouteMessage();
    const families: number[] = [nl.AF_INET, nl.AF_INET6];
    let part: ReturnType<nl.NetlinkSocket['dumpInParts']> | undefined;
    let interrupted = false;
    return {
      step: (listener) => {
        const family = families[0]!;
        part ??= socket.dumpInParts('reading routes', (writer, sequence) =>
          nl.encodeRouteDump(writer, sequence, family),
        );
        const result = part((reader) => {
          if (reader.type !== nl.RTM_NEWROUTE) return;
          nl.decodeRoute(reader, route);
          if (!(route.flags & nl.RTM_F_CLONED)) listener.route(route, false, false);
        });
        interrupted ||= result.interrupted;
        if (!result.done) return 'more';
        part = undefined;
        families.shift();
        if (families.length) return 'more';
        return interrupted ? 'interrupted' : 'done';
      },
      close: () => socket.close(),
    };
  }

  close(): void {
    this.#requests.close();
    this.#monitor.close();
  }

  #dispatch(reader: nl.MessageReader, listener: KernelListener): void {
    switch (reader.type) {
      case nl.RTM_NEWROUTE:
      case nl.RTM_DELROUTE: {
        const deleted = reader.type === nl.RTM_DELROUTE;
        const replaced = !deleted && (reader.flags & nl.NLM_F_REPLACE) !== 0;
        nl.decodeRoute(reader, this.#route);
        if (!(this.#route.flags & nl.RTM_F_CLONED)) listener.route(this.#route, deleted, replaced);
        break;
      }
      case nl.RTM_NEWNEXTHOP:
      case nl.RTM_DELNEXTHOP:
        listener.nexthop(nl.decodeNexthop(reader), reader.type === nl.RTM_DELNEXTHOP);
        break;
      case nl.RTM_NEWLINK:
      case nl.RTM_DELLINK: {
        const link = nl.decodeLink(reader);
        // Messages of other families (AF_BRIDGE) speak of a port of the interface, not of the interface.
        if (link.family === nl.AF_UNSPEC) listener.link(link, reader.type === nl.RTM_DELLINK);
        break;
      }
      case nl.RTM_NEWADDR:
      case nl.RTM_DELADDR:
        listener.address(nl.decodeAddress(reader), reader.type === nl.RTM_DELADDR);
        break;
    }
  }
}
