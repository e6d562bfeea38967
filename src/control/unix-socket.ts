/**
 * The Unix socket as a file: its directory, its mode and its group. Whoever may write to the socket may give commands, so
 * it is never open to everybody. (The daemon runs with a umask of 077: until its mode is set, only the user may.)
 */
import { chmod, chown, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Log } from '../support/log.js';

export interface SocketGuard {
  readonly mode?: number | undefined;
  /** Name (of /etc/group) or number; undefined = the group of the process. */
  readonly group?: string | number | undefined;
}

const DEFAULT_MODE = 0o660;
/** The directories lead to the socket and guard nothing themselves, but nobody else may put a file there. */
const DIRECTORY_MODE = 0o755;
const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o002;

/** Makes the directory of the socket where there is none, and warns of one in which everybody may put files. */
export async function prepareDirectory(path: string, log: Log): Promise<void> {
  const directory = dirname(path);
  const first = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (first !== undefined) {
    // The umask may have taken bits away.
    for (let each = directory; each.length >= first.length; each = dirname(each)) await chmod(each, DIRECTORY_MODE);
    return;
  }
  const { mode } = await stat(directory);
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0) {
    log.warn(
      { directory },
      `control.socket: everybody may write to ${directory}, and could put another socket in place of ours; use a directory of the daemon's own`,
    );
  }
}

/** Sets mode and group. Rejects with one clear sentence. */
export async function guardSocket(path: string, guard: SocketGuard = {}): Promise<void> {
  if (guard.group !== undefined) {
    const gid = typeof guard.group === 'number' ? guard.group : await groupNumber(guard.group);
    try {
      await chown(path, -1, gid);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new Error(
        `control.group: the socket cannot be given to group ${guard.group} (${code}): run as a member of it, or as root`,
        { cause: error },
      );
    }
  }
  await chmod(path, guard.mode ?? DEFAULT_MODE);
}

async function groupNumber(name: string): Promise<number> {
  const text = await readFile('/etc/group', 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    const [group, , number] = line.split(':');
    if (group === name && /^\d+$/.test(number ?? '')) return Number(number);
  }
  throw new Error(`control.group: there is no group ${name} in /etc/group; create it, or give its number`);
}
