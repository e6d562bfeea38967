/**
 * Loaded into each thread of the daemon beside its program (`--import`): the main thread answers the soak with the heaps
 * of all of them after a collection.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import { getHeapStatistics } from 'node:v8';

export interface HeapAnswer {
  /** Used, and what belongs to it outside. */
  readonly mainBytes: number;
  /** The same of the other threads together. */
  readonly otherBytes: number;
  /** What V8 has taken from the system for all of them: it gives back late what it does not use. */
  readonly committedBytes: number;
}

interface ThreadHeap {
  readonly used: number;
  readonly committed: number;
}

/** So long the other threads have for their answer. */
const OTHERS_MS = 300;

function ownHeap(): ThreadHeap {
  (globalThis as { gc?: () => void }).gc?.();
  const { used_heap_size, external_memory, total_physical_size } = getHeapStatistics();
  return { used: used_heap_size + external_memory, committed: total_physical_size };
}

/** As little of it as is used here. */
interface Channel {
  onmessage: (event: unknown) => void;
  postMessage(message: unknown): void;
  unref(): void;
}
const open = (name: string): Channel => {
  const channel = new BroadcastChannel(name) as unknown as Channel;
  // Keeps nothing running.
  channel.unref();
  return channel;
};
const questions = open('soak heap?');
const answers = open('soak heap');

if (isMainThread) {
  let others: ThreadHeap[] = [];
  answers.onmessage = (event) => void others.push((event as { data: ThreadHeap }).data);
  process.on('message', (question) => {
    if (question !== 'heap') return;
    others = [];
    questions.postMessage('heap');
    setTimeout(() => {
      const own = ownHeap();
      const answer: HeapAnswer = {
        mainBytes: own.used,
        otherBytes: others.reduce((sum, { used }) => sum + used, 0),
        committedBytes: others.reduce((sum, { committed }) => sum + committed, own.committed),
      };
      process.send!(answer);
    }, OTHERS_MS);
  });
  // The channel alone keeps nothing running.
  process.channel?.unref();
} else {
  questions.onmessage = () => answers.postMessage(ownHeap());
}
