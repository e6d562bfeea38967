/** What processes have used, from /proc: a speaker counts with all its descendants. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: the unit of /proc times on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMb: number;
  /** Sum of each process's own peak. */
  readonly peakRssMb: number;
}

export function usageOf(roots: readonly number[]): Usage {
  let ticks = 0;
  let rssKb = 0;
  let peakKb = 0;
  for (const pid of withDescendants(roots)) {
    const fields = statFields(pid);
    if (!fields) continue;
    ticks += Number(fields[11]) + Number(fields[12]);
    const status = read(`/proc/${pid}/status`);
    rssKb += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    peakKb += Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return { cpuSeconds: ticks / TICKS_PER_SECOND, rssMb: rssKb / 1024, peakRssMb: peakKb / 1024 };
}

/** CPU seconds that anything on this machine has used. */
export function machineCpuSeconds(): number {
  const fields = read('/proc/stat').split('\n', 1)[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle, wait] = fields;
  return (fields.reduce((sum, ticks) => sum + ticks, 0) - idle! - wait!) / TICKS_PER_SECOND;
}

function withDescendants(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? Number(statFields(pid)?.[1]) : NaN;
    if (Number.isNaN(parent)) continue;
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  const found = [...roots];
  for (let i = 0; i < found.length; i++) found.push(...(children.get(found[i]!) ?? []));
  return found;
}

/** Fields of /proc/PID/stat from the third on (the second may hold spaces); undefined when the process has gone. */
function statFields(pid: number): string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text === '' ? undefined : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
