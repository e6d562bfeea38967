/**
 * One tunnel device of ours: made, adopted from a previous run, and put right whenever somebody changes it or its
 * entries. An interface of the same name that is not ours is never touched.
 *
 * VXLAN needs two entries for each remote tunnel end, and both follow from the BGP next hop: a permanent neighbour (next
 * hop → link-layer address) and a forwarding entry (link-layer address → next hop). IPIP needs none.
 */
import { formatAddress } from 'bgp-parse';
import * as nl from 'netlink';
import type { TunnelKernel } from './tunnel-kernel.js';
import { tunnelMac, type TunnelFamily } from './vtep.js';

/** Shown by `ip link`; by it we know our own device again after a restart. */
const ALIAS = 'tortied: tunnel to hosts in other subnets';

export class TunnelDevice {
  readonly family: TunnelFamily;
  readonly name: string;
  /** Interface index; 0 = there is no usable device, and `fault` says why. */
  index = 0;
  fault: string | undefined = 'there is no tunnel yet';
  readonly #kernel: TunnelKernel;
  #link: nl.TunnelLinkMessage | undefined;
  #spec: nl.NewTunnel | undefined;
  /** Next hops that are to be reached, by text; true = the entries have been there. */
  readonly #wanted = new Map<string, { readonly address: Uint8Array; set: boolean }>();
  /** The same by link-layer address: a forwarding entry that was changed names another next hop. */
  readonly #wantedBy = new Map<string, string>();
  /** As the kernel told: link-layer address by next hop, next hop by link-layer address. */
  readonly #neighbours = new Map<string, string>();
  readonly #forwarding = new Map<string, string>();

  constructor(family: TunnelFamily, name: string, kernel: TunnelKernel) {
    this.family = family;
    this.name = name;
    this.#kernel = kernel;
  }

  /** Source of the outer packets of the device that exists, when it is ours. */
  get local(): Uint8Array | undefined {
    return this.#link && isOurs(this.#link) ? this.#link.tunnel?.local : undefined;
  }

  get linkIndex(): number {
    return this.#link?.index ?? 0;
  }

  /** Takes what the kernel tells of any link; whether it concerns this device. */
  linkChanged(link: nl.TunnelLinkMessage, deleted: boolean): boolean {
    if (this.#link?.index === link.index && (deleted || link.name !== this.name)) {
      this.#forget();
      return true;
    }
    if (deleted || link.name !== this.name) return false;
    if (this.#link?.index !== link.index) this.#forget();
    this.#link = link;
    return true;
  }

  /** Everything is about to be told again. */
  #forget(): void {
    this.#link = undefined;
    this.index = 0;
    this.forgetEntries();
  }

  forgetLink(): void {
    this.#link = undefined;
  }

  forgetEntries(): void {
    this.#neighbours.clear();
    this.#forwarding.clear();
  }

  /** Takes an entry of this device as the kernel told it; whether it says what we want it to. */
  entryChanged(entry: nl.NeighbourMessage, deleted: boolean): boolean {
    if (!entry.destination) return true;
    // A neighbour entry that is deleted is told as one without link-layer address.
    const mac = entry.linkAddress ? text(entry.linkAddress) : '';
    const address = text(entry.destination);
    const permanent = (entry.state & nl.NUD_PERMANENT) !== 0;
    if (entry.family === nl.AF_BRIDGE) {
      if (!deleted) this.#forwarding.set(mac, permanent ? address : '');
      else if (this.#forwarding.get(mac) === address) this.#forwarding.delete(mac);
    } else if (deleted) this.#neighbours.delete(address);
    else this.#neighbours.set(address, permanent ? mac : '');
    const wanted = this.#wanted.get(entry.family === nl.AF_BRIDGE ? (this.#wantedBy.get(mac) ?? '') : address);
    return !wanted || this.#isSet(wanted.address);
  }

  /** Makes the kernel have the device as `spec` says; how many things had to be repaired. Throws `NetlinkError`. */
  settle(spec: nl.NewTunnel): number {
    const before = this.#spec;
    const wasRight = before !== undefined && sameParameters(before, spec) && before.mtu === spec.mtu;
    this.#spec = spec;
    let repairs = 0;
    if (this.#link && !isOurs(this.#link)) {
      this.unusable(foreign(this.name));
      return 0;
    }
    if (this.#link && !(this.#link.tunnel && sameParameters(this.#link.tunnel, spec) && !this.#link.learning)) {
      this.#kernel.remove(this.name, this.#link.index);
      this.#forget();
    }
    if (!this.#link) {
      this.#make(spec);
      if (wasRight) repairs++;
    } else if (this.#correct(this.#link, spec) && wasRight) repairs++;
    this.fault = undefined;
    this.index = this.linkIndex;
    for (const wanted of this.#wanted.values()) {
      if (this.#set(wanted.address) && wanted.set) repairs++;
      wanted.set = true;
    }
    return repairs;
  }

  unusable(why: string): void {
    this.index = 0;
    this.fault = why;
  }

  /** An interface of somebody else has the name. */
  get isForeign(): boolean {
    return this.#link !== undefined && !isOurs(this.#link);
  }

  #make(spec: nl.NewTunnel): void {
    this.#kernel.create(spec, ALIAS);
    const index = nl.interfaceIndex(spec.name) ?? 0;
    // Our own changes are not told to us.
    this.#link = {
      family: nl.AF_UNSPEC,
      index,
      name: spec.name,
      flags: nl.IFF_UP,
      mtu: spec.mtu,
      master: 0,
      kind: spec.kind,
      address: spec.address ?? spec.local,
      alias: ALIAS,
      tunnel: spec,
      learning: false,
    };
  }

  /** What can be changed while the device exists; whether anything had to be. */
  #correct(link: nl.TunnelLinkMessage, spec: nl.NewTunnel): boolean {
    const address = spec.address && text(spec.address) !== text(link.address) ? spec.address : undefined;
    const mtu = link.mtu === spec.mtu ? undefined : spec.mtu;
    const alias = link.alias === ALIAS ? undefined : ALIAS;
    const up = link.flags & nl.IFF_UP ? undefined : true;
    if (!address && mtu === undefined && alias === undefined && !up) return false;
    this.#kernel.change(this.name, {
      ...(address && { address }),
      ...(mtu !== undefined && { mtu }),
      ...(alias !== undefined && { alias }),
      ...(up && { up }),
    });
    this.#link = {
      ...link,
      address: spec.address ?? link.address,
      mtu: spec.mtu,
      alias: ALIAS,
      flags: link.flags | nl.IFF_UP,
    };
    return true;
  }

  /** The next hop must be reachable through the device from now on. Throws `NetlinkError`. */
  want(address: Uint8Array): void {
    const key = text(address);
    if (this.#wanted.has(key)) return;
    this.#wanted.set(key, { address, set: this.index !== 0 });
    this.#wantedBy.set(text(tunnelMac(address)), key);
    if (this.index !== 0) this.#set(address);
  }

  /** Removes the entries of next hops that are not in `used`, also those a previous run left. */
  keepOnly(used: ReadonlySet<string>): void {
    for (const [key, { address }] of this.#wanted) {
      if (used.has(formatAddress(address))) continue;
      this.#wanted.delete(key);
      this.#wantedBy.delete(text(tunnelMac(address)));
    }
    const seen = new Set([...this.#neighbours.keys(), ...this.#forwarding.values()]);
    for (const key of seen) {
      if (this.#wanted.has(key)) continue;
      const address = octets(key);
      const mac = tunnelMac(address);
      // Only what we might have set ourselves.
      if (this.#neighbours.get(key) === text(mac)) this.#removeEntry(this.#neighbour(address, mac));
      if (this.#forwarding.get(text(mac)) === key) this.#removeEntry(this.#forward(address, mac));
    }
  }

  /** Removes the device when it is ours. */
  remove(): void {
    if (this.#link && isOurs(this.#link)) this.#kernel.remove(this.name, this.#link.index);
    this.#forget();
    this.#spec = undefined;
    this.#wanted.clear();
    this.#wantedBy.clear();
    this.fault = 'there is no tunnel yet';
  }

  #isSet(address: Uint8Array): boolean {
    if (this.#spec?.kind !== 'vxlan') return true;
    const key = text(address);
    const mac = text(tunnelMac(address));
    return this.#neighbours.get(key) === mac && this.#forwarding.get(mac) === key;
  }

  /** Whether anything had to be written. */
  #set(address: Uint8Array): boolean {
    if (this.#isSet(address)) return false;
    const mac = tunnelMac(address);
    this.#kernel.setEntry(this.#forward(address, mac));
    this.#forwarding.set(text(mac), text(address));
    this.#kernel.setEntry(this.#neighbour(address, mac));
    this.#neighbours.set(text(address), text(mac));
    return true;
  }

  #removeEntry(entry: nl.NeighbourMessage): void {
    this.#kernel.removeEntry(entry);
    this.entryChanged(entry, true);
  }

  #neighbour(address: Uint8Array, mac: Uint8Array): nl.NeighbourMessage {
    return {
      family: address.length === 4 ? nl.AF_INET : nl.AF_INET6,
      interfaceIndex: this.linkIndex,
      state: nl.NUD_PERMANENT,
      flags: 0,
      destination: address,
      linkAddress: mac,
    };
  }

  #forward(address: Uint8Array, mac: Uint8Array): nl.NeighbourMessage {
    return {
      family: nl.AF_BRIDGE,
      interfaceIndex: this.linkIndex,
      state: nl.NUD_PERMANENT | nl.NUD_NOARP,
      flags: nl.NTF_SELF,
      destination: address,
      linkAddress: mac,
    };
  }
}

/**
 * Ours has our alias. The link-layer address of a VXLAN device says it too, should we have been killed between making
 * the device and naming it.
 */
function isOurs(link: nl.TunnelLinkMessage): boolean {
  if (!link.tunnel) return false;
  if (link.alias === ALIAS) return true;
  return link.kind === 'vxlan' && link.alias === '' && text(link.address) === text(tunnelMac(link.tunnel.local));
}

/** What to say of an interface that has our tunnel's name. */
export function foreign(name: string): string {
  return `interface ${name} exists and is not Tortie's: remove it (ip link del ${name}), or give the tunnel another name with encapsulation.interface`;
}

function sameParameters(a: nl.TunnelParameters, b: nl.TunnelParameters): boolean {
  if (a.kind !== b.kind || text(a.local) !== text(b.local)) return false;
  return a.kind !== 'vxlan' || (a.vni === b.vni && a.port === b.port);
}

function text(bytes: Uint8Array): string {
  let out = '';
  for (const octet of bytes) out += octet.toString(16).padStart(2, '0');
  return out;
}

function octets(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}
