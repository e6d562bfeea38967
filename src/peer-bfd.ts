/**
 * A peer's BFD session: between which addresses it runs, when, and what its changes mean for the peer (RFC 5882 §4).
 *
 * It lives as long as the peer is wanted, before, during and after BGP sessions, so that a peer that insists on BFD
 * before BGP is satisfied and an outage is seen to end. BGP does not wait for it: only leaving Up means something, and
 * not when the peer says that its BFD was switched off (RFC 5882 §3.2).
 */
import { BfdDiagnostic, BfdState, equalBytes, formatBfdDiagnostic, formatBfdState, parseAddress } from 'bgp-parse';
import type { BfdChange, BfdHandle, BfdPort, BfdTarget } from './bfd/port.js';
import type { BfdSettings, PeerOptions } from './config/settings.js';
import type { PeerBfdDto } from './control/dto.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { isLinkLocal, isOnSubnet } from './support/node-addresses.js';
import type { NodeAddress } from './support/node-addresses.js';

export interface PeerBfdHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly name: string;
  readonly address: Uint8Array;
  readonly bfd: BfdPort;
  nodeAddresses(): readonly NodeAddress[];
  external(): boolean;
  /** The way to the peer has failed. `independent`: the peer's BFD outlives its control plane (C bit). */
  failed(why: string, independent: boolean): void;
  /** The way to the peer works (again). */
  recovered(): void;
}

export class PeerBfd {
  readonly #host: PeerBfdHost;
  #options: PeerOptions;
  #running = false;
  #handle: BfdHandle | undefined;
  #target: BfdTarget | undefined;
  /** Of the last time it left Up. */
  #lastDown: string | undefined;
  #upSinceMs: number | undefined;

  constructor(options: PeerOptions, host: PeerBfdHost) {
    this.#options = options;
    this.#host = host;
  }

  /** The peer is wanted. */
  start(): void {
    this.#running = true;
    // Said at every reload, too: what is there already knows our address from the BGP session.
    if (!this.#handle) this.#openOrMove(undefined);
  }

  /** The peer is not wanted any more: the other side hears AdminDown. */
  stop(): void {
    this.#running = false;
    this.#close();
  }

  /** A BGP session is up, so both addresses are known. */
  established(localAddress: Uint8Array): void {
    this.#running = true;
    this.#openOrMove(localAddress);
  }

  reconfigure(options: PeerOptions): void {
    const before = this.#options.bfd;
    this.#options = options;
    if (!this.#running) return;
    if (!options.bfd) this.#close();
    else if (!this.#handle) this.#openOrMove(undefined);
    else if (before && !sameTimers(before, options.bfd)) this.#handle.change(options.bfd);
    if (options.bfd && before && before.multihop !== options.bfd.multihop) this.#openOrMove(this.#target?.localAddress);
  }

  /** For `show peer`; null = not configured. */
  get view(): PeerBfdDto | null {
    const { bfd } = this.#options;
    if (!bfd) return null;
    const view = this.#handle?.view;
    const now = this.#host.clock.nowMs();
    return {
      state: formatBfdState(view?.state ?? BfdState.adminDown),
      remoteState: view?.remoteState === undefined ? null : formatBfdState(view.remoteState),
      diagnostic: formatBfdDiagnostic(view?.diagnostic ?? BfdDiagnostic.none),
      remoteDiagnostic: view?.remoteState === undefined ? null : formatBfdDiagnostic(view.remoteDiagnostic),
      multihop: this.#target?.multihop ?? false,
      upSeconds: this.#upSinceMs === undefined ? null : Math.floor((now - this.#upSinceMs) / 1000),
      intervalMs: view?.transmitIntervalMs ?? null,
      detectionMs: view?.detectionMs || null,
      minTxMs: bfd.minTxMs,
      minRxMs: bfd.minRxMs,
      multiplier: bfd.multiplier,
      remoteMinTxMs: view?.remoteMultiplier ? view.remoteMinTxMs : null,
      remoteMinRxMs: view?.remoteMultiplier ? view.remoteMinRxMs : null,
      remoteMultiplier: view?.remoteMultiplier || null,
      localDiscriminator: view?.localDiscriminator || null,
      remoteDiscriminator: view?.remoteDiscriminator || null,
      flaps: view?.flaps ?? 0,
      lastDown: this.#lastDown ?? null,
      packetsIn: view?.packetsIn ?? 0,
      packetsOut: view?.packetsOut ?? 0,
      packetsDiscarded: view?.discarded ?? 0,
      error: view?.error ?? null,
    };
  }

  #openOrMove(localAddress: Uint8Array | undefined): void {
    const { bfd } = this.#options;
    if (!bfd) return;
    const target = this.#wantedTarget(localAddress);
    if (!this.#handle) {
      this.#target = target;
      this.#handle = this.#host.bfd.open(target, bfd, (change) => this.#changed(change));
    } else if (!sameTarget(this.#target!, target)) {
      // What works stays, unless it is to be of another kind.
      const works = this.#handle.view.state === BfdState.up && this.#target!.multihop === target.multihop;
      if (works) return;
      this.#target = target;
      this.#handle.retarget(target);
    }
  }

  #close(): void {
    const handle = this.#handle;
    if (!handle) return;
    this.#handle = undefined;
    this.#target = undefined;
    this.#upSinceMs = undefined;
    handle.close();
  }

  #changed(change: BfdChange): void {
    if (!this.#handle) return;
    const { log, name } = this.#host;
    const fields = {
      peer: name,
      state: formatBfdState(change.state),
      remoteState: formatBfdState(change.remoteState),
      diagnostic: formatBfdDiagnostic(change.diagnostic),
    };
    if (change.state === BfdState.up && change.before !== BfdState.up) {
      this.#upSinceMs = this.#host.clock.nowMs();
      log.info(fields, `peer ${name}: BFD Up`);
      this.#host.recovered();
      return;
    }
    if (change.before !== BfdState.up || change.state === BfdState.up) {
      log.debug(fields, `peer ${name}: BFD ${fields.state}, the peer's is ${fields.remoteState}`);
      return;
    }
    this.#upSinceMs = undefined;
    this.#lastDown = downText(change);
    if (change.remoteState === BfdState.adminDown) {
      log.info(fields, `peer ${name}: BFD ${this.#lastDown}; BGP goes on without it`);
      return;
    }
    log.warn(fields, `peer ${name}: BFD Down: ${this.#lastDown}`);
    this.#host.failed(this.#lastDown, change.remoteIndependent);
  }

  #wantedTarget(localAddress: Uint8Array | undefined): BfdTarget {
    const { address } = this.#host;
    const options = this.#options;
    const multihop = options.bfd?.multihop ?? this.#isSeveralHopsAway();
    const configured = options.localAddress === undefined ? undefined : parseAddress(options.localAddress);
    const hops = options.ttlSecurityHops;
    return {
      address,
      localAddress: configured ?? localAddress,
      interface: options.interface,
      multihop,
      // RFC 5883 §4.2: how far a packet may have come is a matter of configuration.
      minTtl: multihop ? (hops === undefined ? 0 : 256 - hops) : 255,
    };
  }

  /** RFC 5882 §10.1: whoever is on our own subnet is watched on that link. */
  #isSeveralHopsAway(): boolean {
    const { address } = this.#host;
    const { ttlSecurityHops, multihop } = this.#options;
    if (isLinkLocal(address)) return false;
    if (ttlSecurityHops !== undefined) return ttlSecurityHops > 1;
    if (multihop !== undefined) return true;
    if (this.#host.external()) return false;
    return !this.#host.nodeAddresses().some((own) => isOnSubnet(own, address));
  }
}

function downText(change: BfdChange): string {
  if (change.diagnostic !== BfdDiagnostic.neighborSignaledSessionDown) return formatBfdDiagnostic(change.diagnostic);
  if (change.remoteState === BfdState.adminDown) return 'administratively down at the peer';
  return `the peer signaled Down (${formatBfdDiagnostic(change.remoteDiagnostic)})`;
}

function sameTimers(a: BfdSettings, b: BfdSettings): boolean {
  return a.minTxMs === b.minTxMs && a.minRxMs === b.minRxMs && a.multiplier === b.multiplier;
}

function sameTarget(a: BfdTarget, b: BfdTarget): boolean {
  if (a.multihop !== b.multihop || a.interface !== b.interface || a.minTtl !== b.minTtl) return false;
  if (a.localAddress === undefined || b.localAddress === undefined) return a.localAddress === b.localAddress;
  return equalBytes(a.localAddress, b.localAddress);
}
