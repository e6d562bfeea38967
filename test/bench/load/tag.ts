/**
 * The mark in every announcement: one large community (RFC 8092) that says which prefixes it belongs to, who sent it and
 * in which round. A receiver can thus judge each prefix by itself: a speaker that mixes attributes up, sends old ones or
 * loses any is seen.
 *
 *   | MARK 32 | index of the first prefix of the set 32 | generation 8 | sender 12 | last index - first index 12 |
 */

export const LARGE_COMMUNITIES = 32;
/** A private AS number (RFC 6996). */
export const MARK = 4_200_000_001;
export const MAX_GENERATION = 200;
export const MAX_SENDERS = 1 << 12;
export const MAX_SPAN = (1 << 12) - 1;

/** Third word of the tag. */
export function tagWord(generation: number, sender: number, span: number): number {
  return ((generation << 24) | (sender << 12) | span) >>> 0;
}

/** Of several senders of the same prefixes, the one whose path must win: its AS_PATH is the shortest. */
export function winnerOf(firstIndex: number, senders: number): number {
  return (Math.imul(firstIndex + 1, 0x9e3779b1) >>> 8) % senders;
}
