/**
 * `bgpctl lab`: Tortie at work on one machine. Runs the scenarios, removes everything afterwards whatever happened
 * (failure, Ctrl-C, SIGTERM, hang-up, closed pipe), and says plainly why where it cannot run.
 *
 * Exit codes: 0 every ping answered, 1 not so or not possible here, 2 usage, 128 + signal number when interrupted.
 */
import process from 'node:process';
import { constants } from 'node:os';
import { relative } from 'node:path';
import { compare } from './compare.js';
import { deadNetworks, removeNetwork } from './leftovers.js';
import { Network } from './network.js';
import { CONTROL_PROGRAM } from './node.js';
import { parseLabArguments, USAGE, UsageError, type LabCommand } from './options.js';
import { CannotRunError, explain, ipVersions, preflight } from './preflight.js';
import { printLookAround } from './report.js';
import { runScenario } from './run-scenario.js';
import { scenario, type ScenarioName } from './scenarios.js';
import type { Site } from './site.js';
import { UNIT_CAPABILITIES } from './unprivileged.js';
import { InterruptedError } from './until.js';

const INTERRUPTS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const print = (text: string): void => void process.stdout.write(text);
const complain = (text: string): void => void process.stderr.write(text);

/** Runs `bgpctl lab` with the arguments that follow it; resolves with the exit code. */
export async function runLab(argv: string[]): Promise<number> {
  try {
    const command = parseLabArguments(argv);
    if (command.kind === 'help') {
      print(USAGE);
      return 0;
    }
    await preflight(process.getuid?.(), command.kind === 'run' && command.unprivileged);
    return command.kind === 'clean' ? await clean(command.networks) : await runAll(command);
  } catch (error) {
    if (error instanceof UsageError) {
      complain(`lab: ${error.message}\n\n${USAGE}`);
      return 2;
    }
    if (!(error instanceof CannotRunError)) throw error;
    complain(`lab: ${error.message}\n`);
    return 1;
  }
}

async function clean(wanted: readonly string[]): Promise<number> {
  const dead = await deadNetworks();
  const alive = wanted.filter((id) => !dead.includes(id));
  for (const id of alive) complain(`lab: there is no left-over network ${id}\n`);
  const doomed = wanted.length === 0 ? dead : wanted.filter((id) => dead.includes(id));
  for (const id of doomed) {
    await removeNetwork(id);
    print(`removed ${id}\n`);
  }
  if (wanted.length + doomed.length === 0) print('nothing to remove\n');
  return alive.length === 0 ? 0 : 1;
}

type RunCommand = Extract<LabCommand, { kind: 'run' | 'compare' }>;

async function runAll(command: RunCommand): Promise<number> {
  const interrupt = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    if (received) return;
    received = name;
    interrupt.abort();
    if (name !== 'SIGPIPE') print(`\n${name}: removing everything …\n`);
  };
  // Nobody reads any more (`npm run lab | head`): Node reports that as an error of the stream, again at every write.
  const onPipeClosed = () => onSignal('SIGPIPE');
  for (const name of INTERRUPTS) process.on(name, onSignal);
  // Whoever listened until now (bgpctl) would end the process, and leave the namespaces behind.
  const formerListeners = process.stdout.listeners('error') as ((error: Error) => void)[];
  process.stdout.removeAllListeners('error').on('error', onPipeClosed);
  try {
    let good = true;
    const names = command.kind === 'compare' ? (['compare'] as const) : command.scenarios;
    for (const name of names) good = (await runOne(name, command, interrupt.signal)) && good;
    return good ? 0 : 1;
  } catch (error) {
    if (received) return 128 + constants.signals[received];
    throw error;
  } finally {
    for (const name of INTERRUPTS) process.off(name, onSignal);
    for (const listener of formerListeners) process.stdout.on('error', listener);
  }
}

async function runOne(name: ScenarioName | 'compare', command: RunCommand, signal: AbortSignal) {
  const capabilities = command.kind === 'run' && command.unprivileged ? UNIT_CAPABILITIES : undefined;
  const network = await Network.create({ ownerPid: process.pid, signal, capabilities });
  const sites: Site[] = [];
  let keep = command.keep;
  try {
    const onSite = (site: Site) => void sites.push(site);
    if (command.kind === 'compare') return await compare({ network, print, signal, seconds: command.seconds, onSite });
    const plan = scenario(name as ScenarioName, command.transport);
    const versions = await ipVersions();
    return await runScenario({ network, plan, versions, print, signal, onSite });
  } catch (caught) {
    const error = explain(caught);
    if (signal.aborted) throw new InterruptedError();
    if (error instanceof CannotRunError) {
      keep = false;
      throw error;
    }
    complain(`\nlab: ${name} FAILED: ${error instanceof Error ? error.message : String(error)}\n`);
    for (const { node } of sites) {
      complain(`\n${node.logFile} (its last lines):\n${(await node.logTail()) || '(empty)'}\n`);
    }
    return false;
  } finally {
    if (keep && !signal.aborted)
      printLookAround(print, network, sites, `node ${relative(process.cwd(), CONTROL_PROGRAM)}`);
    else await network.close();
  }
}
