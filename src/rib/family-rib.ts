/**
 * The tables of one family: prefixes with their Loc-RIB columns, paths (Adj-RIB-In), and the dirty queue between them.
 */
import type { Family } from 'bgp-parse';
import { DirtyQueue } from './columns/dirty-queue.js';
import { PathTable } from './columns/path-table.js';
import { PrefixFlag, PrefixTable } from './columns/prefix-table.js';

export class FamilyRib {
  readonly family: Family;
  /** 0 = IPv4, 1 = IPv6: the index of per-family arrays. */
  readonly index: 0 | 1;
  readonly prefixes: PrefixTable;
  readonly paths = new PathTable();
  readonly dirty = new DirtyQueue();
  /** Prefixes with a best path, by the peer it came from. */
  bestBySource = new Uint32Array(64);
  /** Prefixes with a best path. */
  bestCount = 0;
  /** Goes up with every batch of decisions. */
  version = 0;
  /** Prefixes that have a path; the others of `prefixes.size` wait for `reclaim`. */
  occupied = 0;
  /** Turns until `reclaim` is worth another look. */
  reclaimPause = 0;

  constructor(family: Family, seed: number) {
    this.family = family;
    this.index = family === 'ipv4-unicast' ? 0 : 1;
    this.prefixes = new PrefixTable(this.index === 0 ? 1 : 4, seed);
  }

  markDirty(id: number): void {
    const flags = this.prefixes.flags;
    if ((flags[id]! & PrefixFlag.dirty) !== 0) return;
    flags[id] = flags[id]! | PrefixFlag.dirty;
    this.dirty.push(id);
  }

  /** Octets of the address of a prefix, 4 or 16. */
  addressBytes(id: number): Uint8Array {
    const words = this.prefixes.words;
    const out = new Uint8Array(words * 4);
    for (let i = 0; i < words; i++) {
      const word = this.prefixes.address[id * words + i]!;
      out[i * 4] = word >>> 24;
      out[i * 4 + 1] = word >>> 16;
      out[i * 4 + 2] = word >>> 8;
      out[i * 4 + 3] = word;
    }
    return out;
  }

  /** The id of a prefix given as octets; 0 when absent. */
  find(bytes: Uint8Array, length: number): number {
    if (this.prefixes.words === 1) return this.prefixes.find4(readU32(bytes, 0), length);
    return this.prefixes.find6(readU32(bytes, 0), readU32(bytes, 4), readU32(bytes, 8), readU32(bytes, 12), length);
  }

  findOrAdd(bytes: Uint8Array, length: number): number {
    if (this.prefixes.words === 1) return this.prefixes.findOrAdd4(readU32(bytes, 0), length);
    return this.prefixes.findOrAdd6(
      readU32(bytes, 0),
      readU32(bytes, 4),
      readU32(bytes, 8),
      readU32(bytes, 12),
      length,
    );
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
