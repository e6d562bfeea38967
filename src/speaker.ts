/**
 * The speaker: settings in, sessions, routes and kernel out. The only file that sees every stage.
 *
 *   sessions (session/) ─► Peer ─► Pipeline: RIB ─► export ─► sessions
 *                                             └──► FIB ─► kernel
 *   settings ─► peers, listen ranges, networks;   kernel ─► networks, next hops
 *
 * It never reads files and owns no module-level state: several speakers may live in one process.
 */
import { randomInt } from 'node:crypto';
import {
  CeaseSubcode,
  Origin,
  encodeAttributes,
  formatAddress,
  formatIpv4Number,
  parseAddress,
  parseIpv4Number,
  parsePrefix,
} from 'bgp-parse';
import type { Family, Prefix } from 'bgp-parse';
import { Bfd } from './bfd/bfd.js';
import type { BfdPort } from './bfd/port.js';
import { diffSettings, untilRestart } from './config/diff.js';
import type { ListenRangeSettings, PeerOptions, PeerSettings, Settings } from './config/settings.js';
import type { FibDifferenceDto, FibRowDto, PeerDto, RouteDto, SummaryDto } from './control/dto.js';
import type { PeerCommand, PeerCommandOptions, Queries, RouteFilter } from './control/queries.js';
import type { FibEvents, FibPort, KernelState } from './fib/port.js';
import { fibDifferences, fibRow } from './fib-views.js';
import { ForwardingCheck, hostDuties, hostWarnings, masqueradeDto } from './host.js';
import { LinkWatch } from './link-watch.js';
import { ListenRanges } from './listen-ranges.js';
import { localNetworks } from './local-networks.js';
import { MonitorFeed } from './monitor-feed.js';
import type { MonitorListener } from './monitor-feed.js';
import { Peer } from './peer.js';
import type { PeerHost } from './peer.js';
import { Pipeline } from './pipeline.js';
import type { PolicyFunction } from './policy/policy-function.js';
import { peerKey } from './session/address.js';
import { Restart } from './restart.js';
import { SessionServer } from './session/session-server.js';
import { SpeakerPolicies } from './speaker-policies.js';
import { SpeakerViews } from './speaker-views.js';
import type { Cancel, Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { deriveRouterId, readNodeAddresses } from './support/node-addresses.js';
import type { NodeAddress } from './support/node-addresses.js';
import { procSysctls } from './support/sysctls.js';
import { packageVersion } from './support/version.js';
import { UnnumberedPeers, unnumberedInterface } from './unnumbered.js';
import { warmUp } from './warm-up.js';

export interface SpeakerDependencies {
  readonly clock: Clock;
  readonly log: Log;
  /** Policies written as functions, by the names that `import` and `export` call them. They fail closed. */
  readonly policies?: { readonly [name: string]: PolicyFunction };
  /** Memory of the process, octets; shown in the summary. */
  readonly residentBytes?: () => number;
  /** How late the process ran its timers; shown in the summary. */
  readonly loopDelayMs?: () => SummaryDto['loopDelayMs'];
}

/** What a reload did, one line each for people: "peer 192.0.2.1: added". Empty = nothing changed. */
export type ApplyReport = readonly string[];

/** Shared by all sessions: one read of a socket at a time is parsed in place. */
const RECEIVE_BUFFER_OCTETS = 256 * 1024;
const NODE_ADDRESSES_MS = 1000;

/** Keys of the configuration that policies are made of. */
const POLICY_KEYS = ['policies', 'prefixLists', 'asPathLists', 'communityLists', 'pools'] as const;

export class Speaker implements Queries {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #residentBytes: () => number;
  readonly #loopDelayMs: () => SummaryDto['loopDelayMs'];
  readonly #startedMs: number;
  #settings: Settings;
  #routerId = 0;
  #pipeline!: Pipeline;
  #views!: SpeakerViews;
  #monitor!: MonitorFeed;
  #server!: SessionServer;
  #host!: PeerHost;
  #fib: FibPort | undefined;
  #bfd: BfdPort | undefined;
  #kernel: KernelState | undefined;
  /** Peers by session key (address, and interface of link-local ones). */
  readonly #peers = new Map<string, Peer>();
  readonly #ranges: ListenRanges;
  readonly #policies: SpeakerPolicies;
  readonly #unnumbered: UnnumberedPeers;
  #originated = new Map<string, Prefix>();
  #restart: Restart | undefined;
  /** `bgpctl drain`: until `undrain`. */
  #draining = false;
  #cancelWarmUp: Cancel | undefined;
  /** Kernel routes of a previous run were found at the start. */
  #adopted = false;
  readonly #listeners = new Set<MonitorListener>();
  #nodeAddresses: readonly NodeAddress[] = [];
  #nodeAddressesAtMs = -Infinity;
  readonly #warnings: string[] = [];
  readonly #forwarding: ForwardingCheck;
  readonly #linkWatch = new LinkWatch();

  constructor(settings: Settings, dependencies: SpeakerDependencies) {
    this.#settings = settings;
    this.#clock = dependencies.clock;
    this.#log = dependencies.log;
    this.#residentBytes = dependencies.residentBytes ?? (() => 0);
    this.#loopDelayMs = dependencies.loopDelayMs ?? (() => null);
    this.#ranges = new ListenRanges(this.#clock, this.#log);
    this.#unnumbered = this.#createUnnumbered();
    this.#forwarding = new ForwardingCheck(procSysctls, this.#log);
    this.#policies = new SpeakerPolicies({
      log: this.#log,
      functions: dependencies.policies ?? {},
      peers: () => this.#peers.values(),
    });
    this.#startedMs = this.#clock.nowMs();
  }

  /** Reads the kernel, starts the sessions, opens the listeners. Rejects with what is wrong and what to do. */
  async start(): Promise<void> {
    const settings = this.#settings;
    this.#routerId = this.#chooseRouterId(settings);
    const clusterId = settings.clusterId === undefined ? this.#routerId : parseIpv4Number(settings.clusterId)!;
    const identity = { asn: settings.asn, routerId: this.#routerId, clusterId };
    this.#server = new SessionServer(
      {
        listen: settings.listen,
        port: settings.port,
        onUnknown: (address, interfaceName) => this.#acceptDynamic(address, interfaceName),
      },
      { clock: this.#clock, log: this.#log },
    );
    this.#policies.check(settings);
    this.#ranges.set(settings.listenRanges);
    this.#setRangePasswords([], settings.listenRanges);
    await this.#startKernelSide(settings);
    this.#pipeline = new Pipeline({
      identity,
      clock: this.#clock,
      seed: randomInt(2 ** 31),
      fib: settings.fib.enabled ? this.#fib : undefined,
      multipath: settings.multipath,
      fibBackup: settings.fib.backup,
      advertiseWhenInstalled: settings.advertise === 'whenInstalled',
      onEndOfRib: (ribPeer, family) => {
        for (const peer of this.#peers.values()) if (peer.ribPeer === ribPeer) peer.endOfRib(family);
        this.#restart?.peersChanged();
      },
    });
    this.#pipeline.rib.setAlwaysCompareMed(settings.decision?.alwaysCompareMed ?? false);
    this.#policies.start(settings, this.#pipeline.rib);
    this.#views = new SpeakerViews(this.#pipeline, this.#clock, (id) => this.#peerOf(id));
    this.#monitor = new MonitorFeed(this.#pipeline, this.#views, this.#clock, this.#listeners);
    this.#pipeline.holders.push((family, id) => this.#monitor.holds(family, id));
    this.#bfd = new Bfd(
      { fatal: (error) => this.#warn('BFD', error), busyThread: () => this.#fib?.threadId ?? 0 },
      this.#log,
    );
    this.#host = this.#createHost(settings, this.#bfd);
    this.#restart = new Restart(settings, {
      clock: this.#clock,
      pipeline: this.#pipeline,
      peers: () => this.#allPeers(),
      sweepKernel: () => this.#fib?.sweepStale(),
    });
    this.#followNetworks();
    this.#pipeline.turn();
    for (const peer of settings.peers) this.#addConfigured(peer);
    // Last, so that nobody is refused whom we know.
    try {
      await this.#server.start();
    } catch (error) {
      await this.#close(CeaseSubcode.administrativeShutdown, true);
      throw error;
    }
    this.#cancelWarmUp = warmUp(this.#clock, () => this.#pipeline.rib.hasWork, this.#policies.areUsed);
  }

  /** Takes new settings and touches only what differs. Rejects, changing nothing, when they cannot be applied. */
  async apply(settings: Settings): Promise<ApplyReport> {
    this.#policies.check(settings);
    const changes = diffSettings(this.#settings, settings);
    const report: string[] = [];
    const changed = new Set(changes.global.map((change) => change.key));
    if (changed.has('asn') || changed.has('routerId') || changed.has('clusterId')) {
      await this.#startAgain(settings);
      return ['identity changed: all sessions were closed and opened again; kernel routes stayed'];
    }
    if (changed.has('port') || changes.listen.added.length + changes.listen.removed.length > 0) {
      await this.#server.relisten(settings.listen, settings.port);
      report.push('listeners: opened anew');
    }
    this.#setRangePasswords(this.#settings.listenRanges, settings.listenRanges);
    this.#ranges.set(settings.listenRanges);
    // What takes a restart stays as it was.
    this.#settings = untilRestart(this.#settings, settings);
    if (changed.has('encapsulation')) {
      if (this.#settings.fib.enabled) this.#fib?.encapsulate(settings.encapsulation);
      report.push(`encapsulation: ${settings.encapsulation?.mode ?? 'off'}`);
    }
    const otherPolicies = POLICY_KEYS.filter((key) => changed.has(key));
    if (otherPolicies.length > 0) report.push(`policies: changed ${otherPolicies.join(', ')}`);
    const otherGroups = [...changes.peers.changed, ...changes.listenRanges.changed].some(({ keys }) =>
      keys.includes('group'),
    );
    this.#policies.prepare(this.#settings, this.#pipeline.rib, otherPolicies.length > 0 || otherGroups);
    if (changed.has('clientToClientReflection')) {
      report.push(`reflection between clients: ${settings.clientToClientReflection ? 'on' : 'off'}`);
    }
    if (changed.has('decision')) {
      const always = settings.decision?.alwaysCompareMed ?? false;
      this.#pipeline.rib.setAlwaysCompareMed(always);
      report.push(`MEDs of different neighbouring ASes: ${always ? 'compared' : 'not compared'}`);
    }
    if ([...changed].some((key) => key.startsWith('multipath.') || key === 'fib.backup')) {
      this.#pipeline.setForwarding(settings.multipath, settings.fib.backup);
      report.push(describeForwarding(settings));
    }
    for (const { address } of changes.peers.removed) {
      const interfaceName = unnumberedInterface(address);
      if (interfaceName === undefined) await this.#removePeer(this.#find(address)!, CeaseSubcode.peerDeconfigured);
      else await this.#unnumbered.remove(interfaceName, CeaseSubcode.peerDeconfigured);
      report.push(`peer ${address}: removed`);
    }
    for (const { after, keys, effect } of changes.peers.changed) {
      const interfaceName = unnumberedInterface(after.address);
      const change =
        interfaceName === undefined
          ? this.#changePeer(this.#find(after.address)!, after, keys, effect)
          : this.#unnumbered.change(interfaceName, after, keys, effect);
      report.push(...(await change));
    }
    for (const peer of changes.peers.added) {
      // A peer that had come by a listen range is configured now.
      const dynamic = this.#find(peer.address);
      if (dynamic) await this.#removePeer(dynamic, CeaseSubcode.otherConfigurationChange);
      this.#addConfigured(peer);
      report.push(`peer ${peer.address}: added`);
    }
    report.push(...(await this.#applyRanges(settings, changes.listenRanges)));
    if (changed.has('advertise')) {
      this.#pipeline.advertiseWhenInstalled(settings.advertise === 'whenInstalled');
      report.push(`advertise: ${settings.advertise ?? 'always'}`);
    }
    this.#policies.tellPeers();
    if (changed.has('fib.masquerade')) report.push('masquerading: new pools');
    for (const network of changes.networks.added) report.push(`network ${JSON.stringify(network)}: added`);
    for (const network of changes.networks.removed) report.push(`network ${JSON.stringify(network)}: removed`);
    this.#followNetworks();
    this.#fib?.setDuties(hostDuties(this.#settings));
    this.#pipeline.schedule();
    return report;
  }

  /** Says Cease to every peer, removes our kernel routes, closes everything. */
  stop(): Promise<void> {
    return this.#close(CeaseSubcode.administrativeShutdown, false);
  }

  async #close(subcode: number, keepRoutes: boolean): Promise<void> {
    this.#restart?.cancel();
    this.#cancelWarmUp?.();
    this.#pipeline?.stop();
    this.#unnumbered.stop();
    await Promise.all([
      ...[...this.#peers.values()].map((peer) => peer.halt(subcode)),
      this.#server?.stop(),
      this.#bfd?.stop(),
      this.#fib?.stop(keepRoutes),
    ]);
    this.#fib = undefined;
    this.#bfd = undefined;
  }

  /** A new AS or identifier: everything is built anew under it; the kernel goes on forwarding and is adopted. */
  async #startAgain(settings: Settings): Promise<void> {
    const before = this.#settings;
    await this.#close(CeaseSubcode.otherConfigurationChange, true);
    this.#peers.clear();
    this.#ranges.forgetAll();
    this.#originated = new Map();
    this.#settings = untilRestart(before, settings);
    try {
      await this.start();
    } catch (error) {
      this.#settings = before;
      await this.start();
      throw error;
    }
  }

  // ===== Queries =====

  summary(): SummaryDto {
    const { rib } = this.#pipeline;
    const peers = this.#allPeers();
    const fib = this.#fib?.counts() ?? { installed: 0, pending: 0, failed: 0, repaired: 0 };
    return {
      version: packageVersion(),
      asn: this.#settings.asn,
      routerId: formatIpv4Number(this.#routerId),
      clusterId: this.#settings.clusterId ?? null,
      uptimeSeconds: Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000),
      peers: {
        configured: peers.filter((peer) => !peer.dynamic).length,
        dynamic: peers.filter((peer) => peer.dynamic).length,
        established: peers.filter((peer) => peer.session.established).length,
      },
      families: rib.families.map((family) => ({
        family: family.family,
        prefixes: family.occupied,
        paths: family.paths.count,
        best: family.bestCount,
      })),
      attributeSets: rib.attributes.size,
      fib: { enabled: this.#settings.fib.enabled, ...fib },
      memoryBytes: this.#residentBytes(),
      loopDelayMs: this.#loopDelayMs(),
      masquerade: masqueradeDto(this.#settings, this.#fib),
      warnings: [
        ...(this.#draining ? ['draining: peers are asked to prefer other paths (bgpctl undrain)'] : []),
        ...this.#warnings,
        ...this.#ranges.warnings,
        ...hostWarnings(this.#fib),
        ...this.#forwarding.warnings(),
        ...this.#policies.warnings,
      ],
    };
  }

  peers(): PeerDto[] {
    return this.#allPeers().map((peer) => this.#views.peer(peer));
  }

  peer(address: string): PeerDto | undefined {
    const peer = this.#find(address);
    return peer && this.#views.peer(peer);
  }

  routes(filter: RouteFilter): Iterable<RouteDto> | undefined {
    const peer = filter.peer && this.#find(filter.peer.address);
    if (filter.peer && !peer) return undefined;
    return this.#views.routes(filter, peer);
  }

  async *fib(): AsyncIterable<FibRowDto> {
    if (!this.#fib || !this.#settings.fib.enabled) return;
    const { metric, protocol } = this.#settings.fib;
    for await (const row of this.#fib.rows()) yield fibRow(row, this.#fib.table, metric, protocol);
  }

  async fibDiff(): Promise<Iterable<FibDifferenceDto>> {
    if (!this.#fib || !this.#settings.fib.enabled) throw new Error('the kernel side is off (fib.enabled: false)');
    return fibDifferences(await this.#fib.diff());
  }

  command(address: string, command: PeerCommand, { text, hard }: PeerCommandOptions = {}): string | undefined {
    const peer = this.#find(address);
    if (!peer) return `no such peer: ${address}`;
    switch (command) {
      case 'enable':
        if (peer.options.shutdown) return `peer ${address} is shut down in the configuration`;
        peer.disabled = false;
        peer.limits.release();
        peer.start();
        break;
      case 'disable':
        peer.disabled = true;
        peer.limits.release();
        void peer.stop(CeaseSubcode.administrativeShutdown, text);
        break;
      case 'reset':
        if (peer.session.stopped && peer.limits.heldDown === undefined)
          return `peer ${address} is down: enable it first`;
        peer.limits.release();
        peer.session.reset(text, hard);
        break;
      case 'refresh': {
        if (!peer.session.established) return `peer ${address} is not Established`;
        const asked = peer.negotiated!.families.filter((family) => peer.session.sendRouteRefresh(family));
        if (asked.length === 0) return `peer ${address} cannot refresh: it did not offer route refresh (RFC 2918)`;
        break;
      }
    }
    this.#log.info({ peer: address, command }, `peer ${address}: ${command} by operator`);
    return undefined;
  }

  drain(draining: boolean): string | undefined {
    if (draining === this.#draining) return draining ? 'already draining' : 'not draining';
    this.#draining = draining;
    for (const peer of this.#peers.values()) peer.applyExport();
    this.#log.info({ draining }, draining ? 'draining: GRACEFUL_SHUTDOWN goes with every route' : 'no longer draining');
    return undefined;
  }

  subscribe(listener: MonitorListener): () => void {
    this.#listeners.add(listener);
    this.#monitor.listenersChanged();
    return () => {
      this.#listeners.delete(listener);
      this.#monitor.listenersChanged();
    };
  }

  // ===== Peers =====

  #createHost(settings: Settings, bfd: BfdPort): PeerHost {
    return {
      clock: this.#clock,
      log: this.#log,
      localAsn: settings.asn,
      routerId: this.#routerId,
      pipeline: this.#pipeline,
      sessionDeps: {
        clock: this.#clock,
        log: this.#log,
        random: Math.random,
        server: this.#server,
        receiveBuffer: new Uint8Array(RECEIVE_BUFFER_OCTETS),
      },
      bfd,
      policies: () => this.#policies.current,
      clientToClient: () => this.#settings.clientToClientReflection,
      draining: () => this.#draining,
      restarting: () => this.#restart?.isActive === true,
      // A speaker that installs nothing is in nobody's path: what it had advertised still forwards.
      forwardingPreserved: () =>
        this.#restart?.isActive && !this.#adopted && settings.fib.enabled
          ? []
          : // Over the end of a session that is no restart, everything does (RFC 8538 §4.1).
            (['ipv4-unicast', 'ipv6-unicast'] as const),
      nodeAddresses: () => this.#readNodeAddresses(),
      ownNextHop: (address) => this.#fib?.tellOwnNextHop(address),
      peerChanged: (peer) => {
        this.#monitor.peerChanged(peer);
        this.#restart?.peersChanged();
      },
    };
  }

  /** Configured peers, dynamic ones, and places of those that are still to be found. */
  #allPeers(): Peer[] {
    return [...this.#peers.values(), ...this.#unnumbered.waiting()];
  }

  #addConfigured(settings: PeerSettings): void {
    const interfaceName = unnumberedInterface(settings.address);
    if (interfaceName === undefined) this.#addPeer(parseAddress(bare(settings.address))!, settings, false).start();
    else this.#unnumbered.add(interfaceName, settings);
  }

  #createUnnumbered(): UnnumberedPeers {
    return new UnnumberedPeers({
      clock: this.#clock,
      log: this.#log,
      create: (address, options, awaited) =>
        awaited ? new Peer(address, options, false, this.#host, true) : this.#addPeer(address, options, false),
      remove: (peer, subcode) => this.#removePeer(peer, subcode),
      change: (peer, options, keys, effect) => this.#changePeer(peer, options, keys, effect),
      peer: (key) => this.#peers.get(key),
    });
  }

  #addPeer(address: Uint8Array, options: PeerOptions, dynamic: boolean): Peer {
    const peer = new Peer(address, options, dynamic, this.#host);
    this.#peers.set(peer.session.key, peer);
    return peer;
  }

  async #removePeer(peer: Peer, subcode: number): Promise<void> {
    this.#peers.delete(peer.session.key);
    this.#ranges.forget(peer.session.key);
    await peer.dispose(subcode);
    this.#restart?.peersChanged();
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
      await this.#removePeer(peer, CeaseSubcode.otherConfigurationChange);
      if (dynamic) return [`${what}; the session was closed`];
      const fresh = this.#addPeer(address, options, false);
      fresh.disabled = disabled;
      fresh.start();
      return [`${what}; the session was closed and opened again`];
    }
    const wasShutdown = peer.options.shutdown;
    peer.reconfigure(options);
    if (options.shutdown && !wasShutdown) void peer.stop(CeaseSubcode.administrativeShutdown);
    else peer.start();
    return [what];
  }

  async #applyRanges(settings: Settings, changes: ReturnType<typeof diffSettings>['listenRanges']): Promise<string[]> {
    const report = [
      ...changes.added.map((range) => `listen range ${range.prefix}: added`),
      ...changes.removed.map((range) => `listen range ${range.prefix}: removed`),
      ...changes.changed.map((change) => `listen range ${change.after.prefix}: changed ${change.keys.join(', ')}`),
    ];
    if (report.length === 0) return report;
    for (const peer of [...this.#peers.values()].filter((candidate) => candidate.dynamic)) {
      const range = this.#ranges.find(peer.address);
      if (!range) {
        await this.#removePeer(peer, CeaseSubcode.peerDeconfigured);
        report.push(`peer ${peer.name}: removed, no listen range covers it any more`);
        continue;
      }
      const change = changes.changed.find((candidate) => candidate.after.prefix === range.prefix);
      if (change) report.push(...(await this.#changePeer(peer, range.peer, change.keys, change.effect)));
    }
    return report;
  }

  /** A connection from an address that is not configured: a dynamic peer when a listen range covers it. */
  #acceptDynamic(address: Uint8Array, interfaceName: string | undefined): Peer['session'] | 'refused' | undefined {
    if (!this.#host) return undefined;
    const neighbour = this.#unnumbered.connecting(address, interfaceName);
    if (neighbour) return neighbour.session;
    const range = this.#ranges.find(address);
    if (!range) return undefined;
    // It is back while its stale paths were waited for.
    const known = this.#peers.get(peerKey(address, interfaceName));
    if (known?.dynamic) return known.limits.heldDown === undefined ? known.session : 'refused';
    const options = interfaceName === undefined ? range.peer : { ...range.peer, interface: interfaceName };
    if (!this.#ranges.admit(peerKey(address, interfaceName), address)) return 'refused';
    const peer = this.#addPeer(address, options, true);
    peer.ended = () => {
      // Its stale paths are waited for (RFC 4724); then it is forgotten.
      if (peer.keepsStalePaths || peer.limits.heldDown !== undefined) return;
      if (this.#peers.get(peer.session.key) !== peer) return;
      void this.#removePeer(peer, CeaseSubcode.peerDeconfigured);
    };
    return peer.session;
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

  #peerOf(ribPeerId: number): Peer | undefined {
    for (const peer of this.#peers.values()) if (peer.ribPeer?.id === ribPeerId) return peer;
    return undefined;
  }

  #find(address: string): Peer | undefined {
    const bytes = parseAddress(bare(address));
    if (!bytes) return this.#unnumbered.on(unnumberedInterface(address) ?? '');
    const scope = address.includes('%') ? address.slice(address.indexOf('%') + 1) : undefined;
    const text = formatAddress(bytes);
    for (const peer of this.#peers.values()) {
      if (formatAddress(peer.address) === text && (scope === undefined || peer.options.interface === scope))
        return peer;
    }
    return undefined;
  }

  // ===== Networks and kernel =====

  async #startKernelSide(settings: Settings): Promise<void> {
    const followsInterfaces = settings.networks.some((network) => 'interface' in network);
    if (!settings.fib.enabled && !followsInterfaces) return;
    const { Fib } = await import('./fib/fib.js');
    const fib: FibPort = new Fib(
      {
        ...settings.fib,
        watchOnly: !settings.fib.enabled,
        duties: hostDuties(settings),
        encapsulation: settings.encapsulation,
      },
      this.#fibEvents(),
      this.#log,
    );
    this.#fib = fib;
    this.#kernel = await fib.start();
    this.#forwarding.start(settings, this.#kernel);
    this.#linkWatch.changed(this.#kernel, []);
    this.#adopted = fib.counts().installed > 0;
  }

  #fibEvents(): FibEvents {
    return {
      kernelChanged: (state) => {
        this.#kernel = state;
        this.#nodeAddressesAtMs = -Infinity;
        if (!this.#pipeline) return;
        this.#linkWatch.changed(state, this.#peers.values());
        this.#followNetworks();
      },
      nextHopsChanged: (changes) => {
        for (const { id, resolvable, metric, detail } of changes) {
          this.#pipeline.rib.nextHopChanged(id, resolvable, metric, detail);
        }
        this.#pipeline.schedule();
      },
      statusChanged: (family, pairs, count) => this.#pipeline.kernelStatusChanged(family, pairs, count),
      room: () => this.#pipeline.schedule(),
      fatal: (error) => this.#warn('kernel side', error),
    };
  }

  /** A part of the speaker has died: the rest goes on, and the summary says so. */
  #warn(part: string, error: Error): void {
    this.#warnings.push(`${part}: ${error.message}`);
    this.#log.error({ err: error }, `${part}: ${error.message}`);
  }

  /** Reading them takes the kernel 0.1 ms: too much for each of a thousand sessions that come up at once. */
  #readNodeAddresses(): readonly NodeAddress[] {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#nodeAddressesAtMs > NODE_ADDRESSES_MS) {
      this.#nodeAddresses = readNodeAddresses();
      this.#nodeAddressesAtMs = nowMs;
    }
    return this.#nodeAddresses;
  }

  /** Originates what the settings and the kernel say now; takes back what they no longer say. */
  #followNetworks(): void {
    const { rib } = this.#pipeline;
    const wanted = localNetworks(this.#settings.networks, this.#kernel);
    for (const [text, prefix] of this.#originated) {
      if (wanted.has(text)) continue;
      rib.unoriginate(familyOf(prefix), prefix.bytes, prefix.length);
      this.#log.info({ prefix: text }, `network ${text}: no longer originated`);
    }
    for (const [text, prefix] of wanted) {
      if (this.#originated.has(text)) continue;
      const nextHop = new Uint8Array(prefix.bytes.length);
      const attributes = encodeAttributes({ origin: Origin.igp, asPath: [], nextHop });
      rib.originate(familyOf(prefix), prefix.bytes, prefix.length, attributes);
      this.#log.info({ prefix: text }, `network ${text}: originated`);
    }
    this.#originated = wanted;
    this.#policies.networksChanged([...wanted.values()], rib);
    this.#pipeline.schedule();
  }

  #chooseRouterId(settings: Settings): number {
    if (settings.routerId !== undefined) return parseIpv4Number(settings.routerId)!;
    const peers = settings.peers.flatMap((peer) => parseAddress(bare(peer.address)) ?? []);
    const ranges = settings.listenRanges.map((range) => parsePrefix(range.prefix)!.bytes);
    const derived = deriveRouterId(readNodeAddresses(), [...peers, ...ranges]);
    if (derived === undefined) {
      throw new Error(
        'no router id: this node has no IPv4 address to derive one from; set routerId in the configuration',
      );
    }
    this.#log.info({ routerId: formatIpv4Number(derived) }, `router id ${formatIpv4Number(derived)}, derived`);
    return derived;
  }
}

function describeForwarding({ multipath: { ebgp, ibgp, asPath }, fib: { backup } }: Settings): string {
  return `forwarding: up to ${ebgp} external and ${ibgp} internal paths, AS_PATH of the same ${asPath === 'length' ? 'length' : 'AS numbers'}, backups ${backup ? 'on' : 'off'}`;
}

function familyOf(prefix: Prefix): Family {
  return prefix.bytes.length === 4 ? 'ipv4-unicast' : 'ipv6-unicast';
}

/** An address without its scope. */
function bare(address: string): string {
  const percent = address.indexOf('%');
  return percent < 0 ? address : address.slice(0, percent);
}
