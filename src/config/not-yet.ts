/**
 * Keys of the contract that the engine does not do yet. The schema accepts their shapes, so that a file written for a
 * later version is understood; using one is refused by name. Values that ask for nothing (false, the default) pass.
 * When a feature is built, its line here goes.
 */
import type { Path } from './problems.js';
import type { RawConfig, RawPeerOptions } from './schema.js';

type Report = (path: Path, message: string) => void;

const remove = (key: string): string => `${key} is not in this version yet; remove the key`;

/** Reports each key in use that is not built yet. */
export function checkNotYet(raw: RawConfig, report: Report): void {
  for (const [name, group] of Object.entries(raw.groups ?? {})) checkPeerOptions(group, ['groups', name], report);
  raw.peers?.forEach((peer, index) => checkPeerOptions(peer, ['peers', index], report));
  raw.listenRanges?.forEach((range, index) => checkPeerOptions(range, ['listenRanges', index], report));
}

function checkPeerOptions(options: RawPeerOptions, at: Path, report: Report): void {
  if (options.role !== undefined) report([...at, 'role'], remove('role'));
}
