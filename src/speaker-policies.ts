/**
 * The policies of the running configuration, and their change: a new configuration, or another network of ours where a
 * policy asks for those, is a new `Policies`. Every peer takes its filters from it; what has been received is judged
 * again, and what comes out differently is sent.
 */
import type { Prefix } from 'bgp-parse';
import { formatPrefix } from 'bgp-parse';
import type { PeerOptions, Settings } from './config/settings.js';
import type { Peer } from './peer.js';
import { many } from './policy/definition.js';
import { Policies } from './policy/policies.js';
import type { PolicyFailure, PolicyFunction } from './policy/policy-function.js';
import type { Pipeline } from './pipeline.js';
import type { Rib } from './rib/rib.js';
import type { Log } from './support/log.js';

export interface SpeakerPoliciesOptions {
  readonly log: Log;
  readonly functions: { readonly [name: string]: PolicyFunction };
  readonly peers: () => Iterable<Peer>;
}

export class SpeakerPolicies {
  readonly #options: SpeakerPoliciesOptions;
  /** Failures of functions, by policy. */
  readonly #failures = new Map<string, number>();
  #current: Policies | undefined;
  #settings: Settings | undefined;
  /** Peers may still have filters of these. */
  #retired: Policies[] = [];
  #ownNetworks: readonly Prefix[] = [];
  /** A policy in use asks what this node originates. */
  #seesOwn = false;

  constructor(options: SpeakerPoliciesOptions) {
    this.#options = options;
  }

  get current(): Policies {
    return this.#current!;
  }

  /** Some peer has more than accept and reject. */
  get areUsed(): boolean {
    const { peers = [], listenRanges = [] } = this.#settings ?? {};
    return [...peers, ...listenRanges.map(({ peer }) => peer)].some((peer) =>
      [...many(peer.import), ...many(peer.export)].some((name) => name !== 'accept' && name !== 'reject'),
    );
  }

  /** Lines for the summary. */
  get warnings(): string[] {
    return [...this.#failures].map(
      ([policy, count]) => `policy ${policy}: its function failed ${count} times, these routes are rejected`,
    );
  }

  /** A pipeline begins. Throws a `PolicyError` when a policy in use does not come out. */
  start(settings: Settings, rib: Rib): void {
    this.#current = this.#make(settings, rib, 1);
    this.#settings = settings;
  }

  /** Throws a `PolicyError`, and changes nothing, when a policy of these settings does not come out. */
  check(settings: Settings): void {
    this.#make(settings, undefined, 1);
  }

  /** New settings; `isOther`: policies, or what they look at, are others than before. Peers have them from `tellPeers` on. */
  prepare(settings: Settings, rib: Rib, isOther: boolean): void {
    this.#settings = settings;
    if (isOther) this.#renew(settings, rib);
    else this.#seesOwn = usesOwn(this.current, settings);
  }

  #renew(settings: Settings, rib: Rib): void {
    const old = this.#current;
    this.#current = this.#make(settings, rib, old?.nextId ?? 1);
    if (old) this.#retired.push(old);
  }

  /** Every peer looks up its policies again. */
  tellPeers(pipeline: Pipeline): void {
    // All sources first: what goes out may be decided by them.
    for (const peer of this.#options.peers()) peer.applyImport();
    for (const peer of this.#options.peers()) peer.applyExport();
    // What peers have been told is worked out by the old ones until all is compared.
    const retired = this.#retired;
    this.#retired = [];
    if (retired.length > 0) pipeline.afterPolicies(() => retired.forEach((old) => old.dispose()));
  }

  /** This node originates other networks now. */
  networksChanged(networks: readonly Prefix[], pipeline: Pipeline): void {
    const text = (list: readonly Prefix[]): string => list.map(formatPrefix).sort().join(' ');
    if (text(networks) === text(this.#ownNetworks)) return;
    this.#ownNetworks = networks;
    if (!this.#seesOwn) return;
    this.#renew(this.#settings!, pipeline.rib);
    this.tellPeers(pipeline);
  }

  #make(settings: Settings, rib: Rib | undefined, firstId: number): Policies {
    const policies = new Policies(
      {
        definitions: settings.policy,
        ownAs: settings.asn,
        ownNetworks: this.#ownNetworks,
        functions: this.#options.functions,
        failed: (failure) => this.#failed(failure),
      },
      rib,
      firstId,
    );
    const seesOwn = usesOwn(policies, settings);
    if (rib) this.#seesOwn = seesOwn;
    return policies;
  }

  #failed({ policy, error }: PolicyFailure): void {
    const count = (this.#failures.get(policy) ?? 0) + 1;
    this.#failures.set(policy, count);
    if (count > 1) return;
    this.#options.log.error({ policy, err: error }, `policy ${policy}: its function failed; the route is rejected`);
  }
}

/** Compiles all policies in use, too, so that a mistake is found before anything has changed. */
function usesOwn(policies: Policies, settings: Settings): boolean {
  const options: PeerOptions[] = [...settings.peers, ...settings.listenRanges.map(({ peer }) => peer)];
  let seesOwn = false;
  for (const peer of options) {
    for (const direction of ['import', 'export'] as const) {
      if (policies.seesOwn(direction, peer[direction])) seesOwn = true;
    }
    if (policies.seesOwn('export', peer.defaultOriginate?.policy)) seesOwn = true;
  }
  return seesOwn;
}

/** Policy names in one text. */
export function chainText(names: PeerOptions['import']): string | undefined {
  return names === undefined ? undefined : many(names).join(' ');
}
