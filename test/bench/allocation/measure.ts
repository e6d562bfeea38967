/**
 * What the pipeline allocates per route, as a process of its own: needs `--expose-gc`, and a young generation so large
 * that nothing is collected within a phase (`--min-semi-space-size`), so that garbage counts as much as what stays.
 *
 * One external sender with real UPDATE bytes; an external receiver, a route reflector client and a kernel side that
 * answers. Each round: announce, the same again, other attributes, withdraw. After each phase both receivers hold what
 * they should, prefix by prefix: a pipeline that does nothing is no thrifty one. Prints one JSON line.
 *
 * With the argument `policy` the sender and both receivers have policies that ask for prefix, path and communities.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import type { GroupParameters } from '../../../src/export/group-parameters.js';
import { FibStatus, type FibPort } from '../../../src/fib/port.js';
import { Pipeline } from '../../../src/pipeline.js';
import { Policies } from '../../../src/policy/policies.js';
import type { RibSession } from '../../../src/rib/rib-peers.js';
import type { SessionSink } from '../../../src/session/types.js';
import type { Clock } from '../../../src/support/clock.js';
import { announcements, attributeSets, withdrawals } from '../load/encode.js';
import { Prefixes } from '../load/prefixes.js';
import { Receiver } from '../load/receiver.js';

const ROUTES = 100_000;
const ROUNDS = 5;
/** Rounds that only make the code warm and the tables large. */
const WARM_ROUNDS = 3;
/** Octets per turn of the pipeline: what one round of socket reads brings. */
const OCTETS_PER_TURN = 256 * 1024;
const HEADER_LENGTH = 19;

export const PHASES = ['announce', 'reannounce-same', 'reannounce-new', 'withdraw'] as const;
export type Phase = (typeof PHASES)[number];

/** Per route, octets. */
export interface Allocation {
  readonly phase: Phase;
  readonly round: number;
  /** JavaScript heap taken during the phase, garbage included. */
  readonly allocated: number;
  /** JavaScript heap held after it, garbage collected. */
  readonly retained: number;
  /** Typed arrays: not bounded, for people. */
  readonly external: number;
  /** The heap was collected within the phase: `allocated` is too small. */
  readonly collected: boolean;
}

/** Turns happen when the driver says so. */
class StillClock implements Clock {
  #soon: (() => void) | undefined;
  nowMs = (): number => 0;
  wallMs = (): number => 0;
  after = () => (): void => undefined;
  every = () => (): void => undefined;

  soon(run: () => void): void {
    this.#soon = run;
  }

  /** Runs turns until nothing is left to do. */
  run(): void {
    while (this.#soon) {
      const run = this.#soon;
      this.#soon = undefined;
      run();
    }
  }
}

/** The session of a receiver: takes every message at once. */
class Sink implements SessionSink {
  readonly backlogBytes = 0;
  readonly receiver: Receiver;

  constructor(receiver: Receiver) {
    this.receiver = receiver;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end;) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      // End-of-RIB has no prefix.
      if (length > HEADER_LENGTH + 4) this.receiver.update(bytes, at + HEADER_LENGTH, at + length, 0);
      at += length;
    }
    return false;
  }
}

/** A kernel side that installs everything at once. */
class Kernel implements Pick<FibPort, 'canSubmit' | 'trackNextHop' | 'forgetNextHop' | 'submit'> {
  readonly canSubmit = true;
  installed = 0;
  pipeline: Pipeline | undefined;
  readonly #pairs = new Uint32Array(2 * 4096);
  readonly #isInstalled = new Uint8Array(1 << 18);

  trackNextHop(id: number): void {
    this.pipeline!.rib.nextHopChanged(id, true, 0, '');
  }

  forgetNextHop(): void {}

  submit(family: 'ipv4-unicast' | 'ipv6-unicast', records: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const id = records[i * 4]!;
      const wanted = records[i * 4 + 1] === 0 ? 0 : 1;
      this.installed += wanted - this.#isInstalled[id]!;
      this.#isInstalled[id] = wanted;
      this.#pairs[i * 2] = id;
      this.#pairs[i * 2 + 1] = wanted === 0 ? FibStatus.absent : FibStatus.installed;
    }
    this.pipeline!.fibFeed!.statusChanged(family, this.#pairs, count);
  }
}

const clock = new StillClock();
const kernel = new Kernel();
const pipeline = new Pipeline({
  identity: { asn: 65_000, routerId: 0x0a610001, clusterId: 0x0a610001 },
  clock,
  seed: 1,
  fib: kernel as unknown as FibPort,
  onEndOfRib: () => undefined,
});
kernel.pipeline = pipeline;

const CAREFUL = {
  statements: [
    {
      match: { prefix: ['0.0.0.0/8 le 32', '127.0.0.0/8 le 32', '192.0.2.0/24 le 32', '224.0.0.0/3 le 32'] },
      then: 'reject',
    },
    { match: { asPathLength: '50..' }, then: 'reject' },
    { match: { community: ['64999:1', '64999:2'] }, set: { localPref: 200 } },
  ],
  default: 'accept',
} as const;
const policies = new Policies(
  {
    definitions: { policies: { careful: CAREFUL }, prefixLists: {}, asPathLists: {}, communityLists: {}, pools: [] },
    ownAs: 65_000,
    ownNetworks: [],
    functions: {},
    failed: () => undefined,
  },
  pipeline.rib,
);
const chain = process.argv[2] === 'policy' ? 'careful' : 'accept';

const prefixes = new Prefixes('table', ROUTES);
const sets = attributeSets(prefixes, 0, ROUTES, false, 0);
const sender = { number: 0, asn: 100_000, nextHop: 0x0a610101, internal: false };
const peer = pipeline.rib.addPeer(session(100_000, true, 1))!;
pipeline.rib.establish(peer, peer.session, []);
const sinks = [true, false].map((external, i) => {
  const { id } = pipeline.rib.addPeer(session(external ? 100_001 : 65_000, external, 2 + i))!;
  const sink = new Sink(new Receiver(prefixes, 1, 0, 0));
  pipeline.exporter.join(id, sink, group(external));
  return sink;
});

// The entry list must not be filled within a phase: it is read out with takeRecords.
const collections = new PerformanceObserver(() => undefined);
collections.observe({ entryTypes: ['gc'] });

const results: Allocation[] = [];
let generation = 0;
for (let round = 0; round < ROUNDS + WARM_ROUNDS; round++) {
  generation++;
  const same = announcements(prefixes, sets, sender, generation, 1);
  phase('announce', round, same, ROUTES);
  phase('reannounce-same', round, same, ROUTES);
  generation++;
  phase('reannounce-new', round, announcements(prefixes, sets, sender, generation, 1), ROUTES);
  phase('withdraw', round, withdrawals(prefixes, sets), 0);
}
process.stdout.write(`${JSON.stringify(results)}\n`);
process.exit();

function phase(name: Phase, round: number, bytes: Uint8Array, expected: number): void {
  for (const { receiver } of sinks) receiver.expect(generation);
  gc!();
  collections.takeRecords();
  const before = process.memoryUsage();
  drive(bytes);
  const after = process.memoryUsage();
  const collected = collections.takeRecords().length > 0;
  gc!();
  const settled = process.memoryUsage();
  check(name, expected);
  if (round < WARM_ROUNDS) return;
  results.push({
    phase: name,
    round,
    allocated: (after.heapUsed - before.heapUsed) / ROUTES,
    retained: (settled.heapUsed - before.heapUsed) / ROUTES,
    external: (after.external - before.external) / ROUTES,
    collected,
  });
}

/** As a peer does: message by message, and a turn when what was readable has been read. */
function drive(bytes: Uint8Array): void {
  let turnAt = OCTETS_PER_TURN;
  for (let at = 0; at < bytes.length;) {
    const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
    const error = pipeline.rib.receive(peer, bytes, at + HEADER_LENGTH, at + length);
    if (error) throw error;
    pipeline.relieve(peer.id);
    at += length;
    if (at < turnAt) continue;
    turnAt = at + OCTETS_PER_TURN;
    clock.run();
  }
  clock.run();
}

function check(name: Phase, expected: number): void {
  for (const { receiver } of sinks) {
    const { atTarget, held, wrong, wrongText } = receiver;
    if (wrong > 0 || held !== expected || atTarget !== expected) {
      throw new Error(`${name}: a receiver holds ${held}, ${atTarget} of them right, of ${expected} ${wrongText}`);
    }
  }
  if (kernel.installed !== expected) throw new Error(`${name}: the kernel has ${kernel.installed} of ${expected}`);
}

function session(asn: number, external: boolean, last: number): RibSession {
  return {
    address: Uint8Array.of(10, 97, 1, last),
    asn,
    external,
    routeReflectorClient: !external,
    identifier: 0x0a610100 + last,
    fourOctetAs: true,
    families: ['ipv4-unicast'],
    addPathReceive: [],
    extendedNextHop: false,
    importAccept: true,
    importFilter: policies.importFor(chain, external, {
      address: Uint8Array.of(10, 97, 1, last),
      asn,
      group: undefined,
    }).filter,
    interfaceName: 'eth0',
  };
}

function group(external: boolean): GroupParameters {
  return {
    family: 'ipv4-unicast',
    familyIndex: 0,
    external,
    client: !external,
    clientToClient: true,
    ...policies.exportFor(chain, external, { address: Uint8Array.of(10, 97, 1, 9), asn: 1, group: undefined }),
    fourOctetAs: true,
    extendedNextHop: false,
    maxMessageLength: 4096,
    nextHopSelf: false,
    addPathLimit: 0,
    nextHop: Uint8Array.of(10, 97, 0, 1),
  };
}
