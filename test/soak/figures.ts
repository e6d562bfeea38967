/** What the soak measured, and the slope of a series. */

export interface Sample {
  readonly seconds: number;
  readonly value: number;
}

/** Change of the value in an hour, and the standard error of that. */
export interface Slope {
  readonly perHour: number;
  readonly error: number;
}

/** Least squares. Less than three samples have no slope. */
export function slopePerHour(samples: readonly Sample[]): Slope {
  const count = samples.length;
  if (count < 3) return { perHour: 0, error: 0 };
  const meanTime = samples.reduce((sum, { seconds }) => sum + seconds, 0) / count;
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / count;
  let above = 0;
  let below = 0;
  for (const { seconds, value } of samples) {
    above += (seconds - meanTime) * (value - mean);
    below += (seconds - meanTime) ** 2;
  }
  if (below === 0) return { perHour: 0, error: 0 };
  const slope = above / below;
  let rest = 0;
  for (const { seconds, value } of samples) rest += (value - mean - slope * (seconds - meanTime)) ** 2;
  return { perHour: slope * 3600, error: Math.sqrt(rest / (count - 2) / below) * 3600 };
}

/** The samples after the first third: what is still growing then, grows. */
export function settled(samples: readonly Sample[]): readonly Sample[] {
  return samples.slice(Math.floor(samples.length / 3));
}

export function span(samples: readonly Sample[]): { readonly least: number; readonly most: number } {
  const values = samples.map(({ value }) => value);
  return { least: Math.min(...values), most: Math.max(...values) };
}
