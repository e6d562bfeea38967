/**
 * NLRI as values: | length in bits 1 | octets … | (RFC 4271 §4.3), with a path identifier of 4 octets in front where
 * ADD-PATH is agreed (RFC 7911 §3). The RIB reads and packs NLRI in place; this is for everything that is not hot.
 */
import { NotificationCode, UpdateSubcode } from './constants.js';
import { BgpError } from './errors.js';
import type { Family } from './family.js';
import { type Prefix, maskAddress } from './ip.js';

export interface Nlri extends Prefix {
  /** Path identifier, unsigned 32-bit; there exactly when ADD-PATH is agreed. */
  readonly pathId?: number;
}

/**
 * The prefixes in bytes[start, end). Bits past the prefix length are cleared (RFC 4271 §4.3: "irrelevant").
 * Throws BgpError 3/10, sessionReset, when a length is too large or runs past the end (RFC 7606 §5.3).
 */
export function decodeNlri(bytes: Uint8Array, start: number, end: number, family: Family, addPath = false): Nlri[] {
  const size = family === 'ipv4-unicast' ? 4 : 16;
  const out: Nlri[] = [];
  let at = start;
  while (at < end) {
    const idLength = addPath ? 4 : 0;
    if (end - at < idLength + 1) throw invalidField('cut off');
    const length = bytes[at + idLength]!;
    const octets = (length + 7) >> 3;
    const next = at + idLength + 1 + octets;
    if (length > size * 8) throw invalidField(`prefix length ${length}`);
    if (next > end) throw invalidField(`prefix of length ${length} overruns`);
    const address = new Uint8Array(size);
    address.set(bytes.subarray(next - octets, next));
    const prefix = { bytes: maskAddress(address, length), length };
    if (addPath) {
      const id = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      out.push({ ...prefix, pathId: id >>> 0 });
    } else out.push(prefix);
    at = next;
  }
  return out;
}

/** Octets of one prefix on the wire. */
export function nlriLength(nlri: Nlri, addPath = false): number {
  return (addPath ? 5 : 1) + ((nlri.length + 7) >> 3);
}

/** Octets of the prefixes, one after the other; with ADD-PATH a missing path identifier is written as 0. */
export function encodeNlri(list: readonly Nlri[], addPath = false): Uint8Array {
  const out = new Uint8Array(list.reduce((sum, nlri) => sum + nlriLength(nlri, addPath), 0));
  let to = 0;
  for (const nlri of list) {
    if (addPath) {
      const id = nlri.pathId ?? 0;
      out.set([id >>> 24, (id >>> 16) & 255, (id >>> 8) & 255, id & 255], to);
      to += 4;
    }
    const octets = (nlri.length + 7) >> 3;
    out[to++] = nlri.length;
    out.set(maskAddress(nlri.bytes, nlri.length).subarray(0, octets), to);
    to += octets;
  }
  return out;
}

function invalidField(text: string): BgpError {
  return new BgpError(`NLRI: ${text}`, NotificationCode.update, UpdateSubcode.invalidNetworkField);
}
