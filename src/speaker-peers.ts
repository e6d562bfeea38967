/**
 * The peers of a speaker: configured ones, dynamic ones of listen ranges, and unnumbered ones that are still to be found.
 * Adds, changes and removes them as settings and connections say.
 */
import { CeaseSubcode, formatAddress, parseAddress, parsePrefix } from 'bgp-parse';
import { changeOfOptions } from './config/diff.js';
import type { SettingsDiff } from './config/diff.js';
import type { ListenRangeSettings, PeerOptions, PeerSettings } from './config/settings.js';
import type { UpdateGroup } from './export/update-group.js';
import { ListenRanges } from './listen-ranges.js';
import { Peer } from './peer.js';
import type { PeerHost } from './peer.js';
import { bareAddress, peerKey } from './session/address.js';
import type { SessionServer } from './session/session-server.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { UnnumberedPeers, unnumberedInterface } from './unnumbered.js';

export class SpeakerPeers {
  /** By session key (address, and interface of link-local ones). */
  readonly #peers = new Map<string, Peer>();
  /** Keys of peers that are disabled when they are made again. */
  readonly #disabled = new Set<string>();
  /** Keys of peers that are about to be made again. */
  readonly #changing = new Set<string>();
  readonly #ranges: ListenRanges;
  readonly #unnumbered: UnnumberedPeers;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #removed: () => void;
  #server!: SessionServer;
  #host: PeerHost | undefined;

  /** `removed`: a peer has gone for good. */
  constructor(clock: Clock, log: Log, removed: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#removed = removed;
    this.#ranges = new ListenRanges(clock, log);
    this.#unnumbered = this.#createUnnumbered();
  }

  /** The speaker starts: ranges are known to the listeners before these open. */
  open(server: SessionServer, ranges: readonly ListenRangeSettings[]): void {
    this.#server = server;
    this.setRanges([], ranges);
  }

  /** What peers are made with; connections from unknown addresses count from now on. */
  set host(host: PeerHost) {
    this.#host = host;
  }

  /** Every peer has been halted: another start finds nobody. */
  clear(): void {
    for (const [key, peer] of this.#peers) if (peer.disabled) this.#disabled.add(key);
    this.#peers.clear();
    this.#ranges.forgetAll();
  }

  async halt(subcode: number): Promise<void> {
    this.#unnumbered.stop();
    await Promise.all([...this.#peers.values()].map((peer) => peer.halt(subcode)));
  }

  /** Those that have an address. */
  values(): IterableIterator<Peer> {
    return this.#peers.values();
  }

  /** Said once for a group: how often it happens since is counted there. */
  warnTooLong({ members, parameters: { family, maxMessageLength } }: UpdateGroup): void {
    const peers = [...members].map(({ peerId }) => this.withRibId(peerId)?.name).filter(Boolean);
    this.#log.warn(
      { peers, family, maxMessageLength },
      `routes are not told to ${peers.length} peers, or taken back: their attributes do not fit into a message of ${maxMessageLength} octets`,
    );
  }

  /** What may be told to peers has changed: they are told what differs. */
  applyExport(): void {
    for (const peer of this.#peers.values()) peer.applyExport();
  }

  get warnings(): readonly string[] {
    return this.#ranges.warnings;
  }

  setRanges(before: readonly ListenRangeSettings[], after: readonly ListenRangeSettings[]): void {
    this.#setRangePasswords(before, after);
    this.#ranges.set(after);
  }

  /** Adds, changes and removes configured peers; one line each for people. */
  async apply(changes: SettingsDiff['peers']): Promise<string[]> {
    const report: string[] = [];
    for (const { address } of changes.removed) {
      const interfaceName = unnumberedInterface(address);
      if (interfaceName === undefined) await this.#removePeer(this.find(address)!, CeaseSubcode.peerDeconfigured);
      else await this.#unnumbered.remove(interfaceName, CeaseSubcode.peerDeconfigured);
      report.push(`peer ${address}: removed`);
    }
    for (const { after, keys, effect } of changes.changed) {
      const interfaceName = unnumberedInterface(after.address);
      const change =
        interfaceName === undefined
          ? this.#changePeer(this.find(after.address)!, after, keys, effect)
          : this.#unnumbered.change(interfaceName, after, keys, effect);
      report.push(...(await change));
    }
    for (const peer of changes.added) {
      // A peer that had come by a listen range is configured now.
      const dynamic = this.find(peer.address);
      if (dynamic) await this.#replace(dynamic, () => this.add(peer));
      else this.add(peer);
      report.push(`peer ${peer.address}: added`);
    }
    return report;
  }

  /** Dynamic peers of ranges that have changed or gone; one line each for people. */
  async applyRanges(changes: SettingsDiff['listenRanges']): Promise<string[]> {
    const report = [
      ...changes.added.map((range) => `listen range ${range.prefix}: added`),
      ...changes.removed.map((range) => `listen range ${range.prefix}: removed`),
      ...changes.changed.map((change) => `listen range ${change.after.prefix}: changed ${change.keys.join(', ')}`),
    ];
    if (report.length === 0) return report;
    for (const peer of [...this.#peers.values()].filter((candidate) => candidate.dynamic)) {
      // It may have gone while others were changed, and be back by the new settings.
      if (this.#peers.get(peer.session.key) !== peer) continue;
      const range = this.#ranges.find(peer.address);
      if (!range) {
        await this.#removePeer(peer, CeaseSubcode.peerDeconfigured);
        report.push(`peer ${peer.name}: removed, no listen range covers it any more`);
        continue;
      }
      // Of the same range or of another one that covers it now.
      const options = optionsOf(range, peer.options.interface);
      const change = changeOfOptions(peer.options, options);
      if (change) report.push(...(await this.#changePeer(peer, options, change.keys, change.effect)));
    }
    return report;
  }

  /**
   * Configured peers, dynamic ones, and places of those that are still to be found; live: who comes or goes while it is
   * pulled is in it, or is not.
   */
  *all(): Generator<Peer> {
    yield* this.#peers.values();
    yield* this.#unnumbered.waiting();
  }

  add(settings: PeerSettings): void {
    const interfaceName = unnumberedInterface(settings.address);
    if (interfaceName === undefined)
      this.#addPeer(parseAddress(bareAddress(settings.address))!, settings, false).start();
    else this.#unnumbered.add(interfaceName, settings);
  }

  /** A connection from an address that is not configured: a dynamic peer when a listen range covers it. */
  accept(address: Uint8Array, interfaceName: string | undefined): Peer['session'] | 'refused' | undefined {
    if (!this.#host) return undefined;
    if (this.#changing.has(peerKey(address, interfaceName))) return 'refused';
    const neighbour = this.#unnumbered.connecting(address, interfaceName);
    if (neighbour) return neighbour.session;
    const range = this.#ranges.find(address);
    if (!range) return undefined;
    if (range.peer.shutdown) return 'refused';
    // It is back while its stale paths were waited for.
    const known = this.#peers.get(peerKey(address, interfaceName));
    if (known?.dynamic) return known.isKeptAway ? 'refused' : known.session;
    if (!this.#ranges.admit(peerKey(address, interfaceName), address)) return 'refused';
    const peer = this.#addDynamic(address, optionsOf(range, interfaceName));
    return peer.isKeptAway ? 'refused' : peer.session;
  }

  #addDynamic(address: Uint8Array, options: PeerOptions): Peer {
    const peer = this.#addPeer(address, options, true);
    peer.ended = () => {
      // Its stale paths are waited for (RFC 4724), or it is kept away, or it is just coming back; else it is forgotten.
      if (peer.keepsStalePaths || peer.isKeptAway || !peer.session.stopped) return;
      if (this.#peers.get(peer.session.key) !== peer) return;
      void this.#removePeer(peer, CeaseSubcode.peerDeconfigured);
    };
    return peer;
  }

  withRibId(ribPeerId: number): Peer | undefined {
    for (const peer of this.#peers.values()) if (peer.ribPeer?.id === ribPeerId) return peer;
    return undefined;
  }

  find(address: string): Peer | undefined {
    const bytes = parseAddress(bareAddress(address));
    if (!bytes) return this.#unnumbered.on(unnumberedInterface(address) ?? '');
    const scope = address.includes('%') ? address.slice(address.indexOf('%') + 1) : undefined;
    const text = formatAddress(bytes);
    for (const peer of this.#peers.values()) {
      if (formatAddress(peer.address) === text && (scope === undefined || peer.options.interface === scope))
        return peer;
    }
    return undefined;
  }

  #addPeer(address: Uint8Array, options: PeerOptions, dynamic: boolean): Peer {
    const peer = new Peer(address, options, dynamic, this.#host!);
    peer.disabled = this.#disabled.delete(peer.session.key);
    this.#peers.set(peer.session.key, peer);
    return peer;
  }

  async #removePeer(peer: Peer, subcode: number): Promise<void> {
    this.#peers.delete(peer.session.key);
    this.#ranges.forget(peer.session.key);
    await peer.dispose(subcode);
    this.#removed();
  }

  /** Nobody else gets the place while the old one says its last words. */
  async #replace(peer: Peer, add: () => void): Promise<void> {
    const { key } = peer.session;
    this.#changing.add(key);
    try {
      await this.#removePeer(peer, CeaseSubcode.otherConfigurationChange);
    } finally {
      this.#changing.delete(key);
    }
    add();
  }

  async #changePeer(
    peer: Peer,
    options: PeerOptions,
    keys: readonly string[],
    effect: 'live' | 'session',
  ): Promise<string[]> {
    const what = `peer ${peer.name}: changed ${keys.join(', ')}`;
    if (effect === 'session') {
      const { address, dynamic, disabled } = peer;
      await this.#replace(peer, () => {
        const { key } = peer.session;
        if (disabled) this.#disabled.add(key);
        if (!dynamic) this.#addPeer(address, options, false).start();
        // Who is away stays away.
        else if (disabled && this.#ranges.admit(key, address)) this.#addDynamic(address, options);
      });
      return [`${what}; the session was closed${dynamic ? '' : ' and opened again'}`];
    }
    const wasShutdown = peer.options.shutdown;
    peer.reconfigure(options);
    if (options.shutdown && !wasShutdown) void peer.stop(CeaseSubcode.administrativeShutdown);
    // Dynamic peers come by themselves.
    else if (!peer.dynamic) peer.start();
    return [what];
  }

  #createUnnumbered(): UnnumberedPeers {
    return new UnnumberedPeers({
      clock: this.#clock,
      log: this.#log,
      create: (address, options, awaited) =>
        awaited ? new Peer(address, options, false, this.#host!, true) : this.#addPeer(address, options, false),
      remove: (peer, subcode) => this.#removePeer(peer, subcode),
      change: (peer, options, keys, effect) => this.#changePeer(peer, options, keys, effect),
      peer: (key) => this.#peers.get(key),
    });
  }

  /** TCP MD5 keys of listen ranges belong to the listeners, not to a session. */
  #setRangePasswords(before: readonly ListenRangeSettings[], after: readonly ListenRangeSettings[]): void {
    // What stays is not touched: a listener is not without its keys for a moment.
    const passwords = new Map<string, string | undefined>();
    for (const range of before) if (range.peer.password !== undefined) passwords.set(range.prefix, undefined);
    for (const range of after) if (range.peer.password !== undefined) passwords.set(range.prefix, range.peer.password);
    for (const [text, password] of passwords) {
      const prefix = parsePrefix(text)!;
      this.#server.setRangePassword(prefix.bytes, prefix.length, password);
    }
    this.#raiseRangeTtls(after);
  }

  #raiseRangeTtls(ranges: readonly ListenRangeSettings[]): void {
    for (const range of ranges) {
      if (range.peer.ttlSecurityHops !== undefined) this.#server.raiseRangeTtl(parsePrefix(range.prefix)!.bytes);
    }
  }
}

/** What a range says of a peer on this interface. */
function optionsOf({ peer }: ListenRangeSettings, interfaceName: string | undefined): PeerOptions {
  return interfaceName === undefined ? peer : { ...peer, interface: interfaceName };
}
