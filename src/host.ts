/** What the settings ask of the host besides routes, and what is shown of it. */
import type { Settings } from './config/settings.js';
import type { SummaryDto } from './control/dto.js';
import type { HostDuties } from './fib/host-keeper.js';
import type { FibPort } from './fib/port.js';

/** For the kernel side. */
export function hostDuties(settings: Settings): HostDuties {
  return { masqueradePools: settings.fib.masquerade?.pools ?? [] };
}

/** For `show summary`. */
export function masqueradeDto(settings: Settings, fib: FibPort | undefined): SummaryDto['masquerade'] {
  const pools = settings.fib.masquerade?.pools;
  if (!pools || !fib) return null;
  const { repaired, error } = fib.host().masquerade;
  return { pools, repaired, error: error ?? null };
}
