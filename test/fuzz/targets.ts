/** The fuzz targets by name. */
import { codec } from './targets/codec.js';
import { fsm } from './targets/fsm.js';
import { speaker } from './targets/speaker.js';
import type { Target } from './target.js';

export const TARGETS: Readonly<Record<string, Target>> = { codec, fsm, speaker };
