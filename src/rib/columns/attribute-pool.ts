// HOT: guarded by bench S1 (166,000 attribute sets, six prefixes each).
/**
 * Attribute sets, interned by the octets a peer sent: a block seen before costs one hash and one compare. Only a new
 * block is validated (RFC 7606), brought into canonical form and given its ranking columns.
 *
 * Cost: 56 octets of columns + 8 to 16 of hash slots + the octets themselves (twice when they were not canonical).
 * Reference-counted by paths. A set without references dies only after decision has handled every prefix that was
 * dirty when the last reference went (`collect`), because the Loc-RIB still names it until then.
 */
import {
  AttributeCode,
  AttributeFlag as WireFlag,
  AttributeScan,
  Disposition,
  SegmentType,
  canonicalizeAttributes,
  countAs,
  scanAttributes,
  scanCanonical,
} from 'bgp-parse';
import type { ScanContext } from 'bgp-parse';
import type { NextHops } from '../next-hops.js';
import { linkBandwidth } from '../link-bandwidth.js';
import { attributeValue, editAttributes, hasCommunity, withCommunity } from '../edit-attributes.js';
import { Community, PLAIN_INGRESS, applyIngress, isChanged, isLeak } from '../ingress.js';
import type { IngressRules } from '../ingress.js';
import { ByteArena, chunkOf, offsetOf } from './byte-arena.js';
import { grow, grownCapacity } from './grow.js';

export const AttributeFlag = {
  /** Our AS in AS_PATH (RFC 4271 §9.1.2). */
  asLoop: 1,
  /** ORIGINATOR_ID is our identifier (RFC 4456 §8). */
  originatorLoop: 2,
  /** CLUSTER_LIST holds our cluster id (RFC 4456 §8). */
  clusterLoop: 4,
  /** NO_EXPORT or NO_EXPORT_SUBCONFED (RFC 1997): not to external peers. */
  noExport: 8,
  /** NO_ADVERTISE (RFC 1997): to nobody. */
  noAdvertise: 16,
  /** An attribute was discarded on the way in (RFC 7606 attributeDiscard). */
  discarded: 32,
  inYoung: 64,
  inOld: 128,
  /** ONLY_TO_CUSTOMER says that a neighbour has leaked the route (RFC 9234 §5). */
  routeLeak: 256,
  /** It has ONLY_TO_CUSTOMER: not to providers, peers and route servers. */
  onlyToCustomer: 512,
  /** LLGR_STALE (RFC 9494 §4.3): preferred least, only for who understands it. */
  longLivedStale: 1024,
  /** BLACKHOLE from a peer that may say so (RFC 7999). */
  blackhole: 2048,
  /** NOPEER (RFC 3765): not to peers of the role `peer`. */
  noPeer: 4096,
} as const;

/** Not eligible whatever the peer or the policy. */
export const LOOP_FLAGS =
  AttributeFlag.asLoop | AttributeFlag.originatorLoop | AttributeFlag.clusterLoop | AttributeFlag.routeLeak;

const WELL_KNOWN = 0xffff0000;

/** RFC 4271 §9.1.1 leaves the default degree of preference to us: 100, as everybody's. */
export const DEFAULT_LOCAL_PREF = 100;
/** Rank of a locally originated path: above every learned one. */
export const LOCAL_RANK = 2 ** 53;
/** rank = LOCAL_PREF, then fewer hops (16 bits), then lower ORIGIN (2 bits): one number, larger wins. */
export const RANK_LOCAL_PREF_UNIT = 2 ** 18;
/** Less for long-lived stale paths: below every other, and among themselves as ever. */
export const LONG_LIVED_RANK = -(2 ** 51);

/**
 * Who sent a block decides how it is read: packed into one small integer, part of the key. `policed`: made by import
 * policy out of a received set.
 */
export const BlockContext = {
  external: 1,
  fourOctetAs: 2,
  mpNextHop: 4,
  local: 8,
  policed: 16,
  scopeUnit: 32,
} as const;

/** Keeps something about attribute sets, by their ids. */
export interface AttributeMemo {
  /** The set is gone, its id will be another's. */
  forget(id: number): void;
  /** Each set it holds references of, once for each of them. */
  forEachHeld?(visit: (id: number) => void): void;
}

const CONTEXTS: readonly ScanContext[] = Array.from({ length: 8 }, (_, bits) => ({
  external: (bits & BlockContext.external) !== 0,
  fourOctetAs: (bits & BlockContext.fourOctetAs) !== 0,
  mpNextHop: (bits & BlockContext.mpNextHop) !== 0,
}));

/** How blocks with these context bits are read. */
export function scanContextOf(context: number): ScanContext {
  return CONTEXTS[context & 7]!;
}

export interface Identity {
  readonly asn: number;
  /** Unsigned 32-bit. */
  readonly routerId: number;
  readonly clusterId: number;
}

/** What one route may carry; more is treated as withdrawn. */
export interface AttributeLimits {
  /** Length of the AS_PATH as decision counts it (RFC 4271 §9.1.2.2). */
  readonly asPathLength: number;
  /** Communities of all kinds together. */
  readonly communities: number;
}

/** Sets freed by one `collect`: a few milliseconds. */
const COLLECTED_AT_A_TIME = 16_384;

export class AttributePool {
  rank = new Float64Array(1024);
  med = new Uint32Array(1024);
  neighborAs = new Uint32Array(1024);
  nextHop = new Int32Array(1024);
  /** ORIGINATOR_ID, 0 = absent. */
  originator = new Uint32Array(1024);
  clusterCount = new Uint8Array(1024);
  flags = new Uint16Array(1024);
  references = new Int32Array(1024);
  /** PeerId of the only peer whose paths have the set; 0 = several may. */
  giver = new Uint16Array(1024);
  size = 0;
  /** Sets made since the start. */
  made = 0;

  /** Told of every set that dies. */
  memos: readonly AttributeMemo[] = [];
  /** Octets per second of the sets with a link bandwidth community; the others are absent. */
  readonly bandwidth = new Map<number, number>();

  /** What the last `intern` of a new block found; meaningful when it returned 0, and of the set `scanned`. */
  readonly scan = new AttributeScan();
  /** The set that `scan` describes, 0 = none; what `scan` calls n stands at n + `scanShift` of its canonical octets. */
  scanned = 0;
  scanShift = 0;
  readonly arena = new ByteArena();

  #handle = new Uint32Array(1024);
  #rawLength = new Uint16Array(1024);
  /** Canonical octets stand at handle + canonicalAt: 0 when the raw ones are canonical. */
  #canonicalAt = new Uint16Array(1024);
  #canonicalLength = new Uint16Array(1024);
  #hash = new Int32Array(1024);
  #context = new Uint32Array(1024);

  #slots = new Int32Array(4096);
  #mask = 4095;
  readonly #seed: number;
  #end = 1;
  readonly #free: number[] = [];
  #young: number[] = [];
  #old: number[] = [];
  readonly #canonical = new Uint8Array(1 << 18);
  /** Canonical octets after the rules of the session; made when first needed. */
  #edited: Uint8Array | undefined;
  readonly #identity: Identity;
  readonly #nextHops: NextHops;
  /** Rules by the scope part of the context. */
  /** Of sets that are received from now on. */
  limits: AttributeLimits = { asPathLength: Infinity, communities: Infinity };
  /** What was too much in the last block that `intern` refused; undefined = nothing, it was malformed. */
  excess: string | undefined;
  readonly #ingress: IngressRules[] = [PLAIN_INGRESS];
  readonly #scopes = new Map<string, number>([[JSON.stringify(PLAIN_INGRESS), 0]]);

  constructor(identity: Identity, nextHops: NextHops, seed: number) {
    this.#identity = identity;
    this.#nextHops = nextHops;
    this.#seed = seed | 0;
  }

  /** The context bits of what comes under these rules. Equal rules share them, and are never forgotten. */
  scopeBits(rules: IngressRules): number {
    const key = JSON.stringify({ ...PLAIN_INGRESS, ...rules });
    let scope = this.#scopes.get(key);
    if (scope === undefined) {
      scope = this.#ingress.push(rules) - 1;
      this.#scopes.set(key, scope);
    }
    return scope * BlockContext.scopeUnit;
  }

  /** The id of a block seen before, else 0. */
  lookup(bytes: Uint8Array, start: number, end: number, context: number): number {
    const length = end - start;
    const hash = this.#hashOf(bytes, start, end, context);
    const mask = this.#mask;
    const slots = this.#slots;
    const hashes = this.#hash;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (;;) {
      const id = slots[slot]!;
      if (id === 0) return 0;
      if (
        hashes[id] === hash &&
        this.#rawLength[id] === length &&
        this.#context[id] === context &&
        this.#sameBytes(id, bytes, start, length)
      ) {
        return id;
      }
      slot = (slot + 1) & mask;
    }
  }

  /**
   * The id of a block, made when new: validated, made canonical, ranked. 0 = the block is malformed beyond
   * attributeDiscard: `scan` says how. The caller adds references.
   */
  intern(bytes: Uint8Array, start: number, end: number, context: number): number {
    const known = this.lookup(bytes, start, end, context);
    if (known !== 0) return known;
    const scan = this.scan;
    this.scanned = 0;
    this.excess = undefined;
    let canonicalLength = end - start;
    let isRaw = true;
    if ((context & (BlockContext.local | BlockContext.policed)) !== 0) {
      scanCanonical(bytes, start, end, scan);
    } else {
      const scanContext = CONTEXTS[context & 7]!;
      const disposition = scanAttributes(bytes, start, end, scanContext, scan);
      if (disposition > Disposition.attributeDiscard) return 0;
      const rules = this.#rulesOf(context);
      // RFC 5065 §5: we are in no confederation, so nobody may send us its segments. RFC 9774 §3: no sets either.
      if (scan.confedReceived || (scan.hasAsSet && !rules.acceptAsSets)) {
        scan.disposition = Disposition.treatAsWithdraw;
        scan.errorAttribute = AttributeCode.asPath;
        return 0;
      }
      if (this.#exceeds(scan)) return 0;
      if (isChanged(rules, scanContext.external, scan, bytes)) {
        return this.#internEdited(bytes, start, end, context, rules, disposition);
      }
      if (!scan.canonical) {
        const discarded = disposition === Disposition.attributeDiscard;
        canonicalLength = canonicalizeAttributes(bytes, start, end, scanContext, scan, this.#canonical);
        scanCanonical(this.#canonical, 0, canonicalLength, scan);
        isRaw = false;
        const id = this.#add(bytes, start, end, context, this.#canonical, 0, canonicalLength, isRaw);
        if (discarded) this.flags[id] = this.flags[id]! | AttributeFlag.discarded;
        return id;
      }
    }
    return this.#add(bytes, start, end, context, bytes, start, canonicalLength, isRaw);
  }

  /** Says in `scan` and `excess` what is too much. */
  #exceeds(scan: AttributeScan): boolean {
    const { asPathLength, communities } = this.limits;
    const count = scan.communitiesCount + scan.largeCommunitiesCount + scan.extendedCommunitiesCount;
    if (scan.asPathHops <= asPathLength && count <= communities) return false;
    scan.disposition = Disposition.treatAsWithdraw;
    if (scan.asPathHops > asPathLength) {
      scan.errorAttribute = AttributeCode.asPath;
      this.excess = `AS_PATH of ${scan.asPathHops} AS numbers, limits.asPathLength is ${asPathLength}`;
    } else {
      scan.errorAttribute = AttributeCode.communities;
      this.excess = `${count} communities, limits.communities is ${communities}`;
    }
    return true;
  }

  /** The rest of `intern` for a new block that the session's rules change. */
  #internEdited(
    bytes: Uint8Array,
    start: number,
    end: number,
    context: number,
    rules: IngressRules,
    disposition: Disposition,
  ): number {
    const scan = this.scan;
    const scanContext = CONTEXTS[context & 7]!;
    const length = canonicalizeAttributes(bytes, start, end, scanContext, scan, this.#canonical);
    const edited = (this.#edited ??= new Uint8Array(this.#canonical.length));
    const editedLength = applyIngress(rules, scanContext.external, this.#canonical, length, edited);
    if (editedLength < 0) {
      scan.disposition = Disposition.treatAsWithdraw;
      scan.errorAttribute = AttributeCode.asPath;
      return 0;
    }
    // The neighbour is who said it, not the AS number that we have put in front.
    const { neighborAs } = scan;
    scanCanonical(edited, 0, editedLength, scan);
    const id = this.#add(bytes, start, end, context, edited, 0, editedLength, false);
    this.neighborAs[id] = neighborAs;
    if (disposition === Disposition.attributeDiscard) this.flags[id] = this.flags[id]! | AttributeFlag.discarded;
    return id;
  }

  #rulesOf(context: number): IngressRules {
    return this.#ingress[(context / BlockContext.scopeUnit) | 0]!;
  }

  /**
   * The id of canonical octets that policy has made out of set `source`, which is not looped: made when new. The caller
   * adds references.
   */
  internPoliced(bytes: Uint8Array, start: number, end: number, source: number): number {
    const scope = (this.#context[source]! / BlockContext.scopeUnit) | 0;
    return this.intern(bytes, start, end, scope * BlockContext.scopeUnit + BlockContext.policed);
  }

  /**
   * The set with LLGR_STALE (RFC 9494 §4.2), itself where it has it already or may not be used anyway; 0 = it has NO_LLGR.
   * The caller adds references.
   */
  longLived(id: number): number {
    const start = this.start(id);
    const end = start + this.length(id);
    const bytes = this.bytes(id);
    const communities = attributeValue(bytes, start, end, AttributeCode.communities);
    if (communities && hasCommunity(communities, Community.noLongLived)) return 0;
    if ((this.flags[id]! & (LOOP_FLAGS | AttributeFlag.longLivedStale)) !== 0) return id;
    const value = withCommunity(communities, Community.longLivedStale);
    const flags = WireFlag.optional | WireFlag.transitive;
    const edited = (this.#edited ??= new Uint8Array(this.#canonical.length));
    const length = editAttributes(bytes, start, end, new Map([[AttributeCode.communities, { flags, value }]]), edited);
    return length < 0 ? 0 : this.internPoliced(edited, 0, length, id);
  }

  /** To be told of every set that dies. */
  addMemo(memo: AttributeMemo): void {
    if (!this.memos.includes(memo)) this.memos = [...this.memos, memo];
  }

  dropMemo(memo: AttributeMemo): void {
    this.memos = this.memos.filter((other) => other !== memo);
  }

  /** One reference more. */
  retain(id: number): void {
    this.references[id] = this.references[id]! + 1;
  }

  /** One reference less; a set without any dies at a later `collect`. */
  release(id: number): void {
    const left = this.references[id]! - 1;
    this.references[id] = left;
    if (left === 0 && (this.flags[id]! & AttributeFlag.inYoung) === 0) {
      this.flags[id] = this.flags[id]! | AttributeFlag.inYoung;
      this.#young.push(id);
    }
  }

  /** True when sets wait for `collect`. */
  get hasDying(): boolean {
    return this.#young.length > 0 || this.#old.length > 0;
  }

  /**
   * Call when decision has handled all that was dirty at the previous call: frees sets that were without references
   * then and still are, a slice of them at a time, and lines up the ones that have lost their last reference since.
   */
  collect(): void {
    const old = this.#old;
    for (let budget = COLLECTED_AT_A_TIME; old.length > 0; budget--) {
      if (budget === 0) return;
      const id = old.pop()!;
      const flags = this.flags[id]! & ~AttributeFlag.inOld;
      this.flags[id] = flags;
      if (this.references[id] === 0 && (flags & AttributeFlag.inYoung) === 0) this.#destroy(id);
    }
    this.#old = this.#young;
    this.#young = old;
    for (const id of this.#old) {
      this.flags[id] = (this.flags[id]! & ~AttributeFlag.inYoung) | AttributeFlag.inOld;
    }
  }

  /** A path of the peer is about to have the set: once per message, before its references are counted. */
  noteGiver(id: number, peerId: number): void {
    if (this.giver[id] !== peerId) this.giver[id] = this.references[id] === 0 ? peerId : 0;
  }

  /** Which next hops some path has, not counting paths of peers marked in `without` (by PeerId): 1 by NextHopId. */
  nextHopsInUse(without?: Uint8Array): Uint8Array {
    const inUse = new Uint8Array(this.#nextHops.end);
    for (let id = 1; id < this.#end; id++) {
      if (this.references[id] === 0 || without?.[this.giver[id]!] === 1) continue;
      inUse[this.nextHop[id]!] = 1;
    }
    return inUse;
  }

  /** Chunk that holds the canonical octets of a set; they begin at `start(id)`. */
  bytes(id: number): Uint8Array {
    return chunkOf(this.arena, this.#handle[id]!);
  }

  start(id: number): number {
    return offsetOf(this.#handle[id]!) + this.#canonicalAt[id]!;
  }

  length(id: number): number {
    return this.#canonicalLength[id]!;
  }

  #add(
    bytes: Uint8Array,
    start: number,
    end: number,
    context: number,
    canonical: Uint8Array,
    canonicalStart: number,
    canonicalLength: number,
    isRaw: boolean,
  ): number {
    const id = this.#free.pop() ?? this.#end++;
    if (id >= this.references.length) this.#growColumns(id + 1);
    const rawLength = end - start;
    const handle = this.arena.allocate(isRaw ? rawLength : rawLength + canonicalLength);
    const chunk = chunkOf(this.arena, handle);
    let at = offsetOf(handle);
    for (let i = start; i < end; i++) chunk[at++] = bytes[i]!;
    if (!isRaw) for (let i = 0; i < canonicalLength; i++) chunk[at++] = canonical[canonicalStart + i]!;
    this.#handle[id] = handle;
    this.#rawLength[id] = rawLength;
    this.#canonicalAt[id] = isRaw ? 0 : rawLength;
    this.#canonicalLength[id] = canonicalLength;
    this.#context[id] = context;
    this.references[id] = 0;
    this.giver[id] = 0;
    this.#rankSet(id, context, canonical);
    this.scanned = id;
    this.scanShift = offsetOf(handle) + this.#canonicalAt[id]! - canonicalStart;
    this.size++;
    this.made++;

    const hash = this.#hashOf(bytes, start, end, context);
    this.#hash[id] = hash;
    if (this.size * 2 > this.#slots.length) this.#rehash(this.#slots.length * 2);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = id;
    // Nobody refers to it yet: it dies like any other unless the caller adds a reference.
    this.flags[id] = this.flags[id]! | AttributeFlag.inYoung;
    this.#young.push(id);
    return id;
  }

  /** Fills the columns of decision and export from `scan`; `bytes` is what `scan` points into. */
  #rankSet(id: number, context: number, bytes: Uint8Array): void {
    const scan = this.scan;
    const local = (context & BlockContext.local) !== 0;
    const rules = this.#rulesOf(context);
    const localPref = scan.hasLocalPref ? scan.localPref : DEFAULT_LOCAL_PREF;
    this.rank[id] = local
      ? LOCAL_RANK
      : localPref * RANK_LOCAL_PREF_UNIT + (0xffff - Math.min(scan.asPathHops, 0xffff)) * 4 + (2 - scan.origin);
    this.med[id] = scan.hasMed ? scan.med : 0;
    this.neighborAs[id] = scan.neighborAs;
    this.originator[id] = scan.hasOriginatorId ? scan.originatorId : 0;
    this.clusterCount[id] = Math.min(scan.clusterCount, 255);
    let flags = 0;
    if (local) {
      this.nextHop[id] = 0;
    } else {
      const { nextHopStart, nextHopLength } = scan;
      this.nextHop[id] = this.#nextHops.acquire(bytes, nextHopStart, nextHopLength, rules.interfaceName);
      if ((context & BlockContext.policed) !== 0) {
        // Loops were judged in what was received; an AS number of ours that policy has put in front is none, and the
        // neighbour is who stands behind it.
        const other = rules.prependLocalAs ? rules.localAs : 0;
        this.neighborAs[id] = neighborBehind(bytes, scan.asPathStart, scan.asPathEnd, this.#identity.asn, other);
      } else if (scan.asPathEnd > scan.asPathStart && this.#isLooped(rules, bytes)) {
        flags |= AttributeFlag.asLoop;
      }
      if (scan.hasOriginatorId && scan.originatorId === this.#identity.routerId) flags |= AttributeFlag.originatorLoop;
      for (let i = 0; i < scan.clusterCount; i++) {
        if (readU32(bytes, scan.clusterListStart + i * 4) === this.#identity.clusterId)
          flags |= AttributeFlag.clusterLoop;
      }
      if (rules.otc && isLeak(rules.otc, scan)) flags |= AttributeFlag.routeLeak;
    }
    if (scan.hasOtc) flags |= AttributeFlag.onlyToCustomer;
    for (let i = 0; i < scan.communitiesCount; i++) {
      const community = readU32(bytes, scan.communitiesStart + i * 4);
      // Well-known ones alone begin with 65535.
      if (community < WELL_KNOWN) continue;
      if (community === Community.noAdvertise) flags |= AttributeFlag.noAdvertise;
      else if (community === Community.noExport || community === Community.noExportSubconfed) {
        flags |= AttributeFlag.noExport;
      } else if (community === Community.longLivedStale && rules.longLived) {
        flags |= AttributeFlag.longLivedStale;
        this.rank[id] = this.rank[id]! + LONG_LIVED_RANK;
      } else if (community === Community.noPeer) flags |= AttributeFlag.noPeer;
      else if (community === Community.blackhole && rules.blackhole) flags |= AttributeFlag.blackhole;
    }
    this.flags[id] = flags;
    if (scan.extendedCommunitiesCount > 0) {
      const rate = linkBandwidth(bytes, scan.extendedCommunitiesStart, scan.extendedCommunitiesCount);
      if (rate !== undefined) this.bandwidth.set(id, rate);
    }
  }

  /** RFC 4271 §9.1.2, but for what `allowAsIn` lets pass. */
  #isLooped(rules: IngressRules, bytes: Uint8Array): boolean {
    const { asPathStart, asPathEnd } = this.scan;
    const { allowAsIn, localAs, prependLocalAs } = rules;
    if (countAs(bytes, asPathStart, asPathEnd, this.#identity.asn) > allowAsIn) return true;
    return localAs !== 0 && countAs(bytes, asPathStart, asPathEnd, localAs) > allowAsIn + (prependLocalAs ? 1 : 0);
  }

  #destroy(id: number): void {
    const hash = this.#hash[id]!;
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = (hash ^ (hash >>> 15)) & mask;
    while (slots[slot] !== id) slot = (slot + 1) & mask;
    // Backward shift: no tombstones, lookups stay as short as the load allows.
    let hole = slot;
    for (;;) {
      slot = (slot + 1) & mask;
      const other = slots[slot]!;
      if (other === 0) break;
      const otherHash = this.#hash[other]!;
      const home = (otherHash ^ (otherHash >>> 15)) & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = other;
        hole = slot;
      }
    }
    slots[hole] = 0;
    if (this.nextHop[id] !== 0) this.#nextHops.release(this.nextHop[id]!);
    const { memos } = this;
    for (let i = 0; i < memos.length; i++) memos[i]!.forget(id);
    if (this.bandwidth.size > 0) this.bandwidth.delete(id);
    const stored =
      this.#canonicalAt[id] === 0 ? this.#rawLength[id]! : this.#rawLength[id]! + this.#canonicalLength[id]!;
    this.arena.free(this.#handle[id]!, stored);
    this.size--;
    this.#free.push(id);
  }

  #rehash(slotCount: number): void {
    const slots = new Int32Array(slotCount);
    const mask = slotCount - 1;
    for (const id of this.#slots) {
      if (id === 0) continue;
      const hash = this.#hash[id]!;
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
    this.#mask = mask;
  }

  #sameBytes(id: number, bytes: Uint8Array, start: number, length: number): boolean {
    const handle = this.#handle[id]!;
    const chunk = chunkOf(this.arena, handle);
    const at = offsetOf(handle);
    for (let i = 0; i < length; i++) if (chunk[at + i] !== bytes[start + i]) return false;
    return true;
  }

  #hashOf(bytes: Uint8Array, start: number, end: number, context: number): number {
    let hash = this.#seed ^ Math.imul(context + 1, 0x85ebca6b) ^ (end - start);
    let at = start;
    const words = end - 3;
    for (; at < words; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x2c1b3c6d);
    return hash ^ (hash >>> 13);
  }

  #growColumns(needed: number): void {
    const capacity = grownCapacity(this.references.length, needed);
    this.rank = grow(this.rank, capacity);
    this.med = grow(this.med, capacity);
    this.neighborAs = grow(this.neighborAs, capacity);
    this.nextHop = grow(this.nextHop, capacity);
    this.originator = grow(this.originator, capacity);
    this.clusterCount = grow(this.clusterCount, capacity);
    this.flags = grow(this.flags, capacity);
    this.references = grow(this.references, capacity);
    this.giver = grow(this.giver, capacity);
    this.#handle = grow(this.#handle, capacity);
    this.#rawLength = grow(this.#rawLength, capacity);
    this.#canonicalAt = grow(this.#canonicalAt, capacity);
    this.#canonicalLength = grow(this.#canonicalLength, capacity);
    this.#hash = grow(this.#hash, capacity);
    this.#context = grow(this.#context, capacity);
  }
}

/** The first AS of a path that is neither `own` nor `other`; 0 when there is none before a set. */
function neighborBehind(bytes: Uint8Array, start: number, end: number, own: number, other: number): number {
  for (let at = start; at < end;) {
    if (bytes[at] !== SegmentType.sequence) return 0;
    const next = at + 2 + bytes[at + 1]! * 4;
    for (at += 2; at < next; at += 4) {
      const asn = readU32(bytes, at);
      if (asn !== own && asn !== other) return asn;
    }
  }
  return 0;
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
