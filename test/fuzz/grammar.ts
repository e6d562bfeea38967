/**
 * Messages as an evil or broken speaker might write them: mostly right, wrong in one or two places, and never what the
 * codec of this project would write by itself. Wrong in structure (flags, lengths, order, what stands twice) as well as
 * in single octets.
 */
import {
  attribute,
  message,
  mpReach,
  mpUnreach,
  octets,
  open,
  u32,
  updateBody,
  usualCapabilities,
} from '../malformed/fixtures/compose.js';
import type { ReferenceSession } from '../malformed/fixtures/reference.js';
import type { Random } from './random.js';

const KNOWN_CODES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 32, 35];
/** Where decoders fail. */
const EDGES = [0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 24, 31, 32, 33, 64, 65, 127, 128, 129, 254, 255];

export interface Wish {
  /** In percent: how often a part is broken. */
  readonly damage: number;
  /** Second octet of IPv4 prefixes, third group of IPv6 ones: who says what is kept apart by it; undefined = any. */
  readonly block?: number;
  /** In percent: how often ONLY_TO_CUSTOMER is there. */
  readonly otc?: number;
  /** Communities that mean something to the one who listens; one of them is there now and then. */
  readonly communities?: readonly number[];
  /** Longest body, when messages may be longer than 4,096 octets (RFC 8654): then some are. */
  readonly maxLength?: number;
}

/** Body of an UPDATE. */
export function randomUpdate(random: Random, session: ReferenceSession, wish: Wish): Uint8Array {
  const endOfRib = random.below(100);
  if (endOfRib === 0) return updateBody([]);
  if (endOfRib === 1) return updateBody([attribute(0x80, 15, [0, random.pick([1, 2]), 1])]);

  const paths = (afi: number): boolean => session.addPath?.includes(afi) ?? false;
  const nlri = random.chance(65) ? prefixes(random, 1, paths(1), wish) : [];
  const withdrawn = random.chance(25) ? prefixes(random, 1, paths(1), wish) : [];
  const list: Uint8Array[] = [];
  const add = (flags: number, code: number, value: ArrayLike<number>): void => {
    list.push(damaged(random, flags, code, value, wish.damage));
  };
  if (random.chance(35)) {
    const afi = random.chance(85) ? 2 : 1;
    const safi = random.chance(95) ? 1 : random.below(256);
    add(0x80, 14, mpReach(random.chance(98) ? afi : random.below(65536), safi, nextHop(random, afi), prefixes(random, afi, paths(afi), wish))); // prettier-ignore
  }
  if (random.chance(15)) {
    const afi = random.chance(80) ? 2 : 1;
    add(0x80, 15, mpUnreach(afi, random.chance(95) ? 1 : random.below(256), prefixes(random, afi, paths(afi), wish)));
  }
  const announces = nlri.length > 0 || list.some((bytes) => bytes[1] === 14);
  if (announces || random.chance(20)) {
    const present = (percent: number): boolean => random.chance(percent);
    if (present(98)) add(0x40, 1, [random.chance(95) ? random.below(3) : random.below(256)]);
    if (present(98)) add(0x40, 2, asPath(random, session));
    if (nlri.length > 0 ? present(98) : present(10)) add(0x40, 3, hop4(random));
    if (present(30)) add(0x80, 4, u32(random.u32()));
    if (session.external ? present(10) : present(98)) add(0x40, 5, u32(random.chance(80) ? 100 : random.u32()));
    if (present(10)) add(0x40, 6, []);
    if (present(10)) add(0xc0, 7, [...asNumber(random, session.fourOctetAs), ...random.bytes(4)]);
    if (present(25)) add(0xc0, 8, communities(random, wish));
    if (present(session.external ? 3 : 15)) add(0x80, 9, [10, 0, 0, random.below(256)]);
    if (present(session.external ? 3 : 15)) add(0x80, 10, Array.from({ length: 1 + random.below(3) }, () => [10, 1, 0, random.below(256)]).flat()); // prettier-ignore
    if (present(10)) add(0xc0, 16, random.bytes(8 * (1 + random.below(3))));
    if (present(session.fourOctetAs ? 2 : 25)) add(0xc0, 17, path4(random));
    if (present(session.fourOctetAs ? 2 : 8)) add(0xc0, 18, [...u32(random.u32()), ...random.bytes(4)]);
    if (present(5)) add(0xc0, 25, random.bytes(20));
    if (present(15)) add(0xc0, 32, random.bytes(12 * (1 + random.below(3))));
    if (present(wish.otc ?? 3)) add(0xc0, 35, u32(random.chance(50) ? (session.peerAsn ?? 65001) : random.u32()));
    if (present(12))
      add(random.pick([0xc0, 0xe0, 0x80, 0x80, 0xc0, 0x40]), random.below(256), random.bytes(random.below(20)));
  }
  if (random.chance(wish.damage / 2)) list.push(list[random.below(list.length)] ?? attribute(0xc0, 99, [1]));
  if (random.chance(wish.damage / 2)) {
    const code = random.chance(70) ? random.pick(KNOWN_CODES) : random.below(256);
    list.push(attribute(random.below(256), code, random.bytes(random.pick(EDGES))));
  }
  if (random.chance(15)) random.shuffle(list);
  let body = updateBody(list, nlri, withdrawn);
  if (random.chance(wish.damage / 3)) body = mutate(random, body);
  const longest = wish.maxLength ?? 4077;
  return body.length > longest ? body.slice(0, longest) : body;
}

/** An attribute, or what is left of it. */
function damaged(random: Random, flags: number, code: number, value: ArrayLike<number>, percent: number): Uint8Array {
  const extended = random.chance(5) ? 0x10 : 0;
  if (!random.chance(percent / 8)) return attribute(flags | extended, code, value);
  const octets = Array.from(value);
  switch (random.below(6)) {
    case 0:
      return attribute(random.below(256), code, value);
    case 1:
      return attribute(flags ^ (1 << random.below(8)), code, value);
    case 2:
      return attribute(flags | extended, code, octets.slice(0, random.below(octets.length + 1)));
    case 3:
      return attribute(flags | extended, code, [...octets, ...random.bytes(1 + random.below(4))]);
    case 4:
      return attribute(flags | extended, code, value, random.pick([0, 1, octets.length + 1, 255, 256, 4000, 65535]));
    default:
      if (octets.length > 0) octets[random.below(octets.length)] = random.pick(EDGES);
      return attribute(flags | extended, code, octets);
  }
}

/** Prefixes on the wire; few enough that they are said again and withdrawn again. */
function prefixes(random: Random, afi: number, withPaths: boolean, { damage, block, maxLength }: Wish): number[] {
  const out: number[] = [];
  for (let count = 1 + random.below(random.chance(5) ? (maxLength === undefined ? 60 : 2000) : 4); count > 0; count--) {
    if (withPaths) out.push(...u32(random.chance(90) ? random.below(3) : random.u32()));
    const length = afi === 1 ? random.pick([16, 20, 24, 24, 24, 25, 32]) : random.pick([32, 40, 48, 48, 56, 64, 128]);
    const head =
      afi === 1
        ? [100, block ?? random.below(256), random.below(8), random.below(256)]
        : [0x20, 0x01, 0x0d, 0xb8, block ?? random.below(256), random.below(8), ...random.bytes(10)];
    out.push(length, ...head.slice(0, Math.ceil(length / 8)));
  }
  if (random.chance(damage / 8)) out.push(random.below(256));
  if (random.chance(damage / 16)) out.splice(random.below(out.length), 1);
  return out;
}

function hop4(random: Random): number[] {
  return random.chance(97) ? octets(random.pick(['192.0.2.9', '192.0.2.10', '198.51.100.1'])) : random.bytes(4);
}

function nextHop(random: Random, afi: number): number[] {
  const roll = random.below(100);
  if (roll < 3) return random.bytes(random.pick(EDGES) & 63);
  if (roll < 6) return octets('fe80::9');
  const global = octets(random.pick(['2001:db8::9', '2001:db8::a']));
  if (afi === 1 && roll < 90) return hop4(random);
  return roll < 70 ? global : [...global, ...octets('fe80::9')];
}

function asNumber(random: Random, fourOctetAs: boolean): number[] {
  const asn = random.chance(20) ? 4_200_000_000 + random.below(3) : 65000 + random.below(30);
  if (fourOctetAs) return u32(asn);
  return u32(asn > 0xffff ? 23456 : asn).slice(2);
}

function asPath(random: Random, session: ReferenceSession): number[] {
  const out: number[] = [];
  if (session.external && random.chance(96)) {
    const first = session.peerAsn ?? 65001;
    const rest = Array.from({ length: random.below(4) }, () => asNumber(random, session.fourOctetAs));
    out.push(2, 1 + rest.length, ...(session.fourOctetAs ? u32(first) : u32(first).slice(2)), ...rest.flat());
  }
  while (random.chance(25)) {
    const count = random.chance(3) ? 255 : 1 + random.below(5);
    const type = random.chance(96) ? random.pick([2, 2, 2, 1]) : random.below(6);
    out.push(type, count, ...Array.from({ length: count }, () => asNumber(random, session.fourOctetAs)).flat());
  }
  return out;
}

function path4(random: Random): number[] {
  const count = 1 + random.below(4);
  const type = random.chance(90) ? 2 : random.below(5);
  return [type, count, ...Array.from({ length: count }, () => asNumber(random, true)).flat()];
}

function communities(random: Random, { communities: known, maxLength }: Wish): number[] {
  const count = 1 + random.below(maxLength !== undefined && random.chance(10) ? 3000 : 6);
  const out = Array.from({ length: count }, () => community(random));
  if (known && random.chance(10)) out[random.below(count)] = u32(random.pick(known));
  return out.flat();
}

function community(random: Random): number[] {
  return random.chance(4) ? [0xff, 0xff, 0xff, random.below(5)] : [0xfd, 0xe8, 0, random.below(256)];
}

/** Changes octets without regard for what they mean. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let out = [...bytes];
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(out.length + 1);
    switch (random.below(6)) {
      case 0:
        out[at] = random.below(256);
        break;
      case 1:
        if (at < out.length) out[at] = out[at]! ^ (1 << random.below(8));
        break;
      case 2:
        out.splice(at, 1 + random.below(4));
        break;
      case 3:
        out.splice(at, 0, ...random.bytes(1 + random.below(4)));
        break;
      case 4:
        if (at < out.length) out[at] = random.pick(EDGES);
        break;
      case 5:
        out = out.slice(0, at);
    }
  }
  return Uint8Array.from(out);
}

/** An OPEN message, and whether everything in it is as it should be. */
export function randomOpen(
  random: Random,
  usual: { readonly asn: number; readonly identifier: readonly number[]; readonly fourOctetAs: boolean },
  damage: number,
): { bytes: Uint8Array; good: boolean } {
  const capabilities = usualCapabilities(usual.asn, usual.fourOctetAs);
  const parts = {
    asn: usual.asn > 0xffff ? 23456 : usual.asn,
    identifier: usual.identifier,
    holdTime: 0,
    capabilities,
  };
  if (!random.chance(damage)) {
    // Capabilities that nobody knows change nothing (RFC 5492 §3).
    if (random.chance(30)) capabilities.push(unknownCapability(random));
    return { bytes: open(parts), good: true };
  }
  switch (random.below(8)) {
    case 0:
      return { bytes: open({ ...parts, version: random.pick([0, 1, 2, 3, 5, 255]) }), good: false };
    case 1:
      return { bytes: open({ ...parts, holdTime: 1 + random.below(2) }), good: false };
    case 2:
      return { bytes: open({ ...parts, identifier: [0, 0, 0, 0] }), good: false };
    case 3:
      return { bytes: open({ ...parts, parametersLength: 255 - random.below(100) }), good: false };
    case 4:
      return { bytes: open({ ...parts, parameters: [3 + random.below(250), 0] }), good: false };
    case 5:
      return {
        bytes: open({ ...parts, capabilities: [...capabilities, [random.pick([1, 65]), 3, 1, 1, 1]] }),
        good: false,
      };
    case 6:
      return { bytes: open({ ...parts, capabilities: [...capabilities, [130, 9, 1]] }), good: false };
    default: {
      const body = open(parts).subarray(19);
      return { bytes: message(1, body.subarray(0, 10 + random.below(body.length - 10))), good: false };
    }
  }
}

function unknownCapability(random: Random): number[] {
  const value = random.bytes(random.below(8));
  return [random.pick([3, 4, 7, 8, 66, 67, 68, 74, 75, 129, 130, 131, 184, 185, 200, 255]), value.length, ...value];
}

/** A message of any kind, with a header that may be wrong. */
export function randomMessage(random: Random, session: ReferenceSession, wish: Wish): Uint8Array {
  switch (random.below(10)) {
    case 0:
      return message(4, random.chance(90) ? [] : random.bytes(1 + random.below(4)));
    case 1:
      return message(
        5,
        random.chance(85)
          ? [0, 1 + random.below(2), random.chance(80) ? 0 : random.below(256), 1]
          : random.bytes(random.below(8)),
      );
    case 2:
      return message(3, [random.below(10), random.below(12), ...random.bytes(random.below(30))]);
    case 3:
      return randomOpen(random, { asn: session.peerAsn ?? 65001, identifier: [10, 0, 0, 1], fourOctetAs: true }, 50)
        .bytes;
    case 4: {
      const bytes = message(1 + random.below(5), random.bytes(random.below(60)));
      if (random.chance(30)) bytes[random.below(19)] = random.below(256);
      return bytes;
    }
    default:
      return message(2, randomUpdate(random, session, wish));
  }
}
