/** Growing typed arrays: columns double until they are large, then grow by half, so memory follows the table. */

type Column = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

/** A capacity of at least `needed`, never less than the current one. */
export function grownCapacity(current: number, needed: number): number {
  if (needed <= current) return current;
  let capacity = Math.max(current, 1024);
  while (capacity < needed) capacity = capacity < 1 << 18 ? capacity * 2 : capacity + (capacity >> 2);
  return (capacity + 63) & ~63;
}

/** A larger copy of `column`; new cells are zero. */
export function grow<T extends Column>(column: T, capacity: number): T {
  const larger = new (column.constructor as new (length: number) => T)(capacity);
  larger.set(column as never);
  return larger;
}
