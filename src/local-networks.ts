/**
 * What this node originates: static prefixes and the connected subnets of interfaces, followed live. Pure: settings
 * and kernel state in, set of prefixes out.
 */
import { formatPrefix, maskAddress, parsePrefix } from 'bgp-parse';
import type { Prefix } from 'bgp-parse';
import type { NetworkSettings } from './config/settings.js';
import type { KernelState } from './fib/port.js';

/**
 * Prefixes to originate, by text. An interface counts by its addresses, not by its carrier: a bridge without a running
 * container has none, and its subnet is still ours. Link-local and host-scope addresses are not networks.
 */
export function localNetworks(
  networks: readonly NetworkSettings[],
  kernel: KernelState | undefined,
): Map<string, Prefix> {
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
