/**
 * One peer: its settings, its session, and its places in the RIB and the update groups. Joins the three; decides what a
 * session that ends leaves behind (RFC 4724 §4.2).
 */
import {
  BgpError,
  CeaseSubcode,
  NotificationCode,
  RouteRefreshSubtype,
  encodeRouteRefresh,
  equalBytes,
} from 'bgp-parse';
import type { Family } from 'bgp-parse';
import type { BfdPort } from './bfd/port.js';
import type { PeerOptions } from './config/settings.js';
import type { ExportRules } from './export/export-rules.js';
import { rulesKey } from './export/export-rules.js';
import { defaultRouteKey } from './export/group-parameters.js';
import type { DefaultRoute, GroupParameters } from './export/group-parameters.js';
import { originateDefault } from './originate-default.js';
import type { Member } from './export/member.js';
import { MalformedLog } from './malformed-log.js';
import type { Pipeline } from './pipeline.js';
import { many } from './policy/definition.js';
import type { PolicyPeer } from './policy/condition.js';
import type { ExportFilter } from './policy/export-filter.js';
import { describeRejection, importEnvironment } from './policy/policies.js';
import type { Judgement, Policies } from './policy/policies.js';
import type { FamilyRib } from './rib/family-rib.js';
import type { ImportFilter } from './rib/import-filter.js';
import { countOf } from './rib/prefix-limit.js';
import type { RibPeer, RibSession } from './rib/rib-peers.js';
import { PeerBfd } from './peer-bfd.js';
import { PeerLimits } from './peer-limits.js';
import { allowsAnyFirstAs, exportRules, ingressRules } from './peer-rules.js';
import { peerKey } from './session/address.js';
import { PeerSession } from './session/peer-session.js';
import type { PeerSessionDeps } from './session/peer-session.js';
import type { DownReason, Negotiated, SessionListener } from './session/types.js';
import { StalePaths } from './stale-paths.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';
import { isLinkLocal, isOnSubnet, ownNextHops } from './support/node-addresses.js';
import type { NodeAddress } from './support/node-addresses.js';

export interface PeerHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly localAsn: number;
  /** Unsigned 32-bit. */
  readonly routerId: number;
  readonly pipeline: Pipeline;
  readonly sessionDeps: PeerSessionDeps;
  readonly bfd: BfdPort;
  policies(): Policies;
  /** Routes of clients are reflected to other clients. */
  clientToClient(): boolean;
  /** `bgpctl drain`: what we say is on its way out (RFC 8326). */
  draining(): boolean;
  /** Whether there is a route to the prefix, other than from the peer with this id. */
  hasRoute(prefix: string, except: number): boolean;
  /** Within our own restart (RFC 4724). */
  restarting(): boolean;
  /** Families whose kernel routes have survived our restart. */
  forwardingPreserved(): readonly Family[];
  /** This node's addresses, at most a second old. */
  nodeAddresses(): readonly NodeAddress[];
  /** What we advertise as ourselves on a session. */
  ownNextHop(address: Uint8Array): void;
  /** The session has come up or gone down: observers want to know. */
  peerChanged(peer: Peer): void;
}

export class Peer implements SessionListener {
  readonly address: Uint8Array;
  readonly dynamic: boolean;
  readonly awaited: boolean;
  readonly session: PeerSession;
  options: PeerOptions;
  ribPeer: RibPeer | undefined;
  negotiated: Negotiated | undefined;
  /** By family index. */
  readonly members: [Member | undefined, Member | undefined] = [undefined, undefined];
  /** By which the session runs, or last ran. */
  interfaceName: string | undefined;
  /** Switched off by `bgpctl peer A disable`. */
  disabled = false;
  readonly limits: PeerLimits;
  readonly bfd: PeerBfd;
  /** Dynamic peers: the last connection has gone. */
  ended: (() => void) | undefined;
  readonly #host: PeerHost;
  readonly #stalePaths: StalePaths;
  readonly #malformedLog: MalformedLog;
  /** How many UPDATEs had come at the last begin of an enhanced refresh, by family. */
  readonly #refreshBegunAt = [-1, -1];

  /** `awaited`: not a peer yet, but the place of the one that is to be found on the interface; it never starts. */
  constructor(address: Uint8Array, options: PeerOptions, dynamic: boolean, host: PeerHost, awaited = false) {
    this.address = address;
    this.awaited = awaited;
    this.options = options;
    this.dynamic = dynamic;
    this.#host = host;
    this.#malformedLog = new MalformedLog(this.name, host.clock, host.log);
    this.session = new PeerSession(
      {
        peer: options,
        address,
        localAsn: host.localAsn,
        routerId: host.routerId,
        restarting: () => host.restarting(),
        forwardingPreserved: () => host.forwardingPreserved(),
        dynamic,
        ended: () => this.ended?.(),
      },
      this,
      host.sessionDeps,
    );
    this.#stalePaths = new StalePaths({
      name: this.name,
      clock: host.clock,
      log: host.log,
      pipeline: host.pipeline,
      isPaced: () => this.session.isPaced,
      forgotten: () => {
        if (!this.negotiated) this.ended?.();
      },
    });
    this.limits = new PeerLimits(options, {
      name: this.name,
      clock: host.clock,
      log: host.log,
      holdDown: (held) => {
        this.session.holdDown(held);
        // A dynamic peer was kept only for this.
        if (!held && !this.negotiated) this.ended?.();
      },
      cease: (error) => this.session.cease(error),
    });
    this.bfd = new PeerBfd(options, {
      clock: host.clock,
      log: host.log,
      name: this.name,
      address,
      bfd: host.bfd,
      nodeAddresses: () => host.nodeAddresses(),
      external: () => this.external,
      failed: (why, independent) => this.#bfdFailed(why, independent),
      recovered: () => {
        if (!this.negotiated) this.session.retryNow();
      },
    });
  }

  get name(): string {
    if (this.awaited) return `%${this.options.interface!}`;
    return peerKey(this.address, this.options.interface);
  }

  /** From the settings until a session says more. */
  get external(): boolean {
    const { asn } = this.options;
    return this.negotiated
      ? this.negotiated.type === 'external'
      : asn === 'external' || (asn !== this.#host.localAsn && asn !== 'internal');
  }

  /** What becomes of its routes. RFC 8212: without a policy an external peer gives nothing. */
  get #import(): Judgement<ImportFilter> {
    return this.#host.policies().importFor(this.options.import, this.external, this.#policyPeer);
  }

  /** What it is told. RFC 8212: without a policy an external peer gets nothing. */
  get #export(): Judgement<ExportFilter> {
    return this.#host.policies().exportFor(this.options.export, this.external, this.#policyPeer);
  }

  get #policyPeer(): PolicyPeer {
    const { asn } = this.options;
    const configured = typeof asn === 'number' ? asn : asn === 'internal' ? this.#host.localAsn : 0;
    return {
      address: this.address,
      asn: this.negotiated?.peerAsn ?? this.ribPeer?.session.asn ?? configured,
      group: this.options.group,
    };
  }

  /** Which statement of its import policies has rejected a path, in words; undefined = none has. */
  whyRejected(rib: FamilyRib, prefixId: number, received: number): string | undefined {
    if (this.options.import === undefined) return undefined;
    const { pipeline } = this.#host;
    const policies = this.#host.policies();
    const chain = policies.chain('import', many(this.options.import));
    const env = importEnvironment(rib.family, this.external, this.#policyPeer);
    const pool = pipeline.rib.attributes;
    const start = pool.start(received);
    const prefix = { bytes: rib.addressBytes(prefixId), length: rib.prefixes.length[prefixId]! };
    const octets = pool.bytes(received).slice(start, start + pool.length(received));
    const trace = policies.trace(chain, env, prefix, octets);
    return trace.accepted ? undefined : describeRejection(chain.names, trace.decidedBy);
  }

  /** Dynamic peers: whoever connects from the address is refused. */
  get isKeptAway(): boolean {
    return this.disabled || this.limits.heldDown !== undefined;
  }

  /** Stale paths are still waited for. */
  get keepsStalePaths(): boolean {
    return this.#stalePaths.isWaiting;
  }

  /** Every family of the session has ended with End-of-RIB, or nothing is to be expected of the peer. */
  get hasSaidAll(): boolean {
    if (this.options.shutdown || this.disabled) return true;
    if (!this.ribPeer || !this.negotiated) return false;
    return this.negotiated.families.every((family) => this.ribPeer!.endOfRib[family === 'ipv4-unicast' ? 0 : 1]);
  }

  /**
   * RFC 4724 §4.1: after our own start, the wait for this peer's End-of-RIB comes before ours. Not for a peer that
   * restarts itself (both would wait for each other) nor for one without graceful restart.
   */
  get holdsOurEndOfRib(): boolean {
    if (this.hasSaidAll) return false;
    if (!this.negotiated) return true;
    const restart = this.negotiated.gracefulRestart;
    return restart !== undefined && !restart.restarting;
  }

  start(): void {
    if (this.options.shutdown || this.disabled || this.awaited) return;
    this.session.start();
    this.bfd.start();
  }

  /** Administratively down until `start`. */
  stop(subcode: number, text?: string): Promise<void> {
    const closed = this.session.stop(subcode, text);
    this.bfd.stop();
    return closed;
  }

  /** The speaker ends: so does the session, and nothing is waited for any more. */
  halt(subcode: number): Promise<void> {
    const closed = this.stop(subcode);
    this.limits.dispose();
    this.#stalePaths.cancel();
    return closed;
  }

  /** Leaves for good: the session ends, the paths go. */
  dispose(subcode: number, text?: string): Promise<void> {
    const closed = this.session.dispose(subcode, text);
    this.bfd.stop();
    this.limits.dispose();
    this.#host.pipeline.observers.delete(this.#watchOut);
    this.#stalePaths.cancel();
    if (this.ribPeer) this.#host.pipeline.rib.removePeer(this.ribPeer);
    this.ribPeer = undefined;
    this.#host.pipeline.schedule();
    return closed;
  }

  /** Takes new settings that need no new session; policies come later, with `applyImport` and `applyExport`. */
  reconfigure(options: PeerOptions): void {
    this.options = options;
    this.session.reconfigure(options);
    this.bfd.reconfigure(options);
    const otherLimit = this.limits.reconfigure(options);
    if (!this.ribPeer || !this.negotiated) return;
    if (otherLimit) this.#applyLimit(this.ribPeer, this.negotiated);
    this.#watchOutIfAsked();
  }

  /** Import policies may be others: what the peer has said is judged again where they are. */
  applyImport(): void {
    if (!this.ribPeer) return;
    const { accept, filter } = this.#import;
    const { importAccept, importFilter, group } = this.ribPeer.session;
    if (accept === importAccept && filter === importFilter && group === this.options.group) return;
    this.#host.pipeline.rib.setImport(this.ribPeer, accept, filter, this.options.group);
    this.#host.pipeline.schedule();
  }

  /** What may be told to the peer has changed: what differs is sent. */
  applyExport(): void {
    const { pipeline } = this.#host;
    if (!this.members.some((member) => member) || !this.negotiated) return;
    const { accept, filter } = this.#export;
    const rules = this.#exportRules(this.negotiated, this.#host.nodeAddresses());
    for (const [index, member] of this.members.entries()) {
      const now = member?.group.parameters;
      const clientToClient = !now?.client || this.#host.clientToClient();
      if (!member || !now) continue;
      const defaultRoute = this.#defaultRoute(now.family);
      if (rulesKey(now.rules) !== rulesKey(rules)) {
        // Every route may look different now.
        this.members[index] = pipeline.exporter.rejoin(member, {
          ...now,
          ...{ accept, filter, clientToClient, rules, defaultRoute },
        });
      } else if (
        now.accept !== accept ||
        now.filter !== filter ||
        now.clientToClient !== clientToClient ||
        defaultRouteKey(now.defaultRoute) !== defaultRouteKey(defaultRoute)
      ) {
        const parameters = { ...now, accept, filter, clientToClient, defaultRoute };
        this.members[index] = pipeline.exporter.repolicy(member, parameters);
      }
    }
    if (this.limits.watchesOut) this.#watchOut();
    pipeline.schedule();
  }

  // ===== SessionListener =====

  established(negotiated: Negotiated): void {
    this.negotiated = negotiated;
    const { pipeline, log } = this.#host;
    const addresses = this.#host.nodeAddresses();
    const session = this.#ribSession(negotiated, addresses);
    this.interfaceName = session.interfaceName;
    const before = this.ribPeer?.session;
    if (this.ribPeer && before?.external !== session.external) {
      // Who its routes went to follows from its type: they must all go before it can have another.
      pipeline.rib.removePeer(this.ribPeer);
      this.ribPeer = undefined;
    }
    this.ribPeer ??= pipeline.rib.addPeer(session);
    if (!this.ribPeer) {
      log.error({ peer: this.name }, 'too many peers: its session is closed');
      const full = new BgpError('too many peers', NotificationCode.cease, CeaseSubcode.outOfResources);
      // Not from within the event that made it Established.
      this.#host.clock.soon(() => this.session.cease(full));
      return;
    }
    const preserved = this.#stalePaths.preserved(negotiated);
    pipeline.rib.establish(this.ribPeer, session, preserved);
    this.#stalePaths.established(this.ribPeer, preserved);
    this.limits.begin();
    pipeline.rib.setPrefixLimit(this.ribPeer, this.limits.incoming);
    for (const family of negotiated.families) {
      const parameters = this.#groupParameters(family, negotiated, addresses);
      this.members[parameters.familyIndex] = pipeline.exporter.join(this.ribPeer.id, this.session, parameters);
    }
    log.info(
      { peer: this.name, asn: negotiated.peerAsn, families: negotiated.families, holdTime: negotiated.holdTimeSeconds },
      `peer ${this.name}: Established`,
    );
    this.bfd.established(negotiated.localAddress);
    pipeline.schedule();
    this.#host.peerChanged(this);
    this.#watchOutIfAsked();
  }

  update(bytes: Uint8Array, start: number, end: number): BgpError | undefined {
    const { pipeline } = this.#host;
    const { ribPeer } = this;
    if (!ribPeer) return undefined;
    const malformed = ribPeer.malformedUpdates;
    const error = pipeline.rib.receive(ribPeer, bytes, start, end);
    if (ribPeer.malformedUpdates !== malformed) this.#logMalformed(ribPeer, bytes, start, end, error);
    pipeline.relieve(ribPeer.id);
    return error;
  }

  #logMalformed(ribPeer: RibPeer, bytes: Uint8Array, start: number, end: number, error: BgpError | undefined): void {
    const { external, fourOctetAs, addPathReceive } = ribPeer.session;
    const context = { external, fourOctetAs, addPath: addPathReceive };
    this.#malformedLog.note(ribPeer.lastMalformed, bytes, start, end, context, error !== undefined);
  }

  routeRefresh(family: Family, subtype: number): void {
    const { pipeline } = this.#host;
    const index = family === 'ipv4-unicast' ? 0 : 1;
    const member = this.members[index];
    if (!member || !this.ribPeer) return;
    if (subtype === RouteRefreshSubtype.beginOfRefresh) {
      // Said again without a route in between it is no news, and marking all its routes takes as long as they are many.
      const { updatesIn } = this.session.counters;
      if (this.#refreshBegunAt[index] === updatesIn) return;
      this.#refreshBegunAt[index] = updatesIn;
      pipeline.rib.beginRefresh(this.ribPeer, family);
    } else if (subtype === RouteRefreshSubtype.endOfRefresh) pipeline.rib.endOfRib(this.ribPeer, family);
    else if (this.negotiated?.enhancedRouteRefresh) {
      pipeline.exporter.refresh(member, {
        opening: encodeRouteRefresh({ family, subtype: RouteRefreshSubtype.beginOfRefresh }),
        closing: encodeRouteRefresh({ family, subtype: RouteRefreshSubtype.endOfRefresh }),
      });
    } else pipeline.exporter.refresh(member, {});
    pipeline.schedule();
  }

  down(reason: DownReason): void {
    const { pipeline, log } = this.#host;
    const restart = this.negotiated?.gracefulRestart;
    const longLived = this.negotiated?.longLived ?? [];
    this.negotiated = undefined;
    pipeline.observers.delete(this.#watchOut);
    for (const [index, member] of this.members.entries()) {
      if (member) pipeline.exporter.leave(member);
      this.members[index] = undefined;
    }
    // RFC 4724 §4.2: the loss of the connection is a restart, and a NOTIFICATION between speakers of RFC 8538, unless hard.
    const graceful = restart && this.options.gracefulRestart && !reason.notification?.hard && !this.session.stopped;
    let kept = '';
    if (this.ribPeer) {
      if (graceful) {
        kept = `; routes kept for ${this.#stalePaths.keep(this.ribPeer, restart, longLived)}`;
      } else {
        this.#stalePaths.cancel();
        pipeline.rib.down(this.ribPeer);
      }
    }
    log.warn({ peer: this.name, reason: reason.text }, `peer ${this.name}: down: ${reason.text}${kept}`);
    pipeline.schedule();
    this.#host.peerChanged(this);
  }

  /** The peer has said all it has of a family. */
  endOfRib(family: Family): void {
    if (this.ribPeer) this.#stalePaths.endOfRib(this.ribPeer, family);
  }

  drained(): void {
    for (const member of this.members) if (member) this.#host.pipeline.exporter.drained(member);
    this.#host.pipeline.schedule();
  }

  /**
   * RFC 5882 §4.3: an Established session ends at once, with Cease/BFD Down (RFC 9384), and its routes with it: when BFD
   * fails first, nothing says that the peer restarts. When the session has gone first, and routes are kept for a peer that
   * restarts (RFC 4724), its BFD may just have gone with its control plane; only where the two are independent (C bit)
   * does it mean that nothing is forwarded any more.
   *
   * Both go the way of any session that ends: the RIB gives up the paths in one step and tells the kernel side.
   */
  #bfdFailed(why: string, independent: boolean): void {
    if (this.negotiated) {
      this.session.cease(new BgpError(`BFD Down: ${why}`, NotificationCode.cease, CeaseSubcode.bfdDown));
    } else if (this.keepsStalePaths && independent && this.ribPeer) {
      this.#stalePaths.giveUp(this.ribPeer);
    }
  }

  readonly #watchOut = (): void => this.limits.checkOut(this.members, this.#host.pipeline.exporter);

  #watchOutIfAsked(): void {
    const { observers } = this.#host.pipeline;
    if (!this.limits.watchesOut) observers.delete(this.#watchOut);
    else {
      observers.add(this.#watchOut);
      this.#watchOut();
    }
  }

  /** Another limit in the middle of a session: what the old one kept out is asked for, too many already are too many. */
  #applyLimit(ribPeer: RibPeer, negotiated: Negotiated): void {
    const keptOut = ribPeer.limit?.rejected ?? [0, 0];
    const limit = this.limits.incoming;
    this.#host.pipeline.rib.setPrefixLimit(ribPeer, limit);
    for (const family of negotiated.families) {
      const index = family === 'ipv4-unicast' ? 0 : 1;
      const count = countOf(ribPeer, index);
      if (limit?.rule.action === 'reset' && count > limit.rule.max) {
        limit.admits(index, count);
        this.session.cease(limit.error(family));
        return;
      }
      limit?.counted(index, count);
      if (keptOut[index]! > 0) this.session.sendRouteRefresh(family);
    }
  }

  #ribSession(negotiated: Negotiated, addresses: readonly NodeAddress[]): RibSession {
    const own = addresses.find((candidate) => equalBytes(candidate.bytes, negotiated.localAddress));
    const { accept, filter } = this.#import;
    return {
      address: this.address,
      asn: negotiated.peerAsn,
      external: negotiated.type === 'external',
      routeReflectorClient: this.options.routeReflectorClient,
      identifier: negotiated.peerIdentifier,
      fourOctetAs: negotiated.fourOctetAs,
      families: negotiated.families,
      addPathReceive: negotiated.addPathReceive,
      extendedNextHop: negotiated.extendedNextHop,
      importAccept: accept,
      importFilter: filter,
      group: this.options.group,
      ingress: ingressRules(this.options, negotiated),
      anyFirstAs: allowsAnyFirstAs(this.options),
      interfaceName: this.options.interface ?? own?.interfaceName,
    };
  }

  /** Paths per prefix that this peer is told; 0 = the best alone, as without ADD-PATH. */
  #addPathLimit(family: Family, negotiated: Negotiated): number {
    const { send } = this.options.addPath;
    if (send === 'best' || !negotiated.addPathSend.includes(family)) return 0;
    return send === 'all' ? Infinity : send;
  }

  #exportRules(negotiated: Negotiated, addresses: readonly NodeAddress[]): ExportRules | undefined {
    const own = addresses.find((candidate) => equalBytes(candidate.bytes, negotiated.localAddress));
    const isNeighbour = own !== undefined && !own.linkLocal && !own.loopback && isOnSubnet(own, this.address);
    const subnet = isNeighbour ? { bytes: own.bytes, prefixLength: own.prefixLength } : undefined;
    return exportRules(this.options, negotiated, { draining: this.#host.draining(), subnet });
  }

  #groupParameters(family: Family, negotiated: Negotiated, addresses: readonly NodeAddress[]): GroupParameters {
    const own = ownNextHops(
      addresses,
      negotiated.localAddress,
      this.options.interface,
      negotiated.type === 'external' || negotiated.extendedNextHop,
    );
    const familyIndex = family === 'ipv4-unicast' ? 0 : 1;
    // On an unnumbered link IPv4 addresses, should there be any, need not be known at the other end.
    const extended = negotiated.extendedNextHop ? own.ipv6 : undefined;
    const overLinkLocal = isLinkLocal(negotiated.localAddress);
    const nextHop = familyIndex === 1 ? own.ipv6 : overLinkLocal ? (extended ?? own.ipv4) : (own.ipv4 ?? extended);
    if (nextHop && !isLinkLocal(nextHop)) this.#host.ownNextHop(nextHop);
    if (!nextHop) {
      this.#host.log.warn(
        { peer: this.name, family },
        `peer ${this.name}: our own ${family} routes are not advertised: no address of that family on the session's interface`,
      );
    }
    const client = negotiated.type === 'internal' && this.options.routeReflectorClient;
    return {
      family,
      familyIndex,
      external: negotiated.type === 'external',
      client,
      clientToClient: !client || this.#host.clientToClient(),
      ...this.#export,
      fourOctetAs: negotiated.fourOctetAs,
      extendedNextHop: negotiated.extendedNextHop,
      addPathLimit: this.#addPathLimit(family, negotiated),
      maxMessageLength: negotiated.maxMessageLength,
      nextHopSelf: this.options.nextHopSelf,
      rules: this.#exportRules(negotiated, addresses),
      nextHop,
      defaultRoute: this.#defaultRoute(family),
    };
  }

  /** The default route that the peer gets from us now. */
  #defaultRoute(family: Family): DefaultRoute | undefined {
    const { defaultOriginate } = this.options;
    if (!defaultOriginate) return undefined;
    return originateDefault(defaultOriginate, family, {
      policies: this.#host.policies(),
      peer: this.#policyPeer,
      hasRoute: (prefix) => this.#host.hasRoute(prefix, this.ribPeer?.id ?? -1),
    });
  }
}
