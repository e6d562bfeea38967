/**
 * Live changes for subscribers: one internal stream with coalescing. A batch only leaves prefix ids; the events are
 * made later, a few at a time, from the table as it is then. Without subscribers it costs nothing.
 */
import type { MonitorEventDto } from './control/dto.js';
import type { Peer } from './peer.js';
import type { Pipeline } from './pipeline.js';
import type { ChangeBatch } from './rib/change-batch.js';
import { DirtyQueue } from './rib/columns/dirty-queue.js';
import type { FamilyRib } from './rib/family-rib.js';
import type { SpeakerViews } from './speaker-views.js';
import type { Clock } from './support/clock.js';

/** Events per turn: about 5 µs each. */
const EVENTS_PER_TURN = 500;

export type MonitorListener = (event: MonitorEventDto) => void;

export class MonitorFeed {
  readonly #pipeline: Pipeline;
  readonly #views: SpeakerViews;
  readonly #clock: Clock;
  readonly #listeners: Set<MonitorListener>;
  readonly #queues = [new DirtyQueue(), new DirtyQueue()];
  /** Ids in the queue. */
  readonly #queued = [new Set<number>(), new Set<number>()];
  #scheduled = false;

  /** `listeners` belongs to the speaker: subscribers outlive a pipeline. */
  constructor(pipeline: Pipeline, views: SpeakerViews, clock: Clock, listeners: Set<MonitorListener>) {
    this.#listeners = listeners;
    this.#pipeline = pipeline;
    this.#views = views;
    this.#clock = clock;
    this.listenersChanged();
  }

  /** Watches the pipeline only while somebody listens. */
  listenersChanged(): void {
    if (this.#listeners.size > 0) this.#pipeline.observers.add(this.#observe);
    else this.#pipeline.observers.delete(this.#observe);
  }

  peerChanged(peer: Peer): void {
    if (this.#listeners.size > 0) this.#emit({ type: 'peer', peer: this.#views.peer(peer) });
  }

  /** Whether an event about the prefix is still to be made: its id may not be used again. */
  holds(family: FamilyRib, id: number): boolean {
    return this.#queued[family.index]!.has(id);
  }

  readonly #observe = (family: FamilyRib, batch: ChangeBatch): void => {
    const queued = this.#queued[family.index]!;
    for (let at = 0; at < batch.count; at++) {
      const id = batch.id[at]!;
      if (queued.has(id)) continue;
      queued.add(id);
      this.#queues[family.index]!.push(id);
    }
    this.#schedule();
  };

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    let left = EVENTS_PER_TURN;
    for (const family of this.#pipeline.rib.families) {
      const queue = this.#queues[family.index]!;
      for (; queue.size > 0 && left > 0; left--) {
        const id = queue.pop();
        this.#queued[family.index]!.delete(id);
        if (this.#listeners.size === 0) continue;
        const route = this.#views.best(family, id);
        this.#emit(
          route
            ? { type: 'route', route }
            : { type: 'withdrawn', prefix: this.#views.prefixText(family, id), family: family.family },
        );
      }
      if (queue.size > 0) this.#schedule();
    }
  }

  #emit(event: MonitorEventDto): void {
    for (const listener of this.#listeners) listener(event);
  }
}
