/**
 * Finds the router at the other end of a link by its router advertisements, and makes itself found by sending its own:
 * what FRR and BIRD do for unnumbered peers (`neighbor eth1 interface`). One of these per interface.
 *
 * An interface that is not there yet, or has gone, is tried again every second. RFC 4861 §6.2.4 (initial advertisements
 * come faster), §6.2.6 (a solicitation is answered).
 */
import { RouterDiscoverySocket } from 'netlink';
import type { Cancel, Clock } from '../support/clock.js';

/** How often waiting messages are read: until somebody is found, and after. */
const SEARCHING_MS = 100;
const SETTLED_MS = 1000;
const ADVERTISE_MS = 10_000;
/** The first few advertisements follow each other at this distance. */
const INITIAL_MS = 1000;
const INITIAL_COUNT = 5;
const RETRY_MS = 1000;

/** Router solicitations and advertisements of one interface; `RouterDiscoverySocket` is the real one. */
export type RouterLink = Pick<RouterDiscoverySocket, 'orphaned' | 'solicit' | 'advertise' | 'receive' | 'close'>;

export interface LinkNeighbourEvents {
  /** An advertisement has come from this link-local address. Told each time. */
  heard(address: Uint8Array): void;
  /** The interface is new: whoever was heard before need not be there. */
  began(): void;
  /** Whether somebody is there: reading may be slower then. */
  settled(): boolean;
  /** The interface cannot be used; said once until it can. */
  failed(text: string): void;
}

export class LinkNeighbour {
  readonly #interface: string;
  readonly #clock: Clock;
  readonly #events: LinkNeighbourEvents;
  readonly #open: (interfaceName: string) => RouterLink;
  #socket: RouterLink | undefined;
  #cancel: Cancel | undefined;
  #advertised = 0;
  #advertiseAtMs = 0;
  #failedText = '';

  constructor(
    interfaceName: string,
    clock: Clock,
    events: LinkNeighbourEvents,
    open: (interfaceName: string) => RouterLink = (name) => RouterDiscoverySocket.open(name),
  ) {
    this.#interface = interfaceName;
    this.#clock = clock;
    this.#events = events;
    this.#open = open;
  }

  start(): void {
    this.#turn();
  }

  stop(): void {
    this.#cancel?.();
    this.#close();
  }

  #turn(): void {
    let waitMs = RETRY_MS;
    try {
      if (this.#socket?.orphaned) this.#close();
      this.#socket ??= this.#begin();
      this.#receive(this.#socket);
      this.#advertise(this.#socket);
      waitMs = this.#events.settled() ? SETTLED_MS : SEARCHING_MS;
      this.#failedText = '';
    } catch (error) {
      this.#close();
      const text = error instanceof Error ? error.message : String(error);
      if (text !== this.#failedText) this.#events.failed(text);
      this.#failedText = text;
    }
    this.#cancel = this.#clock.after(waitMs, () => this.#turn());
  }

  #begin(): RouterLink {
    const socket = this.#open(this.#interface);
    this.#advertised = 0;
    this.#advertiseAtMs = 0;
    this.#events.began();
    socket.solicit();
    return socket;
  }

  #receive(socket: RouterLink): void {
    for (let message = socket.receive(); message; message = socket.receive()) {
      if (message.kind === 'advertisement') this.#events.heard(message.from);
      // Several in one portion are answered by one.
      else this.#advertiseAtMs = 0;
    }
  }

  #advertise(socket: RouterLink): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#advertiseAtMs) return;
    // Down, or without a link-local address yet: that passes.
    if (!socket.advertise()) return;
    this.#advertised++;
    if (this.#advertised < INITIAL_COUNT && !this.#events.settled()) socket.solicit();
    this.#advertiseAtMs = nowMs + (this.#advertised < INITIAL_COUNT ? INITIAL_MS : ADVERTISE_MS);
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
