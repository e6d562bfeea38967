/**
 * One disturbing peer of the `features` target: what it has said, worked out by the reference reader, and what of it the
 * speaker must still hold: stale paths (RFC 4724, RFC 9494), refreshes (RFC 7313), prefix limits.
 */
import type { MemoryEnd } from '../../fixtures/memory-network.js';
import { attribute, mpReach, updateBody } from '../../malformed/fixtures/compose.js';
import { readUpdate } from '../../malformed/fixtures/reference.js';
import type { Kept, ReferenceSession } from '../../malformed/fixtures/reference.js';
import { LOCAL_ASN } from '../../malformed/fixtures/rig.js';
import { Verdict } from '../../malformed/fixtures/rules.js';
import { RESTART_SECONDS, STALE_SECONDS } from './cast.js';
import type { Actor } from './cast.js';

const NO_LLGR = 0xffff0007;
/** RFC 4724 §4.2: how long the speaker waits for End-of-RIB after the peer came back. */
const STALE_PATHS_MS = 360_000;

export class Player {
  readonly who: Actor;
  readonly session: ReferenceSession;
  /** While it is Established. */
  end: MemoryEnd | undefined;
  readonly said = new Map<string, Kept>();
  /** When its session ended and its paths became stale; they are long-lived stale after that. */
  #downMs: number | undefined;
  #isLongLived = false;
  readonly #stale = new Set<string>();
  /** By AFI, when long-lived stale paths go: a new session does not touch that before its End-of-RIB (RFC 9494 §4.2). */
  readonly #longLivedEnds = new Map<number, number>();
  #sweepMs = Infinity;

  constructor(who: Actor) {
    this.who = who;
    const external = who.asn !== LOCAL_ASN;
    const afis = [1, 2];
    this.session = { external, fourOctetAs: true, peerAsn: who.asn, afis, addPath: who.addPath ? afis : [] };
  }

  get isGraceful(): boolean {
    return this.who.part === 'graceful';
  }

  /** Nothing of it is stale, and no time decides about its paths. */
  get isSettled(): boolean {
    return this.#longLivedEnds.size === 0 && this.#stale.size === 0;
  }

  /** How many prefixes of a family count: stale ones do not before they are heard again. */
  counted(afi: number): number {
    return [...this.said.keys()].filter((prefix) => prefix.startsWith(`${afi}/`) && this.counts(prefix)).length;
  }

  counts(prefix: string): boolean {
    return this.said.has(prefix) && !this.#stale.has(prefix);
  }

  apply(body: Uint8Array): Verdict {
    const { verdict, changes, endOfRib } = readUpdate(body, this.session);
    for (const [prefix, kept] of changes) {
      this.#stale.delete(prefix);
      if (kept) this.said.set(prefix, kept);
      else this.said.delete(prefix);
    }
    if (endOfRib !== undefined) {
      this.#sweep(endOfRib);
      this.#longLivedEnds.delete(endOfRib);
    }
    return verdict;
  }

  /** The speaker has been told that all is said again, or will be. */
  refresh(afi: number, subtype: number): void {
    if (!this.who.enhanced) return;
    if (subtype === 1) for (const prefix of this.said.keys()) if (prefix.startsWith(`${afi}/`)) this.#stale.add(prefix);
    if (subtype === 2) this.#sweep(afi);
  }

  /** Its session has ended; with a NOTIFICATION, unless both have agreed to RFC 8538, nothing outlives that. */
  gone(nowMs: number, byNotification = false): void {
    this.end = undefined;
    this.#sweepMs = Infinity;
    if (!this.isGraceful || byNotification) {
      this.said.clear();
      this.#stale.clear();
      this.#longLivedEnds.clear();
      return;
    }
    this.#downMs = nowMs;
    this.#isLongLived = false;
    for (const prefix of this.said.keys()) this.#stale.add(prefix);
  }

  /** It is back, and has kept these families. */
  back(end: MemoryEnd, preserved: readonly number[], nowMs: number): void {
    this.end = end;
    this.#downMs = undefined;
    for (const afi of [1, 2]) {
      if (preserved.includes(afi)) continue;
      this.#sweep(afi);
      this.#longLivedEnds.delete(afi);
    }
    if (this.#stale.size > 0) this.#sweepMs = nowMs + STALE_PATHS_MS;
  }

  /** Time has passed. Times are a tick apart at most. */
  pass(nowMs: number): void {
    if (nowMs >= this.#sweepMs) {
      this.#sweepMs = Infinity;
      for (const afi of [1, 2]) this.#sweep(afi);
    }
    for (const [afi, endMs] of this.#longLivedEnds) {
      if (nowMs < endMs) continue;
      this.#longLivedEnds.delete(afi);
      this.#sweep(afi);
    }
    if (this.#downMs === undefined || this.#isLongLived || nowMs < this.#downMs + RESTART_SECONDS * 1000) return;
    this.#isLongLived = true;
    for (const [prefix, kept] of this.said) if (refusesLongLife(kept)) this.#forget(prefix);
    for (const afi of [1, 2]) this.#longLivedEnds.set(afi, this.#downMs + (RESTART_SECONDS + STALE_SECONDS) * 1000);
  }

  /** What it has said and is held to it, as messages of one prefix each. */
  *bodies(): IterableIterator<Uint8Array> {
    for (const [prefix, kept] of this.said) yield bodyOf(prefix, kept);
  }

  #sweep(afi: number): void {
    for (const prefix of this.#stale) if (prefix.startsWith(`${afi}/`)) this.#forget(prefix);
  }

  #forget(prefix: string): void {
    this.said.delete(prefix);
    this.#stale.delete(prefix);
  }
}

function refusesLongLife(kept: Kept): boolean {
  const value = Buffer.from(kept.get(8)?.value ?? []);
  for (let at = 0; at < value.length; at += 4) if (value.readUInt32BE(at) === NO_LLGR) return true;
  return false;
}

function bodyOf(prefix: string, kept: Kept): Uint8Array {
  const [afi, length, hex, pathId] = prefix.split('/');
  const id = Buffer.alloc(4);
  id.writeUInt32BE(Number(pathId ?? 0));
  const nlri = [...(pathId === undefined ? [] : id), Number(length), ...Buffer.from(hex!, 'hex')];
  const hop = kept.get(3)!.value;
  const plain = afi === '1' && hop.length === 4;
  const attributes = [...kept]
    .filter(([code]) => plain || code !== 3)
    .sort(([a], [b]) => a - b)
    .map(([code, { flags, value }]) => attribute(flags, code, value));
  if (plain) return updateBody(attributes, nlri);
  return updateBody([attribute(0x80, 14, mpReach(Number(afi), 1, hop, nlri)), ...attributes]);
}
