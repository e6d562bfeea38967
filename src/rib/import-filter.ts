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
}
