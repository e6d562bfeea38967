/**
 * The verbs of `bgpctl`, as commander knows them. Verbs that are not built are not here, so help never promises more
 * than there is. Returns the exit code; writes only through `CliIo`.
 */
import { Argument, Command, CommanderError, Option } from 'commander';
import { DEFAULTS } from '../config/schema.js';
import { CliError, Exit } from './cli-error.js';
import { Client } from './client.js';
import { checkFile } from './commands/check.js';
import { commandNode, commandPeer, PEER_COMMANDS, type PeerOptions } from './commands/peer.js';
import {
  fibDiff,
  showFib,
  showPeer,
  showPeers,
  showRoutes,
  showSummary,
  type ShowRoutesOptions,
} from './commands/show.js';
import type { PolicyTestOptions } from './commands/policy.js';
import { createJsonOutput } from './output/json.js';
import { createTableOutput } from './output/table.js';
import type { Result, Write } from './result.js';
import { printableLines } from '../support/printable.js';

export interface CliIo {
  readonly out: Write;
  readonly err: (text: string) => void;
  /** Width of tables. */
  readonly columns: number;
  /** Socket named by the environment. */
  readonly socket: string | undefined;
  readonly version: string;
}

interface GlobalOptions {
  readonly socket: string;
  readonly json?: boolean;
}

/** Runs one command line (without the program's name). */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exit: number = Exit.done;
  try {
    await createProgram(io, (code) => (exit = code)).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    // commander has already written its message; help and version end here, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.done : Exit.usage;
    if (!(error instanceof CliError)) throw error;
    io.err(printableLines(`bgpctl: ${error.message}\n`));
    return error.exit;
  }
  return exit;
}

function createProgram(io: CliIo, setExit: (code: number) => void): Command {
  const program = new Command('bgpctl')
    .description('Shows and operates a running tortied.')
    .addOption(new Option('--socket <path>', 'control socket of the daemon').default(io.socket ?? DEFAULTS.socket))
    .option('--json', 'print JSON: one document, or one object a line for streams')
    .version(io.version, '--version', 'show the version')
    .helpOption('--help', 'show this help')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nOther verbs: lab (network namespaces as hosts, to try it all; bgpctl lab --help).\nExit codes: 0 done, 1 refused, 2 usage, 3 daemon not reachable.',
    )
    .configureOutput({ writeOut: (text) => void io.out(text), writeErr: io.err })
    .exitOverride();

  const client = (): Client => new Client(program.opts<GlobalOptions>().socket);
  const print = async (result: Result): Promise<void> => {
    const output = program.opts<GlobalOptions>().json
      ? createJsonOutput(io.out)
      : createTableOutput(io.out, io.columns);
    await output.print(result);
  };

  const show = program.command('show').description('routes, peers, the kernel side, a summary');
  show
    .command('routes')
    .description('routes and why each is best or not')
    .argument('[match]', 'a prefix, or an address (longest match)')
    .option('--longer', 'also everything more specific than the prefix')
    .option('--peer <address>', 'only the paths of this peer')
    .option('--received', 'with --peer: as received from it (default)')
    .option('--advertised', 'with --peer: as advertised to it')
    .option('--family <family>', 'ipv4-unicast or ipv6-unicast')
    .option('--best', 'only best paths')
    .action((match: string | undefined, options: ShowRoutesOptions) => print(showRoutes(client(), match, options)));
  show
    .command('peers')
    .description('one line for each peer')
    .action(() => print(showPeers(client())));
  show
    .command('peer')
    .description('everything about one peer')
    .argument('<address>')
    .action(async (address: string) => print(await showPeer(client(), address)));
  show
    .command('fib')
    .description('what should be, and is, in the kernel')
    .action(() => print(showFib(client())));
  show
    .command('summary')
    .description('the node in a few lines')
    .action(async () => print(await showSummary(client())));
  const fib = program.command('fib').description('the kernel side');
  fib
    .command('diff')
    .description('what should be in the kernel against what is, freshly read; ends with 1 when there are differences')
    .action(() => print(fibDiff(client(), () => setExit(Exit.refused))));
  program
    .command('monitor')
    .description('routes and peers as they are, then every change, until Ctrl-C')
    .action(() => print({ kind: 'monitor', events: client().monitor() }));
  program
    .command('peer')
    .description('operate a peer')
    .argument('<address>')
    .addArgument(new Argument('<command>').choices(PEER_COMMANDS))
    .option('--message <text>', 'reason told to the peer (disable, reset)')
    .addOption(new Option('--text <text>').hideHelp())
    .option('--hard', 'reset: no routes are kept over it, also with graceful restart (RFC 8538)')
    .action(async (address: string, command: string, options: PeerOptions) => {
      await print(await commandPeer(client(), address, command, options));
    });
  for (const [verb, description] of [
    ['drain', 'ask every peer to prefer other paths than ours (RFC 8326), before maintenance'],
    ['undrain', 'end the drain'],
  ] as const) {
    program
      .command(verb)
      .description(description)
      .action(async () => print(await commandNode(client(), verb)));
  }
  program
    .command('check')
    .description('judge a configuration file, here')
    .argument('<file>')
    .action(async (file: string) => {
      const result = await checkFile(file);
      await print(result);
      if (result.kind === 'check' && result.problems.length > 0) setExit(Exit.refused);
    });
  const policy = program.command('policy').description('try policies of a configuration file');
  policy
    .command('test')
    .description('run policies over a route, or over those received from a peer, and tell each step')
    .argument('<file>', 'configuration file')
    .requiredOption('--policy <names...>', 'policies, asked in turn')
    .option('--route <route>', 'JSON as of show routes, or PREFIX asPath=64500,64501 communities=64512:1 med=10 …')
    .option('--from-peer <address>', 'the routes that the running daemon has received from this peer')
    .option('--peer <address>', 'the peer the policy runs for: the sender, with --export the receiver')
    .option('--export', 'as an export policy (default: import)')
    .option('--expect <verdict>', 'accept or reject: end with 1 when a route comes out otherwise')
    .action(async (file: string, options: PolicyTestOptions) => {
      // Only this verb needs the policy engine.
      const { testPolicy } = await import('./commands/policy.js');
      await print(await testPolicy(client, file, options, () => setExit(Exit.refused)));
    });
  for (const command of [show, ...show.commands, ...program.commands, ...policy.commands, ...fib.commands]) {
    command.helpOption('--help', 'show this help').helpCommand(false);
  }
  return program;
}
