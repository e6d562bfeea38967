/**
 * What is made to depend on a route: whether there is one to a prefix, exactly, in the Loc-RIB or among the kernel's
 * routes of others. Told when the answer may have changed; costs nothing where nobody asks.
 */
import { parsePrefix } from 'bgp-parse';
import type { FibPort } from './fib/port.js';
import type { Pipeline } from './pipeline.js';
import type { Rib } from './rib/rib.js';
import type { Clock } from './support/clock.js';

export interface RouteWatchHost {
  readonly clock: Clock;
  readonly pipeline: Pipeline;
  /** undefined = the kernel is not looked at. */
  readonly fib: FibPort | undefined;
  changed(): void;
}

export class RouteWatch {
  readonly #host: RouteWatchHost;
  #prefixes: readonly string[] = [];
  /** In the kernel, of others. */
  #inKernel: ReadonlySet<string> = new Set();
  /** Sources of the best paths of the prefixes, in their order. */
  #sources = '';
  #isDue = false;

  constructor(host: RouteWatchHost) {
    this.#host = host;
  }

  /** These prefixes are asked for, in their normal form. */
  watch(prefixes: readonly string[]): void {
    const wanted = [...new Set(prefixes)].sort();
    if (wanted.join(' ') === this.#prefixes.join(' ')) return;
    this.#prefixes = wanted;
    const { observers } = this.#host.pipeline;
    if (wanted.length > 0) observers.add(this.#observe);
    else observers.delete(this.#observe);
    this.#sources = this.#readSources();
    this.#host.fib?.watchRoutes(wanted);
  }

  /** The kernel side's word. */
  kernelHas(prefixes: readonly string[]): void {
    this.#inKernel = new Set(prefixes);
    this.#tell();
  }

  /** Whether there is a route to the prefix; one learned from the peer `except` (its id in the RIB) does not count. */
  has(prefix: string, except: number): boolean {
    if (this.#inKernel.has(prefix)) return true;
    const source = bestSource(this.#host.pipeline.rib, prefix);
    return source !== undefined && source !== except;
  }

  readonly #observe = (): void => {
    const sources = this.#readSources();
    if (sources === this.#sources) return;
    this.#sources = sources;
    this.#tell();
  };

  #readSources(): string {
    const { rib } = this.#host.pipeline;
    return this.#prefixes.map((prefix) => bestSource(rib, prefix) ?? '-').join(' ');
  }

  /** Not from within a batch: who is told changes what is told to whom. */
  #tell(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#host.clock.soon(() => {
      this.#isDue = false;
      this.#host.changed();
    });
  }
}

/** PeerId of the best path's source, 0 = this node; undefined = there is no best path. */
function bestSource(rib: Rib, text: string): number | undefined {
  const { bytes, length } = parsePrefix(text)!;
  const family = rib.families[bytes.length === 4 ? 0 : 1];
  const { prefixes } = family;
  const id = family.find(bytes, length);
  return id !== 0 && prefixes.bestAttribute[id] !== 0 ? prefixes.bestPeer[id] : undefined;
}
