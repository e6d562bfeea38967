// HOT: guarded by bench S1.
/** What decision changed in one go: the seam between Loc-RIB and its readers (export, FIB, monitor). */

/** Prefixes per batch: large enough to pack well, small enough for a turn of a few milliseconds. */
export const BATCH_PREFIXES = 8192;

export class ChangeBatch {
  count = 0;
  readonly id = new Int32Array(BATCH_PREFIXES);
  /** Attribute set of the best path before and now; 0 = none. */
  readonly oldAttribute = new Int32Array(BATCH_PREFIXES);
  readonly newAttribute = new Int32Array(BATCH_PREFIXES);
  /** Peer the best path came from before and now; meaningless without attribute. */
  readonly oldPeer = new Uint16Array(BATCH_PREFIXES);
  readonly newPeer = new Uint16Array(BATCH_PREFIXES);

  /** Every prefix that was decided, changed or not: what ADD-PATH groups look at. */
  readonly touched = new Int32Array(BATCH_PREFIXES);
  touchedCount = 0;

  clear(): void {
    this.count = 0;
    this.touchedCount = 0;
  }

  /** `count` never exceeds `touchedCount` where decision fills the batch. */
  get full(): boolean {
    return this.count === BATCH_PREFIXES || this.touchedCount === BATCH_PREFIXES;
  }

  add(id: number, oldAttribute: number, oldPeer: number, newAttribute: number, newPeer: number): void {
    const at = this.count++;
    this.id[at] = id;
    this.oldAttribute[at] = oldAttribute;
    this.oldPeer[at] = oldPeer;
    this.newAttribute[at] = newAttribute;
    this.newPeer[at] = newPeer;
  }
}
