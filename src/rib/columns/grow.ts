/**
 * Growing typed arrays. A column grows fourfold: fresh memory from the system is zero and not resident until touched,
 * so the unused tail costs addresses only, while every copy leaves garbage that stays resident until it is collected.
 */

type Column = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

const GROWTH = 4;

/** A capacity of at least `needed`, never less than the current one. */
export function grownCapacity(current: number, needed: number): number {
  let capacity = Math.max(current, 1024);
  while (capacity < needed) capacity *= GROWTH;
  return capacity;
}

/** A larger copy of `column`; new cells are zero. */
export function grow<T extends Column>(column: T, capacity: number): T {
  const larger = new (column.constructor as new (length: number) => T)(capacity);
  larger.set(column as never);
  return larger;
}
