/**
 * A checked configuration to settings: groups merged (the peer's own keys win), defaults applied. Nothing here can
 * fail: what does not make sense was refused by `sense.ts`.
 */
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from 'bgp-parse';
import type { Family } from 'bgp-parse';
import { DEFAULTS, type RawConfig, type RawPeer, type RawPeerOptions, type RawRange } from './schema.js';
import type { EncapsulationSettings, LimitSettings, NetworkSettings, PeerOptions, Settings } from './settings.js';

/** Addresses and prefixes are written in one way (RFC 5952), so that equal ones compare equal as text. */
export function normalAddress(value: string): string {
  const bytes = parseAddress(value);
  return bytes ? formatAddress(bytes) : value;
}

function normalPrefix(value: string): string {
  const prefix = parsePrefix(value);
  return prefix ? formatPrefix(prefix) : value;
}

/** The address of a peer; link-local ones with their interface, `%eth1` for whoever is found there. */
export function peerAddress(peer: RawPeer): string {
  const address = peer.address === undefined ? '' : normalAddress(peer.address);
  return peer.interface !== undefined && (address === '' || isLinkLocal(parseAddress(address)!))
    ? `${address}%${peer.interface}`
    : address;
}

export function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}

/** The keys of the group, overlaid with the own ones. */
export function withGroup<T extends RawPeer | RawRange>(own: T, groups: RawConfig['groups']): T {
  const group = own.group !== undefined && groups && Object.hasOwn(groups, own.group) ? groups[own.group] : undefined;
  if (!group) return own;
  // A password of the peer's own, in whichever form, replaces that of the group.
  const hasOwn = own.password !== undefined || own.passwordFile !== undefined;
  return { ...group, ...(hasOwn && { password: undefined, passwordFile: undefined }), ...own };
}

/** `secrets`: what stands in the files that are named, by name. */
export function resolveSettings(raw: RawConfig, secrets: ReadonlyMap<string, string> = new Map()): Settings {
  const asn = raw.asn!;
  const control = raw.control ?? {};
  const fib = raw.fib ?? {};
  return {
    asn,
    routerId: raw.routerId,
    listen: (raw.listen ?? DEFAULTS.listen).map(normalAddress),
    port: raw.port ?? DEFAULTS.port,
    networks: (raw.networks ?? []).map(resolveNetwork),
    clusterId: raw.clusterId,
    clientToClientReflection: raw.clientToClientReflection ?? true,
    ...resolveDecision(raw.decision),
    peers: (raw.peers ?? []).map((peer) => {
      const merged = withGroup(peer, raw.groups);
      const options = resolveOptions(merged, peer.group, secrets);
      // An unnumbered link has no IPv4 addresses that could be next hops.
      const extendedNextHop = merged.extendedNextHop ?? merged.address === undefined;
      return { address: peerAddress(merged), ...options, extendedNextHop };
    }),
    listenRanges: (raw.listenRanges ?? []).map((range) => {
      return {
        prefix: normalPrefix(range.prefix!),
        maxPeers: range.maxPeers ?? DEFAULTS.maxPeers,
        peer: resolveOptions(withGroup(range, raw.groups), range.group, secrets),
      };
    }),
    multipath: {
      ebgp: raw.multipath?.ebgp ?? DEFAULTS.multipath.ebgp,
      ibgp: raw.multipath?.ibgp ?? DEFAULTS.multipath.ibgp,
      asPath: raw.multipath?.asPath ?? DEFAULTS.multipath.asPath,
    },
    advertise: raw.advertise,
    policy: {
      policies: raw.policies ?? {},
      prefixLists: raw.prefixLists ?? {},
      asPathLists: raw.asPathLists ?? {},
      communityLists: raw.communityLists ?? {},
      pools: raw.pools ?? [],
    },
    fib: {
      enabled: fib.enabled ?? DEFAULTS.fib.enabled,
      table: fib.table ?? DEFAULTS.fib.table,
      protocol: fib.protocol ?? DEFAULTS.fib.protocol,
      metric: fib.metric ?? DEFAULTS.fib.metric,
      vrf: fib.vrf,
      prefSrc: resolvePrefSrc(fib.prefSrc),
      setSysctls: fib.setSysctls,
      masquerade: fib.masquerade && { pools: (fib.masquerade.pools ?? []).map(normalPrefix) },
      backup: fib.backup ?? DEFAULTS.fib.backup,
      nexthopObjects: fib.nexthopObjects ?? DEFAULTS.fib.nexthopObjects,
    },
    encapsulation: resolveEncapsulation(raw.encapsulation),
    ...(raw.limits && { limits: resolveLimitsOfNode(raw.limits) }),
    control: {
      socket: control.socket ?? DEFAULTS.socket,
      mode: control.mode === undefined ? undefined : Number.parseInt(control.mode, 8),
      group: control.group,
      http: control.http,
      token: control.tokenFile === undefined ? undefined : secrets.get(control.tokenFile),
    },
    log: { level: raw.log?.level ?? DEFAULTS.logLevel },
  };
}

function resolveEncapsulation(raw: RawConfig['encapsulation']): EncapsulationSettings | undefined {
  const defaults = DEFAULTS.encapsulation;
  const when = raw?.when ?? defaults.when;
  if (!raw || when === 'never') return undefined;
  const mode = raw.mode ?? defaults.mode;
  const local = raw.localAddress ?? [];
  return {
    mode,
    when,
    vni: raw.vni ?? defaults.vni,
    port: raw.port ?? defaults.port,
    interface: raw.interface ?? defaults.interface[mode],
    mtu: raw.mtu,
    localAddresses: (typeof local === 'string' ? [local] : local).map(normalAddress),
    hosts: (raw.hosts ?? defaults.hosts).map(normalPrefix),
  };
}

function resolveLimitsOfNode(raw: NonNullable<RawConfig['limits']>): LimitSettings {
  const { openTime, ...others } = { ...DEFAULTS.limits, ...raw };
  return { ...others, openTimeSeconds: openTime } as LimitSettings;
}

/** Where the configuration says nothing. */
export const DEFAULT_LIMITS = resolveLimitsOfNode({});

/** Only where it is not as RFC 4271 has it. */
function resolveDecision(raw: RawConfig['decision']): Pick<Settings, 'decision'> {
  const { alwaysCompareMed = false, deterministicMed = true } = raw ?? {};
  return alwaysCompareMed || !deterministicMed ? { decision: { alwaysCompareMed, deterministicMed } } : {};
}

function resolvePrefSrc(raw: string | string[] | undefined): readonly string[] | undefined {
  return raw === undefined ? undefined : (Array.isArray(raw) ? raw : [raw]).map(normalAddress);
}

type RawNetwork = NonNullable<RawConfig['networks']>[number];

function resolveNetwork(raw: RawNetwork): NetworkSettings {
  if (raw.prefix === undefined) return { interface: raw.interface! };
  return { prefix: normalPrefix(raw.prefix), ...(raw.blackhole ? { blackhole: true } : {}) };
}

function resolveOptions(
  raw: RawPeerOptions,
  group: string | undefined,
  secrets: ReadonlyMap<string, string>,
): PeerOptions {
  const holdTimeSeconds = raw.holdTime ?? DEFAULTS.holdTime;
  return {
    asn: raw.asn!,
    group,
    description: raw.description,
    localAddress: raw.localAddress === undefined ? undefined : normalAddress(raw.localAddress),
    interface: raw.interface,
    port: raw.port ?? DEFAULTS.peerPort,
    passive: raw.passive ?? false,
    multihop: raw.multihop === true ? DEFAULTS.multihopTtl : raw.multihop === false ? undefined : raw.multihop,
    ttlSecurityHops: raw.ttlSecurity === true ? 1 : raw.ttlSecurity === false ? undefined : raw.ttlSecurity,
    password: raw.passwordFile === undefined ? raw.password : secrets.get(raw.passwordFile),
    holdTimeSeconds,
    keepaliveTimeSeconds: raw.keepaliveTime ?? defaultKeepalive(holdTimeSeconds),
    connectRetryTimeSeconds: raw.connectRetryTime ?? DEFAULTS.connectRetryTime,
    families: [...new Set(raw.families ?? DEFAULTS.families)],
    routeReflectorClient: raw.routeReflectorClient ?? false,
    nextHopSelf: raw.nextHopSelf ?? false,
    addPath: {
      send: raw.addPath?.send ?? DEFAULTS.addPath.send,
      receive: raw.addPath?.receive ?? DEFAULTS.addPath.receive,
    },
    gracefulRestart: resolveGracefulRestart(raw.gracefulRestart),
    extendedMessages: raw.extendedMessages ?? false,
    extendedNextHop: raw.extendedNextHop ?? false,
    bfd: resolveBfd(raw.bfd),
    shutdown: raw.shutdown ?? false,
    ...resolveLimits(raw),
    ...resolvePathOptions(raw),
    ...(raw.role && { role: raw.role, roleStrict: raw.roleStrict ?? false }),
    import: raw.import,
    export: raw.export,
  };
}

/** Only what was asked for. */
function resolvePathOptions(raw: RawPeerOptions): Partial<PeerOptions> {
  const { localAs, removePrivateAs, sendCommunity } = raw;
  const map = typeof localAs === 'number' ? { asn: localAs } : localAs;
  return {
    ...(raw.gracefulShutdown && { gracefulShutdown: true }),
    ...(raw.allowAsIn !== undefined && { allowAsIn: raw.allowAsIn }),
    ...(raw.asOverride && { asOverride: true }),
    ...(map && {
      localAs: {
        asn: map.asn!,
        noPrepend: map.noPrepend ?? false,
        replaceAs: map.replaceAs ?? false,
        dualAs: map.dualAs ?? false,
      },
    }),
    ...(removePrivateAs && { removePrivateAs: removePrivateAs === true ? 'whole' : removePrivateAs }),
    ...(raw.nextHopUnchanged && { nextHopUnchanged: true }),
    ...(sendCommunity && {
      sendCommunity: {
        standard: sendCommunity.standard ?? true,
        large: sendCommunity.large ?? true,
        extended: sendCommunity.extended ?? true,
      },
    }),
    ...(raw.enforceFirstAs !== undefined && { enforceFirstAs: raw.enforceFirstAs }),
    ...(raw.asSets === 'accept' && { asSets: raw.asSets }),
    ...(raw.blackhole === 'accept' && { blackhole: raw.blackhole }),
    ...resolveDefaultOriginate(raw.defaultOriginate),
  };
}

function resolveDefaultOriginate(raw: RawPeerOptions['defaultOriginate']): Partial<PeerOptions> {
  if (raw === undefined || raw === false) return {};
  const { families, when, policy } = raw === true ? {} : raw;
  return {
    defaultOriginate: {
      ...(families && { families: [...new Set(families)] }),
      ...(when !== undefined && { when: (Array.isArray(when) ? when : [when]).map(normalPrefix) }),
      ...(policy !== undefined && { policy }),
    },
  };
}

function resolveLimits({ prefixLimit, prefixLimitOut }: RawPeerOptions): Partial<PeerOptions> {
  return {
    ...(prefixLimit && {
      prefixLimit: {
        max: prefixLimit.max!,
        warnAt: prefixLimit.warnAt,
        action: prefixLimit.action ?? 'reject',
        restartAfterSeconds: prefixLimit.restartAfter,
      },
    }),
    ...(prefixLimitOut && {
      prefixLimitOut: {
        max: prefixLimitOut.max!,
        warnAt: prefixLimitOut.warnAt,
        restartAfterSeconds: prefixLimitOut.restartAfter,
      },
    }),
  };
}

function resolveBfd(raw: RawPeerOptions['bfd']): PeerOptions['bfd'] {
  if (raw === undefined || raw === false) return undefined;
  const given = raw === true ? {} : raw;
  return {
    minTxMs: given.minTxMs ?? DEFAULTS.bfd.minTxMs,
    minRxMs: given.minRxMs ?? DEFAULTS.bfd.minRxMs,
    multiplier: given.multiplier ?? DEFAULTS.bfd.multiplier,
    multihop: given.multihop,
  };
}

/** RFC 4271 §10: a third of the hold time. */
export function defaultKeepalive(holdTimeSeconds: number): number {
  return Math.floor(holdTimeSeconds / DEFAULTS.keepaliveDivisor);
}

function resolveStaleTime(raw: number | { readonly [family in Family]?: number | undefined } = DEFAULTS.staleTime) {
  return typeof raw === 'number' ? { 'ipv4-unicast': raw, 'ipv6-unicast': raw } : raw;
}

function resolveGracefulRestart(raw: RawPeerOptions['gracefulRestart']): PeerOptions['gracefulRestart'] {
  if (raw === false) return undefined;
  const map = raw === true ? undefined : raw;
  const longLived = map?.longLived;
  return {
    restartTimeSeconds: map?.restartTime ?? DEFAULTS.restartTime,
    ...(longLived && { longLived: { staleTimeSeconds: resolveStaleTime(longLived.staleTime) } }),
  };
}
