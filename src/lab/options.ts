/** The command line of `bgpctl lab`. */
import { parseArgs } from 'node:util';
import { DEFAULT_SCENARIOS, SCENARIO_NAMES, type ScenarioName, type Transport } from './scenarios.js';

export type LabCommand =
  | {
      readonly kind: 'run';
      readonly scenarios: readonly ScenarioName[];
      readonly transport: Transport;
      readonly keep: boolean;
      /** Daemons as an ordinary user with two capabilities. */
      readonly unprivileged: boolean;
    }
  | { readonly kind: 'compare'; readonly seconds: number; readonly keep: boolean }
  /** networks: empty = every one whose lab has ended. */
  | { readonly kind: 'clean'; readonly networks: readonly string[] }
  | { readonly kind: 'help' };

export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

export const USAGE = `Usage: bgpctl lab [SCENARIO …] [--ipv6] [--unprivileged] [--keep]
       bgpctl lab compare [SECONDS]
       bgpctl lab --clean [NETWORK …]

Shows Tortie at work on this machine: network namespaces are the hosts, each with a tortied, a bridge and a container.
Needs root and ip (iproute2); touches nothing outside its own namespaces, and removes them at the end.

Scenarios (without one: ${DEFAULT_SCENARIOS.join(', then ')}):
  two-hosts        two hosts that peer with each other
  route-reflector  three hosts that peer only with a route reflector; the third joins later
  gateway          two hosts that peer (eBGP) only with the LAN's gateway
  two-subnets      hosts in two subnets: plain routes on the segment, VXLAN to the host behind the router

compare measures one TCP stream between containers: plain routing, VXLAN and a bridged segment side by side, each for
some seconds (default 2).

Options:
  --ipv6    BGP sessions over IPv6 (routes of both families are exchanged either way)
  --unprivileged
            the daemons run as an ordinary user with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, as under systemd; needs
            setpriv (util-linux)
  --keep    leave it up at the end, and say how to look around and how to remove it
  --clean   remove what earlier labs left: networks kept up, or whose lab was killed
  --help
`;

/** Throws a `UsageError` that names what is wrong. */
export function parseLabArguments(argv: readonly string[]): LabCommand {
  const { values, positionals } = parse(argv);
  if (values.help) return { kind: 'help' };
  if (values.clean) {
    if (values.keep || values.ipv6 || values.unprivileged) throw new UsageError('--clean goes with no other option');
    return { kind: 'clean', networks: positionals };
  }
  if (positionals[0] === 'compare')
    return compareCommand(positionals, values.keep ?? false, (values.ipv6 ?? false) || (values.unprivileged ?? false));
  const scenarios = positionals.map((name) => {
    const known = SCENARIO_NAMES.find((candidate) => candidate === name);
    if (!known) throw new UsageError(`unknown scenario '${name}': choose from ${SCENARIO_NAMES.join(', ')}`);
    return known;
  });
  return {
    kind: 'run',
    scenarios: scenarios.length > 0 ? scenarios : DEFAULT_SCENARIOS,
    transport: values.ipv6 ? 6 : 4,
    keep: values.keep ?? false,
    unprivileged: values.unprivileged ?? false,
  };
}

function compareCommand(positionals: readonly string[], keep: boolean, others: boolean): LabCommand {
  const [, text = '2', ...rest] = positionals;
  const seconds = Number(text);
  if (rest.length > 0 || others) throw new UsageError('compare goes with nothing but SECONDS and --keep');
  if (!(seconds > 0 && seconds <= 60)) throw new UsageError(`compare for 0.1 to 60 seconds, not '${text}'`);
  return { kind: 'compare', seconds, keep };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ipv6: { type: 'boolean' },
        keep: { type: 'boolean' },
        unprivileged: { type: 'boolean' },
        clean: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    // Node goes on with advice about other cases.
    throw new UsageError((error instanceof Error ? error.message : String(error)).split('. ')[0]!);
  }
}
