/**
 * Unnumbered peers: configured by an interface alone. Whoever is heard there, by a router advertisement or by a
 * connection, becomes the peer under its link-local address; until then a peer that waits stands in for it.
 */
import { CeaseSubcode, equalBytes, formatAddress } from 'bgp-parse';
import type { PeerOptions } from './config/settings.js';
import { LinkNeighbour } from './discovery/link-neighbour.js';
import type { Peer } from './peer.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';

/** Whoever has been silent for so long and has no session makes room for another router of the link. */
const SILENT_MS = 15_000;

export interface UnnumberedHost {
  readonly clock: Clock;
  readonly log: Log;
  /** Makes a peer; `awaited`: one that waits for somebody on that interface. */
  create(address: Uint8Array, options: PeerOptions, awaited: boolean): Peer;
  remove(peer: Peer, subcode: number): Promise<void>;
  /** Takes new options; says what happened, and gives the peer that is there now. */
  change(peer: Peer, options: PeerOptions, keys: readonly string[], effect: 'live' | 'session'): Promise<string[]>;
  /** The peer under a key now. */
  peer(key: string): Peer | undefined;
}

interface Entry {
  options: PeerOptions;
  readonly discovery: LinkNeighbour;
  readonly waiting: Peer;
  /** Key of the peer that was found. */
  key: string | undefined;
  heardAtMs: number;
}

/** fe80::, which nobody has. */
const NOBODY = Uint8Array.from({ length: 16 }, (_, i) => [0xfe, 0x80][i] ?? 0);

/** The interface of an unnumbered peer, by its address in the settings (`%eth1`); undefined = it has an address. */
export function unnumberedInterface(address: string): string | undefined {
  return address.startsWith('%') ? address.slice(1) : undefined;
}

export class UnnumberedPeers {
  readonly #host: UnnumberedHost;
  readonly #entries = new Map<string, Entry>();

  constructor(host: UnnumberedHost) {
    this.#host = host;
  }

  add(interfaceName: string, options: PeerOptions): void {
    const { clock, log } = this.#host;
    const discovery = new LinkNeighbour(interfaceName, clock, {
      heard: (address) => void this.#heard(interfaceName, address, false),
      began: () => {
        const entry = this.#entries.get(interfaceName);
        if (entry) entry.heardAtMs = -Infinity;
      },
      settled: () => this.#found(interfaceName)?.session.established === true,
      failed: (text) =>
        log.warn({ interface: interfaceName }, `no neighbour can be looked for on ${interfaceName}: ${text}`),
    });
    const waiting = this.#host.create(NOBODY, options, true);
    this.#entries.set(interfaceName, { options, discovery, waiting, key: undefined, heardAtMs: 0 });
    discovery.start();
  }

  async remove(interfaceName: string, subcode: number): Promise<void> {
    const entry = this.#entries.get(interfaceName);
    if (!entry) return;
    entry.discovery.stop();
    const peer = this.#found(interfaceName);
    this.#entries.delete(interfaceName);
    if (peer) await this.#host.remove(peer, subcode);
  }

  async change(
    interfaceName: string,
    options: PeerOptions,
    keys: readonly string[],
    effect: 'live' | 'session',
  ): Promise<string[]> {
    const entry = this.#entries.get(interfaceName)!;
    entry.options = entry.waiting.options = options;
    const peer = this.#found(interfaceName);
    if (!peer) return [`peer ${interfaceName}: changed ${keys.join(', ')}`];
    return this.#host.change(peer, options, keys, effect);
  }

  /** A connection has come from this address: its peer, unless another one has the interface. */
  connecting(address: Uint8Array, interfaceName: string | undefined): Peer | undefined {
    return interfaceName === undefined ? undefined : this.#heard(interfaceName, address, true);
  }

  /** The peer on an interface, found or awaited. */
  on(interfaceName: string): Peer | undefined {
    return this.#found(interfaceName) ?? this.#entries.get(interfaceName)?.waiting;
  }

  /** Those that nobody has been found for. */
  *waiting(): Iterable<Peer> {
    for (const [interfaceName, { waiting }] of this.#entries) if (!this.#found(interfaceName)) yield waiting;
  }

  stop(): void {
    for (const { discovery } of this.#entries.values()) discovery.stop();
    this.#entries.clear();
  }

  #found(interfaceName: string): Peer | undefined {
    const key = this.#entries.get(interfaceName)?.key;
    return key === undefined ? undefined : this.#host.peer(key);
  }

  #heard(interfaceName: string, address: Uint8Array, connecting: boolean): Peer | undefined {
    const entry = this.#entries.get(interfaceName);
    if (!entry) return undefined;
    const nowMs = this.#host.clock.nowMs();
    const before = this.#found(interfaceName);
    if (before && equalBytes(before.address, address)) {
      entry.heardAtMs = nowMs;
      return before;
    }
    if (before) {
      if (before.session.established || (!connecting && nowMs - entry.heardAtMs < SILENT_MS)) return undefined;
      void this.#host.remove(before, CeaseSubcode.peerDeconfigured);
    }
    const peer = this.#host.create(address, { ...entry.options, interface: interfaceName }, false);
    entry.key = peer.session.key;
    entry.heardAtMs = nowMs;
    peer.disabled ||= before?.disabled ?? entry.waiting.disabled;
    const text = formatAddress(address);
    this.#host.log.info({ interface: interfaceName, peer: text }, `${interfaceName}: found ${text}`);
    peer.start();
    return peer;
  }
}
