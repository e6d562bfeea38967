/** Results for programs: one JSON document (an array for lists); streams print one object a line. */
import type { JsonLines, Output, Result, Write } from '../result.js';

export function createJsonOutput(write: Write): Output {
  return {
    async print(result: Result): Promise<void> {
      switch (result.kind) {
        case 'routes':
        case 'peers':
        case 'fib':
        case 'fibDiff':
        case 'policy':
          return printArray(result.lines, write);
        case 'peer':
          return write(`${JSON.stringify(result.peer)}\n`);
        case 'summary':
          return write(`${JSON.stringify(result.summary)}\n`);
        case 'monitor':
          for await (const events of result.events)
            await write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
          return;
        case 'done':
          return write(`${JSON.stringify({ peer: result.peer, done: result.command })}\n`);
        case 'check':
          return write(
            `${JSON.stringify({ file: result.file, good: result.problems.length === 0, problems: result.problems })}\n`,
          );
      }
    },
  };
}

async function printArray(batches: JsonLines, write: Write): Promise<void> {
  let between = '[';
  for await (const lines of batches) {
    await write(between + lines.join(',\n'));
    between = ',\n';
  }
  await write(between === '[' ? '[]\n' : ']\n');
}
