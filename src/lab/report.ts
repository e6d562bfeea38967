/** What the lab prints: progress while it works, its findings at the end. Plain lines, readable without colours. */
import type { Network } from './network.js';
import type { ProbeResult } from './probe.js';
import type { ScenarioPlan } from './scenarios.js';
import type { Site } from './site.js';

export type Print = (text: string) => void;

export function progress(print: Print, elapsedMs: number, text: string): void {
  print(`${(elapsedMs / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
}

/** A command as one would type it on that host, with what it says. */
export function printCommand(print: Print, where: string, command: string, output: string): void {
  const lines = output.split('\n').map((line) => line.trimEnd());
  print(`\n${where}# ${command}\n${lines.join('\n').trim()}\n`);
}

export interface Finding {
  readonly from: Site;
  readonly to: Site;
  readonly source: string;
  readonly result: ProbeResult;
}

/** What is wrong with a probe; undefined = all as it should be. */
export function fault(plan: ScenarioPlan, finding: Finding): string | undefined {
  const { reply, seenAs, address } = finding.result;
  if (!reply) return 'no answer';
  if (reply.from !== address) return `answered by ${reply.from}`;
  if (reply.ttl !== plan.replyTtl) return `reply with TTL ${reply.ttl} instead of ${plan.replyTtl}`;
  if (seenAs === null) return 'source address not seen at the other end';
  if (seenAs !== finding.source) return `seen at the other end as ${seenAs}: there is NAT on the way`;
  return undefined;
}

export function printFindings(print: Print, plan: ScenarioPlan, findings: readonly Finding[]): void {
  print(`\nContainer to container (a reply's TTL of ${plan.replyTtl} = ${64 - plan.replyTtl} routers on the way):\n`);
  const width = Math.max(...findings.map(({ source, result }) => source.length + result.address.length));
  for (const finding of findings) {
    const { source, result } = finding;
    const ends = `${source} -> ${result.address}`.padEnd(width + 4);
    const wrong = fault(plan, finding);
    const { reply, seenAs } = result;
    const good = reply && `ttl ${reply.ttl}  ${reply.rttMs.toFixed(1)} ms  seen there as ${seenAs}`;
    print(`  ${ends}  ${wrong === undefined ? good : `FAILED: ${wrong}`}\n`);
  }
}

/** For `--keep`: how to look around and how to remove it. `bgpctl` is the command line that runs it. */
export function printLookAround(print: Print, network: Network, sites: readonly Site[], bgpctl: string): void {
  print(`\n${network.id} stays up. Look around:\n`);
  for (const { node, container, plan } of sites) {
    print(`\n  ${plan.name}\n`);
    print(`    ip netns exec ${node.host.namespace} ip route\n`);
    print(`    ${bgpctl} --socket ${node.socket} show routes\n`);
    print(`    less ${node.logFile}\n`);
    if (container) print(`    ip netns exec ${container.namespace} sh        # its container\n`);
  }
  print(`\nRemove it:\n\n  ${bgpctl} lab --clean ${network.id}\n`);
}
