/** Blackhole routes of our own over rtnetlink, one request each: they are few and seldom change. */
import type { AddressBytes } from 'bgp-parse';
import * as nl from 'netlink';
import { type BlackholeKernel, OWN_BLACKHOLE_METRIC } from './own-blackholes.js';

export class NetlinkBlackholes implements BlackholeKernel {
  readonly #ours: { readonly table: number; readonly protocol: number };
  #socket: nl.NetlinkSocket | undefined;

  constructor(ours: { readonly table: number; readonly protocol: number }) {
    this.#ours = ours;
  }

  add(family: number, prefix: AddressBytes, length: number): void {
    this.#request(nl.RTM_NEWROUTE, nl.NLM_F_CREATE | nl.NLM_F_EXCL, family, prefix, length);
  }

  remove(family: number, prefix: AddressBytes, length: number): void {
    try {
      this.#request(nl.RTM_DELROUTE, 0, family, prefix, length);
    } catch (error) {
      if (!(error instanceof nl.NetlinkError && error.errno === nl.Errno.ESRCH)) throw error;
    }
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #request(type: number, flags: number, family: number, prefix: AddressBytes, length: number): void {
    const socket = (this.#socket ??= nl.NetlinkSocket.open());
    const route = new nl.RouteMessage();
    route.family = family;
    route.dst.set(prefix);
    route.dstLength = length;
    route.table = this.#ours.table;
    route.protocol = this.#ours.protocol;
    route.priority = OWN_BLACKHOLE_METRIC;
    route.type = nl.RTN_BLACKHOLE;
    socket.request('route request', (writer, sequence) => nl.encodeRoute(writer, type, flags, sequence, route));
  }
}
