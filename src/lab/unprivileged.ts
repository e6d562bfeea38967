/**
 * Daemons of the lab as an ordinary user with a few capabilities, as the systemd unit starts them (`bgpctl lab
 * --unprivileged`). The lab itself stays root: it makes the namespaces.
 */
import { chmod, chown } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What the systemd unit gives: routes and links, and TCP port 179. */
export const UNIT_CAPABILITIES: readonly string[] = ['net_admin', 'net_bind_service'];
/** Of nobody and nogroup: there is no need to make a user. */
export const UNPRIVILEGED_USER = 65_534;

/**
 * Put in front of a command line: that user, these capabilities in every set, and no way to others. What NODE_OPTIONS
 * says to root's programs may not be possible for that user.
 */
export function unprivilegedWrapper(capabilities: readonly string[]): string[] {
  const set = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
  const user = String(UNPRIVILEGED_USER);
  return [
    'setpriv',
    ...['--reuid', user, '--regid', user, '--clear-groups', '--no-new-privs'],
    ...['--inh-caps', '--ambient-caps', '--bounding-set'].flatMap((option) => [option, set]),
    ...['env', '-u', 'NODE_OPTIONS'],
  ];
}

/** The daemon's files belong to its user, and it may pass through to them. */
export async function giveAway(configFile: string): Promise<void> {
  const own = dirname(configFile);
  await chmod(dirname(own), 0o755);
  for (const path of [own, configFile]) await chown(path, UNPRIVILEGED_USER, UNPRIVILEGED_USER);
}
