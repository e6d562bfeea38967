/**
 * Link bandwidth extended community (draft-ietf-idr-link-bandwidth): how much a next hop can take, octets per second, as
 * an IEEE single. Type 0x40 (non-transitive) or 0x00 (transitive), subtype 0x04, two octets of AS number, four of rate.
 */

/** Weights of next hops in the kernel are 1..256. */
export const MAX_WEIGHT = 256;

const TRANSITIVE = 0x00;
const NON_TRANSITIVE = 0x40;
const SUBTYPE = 0x04;

/** The rate that `count` extended communities at `bytes[start]` name; the lowest of several. undefined = none. */
export function linkBandwidth(bytes: Uint8Array, start: number, count: number): number | undefined {
  let lowest: number | undefined;
  for (let at = start; at < start + count * 8; at += 8) {
    const type = bytes[at]!;
    if ((type !== NON_TRANSITIVE && type !== TRANSITIVE) || bytes[at + 1] !== SUBTYPE) continue;
    const rate = new DataView(bytes.buffer, bytes.byteOffset + at + 4, 4).getFloat32(0);
    // Not a number, infinite or negative: says nothing.
    if (rate >= 0 && rate < Infinity && (lowest === undefined || rate < lowest)) lowest = rate;
  }
  return lowest;
}

/**
 * Rates to weights, in place: the largest becomes 256, none less than 1, and common factors go, so that equal rates are
 * weights of 1 each.
 */
export function scaleWeights(rates: Float64Array, weights: Uint16Array, count: number): void {
  let largest = 0;
  for (let i = 0; i < count; i++) if (rates[i]! > largest) largest = rates[i]!;
  let common = 0;
  for (let i = 0; i < count; i++) {
    const weight = largest === 0 ? 1 : Math.max(1, Math.round((rates[i]! / largest) * MAX_WEIGHT));
    weights[i] = weight;
    common = greatestCommonDivisor(common, weight);
  }
  for (let i = 0; i < count; i++) weights[i] = weights[i]! / common;
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
