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

/** What a thread says when it begins, and as its answer to a question. */
type Saying = 'here' | { readonly question: number; readonly heap: ThreadHeap };

/** So long the other threads have for their answers: one that has ended gives none. */
const OTHERS_MS = 5000;

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
  let threads = 0;
  let number = 0;
  let others: ThreadHeap[] = [];
  let enough: () => void = () => undefined;
  answers.onmessage = (event) => {
    const { data: said } = event as { data: Saying };
    if (said === 'here') threads++;
    else if (said.question === number && others.push(said.heap) === threads) enough();
  };
  process.on('message', (question) => {
    if (question !== 'heap') return;
    others = [];
    const answered = new Promise<void>((resolve) => (enough = resolve));
    if (threads === 0) enough();
    const late = setTimeout(enough, OTHERS_MS);
    questions.postMessage(++number);
    void answered.then(() => {
      clearTimeout(late);
      const own = ownHeap();
      const answer: HeapAnswer = {
        mainBytes: own.used,
        otherBytes: others.reduce((sum, { used }) => sum + used, 0),
        committedBytes: others.reduce((sum, { committed }) => sum + committed, own.committed),
      };
      process.send!(answer);
    });
  });
  // The channel alone keeps nothing running.
  process.channel?.unref();
} else {
  const say = (saying: Saying): void => answers.postMessage(saying);
  questions.onmessage = (event) => say({ question: (event as { data: number }).data, heap: ownHeap() });
  say('here');
}
