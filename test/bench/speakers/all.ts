/** The speakers by name, and which of them are installed. */
import { hasProgram, run } from '../../interop/fixtures/process.js';
import { bird } from './bird.js';
import { frr } from './frr.js';
import { gobgp } from './gobgp.js';
import { openbgpd } from './openbgpd.js';
import type { Speaker } from './speaker.js';
import { tortie, tortieWithPolicy, tortieWithSysctls } from './tortie.js';

/** Tortie with policies, or allowed to set kernel settings, is one, too: measured beside Tortie without. */
export const RIVALS: readonly Speaker[] = [bird, frr, gobgp, openbgpd, tortieWithPolicy, tortieWithSysctls];
export { tortie };

/** A speaker that is here. */
export interface Installed {
  readonly speaker: Speaker;
  readonly programs: readonly string[];
  /** One line. */
  readonly version: string;
}

/** Undefined when a program is missing. */
export async function findSpeaker(speaker: Speaker): Promise<Installed | undefined> {
  const programs = speaker.programs.map((names) => names.find(hasProgram));
  if (programs.includes(undefined)) return undefined;
  const found = programs as string[];
  const [program, ...args] = speaker.version(found);
  const text = await run(program!, args, { allowFailure: true });
  return {
    speaker,
    programs: found,
    version: text
      .trim()
      .split('\n')[0]!
      .replace(/ on \S+\(.*$/, ''),
  };
}
