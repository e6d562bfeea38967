/**
 * Canonical path attributes with some of them replaced, added or left out: the result is canonical again (ascending
 * codes, extended length only where needed). For what is done once per attribute set, never per route.
 */
import { AttributeFlag } from 'bgp-parse';

/** By attribute code: the new value with its flags, or undefined to leave the attribute out. */
export type AttributeEdits = ReadonlyMap<number, { readonly flags: number; readonly value: Uint8Array } | undefined>;

/** Longest block of attributes (RFC 4271 §4.3). */
const MAX_LENGTH = 65535;

/** Writes the edited form of bytes[start, end) to `out`; returns its length, -1 when it does not fit an UPDATE. */
export function editAttributes(
  bytes: Uint8Array,
  start: number,
  end: number,
  edits: AttributeEdits,
  out: Uint8Array,
): number {
  const added = [...edits].filter(([, edit]) => edit !== undefined).sort(([a], [b]) => a - b);
  let next = 0;
  let to = 0;
  const addBelow = (code: number): void => {
    for (; next < added.length && added[next]![0] < code; next++) {
      const [addedCode, edit] = added[next]!;
      to = put(out, to, edit!.flags, addedCode, edit!.value);
    }
  };
  for (let at = start; at < end;) {
    const code = bytes[at + 1]!;
    const extended = (bytes[at]! & AttributeFlag.extendedLength) !== 0;
    const value = at + (extended ? 4 : 3);
    const after = value + (extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!);
    addBelow(code);
    if (!edits.has(code)) {
      out.set(bytes.subarray(at, after), to);
      to += after - at;
    } else if (edits.get(code) !== undefined) addBelow(code + 1);
    at = after;
  }
  addBelow(256);
  return to > MAX_LENGTH ? -1 : to;
}

function put(out: Uint8Array, to: number, flags: number, code: number, value: Uint8Array): number {
  const long = value.length > 255;
  out[to++] = long ? flags | AttributeFlag.extendedLength : flags & ~AttributeFlag.extendedLength;
  out[to++] = code;
  if (long) out[to++] = value.length >> 8;
  out[to++] = value.length & 255;
  out.set(value, to);
  return to + value.length;
}

/** The value of an attribute in canonical bytes[start, end); undefined = it is not there. A view. */
export function attributeValue(bytes: Uint8Array, start: number, end: number, wanted: number): Uint8Array | undefined {
  for (let at = start; at < end;) {
    const extended = (bytes[at]! & AttributeFlag.extendedLength) !== 0;
    const value = at + (extended ? 4 : 3);
    const after = value + (extended ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!);
    if (bytes[at + 1] === wanted) return bytes.subarray(value, after);
    at = after;
  }
  return undefined;
}

/** COMMUNITIES with one more at its end; the same when it is there already. */
export function withCommunity(communities: Uint8Array | undefined, community: number): Uint8Array {
  const old = communities ?? new Uint8Array(0);
  if (hasCommunity(old, community)) return old;
  const out = new Uint8Array(old.length + 4);
  out.set(old);
  new DataView(out.buffer).setUint32(old.length, community);
  return out;
}

export function hasCommunity(communities: Uint8Array, community: number): boolean {
  const view = new DataView(communities.buffer, communities.byteOffset, communities.length);
  for (let at = 0; at + 4 <= communities.length; at += 4) if (view.getUint32(at) === community) return true;
  return false;
}

export function octets(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A four-octet AS_PATH with one AS number more in front (RFC 4271 §5.1.2). */
export function withAsInFront(path: Uint8Array, asn: number): Uint8Array {
  const joins = path.length > 0 && path[0] === 2 && path[1]! < 255;
  const out = new Uint8Array(path.length + (joins ? 4 : 6));
  out[0] = 2;
  out[1] = joins ? path[1]! + 1 : 1;
  out.set(octets(asn), 2);
  out.set(path.subarray(joins ? 2 : 0), 6);
  return out;
}

/** A four-octet AS_PATH with each number passed through `change`; undefined takes it out. Empty segments go. */
export function mapAsPath(path: Uint8Array, change: (asn: number) => number | undefined): Uint8Array {
  const view = new DataView(path.buffer, path.byteOffset, path.length);
  const out: number[] = [];
  for (let at = 0; at < path.length;) {
    const type = path[at]!;
    const next = at + 2 + path[at + 1]! * 4;
    const kept: number[] = [];
    for (at += 2; at < next; at += 4) {
      const asn = change(view.getUint32(at));
      if (asn !== undefined) kept.push(...octets(asn));
    }
    if (kept.length > 0) out.push(type, kept.length / 4, ...kept);
  }
  return Uint8Array.from(out);
}
