/** `bgpctl show …`: what is asked, checked here so that a typing error costs no round trip and ends with "usage". */
import { FAMILIES, parseAddress, parsePrefix } from 'bgp-parse';
import type { PeerDto, SummaryDto } from '../../control/dto.js';
import { normalPeerName } from '../../support/peer-name.js';
import { CliError, Exit } from '../cli-error.js';
import type { Client } from '../client.js';
import type { JsonLines, Result } from '../result.js';

export interface ShowRoutesOptions {
  readonly longer?: boolean;
  readonly peer?: string;
  readonly received?: boolean;
  readonly advertised?: boolean;
  readonly family?: string;
  readonly best?: boolean;
}

export function showRoutes(client: Client, match: string | undefined, options: ShowRoutesOptions): Result {
  const query = new URLSearchParams();
  if (match !== undefined) query.set('match', checkMatch(match));
  if (options.longer) {
    if (!match?.includes('/')) throw new CliError(Exit.usage, '--longer needs a prefix, such as 10.0.0.0/8');
    query.set('longer', 'true');
  }
  if (options.peer !== undefined) {
    query.set('peer', checkPeerName(options.peer));
    query.set('direction', options.advertised ? 'advertised' : 'received');
  } else if (options.received || options.advertised) {
    throw new CliError(Exit.usage, '--received and --advertised need --peer ADDRESS');
  }
  if (options.received && options.advertised)
    throw new CliError(Exit.usage, 'give --received or --advertised, not both');
  if (options.family !== undefined) query.set('family', checkFamily(options.family));
  if (options.best) query.set('best', 'true');
  return { kind: 'routes', lines: client.lines('/v1/routes', query.toString()) };
}

export function showPeers(client: Client): Result {
  return { kind: 'peers', lines: client.lines('/v1/peers') };
}

export async function showPeer(client: Client, address: string): Promise<Result> {
  return { kind: 'peer', peer: await client.get<PeerDto>(`/v1/peers/${encodeURIComponent(checkPeerName(address))}`) };
}

export function showFib(client: Client): Result {
  return { kind: 'fib', lines: client.lines('/v1/fib') };
}

/** `found` is called when there is any difference. */
export function fibDiff(client: Client, found: () => void): Result {
  async function* lines(): JsonLines {
    for await (const batch of client.lines('/v1/fib/diff')) {
      found();
      yield batch;
    }
  }
  return { kind: 'fibDiff', lines: lines() };
}

export async function showSummary(client: Client): Promise<Result> {
  return { kind: 'summary', summary: await client.get<SummaryDto>('/v1/summary') };
}

function checkMatch(text: string): string {
  const good = text.includes('/') ? parsePrefix(text) : parseAddress(text);
  if (!good) throw new CliError(Exit.usage, `${JSON.stringify(text)} is not an address or a prefix`);
  return text;
}

/** The peer's name in its normal form. */
export function checkPeerName(text: string): string {
  const name = normalPeerName(text);
  if (name === undefined) throw new CliError(Exit.usage, `${JSON.stringify(text)} is not an address`);
  return name;
}

function checkFamily(text: string): string {
  // Short forms for people; the API has the one spelling.
  const full = text === 'ipv4' || text === 'ipv6' ? `${text}-unicast` : text;
  if (!FAMILIES.some((family) => family === full)) {
    throw new CliError(Exit.usage, `unknown family ${JSON.stringify(text)}; families are ${FAMILIES.join(', ')}`);
  }
  return full;
}
