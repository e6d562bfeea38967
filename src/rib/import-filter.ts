/**
 * The seam between Adj-RIB-In and import policy: the RIB knows that somebody judges paths, never how. Adj-RIB-In keeps
 * what was received whatever the verdict, so that another filter can judge it again without asking the peer.
 */
import type { FamilyRib } from './family-rib.js';

export interface ImportFilter {
  /**
   * The attribute set that stands for a received one from now on: itself, or one made by policy; 0 = rejected. The
   * caller adds references to what it keeps.
   */
  judge(rib: FamilyRib, prefixId: number, received: number): number;
  /**
   * The same for prefixes as they stand in a message: bytes[at, end), `idOctets` (of a path identifier) in front of each.
   * One verdict for as many as have it in a row; `runEnd` says where they end. What cannot be parsed is part of a run.
   */
  judgeRun(rib: FamilyRib, bytes: Uint8Array, at: number, end: number, idOctets: number, received: number): number;
  readonly runEnd: number;
}
