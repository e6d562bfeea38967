/**
 * Long lists to an HTTP response, as a JSON array or as NDJSON. A million rows never stand in memory: rows are pulled as
 * the client takes them (back-pressure), and work is cut into slices of a few milliseconds, so that keepalives and
 * UPDATEs of the sessions in the same thread do not wait.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../support/clock.js';
import type { Turns } from './turns.js';

/** Octets (roughly: UTF-16 units) joined before a write. Larger gains nothing, smaller costs system calls. */
const CHUNK = 32 * 1024;
/** Longest stretch without returning to the event loop. */
const SLICE_MS = 4;

/**
 * Writes all rows and ends the response. Resolves when done or when the client has gone; rejects when the rows throw,
 * with the response destroyed so that the client cannot take a part for the whole.
 */
export async function streamList(
  response: ServerResponse,
  rows: Iterable<unknown> | AsyncIterable<unknown>,
  format: 'json' | 'ndjson',
  clock: Clock,
  turns: Turns,
): Promise<void> {
  response.setHeader('content-type', format === 'json' ? 'application/json' : 'application/x-ndjson');
  const [open, between, close] = format === 'json' ? ['[', ',\n', ']\n'] : ['', '\n', ''];
  let chunk = open;
  let count = 0;
  await turns.take();
  let sliceStart = clock.nowMs();
  const pause = async (): Promise<void> => {
    await turns.take();
    sliceStart = clock.nowMs();
  };
  try {
    if (response.destroyed) return;
    const sync = Symbol.iterator in rows;
    const iterator = sync ? rows[Symbol.iterator]() : rows[Symbol.asyncIterator]();
    for (;;) {
      const result = iterator.next();
      const { done, value } = sync ? (result as IteratorResult<unknown>) : await result;
      if (done) break;
      if (count++ > 0) chunk += between;
      chunk += JSON.stringify(value);
      if (chunk.length >= CHUNK) {
        await write(response, chunk);
        chunk = '';
      }
      // After each row: it may have taken long.
      if (clock.nowMs() - sliceStart > SLICE_MS) await pause();
      if (response.destroyed) {
        await iterator.return?.();
        return;
      }
    }
  } catch (error) {
    response.destroy();
    throw error;
  }
  response.end(chunk + (format === 'ndjson' && count > 0 ? between : close));
}

/** Resolves when the client has taken enough, or has gone. */
function write(response: ServerResponse, chunk: string): Promise<void> | undefined {
  if (response.write(chunk) || response.destroyed) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
