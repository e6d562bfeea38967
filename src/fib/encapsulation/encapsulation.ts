/**
 * Routes to hosts in other subnets go through a tunnel: which next hops do, and the devices that carry them, one for
 * each family of the outer packets. The routes' side asks `route` for a next hop and gets an interface; it installs
 * `via NEXTHOP dev TUNNEL onlink` and knows nothing else of tunnels.
 *
 * Level-triggered like the routes: what the kernel says of the devices and their entries is compared with what they
 * should be, and put right. Our own tunnel end must have the address that others see as our next hop, because they
 * derive its link-layer address from it: it is configured, or told by the sessions (`tellOwn`), or, until one of them
 * is up, that of the device a previous run left.
 */
import { equalBytes, formatAddress, parseAddress, parsePrefix, prefixContains, type Prefix } from 'bgp-parse';
import * as nl from 'netlink';
import type { EncapsulationSettings } from '../../config/settings.js';
import type { KernelLink } from '../port.js';
import { TunnelDevice, foreign } from './tunnel-device.js';
import type { TunnelKernel, TunnelListener } from './tunnel-kernel.js';
import { deviceName, tunnelKind, tunnelMac, tunnelMtu, type TunnelFamily } from './vtep.js';

const RETRY_MS = 1000;
const DEFAULT_MTU = 1500;
const NO_ADDRESS = 'no tunnel yet: no session has shown our own address, and encapsulation.localAddress has none';

export interface TunnelEvents {
  log(level: 'info' | 'warn', fields: object, message: string): void;
  /** Next hops may lead elsewhere: ask `route` again. */
  changed(): void;
}

export class Encapsulation implements TunnelListener {
  /** Devices and entries put right after somebody else removed or changed them. */
  repaired = 0;
  readonly #settings: EncapsulationSettings;
  readonly #kernel: TunnelKernel;
  readonly #events: TunnelEvents;
  readonly #nowMs: () => number;
  readonly #devices: readonly TunnelDevice[];
  readonly #mtus = new Map<number, number>();
  /** Interface of each address of this node. */
  readonly #own = new Map<string, number>();
  /** By the sessions. */
  readonly #told = new Map<TunnelFamily, Uint8Array>();
  readonly #configured: readonly Uint8Array[];
  readonly #hosts: readonly Prefix[];
  #settleDue = true;
  #settleAtMs = 0;
  #sweepDue = false;
  #warned = '';

  constructor(settings: EncapsulationSettings, kernel: TunnelKernel, events: TunnelEvents, nowMs: () => number) {
    this.#settings = settings;
    this.#kernel = kernel;
    this.#events = events;
    this.#nowMs = nowMs;
    this.#devices = ([4, 6] as const).map((family) => new TunnelDevice(family, deviceName(settings, family), kernel));
    this.#configured = settings.localAddresses.map((address) => parseAddress(address)!);
    this.#hosts = settings.hosts.map((prefix) => parsePrefix(prefix)!);
  }

  /** Reads the kernel and adopts what a previous run left. Throws with what is wrong and what to do. */
  start(): void {
    const kind = tunnelKind(this.#settings.mode, 4);
    if (!this.#kernel.supports(kind)) {
      const other = this.#settings.mode === 'vxlan' ? 'ipip' : 'vxlan';
      throw new Error(
        `encapsulation: this kernel has no ${kind} devices: load the module (modprobe ${kind}), or set encapsulation.mode: ${other}`,
      );
    }
    this.#read();
    for (const device of this.#devices) {
      if (device.linkIndex && !device.local) throw new Error(`encapsulation: ${foreign(device.name)}`);
    }
    this.#settle();
  }

  /** Interface for routes to the next hop; undefined = none of ours, the plain way; a text = why there is none. */
  route(nextHop: Uint8Array, connected: boolean, { index, name }: KernelLink): number | string | undefined {
    if (this.#devices.some((device) => device.index === index)) {
      return `the route to it leads into the tunnel itself, dev ${name}`;
    }
    if (connected && this.#settings.when === 'crossSubnet') return undefined;
    if (!this.#hosts.some((prefix) => prefixContains(prefix, nextHop))) return undefined;
    const device = this.#device(nextHop.length === 4 ? 4 : 6);
    if (device.fault !== undefined) return device.fault;
    try {
      device.want(nextHop);
    } catch (error) {
      this.#failed(device, error);
      return device.fault;
    }
    return device.index;
  }

  /** An address of ours that a peer knows as our next hop. */
  tellOwn(address: Uint8Array): void {
    const family = address.length === 4 ? 4 : 6;
    if (this.#configuredFor(family)) return;
    const told = this.#told.get(family);
    if (told && equalBytes(told, address)) return;
    if (told && this.#own.has(formatAddress(told))) {
      const text = `peers know us by the next hops ${formatAddress(told)} and ${formatAddress(address)}, and the tunnel ends at the first alone: set localAddress of the peers, or encapsulation.localAddress`;
      if (this.#warned !== text) this.#events.log('warn', {}, (this.#warned = text));
      return;
    }
    this.#told.set(family, address);
    this.#settle();
  }

  /** A next hop is not needed any more: entries may go, once no route needs them. */
  forgotten(): void {
    this.#sweepDue = true;
  }

  /** Hears the kernel and puts right what is wrong. `used` = next hops known now; undefined = routes are under way. */
  step(used: () => Iterable<{ readonly address: Uint8Array }> | undefined): void {
    const heard = this.#kernel.receive(this);
    if (heard === 'overrun') this.#read();
    if (this.#settleDue && this.#nowMs() >= this.#settleAtMs) this.#settle();
    if (!this.#sweepDue) return;
    const nextHops = used();
    if (!nextHops) return;
    this.#sweepDue = false;
    const texts = new Set<string>();
    for (const { address } of nextHops) texts.add(formatAddress(address.subarray(0, 16)));
    for (const device of this.#devices) this.#guarded(device, () => device.keepOnly(texts));
  }

  get monitorFd(): number {
    return this.#kernel.monitorFd;
  }

  /** Ends; devices for which `remove` says so go, too. */
  stop(remove: (name: string) => boolean): void {
    for (const device of this.#devices) if (remove(device.name)) this.#guarded(device, () => device.remove());
    this.#kernel.close();
  }

  // What the kernel tells.

  follows(interfaceIndex: number): boolean {
    return this.#devices.some((device) => device.linkIndex === interfaceIndex);
  }

  link(link: nl.TunnelLinkMessage, deleted: boolean): void {
    if (deleted) this.#mtus.delete(link.index);
    else if (this.#mtus.get(link.index) !== link.mtu) {
      this.#mtus.set(link.index, link.mtu);
      this.#settleDue = true;
    }
    for (const device of this.#devices) if (device.linkChanged(link, deleted)) this.#settleDue = true;
  }

  address(message: nl.AddressMessage, deleted: boolean): void {
    const text = formatAddress(message.address);
    if (!deleted) this.#own.set(text, message.interfaceIndex);
    else if (this.#own.get(text) === message.interfaceIndex) this.#own.delete(text);
    this.#settleDue = true;
  }

  entry(entry: nl.NeighbourMessage, deleted: boolean): void {
    const device = this.#devices.find((candidate) => candidate.linkIndex === entry.interfaceIndex);
    if (device && !device.entryChanged(entry, deleted)) this.#settleDue = true;
  }

  // Making it so.

  #read(): void {
    this.#mtus.clear();
    this.#own.clear();
    for (const device of this.#devices) device.forgetLink();
    this.#kernel.readNetwork(this);
    for (const device of this.#devices) device.forgetEntries();
    this.#kernel.readEntries(this);
    this.#settleDue = true;
  }

  #settle(): void {
    this.#settleDue = false;
    let repairs = 0;
    let changed = false;
    for (const device of this.#devices) {
      const before = `${device.index} ${device.fault ?? ''}`;
      this.#guarded(device, () => {
        const local = this.#localFor(device);
        if (!local) {
          device.unusable(NO_ADDRESS);
          return;
        }
        repairs += device.settle(this.#spec(device, local));
      });
      if (`${device.index} ${device.fault ?? ''}` === before) continue;
      changed = true;
      const fields = { interface: device.name };
      if (device.fault === undefined) {
        const local = formatAddress(device.local!);
        this.#events.log('info', { ...fields, local }, `${device.name}: tunnel from ${local}`);
      } else if (device.isForeign) this.#events.log('warn', fields, device.fault);
    }
    if (repairs) {
      this.repaired += repairs;
      const fields = { repaired: repairs, total: this.repaired };
      this.#events.log('warn', fields, 'put right the tunnel, which somebody had changed');
    }
    if (changed) this.#events.changed();
  }

  #spec(device: TunnelDevice, local: Uint8Array): nl.NewTunnel {
    const settings = this.#settings;
    const kind = tunnelKind(settings.mode, device.family);
    const underlay = this.#mtus.get(this.#own.get(formatAddress(local)) ?? 0) ?? DEFAULT_MTU;
    return {
      name: device.name,
      kind,
      local,
      mtu: tunnelMtu(settings, device.family, underlay),
      ...(kind === 'vxlan' && { vni: settings.vni, port: settings.port, address: tunnelMac(local) }),
    };
  }

  #localFor(device: TunnelDevice): Uint8Array | undefined {
    const configured = this.#configuredFor(device.family);
    if (configured) return configured;
    const told = this.#told.get(device.family);
    if (told && this.#own.has(formatAddress(told))) return told;
    const adopted = device.local;
    return adopted && (told || this.#own.has(formatAddress(adopted))) ? adopted : undefined;
  }

  #configuredFor(family: TunnelFamily): Uint8Array | undefined {
    return this.#configured.find((address) => address.length === (family === 4 ? 4 : 16));
  }

  #device(family: TunnelFamily): TunnelDevice {
    return this.#devices[family === 4 ? 0 : 1]!;
  }

  #guarded(device: TunnelDevice, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failed(device, error);
    }
  }

  /** Said once; tried again every second. */
  #failed(device: TunnelDevice, error: unknown): void {
    if (!(error instanceof nl.NetlinkError)) throw error;
    const text = `${device.name}: ${error.message}`;
    if (device.fault !== text) this.#events.log('warn', { interface: device.name }, text);
    device.fault = text;
    this.#settleDue = true;
    this.#settleAtMs = this.#nowMs() + RETRY_MS;
  }
}
