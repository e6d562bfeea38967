/**
 * What the FIB thread has been told besides routes: next hops, sets of them, what is watched, tunnels and duties. Kept so
 * that it can be said again to the next one, should a thread die; routes are the speaker's to say (fib-feed.ts).
 */
import { formatAddress } from 'bgp-parse';
import type { EncapsulationSettings } from '../config/settings.js';
import type { HostDuties } from './host-keeper.js';
import type { ToWorker } from './messages.js';

type Track = Extract<ToWorker, { type: 'track' }>;
type Define = Extract<ToWorker, { type: 'define' }>;
type OwnNextHop = Extract<ToWorker, { type: 'ownNextHop' }>;
type Watch = Extract<ToWorker, { type: 'watch' }>;

export class Told {
  encapsulation: EncapsulationSettings | undefined;
  duties: HostDuties;
  readonly #tracked = new Map<number, Track>();
  readonly #down = new Set<number>();
  readonly #sets = new Map<number, Define>();
  readonly #ownNextHops = new Map<string, OwnNextHop>();
  #watch: Watch | undefined;

  constructor(encapsulation: EncapsulationSettings | undefined, duties: HostDuties) {
    this.encapsulation = encapsulation;
    this.duties = duties;
  }

  note(message: ToWorker): void {
    switch (message.type) {
      case 'track':
        this.#tracked.set(message.id, message);
        break;
      case 'forget':
        this.#tracked.delete(message.id);
        this.#down.delete(message.id);
        break;
      case 'down':
        if (message.down) this.#down.add(message.id);
        else this.#down.delete(message.id);
        break;
      case 'define':
        this.#sets.set(message.id, message);
        break;
      case 'forgetSet':
        this.#sets.delete(message.id);
        break;
      case 'ownNextHop':
        this.#ownNextHops.set(formatAddress(message.address), message);
        break;
      case 'watch':
        this.#watch = message;
        break;
      case 'encapsulate':
        this.encapsulation = message.settings;
        break;
      case 'duties':
        this.duties = message.duties;
        break;
      default:
      // Routes, and questions.
    }
  }

  /** In an order that a new thread understands; tunnels and duties are given to it at its start. */
  *again(): Generator<ToWorker, undefined> {
    yield* this.#tracked.values();
    for (const id of this.#down) yield { type: 'down', id, down: true };
    yield* this.#sets.values();
    yield* this.#ownNextHops.values();
    if (this.#watch) yield this.#watch;
    return undefined;
  }
}
