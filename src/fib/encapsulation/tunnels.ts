/** The FIB worker's end of encapsulation: holds it while it is configured, and joins it to the routes' side. */
import type { EncapsulationSettings } from '../../config/settings.js';
import type { Syncer } from '../syncer.js';
import { Encapsulation, type TunnelEvents } from './encapsulation.js';
import { NetlinkTunnelKernel } from './tunnel-kernel.js';

export class Tunnels {
  readonly #syncer: Syncer;
  readonly #events: TunnelEvents;
  readonly #nowMs: () => number;
  #encapsulation: Encapsulation | undefined;
  #repairedBefore = 0;
  /** The last address of each family that the sessions showed, by its length. */
  readonly #told = new Map<number, Uint8Array>();

  constructor(syncer: Syncer, log: TunnelEvents['log'], nowMs: () => number) {
    this.#syncer = syncer;
    this.#nowMs = nowMs;
    this.#events = { log, changed: () => (syncer.mirror.resolveDue = true) };
  }

  /** Begins or ends encapsulation, or goes on with other settings. Throws when the kernel or the settings forbid it. */
  configure(settings: EncapsulationSettings | undefined): void {
    const before = this.#encapsulation;
    this.#encapsulation = undefined;
    this.#syncer.resolver.tunnel = undefined;
    this.#syncer.mirror.resolveDue = true;
    if (before) this.#repairedBefore += before.repaired;
    // A device that the new settings use too stays: it is adopted.
    before?.stop((name) => settings?.interface !== name && `${settings?.interface}6` !== name);
    if (!settings) return;
    const kernel = new NetlinkTunnelKernel();
    const encapsulation = new Encapsulation(settings, kernel, this.#events, this.#nowMs);
    try {
      encapsulation.start();
    } catch (error) {
      kernel.close();
      throw error;
    }
    this.#encapsulation = encapsulation;
    this.#syncer.resolver.tunnel = (nextHop, connected, link) => encapsulation.route(nextHop, connected, link);
    for (const address of this.#told.values()) encapsulation.tellOwn(address);
  }

  tellOwn(address: Uint8Array): void {
    this.#told.set(address.length, address);
    this.#encapsulation?.tellOwn(address);
  }

  forgotten(): void {
    this.#encapsulation?.forgotten();
  }

  step(): void {
    this.#encapsulation?.step(() => (this.#syncer.pending === 0 ? this.#syncer.resolver.all() : undefined));
  }

  get repaired(): number {
    return this.#repairedBefore + (this.#encapsulation?.repaired ?? 0);
  }

  /** Descriptors to wait for. */
  get fds(): readonly number[] {
    return this.#encapsulation ? [this.#encapsulation.monitorFd] : [];
  }

  stop(keepDevices: boolean): void {
    this.#encapsulation?.stop(() => !keepDevices);
    this.#encapsulation = undefined;
  }
}
