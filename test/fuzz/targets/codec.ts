/**
 * The codec against the reference reader (test/malformed/fixtures): the same verdict, the same prefixes, the same
 * attributes left over, for any octets. What was accepted can be written again and means the same; a stream means the
 * same wherever it is cut.
 */
import assert from 'node:assert/strict';
import {
  BgpError,
  Disposition,
  Framer,
  decodeNotification,
  decodeOpen,
  decodeRouteRefresh,
  decodeUpdate,
  describeNotification,
  encodeAttributes,
  encodeNotification,
  encodeOpen,
  encodeUpdate,
} from 'bgp-parse';
import type { DecodedUpdate, Family, Nlri, UpdateContext } from 'bgp-parse';
import { readUpdate } from '../../malformed/fixtures/reference.js';
import type { Kept, ReferenceSession } from '../../malformed/fixtures/reference.js';
import { readable } from '../../malformed/fixtures/rig.js';
import { Verdict } from '../../malformed/fixtures/rules.js';
import { open as openBytes } from '../../malformed/fixtures/compose.js';
import { randomCapability } from '../capabilities.js';
import { mutate, randomMessage, randomOpen, randomUpdate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const CASES = 500;
const VERDICTS = new Map<Disposition, Verdict>([
  [Disposition.none, Verdict.none],
  [Disposition.attributeDiscard, Verdict.discard],
  [Disposition.treatAsWithdraw, Verdict.withdraw],
  [Disposition.sessionReset, Verdict.reset],
]);

/** What the codec knows of a session: no peer AS, every family, IPv6 next hops for IPv4, confederations and prefixes as they come. */
export function codecSession(external: boolean, fourOctetAs: boolean, addPath: boolean): ReferenceSession {
  return {
    external,
    fourOctetAs,
    lenientConfederation: !external,
    peerAsn: undefined,
    afis: [1, 2],
    addPath: addPath ? [1, 2] : [],
    extendedNextHop: true,
    anyPrefix: true,
  };
}

/** Throws when codec and reference reader differ on this UPDATE body. Returns the verdict. */
export function checkUpdate(body: Uint8Array, session: ReferenceSession): Verdict {
  const families: Family[] = session.addPath?.length ? ['ipv4-unicast', 'ipv6-unicast'] : [];
  const context: UpdateContext = { external: session.external, fourOctetAs: session.fourOctetAs, addPath: families };
  const wanted = readUpdate(body, session);
  // At an offset, with other octets around: nothing outside the body may matter.
  const buffer = new Uint8Array(body.length + 60).fill(0xff);
  buffer.set(body, 30);
  const decoded = decodeUpdate(buffer, 30, 30 + body.length, context);
  assert.equal(VERDICTS.get(decoded.disposition), wanted.verdict, `verdict: ${decoded.errors.join('; ')}`);
  for (const error of decoded.errors) encodeNotification(error);
  if (wanted.verdict === Verdict.reset) return wanted.verdict;
  assert.equal(decoded.endOfRib === undefined, wanted.endOfRib === undefined, 'End-of-RIB');
  const changes = changesOf(decoded);
  const wantedChanges = changesAsText(wanted.changes);
  // Text is quicker to compare, values are easier to read.
  if (JSON.stringify([...changes]) !== JSON.stringify([...wantedChanges])) assert.deepEqual(changes, wantedChanges);
  roundTrip(decoded, context);
  return wanted.verdict;
}

function changesOf(decoded: DecodedUpdate): Map<string, string[] | undefined> {
  const out = new Map<string, string[] | undefined>();
  const say = (family: Family, list: readonly Nlri[], attributes: string[] | undefined): void => {
    for (const { bytes, length, pathId } of list) {
      const octets = Buffer.from(bytes.subarray(0, Math.ceil(length / 8))).toString('hex');
      const path = pathId === undefined ? '' : `/${pathId}`;
      out.set(`${family === 'ipv4-unicast' ? 1 : 2}/${length}/${octets}${path}`, attributes);
    }
  };
  const { reach, unreach, attributes } = decoded;
  say('ipv4-unicast', decoded.withdrawn, undefined);
  if (unreach) say(unreach.family, unreach.nlri, undefined);
  // Attributes stand for both; the next hop of MP_REACH_NLRI is beside them.
  if (reach) say(reach.family, reach.nlri, attributes && attributesOf({ ...attributes, nextHop: reach.nextHop }));
  say('ipv4-unicast', decoded.nlri, attributes && attributesOf(attributes));
  return new Map([...out].sort(byPrefix));
}

function changesAsText(changes: ReadonlyMap<string, Kept | undefined>): Map<string, string[] | undefined> {
  const texts = new Map<Kept, string[]>();
  const textOf = (kept: Kept): string[] => {
    let text = texts.get(kept);
    if (!text) texts.set(kept, (text = readable(kept)));
    return text;
  };
  return new Map([...changes].map(([prefix, kept]) => [prefix, kept && textOf(kept)] as const).sort(byPrefix));
}

const byPrefix = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

function attributesOf(attributes: Parameters<typeof encodeAttributes>[0]): string[] {
  const bytes = encodeAttributes(attributes);
  const kept = new Map<number, { flags: number; value: Uint8Array }>();
  for (let at = 0; at < bytes.length;) {
    const extended = (bytes[at]! & 0x10) !== 0;
    const length = extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!;
    const start = at + (extended ? 4 : 3);
    kept.set(bytes[at + 1]!, { flags: bytes[at]! & ~0x10, value: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return readable(kept);
}

/** What was understood, written and read again, is the same. */
function roundTrip(decoded: DecodedUpdate, context: UpdateContext): void {
  const { attributes, nlri, reach } = decoded;
  if (!attributes) return;
  const again = { external: context.external, fourOctetAs: true, addPath: context.addPath ?? [] };
  const update = { attributes, nlri: attributes.nextHop ? nlri : [], ...(reach ? { reach } : {}) };
  for (const bytes of encodeUpdate(update, { ...again, maxMessageLength: 65535 })) {
    const read = decodeUpdate(bytes, 19, bytes.length, again);
    // ORIGINATOR_ID and the like were discarded already; what is left is none's fault.
    assert.equal(read.disposition, Disposition.none, `written anew: ${read.errors.join('; ')}`);
    const { nextHop: _hop, ...wanted } = attributes;
    const { nextHop: _readHop, ...got } = read.attributes!;
    if (JSON.stringify(got) !== JSON.stringify(wanted)) assert.deepEqual(got, wanted);
  }
}

function checkOpen(bytes: Uint8Array): void {
  const open = attempt(() => decodeOpen(bytes, 19, bytes.length));
  if (!open) return;
  for (const parameterPerCapability of [true, false]) {
    const written = encodeOpen(open, { parameterPerCapability });
    assert.deepEqual(decodeOpen(written, 19, written.length), open);
  }
}

/** What a right OPEN says, by another reading than that of the codec, however its capabilities are packed (RFC 5492 §4). */
function checkMeaning(random: Random, show: (input: Uint8Array) => void): void {
  const drawn = Array.from({ length: random.below(6) }, () => randomCapability(random));
  const [asn, holdTime, last] = [random.below(65536), random.pick([0, 3, 90, 65535]), 1 + random.below(255)];
  const bytes = openBytes({ asn, holdTime, identifier: [10, 0, 0, last], capabilities: drawn.map(({ octets }) => octets) }); // prettier-ignore
  show(bytes);
  const { capabilities, ...rest } = decodeOpen(bytes, 19, bytes.length);
  assert.deepEqual(rest, { version: 4, asn, holdTimeSeconds: holdTime, identifier: 0x0a000000 + last });
  assert.deepEqual(capabilities, drawn.map(({ means }) => means)); // prettier-ignore
  checkOpen(bytes);
}

/** The result, or undefined when it is an error that can be sent. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof BgpError)) throw error;
    const bytes = encodeNotification(error);
    assert.ok(bytes.length <= 4096 && error.code >= 1 && error.code <= 8);
    return undefined;
  }
}

/** Every cut of a stream gives the same messages and the same error. */
function checkFraming(random: Random, session: ReferenceSession): number {
  const parts = Array.from({ length: 1 + random.below(8) }, () => randomMessage(random, session, { damage: 30 }));
  let stream = Buffer.concat(parts);
  if (random.chance(30)) stream = Buffer.from(mutate(random, stream));
  const limit = random.chance(80) ? 4096 : 65535;
  const whole = frames(stream, [stream.length], limit);
  const cuts = Array.from({ length: random.below(6) }, () => random.below(stream.length + 1));
  assert.deepEqual(frames(stream, [...cuts.sort((a, b) => a - b), stream.length], limit), whole, 'cut elsewhere');
  return parts.length;
}

function frames(stream: Uint8Array, cuts: readonly number[], limit: number): string[] {
  const out: string[] = [];
  const framer = new Framer(limit);
  const sink = {
    message(type: number, bytes: Uint8Array, start: number, end: number): boolean {
      out.push(`${type} ${Buffer.from(bytes.subarray(start, end)).toString('hex')}`);
      return true;
    },
  };
  let from = 0;
  for (const to of cuts) {
    // In a buffer of its own: what was pushed before is not there any more.
    const part = Uint8Array.from(stream.subarray(from, to));
    const error = framer.push(part, 0, part.length, sink);
    from = to;
    if (error) return [...out, `${error.code}/${error.subcode}`];
  }
  return out;
}

export const codec: Target = {
  name: 'codec',
  episode(seed) {
    const random = new Random(seed);
    let messages = 0;
    for (let i = 0; i < CASES; i++) {
      const session = codecSession(random.chance(50), random.chance(60), random.chance(20));
      const kind = random.below(100);
      let input: Uint8Array = new Uint8Array(0);
      try {
        if (kind < 80) {
          const known = { ...session, peerAsn: 65001 };
          input = randomUpdate(random, known, { damage: random.pick([0, 10, 60, 100]) });
          checkUpdate(input, session);
          messages++;
        } else if (kind < 88) {
          input = randomOpen(random, { asn: 65001, identifier: [10, 0, 0, 1], fourOctetAs: true }, 50).bytes;
          if (random.chance(50)) input = mutate(random, input);
          checkOpen(input);
          messages++;
        } else if (kind < 91) {
          checkMeaning(random, (bytes) => (input = bytes));
          messages++;
        } else if (kind < 95) {
          const body = Uint8Array.from(random.bytes(random.below(24)));
          input = body;
          attempt(() => describeNotification(decodeNotification(body, 0, body.length)));
          attempt(() => decodeRouteRefresh(body, 0, body.length));
          messages++;
        } else messages += checkFraming(random, session);
      } catch (error) {
        throw new FuzzFailure(`codec: case ${i}, session ${JSON.stringify(session)}`, input, error);
      }
    }
    return Promise.resolve(messages);
  },
};
