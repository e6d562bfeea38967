/** The fuzz targets by name. */
import { bfd } from './targets/bfd.js';
import { codec } from './targets/codec.js';
import { config } from './targets/config.js';
import { control } from './targets/control.js';
import { features } from './targets/features.js';
import { fsm } from './targets/fsm.js';
import { netlinkTarget } from './targets/netlink.js';
import { policy } from './targets/policy.js';
import { speaker } from './targets/speaker.js';
import type { Target } from './target.js';

export const TARGETS: Readonly<Record<string, Target>> = {
  codec,
  fsm,
  speaker,
  features,
  netlink: netlinkTarget,
  bfd,
  config,
  policy,
  control,
};
