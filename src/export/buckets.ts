// HOT: guarded by bench S1, S4.
/**
 * Sorts a batch of changes for packing: announcements by (source peer, attribute set), withdrawals by old source peer.
 * Linear: chains through the batch, no comparison. Done once per batch, used by every update group.
 */
import { BATCH_PREFIXES } from '../rib/change-batch.js';
import type { ChangeBatch } from '../rib/change-batch.js';
import { grow, grownCapacity } from '../rib/columns/grow.js';

export class Buckets {
  /** Source peers with announcements, in order of appearance. */
  readonly sources = new Uint16Array(BATCH_PREFIXES);
  sourceCount = 0;
  /** Old source peers of prefixes that had a best path. */
  readonly oldSources = new Uint16Array(BATCH_PREFIXES);
  oldSourceCount = 0;
  /** First bucket of a source, by index into `sources`. */
  readonly firstBucket = new Int32Array(BATCH_PREFIXES);
  readonly bucketAttribute = new Int32Array(BATCH_PREFIXES);
  readonly nextBucket = new Int32Array(BATCH_PREFIXES);
  readonly bucketHead = new Int32Array(BATCH_PREFIXES);
  /** Next position of the batch in the same bucket, -1 = last. */
  readonly nextInBucket = new Int32Array(BATCH_PREFIXES);
  /** First position of the batch with this old source, by index into `oldSources`. */
  readonly oldHead = new Int32Array(BATCH_PREFIXES);
  readonly nextOld = new Int32Array(BATCH_PREFIXES);

  readonly #bucketTail = new Int32Array(BATCH_PREFIXES);
  readonly #lastBucket = new Int32Array(BATCH_PREFIXES);
  readonly #oldTail = new Int32Array(BATCH_PREFIXES);
  readonly #bucketSource = new Uint16Array(BATCH_PREFIXES);
  readonly #nextSameAttribute = new Int32Array(BATCH_PREFIXES);
  /** Bucket + 1 of an attribute set, index + 1 of a source: zero between batches. */
  #bucketOfAttribute = new Int32Array(1024);
  #indexOfSource = new Int32Array(64);
  #indexOfOld = new Int32Array(64);

  build(batch: ChangeBatch): void {
    const { newAttribute, newPeer, oldAttribute, oldPeer, count } = batch;
    let bucketCount = 0;
    this.sourceCount = 0;
    this.oldSourceCount = 0;
    for (let at = 0; at < count; at++) {
      const attribute = newAttribute[at]!;
      if (attribute !== 0) {
        const source = newPeer[at]!;
        if (attribute >= this.#bucketOfAttribute.length) {
          this.#bucketOfAttribute = grow(
            this.#bucketOfAttribute,
            grownCapacity(this.#bucketOfAttribute.length, attribute + 1),
          );
        }
        let bucket = this.#bucketOfAttribute[attribute]! - 1;
        while (bucket >= 0 && this.#bucketSource[bucket] !== source) bucket = this.#nextSameAttribute[bucket]!;
        if (bucket >= 0) {
          this.nextInBucket[this.#bucketTail[bucket]!] = at;
        } else {
          bucket = bucketCount++;
          this.bucketAttribute[bucket] = attribute;
          this.#bucketSource[bucket] = source;
          this.bucketHead[bucket] = at;
          this.nextBucket[bucket] = -1;
          this.#nextSameAttribute[bucket] = this.#bucketOfAttribute[attribute]! - 1;
          this.#bucketOfAttribute[attribute] = bucket + 1;
          this.#appendToSource(source, bucket);
        }
        this.#bucketTail[bucket] = at;
        this.nextInBucket[at] = -1;
      }
      if (oldAttribute[at] !== 0) this.#appendOld(oldPeer[at]!, at);
    }
    for (let bucket = 0; bucket < bucketCount; bucket++) this.#bucketOfAttribute[this.bucketAttribute[bucket]!] = 0;
    for (let i = 0; i < this.sourceCount; i++) this.#indexOfSource[this.sources[i]!] = 0;
    for (let i = 0; i < this.oldSourceCount; i++) this.#indexOfOld[this.oldSources[i]!] = 0;
  }

  #appendToSource(source: number, bucket: number): void {
    if (source >= this.#indexOfSource.length) {
      this.#indexOfSource = grow(this.#indexOfSource, grownCapacity(this.#indexOfSource.length, source + 1));
    }
    let index = this.#indexOfSource[source]! - 1;
    if (index < 0) {
      index = this.sourceCount++;
      this.sources[index] = source;
      this.#indexOfSource[source] = index + 1;
      this.firstBucket[index] = bucket;
    } else {
      this.nextBucket[this.#lastBucket[index]!] = bucket;
    }
    this.#lastBucket[index] = bucket;
  }

  #appendOld(source: number, at: number): void {
    if (source >= this.#indexOfOld.length) {
      this.#indexOfOld = grow(this.#indexOfOld, grownCapacity(this.#indexOfOld.length, source + 1));
    }
    let index = this.#indexOfOld[source]! - 1;
    if (index < 0) {
      index = this.oldSourceCount++;
      this.oldSources[index] = source;
      this.#indexOfOld[source] = index + 1;
      this.oldHead[index] = at;
    } else {
      this.nextOld[this.#oldTail[index]!] = at;
    }
    this.#oldTail[index] = at;
    this.nextOld[at] = -1;
  }
}
