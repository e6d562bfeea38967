/**
 * Removing namespaces and what runs in them, and finding the networks whose owner is dead.
 *
 * A network is known by its directory `tortie-<pid>-<n>`, which holds the owner's process id and start time (so that a
 * process id used again is not taken for the owner), and by namespaces of the same name.
 */
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kill } from 'node:process';
import { systemClock } from '../support/clock.js';
import { runCommand } from './command.js';

const NETWORK_NAME = /^(tortie-(\d+)-\d+)(-.+)?$/;
const NETNS_DIRECTORY = '/run/netns';

export interface OwnerRecord {
  readonly pid: number;
  /** Clock ticks since boot, as /proc/PID/stat gives it. */
  readonly startTime: string | undefined;
}

export async function ownerRecord(pid: number): Promise<OwnerRecord> {
  return { pid, startTime: await processStartTime(pid) };
}

/** undefined = no such process. */
async function processStartTime(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the program's name in parentheses and may hold blanks; the start time is the 22nd.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

/** Kills every process inside the namespaces, then removes the namespaces. Names that do not exist are fine. */
export async function removeNamespaces(namespaces: readonly string[]): Promise<void> {
  const existing = new Set(await namesIn(NETNS_DIRECTORY));
  const doomed = namespaces.filter((namespace) => existing.has(namespace));
  if (doomed.length === 0) return;
  await killProcessesIn(doomed);
  // `-force`: go on with the next line when one fails; what is left is said below.
  const lines = doomed.map((namespace) => `netns del ${namespace}\n`).join('');
  await runCommand(['ip', '-force', '-batch', '-'], lines).catch(() => undefined);
  const left = new Set(await namesIn(NETNS_DIRECTORY));
  const remaining = doomed.filter((namespace) => left.has(namespace));
  if (remaining.length > 0) throw new Error(`cannot remove the network namespaces ${remaining.join(', ')}`);
}

/** Ids of the networks whose owner is dead (also those left up on purpose), oldest name first. */
export async function deadNetworks(): Promise<string[]> {
  const ids = new Map<string, number>();
  for (const name of [...(await namesIn(tmpdir())), ...(await namesIn(NETNS_DIRECTORY))]) {
    const match = NETWORK_NAME.exec(name);
    if (match) ids.set(match[1]!, Number(match[2]));
  }
  const dead: string[] = [];
  for (const [id, pid] of ids) if (!(await ownerLives(id, pid))) dead.push(id);
  return dead.sort();
}

/** Removes one network entirely: processes, namespaces, directory. */
export async function removeNetwork(id: string): Promise<void> {
  if (NETWORK_NAME.exec(id)?.[1] !== id) throw new Error(`'${id}' is not the name of a lab network`);
  const names = await namesIn(NETNS_DIRECTORY);
  await removeNamespaces(names.filter((name) => name.startsWith(`${id}-`)));
  await rm(join(tmpdir(), id), { recursive: true, force: true });
}

async function ownerLives(id: string, pid: number): Promise<boolean> {
  const startTime = await processStartTime(pid);
  if (startTime === undefined) return false;
  const text = await readFile(join(tmpdir(), id, 'owner.json'), 'utf8').catch(() => undefined);
  // Without its record, a process with that id might be the owner: leave the network alone.
  return text === undefined || (JSON.parse(text) as OwnerRecord).startTime === startTime;
}

async function killProcessesIn(namespaces: readonly string[]): Promise<void> {
  const wanted = new Set<string>();
  for (const namespace of namespaces) {
    const id = await namespaceIdentity(join(NETNS_DIRECTORY, namespace));
    if (id !== undefined) wanted.add(id);
  }
  // Again until none is left: what is being killed may just have started another.
  for (let round = 0; round < 200; round++) {
    let found = 0;
    for (const pid of await namesIn('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const id = await namespaceIdentity(`/proc/${pid}/ns/net`);
      if (id === undefined || !wanted.has(id)) continue;
      found++;
      try {
        kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    if (found === 0) return;
    await new Promise<void>((resolve) => systemClock.after(10, resolve));
  }
}

/** Device and inode tell network namespaces apart; undefined = gone, or a zombie, which is in none. */
async function namespaceIdentity(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
