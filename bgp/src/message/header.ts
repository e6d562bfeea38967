/** The 19-octet message header (RFC 4271 §4.1): marker of all ones, length, type. */
import { HEADER_LENGTH } from '../constants.js';

/** Writes a header at `at`; `length` is that of the whole message, header included. */
export function writeMessageHeader(bytes: Uint8Array, at: number, length: number, type: number): void {
  bytes.fill(0xff, at, at + 16);
  bytes[at + 16] = length >> 8;
  bytes[at + 17] = length & 255;
  bytes[at + 18] = type;
}

/** A whole message of `type` with the given body. */
export function buildMessage(type: number, body: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(HEADER_LENGTH + body.length);
  writeMessageHeader(out, 0, out.length, type);
  out.set(body, HEADER_LENGTH);
  return out;
}
