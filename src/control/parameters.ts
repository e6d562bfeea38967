/** What clients ask, checked and normalised: query parameters, addresses in paths, bodies. Refusals are `ControlError`s. */
import { FAMILIES, formatAddress, formatPrefix, parseAddress, parsePrefix, type Family } from 'bgp-parse';
import { ControlError } from './control-error.js';
import { normalPeerName } from '../support/peer-name.js';
import type { PeerCommand, PeerCommandOptions, RouteFilter } from './queries.js';

const bad = (message: string): ControlError => new ControlError('bad-request', message);

/** The parameters by name; each may stand once, and only `known` ones. */
export function readParameters(search: URLSearchParams, known: readonly string[]): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  for (const [name, value] of search) {
    if (!known.includes(name)) throw bad(`unknown parameter ${quote(name)}; known here: ${known.join(', ') || 'none'}`);
    if (out.has(name)) throw bad(`parameter ${name} is given twice`);
    out.set(name, value);
  }
  return out;
}

export const ROUTE_PARAMETERS = ['family', 'match', 'longer', 'peer', 'direction', 'best', 'format'];

export function readRouteFilter(parameters: ReadonlyMap<string, string>): RouteFilter {
  const family = readFamily(parameters.get('family'));
  const match = parameters.get('match');
  const longer = readFlag(parameters, 'longer');
  const peer = parameters.get('peer');
  const direction = parameters.get('direction') ?? 'received';
  if (direction !== 'received' && direction !== 'advertised') throw bad('direction must be received or advertised');
  if (parameters.has('direction') && peer === undefined) throw bad('direction needs the parameter peer');
  const normal = match === undefined ? undefined : readMatch(match, family);
  if (longer && !normal?.includes('/')) throw bad('longer needs a prefix in match');
  return {
    family,
    match: normal,
    longer,
    peer: peer === undefined ? undefined : { address: readPeerName(peer), direction },
    best: readFlag(parameters, 'best'),
  };
}

function readFamily(text: string | undefined): Family | undefined {
  if (text === undefined) return undefined;
  const family = FAMILIES.find((known) => known === text);
  if (!family) throw bad(`unknown family ${quote(text)}; families are ${FAMILIES.join(', ')}`);
  return family;
}

/** A flag is on as `longer`, `longer=1` and `longer=true`. */
function readFlag(parameters: ReadonlyMap<string, string>, name: string): boolean {
  const text = parameters.get(name);
  if (text === undefined || text === '0' || text === 'false') return false;
  if (text === '' || text === '1' || text === 'true') return true;
  throw bad(`${name} must be true or false`);
}

function readMatch(text: string, family: Family | undefined): string {
  const prefix = text.includes('/') ? parsePrefix(text) : undefined;
  const bytes = prefix ? prefix.bytes : parseAddress(text);
  if (!bytes || (text.includes('/') && !prefix)) throw bad(`${quote(text)} is not an address or a prefix`);
  if (family !== undefined && bytes.length !== (family === 'ipv4-unicast' ? 4 : 16)) {
    throw bad(`${quote(text)} is not of the family ${family}`);
  }
  return prefix ? formatPrefix(prefix) : formatAddress(bytes);
}

/** A peer's name in its normal form. */
export function readPeerName(text: string): string {
  const name = normalPeerName(text);
  if (name === undefined) throw bad(`${quote(text)} is not an address`);
  return name;
}

const PEER_COMMANDS: readonly PeerCommand[] = ['enable', 'disable', 'reset', 'refresh'];

export function readPeerCommand(text: string): PeerCommand {
  const command = PEER_COMMANDS.find((known) => known === text);
  if (!command)
    throw new ControlError('unknown-route', `unknown command ${quote(text)}; commands are ${PEER_COMMANDS.join(', ')}`);
  return command;
}

/** RFC 9003 §2: the shutdown communication is at most 255 octets of UTF-8. */
const MOST_TEXT_OCTETS = 255;

/** The optional `{"text": …, "hard": …}` of a command. */
export function readCommandOptions(body: string, command: PeerCommand): PeerCommandOptions {
  if (body.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw bad('the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('the body must be an object');
  const { text, hard, ...rest } = value as Record<string, unknown>;
  const other = Object.keys(rest)[0];
  if (other !== undefined) throw bad(`unknown key ${quote(other)} in the body; known here: text, hard`);
  if (text !== undefined && typeof text !== 'string') throw bad('text must be a string');
  if (text !== undefined && Buffer.byteLength(text) > MOST_TEXT_OCTETS)
    throw bad(`text must be at most ${MOST_TEXT_OCTETS} octets of UTF-8`);
  if (hard !== undefined && typeof hard !== 'boolean') throw bad('hard must be true or false');
  if (hard === true && command !== 'reset') throw bad('hard is only for reset');
  return { text, hard };
}

export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
