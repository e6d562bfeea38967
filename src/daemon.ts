#!/usr/bin/env node
/**
 * `tortied`: arguments, signals and exit codes around a speaker and its control server.
 *
 * Exit codes: 0 clean, 1 runtime failure, 2 bad configuration or usage. SIGHUP = reload (a bad file changes nothing),
 * SIGTERM and SIGINT = graceful stop, a second one = at once. What is not needed for `--check` is loaded after it.
 */
import { Command, CommanderError } from 'commander';
import { ConfigError, formatProblem } from './config/problems.js';
import type { Settings } from './config/settings.js';
import type { DaemonLog } from './daemon-log.js';
import { packageVersion } from './support/version.js';

const Exit = { clean: 0, failure: 1, badConfiguration: 2 } as const;

/** A stop that takes longer is cut short: a service manager would kill us, anyway. */
const STOP_LIMIT_MS = 10_000;

interface Options {
  readonly config: string;
  readonly check?: boolean;
}

function parseArguments(argv: readonly string[]): Options {
  const program = new Command('tortied')
    .description(
      'BGP speaker for container hosts: advertises prefixes of this node, installs learned ones in the kernel.',
    )
    .option('--config <file>', 'configuration, YAML or JSON', '/etc/tortie/tortie.yaml')
    .option('--check', 'only check the configuration')
    .version(packageVersion(), '--version', 'show the version')
    .helpOption('--help', 'show this help')
    .addHelpText(
      'after',
      '\nSignals: SIGHUP = reload, SIGTERM = graceful stop.\nExit codes: 0 clean, 1 runtime failure, 2 bad configuration or usage.',
    )
    .allowExcessArguments(false)
    .exitOverride();
  program.parse([...argv], { from: 'user' });
  return program.opts<Options>();
}

function describe(settings: Settings): string {
  const count = settings.peers.length;
  const parts = [
    `asn ${settings.asn}`,
    `router id ${settings.routerId ?? 'derived'}`,
    `${count} ${count === 1 ? 'peer' : 'peers'}`,
  ];
  if (settings.listenRanges.length > 0)
    parts.push(`${settings.listenRanges.length} listen range${settings.listenRanges.length === 1 ? '' : 's'}`);
  return parts.join(', ');
}

async function createLog(level: Settings['log']['level']): Promise<DaemonLog> {
  const { createJsonLog, createStdoutLog } = await import('./daemon-log.js');
  if (!process.stdout.isTTY) return createJsonLog(level);
  return createStdoutLog(level);
}

function logProblems(log: DaemonLog, error: ConfigError): void {
  for (const problem of error.problems) {
    const { line, column, path } = problem;
    log.error({ file: error.file, line, column, path }, `configuration: ${formatProblem(error.file, problem)}`);
  }
}

async function run(file: string, settings: Settings): Promise<void> {
  const log = await createLog(settings.log.level);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error(
        { err: error instanceof Error ? error : new Error(String(error)) },
        `${event}: this is a defect; the daemon ends`,
      );
      process.exit(Exit.failure);
    });
  }
  // Before the speaker runs, a hangup finds a file that was only just read.
  let hangUp = (): void => undefined;
  process.on('SIGHUP', () => hangUp());

  const [
    { Speaker },
    { startControl },
    { ControlError },
    { systemClock: clock },
    { parseHostPort },
    { loadConfig },
    { diffSettings, untilRestart },
    { measureLoopDelay },
  ] = await Promise.all([
    import('./speaker.js'),
    import('./control/server.js'),
    import('./control/control-error.js'),
    import('./support/clock.js'),
    import('./config/kinds.js'),
    import('./config/load.js'),
    import('./config/diff.js'),
    import('./daemon-loop-delay.js'),
  ]);

  let current = settings;
  let ready = false;
  const speaker = new Speaker(settings, {
    clock,
    log,
    residentBytes: () => process.memoryUsage.rss(),
    loopDelayMs: measureLoopDelay(),
  });

  const load = async (): Promise<readonly string[]> => {
    let next: Settings;
    try {
      next = await loadConfig(file);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      logProblems(log, error);
      log.error({}, 'reload refused; everything goes on as before');
      throw new ControlError('bad-configuration', error.message);
    }
    // What waits for a restart keeps its old value until then, so that the next reload says so again.
    const waiting = diffSettings(current, next).global.filter((change) => change.effect === 'restart');
    next = untilRestart(current, next);
    let report: readonly string[];
    try {
      report = await speaker.apply(next);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.error({}, `reload refused; everything goes on as before: ${message}`);
      throw new ControlError('refused', message);
    }
    log.setLevel(next.log.level);
    current = next;
    const changes = [...report, ...waiting.map((change) => `${change.key}: taken at the next start of the daemon`)];
    for (const change of changes) log.info({}, `reload: ${change}`);
    log.info({ changes: changes.length }, 'reloaded');
    return changes;
  };
  // One reload after the other: each starts from what the one before has left.
  let last: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<readonly string[]> => {
    const result = last.then(load);
    last = result.catch(() => undefined);
    return result;
  };

  const http = settings.control.http === undefined ? undefined : parseHostPort(settings.control.http);
  const control = await startControl({
    socket: settings.control.socket,
    guard: { mode: settings.control.mode, group: settings.control.group },
    http,
    token: () => current.control.token,
    queries: () => (ready ? speaker : undefined),
    reload,
    clock,
    log,
  });

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) process.exit(Exit.failure);
    stopping = true;
    log.info({ signal }, 'stopping');
    clock.after(STOP_LIMIT_MS, () => {
      log.error({}, `not stopped after ${STOP_LIMIT_MS / 1000} s; ending anyway`);
      process.exit(Exit.failure);
    });
    Promise.all([speaker.stop(), control.close()]).then(
      () => {
        log.info({}, 'stopped');
        process.exit(Exit.clean);
      },
      (error: unknown) => {
        log.error({ err: error }, 'the stop failed');
        process.exit(Exit.failure);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  try {
    last = speaker.start();
    // The reload waits for the start; a refusal has been logged.
    hangUp = () => {
      reload().catch((error: unknown) => {
        if (!(error instanceof ControlError)) log.error({ err: error }, 'the reload failed: this is a defect');
      });
    };
    await last;
  } catch (error) {
    // A stop while starting ends the start as well.
    if (stopping) return;
    await control.close();
    throw error;
  }
  ready = true;
  const peers = settings.peers.slice(0, 20).map((peer) => peer.address);
  log.info(
    { asn: settings.asn, routerId: speaker.summary().routerId, peers, peerCount: settings.peers.length },
    `startup: ${describe(settings)}`,
  );
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseArguments(argv);
  // The control socket is nobody else's until its mode is set.
  process.umask(0o077);
  const { loadConfig } = await import('./config/load.js');
  const settings = await loadConfig(options.config);
  if (options.check) process.stdout.write(`${options.config}: good (${describe(settings)})\n`);
  else await run(options.config, settings);
}

function exitCodeOf(error: unknown): number {
  // commander has already written its message; --help and --version end here, too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.clean : Exit.badConfiguration;
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : `tortied: ${error instanceof Error ? error.message : String(error)}`}\n`,
  );
  return error instanceof ConfigError ? Exit.badConfiguration : Exit.failure;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exit(exitCodeOf(error));
}
