/**
 * Tortie as a library: a speaker inside your program. Several may live in one process.
 *
 * ```ts
 * const speaker = new Speaker(await parseConfig(text, 'tortie.yaml'), { clock: systemClock, log: silentLog });
 * await speaker.start();
 * speaker.subscribe((event) => { … });
 * for (const route of speaker.routes({ best: true }) ?? []) { … }
 * await speaker.stop();
 * ```
 */
export { loadConfig, parseConfig } from './config/load.js';
export { Speaker } from './speaker.js';
export type { ApplyReport, SpeakerDependencies } from './speaker.js';
export type * from './config/settings.js';
export type * from './policy/definition.js';
export type { PeerView, PolicyFunction, RouteView, Verdict } from './policy/policy-function.js';
export type * from './control/dto.js';
export type { PeerCommand, Queries, RouteFilter } from './control/queries.js';
export { systemClock } from './support/clock.js';
export type { Cancel, Clock } from './support/clock.js';
export { silentLog } from './support/log.js';
export type { Log } from './support/log.js';
