/**
 * ADD-PATH sending (RFC 7911) by properties: whatever three sources announce, withdraw or lose, and however slowly the
 * receivers read, each receiver holds in the end exactly the paths that its group may be told, under identifiers that
 * are unique per prefix, and never a path of its own. Members: all paths, two paths, the best alone.
 */
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import { decodeUpdate, encodeUpdate, formatPrefix, parsePrefix } from 'bgp-parse';
import type { DecodedUpdate, PathAttributes } from 'bgp-parse';
import type { GroupParameters } from '../../src/export/group-parameters.js';
import { Pipeline } from '../../src/pipeline.js';
import type { RibPeer, RibSession } from '../../src/rib/rib-peers.js';
import type { SessionSink } from '../../src/session/types.js';
import { STILL } from './fixtures/still-clock.js';

const LIMITS = [Infinity, 2, 0];
const PREFIXES = Array.from({ length: 6 }, (_, i) => parsePrefix(`198.51.${i}.0/24`)!);

function session(index: number): RibSession {
  return {
    address: Uint8Array.of(10, 0, 0, index),
    asn: 64500 + index,
    external: true,
    routeReflectorClient: false,
    identifier: index,
    fourOctetAs: true,
    families: ['ipv4-unicast'],
    addPathReceive: [],
    extendedNextHop: false,
    importAccept: true,
    interfaceName: undefined,
  };
}

function attributes(source: number, localPath: number): PathAttributes {
  return {
    origin: 0,
    asPath: [{ type: 2, asns: [64500 + source, ...Array.from({ length: localPath }, (_, i) => 64700 + i)] }],
    nextHop: Uint8Array.of(10, 0, 0, source),
  };
}

/** A receiver that may stop reading: what is written meanwhile waits, and counts as backlog. */
class Receiver implements SessionSink {
  readonly held = new Map<string, string>();
  stuck = false;
  ends = 0;
  #waiting: Uint8Array[] = [];
  readonly #addPath: boolean;
  readonly #own: number;
  /** Paths with the receiver's own AS behind ours: split horizon was not exact. */
  ownRoutes = 0;

  constructor(own: number, addPath: boolean) {
    this.#own = own;
    this.#addPath = addPath;
  }

  get backlogBytes(): number {
    return this.stuck ? 4 * 1024 * 1024 : 0;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    const copy = bytes.slice(start, end);
    if (this.stuck) this.#waiting.push(copy);
    else this.#take(copy);
    return false;
  }

  release(): void {
    this.stuck = false;
    for (const bytes of this.#waiting.splice(0)) this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      const context = {
        external: true,
        fourOctetAs: true,
        ...(this.#addPath ? { addPath: ['ipv4-unicast'] as const } : {}),
      };
      const update = decodeUpdate(bytes, at + 19, at + length, context);
      if (update.errors.length > 0) throw update.errors[0]!;
      this.#apply(update);
      at += length;
    }
  }

  #apply(update: DecodedUpdate): void {
    if (update.endOfRib) this.ends++;
    for (const nlri of update.withdrawn) this.held.delete(`${formatPrefix(nlri)} ${nlri.pathId ?? 0}`);
    for (const nlri of update.nlri) {
      const path = update.attributes!.asPath.flatMap((segment) => segment.asns);
      if (path[1] === 64500 + this.#own) this.ownRoutes++;
      this.held.set(`${formatPrefix(nlri)} ${nlri.pathId ?? 0}`, path.slice(1).join(' '));
    }
  }
}

function world() {
  const identity = { asn: 65000, routerId: 1, clusterId: 1 };
  const pipeline = new Pipeline({ identity, clock: STILL, seed: 7, fib: undefined, onEndOfRib: () => undefined });
  const peers: RibPeer[] = [];
  const receivers: Receiver[] = [];
  for (let index = 0; index < 3; index++) {
    const peer = pipeline.rib.addPeer(session(index + 1))!;
    pipeline.rib.establish(peer, peer.session, []);
    const parameters: GroupParameters = {
      family: 'ipv4-unicast',
      familyIndex: 0,
      external: true,
      client: false,
      clientToClient: true,
      accept: true,
      fourOctetAs: true,
      extendedNextHop: false,
      addPathLimit: LIMITS[index]!,
      maxMessageLength: 4096,
      nextHopSelf: false,
      nextHop: Uint8Array.of(10, 0, 0, 100),
    };
    const receiver = new Receiver(index + 1, LIMITS[index]! > 0);
    pipeline.exporter.join(peer.id, receiver, parameters);
    peers.push(peer);
    receivers.push(receiver);
  }
  return { pipeline, peers, receivers };
}

type World = ReturnType<typeof world>;

function send({ pipeline, peers }: World, source: number, update: Parameters<typeof encodeUpdate>[0]): void {
  for (const message of encodeUpdate(update, { fourOctetAs: true })) {
    const error = pipeline.rib.receive(peers[source]!, message, 19, message.length);
    if (error) throw error;
  }
}

function settle({ pipeline }: World): void {
  for (let i = 0; i < 100; i++) pipeline.turn();
}

/** What receiver `index` should hold: AS paths by prefix, in order of preference, without its own. */
function expected(state: readonly Map<number, number>[], index: number): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const [number, prefix] of PREFIXES.entries()) {
    const ranked = state
      .flatMap((paths, source) => (paths.has(number) ? [{ source, length: paths.get(number)! }] : []))
      .sort((a, b) => a.length - b.length || a.source - b.source);
    const told = ranked.slice(0, LIMITS[index] === 0 ? 1 : LIMITS[index]).filter(({ source }) => source !== index);
    const texts = told.map(({ source, length }) =>
      attributes(source + 1, length)
        .asPath.flatMap((segment) => segment.asns)
        .join(' '),
    );
    if (texts.length > 0) out.set(formatPrefix(prefix), texts.sort());
  }
  return out;
}

function held(receiver: Receiver): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const [key, path] of receiver.held) {
    const prefix = key.split(' ')[0]!;
    out.set(prefix, [...(out.get(prefix) ?? []), path].sort());
  }
  return new Map([...out].sort());
}

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('announce' as const),
      source: fc.nat(2),
      prefix: fc.nat(5),
      length: fc.nat(3),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), source: fc.nat(2), prefix: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stick' as const), source: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), source: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('refresh' as const), source: fc.nat(2) }) },
);

t.test('every receiver ends with exactly the paths its group may be told', (t) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const here = world();
      settle(here);
      const state = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
      for (const step of operations) {
        if (step.kind === 'announce') {
          state[step.source]!.set(step.prefix, step.length);
          send(here, step.source, {
            nlri: [PREFIXES[step.prefix]!],
            attributes: attributes(step.source + 1, step.length),
          });
        } else if (step.kind === 'withdraw') {
          state[step.source]!.delete(step.prefix);
          send(here, step.source, { withdrawn: [PREFIXES[step.prefix]!] });
        } else if (step.kind === 'turn') {
          here.pipeline.turn();
        } else if (step.kind === 'stick') {
          here.receivers[step.source]!.stuck = true;
        } else if (step.kind === 'release') {
          here.receivers[step.source]!.release();
        } else {
          const member = here.pipeline.exporter.member(0, here.peers[step.source]!.id)!;
          here.pipeline.exporter.refresh(member, {});
        }
      }
      for (const receiver of here.receivers) receiver.release();
      settle(here);
      for (const [index, receiver] of here.receivers.entries()) {
        if (receiver.ownRoutes > 0) throw new Error('a peer was told its own route');
        if (receiver.ends !== 1) throw new Error(`End-of-RIB ${receiver.ends} times`);
        const want = JSON.stringify([...expected(state, index)]);
        const have = JSON.stringify([...held(receiver)]);
        if (want !== have) throw new Error(`receiver ${index}: holds ${have}, should hold ${want}`);
      }
    }),
    { numRuns: runs(3000) },
  );
  t.pass('3000 histories');
  t.end();
});

t.test('a path keeps its identifier while it changes', (t) => {
  const here = world();
  settle(here);
  send(here, 1, { nlri: [PREFIXES[0]!], attributes: attributes(2, 0) });
  settle(here);
  const before = [...here.receivers[0]!.held.keys()];
  send(here, 1, { nlri: [PREFIXES[0]!], attributes: attributes(2, 3) });
  settle(here);
  t.same([...here.receivers[0]!.held.keys()], before, 'the same identifier, other attributes');
  t.same([...here.receivers[0]!.held.values()], ['64502 64700 64701 64702']);
  t.end();
});
