/**
 * What commands hand to the outputs: values, never text. Lists come in batches of JSON lines as the daemon sends them, so
 * that `--json` need not take them apart and a million routes never stand in memory.
 */
import type { Problem } from '../config/problems.js';
import type { MonitorEventDto, PeerDto, SummaryDto } from '../control/dto.js';

/** Batches of JSON texts, one object each. */
export type JsonLines = AsyncIterable<readonly string[]>;

export type Result =
  | { readonly kind: 'routes' | 'peers' | 'fib' | 'fibDiff' | 'policy'; readonly lines: JsonLines }
  | { readonly kind: 'peer'; readonly peer: PeerDto }
  | { readonly kind: 'summary'; readonly summary: SummaryDto }
  | { readonly kind: 'monitor'; readonly events: AsyncIterable<readonly MonitorEventDto[]> }
  | { readonly kind: 'done'; readonly peer?: string; readonly command: string }
  | { readonly kind: 'check'; readonly file: string; readonly problems: readonly Problem[] };

/** Writes results; one implementation for people, one for programs. */
export interface Output {
  print(result: Result): Promise<void>;
}

/** Where text goes. Resolves when more is welcome. */
export type Write = (text: string) => Promise<void>;
