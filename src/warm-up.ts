/**
 * Has the hot path compiled before it is needed: V8 optimises code only after it has run for a while, and the first
 * full table would pay for that. A speaker of its own, thrown away afterwards, is fed made-up routes in small slices
 * while the real one has nothing to do.
 */
import { Framer, MessageType } from 'bgp-parse';
import type { Family, MessageSink } from 'bgp-parse';
import { DEFAULTS } from './config/schema.js';
import { rulesOrNone } from './export/export-rules.js';
import type { GroupParameters } from './export/group-parameters.js';
import type { Member } from './export/member.js';
import { FibStatus, ROUTE_RECORD_WORDS } from './fib/port.js';
import { Pipeline } from './pipeline.js';
import type { PipelineFib } from './pipeline.js';
import type { PolicyPeer } from './policy/condition.js';
import { Policies } from './policy/policies.js';
import type { PoliciesOptions } from './policy/policies.js';
import type { ImportFilter } from './rib/import-filter.js';
import type { RibPeer, RibSession } from './rib/rib-peers.js';
import type { SessionSink } from './session/types.js';
import type { Cancel, Clock } from './support/clock.js';

/** Enough for V8's optimising compiler to have been through every loop; about 0.1 s of CPU. */
export const SETS = 2500;
const PREFIXES_PER_SET = 6;
const MESSAGES_PER_SLICE = 250;
export const WITHDRAW = 0;
const SPARE_HOPS = [0, 0, 3, 233, 0, 0, 3, 234];
/** After the start-up of sessions, before anybody can have sent much. */
const DELAY_MS = 1200;
const SLICE_INTERVAL_MS = 10;

/**
 * Begins after a while; `isBusy` postpones a slice. `withPolicy`: through policies, and `withFib`: to a kernel side, since
 * they will be in use. The returned function ends it early.
 */
export function warmUp(clock: Clock, isBusy: () => boolean, { withPolicy = false, withFib = false } = {}): Cancel {
  let cancel = clock.after(DELAY_MS, () => {
    const slices = workSlices(clock, withPolicy, withFib);
    cancel = clock.every(SLICE_INTERVAL_MS, () => {
      if (!isBusy() && slices.next().done) cancel();
    });
  });
  return () => cancel();
}

function* workSlices(clock: Clock, withPolicy: boolean, withFib: boolean): Generator<void> {
  // Turns run when this generator says so.
  const still: Clock = {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    after: (delayMs, run) => clock.after(delayMs, run),
    every: (intervalMs, run) => clock.every(intervalMs, run),
    soon: () => undefined,
  };
  const identity = { asn: 1, routerId: 1, clusterId: 1 };
  const kernel = withFib ? new WarmUpKernel() : undefined;
  const pipeline = new Pipeline({ identity, clock: still, seed: 1, fib: kernel, onEndOfRib: () => undefined });
  if (kernel) kernel.pipeline = pipeline;
  const { asPathLength, communities } = DEFAULTS.limits;
  pipeline.rib.attributes.limits = { asPathLength, communities };
  // Of everything there are two, as there will be: what V8 has seen once it takes for the only one, and for ever the same.
  const first = new Policies(POLICIES, pipeline.rib);
  const policies = [first, new Policies(POLICIES, pipeline.rib, first.nextId)] as const;
  const chain = withPolicy ? 'made-up' : 'accept';
  const peerOf = (asn: number): PolicyPeer => ({ address: Uint8Array.of(192, 0, 2, asn), asn, group: undefined });
  const members: Member[] = [];
  const add = (asn: 1 | 2): RibPeer => {
    const own = policies[asn - 1]!;
    const peer = pipeline.rib.addPeer(session(asn, own.importFor(chain, true, peerOf(asn)).filter))!;
    pipeline.rib.establish(peer, peer.session, []);
    members.push(pipeline.exporter.join(peer.id, sink, { ...parameters, ...own.exportFor(chain, true, peerOf(asn)) }));
    return peer;
  };
  const sender = add(1);
  const receiver = add(2);
  const framer = new Framer();
  let from = sender;
  const receive: MessageSink = {
    message(type, bytes, start, end) {
      if (type === MessageType.update) pipeline.rib.receive(from, bytes, start, end);
      return true;
    },
  };
  const message = new Uint8Array(256);
  const feed = function* (generation: number): Generator<void> {
    for (let set = 0; set < SETS; set++) {
      framer.push(message, 0, writeUpdate(message, set, generation), receive);
      // Some prefixes have a second path.
      if (set % 8 === 0) {
        from = receiver;
        framer.push(message, 0, writeUpdate(message, set, generation), receive);
        from = sender;
      }
      if (set % MESSAGES_PER_SLICE !== 0) continue;
      pipeline.turn();
      yield;
    }
    pipeline.turn();
  };
  yield* feed(1);
  // The whole table, as who comes later is told it.
  for (const member of members) {
    pipeline.exporter.refresh(member, {});
    pipeline.turn();
    yield;
  }
  yield* feed(2);
  yield* feed(WITHDRAW);
}

/** Asks for all kinds of things; some sets are changed. */
const POLICIES: PoliciesOptions = {
  definitions: {
    policies: {
      'made-up': {
        statements: [
          { match: { prefix: ['10.0.0.0/8 le 32', '101.0.0.0/8 ge 25', '192.0.2.0/24'] }, then: 'reject' },
          { match: { asPathLength: '50..' }, then: 'reject' },
          { match: { community: ['1000:7', '64512:*'] }, set: { localPref: 200, community: { add: '1:1' } } },
          { match: { neighborAs: 64512 }, then: 'reject' },
        ],
        default: 'accept',
      },
    },
    prefixLists: {},
    asPathLists: {},
    communityLists: {},
    pools: [],
  },
  ownAs: 1,
  ownNetworks: [],
  functions: {},
  failed: () => undefined,
};

/** Installs everything at once. */
class WarmUpKernel implements PipelineFib {
  readonly canSubmit = true;
  pipeline!: Pipeline;

  trackNextHop(id: number): void {
    this.pipeline.rib.nextHopChanged(id, true, 0, '');
  }

  submit(family: Family, records: Uint32Array, count: number): void {
    const words = ROUTE_RECORD_WORDS[family];
    const pairs = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) {
      pairs[i * 2] = records[i * words]!;
      pairs[i * 2 + 1] = records[i * words + 1] === 0 ? FibStatus.absent : FibStatus.installed;
    }
    this.pipeline.kernelStatusChanged(family, pairs, count);
  }

  forgetNextHop(): void {}
  nextHopDown(): void {}
  nextHopUp(): void {}
  defineNextHopSet(): void {}
  forgetNextHopSet(): void {}
}

const sink: SessionSink = { write: () => false, backlogBytes: 0 };

const parameters: GroupParameters = {
  family: 'ipv4-unicast',
  familyIndex: 0,
  external: true,
  client: false,
  clientToClient: true,
  accept: true,
  fourOctetAs: true,
  extendedNextHop: false,
  addPathLimit: 0,
  maxMessageLength: 4096,
  nextHopSelf: false,
  nextHop: Uint8Array.of(192, 0, 2, 1),
  // As of most sessions with external peers.
  rules: rulesOrNone({ subnet: { bytes: Uint8Array.of(192, 0, 2, 0), prefixLength: 24 } }),
};

/** The fields in the order of the real ones (`Peer`), for one shape. */
function session(asn: number, importFilter: ImportFilter | undefined): RibSession {
  return {
    address: Uint8Array.of(192, 0, 2, asn),
    asn: asn + 1,
    external: true,
    routeReflectorClient: false,
    identifier: asn,
    fourOctetAs: true,
    families: ['ipv4-unicast'],
    addPathReceive: [],
    extendedNextHop: false,
    importAccept: true,
    importFilter,
    group: undefined,
    ingress: undefined,
    anyFirstAs: undefined,
    interfaceName: undefined,
  };
}

/** One UPDATE written to `out` without making objects; returns its length. */
export function writeUpdate(out: Uint8Array, set: number, generation: number): number {
  out.fill(0xff, 0, 16);
  out[18] = MessageType.update;
  let at = 21;
  if (generation === WITHDRAW) at = writePrefixes(out, at, set);
  out[19] = (at - 21) >> 8;
  out[20] = at - 21;
  const hops = 2 + (set % 3);
  const attributes = [
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 2 + 4 * hops, 2, hops, 0, 0, 0, 2, 0, generation, set >> 8, set & 255],
    ...SPARE_HOPS.slice(0, 4 * (hops - 2)),
    ...[0x40, 3, 4, 192, 0, 2, 10 + (set % 4)],
    ...[0xc0, 8, 4, 3, 232, 0, set % 50],
  ];
  const length = generation === WITHDRAW ? 0 : attributes.length;
  out[at++] = length >> 8;
  out[at++] = length;
  for (let i = 0; i < length; i++) out[at++] = attributes[i]!;
  if (generation !== WITHDRAW) at = writePrefixes(out, at, set);
  out[16] = at >> 8;
  out[17] = at;
  return at;
}

function writePrefixes(out: Uint8Array, at: number, set: number): number {
  for (let i = 0; i < PREFIXES_PER_SET; i++) {
    const number = set * PREFIXES_PER_SET + i;
    // Most of a table are /24; others do not end with an octet.
    const length = i === 0 ? 22 : i === 1 ? 26 : 24;
    out[at++] = length;
    out[at++] = 100 + (number >> 14);
    out[at++] = number >> 6;
    out[at++] = number << 2;
    if (length > 24) out[at++] = 64;
  }
  return at;
}
