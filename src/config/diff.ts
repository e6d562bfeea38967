/**
 * What changed between two settings, as data: the reload touches only this. Pure. Peers are the same when their address
 * is, ranges when their prefix is; the order of lists means nothing.
 */
import { PEER_OPTION_KEYS, ROOT_KEYS } from './schema.js';
import type { Keys, Reload } from './kinds.js';
import type { ListenRangeSettings, NetworkSettings, PeerOptions, PeerSettings, Settings } from './settings.js';

export interface Changes<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
}

/** `maxPeers`: of a listen range only. */
export type OptionName = keyof PeerOptions | 'maxPeers';

export interface ChangedPeer<T> {
  readonly before: T;
  readonly after: T;
  /** Names of the settings that differ, e.g. `holdTimeSeconds`. */
  readonly keys: readonly OptionName[];
  /** `session` = the session must be closed and opened again, `live` = it can stay. */
  readonly effect: 'live' | 'session';
}

export interface SettingsDiff {
  readonly peers: Changes<PeerSettings> & { readonly changed: readonly ChangedPeer<PeerSettings>[] };
  readonly listenRanges: Changes<ListenRangeSettings> & {
    readonly changed: readonly ChangedPeer<ListenRangeSettings>[];
  };
  readonly networks: Changes<NetworkSettings>;
  readonly listen: Changes<string>;
  /** Other settings of the node that differ, by the configuration's path (`asn`, `fib.metric`), with what it takes. */
  readonly global: readonly { readonly key: string; readonly effect: Reload }[];
  readonly isEmpty: boolean;
}

export function diffSettings(before: Settings, after: Settings): SettingsDiff {
  const peers = diffPeers(
    before.peers,
    after.peers,
    (peer) => peer.address,
    (peer) => peer,
  );
  const listenRanges = diffPeers(
    before.listenRanges,
    after.listenRanges,
    (range) => range.prefix,
    ({ maxPeers, peer }) => ({ maxPeers, ...peer }),
  );
  const networks = diffLists(before.networks, after.networks, (network) => JSON.stringify(network));
  const listen = diffLists(before.listen, after.listen, (address) => address);
  const global = diffGlobal(before, after);
  const isEmpty =
    [peers, listenRanges, networks, listen].every((part) => part.added.length + part.removed.length === 0) &&
    peers.changed.length + listenRanges.changed.length + global.length === 0;
  return { peers, listenRanges, networks, listen, global, isEmpty };
}

/** The new settings, except that what takes a restart of the daemon stays as it was. */
export function untilRestart(before: Settings, after: Settings): Settings {
  const merge = <T extends object>(section: 'fib' | 'control', old: T, now: T): T => {
    const keys = ROOT_KEYS[section].kind.keys as Keys;
    const keeps = ([name]: [string, unknown]) => keys[name]?.reload === 'restart';
    return { ...now, ...Object.fromEntries(Object.entries(old).filter(keeps)) };
  };
  return {
    ...after,
    fib: merge('fib', before.fib, after.fib),
    control: merge('control', before.control, after.control),
  };
}

function diffLists<T>(before: readonly T[], after: readonly T[], identity: (item: T) => string): Changes<T> {
  const old = new Set(before.map(identity));
  const now = new Set(after.map(identity));
  return {
    added: after.filter((item) => !old.has(identity(item))),
    removed: before.filter((item) => !now.has(identity(item))),
  };
}

function diffPeers<T>(
  before: readonly T[],
  after: readonly T[],
  identity: (item: T) => string,
  options: (item: T) => Options,
): Changes<T> & { readonly changed: readonly ChangedPeer<T>[] } {
  const old = new Map(before.map((item) => [identity(item), item]));
  const changed: ChangedPeer<T>[] = [];
  for (const item of after) {
    const previous = old.get(identity(item));
    if (!previous) continue;
    const keys = changedOptions(options(previous), options(item));
    if (keys.length === 0) continue;
    changed.push({ before: previous, after: item, keys, effect: effectOfAll(keys) });
  }
  return { ...diffLists(before, after, identity), changed };
}

type Options = PeerOptions & { readonly maxPeers?: number };

/** What it takes to get from one peer's options to others; undefined = nothing. */
export function changeOfOptions(
  before: PeerOptions,
  after: PeerOptions,
): Pick<ChangedPeer<PeerOptions>, 'keys' | 'effect'> | undefined {
  const keys = changedOptions(before, after);
  return keys.length === 0 ? undefined : { keys, effect: effectOfAll(keys) };
}

function effectOfAll(keys: readonly OptionName[]): 'live' | 'session' {
  return keys.some((key) => effectOf(key) === 'session') ? 'session' : 'live';
}

function changedOptions(before: Options, after: Options): OptionName[] {
  const names = Object.keys({ ...before, ...after }) as (OptionName | 'address')[];
  return names.filter((name): name is OptionName => name !== 'address' && !same(before[name], after[name]));
}

/** Settings are plain values with a fixed order of keys. */
function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Settings whose configuration key has another name (units are written into the names of settings). */
const KEY_OF: { readonly [setting: string]: string } = {
  holdTimeSeconds: 'holdTime',
  keepaliveTimeSeconds: 'keepaliveTime',
  connectRetryTimeSeconds: 'connectRetryTime',
  ttlSecurityHops: 'ttlSecurity',
};

function effectOf(setting: OptionName): Reload {
  const keys: Keys = PEER_OPTION_KEYS;
  // `group` is a name that is shown, `maxPeers` asked when somebody comes.
  return keys[KEY_OF[setting] ?? setting]?.reload ?? 'live';
}

function diffGlobal(before: Settings, after: Settings): { key: string; effect: Reload }[] {
  const out: { key: string; effect: Reload }[] = [];
  const compare = (path: string, keys: Keys, name: string, a: unknown, b: unknown): void => {
    if (!same(a, b)) out.push({ key: path, effect: keys[name]!.reload });
  };
  for (const name of ['policies', 'prefixLists', 'asPathLists', 'communityLists', 'pools'] as const)
    compare(name, ROOT_KEYS, name, before.policy[name], after.policy[name]);
  for (const name of ['asn', 'routerId', 'clusterId', 'clientToClientReflection', 'port', 'advertise'] as const)
    compare(name, ROOT_KEYS, name, before[name], after[name]);
  compare('decision', ROOT_KEYS, 'decision', before.decision, after.decision);
  compare('limits', ROOT_KEYS, 'limits', before.limits, after.limits);
  compare('encapsulation', ROOT_KEYS, 'encapsulation', before.encapsulation, after.encapsulation);
  for (const section of ['multipath', 'fib', 'control', 'log'] as const) {
    const keys = ROOT_KEYS[section].kind.keys!;
    const [a, b] = [before[section], after[section]] as { readonly [name: string]: unknown }[];
    for (const name of Object.keys(keys)) {
      // Settings hold what stands in the file, not its name.
      const setting = name === 'tokenFile' ? 'token' : name;
      compare(`${section}.${name}`, keys, name, a![setting], b![setting]);
    }
  }
  return out;
}
