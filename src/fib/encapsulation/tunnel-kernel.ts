/**
 * What the tunnel needs of the kernel. Calls are synchronous and throw `NetlinkError`. Its sockets are its own, beside
 * those of the routes, so neither side has to read the other's messages.
 */
import * as nl from 'netlink';

/** Told by readings and by the stream alike. */
export interface TunnelListener {
  link(link: nl.TunnelLinkMessage, deleted: boolean): void;
  address(address: nl.AddressMessage, deleted: boolean): void;
  /** Neighbour entries, and forwarding entries (family AF_BRIDGE). Only of interfaces for which `follows` is true. */
  entry(entry: nl.NeighbourMessage, deleted: boolean): void;
  follows(interfaceIndex: number): boolean;
}

export interface TunnelKernel {
  /** Readable when `receive` has something. */
  readonly monitorFd: number;
  /** False = devices of this kind cannot be made. */
  supports(kind: nl.TunnelKind): boolean;
  readNetwork(listener: TunnelListener): void;
  readEntries(listener: TunnelListener): void;
  /** Changes that others made; 'overrun' = some are lost, read everything. */
  receive(listener: TunnelListener): nl.ReceiveResult;
  /** Makes the device and brings it up. */
  create(tunnel: nl.NewTunnel, alias: string): void;
  change(name: string, change: nl.LinkChange): void;
  remove(name: string, index: number): void;
  /** Adds or replaces a neighbour or forwarding entry, or removes it. */
  setEntry(entry: nl.NeighbourMessage): void;
  removeEntry(entry: nl.NeighbourMessage): void;
  close(): void;
}

const GROUPS = [nl.RTNLGRP_LINK, nl.RTNLGRP_NEIGH, nl.RTNLGRP_IPV4_IFADDR, nl.RTNLGRP_IPV6_IFADDR];

export class NetlinkTunnelKernel implements TunnelKernel {
  readonly monitorFd: number;
  readonly #requests: nl.NetlinkSocket;
  readonly #monitor: nl.NetlinkSocket;

  constructor() {
    this.#requests = nl.NetlinkSocket.open();
    this.#monitor = nl.NetlinkSocket.open({ groups: GROUPS, ignorePortId: this.#requests.portId });
    this.monitorFd = this.#monitor.fd;
  }

  supports(kind: nl.TunnelKind): boolean {
    try {
      this.#requests.request('asking for the kind of device', (writer, sequence) =>
        nl.encodeTunnelProbe(writer, sequence, kind),
      );
    } catch (error) {
      if (error instanceof nl.NetlinkError) return error.errno !== nl.Errno.EOPNOTSUPP;
      throw error;
    }
    return true;
  }

  readNetwork(listener: TunnelListener): void {
    this.#monitor.discard();
    this.#requests.dump('reading links', nl.encodeLinkDump, (reader) => dispatch(reader, listener));
    this.#requests.dump(
      'reading addresses',
      (writer, sequence) => nl.encodeAddressDump(writer, sequence, nl.AF_UNSPEC),
      (reader) => dispatch(reader, listener),
    );
  }

  readEntries(listener: TunnelListener): void {
    for (const family of [nl.AF_INET, nl.AF_INET6, nl.AF_BRIDGE]) {
      this.#requests.dump(
        'reading neighbours',
        (writer, sequence) => nl.encodeNeighbourDump(writer, sequence, family),
        (reader) => dispatch(reader, listener),
      );
    }
  }

  receive(listener: TunnelListener): nl.ReceiveResult {
    return this.#monitor.receive((reader) => dispatch(reader, listener));
  }

  create(tunnel: nl.NewTunnel, alias: string): void {
    this.#requests.request(`making ${tunnel.name}`, (writer, sequence) => nl.encodeNewTunnel(writer, sequence, tunnel));
    this.change(tunnel.name, { alias, up: true });
  }

  change(name: string, change: nl.LinkChange): void {
    this.#requests.request(`changing ${name}`, (writer, sequence) =>
      nl.encodeLinkChange(writer, sequence, name, change),
    );
  }

  remove(name: string, index: number): void {
    this.#requests.request(`removing ${name}`, (writer, sequence) => nl.encodeDeleteLink(writer, sequence, index));
  }

  setEntry(entry: nl.NeighbourMessage): void {
    this.#requests.request('setting a neighbour', (writer, sequence) =>
      nl.encodeNeighbour(writer, nl.RTM_NEWNEIGH, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, sequence, entry),
    );
  }

  removeEntry(entry: nl.NeighbourMessage): void {
    this.#requests.request('removing a neighbour', (writer, sequence) =>
      nl.encodeNeighbour(writer, nl.RTM_DELNEIGH, 0, sequence, entry),
    );
  }

  close(): void {
    this.#requests.close();
    this.#monitor.close();
  }
}

function dispatch(reader: nl.MessageReader, listener: TunnelListener): void {
  switch (reader.type) {
    case nl.RTM_NEWLINK:
    case nl.RTM_DELLINK: {
      const link = nl.decodeTunnelLink(reader);
      // Messages of other families (AF_BRIDGE) speak of a port of the interface, not of the interface.
      if (link.family === nl.AF_UNSPEC) listener.link(link, reader.type === nl.RTM_DELLINK);
      break;
    }
    case nl.RTM_NEWADDR:
    case nl.RTM_DELADDR:
      listener.address(nl.decodeAddress(reader), reader.type === nl.RTM_DELADDR);
      break;
    case nl.RTM_NEWNEIGH:
    case nl.RTM_DELNEIGH:
      // struct ndmsg: the interface is its second word. A busy segment tells of its neighbours all the time.
      if (listener.follows(reader.i32(reader.start + 4))) {
        listener.entry(nl.decodeNeighbour(reader), reader.type === nl.RTM_DELNEIGH);
      }
      break;
  }
}
