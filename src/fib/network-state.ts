/** Links and addresses of this namespace, kept from the kernel's messages. */
import { formatAddress } from 'bgp-parse';
import type { AddressMessage, LinkMessage } from './kernel.js';
import type { KernelAddress, KernelLink, KernelState } from './port.js';

const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const RT_SCOPE_HOST = 254;

interface Link extends KernelLink {
  readonly administrativelyUp: boolean;
}

export class NetworkState {
  readonly #links = new Map<number, Link>();
  readonly #byName = new Map<string, Link>();
  readonly #addresses = new Map<string, KernelAddress>();
  /** How many interfaces have the address. */
  readonly #own = new Map<string, number>();

  clear(): void {
    this.#links.clear();
    this.#byName.clear();
    this.#addresses.clear();
    this.#own.clear();
  }

  /** 'down': the kernel drops routes through it, for IPv4 without a word. */
  setLink(message: LinkMessage, deleted: boolean): 'same' | 'changed' | 'down' {
    const before = this.#links.get(message.index);
    if (before && this.#byName.get(before.name) === before) this.#byName.delete(before.name);
    if (deleted) {
      this.#links.delete(message.index);
      for (const [key, address] of this.#addresses) if (address.ifindex === message.index) this.#drop(key);
      return before ? 'down' : 'same';
    }
    const administrativelyUp = (message.flags & IFF_UP) !== 0;
    const up = administrativelyUp && (message.flags & IFF_RUNNING) !== 0;
    const link = { index: message.index, name: message.name, up, administrativelyUp };
    this.#links.set(link.index, link);
    this.#byName.set(link.name, link);
    if (before?.administrativelyUp && !administrativelyUp) return 'down';
    return before?.up === up && before.name === link.name ? 'same' : 'changed';
  }

  /** Whether anything changed. */
  setAddress(message: AddressMessage, deleted: boolean): boolean {
    const text = formatAddress(message.address);
    const key = `${message.interfaceIndex} ${text}/${message.prefixLength}`;
    const before = this.#addresses.get(key);
    if (deleted) {
      if (before) this.#drop(key);
      return before !== undefined;
    }
    const tentative = (message.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) !== 0;
    if (before?.tentative === tentative) return false;
    this.#addresses.set(key, {
      ifindex: message.interfaceIndex,
      bytes: message.address,
      prefixLength: message.prefixLength,
      local: message.scope === RT_SCOPE_HOST || isLinkLocal(message.address),
      tentative,
    });
    if (!before) this.#own.set(text, (this.#own.get(text) ?? 0) + 1);
    return true;
  }

  linkByIndex(index: number): KernelLink | undefined {
    return this.#links.get(index);
  }

  linkByName(name: string): KernelLink | undefined {
    return this.#byName.get(name);
  }

  isOwn(address: Uint8Array): boolean {
    return this.#own.has(formatAddress(address));
  }

  snapshot(): KernelState {
    const links = [...this.#links.values()].map(({ index, name, up }) => ({ index, name, up }));
    return { links, addresses: [...this.#addresses.values()] };
  }

  #drop(key: string): void {
    const address = this.#addresses.get(key)!;
    this.#addresses.delete(key);
    const text = formatAddress(address.bytes);
    const left = this.#own.get(text)! - 1;
    if (left) this.#own.set(text, left);
    else this.#own.delete(text);
  }
}

/** fe80::/10 */
export function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;
}
