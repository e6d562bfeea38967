/**
 * What a changed export policy says on the wire: what differs, once, and nothing else; also where it changes back before
 * all has been looked at, and where several paths of a prefix are told (RFC 7911).
 */
import t from 'tap';
import type { Test } from 'tap';
import { decodeUpdate, encodeUpdate, formatPrefix, parsePrefix } from 'bgp-parse';
import type { Prefix } from 'bgp-parse';
import type { GroupParameters } from '../../src/export/group-parameters.js';
import type { Member } from '../../src/export/member.js';
import { Pipeline } from '../../src/pipeline.js';
import type { PolicyDefinition } from '../../src/policy/definition.js';
import { Policies } from '../../src/policy/policies.js';
import type { RibPeer } from '../../src/rib/rib-peers.js';
import type { SessionSink } from '../../src/session/types.js';
import { STILL } from './fixtures/still-clock.js';

const OWN_AS = 65000;
const COUNT = 100;
const PREFIXES = Array.from({ length: COUNT }, (_, i) => parsePrefix(`10.0.${i}.0/24`)!);
const names = (from: number, to: number): string[] => PREFIXES.slice(from, to).map(formatPrefix);

/** Refuses prefixes 10 to 19 and changes 20 to 29. */
const OTHER: PolicyDefinition = {
  statements: [
    { match: { prefix: names(10, 20) }, then: 'reject' },
    { match: { prefix: names(20, 30) }, set: { community: { add: ['65000:7'] } } },
  ],
  default: 'accept',
};
/** Changes what came by AS 64502, whatever the prefix. */
const SECOND: PolicyDefinition = {
  statements: [{ match: { neighborAs: 64502, prefix: names(40, 45) }, set: { community: { add: ['65000:8'] } } }],
  default: 'accept',
};
const PLAIN: PolicyDefinition = { statements: [], default: 'accept' };

/** Keeps what it is told, and how often each prefix was named. */
class Receiver implements SessionSink {
  readonly backlogBytes = 0;
  readonly held = new Map<string, string>();
  announced: string[] = [];
  withdrawn: string[] = [];
  readonly #addPath: boolean;

  constructor(addPath: boolean) {
    this.#addPath = addPath;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end;) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      const addPath = this.#addPath ? (['ipv4-unicast'] as const) : [];
      const update = decodeUpdate(bytes, at + 19, at + length, { external: true, fourOctetAs: true, addPath });
      if (update.errors.length > 0) throw update.errors[0]!;
      const key = (nlri: Prefix & { readonly pathId?: number | undefined }): string =>
        `${formatPrefix(nlri)} ${nlri.pathId ?? 0}`;
      for (const nlri of update.withdrawn) {
        this.withdrawn.push(formatPrefix(nlri));
        this.held.delete(key(nlri));
      }
      for (const nlri of update.nlri) {
        this.announced.push(formatPrefix(nlri));
        this.held.set(key(nlri), JSON.stringify([update.attributes!.asPath, update.attributes!.communities]));
      }
      at += length;
    }
    return false;
  }

  /** What has been said since the last time. */
  take(): { announced: string[]; withdrawn: string[] } {
    const out = { announced: this.announced.sort(byNumber), withdrawn: this.withdrawn.sort(byNumber) };
    this.announced = [];
    this.withdrawn = [];
    return out;
  }
}

const number = (name: string): number => Number(name.split('.')[2]);
const byNumber = (a: string, b: string): number => number(a) - number(b);

/** Two sources that announce all prefixes, and a receiver. */
class World {
  readonly receiver: Receiver;
  readonly pipeline: Pipeline;
  readonly #peers: RibPeer[];
  readonly #parameters: GroupParameters;
  #policies: Policies | undefined;
  member: Member;

  /** `perSlice`: prefixes that a slice of a walk looks at. */
  constructor(addPathLimit: number, perSlice: number) {
    const identity = { asn: OWN_AS, routerId: 1, clusterId: 1 };
    this.pipeline = new Pipeline({
      identity,
      clock: STILL,
      walkPrefixes: perSlice,
      seed: 7,
      fib: undefined,
      onEndOfRib: () => undefined,
    });
    const { rib, exporter } = this.pipeline;
    this.#peers = [1, 2, 3].map((index) => {
      const peer = rib.addPeer({
        address: Uint8Array.of(192, 0, 2, index),
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
      })!;
      rib.establish(peer, peer.session, []);
      return peer;
    });
    this.#parameters = {
      family: 'ipv4-unicast',
      familyIndex: 0,
      external: true,
      client: false,
      clientToClient: true,
      accept: true,
      fourOctetAs: true,
      extendedNextHop: false,
      addPathLimit,
      maxMessageLength: 4096,
      nextHopSelf: false,
      nextHop: Uint8Array.of(192, 0, 2, 100),
      filter: this.#filter(PLAIN),
    };
    this.receiver = new Receiver(addPathLimit > 0);
    this.member = exporter.join(this.#peers[2]!.id, this.receiver, this.#parameters);
    for (const source of [0, 1]) this.announce(source, PREFIXES);
    this.settle();
    this.receiver.take();
  }

  announce(source: number, nlri: readonly Prefix[], hops = 0): void {
    const asns = [64501 + source, ...Array.from({ length: hops }, (_, i) => 64700 + i)];
    const attributes = {
      origin: 0 as const,
      asPath: [{ type: 2 as const, asns }],
      nextHop: Uint8Array.of(192, 0, 2, 9),
    };
    for (const message of encodeUpdate({ nlri, attributes }, { fourOctetAs: true })) {
      const error = this.pipeline.rib.receive(this.#peers[source]!, message, 19, message.length);
      if (error) throw error;
    }
  }

  #filter(definition: PolicyDefinition): GroupParameters['filter'] {
    const before = this.#policies;
    const definitions = {
      policies: { it: definition },
      prefixLists: {},
      asPathLists: {},
      communityLists: {},
      pools: [],
    };
    const failed = (): never => {
      throw new Error('no function is there to fail');
    };
    this.#policies = new Policies(
      { definitions, ownAs: OWN_AS, ownNetworks: [], functions: {}, failed },
      this.pipeline.rib,
      before?.nextId ?? 1,
    );
    this.pipeline.afterPolicies(() => before?.dispose());
    const peer = { address: Uint8Array.of(192, 0, 2, 3), asn: 64503, group: undefined };
    return this.#policies.exportFor(['it'], true, peer).filter;
  }

  repolicy(definition: PolicyDefinition): void {
    const parameters = { ...this.#parameters, filter: this.#filter(definition) };
    this.member = this.pipeline.exporter.repolicy(this.member, parameters);
  }

  /** Runs slices of the walk; nothing is told before it is over. */
  walk(slices: number): void {
    for (let i = 0; i < slices; i++) this.pipeline.exporter.compare(10);
  }

  settle(): void {
    const { rib, exporter } = this.pipeline;
    do this.pipeline.turn();
    while (rib.hasWork || exporter.hasWork || exporter.isComparing);
  }

  /** What a receiver that joins now is told. */
  expected(): Map<string, string> {
    const fresh = new Receiver(this.#parameters.addPathLimit > 0);
    const { group, peerId } = this.member;
    this.pipeline.exporter.leave(this.member);
    this.member = this.pipeline.exporter.join(peerId, fresh, group.parameters);
    this.settle();
    return fresh.held;
  }

  /** Without path identifiers, which each group gives as it likes. */
  static routes(held: ReadonlyMap<string, string>): string[] {
    return [...held].map(([key, value]) => `${key.split(' ')[0]} ${value}`).sort();
  }

  check(t: Test): void {
    t.strictSame(World.routes(this.receiver.held), World.routes(this.expected()), 'as a fresh receiver is told it');
  }
}

t.test('what differs, once', (t) => {
  const world = new World(0, 7);
  world.repolicy(OTHER);
  world.settle();
  t.strictSame(world.receiver.take(), { announced: names(20, 30), withdrawn: names(10, 20) });
  world.repolicy(PLAIN);
  world.settle();
  t.strictSame(world.receiver.take(), { announced: names(10, 30), withdrawn: [] });
  world.check(t);
  t.end();
});

t.test('another policy and back, before anything has been looked at: nothing', (t) => {
  for (const addPathLimit of [0, 2]) {
    const world = new World(addPathLimit, 7);
    world.repolicy(OTHER);
    world.repolicy(PLAIN);
    world.settle();
    t.strictSame(world.receiver.take(), { announced: [], withdrawn: [] }, `ADD-PATH ${addPathLimit}`);
    world.check(t);
  }
  t.end();
});

t.test('another policy and back in the middle of the walk: at most what has been looked at', (t) => {
  const world = new World(0, 10);
  world.repolicy(OTHER);
  // Of what differs, 10 to 29, the first half.
  world.walk(2);
  t.strictSame(world.receiver.take(), { announced: [], withdrawn: [] }, 'nothing is told before the walk is over');
  world.repolicy(PLAIN);
  world.settle();
  const { announced, withdrawn } = world.receiver.take();
  t.strictSame(withdrawn, [], 'what is told again has not been taken back between');
  t.strictSame(
    announced,
    names(9, 20).filter((name) => announced.includes(name)),
    'nothing beyond',
  );
  t.equal(new Set(announced).size, announced.length, 'each once');
  world.check(t);
  t.end();
});

t.test('a refresh in the middle of the walk, then the policy of before: everything is said again', (t) => {
  for (const addPathLimit of [0, 2]) {
    const world = new World(addPathLimit, 10);
    world.repolicy(OTHER);
    world.walk(1);
    // What the receiver does not hear from now on goes (RFC 7313 §4), also what OTHER would refuse.
    world.pipeline.exporter.refresh(world.member, {});
    world.repolicy(PLAIN);
    world.settle();
    t.strictSame([...new Set(world.receiver.take().announced)], names(0, COUNT), `ADD-PATH ${addPathLimit}`);
    world.check(t);
  }
  t.end();
});

t.test('a third policy in the middle of the walk, and changes of routes meanwhile', (t) => {
  for (const addPathLimit of [0, 2]) {
    const world = new World(addPathLimit, 10);
    world.repolicy(OTHER);
    world.walk(2);
    world.announce(0, PREFIXES.slice(15, 16), 1);
    world.announce(0, PREFIXES.slice(25, 26), 1);
    world.announce(1, PREFIXES.slice(42, 43), 1);
    world.pipeline.turn();
    world.repolicy(SECOND);
    world.walk(3);
    world.announce(1, PREFIXES.slice(44, 45), 2);
    world.settle();
    const { announced } = world.receiver.take();
    const others = announced.filter((name) => number(name) < 10 || number(name) >= 45);
    t.strictSame(others, [], `ADD-PATH ${addPathLimit}: nothing of what no policy differs in`);
    world.check(t);
  }
  t.end();
});

t.test('ADD-PATH: the prefixes of which a path differs, and no other', (t) => {
  const world = new World(2, 7);
  t.equal(world.receiver.held.size, 2 * COUNT);
  const before = new Map(world.receiver.held);
  world.repolicy(SECOND);
  world.settle();
  const { announced, withdrawn } = world.receiver.take();
  t.strictSame([...new Set(announced)], names(40, 45));
  t.strictSame(withdrawn, [], 'an announcement takes the place of what was told');
  t.strictSame([...world.receiver.held.keys()].sort(), [...before.keys()].sort(), 'under the same identifiers');
  const changed = [...world.receiver.held].filter(([key, value]) => before.get(key) !== value);
  t.equal(changed.length, 5, 'one path of two of each');
  world.repolicy(OTHER);
  world.settle();
  const then = world.receiver.take();
  t.strictSame([...new Set(then.announced)], [...names(20, 30), ...names(40, 45)]);
  t.strictSame([...new Set(then.withdrawn)], names(10, 20));
  world.check(t);
  t.end();
});
