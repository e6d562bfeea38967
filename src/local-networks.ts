/** What this node originates: static prefixes and the connected subnets of interfaces, followed live. */
import { Origin, encodeAttributes, formatPrefix, maskAddress, parsePrefix } from 'bgp-parse';
import type { Family, Prefix } from 'bgp-parse';
import type { NetworkSettings } from './config/settings.js';
import type { KernelState } from './fib/port.js';
import type { Rib } from './rib/rib.js';
import type { Log } from './support/log.js';

/** Keeps the RIB's own routes to what settings and kernel say. */
export class LocalNetworks {
  readonly #rib: Rib;
  readonly #log: Log;
  #originated: ReadonlyMap<string, Prefix> = new Map();

  constructor(rib: Rib, log: Log) {
    this.#rib = rib;
    this.#log = log;
  }

  /** Originates what is new, takes back what is no longer said. Returns all there is now. */
  follow(networks: readonly NetworkSettings[], kernel: KernelState | undefined): readonly Prefix[] {
    const wanted = localNetworks(networks, kernel);
    for (const [text, prefix] of this.#originated) {
      if (wanted.has(text)) continue;
      this.#rib.unoriginate(familyOf(prefix), prefix.bytes, prefix.length);
      this.#log.info({ prefix: text }, `network ${text}: no longer originated`);
    }
    for (const [text, prefix] of wanted) {
      if (this.#originated.has(text)) continue;
      const nextHop = new Uint8Array(prefix.bytes.length);
      const attributes = encodeAttributes({ origin: Origin.igp, asPath: [], nextHop });
      this.#rib.originate(familyOf(prefix), prefix.bytes, prefix.length, attributes);
      this.#log.info({ prefix: text }, `network ${text}: originated`);
    }
    this.#originated = wanted;
    return [...wanted.values()];
  }
}

/**
 * Prefixes to originate, by text. An interface counts by its addresses, not by its carrier: a bridge without a running
 * container has none, and its subnet is still ours. Link-local and host-scope addresses are not networks.
 */
function localNetworks(networks: readonly NetworkSettings[], kernel: KernelState | undefined): Map<string, Prefix> {
  const out = new Map<string, Prefix>();
  for (const network of networks) {
    if ('prefix' in network) {
      const prefix = parsePrefix(network.prefix);
      if (prefix) out.set(formatPrefix(prefix), prefix);
      continue;
    }
    const link = kernel?.links.find((candidate) => candidate.name === network.interface);
    if (!link) continue;
    for (const address of kernel!.addresses) {
      if (address.ifindex !== link.index || address.local || address.prefixLength >= address.bytes.length * 8) continue;
      const prefix = { bytes: maskAddress(address.bytes, address.prefixLength), length: address.prefixLength };
      out.set(formatPrefix(prefix), prefix);
    }
  }
  return out;
}

function familyOf(prefix: Prefix): Family {
  return prefix.bytes.length === 4 ? 'ipv4-unicast' : 'ipv6-unicast';
}
