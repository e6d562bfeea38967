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
  /** The same for a prefix as it stands in a message, from its length octet on. Whole: it ends within the message. */
  judgeNlri(rib: FamilyRib, bytes: Uint8Array, at: number, received: number): number;
  /**
   * After `judgeNlri`: what else has that verdict with that set. Prefixes of 8 bits or more whose first octet has
   * `octetClass` in `octets` need not be asked for. 0 in `octets` is never a class, and stands where it does in
   * `ORDINARY_OCTETS`.
   */
  readonly octets: Uint16Array;
  readonly octetClass: number;
}
