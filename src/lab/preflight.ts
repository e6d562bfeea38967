/** Why the lab cannot run here, and what to do about it. */
import { access } from 'node:fs/promises';
import { CommandError, runCommand } from './command.js';

/** The text is for the user, complete. */
export class CannotRunError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CannotRunError';
  }
}

/** Rejects with a `CannotRunError`. What only the attempt can tell is left to `explain`. */
export async function preflight(userId: number | undefined, unprivileged: boolean): Promise<void> {
  if (userId !== 0) {
    throw new CannotRunError(
      'The lab makes network namespaces, which only root may: run it as root (sudo npm run lab).',
    );
  }
  await needs(['ip', '-V'], 'iproute2');
  if (unprivileged) await needs(['setpriv', '--version'], 'util-linux');
}

async function needs(argv: readonly [string, string], packageName: string): Promise<void> {
  try {
    await runCommand(argv);
  } catch (error) {
    if (!(error instanceof CommandError) || !error.notFound) throw error;
    throw new CannotRunError(
      `There is no program \`${argv[0]}\` in PATH: install ${packageName} (on Debian and Ubuntu: apt install ${packageName}).`,
    );
  }
}

/** IP versions this kernel has. */
export async function ipVersions(): Promise<(4 | 6)[]> {
  return access('/proc/sys/net/ipv6').then(
    () => [4, 6],
    () => [4],
  );
}

/** Failures of `ip` that mean "not on this machine", in words; any other error is given back as it is. */
export function explain(error: unknown): unknown {
  if (!(error instanceof CommandError) || error.program !== 'ip') return error;
  if (/not permitted|permission denied|read-only file system/i.test(error.stderr)) {
    return new CannotRunError(
      `This machine does not permit network namespaces (${error.stderr}).\n` +
        'In a container, start it with --privileged or with the capabilities SYS_ADMIN and NET_ADMIN.',
    );
  }
  if (/unknown device type|not supported/i.test(error.stderr)) {
    return new CannotRunError(
      `This kernel lacks something the lab needs (${error.message}).\n` +
        'It needs network namespaces and the device types veth and bridge (modprobe veth bridge).',
    );
  }
  return error;
}
