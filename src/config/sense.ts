/**
 * Checks of values against each other. Works on the file's own form, so that every finding has a place: what a peer took
 * from its group is reported at the group. Values whose shape was refused are absent here.
 */
import { equalBytes, formatPrefix, parseAddress, parsePrefix } from 'bgp-parse';
import { checkPolicies, checkPolicyUse } from './policy-sense.js';
import type { Path } from './problems.js';
import { defaultKeepalive, isLinkLocal, normalAddress, peerAddress, withGroup } from './resolve.js';
import { DEFAULTS, type RawConfig, type RawPeer, type RawPeerOptions, type RawRange } from './schema.js';
import { listed, quoted } from './shown.js';

type Report = (path: Path, message: string) => void;

/** `functions`: policies that the embedding program brings along. */
export function checkSense(raw: RawConfig, functions: readonly string[], report: Report): void {
  if (raw.asn === undefined) report(['asn'], 'is missing: give our AS number');
  checkListen(raw, report);
  checkNetworks(raw, report);
  checkPeers(raw, functions, report);
  checkRanges(raw, functions, report);
  checkPolicies(raw, functions, report);
  checkMasquerade(raw, report);
  checkPrefSrc(raw, report);
  checkGroups(raw, report);
  if (raw.control?.tokenFile !== undefined && raw.control.http === undefined)
    report(['control', 'tokenFile'], 'needs control.http: over the socket no token is asked for');
  if (raw.fib?.vrf !== undefined && raw.fib.table !== undefined)
    report(['fib', 'vrf'], 'cannot be used with table: the table is that of the VRF device');
  checkEncapsulation(raw, report);
  if (raw.advertise === 'whenInstalled' && raw.fib?.enabled === false)
    report(['advertise'], 'whenInstalled needs fib.enabled: true');
  if (raw.fib?.table === 255)
    report(['fib', 'table'], "must not be 255: that is the kernel's own table of local addresses");
}

function checkListen(raw: RawConfig, report: Report): void {
  const seen = new Set<string>();
  raw.listen?.map(normalAddress).forEach((value, index) => {
    if (seen.has(value)) report(['listen', index], `${value} is listed twice`);
    seen.add(value);
  });
}

function checkNetworks(raw: RawConfig, report: Report): void {
  const seen = new Set<string>();
  raw.networks?.forEach((network, index) => {
    const at = ['networks', index];
    if ((network.prefix === undefined) === (network.interface === undefined)) {
      report(at, 'must have one of the keys prefix and interface');
      return;
    }
    if (network.blackhole) {
      if (network.prefix === undefined)
        report([...at, 'blackhole'], 'needs the key prefix: a connected subnet needs none');
      else if (raw.fib?.enabled === false) report([...at, 'blackhole'], 'needs fib.enabled: true');
    }
    if (network.prefix !== undefined) checkHostBits(network.prefix, [...at, 'prefix'], report);
    const identity = network.prefix ?? network.interface!;
    if (seen.has(identity)) report(at, `${identity} is listed twice`);
    seen.add(identity);
  });
}

function checkMasquerade(raw: RawConfig, report: Report): void {
  const masquerade = raw.fib?.masquerade;
  if (!masquerade) return;
  const at = ['fib', 'masquerade'];
  if (raw.fib?.enabled === false) report(at, 'needs fib.enabled: true');
  if (!masquerade.pools?.length) report([...at, 'pools'], 'must name at least one prefix');
  masquerade.pools?.forEach((pool, index) => checkHostBits(pool, [...at, 'pools', index], report));
}

function checkPrefSrc(raw: RawConfig, report: Report): void {
  const value = raw.fib?.prefSrc;
  const bytes = (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((text) => parseAddress(text)!);
  const at = ['fib', 'prefSrc'];
  if (new Set(bytes.map((each) => each.length)).size < bytes.length) report(at, 'may have one address of each family');
  if (bytes.some((each) => each.every((octet) => octet === 0))) report(at, 'must be the address of one host');
}

function checkHostBits(value: string, at: Path, report: Report): void {
  const prefix = parsePrefix(value);
  if (prefix && !parsePrefix(value, true))
    report(at, `${value} has host bits set; did you mean ${formatPrefix(prefix)}?`);
}

function checkPeers(raw: RawConfig, functions: readonly string[], report: Report): void {
  const firstAt = new Map<string, number>();
  raw.peers?.forEach((peer, index) => {
    const at = ['peers', index];
    const origin = checkGroup(peer, at, raw, report);
    const merged = withGroup(peer, raw.groups);
    if (merged.address === undefined && merged.interface === undefined) {
      report([...at, 'address'], 'is missing: give the address of the peer, or the interface it is found on');
    } else {
      const address = peerAddress(merged);
      const first = firstAt.get(address);
      if (first !== undefined) report([...at, 'address'], `${address} is already peers[${first}]`);
      else firstAt.set(address, index);
      checkAddresses(merged, origin, report);
    }
    checkOptions(merged, at, origin, raw, report);
    checkPolicyUse(merged, origin, raw, functions, report);
  });
}

function checkRanges(raw: RawConfig, functions: readonly string[], report: Report): void {
  const firstAt = new Map<string, number>();
  raw.listenRanges?.forEach((range, index) => {
    const at = ['listenRanges', index];
    const origin = checkGroup(range, at, raw, report);
    const prefix = range.prefix === undefined ? undefined : parsePrefix(range.prefix);
    if (!prefix) report([...at, 'prefix'], 'is missing: give the prefix peers connect from');
    else {
      checkHostBits(range.prefix!, [...at, 'prefix'], report);
      // Ranges may overlap, the longest holds; only the same one twice cannot be meant.
      const text = formatPrefix(prefix);
      const first = firstAt.get(text);
      if (first !== undefined) report([...at, 'prefix'], `${text} is already listenRanges[${first}]`);
      else firstAt.set(text, index);
    }
    const merged = withGroup(range, raw.groups);
    checkOptions(merged, at, origin, raw, report);
    checkPolicyUse(merged, origin, raw, functions, report);
  });
}

function checkEncapsulation(raw: RawConfig, report: Report): void {
  const encapsulation = raw.encapsulation;
  if (!encapsulation || encapsulation.when === 'never') return;
  if (raw.fib?.enabled === false)
    report(['encapsulation'], 'needs fib.enabled: true; without routes there is no tunnel');
  if (encapsulation.mode === 'ipip') {
    for (const key of ['vni', 'port'] as const) {
      if (encapsulation[key] !== undefined) report(['encapsulation', key], 'is only for mode vxlan');
    }
  }
  encapsulation.hosts?.forEach((value, index) => checkHostBits(value, ['encapsulation', 'hosts', index], report));
  const local = encapsulation.localAddress ?? [];
  const families = (typeof local === 'string' ? [local] : local).map((value) => parseAddress(value)?.length);
  if (new Set(families).size < families.length)
    report(['encapsulation', 'localAddress'], 'has two addresses of one family: give at most one of each');
}

/** Where a key of a merged peer came from. */
type Origin = (key: string) => Path;

function checkGroup(own: RawPeer | RawRange, at: Path, raw: RawConfig, report: Report): Origin {
  const name = own.group;
  const group = name !== undefined && raw.groups && Object.hasOwn(raw.groups, name) ? raw.groups[name] : undefined;
  if (name !== undefined && !group) {
    const names = Object.keys(raw.groups ?? {});
    report(
      [...at, 'group'],
      `there is no group ${quoted(name)}; ${names.length ? `groups are ${listed(names)}` : 'groups is empty'}`,
    );
  }
  return (key) =>
    !Object.hasOwn(own, key) && group && Object.hasOwn(group, key) ? ['groups', name!, key] : [...at, key];
}

function checkAddresses(peer: RawPeer, origin: Origin, report: Report): void {
  if (peer.address === undefined) {
    if (peer.localAddress !== undefined)
      report(origin('localAddress'), 'is not for peers without address: the link-local one is used');
    return;
  }
  const bytes = parseAddress(peer.address)!;
  if (bytes.every((octet) => octet === 0)) report(origin('address'), 'must be the address of one host');
  if (isLinkLocal(bytes) && peer.interface === undefined) {
    report(origin('address'), `${peer.address} is link-local: add the key interface`);
  }
  if (peer.localAddress === undefined) return;
  const local = parseAddress(peer.localAddress)!;
  if (local.length !== bytes.length) {
    report(origin('localAddress'), `must be of the same family as the address ${peer.address}`);
  } else if (equalBytes(local, bytes)) {
    report(origin('localAddress'), 'is the same as the address of the peer');
  }
}

function checkOptions(options: RawPeerOptions, at: Path, origin: Origin, raw: RawConfig, report: Report): void {
  if (options.asn === undefined) {
    report([...at, 'asn'], "is missing: give the peer's AS number, internal or external (here or in the group)");
  }
  checkPassword(options, origin, report);
  checkTimes(options, origin, report);
  checkLimits(options, origin, report);
  checkType(options, origin, raw.asn, report);
  checkDefaultOriginate(options, origin, report);
  if (options.families?.length === 0)
    report(origin('families'), 'is empty: name at least one family, or remove the key');
  if (isSet(options.multihop) && isSet(options.ttlSecurity)) {
    report(origin('ttlSecurity'), 'cannot be used with multihop; a peer several hops away is ttlSecurity: <hops>');
  }
}

function checkDefaultOriginate(options: RawPeerOptions, origin: Origin, report: Report): void {
  const { defaultOriginate } = options;
  if (typeof defaultOriginate !== 'object') return;
  const at = origin('defaultOriginate');
  const { families, when } = defaultOriginate;
  if (families?.length === 0) report([...at, 'families'], 'is empty: name at least one family, or remove the key');
  for (const one of families ?? []) {
    if (options.families && !options.families.includes(one)) {
      report([...at, 'families'], `${one} is not one of the families of the peer`);
    }
  }
  if (when === undefined) return;
  const prefixes = Array.isArray(when) ? when : [when];
  if (prefixes.length === 0) report([...at, 'when'], 'is empty: name at least one prefix, or remove the key');
  for (const one of prefixes) checkHostBits(one, [...at, 'when'], report);
  for (const one of families ?? []) {
    const isOf = (text: string) => (text.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast') === one;
    if (!prefixes.some(isOf)) report([...at, 'when'], `has no prefix of ${one}, where nothing would ever be sent`);
  }
}

/** Their meaning is about the border of the AS. */
const EXTERNAL_ONLY = ['asOverride', 'localAs', 'removePrivateAs', 'nextHopUnchanged', 'enforceFirstAs'] as const;

function checkLocalAs(
  { asn: peerAsn, localAs }: RawPeerOptions,
  internal: boolean,
  asn: number,
  origin: Origin,
  report: Report,
): void {
  if (localAs === undefined || internal) return;
  const other = typeof localAs === 'number' ? localAs : localAs.asn;
  if (other === undefined) report([...origin('localAs'), 'asn'], 'is missing: give our AS number towards the peer');
  else if (other === asn) report(origin('localAs'), `${other} is our AS number anyway; remove the key`);
  else if (other === peerAsn) report(origin('localAs'), `${other} is the AS number of the peer`);
}

function checkLimits(options: RawPeerOptions, origin: Origin, report: Report): void {
  for (const name of ['prefixLimit', 'prefixLimitOut'] as const) {
    const limit = options[name];
    if (!limit) continue;
    if (limit.max === undefined) report([...origin(name), 'max'], 'is missing: give the number of prefixes');
    else if (limit.warnAt !== undefined && limit.warnAt > limit.max) {
      report([...origin(name), 'warnAt'], `must be 1..${limit.max}, not above max`);
    }
  }
  const limit = options.prefixLimit;
  if (limit?.restartAfter !== undefined && limit.action !== 'reset') {
    report([...origin('prefixLimit'), 'restartAfter'], 'is only for action: reset');
  }
}

/** RFC 2385 has no limit; the kernel's is 80 octets, which are fewer characters when they are not ASCII. */
const MOST_PASSWORD_OCTETS = 80;

function checkPassword(options: RawPeerOptions, origin: Origin, report: Report): void {
  if (options.tcpAo !== undefined) {
    report(
      origin('tcpAo'),
      'is not possible: TCP-AO (RFC 5925) needs Linux 6.7 or later with CONFIG_TCP_AO, and is not in this version; use password (TCP MD5)',
    );
  }
  if (options.password !== undefined && new TextEncoder().encode(options.password).length > MOST_PASSWORD_OCTETS)
    report(origin('password'), `must be at most ${MOST_PASSWORD_OCTETS} octets long`);
  if (options.password !== undefined && options.passwordFile !== undefined)
    report(origin('passwordFile'), 'cannot be used with password; give one of them');
}

/** What a group says for nobody is judged, too: it is for those who come later. */
function checkGroups(raw: RawConfig, report: Report): void {
  for (const [name, group] of Object.entries(raw.groups ?? {}))
    checkPassword(group, (key) => ['groups', name, key], report);
}

function isSet(value: boolean | number | undefined): boolean {
  return value !== undefined && value !== false;
}

function checkTimes(options: RawPeerOptions, origin: Origin, report: Report): void {
  const holdTime = options.holdTime ?? DEFAULTS.holdTime;
  const keepaliveTime = options.keepaliveTime ?? defaultKeepalive(holdTime);
  if (holdTime === 0 ? keepaliveTime !== 0 : keepaliveTime === 0 || keepaliveTime >= holdTime) {
    const allowed =
      holdTime === 0 ? '0, because holdTime is 0' : `1..${holdTime - 1}, less than holdTime (${holdTime})`;
    report(origin('keepaliveTime'), `must be ${allowed}`);
  }
}

function checkType(options: RawPeerOptions, origin: Origin, asn: number | undefined, report: Report): void {
  if (options.asn === undefined || asn === undefined) return;
  const internal = options.asn === 'internal' || options.asn === asn;
  if (options.routeReflectorClient === true && !internal) {
    report(
      origin('routeReflectorClient'),
      `is only for internal peers, and this one is external (asn ${options.asn}, ours is ${asn})`,
    );
  }
  if (options.role !== undefined && internal) {
    report(origin('role'), 'is only for external peers (RFC 9234)');
  }
  checkLocalAs(options, internal, asn, origin, report);
  for (const name of EXTERNAL_ONLY) {
    if (internal && options[name] !== undefined && options[name] !== false) {
      report(origin(name), 'is only for external peers');
    }
  }
  if (options.nextHopUnchanged === true && options.nextHopSelf === true) {
    report(origin('nextHopUnchanged'), 'cannot be used with nextHopSelf');
  }
  if (options.roleStrict === true && options.role === undefined) report(origin('roleStrict'), 'needs the key role');
  if (isSet(options.multihop) && internal) {
    report(origin('multihop'), 'is only for external peers; internal ones may always be several hops away');
  }
}
