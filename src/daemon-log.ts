/**
 * The daemon's log: one JSON object a line (pino) when nobody looks, single readable lines on a terminal.
 * Implements the `Log` port; the level can change while it runs.
 */
import type { LogLevel } from './config/settings.js';
import { LogSink } from './daemon-log-sink.js';
import type { Log } from './support/log.js';
import { printableLines } from './support/printable.js';

export interface DaemonLog extends Log {
  setLevel(level: LogLevel): void;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** JSON lines on stdout. */
export async function createJsonLog(level: LogLevel): Promise<DaemonLog> {
  const { default: pino } = await import('pino');
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    new LogSink(1, (lost) => {
      const time = new Date().toISOString();
      return `${JSON.stringify({ level: 'warn', time, lost, message: lostText(lost) })}\n`;
    }),
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    setLevel: (next) => (logger.level = next),
  };
}

const lostText = (count: number): string =>
  `${count} ${count === 1 ? 'line' : 'lines'} of this log could not be written and are lost`;

/** Lines on the terminal at stdout. */
export function createStdoutLog(level: LogLevel): DaemonLog {
  const sink = new LogSink(1, (lost) => `${lostText(lost)}\n`);
  return createTerminalLog(level, (line) => sink.write(line), Date.now);
}

/** `10:52:01 WARN  message  key=value …` */
export function createTerminalLog(level: LogLevel, write: (line: string) => void, wallMs: () => number): DaemonLog {
  let least = LEVELS.indexOf(level);
  const at = (own: LogLevel) => (fields: object, message: string) => {
    if (LEVELS.indexOf(own) < least) return;
    const time = new Date(wallMs()).toISOString().slice(11, 19);
    write(printableLines(`${time} ${own.toUpperCase().padEnd(5)} ${message}${formatFields(fields)}\n`));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    setLevel: (next) => (least = LEVELS.indexOf(next)),
  };
}

function formatFields(fields: object): string {
  let out = '';
  let trace = '';
  for (const [name, value] of Object.entries(fields) as [string, unknown][]) {
    if (value === undefined) continue;
    if (value instanceof Error) {
      out += `  ${name}=${JSON.stringify(value.message)}`;
      trace += `\n${value.stack ?? ''}`;
    } else {
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      out += `  ${name}=${typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : text}`;
    }
  }
  return out + trace;
}
