/**
 * How many prefixes a peer may have in its Adj-RIB-In, per family, counted as received (before any policy; with ADD-PATH
 * every path counts). The receiving side looks at `watchAt` once per message; only near a threshold are prefixes taken
 * one by one, so a limit costs nothing while it is far away.
 *
 * Prefixes that are there already may always change. Stale ones do not count until they are heard again: the peer has
 * not said them in this session, or is about to say everything anew (RFC 4724, RFC 7313). RFC 4271 §6.7, RFC 4486 §4.
 */
import { BgpError, CeaseSubcode, NotificationCode, Safi, afiOf } from 'bgp-parse';
import type { Family } from 'bgp-parse';
import { PathFlag } from './columns/path-table.js';
import type { FamilyRib } from './family-rib.js';
import type { RibPeer } from './rib-peers.js';

export interface PrefixLimitRule {
  readonly max: number;
  readonly warnAt: number | undefined;
  /** What happens with prefixes above `max`: they are not taken, or the session ends. */
  readonly action: 'reject' | 'reset';
}

export interface PrefixLimitListener {
  /** The warning level has been crossed upwards. */
  warned(family: Family, count: number): void;
  /** A prefix more than `max` has come: once until the count has been below. */
  reached(family: Family): void;
}

const FAMILIES = ['ipv4-unicast', 'ipv6-unicast'] as const;

export class PrefixLimit {
  readonly rule: PrefixLimitRule;
  /** Announcements not taken, per family index, in this session. */
  readonly rejected: [number, number] = [0, 0];
  readonly #listener: PrefixLimitListener;
  readonly #warned: [boolean, boolean] = [false, false];
  readonly #reached: [boolean, boolean] = [false, false];

  constructor(rule: PrefixLimitRule, listener: PrefixLimitListener) {
    this.rule = rule;
    this.#listener = listener;
  }

  /** Up to this count nothing has to be asked. */
  get watchAt(): number {
    return Math.min(this.rule.max, (this.rule.warnAt ?? Infinity) - 1);
  }

  /** A new session: what was refused in the last one is forgotten. */
  begin(): void {
    for (const index of [0, 1] as const) {
      this.rejected[index] = 0;
      this.#warned[index] = this.#reached[index] = false;
    }
  }

  /** Whether one more may be taken where `count` are held; tells the listener when not. */
  admits(index: 0 | 1, count: number): boolean {
    if (count < this.rule.max) {
      this.#reached[index] = false;
      return true;
    }
    this.rejected[index]++;
    if (!this.#reached[index]) this.#listener.reached(FAMILIES[index]);
    this.#reached[index] = true;
    return false;
  }

  /** After prefixes have been taken. */
  counted(index: 0 | 1, count: number): void {
    const { warnAt } = this.rule;
    if (warnAt === undefined) return;
    const above = count >= warnAt;
    if (above && !this.#warned[index]) this.#listener.warned(FAMILIES[index], count);
    this.#warned[index] = above;
  }

  /** The session's end for a surplus prefix. */
  error(family: Family): BgpError {
    const { max } = this.rule;
    return maximumPrefixesReached(`more than ${max} ${family} prefixes (prefixLimit)`, family, max);
  }
}

/** RFC 4486 §4: the data is AFI, SAFI and the limit. */
export function maximumPrefixesReached(text: string, family: Family, max: number): BgpError {
  const data = Uint8Array.of(0, afiOf(family), Safi.unicast, max >>> 24, max >>> 16, max >>> 8, max);
  return new BgpError(text, NotificationCode.cease, CeaseSubcode.maximumPrefixesReached, data);
}

/** Takes runs of prefixes bytes[at, end); what cannot be parsed comes back as an error. */
export type Take = (at: number, end: number) => BgpError | undefined;

/** Hands the prefixes of bytes[at, end) to `take` as far as the peer's limit goes. */
export function takeWithinLimit(
  limit: PrefixLimit,
  peer: RibPeer,
  rib: FamilyRib,
  bytes: Uint8Array,
  at: number,
  end: number,
  take: Take,
): BgpError | undefined {
  const { index } = rib;
  const held = (): number => countOf(peer, index);
  let error: BgpError | undefined;
  // It may have been below meanwhile: nobody looks there.
  limit.counted(index, held());
  if (held() + (end - at) <= limit.rule.max) {
    error = take(at, end);
  } else {
    while (at < end && !error) {
      const next = nextPrefix(peer, rib, bytes, at, end);
      // The last run, or one that is not well-formed: `take` says so.
      if (next < 0 || isHeld(peer, rib, bytes, at) || limit.admits(index, held()))
        error = take(at, next < 0 ? end : next);
      else if (limit.rule.action === 'reset') error = limit.error(rib.family);
      at = next < 0 ? end : next;
    }
  }
  limit.counted(index, held());
  return error;
}

/** What counts of a peer's paths in a family. */
export function countOf(peer: RibPeer, index: number): number {
  return peer.paths[index]! - peer.stale[index]!;
}

/** Where the prefix at `at` ends; -1 = it is not well-formed. */
function nextPrefix(peer: RibPeer, rib: FamilyRib, bytes: Uint8Array, at: number, end: number): number {
  const lengthAt = at + (peer.addPath[rib.index] ? 4 : 0);
  if (lengthAt >= end || bytes[lengthAt]! > rib.prefixes.maxLength) return -1;
  const next = lengthAt + 1 + ((bytes[lengthAt]! + 7) >> 3);
  return next > end ? -1 : next;
}

/** Whether the prefix counts already. */
function isHeld(peer: RibPeer, rib: FamilyRib, bytes: Uint8Array, at: number): boolean {
  const withPathIds = peer.addPath[rib.index]!;
  const pathId = withPathIds
    ? ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
    : 0;
  const lengthAt = at + (withPathIds ? 4 : 0);
  const length = bytes[lengthAt]!;
  const address = new Uint8Array(rib.prefixes.words * 4);
  for (let i = 0; i < (length + 7) >> 3; i++) address[i] = bytes[lengthAt + 1 + i]!;
  // RFC 4271 §4.3: the value of trailing bits is irrelevant.
  if ((length & 7) !== 0) address[length >> 3]! &= 0xff00 >> (length & 7);
  const id = rib.find(address, length);
  const { paths, prefixes } = rib;
  for (let path = id === 0 ? 0 : prefixes.firstPath[id]!; path !== 0; path = paths.next[path]!) {
    if (paths.peer[path] === peer.id && (!withPathIds || paths.pathId![path] === pathId)) {
      return (paths.flags[path]! & PathFlag.stale) === 0;
    }
  }
  return false;
}
