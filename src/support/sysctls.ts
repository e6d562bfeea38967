/**
 * Kernel settings that forwarding depends on: what each should be on a host like this one and what happens otherwise,
 * read from and written to `/proc/sys`. Names are as in `sysctl`, with `/` for the dots (interface names have dots too).
 */
import { readFileSync, writeFileSync } from 'node:fs';

export interface Sysctls {
  /** undefined = this kernel has no such setting. */
  read(name: string): string | undefined;
  /** Throws what the kernel says. */
  write(name: string, value: string): void;
}

export const procSysctls: Sysctls = {
  read(name) {
    try {
      return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
    } catch {
      return undefined;
    }
  },
  write: (name, value) => writeFileSync(`/proc/sys/${name}`, value),
};

/** What the node does, as far as kernel settings matter to it. */
export interface ForwardingFacts {
  /** It has IPv6 networks or global addresses. */
  readonly ipv6: boolean;
  /** Interfaces that routed packets come in by. */
  readonly interfaces: readonly string[];
  /** Routes may have several next hops. */
  readonly multipath: boolean;
  /** Routes point at nexthop objects. */
  readonly nexthopObjects: boolean;
}

export interface SysctlFinding {
  readonly name: string;
  readonly value: string;
  readonly wanted: string;
  /** What happens as it is. */
  readonly why: string;
  /** Packets go where they should, only later after a failure: worth a word where there are many routes. */
  readonly isTuning: boolean;
}

/** What is not as it should be; settings that this kernel does not have are no findings. */
export function findSysctls(sysctls: Sysctls, facts: ForwardingFacts): SysctlFinding[] {
  const findings: SysctlFinding[] = [];
  const expect = (
    name: string,
    isGood: (value: number) => boolean,
    wanted: string,
    why: string,
    isTuning = false,
  ): void => {
    const value = sysctls.read(name);
    if (value !== undefined && !isGood(Number(value))) {
      findings.push({ name, value, wanted, why, isTuning });
    }
  };
  expect('net/ipv4/ip_forward', (value) => value !== 0, '1', 'no IPv4 packet is forwarded to or from containers');
  if (facts.ipv6) {
    const name = 'net/ipv6/conf/all/forwarding';
    expect(name, (value) => value !== 0, '1', 'no IPv6 packet is forwarded to or from containers');
  }
  // The kernel takes the larger of `all` and the interface's own; 1 is strict.
  const all = Number(sysctls.read('net/ipv4/conf/all/rp_filter') ?? 0);
  for (const each of facts.interfaces) {
    const isGood = (value: number): boolean => Math.max(all, value) !== 1;
    const why = `packets that do not come in where the way back leads are dropped on ${each}`;
    expect(`net/ipv4/conf/${each}/rp_filter`, isGood, '2', why);
  }
  if (facts.multipath) {
    const why = 'all connections between two hosts take the same of several next hops';
    expect('net/ipv4/fib_multipath_hash_policy', (value) => value !== 0, '1', why);
    if (facts.ipv6) expect('net/ipv6/fib_multipath_hash_policy', (value) => value !== 0, '1', why);
  }
  if (facts.nexthopObjects) {
    const why =
      'when a next hop fails over the kernel tells of every route, so it takes longer the more routes there are';
    expect('net/ipv4/nexthop_compat_mode', (value) => value === 0, '0', why, true);
  }
  return findings;
}

/** For people, with what to do. */
export function describeFinding({ name, value, wanted, why }: SysctlFinding): string {
  return `sysctl ${dotted(name)} is ${value}: ${why}; set it to ${wanted}, or set fib.setSysctls: true`;
}

/** `net/ipv4/conf/eth0.5/rp_filter` as `sysctl` takes it. */
export function dotted(name: string): string {
  return name.replace(/[./]/g, (character) => (character === '/' ? '.' : '/'));
}

export interface SysctlChange {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  /** Why it could not be written; undefined = it was. */
  readonly error: string | undefined;
}

/** Makes the findings go away; what could not be written is told, not thrown. */
export function setSysctls(
  sysctls: Sysctls,
  findings: readonly SysctlFinding[],
  interfaces: readonly string[],
): SysctlChange[] {
  const changes: SysctlChange[] = [];
  const set = (name: string, before: string, after: string): void => {
    let error: string | undefined;
    try {
      sysctls.write(name, after);
    } catch (thrown) {
      error = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
    }
    changes.push({ name, before, after, error });
  };
  for (const { name, value, wanted } of findings) {
    if (name === 'net/ipv6/conf/all/forwarding') {
      // A router does not listen to router advertisements (accept_ra 1), and its default route may be from one: 2 keeps it.
      for (const each of interfaces) {
        const accept = `net/ipv6/conf/${each}/accept_ra`;
        if (sysctls.read(accept) === '1') set(accept, '1', '2');
      }
    }
    set(name, value, wanted);
  }
  return changes;
}
