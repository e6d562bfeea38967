/** What the node is called and by which addresses: its router id, and the addresses of its interfaces. */
import { formatIpv4Number, parseAddress, parseIpv4Number, parsePrefix } from 'bgp-parse';
import type { Settings } from './config/settings.js';
import { bareAddress } from './session/address.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { deriveRouterId, readNodeAddresses } from './support/node-addresses.js';
import type { NodeAddress } from './support/node-addresses.js';

/** The configured router id, else one of the node's addresses. Throws when there is neither. */
export function chooseRouterId(settings: Settings, log: Log): number {
  if (settings.routerId !== undefined) return parseIpv4Number(settings.routerId)!;
  const peers = settings.peers.flatMap((peer) => parseAddress(bareAddress(peer.address)) ?? []);
  const ranges = settings.listenRanges.map((range) => parsePrefix(range.prefix)!.bytes);
  const derived = deriveRouterId(readNodeAddresses(), [...peers, ...ranges]);
  if (derived === undefined) {
    throw new Error(
      'no router id: this node has no IPv4 address to derive one from; set routerId in the configuration',
    );
  }
  log.info({ routerId: formatIpv4Number(derived) }, `router id ${formatIpv4Number(derived)}, derived`);
  return derived;
}

const FRESH_MS = 1000;

/** Reading them takes the kernel 0.1 ms: too much for each of a thousand sessions that come up at once. */
export class NodeAddresses {
  readonly #clock: Clock;
  readonly #log: Log;
  #addresses: readonly NodeAddress[] = [];
  #readMs = -Infinity;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  read(): readonly NodeAddress[] {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#readMs > FRESH_MS) {
      this.#readMs = nowMs;
      try {
        this.#addresses = readNodeAddresses();
      } catch (error) {
        // Without a descriptor to ask with, say: those of before have to do.
        this.#log.error({ err: error }, "the node's addresses cannot be read; those of before are used");
      }
    }
    return this.#addresses;
  }

  /** The kernel says that something has changed. */
  expire(): void {
    this.#readMs = -Infinity;
  }
}
