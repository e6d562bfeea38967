/**
 * The load generator, a process of its own in the network namespace opposite to the speaker: all senders and receivers
 * of a run. Argument: a `Plan`. Prints `READY`, waits for the speaker's start, and prints one `Result` per phase. Kernel
 * phases end with a line of fib-watch on standard input.
 *
 * The clock starts when every session is Established and has rested, and what is to be sent has been encoded; it stops
 * when the last receiver holds every expected prefix with the attributes of this phase.
 */
import { execFile } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { monotonicMs } from '../clock.js';
import type { Phase } from '../scenarios.js';
import { machineCpuSeconds, usageOf } from '../usage.js';
import { announcements, attributeSets, singleAnnouncements, withdrawals } from './encode.js';
import type { AttributeSets, SenderIdentity } from './encode.js';
import { Peer, ReadBuffer } from './peer.js';
import { READY } from './plan.js';
import type { FibEvent, Plan, Result, SpeakerStarted } from './plan.js';
import { Prefixes } from './prefixes.js';
import { Random } from './random.js';
import { Receiver } from './receiver.js';

/** Some speakers listen with a short backlog. */
const HANDSHAKES_AT_ONCE = 6;
/** Phases in which attributes are sent, of a generation of their own. */
const ANNOUNCING: ReadonlySet<Phase> = new Set(['announce', 'reannounce', 'churn', 'install']);

interface Sender {
  readonly identity: SenderIdentity;
  readonly peer: Peer;
  readonly sets: AttributeSets;
}

/** A phase that is ready to begin. */
interface Prepared {
  readonly send: () => Promise<unknown>;
  readonly reached: (receiver: Receiver) => boolean;
  /** The kernel decides instead of receivers. */
  readonly kernel?: 'all' | 'none' | 'restored';
  readonly arm?: () => void;
  /** How far it is, when it does not end. */
  readonly progress?: () => string;
}

class Generator {
  readonly #plan: Plan;
  readonly #prefixes: Prefixes;
  readonly #senders: Sender[] = [];
  readonly #peers: Peer[] = [];
  readonly #receivers: Peer[] = [];
  #generation = 0;
  #failure = '';
  #fail: (text: string) => void = () => undefined;
  #started: SpeakerStarted | undefined;
  #events: (FibEvent | SpeakerStarted)[] = [];
  #event: (() => void) | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    const { scenario, speaker } = plan;
    const { reflector, senders, same } = scenario;
    this.#prefixes = new Prefixes(scenario.kind, scenario.prefixes * (reflector ? senders : 1));
    const competitors = same ? senders : 1;
    const read = new ReadBuffer();
    for (let i = 0; i < senders + scenario.receivers; i++) {
      const { address, asn, identifier } = plan.sessions[i]!;
      const isSender = i < senders;
      // Blocks have no holes: place and index are the same.
      const [from, to] = reflector ? [i * scenario.prefixes, (i + 1) * scenario.prefixes] : [0, this.#prefixes.count];
      const [ownFirst, ownEnd] = reflector ? [from, to] : [0, 0];
      const receives = reflector || !isSender;
      const receiver = receives ? new Receiver(this.#prefixes, competitors, ownFirst, ownEnd) : undefined;
      const peer = new Peer({ address, identifier, asn, speaker, receiver }, read);
      peer.onFailure = (text) => this.#failed(text);
      this.#peers.push(peer);
      if (receives) this.#receivers.push(peer);
      if (!isSender) continue;
      const sets = attributeSets(this.#prefixes, from, to, reflector, i);
      this.#senders.push({ identity: { number: i, asn, nextHop: identifier, internal: reflector }, peer, sets });
    }
    createInterface(process.stdin).on('line', (line) => {
      this.#events.push(JSON.parse(line) as FibEvent | SpeakerStarted);
      this.#event?.();
    });
  }

  async run(): Promise<void> {
    try {
      await this.#start();
      for (const phase of this.#plan.scenario.phases) if (!(await this.#phase(phase))) break;
    } finally {
      for (const peer of this.#peers) peer.close();
    }
  }

  /** Brings all sessions up. */
  async #start(): Promise<void> {
    const { timeoutMs, settleMs } = this.#plan;
    process.stdout.write(`${READY}\n`);
    this.#started = (await this.#waitForEvent('started', timeoutMs)) as SpeakerStarted;
    const startedMs = this.#started.atMs;
    const measure = this.#measure();
    let error = '';
    const waiting = [...this.#peers];
    const dial = async (): Promise<void> => {
      for (let peer = waiting.shift(); peer; peer = waiting.shift()) {
        await Promise.race([peer.start(startedMs + timeoutMs), this.#orFailure(timeoutMs, 'Established')]);
      }
    };
    try {
      await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, dial));
    } catch (reason) {
      error = String((reason as Error).message);
    }
    const seconds = (monotonicMs() - startedMs) / 1000;
    await sleep(settleMs);
    this.#print({ phase: 'start', ...outcome(error), seconds, prefixes: 0, ...measure() });
    if (error) throw new Error(error);
  }

  async #phase(phase: Phase): Promise<boolean> {
    const { timeoutMs } = this.#plan;
    if (ANNOUNCING.has(phase)) this.#generation++;
    if (phase === 'failover') await this.#untilSpeakerRests();
    const prepared = this.#prepare(phase);
    globalThis.gc?.();
    for (const { receiver } of this.#receivers) receiver!.expect(this.#generation);
    prepared.arm?.();
    const measure = this.#measure();
    let error = '';
    let endMs: number;
    let sentSeconds = 0;
    const startMs = monotonicMs();
    try {
      const done = prepared.kernel
        ? this.#waitForEvent(prepared.kernel, timeoutMs).then(({ atMs }) => atMs)
        : this.#waitFor(prepared.reached);
      const sent = prepared.send().then(() => (sentSeconds = (monotonicMs() - startMs) / 1000));
      const both = Promise.all([done, sent]).then(([ms]) => ms);
      both.catch(() => undefined);
      endMs = await Promise.race([both, this.#orFailure(timeoutMs, phase, prepared.progress)]);
    } catch (reason) {
      error = String((reason as Error).message);
      endMs = monotonicMs();
    }
    const used = measure();
    error ||= this.#wrong();
    this.#print({
      phase,
      ...outcome(error),
      seconds: (endMs - startMs) / 1000,
      sentSeconds,
      prefixes: this.#prefixes.count,
      updatesReceived: this.#sum((receiver) => receiver.updates),
      prefixesReceived: this.#sum((receiver) => receiver.announced),
      ownRoutesReturned: this.#sum((receiver) => receiver.ownRoutes),
      ...(phase === 'churn' ? { latencyMs: this.#latencies() } : {}),
      ...used,
    });
    return error === '';
  }

  /** Encodes what the phase sends, and says when it is over. */
  #prepare(phase: Phase): Prepared {
    const { scenario } = this.#plan;
    const expected = this.#prefixes.count - (scenario.reflector ? scenario.prefixes : 0);
    const holdsAll = (receiver: Receiver): boolean => receiver.atTarget === expected;
    const holdsNothing = (receiver: Receiver): boolean => receiver.held === 0;
    const slowest = (of: (receiver: Receiver) => number): number =>
      Math.min(...this.#receivers.map(({ receiver }) => of(receiver!)));
    const sendAll = (buffers: Buffer[]) => (): Promise<unknown> =>
      Promise.all(this.#senders.map(({ peer }, i) => peer.sendAll(buffers[i]!)));
    const ceaseAll = (): Promise<unknown> => {
      for (const { peer } of this.#senders) peer.cease();
      return Promise.resolve();
    };
    switch (phase) {
      case 'announce':
      case 'reannounce':
      case 'install': {
        const competitors = scenario.same ? scenario.senders : 1;
        const buffers = this.#senders.map(({ identity, sets }) =>
          announcements(this.#prefixes, sets, identity, this.#generation, competitors, scenario.primary),
        );
        return {
          send: sendAll(buffers),
          reached: holdsAll,
          progress: () => `the last receiver has ${slowest((receiver) => receiver.atTarget)} of ${expected}`,
          ...(phase === 'install' ? { kernel: 'all', progress: () => 'the kernel lacks routes' } : {}),
        };
      }
      case 'withdraw':
        return {
          send: sendAll(this.#senders.map(({ sets }) => withdrawals(this.#prefixes, sets))),
          reached: holdsNothing,
        };
      case 'drop':
        return { send: ceaseAll, reached: holdsNothing };
      case 'uninstall':
        return { send: ceaseAll, reached: holdsNothing, kernel: 'none' };
      case 'failover':
        return {
          send: async () => {
            if (this.#plan.scenario.ownLink) await promisify(execFile)('ip', ['link', 'set', 'eth1', 'down']);
            else this.#senders[0]!.peer.close();
          },
          reached: holdsNothing,
          kernel: 'restored',
          progress: () => 'the kernel does not forward everything through the second sender',
        };
      case 'refresh':
        return {
          arm: () => {
            for (const { receiver } of this.#receivers) receiver!.expectAgain();
          },
          send: () => {
            for (const peer of this.#receivers) peer.sendRouteRefresh();
            return Promise.resolve();
          },
          reached: (receiver) => receiver.seenAgain === expected,
        };
      case 'churn':
        return this.#prepareChurn();
    }
  }

  /** What it has to do about the second sender's paths, too, is done when it uses no CPU time any more. */
  async #untilSpeakerRests(): Promise<void> {
    const pids = [this.#started!.pid];
    const deadlineMs = monotonicMs() + this.#plan.timeoutMs;
    for (let before = -1; monotonicMs() < deadlineMs;) {
      const { cpuSeconds } = usageOf(pids);
      if (cpuSeconds - before <= 0.02) break;
      before = cpuSeconds;
      await sleep(1000);
    }
    await sleep(this.#plan.settleMs);
  }

  #prepareChurn(): Prepared {
    const { churnPerSecond, churnSeconds } = this.#plan.scenario;
    const { identity, peer } = this.#senders[0]!;
    const count = Math.min(Math.round(churnPerSecond * churnSeconds), this.#prefixes.count);
    const places = Int32Array.from({ length: this.#prefixes.count }, (_, place) => place);
    new Random(99).shuffle(places);
    const messages = singleAnnouncements(this.#prefixes, places.subarray(0, count), identity, this.#generation);
    const sentAt = new Float64Array(this.#prefixes.indexEnd);
    const send = async (): Promise<void> => {
      const startMs = monotonicMs();
      for (let next = 0; next < count;) {
        const due = Math.min(count, Math.floor(((monotonicMs() - startMs) / 1000) * churnPerSecond) + 1);
        for (; next < due; next++) {
          sentAt[this.#prefixes.indexes[places[next]!]!] = monotonicMs();
          peer.send(messages[next]!);
        }
        await sleep(1);
      }
    };
    return {
      arm: () => {
        for (const { receiver } of this.#receivers) receiver!.expectChurn(sentAt, count);
      },
      send,
      reached: (receiver) => receiver.atTarget === count,
    };
  }

  /** Resolves with the time at which the last receiver got there. */
  #waitFor(reached: (receiver: Receiver) => boolean): Promise<number> {
    return new Promise((resolve) => {
      const missing = new Set(this.#receivers);
      const check = (peer: Peer, nowMs: number): void => {
        if (!missing.has(peer) || !reached(peer.receiver!)) return;
        missing.delete(peer);
        if (missing.size === 0) resolve(nowMs);
      };
      for (const peer of this.#receivers) peer.onUpdates = check;
    });
  }

  async #waitForEvent(
    event: (FibEvent | SpeakerStarted)['event'],
    timeoutMs: number,
  ): Promise<FibEvent | SpeakerStarted> {
    const deadlineMs = monotonicMs() + timeoutMs;
    for (;;) {
      const found = this.#events.shift();
      if (found?.event === event) return found;
      if (found) continue;
      const leftMs = deadlineMs - monotonicMs();
      if (leftMs <= 0) throw new Error(`nobody has said "${event}"`);
      await Promise.race([new Promise<void>((resolve) => (this.#event = resolve)), sleep(Math.min(leftMs, 100))]);
    }
  }

  /** Rejects when a session is lost or time is up. */
  #orFailure(timeoutMs: number, what: string, progress?: () => string): Promise<never> {
    return new Promise((_, reject) => {
      const fail = (text: string): void => reject(new Error(text));
      if (this.#failure) return fail(this.#failure);
      const others = this.#fail;
      const timer = setTimeout(
        () => fail(`not done after ${timeoutMs / 1000} s (${what})${progress ? `: ${progress()}` : ''}`),
        timeoutMs,
      );
      timer.unref();
      this.#fail = (text) => {
        clearTimeout(timer);
        fail(text);
        others(text);
      };
    });
  }

  #failed(text: string): void {
    this.#failure ||= text;
    this.#fail(this.#failure);
  }

  /** What receivers found that must not be. */
  #wrong(): string {
    const wrong = this.#sum((receiver) => receiver.wrong);
    if (wrong === 0) return '';
    return `${wrong} wrong: ${this.#receivers.find(({ receiver }) => receiver!.wrong > 0)!.receiver!.wrongText}`;
  }

  #sum(of: (receiver: Receiver) => number): number {
    return this.#receivers.reduce((sum, { receiver }) => sum + of(receiver!), 0);
  }

  #latencies(): NonNullable<Result['latencyMs']> {
    const all = this.#receivers.flatMap(({ receiver }) => [...receiver!.latencies.subarray(0, receiver!.latencyCount)]);
    all.sort((a, b) => a - b);
    const at = (share: number): number => all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0;
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  /** Begins to measure; the function returned tells what was used since. */
  #measure() {
    const pids = this.#started ? [this.#started.pid] : [];
    const speakerBefore = usageOf(pids).cpuSeconds;
    const machineBefore = machineCpuSeconds();
    const ownBefore = process.cpuUsage();
    return () => {
      const own = process.cpuUsage(ownBefore);
      const machine = machineCpuSeconds() - machineBefore;
      const speaker = usageOf(pids);
      const speakerCpuSeconds = speaker.cpuSeconds - speakerBefore;
      const generatorCpuSeconds = (own.user + own.system) / 1e6;
      return {
        sessions: this.#peers.length,
        speakerCpuSeconds,
        generatorCpuSeconds,
        otherCpuSeconds: Math.max(0, machine - speakerCpuSeconds - generatorCpuSeconds),
        rssMb: speaker.rssMb,
        peakRssMb: speaker.peakRssMb,
      };
    };
  }

  #print(result: Result): void {
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}

const outcome = (error: string): { ok: true } | { ok: false; error: string } =>
  error === '' ? { ok: true } : { ok: false, error };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

await new Generator(JSON.parse(process.argv[2]!) as Plan).run().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
process.exit();
