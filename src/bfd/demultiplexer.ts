// HOT: `find` runs per packet; no allocation.
/**
 * Whose packet it is (RFC 5880 §6.3): by "Your Discriminator"; a peer that does not know ours yet is found by where its
 * packet comes from and to which of our addresses (RFC 5881 §3, RFC 5883 §3). The source must be the peer's address in
 * either case.
 */
import type { BfdControl } from 'bgp-parse';

/** Where a packet came from. */
export interface Origin {
  readonly source: Uint8Array;
  readonly sourceLength: number;
  readonly interfaceIndex: number;
}

/** Where it came to: one of our addresses and its port. */
export interface Endpoint {
  readonly id: number;
  readonly multihop: boolean;
}

/** What a session is found by. */
export interface Addressed {
  readonly localDiscriminator: number;
  readonly address: Uint8Array;
  readonly multihop: boolean;
  /** 0 = any. */
  readonly interfaceIndex: number;
  /** The id of the `Endpoint` that its packets come to; 0 = any. */
  readonly endpoint: number;
}

export class Demultiplexer<T extends Addressed> {
  readonly #byDiscriminator = new Map<number, T>();
  /** By a hash of the address; the few that meet are told apart by comparing. */
  readonly #byAddress = new Map<number, T[]>();

  add(session: T): void {
    this.#byDiscriminator.set(session.localDiscriminator, session);
    const key = hash(session.address, session.address.length);
    const there = this.#byAddress.get(key);
    if (there) there.push(session);
    else this.#byAddress.set(key, [session]);
  }

  remove(session: T): void {
    this.#byDiscriminator.delete(session.localDiscriminator);
    const key = hash(session.address, session.address.length);
    const rest = this.#byAddress.get(key)?.filter((other) => other !== session) ?? [];
    if (rest.length > 0) this.#byAddress.set(key, rest);
    else this.#byAddress.delete(key);
  }

  hasDiscriminator(discriminator: number): boolean {
    return this.#byDiscriminator.has(discriminator);
  }

  find(packet: BfdControl, origin: Origin, endpoint: Endpoint): T | undefined {
    if (packet.yourDiscriminator !== 0) {
      const session = this.#byDiscriminator.get(packet.yourDiscriminator);
      return session && matches(session, origin, endpoint) ? session : undefined;
    }
    return this.findSource(origin, endpoint);
  }

  /** The session with the peer that a packet came from, whatever is in it. */
  findSource(origin: Origin, endpoint: Endpoint): T | undefined {
    const there = this.#byAddress.get(hash(origin.source, origin.sourceLength));
    if (!there) return undefined;
    for (const session of there) if (matches(session, origin, endpoint)) return session;
    return undefined;
  }
}

function matches(session: Addressed, origin: Origin, endpoint: Endpoint): boolean {
  if (session.endpoint !== 0 && session.endpoint !== endpoint.id) return false;
  if (session.multihop !== endpoint.multihop || session.address.length !== origin.sourceLength) return false;
  if (session.interfaceIndex !== 0 && session.interfaceIndex !== origin.interfaceIndex) return false;
  for (let i = 0; i < origin.sourceLength; i++) if (session.address[i] !== origin.source[i]) return false;
  return true;
}

/** FNV-1a. */
function hash(bytes: Uint8Array, length: number): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < length; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return value | 0;
}
