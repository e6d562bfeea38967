/** From raw lines to tables: medians over the repeats, and how fast each speaker is beside the fastest rival. */
import { cpus, release, totalmem } from 'node:os';
import { readFileSync } from 'node:fs';
import type { RunResult } from './run.js';
import { scenario, SCENARIO_NAMES } from './scenarios.js';

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  /** By speaker. */
  readonly versions: Readonly<Record<string, string>>;
  /** Rivals that were asked for and are not installed. */
  readonly absent: readonly string[];
  readonly scale: number;
  readonly repeat: number;
  readonly niceness: number;
}

export function describeMachine(
  rest: Omit<Machine, 'date' | 'cpu' | 'cores' | 'memoryGb' | 'kernel' | 'system' | 'node'>,
): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: /^[\d.]*\d/.exec(release())?.[0] ?? release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux',
    node: process.version,
    ...rest,
  };
}

/** One figure of a scenario, for every speaker that has it. */
interface Figure {
  readonly phase: string;
  readonly unit: 's' | 'ms';
  readonly runs: ReadonlyMap<string, readonly Sample[]>;
}

interface Sample {
  readonly value: number;
  readonly result: RunResult;
}

const OWN = 'tortie';

/** Markdown tables of all scenarios in the results. */
export function tables(results: readonly RunResult[], scale: number): string {
  const sections = SCENARIO_NAMES.flatMap((name) => {
    const of = results.filter((result) => result.scenario === name);
    const figures = figuresOf(of.filter(({ phase }) => phase !== 'start'));
    if (figures.length === 0 && !of.some(({ ok }) => !ok)) return [];
    const { title, prefixes, senders, reflector } = scenario(name, scale);
    const count = (prefixes * (reflector ? senders : 1)).toLocaleString('en');
    const lines = [`### ${name}: ${title} (${count} prefixes)`, '', ...table(figures), ...failures(of), ''];
    return [lines.join('\n')];
  });
  return [...sections, startTable(results)].join('\n');
}

function figuresOf(results: readonly RunResult[]): Figure[] {
  const figures = new Map<string, { unit: 's' | 'ms'; runs: Map<string, Sample[]> }>();
  const note = (phase: string, unit: 's' | 'ms', value: number, result: RunResult): void => {
    const figure = figures.get(phase) ?? { unit, runs: new Map<string, Sample[]>() };
    figures.set(phase, figure);
    const samples = figure.runs.get(result.speaker) ?? [];
    figure.runs.set(result.speaker, samples);
    samples.push({ value, result });
  };
  for (const result of results) {
    if (!result.ok) continue;
    if (result.latencyMs) {
      note(`${result.phase} p50`, 'ms', result.latencyMs.p50, result);
      note(`${result.phase} p99`, 'ms', result.latencyMs.p99, result);
    } else {
      note(result.phase, 's', result.seconds, result);
    }
  }
  return [...figures].map(([phase, { unit, runs }]) => ({ phase, unit, runs }));
}

function table(figures: readonly Figure[]): string[] {
  const rows = figures.flatMap(({ phase, unit, runs }) => {
    const medians = new Map(
      [...runs].map(([speaker, samples]) => [speaker, median(samples.map(({ value }) => value))]),
    );
    const best = Math.min(...[...medians].flatMap(([speaker, value]) => (speaker === OWN ? [] : [value])));
    return [...runs].map(([speaker, samples]) => {
      const values = samples.map(({ value }) => value);
      const of = (pick: (result: RunResult) => number, digits: number): string =>
        median(samples.map(({ result }) => pick(result))).toFixed(digits);
      const digits = unit === 's' ? 3 : 2;
      return [
        phase,
        speaker === OWN ? `**${speaker}**` : speaker,
        String(samples.length),
        `${medians.get(speaker)!.toFixed(digits)} ${unit}`,
        `${Math.min(...values).toFixed(digits)} – ${Math.max(...values).toFixed(digits)}`,
        Number.isFinite(best) ? (best / medians.get(speaker)!).toFixed(2) : '',
        of((result) => result.speakerCpuSeconds, 2),
        of((result) => result.generatorCpuSeconds, 2),
        of((result) => result.otherCpuSeconds, 2),
        Math.max(...samples.map(({ result }) => result.peakRssMb)).toFixed(0),
      ];
    });
  });
  if (rows.length === 0) return [];
  return aligned(
    [
      ...['phase', 'speaker', 'runs', 'median', 'min – max', '× fastest rival', 'CPU s', 'generator CPU s'],
      ...['other CPU s', 'peak RSS MB'],
    ],
    rows,
  );
}

function failures(results: readonly RunResult[]): string[] {
  const texts = results
    .filter(({ ok }) => !ok)
    .map(({ speaker, phase, error }) => `${speaker}, ${phase}: failed: ${(error ?? '').split('\n')[0]}`);
  return texts.length === 0 ? [] : ['', ...[...new Set(texts)].map((text) => `- ${text}`)];
}

function startTable(results: readonly RunResult[]): string {
  const starts = results.filter(({ phase, ok }) => phase === 'start' && ok);
  const byKey = new Map<string, RunResult[]>();
  for (const result of starts) {
    const key = `${result.sessions}\0${result.speaker}`;
    const list = byKey.get(key) ?? [];
    byKey.set(key, list);
    list.push(result);
  }
  const rows = [...byKey.values()]
    .sort((a, b) => a[0]!.sessions - b[0]!.sessions)
    .map((list) => [
      String(list[0]!.sessions),
      list[0]!.speaker === OWN ? `**${OWN}**` : list[0]!.speaker,
      String(list.length),
      `${median(list.map(({ seconds }) => seconds)).toFixed(3)} s`,
      median(list.map(({ rssMb }) => rssMb)).toFixed(0),
    ]);
  if (rows.length === 0) return '';
  return [
    '### Start: from the start of the process until every session is Established',
    '',
    ...aligned(['sessions', 'speaker', 'runs', 'median', 'RSS MB'], rows),
    '',
  ].join('\n');
}

const PHASE_TEXTS = [
  ['announce, reannounce', 'every receiver holds every prefix; reannounce: with new attributes'],
  ['withdraw, drop', 'no receiver holds anything; drop: the senders say Cease and close'],
  ['churn', 'latency of single updates, from send to receive, while 1,000 a second go through'],
  ['refresh', 'the receiver has seen every prefix again after its ROUTE-REFRESH'],
  ['install, uninstall', "the kernel's main table holds all prefixes or none, by its route notifications"],
  [
    'failover',
    'the kernel, asked for every prefix, forwards through the second sender; the first closed its connection',
  ],
] as const;

/** The page for `docs/`. */
export function page(results: readonly RunResult[], machine: Machine): string {
  const { versions, absent } = machine;
  return `<!-- Written by \`npm run bench -- --write-docs\`; do not edit. -->

# Benchmarks

Measured on ${machine.date}: ${machine.cores} cores of ${machine.cpu}, ${machine.memoryGb} GiB, ${machine.system}, Linux
${machine.kernel}, Node ${machine.node}. Speaker and load generator share the machine. Scale ${machine.scale}, ${machine.repeat} repeats${
    machine.niceness === 0 ? '' : `, niceness ${machine.niceness} for both`
  }.

${Object.entries(versions)
  .map(([name, version]) => `- ${name}: ${version}`)
  .join('\n')}
${absent.length === 0 ? '' : `\nNot installed and therefore not measured: ${absent.join(', ')}.\n`}
## Method

\`npm run bench\` (as root) makes two network namespaces joined by a veth pair. The speaker runs in one; in the other the
load generator (\`test/bench/load\`), one process that holds all sessions over real TCP. All speakers accept everything,
advertise everything and have a hold time of 90 s; nothing else of them is tuned, except that FRR's delays before sending
are set to zero. Repeats go round the speakers, so that what else the machine does hits all alike; each run starts the
speaker anew.

The clock starts when all sessions are Established and have rested, and what is to be sent has been encoded. It stops when
the last receiver holds **every prefix with the attributes of this phase**: each announcement carries a large community
that says to which prefixes it belongs, from which sender and of which round it is, and receivers check it prefix by
prefix. A speaker that loses, mixes up or keeps anything fails the run. Reflected routes that come back to where they came
from are not counted.

${aligned(['phase', 'over when'], PHASE_TEXTS).join('\n')}

"× fastest rival" is the time of the fastest other speaker divided by this one's: above 1 is faster. "CPU s" is the
speaker's own (all its processes and threads) during the phase, "generator CPU s" that of the load generator, "other CPU
s" what the rest of the machine used, the kernel's threads included; a phase with much of it is suspect. Peak RSS is the
largest seen until the end of that phase, over all repeats.

Prefixes of the table scenarios have lengths as in a public table (62 % /24, under aggregates), six to an attribute set in
the mean, AS paths of three to six; sets go out in shuffled order.

## Results

${tables(results, machine.scale)}`;
}

function aligned(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  return [line(header), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
