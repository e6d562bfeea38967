/**
 * What the settings ask of the host besides routes, what is shown of it, and whether the kernel is set up to forward.
 */
import { equalBytes, maskAddress, parseAddress, parsePrefix } from 'bgp-parse';
import type { Settings } from './config/settings.js';
import type { SummaryDto } from './control/dto.js';
import type { HostDuties } from './fib/host-keeper.js';
import type { FibPort, KernelState } from './fib/port.js';
import type { Log } from './support/log.js';
import { describeFinding, dotted, findSysctls, setSysctls } from './support/sysctls.js';
import type { ForwardingFacts, Sysctls } from './support/sysctls.js';

/** For the kernel side. */
export function hostDuties(settings: Settings): HostDuties {
  return {
    masqueradePools: settings.fib.masquerade?.pools ?? [],
    blackholes: settings.networks.flatMap((network) =>
      'prefix' in network && network.blackhole ? [network.prefix] : [],
    ),
  };
}

/** For `show summary`. */
export function masqueradeDto(settings: Settings, fib: FibPort | undefined): SummaryDto['masquerade'] {
  const pools = settings.fib.masquerade?.pools;
  if (!pools || !fib) return null;
  const { repaired, error } = fib.host().masquerade;
  return { pools, repaired, error: error ?? null };
}

/** Why the host is not as the settings ask. */
export function hostWarnings(fib: FibPort | undefined): string[] {
  const error = fib?.host().blackholes.error;
  return error === undefined ? [] : [error];
}

/** With fewer, what tuning could save is below a hundredth of a second (docs/kernel.md). */
const MANY_ROUTES = 10_000;

/** Kernel settings that forwarding depends on, checked at the start and whenever somebody asks. */
export class ForwardingCheck {
  readonly #sysctls: Sysctls;
  readonly #log: Log;
  #facts: ForwardingFacts | undefined;

  constructor(sysctls: Sysctls, log: Log) {
    this.#sysctls = sysctls;
    this.#log = log;
  }

  /** Sets what the settings allow to be set, and warns of the rest; each once. */
  start(settings: Settings, kernel: KernelState): void {
    this.#facts = undefined;
    if (!settings.fib.enabled) return;
    this.#facts = forwardingFacts(settings, kernel);
    if (settings.fib.setSysctls) {
      const everywhere = kernel.links.map((link) => link.name);
      for (const change of setSysctls(this.#sysctls, findSysctls(this.#sysctls, this.#facts), everywhere)) {
        const { before, after, error } = change;
        const text = `sysctl ${dotted(change.name)}: ${before} -> ${after}`;
        if (error === undefined) this.#log.info({ before, after }, text);
        else this.#log.warn({ before, after, error }, `${text} could not be written: ${error}`);
      }
    }
    for (const finding of findSysctls(this.#sysctls, this.#facts)) {
      this.#log[finding.isTuning ? 'info' : 'warn']({}, describeFinding(finding));
    }
  }

  /** What is not as it should be now, with so many routes in the kernel. */
  warnings(routes: number): string[] {
    if (!this.#facts) return [];
    const findings = findSysctls(this.#sysctls, this.#facts);
    return findings.filter(({ isTuning }) => !isTuning || routes >= MANY_ROUTES).map(describeFinding);
  }
}

/** Pure. */
export function forwardingFacts(settings: Settings, kernel: KernelState): ForwardingFacts {
  const names = new Map(kernel.links.map((link) => [link.index, link.name]));
  const interfaces = new Set<string>();
  for (const network of settings.networks) if ('interface' in network) interfaces.add(network.interface);
  for (const peer of settings.peers) {
    const name = peer.interface ?? interfaceTowards(parseAddress(peer.address.split('%')[0]!)!, kernel)?.name;
    if (name !== undefined) interfaces.add(name);
  }
  for (const { prefix } of settings.listenRanges) {
    const { bytes, length } = parsePrefix(prefix)!;
    for (const own of kernel.addresses) {
      if (own.local || own.bytes.length !== bytes.length || !equalBytes(maskAddress(own.bytes, length), bytes))
        continue;
      interfaces.add(names.get(own.ifindex)!);
    }
  }
  const ipv6 =
    kernel.addresses.some((own) => own.bytes.length === 16 && !own.local) ||
    settings.networks.some((network) => 'prefix' in network && network.prefix.includes(':'));
  const present = [...interfaces].filter((name) => kernel.links.some((link) => link.name === name));
  return {
    ipv6,
    interfaces: present,
    multipath: Math.max(settings.multipath.ebgp, settings.multipath.ibgp) > 1,
    nexthopObjects: settings.fib.nexthopObjects !== 'never',
  };
}

/** The link whose subnet an address lies in: where a directly connected host is. The longest subnet counts. */
export function interfaceTowards(address: Uint8Array, kernel: KernelState): KernelState['links'][number] | undefined {
  let best: KernelState['addresses'][number] | undefined;
  for (const own of kernel.addresses) {
    if (own.local || own.bytes.length !== address.length || (best && best.prefixLength >= own.prefixLength)) continue;
    const { prefixLength } = own;
    if (equalBytes(maskAddress(own.bytes, prefixLength), maskAddress(address, prefixLength))) best = own;
  }
  return best && kernel.links.find((link) => link.index === best.ifindex);
}
