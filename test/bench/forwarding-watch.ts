/**
 * Watches which way the kernel sends packets: asks it (RTM_GETROUTE), as `ip route get` does, for addresses of a run's
 * prefixes. Nexthop objects and groups change without a word about their routes; the answer tells what is in force.
 *
 * A poll asks for one address, every fifth of a millisecond, and goes on to the next when the answer is right, so that
 * the speaker keeps its processors. Then every prefix is asked for once: what was late counts.
 */
import { decodeRoute, encodeRouteGet, NetlinkSocket, RouteMessage } from 'netlink';
import { monotonicMs } from './clock.js';
import { Prefixes } from './load/prefixes.js';

const SAMPLES = 256;
const PAUSE_MS = 0.2;

export class ForwardingWatch {
  readonly #socket = NetlinkSocket.open();
  readonly #route = new RouteMessage();
  readonly #address = new Uint8Array(4);
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  /** The first address of each prefix, ascending. Under a more specific prefix it stands for that. */
  readonly #addresses: Uint32Array;

  constructor(count: number) {
    const prefixes = new Prefixes('table', count);
    this.#addresses = Uint32Array.from(prefixes.indexes, (index) => prefixes.address(index)).sort();
  }

  /** Returns when everything goes through the gateway, with the time since when. */
  waitFor(gateway: string): number {
    const wanted = gateway.split('.').reduce((bits, octet) => ((bits << 8) | Number(octet)) >>> 0, 0);
    const last = this.#addresses.length - 1;
    for (let i = 0; i < SAMPLES; i++) this.#waitForOne(Math.round((i * last) / (SAMPLES - 1)), wanted);
    let atMs = monotonicMs();
    for (let i = 0; i <= last; i++) if (this.#waitForOne(i, wanted)) atMs = monotonicMs();
    return atMs;
  }

  /** True when it had to wait. */
  #waitForOne(i: number, gateway: number): boolean {
    if (this.#gatewayOf(this.#addresses[i]!) === gateway) return false;
    do Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
    while (this.#gatewayOf(this.#addresses[i]!) !== gateway);
    return true;
  }

  /** 0 when it leads nowhere. */
  #gatewayOf(bits: number): number {
    const view = new DataView(this.#address.buffer);
    view.setUint32(0, bits);
    const refusal = this.#socket.ask(
      (writer, sequence) => encodeRouteGet(writer, sequence, this.#address),
      (message) => decodeRoute(message, this.#route),
    );
    return refusal === 0 ? new DataView(this.#route.gateway.buffer).getUint32(0) : 0;
  }
}
