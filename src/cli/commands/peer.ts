/** `bgpctl peer ADDRESS enable|disable|reset|refresh`, `bgpctl drain|undrain`. */
import { CliError, Exit } from '../cli-error.js';
import type { Client } from '../client.js';
import type { Result } from '../result.js';
import { checkPeerName } from './show.js';

export const PEER_COMMANDS = ['enable', 'disable', 'reset', 'refresh'] as const;

export interface PeerOptions {
  readonly message?: string;
  /** The same, as it was called first. */
  readonly text?: string;
  readonly hard?: boolean;
}

function bodyOf(command: string, { message, text = message, hard }: PeerOptions): object {
  if (hard && command !== 'reset') throw new CliError(Exit.usage, '--hard is only for reset');
  return { ...(text !== undefined && { text }), ...(hard && { hard }) };
}

export async function commandPeer(
  client: Client,
  address: string,
  command: string,
  options: PeerOptions,
): Promise<Result> {
  const peer = checkPeerName(address);
  await client.post(`/v1/peers/${encodeURIComponent(peer)}/${command}`, bodyOf(command, options));
  return { kind: 'done', peer, command };
}

export async function commandNode(client: Client, command: 'drain' | 'undrain'): Promise<Result> {
  await client.post(`/v1/${command}`, {});
  return { kind: 'done', command };
}
