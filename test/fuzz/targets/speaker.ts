/**
 * A whole speaker in memory between three hostile peers, two honest ones that say the same prefixes, and an observer. The hostile ones say anything
 * (grammar.ts); what each of them has really said is worked out by the reference reader, for each of them alone.
 *
 * After every step: each hostile session lives or has ended as the RFCs say; the speaker holds exactly the prefixes that
 * its peers have left it with; the sessions of the honest peers and the observer have not noticed; what the observer was
 * told is well-formed, and of each prefix it holds exactly what one of the candidates comes to when it is passed on; and
 * of the honest prefixes exactly what test/model says. In the end everybody leaves, and nothing is left.
 */
import assert from 'node:assert/strict';
import { decodeOpen, parsePrefix } from 'bgp-parse';
import { Speaker, parseConfig, silentLog } from '../../../src/index.js';
import type { RouteDto } from '../../../src/index.js';
import { FakeClock } from '../../fixtures/fake-clock.js';
import { MemoryNetwork } from '../../fixtures/memory-network.js';
import type { MemoryEnd } from '../../fixtures/memory-network.js';
import { ENHANCED_REFRESH, KEEPALIVE, message, open, usualCapabilities } from '../../malformed/fixtures/compose.js';
import { readUpdate } from '../../malformed/fixtures/reference.js';
import type { Kept, ReferenceSession } from '../../malformed/fixtures/reference.js';
import { LOCAL_ASN, ROUTER_ID, passedOn, readable, sizeOf } from '../../malformed/fixtures/rig.js';
import { Verdict } from '../../malformed/fixtures/rules.js';
import type { PathAttributes, Peer as ModelPeer } from '../../model/attributes.js';
import { Model } from '../../model/model.js';
import { PLAIN_MANNER } from '../../rib/fixtures/harness.js';
import { Receiver } from '../../rib/fixtures/receiver.js';
import { announcement, withdrawal } from '../../rib/fixtures/wire.js';
import { randomMessage, randomOpen, randomUpdate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';
import { answer } from './fsm.js';

const STEPS = 1000;
/** Two, who say the same prefixes. */
const HONEST = [
  { id: 'honest', address: '192.0.2.2', identifier: [10, 0, 0, 2] },
  { id: 'upright', address: '192.0.2.4', identifier: [10, 0, 0, 4] },
] as const;
const OBSERVER = '192.0.2.3';
const HONEST_PREFIXES = Array.from({ length: 12 }, (_, i) => `10.20.${i}.0/24`);

const HONEST_KEYS = new Map(HONEST_PREFIXES.map((prefix) => [keyOf(prefix), prefix]));
/** With less room than this in a message it depends on details whether a path can be said at all. */
const NARROW = 32;

interface Kind {
  readonly address: string;
  readonly identifier: readonly number[];
  readonly asn: number;
  readonly session: ReferenceSession;
  /** It offers enhanced route refresh (RFC 7313). */
  readonly enhanced: boolean;
  readonly options: Record<string, unknown>;
}

const external = { import: 'accept', export: 'accept' };
const asSets = 'accept';
const KINDS: readonly Kind[] = [
  {
    address: '192.0.2.11',
    identifier: [10, 0, 0, 11],
    asn: 65011,
    session: { external: true, fourOctetAs: true, peerAsn: 65011, afis: [1, 2] },
    enhanced: true,
    options: { ...external, asSets },
  },
  {
    address: '192.0.2.12',
    identifier: [10, 0, 0, 12],
    asn: LOCAL_ASN,
    session: { external: false, fourOctetAs: false, peerAsn: LOCAL_ASN, afis: [1, 2] },
    enhanced: false,
    options: { routeReflectorClient: true, asSets },
  },
  {
    address: '192.0.2.13',
    identifier: [10, 0, 0, 13],
    asn: 65013,
    session: {
      external: true,
      fourOctetAs: true,
      peerAsn: 65013,
      afis: [1, 2],
      addPath: [1, 2],
      extendedNextHop: true,
      refusesAsSets: true,
    },
    enhanced: true,
    options: { ...external, addPath: { receive: true }, extendedNextHop: true },
  },
];

class Hostile {
  readonly kind: Kind;
  /** While it is Established. */
  end: MemoryEnd | undefined;
  /** What it has said and not taken back, with path identifiers. */
  readonly said = new Map<string, Kept>();
  /** Not said again since a refresh began (RFC 7313 §4.2). */
  readonly #stale = new Set<string>();

  constructor(kind: Kind) {
    this.kind = kind;
  }

  apply(body: Uint8Array): Verdict {
    const { verdict, changes, endOfRib } = readUpdate(body, this.kind.session);
    for (const [prefix, kept] of changes) {
      this.#stale.delete(prefix);
      if (kept) this.said.set(prefix, kept);
      else this.said.delete(prefix);
    }
    if (endOfRib !== undefined) this.#sweep(endOfRib);
    return verdict;
  }

  refresh(body: Uint8Array): void {
    const afi = (body[0]! << 8) | body[1]!;
    if (!this.kind.enhanced || body[3] !== 1 || !this.kind.session.afis.includes(afi)) return;
    if (body[2] === 1) for (const prefix of this.said.keys()) if (prefix.startsWith(`${afi}/`)) this.#stale.add(prefix);
    if (body[2] === 2) this.#sweep(afi);
  }

  gone(): void {
    this.end = undefined;
    this.said.clear();
    this.#stale.clear();
  }

  #sweep(afi: number): void {
    for (const prefix of this.#stale) {
      if (!prefix.startsWith(`${afi}/`)) continue;
      this.said.delete(prefix);
      this.#stale.delete(prefix);
    }
  }
}

class Scene {
  readonly random: Random;
  readonly network = MemoryNetwork.install();
  readonly clock = new FakeClock({ alone: true });
  readonly hostiles = KINDS.map((kind) => new Hostile(kind));
  readonly table = new Map<string, Kept>();
  readonly receiver = new Receiver({ external: false, fourOctetAs: true, maxMessageLength: 4096 });
  readonly model = new Model({ asn: LOCAL_ASN, routerId: ROUTER_ID.join('.'), clusterId: ROUTER_ID.join('.') });
  readonly #damage: number;
  speaker!: Speaker;
  messages = 0;
  /** What was being sent when something went wrong. */
  input: Uint8Array = new Uint8Array(0);
  #honest: readonly MemoryEnd[] = [];
  #observer!: MemoryEnd;
  readonly #told4 = new WeakMap<Kept, string | undefined>();
  readonly #told6 = new WeakMap<Kept, string | undefined>();
  readonly #texts = new WeakMap<Kept, string>();

  constructor(seed: number) {
    this.random = new Random(seed);
    this.#damage = this.random.pick([0, 15, 40, 100]);
  }

  async start(): Promise<void> {
    const common = { gracefulRestart: false };
    const config = {
      asn: LOCAL_ASN,
      routerId: ROUTER_ID.join('.'),
      listen: [],
      fib: { enabled: false },
      peers: [
        ...KINDS.map(({ address, asn, options }) => ({ address, asn, ...common, ...options })),
        ...HONEST.map(({ address }) => ({ address, asn: LOCAL_ASN, routeReflectorClient: true, ...common })),
        { address: OBSERVER, asn: LOCAL_ASN, ...common },
      ],
    };
    this.speaker = new Speaker(await parseConfig(JSON.stringify(config), 'fuzz'), {
      clock: this.clock,
      log: silentLog,
    });
    await this.speaker.start();
    this.clock.runAllSoon();
    const join = (address: string, identifier: readonly number[]): MemoryEnd => {
      const end = this.network.dialled(address)!;
      // Hold time 0: time may pass without a word of theirs.
      end.send(open({ identifier, holdTime: 0, capabilities: usualCapabilities(LOCAL_ASN) }), KEEPALIVE);
      return end;
    };
    this.#honest = HONEST.map(({ address, identifier }) => join(address, identifier));
    this.#observer = join(OBSERVER, [10, 0, 0, 3]);
    for (const { id, address, identifier } of HONEST)
      this.model.establish(modelPeer(id, address, identifier.join('.'), true));
    this.model.establish(modelPeer('observer', OBSERVER, '10.0.0.3', false));
    this.model.setNextHop('192.0.2.9', { resolvable: true, metric: 0 });
    this.settle();
  }

  settle(): void {
    this.clock.runAllSoon();
    for (const heard of this.#observer.take()) {
      if (heard[18] === 3) assert.fail(`NOTIFICATION ${heard[19]}/${heard[20]} to the observer`);
      if (heard[18] !== 2) continue;
      const body = heard.subarray(19);
      const session = { external: false, fourOctetAs: true, peerAsn: undefined, afis: [1, 2], asSent: true };
      const reading = readUpdate(body, session);
      assert.equal(reading.verdict, Verdict.none, `told to the observer: ${Buffer.from(body).toString('hex')}`);
      for (const [prefix, kept] of reading.changes) {
        if (kept) this.table.set(prefix, kept);
        else this.table.delete(prefix);
      }
      this.receiver.update(body);
    }
    for (const end of this.#honest) end.take();
  }

  step(): void {
    const { random } = this;
    if (random.chance(14)) return this.#honestStep();
    const hostile = random.pick(this.hostiles);
    if (!hostile.end) return this.#bringUp(hostile);
    const roll = random.below(100);
    if (roll < 3) {
      hostile.end.drop();
      hostile.gone();
    } else if (roll < 5) this.clock.advance(random.pick([100, 1000, 5000]));
    else if (roll < 12) this.#sayAnything(hostile);
    else for (let i = 1 + random.below(6); i > 0 && hostile.end; i--) this.#sayUpdate(hostile);
    this.clock.runAllSoon();
  }

  check(thoroughly: boolean): void {
    this.settle();
    assert.equal(
      [...this.#honest, this.#observer].some(({ closed }) => closed),
      false,
      'a session of an innocent peer has ended',
    );
    for (const { kind, end, said } of this.hostiles) {
      const peer = this.speaker.peer(kind.address)!;
      assert.equal(
        peer.state === 'Established',
        end !== undefined,
        `${kind.address} is ${peer.state}: ${peer.lastError}`,
      );
      if (thoroughly || peer.received !== said.size) this.#checkRoutes(kind.address, said);
      assert.equal(peer.received, said.size, `${kind.address}: prefixes`);
    }
    this.#checkObserver();
  }

  /** Everybody but the observer leaves, and nothing is left. */
  async finish(): Promise<void> {
    for (const hostile of this.hostiles) {
      hostile.end?.drop();
      hostile.gone();
    }
    for (const end of this.#honest) end.drop();
    for (const { id } of HONEST) for (const prefix of HONEST_PREFIXES) this.model.withdraw(id, prefix);
    // Attribute sets die two turns after their last use.
    for (let turns = 0; turns < 4; turns++) {
      this.#observer.send(message(5, [0, 1, 0, 1]));
      this.settle();
    }
    assert.equal(this.table.size, 0, 'the observer still holds prefixes');
    const summary = this.speaker.summary();
    assert.equal(summary.attributeSets, 0, 'attribute sets left');
    for (const { family, prefixes, paths } of summary.families) assert.equal(prefixes + paths, 0, `${family}: left`);
    const over = this.speaker.stop();
    this.clock.advance(5000);
    await over;
    // What still waits are warm-up and the like, ended with the speaker; sessions have none.
    assert.equal(this.clock.pending, 0, 'timers left');
  }

  #bringUp(hostile: Hostile): void {
    const { kind } = hostile;
    const { random } = this;
    if (this.speaker.peer(kind.address)!.state === 'Idle') this.speaker.command(kind.address, 'reset');
    this.clock.runAllSoon();
    if (this.speaker.peer(kind.address)!.state !== 'OpenSent') {
      this.clock.advance(2000);
      this.clock.runAllSoon();
    }
    if (this.speaker.peer(kind.address)!.state !== 'OpenSent') return;
    const end = this.network.dialled(kind.address)!;
    const [heard] = end.take();
    const offer = decodeOpen(heard!, 19, heard!.length);
    if (!offer.capabilities.some(({ kind: offered }) => offered === 'routeRefresh')) {
      // It has been told that we do not like its capabilities, and offers fewer (RFC 5492 §3): not what we reckon with.
      end.drop();
      this.speaker.command(kind.address, 'reset');
      return;
    }
    const { asn, identifier, session } = kind;
    const usual = { asn, identifier, fourOctetAs: session.fourOctetAs };
    if (random.chance(10)) {
      const { bytes, good } = randomOpen(random, usual, 80);
      this.#send(end, bytes);
      if (good) end.drop();
      else assert.equal(end.closed, true, 'a bad OPEN was taken');
      return;
    }
    const capabilities = usualCapabilities(asn, session.fourOctetAs);
    if (session.addPath) capabilities.push([69, 8, 0, 1, 1, 2, 0, 2, 1, 2]);
    if (kind.enhanced) capabilities.push([...ENHANCED_REFRESH]);
    if (session.extendedNextHop) capabilities.push([5, 6, 0, 1, 0, 1, 0, 2]);
    this.#send(end, open({ asn: asn > 0xffff ? 23456 : asn, identifier, holdTime: 0, capabilities }));
    this.#send(end, KEEPALIVE);
    hostile.end = end;
    end.take();
  }

  #sayUpdate(hostile: Hostile): void {
    const { kind, end } = hostile;
    const block = this.random.chance(70) ? 64 : KINDS.indexOf(kind);
    const body = randomUpdate(this.random, kind.session, { damage: this.#damage, block });
    // Shorter than an UPDATE can be: that is for #sayAnything.
    if (body.length < 4) return;
    end!.take();
    this.#send(end!, message(2, body));
    const verdict = hostile.apply(body);
    assert.equal(
      end!.closed,
      verdict === Verdict.reset,
      `${kind.address}: verdict ${verdict}: ${this.speaker.peer(kind.address)!.lastError}`,
    );
    if (verdict !== Verdict.reset) return;
    const notification = end!.take().find((heard) => heard[18] === 3);
    assert.equal(notification?.[19], 3, 'UPDATE Message Error');
    hostile.gone();
  }

  #sayAnything(hostile: Hostile): void {
    const { kind } = hostile;
    const end = hostile.end!;
    const bytes = randomMessage(this.random, kind.session, { damage: this.#damage, block: 64 });
    const declared = (bytes[16]! << 8) | bytes[17]!;
    // A whole message, or one whose head is wrong already.
    const wanted = answer('Established', bytes, undefined, kind.enhanced);
    if (declared !== bytes.length && !wanted.startsWith('1/')) return;
    end.take();
    this.#send(end, bytes);
    const sent = end.take().filter((heard) => heard[18] === 3);
    let got = sent.length > 0 ? `${sent[0]![19]}/${sent[0]![20]}` : end.closed ? 'close' : 'live';
    if (bytes[18] === 2 && wanted === 'any') {
      const verdict = hostile.apply(bytes.subarray(19));
      assert.equal(end.closed, verdict === Verdict.reset, `verdict ${verdict}`);
      got = wanted;
    }
    if (bytes[18] === 5 && wanted === 'live') hostile.refresh(bytes.subarray(19));
    assert.equal(got, wanted, `${kind.address}: the answer to ${Buffer.from(bytes.subarray(16, 40)).toString('hex')}`);
    if (end.closed) hostile.gone();
  }

  #honestStep(): void {
    const { random } = this;
    const prefix = random.pick(HONEST_PREFIXES);
    const who = random.below(HONEST.length);
    const { id } = HONEST[who]!;
    const end = this.#honest[who]!;
    if (random.chance(30)) {
      this.#send(end, message(2, withdrawal([{ prefix }], PLAIN_MANNER)));
      this.model.withdraw(id, prefix);
      return;
    }
    const attributes: PathAttributes = {
      origin: random.pick([0, 1, 2] as const),
      asPath: [{ kind: 'sequence', asns: Array.from({ length: 1 + random.below(3) }, () => 65100 + random.below(3)) }],
      nextHop: '192.0.2.9',
      localPref: random.pick([100, 100, 100, 200]),
      ...(random.chance(50) ? { med: random.below(100) } : {}),
      ...(random.chance(50) ? { communities: [65001 * 65536 + random.below(5)] } : {}),
    };
    this.#send(end, message(2, announcement([{ prefix }], attributes, PLAIN_MANNER)));
    this.model.announce(id, prefix, attributes);
  }

  #send(end: MemoryEnd, bytes: Uint8Array): void {
    this.input = bytes;
    this.messages++;
    end.send(bytes);
  }

  /** What `bgpctl show routes --peer A --received` shows. */
  #checkRoutes(address: string, said: ReadonlyMap<string, Kept>): void {
    const shown = new Map<string, RouteDto>();
    for (const route of this.speaker.routes({ peer: { address, direction: 'received' } })!) {
      const { bytes, length } = parsePrefix(route.prefix)!;
      const octets = Buffer.from(bytes.subarray(0, Math.ceil(length / 8))).toString('hex');
      const path = route.pathId === null ? '' : `/${route.pathId}`;
      shown.set(`${bytes.length === 4 ? 1 : 2}/${length}/${octets}${path}`, route);
    }
    assert.deepEqual([...shown.keys()].sort(), [...said.keys()].sort(), `${address}: routes`);
    for (const [prefix, route] of shown) {
      const kept = said.get(prefix)!;
      const number = (code: number): number | null => {
        const value = kept.get(code)?.value;
        return value ? Buffer.from(value).readUInt32BE() : null;
      };
      assert.equal(route.med, number(4), `${prefix}: MED`);
      assert.equal(route.origin, (['igp', 'egp', 'incomplete'] as const)[kept.get(1)!.value[0]!], `${prefix}: ORIGIN`);
      assert.equal(route.communities?.length ?? 0, (kept.get(8)?.value.length ?? 0) / 4, `${prefix}: communities`);
    }
  }

  #checkObserver(): void {
    const candidates = new Map<string, (string | undefined)[]>();
    for (const { kind, said } of this.hostiles) {
      for (const [path, kept] of said) {
        const prefix = path.split('/', 3).join('/');
        let list = candidates.get(prefix);
        if (!list) candidates.set(prefix, (list = []));
        list.push(this.#toldOf(kind, prefix, kept));
      }
    }
    const honest = this.model.adjRibOut('observer');
    for (const [key, prefix] of HONEST_KEYS) {
      if (candidates.has(key)) continue;
      const [held, wanted] = [this.receiver.routes.get(prefix), honest.get(prefix)];
      if (held || wanted) assert.deepEqual(held, wanted, `${prefix}, which is honest`);
    }
    for (const [prefix, held] of this.table) {
      if (HONEST_KEYS.has(prefix)) continue;
      const list = candidates.get(prefix);
      assert.ok(list, `${prefix}: the observer holds what nobody says`);
      const text = this.#textOf(held);
      // What is close to the size of a message may or may not have been said.
      if (!list.includes(text) && 4096 - sizeOf(held, true) >= NARROW) {
        assert.fail(`${prefix}: the observer was told ${text}, not one of ${list.join(' | ')}`);
      }
    }
    for (const [prefix, list] of candidates) {
      // A path that is not passed on may be the best one: then the prefix is not told.
      if (!this.table.has(prefix)) assert.ok(list.includes(undefined), `${prefix}: the observer was not told`);
    }
  }

  /** What the observer is to be told of a path; undefined = nothing, or it is too long to be sure. */
  #toldOf(kind: Kind, prefix: string, kept: Kept): string | undefined {
    // One set of attributes is said of prefixes of one family; of two only in messages with both.
    const cache = prefix.startsWith('1/') ? this.#told4 : this.#told6;
    if (cache.has(kept)) return cache.get(kept);
    const out = passedOn(prefix, kept, { ...kind.session, identifier: kind.identifier });
    const text = out && 4096 - sizeOf(out, true) >= NARROW ? readable(out).join() : undefined;
    cache.set(kept, text);
    return text;
  }

  #textOf(kept: Kept): string {
    let text = this.#texts.get(kept);
    if (text === undefined) this.#texts.set(kept, (text = readable(kept).join()));
    return text;
  }
}

function keyOf(prefix: string): string {
  const { bytes, length } = parsePrefix(prefix)!;
  return `1/${length}/${Buffer.from(bytes.subarray(0, length / 8)).toString('hex')}`;
}

const modelPeer = (id: string, address: string, routerId: string, client: boolean): ModelPeer => ({
  id,
  address,
  type: 'internal',
  asn: LOCAL_ASN,
  routerId,
  client,
  families: ['ipv4-unicast', 'ipv6-unicast'],
  nextHopSelf: false,
});

export const speaker: Target = {
  name: 'speaker',
  async episode(seed) {
    const scene = new Scene(seed);
    let steps = 0;
    try {
      await scene.start();
      for (; steps < STEPS; steps++) {
        scene.step();
        scene.check(steps % 50 === 0);
      }
      await scene.finish();
    } catch (error) {
      throw new FuzzFailure(`speaker: step ${steps}`, scene.input, error);
    }
    return scene.messages;
  },
};
