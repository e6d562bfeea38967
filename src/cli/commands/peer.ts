/** `bgpctl peer ADDRESS enable|disable|reset|refresh`. */
import type { Client } from '../client.js';
import type { Result } from '../result.js';
import { checkPeerName } from './show.js';

export const PEER_COMMANDS = ['enable', 'disable', 'reset', 'refresh'] as const;

export async function commandPeer(
  client: Client,
  address: string,
  command: string,
  text: string | undefined,
): Promise<Result> {
  const peer = checkPeerName(address);
  await client.post(`/v1/peers/${encodeURIComponent(peer)}/${command}`, text === undefined ? {} : { text });
  return { kind: 'done', peer, command };
}
