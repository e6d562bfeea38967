/**
 * One run: a place to be, the speaker at one end, the load generator at the other, a scenario, and everything removed
 * again. Speaker and generator are treated alike: same niceness, a session (autogroup) each.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DaemonProcess } from '../interop/fixtures/process.js';
import { monotonicMs } from './clock.js';
import { READY } from './load/plan.js';
import type { Plan, Result, SpeakerStarted } from './load/plan.js';
import type { Line, Place } from './place.js';
import type { Scenario } from './scenarios.js';
import type { Installed } from './speakers/all.js';
import { machineCpuSeconds } from './usage.js';

const GENERATOR = fileURLToPath(new URL('load/generator.js', import.meta.url));
const FIB_WATCH = fileURLToPath(new URL('fib-watch.js', import.meta.url));

export interface RunOptions {
  /** Of speaker and generator; below zero needs the right to. */
  readonly niceness: number;
  /** How long sessions rest before the clock starts. */
  readonly settleMs: number;
  /** Longest phase. */
  readonly timeoutMs: number;
  /** Longest wait for a machine that is otherwise idle. */
  readonly quietMs: number;
  /** Where Tortie leaves CPU profiles. */
  readonly profileFolder?: string | undefined;
}

export interface RunResult extends Result {
  readonly scenario: string;
  readonly speaker: string;
}

/** Runs a scenario once. What goes wrong is in the results, never an exception. */
export async function runOnce(
  place: Place,
  scenario: Scenario,
  installed: Installed,
  options: RunOptions,
): Promise<RunResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tortie-bench-'));
  // A speaker that gives up root must still reach its files.
  chmodSync(folder, 0o755);
  let daemon: DaemonProcess | undefined;
  const children: ChildProcess[] = [];
  /** All that can be done at once: also the last act of a bench that is interrupted. */
  const cleanUp = (): void => {
    for (const child of children) child.kill('SIGKILL');
    daemon?.signalAll('SIGKILL');
    place.close();
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', cleanUp);
  try {
    const line = await place.open(scenario);
    await waitForQuiet(options.quietMs);

    const plan: Plan = {
      scenario,
      speaker: line.speaker,
      sessions: line.sessions,
      settleMs: options.settleMs,
      timeoutMs: options.timeoutMs,
    };
    const { niceness } = options;
    const load = line.theirs(process.execPath, '--expose-gc', GENERATOR, JSON.stringify(plan));
    const generator = startChild(load, niceness, children);
    const output = new LineReader(generator);
    await output.first(READY);
    if (scenario.kernel) {
      const command = line.ours(process.execPath, FIB_WATCH, String(scenario.prefixes), ...gateways(scenario, line));
      const watch = startChild(command, niceness, children);
      await once(watch.stdout!, 'readable');
      watch.stdout!.pipe(generator.stdin!);
    }

    const command = installed.speaker.command(
      {
        folder,
        ...line.speaker,
        peers: line.sessions,
        reflector: scenario.reflector,
        kernel: scenario.kernel,
        profileFolder: options.profileFolder,
        write: (name, text) => {
          const path = join(folder, name);
          writeFileSync(path, text, { mode: 0o640 });
          return path;
        },
      },
      installed.programs,
    );
    const log = join(folder, 'output');
    const atMs = monotonicMs();
    daemon = await DaemonProcess.start(niced(line.ours('sh', '-c', line.preparation + command), niceness), log);
    prioritise(daemon.pid, niceness);
    const started: SpeakerStarted = { event: 'started', atMs, pid: daemon.pid };
    generator.stdin!.write(`${JSON.stringify(started)}\n`);
    const results = await output.results();
    return judged(scenario, installed.speaker.name, results, output.complaint + outputOf(log));
  } catch (error) {
    const text = (error as Error).message;
    return [{ ...EMPTY, scenario: scenario.name, speaker: installed.speaker.name, phase: 'start', error: text }];
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await daemon?.stop(2000);
    process.off('exit', cleanUp);
    cleanUp();
  }
}

/** What fib-watch is to see in a failover: from which gateway to which. */
function gateways({ phases }: Scenario, { sessions }: Line): string[] {
  return phases.includes('failover') ? sessions.slice(0, 2).map(({ address }) => address) : [];
}

/** A process in a session of its own, with pipes. */
function startChild(command: readonly string[], niceness: number, children: ChildProcess[]): ChildProcess {
  const [program, ...args] = niced(command, niceness);
  const child = spawn(program!, args, { detached: true, stdio: 'pipe' });
  children.push(child);
  prioritise(child.pid!, niceness);
  // It may end before all has been written to it; what it says last tells why.
  child.stdin!.on('error', () => undefined);
  return child;
}

/** The generator's output. */
class LineReader {
  complaint = '';
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.complaint += text));
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  }

  async first(expected: string): Promise<void> {
    const { value } = (await this.#lines.next()) as { value?: string };
    if (value !== expected) throw new Error(`the load generator does not start: ${value ?? ''}${this.complaint}`);
  }

  async results(): Promise<Result[]> {
    const results: Result[] = [];
    for (let next = await this.#lines.next(); !next.done; next = await this.#lines.next()) {
      results.push(JSON.parse(next.value) as Result);
    }
    return results;
  }
}

/** Leaves out what is not reported, and adds what the speaker said to a failure. */
function judged(scenario: Scenario, speaker: string, results: readonly Result[], said: string): RunResult[] {
  const all: RunResult[] = results.map((result) => ({ scenario: scenario.name, speaker, ...result }));
  const failed = all.find(({ ok }) => !ok);
  const missing = scenario.phases.find((phase) => !results.some((result) => result.phase === phase));
  if (failed) {
    all[all.indexOf(failed)] = { ...failed, error: `${failed.error}${said}` };
  } else if (missing) {
    all.push({ ...EMPTY, scenario: scenario.name, speaker, phase: missing, error: `no result${said}` });
  }
  return all.filter(({ phase, ok }) => !ok || !scenario.unreported.some((name) => name === phase));
}

const EMPTY = {
  ok: false,
  seconds: 0,
  prefixes: 0,
  sessions: 0,
  speakerCpuSeconds: 0,
  generatorCpuSeconds: 0,
  otherCpuSeconds: 0,
  rssMb: 0,
  peakRssMb: 0,
} as const;

function outputOf(log: string): string {
  const text = readFileSync(log, 'utf8').trim().slice(-600);
  return text === '' ? '' : `\nthe speaker said: ${text}`;
}

/** The command at a niceness; its threads inherit it. */
function niced(command: readonly string[], niceness: number): string[] {
  return niceness === 0 ? [...command] : ['nice', '-n', String(niceness), ...command];
}

/** The niceness of the autogroup that a process leads, where the kernel has those: else it counts only inside. */
function prioritise(pid: number, niceness: number): void {
  try {
    if (niceness !== 0) writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // No autogroups here, or no right to.
  }
}

/** Waits for a quarter of a second in which the machine did little, but not for ever. */
async function waitForQuiet(limitMs: number): Promise<void> {
  const endMs = monotonicMs() + limitMs;
  while (monotonicMs() < endMs) {
    const before = machineCpuSeconds();
    await new Promise((resolve) => setTimeout(resolve, 250));
    if (machineCpuSeconds() - before <= 0.03) return;
  }
}
