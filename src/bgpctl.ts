#!/usr/bin/env node
/**
 * `bgpctl`: the process around `cli/program.ts`: arguments, output with back-pressure, exit codes. `lab` has its own
 * command line and needs no daemon.
 */
import { runCli } from './cli/program.js';
import { packageVersion } from './support/version.js';

/** Width of tables that do not go to a terminal. */
const COLUMNS = 80;
const MOST_COLUMNS = 200;

// The reader has seen enough (`| head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

function write(text: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(text)) resolve();
    else process.stdout.once('drain', resolve);
  });
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === 'lab') {
    const { runLab } = await import('./lab/main.js');
    return runLab(argv.slice(1));
  }
  return runCli(argv, {
    out: write,
    err: (text) => process.stderr.write(text),
    columns: process.stdout.isTTY ? Math.min(MOST_COLUMNS, Math.max(COLUMNS, process.stdout.columns)) : COLUMNS,
    socket: process.env.TORTIE_SOCKET,
    version: packageVersion(),
  });
}

process.exitCode = await main(process.argv.slice(2));
