/**
 * Where traffic goes: the paths that share it with the best one (ECMP), their weights, and the path that stands by
 * (BGP PIC). To be read beside docs/decision.md; no RFC says which paths may share, so this says what we do.
 *
 *   may share   tied with the best path until the tie-breaks by identifier and address (decision steps 7 to 10) began
 *   who does    the first ones by those tie-breaks, one for each next hop, as many as configuration allows
 *   weights     of link bandwidth communities if every one of them has one, the largest becoming 256; else 1
 *   stands by   what would be best if none of those next hops could be reached
 */
import type { Path } from './attributes.js';
import { decide, inOrderOfTieBreaks, type Surroundings } from './decision.js';

export interface ForwardingSettings {
  readonly ebgp: number;
  readonly ibgp: number;
  readonly asPath: 'length' | 'exact';
  readonly backup: boolean;
}

export const ONE_PATH: ForwardingSettings = { ebgp: 1, ibgp: 1, asPath: 'length', backup: false };

/**
 * One next hop as it is, several as `A*weight B*weight`, the one that stands by behind a bar; undefined when nothing
 * forwards, and for what we originate, which is connected.
 */
export function forwarding(
  eligible: readonly Path[],
  speaker: Surroundings,
  settings: ForwardingSettings,
): string | undefined {
  const decision = decide(eligible, speaker);
  if (!decision?.best.peer) return undefined;
  const { best } = decision;
  const limit = best.peer!.type === 'external' ? settings.ebgp : settings.ibgp;
  const sharing: Path[] = [];
  for (const next of [best, ...inOrderOfTieBreaks(decision.tied)]) {
    if (sharing.length >= limit) break;
    if (settings.asPath === 'exact' && !sameAsPath(next, best)) continue;
    if (!sharing.some((path) => path.attributes.nextHop === next.attributes.nextHop)) sharing.push(next);
  }
  const used = sharing.map((path) => path.attributes.nextHop);
  const others = eligible.filter((path) => !used.includes(path.attributes.nextHop));
  const backup = settings.backup ? decide(others, speaker)?.best.attributes.nextHop : undefined;
  return forwardingText(
    weights(sharing).map((weight, i) => ({ nextHop: used[i]!, weight })),
    backup,
  );
}

export function forwardingText(primaries: readonly { nextHop: string; weight: number }[], backup?: string): string {
  const shared = primaries.map(({ nextHop, weight }) => (primaries.length === 1 ? nextHop : `${nextHop}*${weight}`));
  return backup === undefined ? shared.join(' ') : `${shared.join(' ')} | ${backup}`;
}

function sameAsPath(a: Path, b: Path): boolean {
  return JSON.stringify(a.attributes.asPath) === JSON.stringify(b.attributes.asPath);
}

function weights(sharing: readonly Path[]): number[] {
  const rates = sharing.map((path) => path.attributes.linkBandwidth ?? NaN);
  const largest = Math.max(...rates);
  if (!(largest > 0)) return sharing.map(() => 1);
  const scaled = rates.map((rate) => Math.max(1, Math.round((rate / largest) * 256)));
  let divisor = 256;
  while (scaled.some((weight) => weight % divisor !== 0)) divisor--;
  return scaled.map((weight) => weight / divisor);
}
