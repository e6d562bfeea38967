/**
 * The values of a file, from which bad ones are taken out so that the rest can be judged. Aliases (`*name`) let one object
 * stand in several places: what is changed is copied first, so that it is changed in its place only. Names such as
 * `__proto__` are names like others; nothing but own properties is ever touched.
 */
import type { Path } from './problems.js';

type Container = Record<string | number, unknown>;

export class Draft {
  /** Copied already, and so in one place only. */
  readonly #own = new WeakSet<object>();
  #root: unknown;

  constructor(value: unknown) {
    this.#root = value;
  }

  get value(): unknown {
    return this.#root;
  }

  /**
   * Removes a bad value. An item of the lists of maps (`peers`, …) becomes an empty one, so that the others keep their
   * places; a list of scalars goes as a whole.
   */
  takeOut(path: Path): void {
    const parentPath = path.slice(0, -1);
    const parent = this.#writable(parentPath);
    const last = path.at(-1)!;
    if (!parent || !Object.hasOwn(parent, last)) return;
    if (!Array.isArray(parent)) delete parent[last];
    else if (path.length > 2 || path[0] === 'listen') this.takeOut(parentPath);
    else parent[last as number] = {};
  }

  /** The map or list at `path`, and those around it, as copies of our own; undefined = there is none (any more). */
  #writable(path: Path): Container | undefined {
    let container = this.#copied(this.#root);
    this.#root = container;
    for (const part of path) {
      const child = container && this.#copied(childOf(container, part));
      if (!child) return undefined;
      Object.defineProperty(container, part, { value: child, writable: true, enumerable: true, configurable: true });
      container = child;
    }
    return container;
  }

  /** undefined = it is no container. */
  #copied(value: unknown): Container | undefined {
    if (typeof value !== 'object' || value === null) return undefined;
    if (this.#own.has(value)) return value as Container;
    const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
    this.#own.add(copy);
    return copy as Container;
  }
}

/** What stands at a key or an index; undefined = nothing does. */
export function childOf(value: unknown, part: string | number): unknown {
  const isContainer = typeof value === 'object' && value !== null;
  return isContainer && Object.hasOwn(value, part) ? (value as Container)[part] : undefined;
}
