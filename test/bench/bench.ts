/**
 * `npm run bench`: the scenarios against Tortie, and beside it against installed rivals.
 *
 *   npm run bench -- [--scenarios S1,S4] [--repeat 3] [--scale 1] [--against bird,frr,gobgp,openbgpd,tortie-policy,
 *                    tortie-sysctls]
 *                    [--out FILE] [--write-docs] [--nice=-12] [--from FILE] [--without-tortie]
 *                    [--profile FOLDER]
 *
 * Prints one line per run and a table at the end. `--out` appends raw JSON lines; `--from` reads such a file instead of
 * running anything. `--profile` keeps CPU profiles of Tortie there. `--write-docs` writes docs/benchmarks.md. Exit code 1
 * when a run of Tortie failed, 2 when none is possible.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine, page, tables, type Machine } from './report.js';
import { NamespacePlace, whyNot } from './place.js';
import { runOnce, type RunResult } from './run.js';
import { scenario, SCENARIO_NAMES } from './scenarios.js';
import { findSpeaker, RIVALS, tortie, type Installed } from './speakers/all.js';

const DOCS = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));
/** Below this scale nobody looks at the times: no long rests. */
const SMOKE_SCALE = 0.1;

class UsageError extends Error {}

interface Recorded {
  readonly machine: Machine;
  readonly results: RunResult[];
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !isArgumentError(error)) throw error;
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      scenarios: { type: 'string', default: SCENARIO_NAMES.join(',') },
      repeat: { type: 'string', default: '3' },
      scale: { type: 'string', default: '1' },
      against: { type: 'string', default: '' },
      'without-tortie': { type: 'boolean', default: false },
      out: { type: 'string' },
      from: { type: 'string' },
      nice: { type: 'string', default: '0' },
      profile: { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  const recorded = values.from === undefined ? await measure(values) : read(values.from);
  print(`\n${tables(recorded.results, recorded.machine.scale)}`);
  if (values['write-docs']) {
    writeFileSync(DOCS, page(recorded.results, recorded.machine));
    print(`Written: docs/benchmarks.md`);
  }
  return recorded.results.every(({ ok, speaker }) => ok || speaker !== tortie.name) ? 0 : 1;
}

async function measure(values: {
  scenarios: string;
  repeat: string;
  scale: string;
  against: string;
  nice: string;
  'without-tortie': boolean;
  out?: string | undefined;
  profile?: string | undefined;
}): Promise<Recorded> {
  const scale = numberOf('--scale', values.scale, 0.0001, 1);
  const repeat = numberOf('--repeat', values.repeat, 1, 1000);
  const niceness = numberOf('--nice', values.nice, -20, 19);
  const names = list(values.scenarios);
  for (const name of names) {
    if (!SCENARIO_NAMES.includes(name)) {
      throw new UsageError(`no scenario ${name}: there are ${SCENARIO_NAMES.join(', ')}`);
    }
  }
  const place = new NamespacePlace();
  const reason = await whyNot(place);
  if (reason !== undefined) throw new UsageError(reason);

  const { installed, absent } = await speakers(list(values.against), !values['without-tortie']);
  const versions = Object.fromEntries(installed.map(({ speaker, version }) => [speaker.name, version]));
  const machine = describeMachine({ versions, absent, scale, repeat, niceness });
  const out = (line: unknown): void => {
    if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(line)}\n`);
  };
  out({ machine });
  print(
    Object.entries(versions)
      .map(([name, version]) => `${name}: ${version}`)
      .join('\n'),
  );

  const smoke = scale < SMOKE_SCALE;
  const options = {
    niceness,
    settleMs: smoke ? 200 : 2000,
    timeoutMs: smoke ? 20_000 : 120_000,
    quietMs: smoke ? 0 : 2000,
    profileFolder: values.profile && resolve(values.profile),
  };
  const results: RunResult[] = [];
  for (const name of names) {
    const failedTwice = new Map<string, number>();
    for (let round = 1; round <= repeat; round++) {
      for (const one of installed) {
        const what = scenario(name, scale);
        if (what.kernel && !one.speaker.hasKernel) continue;
        if ((failedTwice.get(one.speaker.name) ?? 0) >= 2) continue;
        const found = await runOnce(place, what, one, options);
        for (const result of found) out(result);
        results.push(...found);
        if (found.some(({ ok }) => !ok))
          failedTwice.set(one.speaker.name, (failedTwice.get(one.speaker.name) ?? 0) + 1);
        print(`${name} ${one.speaker.name} ${round}/${repeat}: ${found.map(summary).join('; ')}`);
      }
    }
  }
  return { machine, results };
}

/** Of several recordings in one file the last machine counts. */
function read(path: string): Recorded {
  const lines = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { machine?: Machine });
  const machines = lines.flatMap(({ machine }) => (machine ? [machine] : []));
  const machine = machines.at(-1);
  if (!machine) throw new UsageError(`${path} has no line that describes the machine`);
  return { machine, results: lines.filter((line) => !line.machine) as unknown as RunResult[] };
}

async function speakers(
  against: readonly string[],
  withTortie: boolean,
): Promise<{ installed: Installed[]; absent: string[] }> {
  const installed = withTortie ? [(await findSpeaker(tortie))!] : [];
  const absent: string[] = [];
  for (const name of against) {
    const speaker = RIVALS.find((rival) => rival.name === name);
    if (!speaker) throw new UsageError(`no speaker ${name}: there are ${RIVALS.map((rival) => rival.name).join(', ')}`);
    const found = await findSpeaker(speaker);
    if (found) {
      installed.push(found);
    } else {
      absent.push(name);
      print(`${name}: not installed (Debian package ${speaker.package}), left out`);
    }
  }
  return { installed, absent };
}

function summary({ phase, ok, error, seconds, latencyMs, speakerCpuSeconds, generatorCpuSeconds }: RunResult): string {
  if (!ok) return `${phase} FAILED: ${error}`;
  if (latencyMs) return `${phase} p50 ${latencyMs.p50.toFixed(2)} p99 ${latencyMs.p99.toFixed(2)} ms`;
  const cpu =
    phase === 'start' ? '' : ` (CPU ${speakerCpuSeconds.toFixed(2)}, generator ${generatorCpuSeconds.toFixed(2)})`;
  return `${phase} ${seconds.toFixed(3)} s${cpu}`;
}

function numberOf(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text === '' || !(value >= min && value <= max)) {
    throw new UsageError(`${option} ${text}: a number from ${min} to ${max} is expected`);
  }
  return value;
}

function list(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

function isArgumentError(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
