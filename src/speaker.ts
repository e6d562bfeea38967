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
import { CeaseSubcode, formatIpv4Number, parseIpv4Number } from 'bgp-parse';
import { Bfd } from './bfd/bfd.js';
import type { BfdPort } from './bfd/port.js';
import { diffSettings, untilRestart } from './config/diff.js';
import { DEFAULT_LIMITS } from './config/resolve.js';
import type { Settings } from './config/settings.js';
import type { FibDifferenceDto, FibRowDto, PeerDto, RouteDto, SummaryDto } from './control/dto.js';
import type { PeerCommand, PeerCommandOptions, Queries, RouteFilter } from './control/queries.js';
import type { FibEvents, FibPort, KernelState } from './fib/port.js';
import { fibDifferences, fibRow } from './fib-views.js';
import { ForwardingCheck, hostDuties, hostWarnings, masqueradeDto } from './host.js';
import { LinkWatch } from './link-watch.js';
import { LocalNetworks } from './local-networks.js';
import { MonitorFeed } from './monitor-feed.js';
import type { MonitorListener } from './monitor-feed.js';
import { NodeAddresses, chooseRouterId } from './node-identity.js';
import type { PeerHost } from './peer.js';
import { Pipeline } from './pipeline.js';
import type { PolicyFunction } from './policy/policy-function.js';
import { Restart } from './restart.js';
import { USUAL_MED_RULES } from './rib/rib.js';
import { RouteWatch } from './route-watch.js';
import { Md5Watch } from './session/md5-watch.js';
import { SessionServer } from './session/session-server.js';
import { SpeakerPeers } from './speaker-peers.js';
import { SpeakerPolicies } from './speaker-policies.js';
import { SpeakerViews } from './speaker-views.js';
import type { Cancel, Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { procSysctls } from './support/sysctls.js';
import { readTcpMd5Counters } from './support/tcp-md5.js';
import { packageVersion } from './support/version.js';
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
  readonly #md5: Md5Watch;
  #fib: FibPort | undefined;
  #bfd: BfdPort | undefined;
  #kernel: KernelState | undefined;
  readonly #peers: SpeakerPeers;
  readonly #policies: SpeakerPolicies;
  #networks!: LocalNetworks;
  #restart: Restart | undefined;
  #routeWatch!: RouteWatch;
  /** `bgpctl drain`: until `undrain`. */
  #draining = false;
  #cancelWarmUp: Cancel | undefined;
  /** Kernel routes of a previous run were found at the start. */
  #adopted = false;
  readonly #listeners = new Set<MonitorListener>();
  readonly #nodeAddresses: NodeAddresses;
  readonly #warnings: string[] = [];
  readonly #forwarding: ForwardingCheck;
  readonly #linkWatch = new LinkWatch();

  constructor(settings: Settings, dependencies: SpeakerDependencies) {
    this.#settings = settings;
    this.#clock = dependencies.clock;
    this.#log = dependencies.log;
    this.#residentBytes = dependencies.residentBytes ?? (() => 0);
    this.#loopDelayMs = dependencies.loopDelayMs ?? (() => null);
    this.#peers = new SpeakerPeers(this.#clock, this.#log, () => this.#restart?.peersChanged());
    this.#nodeAddresses = new NodeAddresses(this.#clock, this.#log);
    this.#forwarding = new ForwardingCheck(procSysctls, this.#log);
    this.#policies = new SpeakerPolicies({
      log: this.#log,
      functions: dependencies.policies ?? {},
      peers: () => this.#peers.values(),
    });
    this.#startedMs = this.#clock.nowMs();
    this.#md5 = new Md5Watch(this.#clock, readTcpMd5Counters);
  }

  /** Reads the kernel, starts the sessions, opens the listeners. Rejects with what is wrong and what to do. */
  async start(): Promise<void> {
    const settings = this.#settings;
    this.#routerId = chooseRouterId(settings, this.#log);
    const clusterId = settings.clusterId === undefined ? this.#routerId : parseIpv4Number(settings.clusterId)!;
    const identity = { asn: settings.asn, routerId: this.#routerId, clusterId };
    this.#server = new SessionServer(
      {
        listen: settings.listen,
        port: settings.port,
        onUnknown: (address, interfaceName) => this.#peers.accept(address, interfaceName),
      },
      { clock: this.#clock, log: this.#log },
    );
    this.#nodeAddresses.read();
    this.#policies.check(settings);
    this.#peers.open(this.#server, settings.listenRanges);
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
    this.#pipeline.rib.setMedRules(settings.decision ?? USUAL_MED_RULES);
    this.#setLimits(settings);
    this.#pipeline.exporter.writer.onTooLong = (group, count) => {
      if (count === 1) this.#peers.warnTooLong(group);
    };
    this.#routeWatch = new RouteWatch({
      clock: this.#clock,
      pipeline: this.#pipeline,
      fib: this.#fib,
      changed: () => this.#peers.applyExport(),
    });
    this.#routeWatch.watch(watchedPrefixes(settings));
    this.#policies.start(settings, this.#pipeline.rib);
    this.#networks = new LocalNetworks(this.#pipeline.rib, this.#log);
    this.#views = new SpeakerViews(this.#pipeline, this.#clock, (id) => this.#peers.withRibId(id));
    this.#monitor = new MonitorFeed(this.#pipeline, this.#views, this.#clock, this.#listeners);
    this.#pipeline.holders.push((family, id) => this.#monitor.holds(family, id));
    this.#bfd = new Bfd(
      {
        died: (error, deaths, delayMs) => this.#threadDied('BFD', error, deaths, delayMs),
        busyThread: () => this.#fib?.threadId ?? 0,
      },
      this.#log,
      this.#clock,
    );
    this.#peers.host = this.#createHost(settings, this.#bfd);
    this.#restart = new Restart(settings, {
      clock: this.#clock,
      pipeline: this.#pipeline,
      peers: () => this.#peers.all(),
      sweepKernel: () => this.#fib?.sweepStale(),
    });
    this.#followNetworks();
    this.#pipeline.turn();
    for (const peer of settings.peers) this.#peers.add(peer);
    // Last, so that nobody is refused whom we know.
    try {
      await this.#server.start();
    } catch (error) {
      await this.#close(CeaseSubcode.administrativeShutdown, true);
      throw error;
    }
    this.#cancelWarmUp = warmUp(this.#clock, () => this.#pipeline.rib.hasWork, {
      withPolicy: this.#policies.areUsed,
      withFib: this.#pipeline.fibFeed !== undefined,
    });
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
    this.#peers.setRanges(this.#settings.listenRanges, settings.listenRanges);
    // What takes a restart stays as it was.
    this.#settings = untilRestart(this.#settings, settings);
    if (changed.has('encapsulation')) {
      if (this.#settings.fib.enabled) this.#fib?.encapsulate(settings.encapsulation);
      report.push(`encapsulation: ${settings.encapsulation?.mode ?? 'off'}`);
    }
    const otherPolicies = POLICY_KEYS.filter((key) => changed.has(key));
    if (otherPolicies.length > 0) report.push(`policies: changed ${otherPolicies.join(', ')}`);
    // A range that comes or goes may take peers over, into another group.
    const otherGroups =
      changes.listenRanges.added.length + changes.listenRanges.removed.length > 0 ||
      [...changes.peers.changed, ...changes.listenRanges.changed].some(({ keys }) => keys.includes('group'));
    this.#policies.prepare(this.#settings, this.#pipeline.rib, otherPolicies.length > 0 || otherGroups);
    if (changed.has('clientToClientReflection')) {
      report.push(`reflection between clients: ${settings.clientToClientReflection ? 'on' : 'off'}`);
    }
    if (changed.has('decision')) {
      const rules = settings.decision ?? USUAL_MED_RULES;
      this.#pipeline.rib.setMedRules(rules);
      report.push(
        `MEDs: compared ${rules.alwaysCompareMed ? 'across' : 'within'} neighbouring ASes, ${rules.deterministicMed ? 'all paths at once' : 'two paths at a time'}`,
      );
    }
    if (changed.has('limits')) {
      this.#setLimits(settings);
      report.push('limits: changed');
    }
    if ([...changed].some((key) => key.startsWith('multipath.') || key === 'fib.backup')) {
      this.#pipeline.setForwarding(settings.multipath, settings.fib.backup);
      report.push(describeForwarding(settings));
    }
    this.#routeWatch.watch(watchedPrefixes(this.#settings));
    report.push(...(await this.#peers.apply(changes.peers)));
    report.push(...(await this.#peers.applyRanges(changes.listenRanges)));
    if (changed.has('advertise')) {
      this.#pipeline.advertiseWhenInstalled(settings.advertise === 'whenInstalled');
      report.push(`advertise: ${settings.advertise ?? 'always'}`);
    }
    this.#policies.tellPeers(this.#pipeline);
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
    await Promise.all([
      this.#peers.halt(subcode),
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
    const peers = [...this.#peers.all()];
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
      connections: { refused: { ...this.#server.refused }, pending: this.#server.pendingSessions },
      tcpMd5: this.#md5.total ?? null,
      fib: { enabled: this.#settings.fib.enabled, ...fib },
      memoryBytes: this.#residentBytes(),
      loopDelayMs: this.#loopDelayMs(),
      masquerade: masqueradeDto(this.#settings, this.#fib),
      warnings: [
        ...(this.#draining ? ['draining: peers are asked to prefer other paths (bgpctl undrain)'] : []),
        ...this.#warnings,
        ...this.#peers.warnings,
        ...hostWarnings(this.#fib),
        ...this.#forwarding.warnings(fib.installed),
        ...this.#policies.warnings,
      ],
    };
  }

  peers(): PeerDto[] {
    return [...this.eachPeer()];
  }

  /** One after the other, as they are pulled; who has gone meanwhile is left out. */
  *eachPeer(): Generator<PeerDto> {
    for (const peer of this.#peers.all()) yield this.#views.peer(peer);
  }

  peer(address: string): PeerDto | undefined {
    const peer = this.#peers.find(address);
    return peer && this.#views.peer(peer);
  }

  routes(filter: RouteFilter): Iterable<RouteDto> | undefined {
    const peer = filter.peer && this.#peers.find(filter.peer.address);
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
    const peer = this.#peers.find(address);
    if (!peer) return `no such peer: ${address}`;
    switch (command) {
      case 'enable':
        if (peer.options.shutdown) return `peer ${address} is shut down in the configuration`;
        peer.disabled = false;
        peer.limits.release();
        // A dynamic peer comes by itself.
        if (!peer.dynamic) peer.start();
        else if (!peer.negotiated) peer.ended?.();
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
    this.#peers.applyExport();
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
        md5: this.#md5,
        receiveBuffer: new Uint8Array(RECEIVE_BUFFER_OCTETS),
      },
      bfd,
      policies: () => this.#policies.current,
      clientToClient: () => this.#settings.clientToClientReflection,
      draining: () => this.#draining,
      restarting: () => this.#restart?.isActive === true,
      hasRoute: (prefix, except) => this.#routeWatch.has(prefix, except),
      // A speaker that installs nothing is in nobody's path: what it had advertised still forwards.
      forwardingPreserved: () =>
        this.#restart?.isActive && !this.#adopted && settings.fib.enabled
          ? []
          : // Over the end of a session that is no restart, everything does (RFC 8538 §4.1).
            (['ipv4-unicast', 'ipv6-unicast'] as const),
      nodeAddresses: () => this.#nodeAddresses.read(),
      ownNextHop: (address) => this.#fib?.tellOwnNextHop(address),
      peerChanged: (peer) => {
        this.#monitor.peerChanged(peer);
        this.#restart?.peersChanged();
      },
    };
  }

  #setLimits({ limits = DEFAULT_LIMITS }: Settings): void {
    const { asPathLength, communities } = limits;
    this.#pipeline.rib.attributes.limits = { asPathLength, communities };
    this.#server.pendingLimit = limits.pendingSessions;
    this.#server.openHoldMs = limits.openTimeSeconds * 1000;
    this.#server.messageRate = limits.messageRate;
  }

  // ===== Networks and kernel =====

  async #startKernelSide(settings: Settings): Promise<void> {
    const followsInterfaces = settings.networks.some((network) => 'interface' in network);
    if (!settings.fib.enabled && !followsInterfaces && watchedPrefixes(settings).length === 0) return;
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
      this.#clock,
    );
    this.#fib = fib;
    this.#kernel = await fib.start();
    this.#forwarding.start(settings, this.#kernel);
    this.#linkWatch.changed(this.#kernel, []);
    this.#adopted = fib.counts().installed > 0;
  }

  #fibEvents(): FibEvents {
    const events: FibEvents = {
      kernelChanged: (state) => {
        this.#kernel = state;
        this.#nodeAddresses.expire();
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
      routesPresent: (prefixes) => this.#routeWatch?.kernelHas(prefixes),
      statusChanged: (family, pairs, count) => this.#pipeline.kernelStatusChanged(family, pairs, count),
      room: () => this.#pipeline.schedule(),
      fatal: (error) => this.#warn('kernel side', error),
      died: (error, deaths, delayMs) => this.#threadDied('kernel side', error, deaths, delayMs),
      restarted: (state) => {
        events.kernelChanged(state);
        this.#pipeline.fibFeed?.sayAgain();
        // What nobody has asked for since is of the thread that died, unless it is still our own restart that decides.
        this.#pipeline.afterFibIdle(() => {
          if (!this.#restart?.isActive) this.#fib?.sweepStale();
        });
      },
    };
    return events;
  }

  /** A part of the speaker has died: the rest goes on, and the summary says so. */
  #warn(part: string, error: Error): void {
    this.#warnings.push(`${part}: ${error.message}`);
    this.#log.error({ err: error }, `${part}: ${error.message}`);
  }

  /** A thread is started again. The summary keeps its last death, and how many there were. */
  #threadDied(part: string, error: Error, deaths: number, delayMs: number): void {
    const times = deaths === 1 ? 'once' : `${deaths} times`;
    const text = `${part}: ${error.message} (${times} so far)`;
    const what = part === 'BFD' ? 'its sessions go on' : 'the routes in the kernel stay';
    this.#log.error({ err: error, deaths, delayMs }, `${text}; it is started again, ${what}`);
    const before = this.#warnings.findIndex((warning) => warning.startsWith(`${part}: `));
    if (before >= 0) this.#warnings.splice(before, 1);
    this.#warnings.push(text);
  }

  /** Originates what the settings and the kernel say now. */
  #followNetworks(): void {
    const networks = this.#networks.follow(this.#settings.networks, this.#kernel);
    this.#policies.networksChanged(networks, this.#pipeline);
    this.#pipeline.schedule();
  }
}

/** What `defaultOriginate` depends on. */
function watchedPrefixes({ peers, listenRanges }: Settings): string[] {
  return [...peers, ...listenRanges.map(({ peer }) => peer)].flatMap((peer) => peer.defaultOriginate?.when ?? []);
}

function describeForwarding({ multipath: { ebgp, ibgp, asPath }, fib: { backup } }: Settings): string {
  return `forwarding: up to ${ebgp} external and ${ibgp} internal paths, AS_PATH of the same ${asPath === 'length' ? 'length' : 'AS numbers'}, backups ${backup ? 'on' : 'off'}`;
}
