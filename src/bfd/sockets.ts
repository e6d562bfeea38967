/**
 * The UDP sockets of the BFD thread: one to send from per session, with a source port of its own (RFC 5881 §4), and one
 * to receive on per local address and port, shared by the sessions there.
 *
 * Sent with TTL 255 (RFC 5881 §5, RFC 5883 §4.2) and IP precedence CS6; what TTL came is the engine's to check.
 */
import {
  DatagramReceiver,
  Errno,
  SystemError,
  bindDatagram,
  bindDatagramToDevice,
  connectDatagram,
  createUdpSocket,
  errnoName,
  interfaceIndex,
  prepareReceiver,
  sendDatagram,
  setTrafficClass,
  setTtl,
  socketName,
} from 'netlink';
import type { Poller, SocketFamily } from 'netlink';
import { formatAddress } from 'bgp-parse';
import { isLinkLocal } from '../support/node-addresses.js';
import type { Endpoint } from './demultiplexer.js';
import type { Engine, Transport } from './engine.js';
import type { OpenSockets } from './open-sockets.js';
import type { BfdTarget } from './port.js';

/** RFC 5881 §4, RFC 5883 §5. */
const SINGLE_HOP_PORT = 3784;
const MULTIHOP_PORT = 4784;
/** RFC 5881 §4. */
const FIRST_SOURCE_PORT = 49152;
const SOURCE_PORTS = 65536 - FIRST_SOURCE_PORT;
const PORT_ATTEMPTS = 64;
const TRAFFIC_CLASS = 0xc0;
/** A second of a thousand sessions at 50 ms, should the thread be kept from running. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;
/** Datagrams taken from a socket before timers have their turn. */
const MAX_DATAGRAMS = 4096;

interface Receiver extends Endpoint {
  readonly fd: number;
  readonly key: string;
  users: number;
}

export class Sockets {
  readonly #randomPort: (count: number) => number;
  readonly #open: OpenSockets;
  readonly #receivers: Receiver[] = [];
  #lastReceiver = 0;
  readonly #sourcePorts = new Set<number>();
  readonly #datagram = new DatagramReceiver();
  /** The set of receivers has changed since `watch`. */
  #changed = true;

  /** `random(n)`: an integer in [0, n). */
  constructor(random: (count: number) => number, open: OpenSockets) {
    this.#randomPort = random;
    this.#open = open;
  }

  /** Throws with what is wrong, in the words of the configuration where it has one. */
  open(target: BfdTarget, sourcePort: number | undefined): Transport {
    const family: SocketFamily = target.address.length === 4 ? 4 : 6;
    const index = target.interface === undefined ? 0 : interfaceIndex(target.interface);
    if (index === undefined) throw new Error(`there is no interface ${target.interface}`);
    const scope = isLinkLocal(target.address) ? index : 0;
    const port = target.multihop ? MULTIHOP_PORT : SINGLE_HOP_PORT;
    const fd = this.#open.opened(createUdpSocket(family));
    let chosen: number | undefined;
    try {
      if (target.interface !== undefined) bindDatagramToDevice(fd, target.interface);
      setTtl(fd, family, 255);
      setTrafficClass(fd, family, TRAFFIC_CLASS);
      chosen = this.#bindSource(fd, target, scope, sourcePort);
      connectDatagram(fd, target.address, port, scope);
      const local = socketName(fd).address;
      const receiver = this.#receiver(local, port, isLinkLocal(local) ? index : 0, target.multihop);
      return new UdpTransport(fd, chosen, target.multihop ? 0 : index, receiver.id, () => {
        this.#open.close(fd);
        this.#sourcePorts.delete(chosen!);
        this.#release(receiver);
      });
    } catch (error) {
      this.#open.close(fd);
      if (chosen !== undefined) this.#sourcePorts.delete(chosen);
      throw error;
    }
  }

  /** Lets `poller` wait for `first` and all receivers. */
  watch(poller: Poller, first: number): void {
    if (!this.#changed) return;
    this.#changed = false;
    poller.clear();
    poller.add(first);
    for (const { fd } of this.#receivers) poller.add(fd);
  }

  /** Hands what has arrived to the engine. */
  drain(poller: Poller, engine: Engine, nowMs: number): void {
    const datagram = this.#datagram;
    for (let i = 0; i < this.#receivers.length; i++) {
      // Index 0 of the poller is not ours.
      if (!poller.isReady(i + 1)) continue;
      const receiver = this.#receivers[i]!;
      for (let n = 0; n < MAX_DATAGRAMS && datagram.receive(receiver.fd); n++) {
        engine.received(datagram.data, datagram.length, datagram, datagram.ttl, receiver, nowMs);
      }
    }
  }

  #bindSource(fd: number, target: BfdTarget, scope: number, wanted: number | undefined): number {
    const address = target.localAddress ?? new Uint8Array(target.address.length);
    const bindScope = isLinkLocal(address) ? scope : 0;
    for (let attempt = 0; ; attempt++) {
      const again = attempt === 0 ? wanted : undefined;
      const port = again ?? FIRST_SOURCE_PORT + this.#randomPort(SOURCE_PORTS);
      if (this.#sourcePorts.has(port)) continue;
      try {
        bindDatagram(fd, address, port, bindScope);
        this.#sourcePorts.add(port);
        return port;
      } catch (error) {
        const taken = error instanceof SystemError && error.code === 'EADDRINUSE';
        if (!taken || attempt >= PORT_ATTEMPTS) throw named(error, `the local address ${formatAddress(address)}`);
      }
    }
  }

  #receiver(local: Uint8Array, port: number, scope: number, multihop: boolean): Receiver {
    const key = `${formatAddress(local)}%${scope} ${port}`;
    const there = this.#receivers.find((receiver) => receiver.key === key);
    if (there) {
      there.users++;
      return there;
    }
    const family: SocketFamily = local.length === 4 ? 4 : 6;
    const fd = this.#open.opened(createUdpSocket(family));
    try {
      bindDatagram(fd, local, port, scope);
      prepareReceiver(fd, family, RECEIVE_BUFFER);
    } catch (error) {
      this.#open.close(fd);
      if (error instanceof SystemError && error.code === 'EADDRINUSE') {
        throw new Error(`UDP port ${port} of ${formatAddress(local)} is taken: does another BFD daemon run here?`, {
          cause: error,
        });
      }
      throw error;
    }
    const receiver = { id: ++this.#lastReceiver, fd, key, multihop, users: 1 };
    this.#receivers.push(receiver);
    this.#changed = true;
    return receiver;
  }

  #release(receiver: Receiver): void {
    if (--receiver.users > 0) return;
    this.#receivers.splice(this.#receivers.indexOf(receiver), 1);
    this.#changed = true;
    this.#open.close(receiver.fd);
  }
}

class UdpTransport implements Transport {
  readonly sourcePort: number;
  readonly interfaceIndex: number;
  readonly endpoint: number;
  readonly #fd: number;
  readonly #closed: () => void;
  #isOpen = true;

  constructor(fd: number, sourcePort: number, index: number, endpoint: number, closed: () => void) {
    this.#fd = fd;
    this.sourcePort = sourcePort;
    this.interfaceIndex = index;
    this.endpoint = endpoint;
    this.#closed = closed;
  }

  send(packet: Uint8Array): string | undefined {
    let errno = sendDatagram(this.#fd, packet);
    // What the kernel reports here is an ICMP answer to an earlier packet; this one has not been sent yet.
    if (errno === Errno.ECONNREFUSED) errno = sendDatagram(this.#fd, packet);
    if (errno === 0 || errno === Errno.ECONNREFUSED) return undefined;
    return `packets cannot be sent: ${errnoName(errno)}`;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#closed();
  }
}

function named(error: unknown, what: string): Error {
  return new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
