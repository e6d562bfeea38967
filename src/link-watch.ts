/**
 * Loss of link as a hint that comes long before the hold time: the session with a directly connected external peer goes
 * down when its interface does (what FRR calls fast external failover), and is opened again when the interface is back.
 *
 * Internal and multihop sessions may have another way, so for them only next hops are resolved anew (`fib/`).
 */
import type { KernelLink, KernelState } from './fib/port.js';
import { interfaceTowards } from './host.js';
import type { Peer } from './peer.js';

export class LinkWatch {
  #links: ReadonlyMap<number, KernelLink> = new Map();

  /** Takes the state of now; ends and restarts sessions by what is different. */
  changed(kernel: KernelState, peers: Iterable<Peer>): void {
    const before = this.#links;
    this.#links = new Map(kernel.links.map((link) => [link.index, link]));
    const lost = new Set<string>();
    const back = new Set<string>();
    for (const [index, link] of before) if (link.up && !this.#links.get(index)?.up) lost.add(link.name);
    for (const [index, link] of this.#links) if (link.up && before.get(index)?.up === false) back.add(link.name);
    if (lost.size === 0 && back.size === 0) return;
    for (const peer of peers) {
      if (!isDirectlyConnected(peer)) continue;
      if (peer.session.established) {
        const name = peer.interfaceName;
        if (name !== undefined && lost.has(name)) peer.session.connectionLost(`link of ${name} is down`);
      } else {
        const name = peer.options.interface ?? interfaceTowards(peer.address, kernel)?.name;
        if (name !== undefined && back.has(name)) peer.session.retryNow();
      }
    }
  }
}

/** The same rule as for the TTL of 1 that its packets have. */
function isDirectlyConnected({ external, options }: Peer): boolean {
  return external && options.multihop === undefined && (options.ttlSecurityHops ?? 1) === 1;
}
