/**
 * Has the FIB thread's hot path compiled before it is needed, as `src/warm-up.ts` does for the pipeline: a syncer of its
 * own, over sockets that lead nowhere, installs, moves and removes made-up routes in small slices.
 */
import { parseAddress } from 'bgp-parse';
import { NetlinkSocket, RouteMessage } from 'netlink';
import { NetlinkKernel } from './netlink-kernel.js';
import { ROUTE_RECORD_WORDS } from './port.js';
import { Syncer, type SyncerEvents, type SyncerSettings } from './syncer.js';

/** Batches of routes per round; V8 has optimised every loop after about as many. */
const BATCHES = 12;
const ROUTES_PER_BATCH = 1024;
const IFF_UP_AND_RUNNING = 0x41;
const LINK = 'warm-up';

/** One slice of work each; the work is done when it ends. `settings` are those of the real syncer. */
export function* warmUpSlices(settings: SyncerSettings): Generator<void> {
  const nowhere = NetlinkSocket.toNowhere();
  const kernel = new NetlinkKernel(nowhere, nowhere);
  const syncer = new Syncer(settings, kernel, nobody, () => 0, new RouteMessage());
  syncer.start();
  const link = { family: 0, index: 1, name: LINK, flags: IFF_UP_AND_RUNNING, mtu: 1500, master: 0, kind: '' };
  syncer.mirror.link({ ...link, address: new Uint8Array(6) }, false);
  for (const id of [1, 2]) syncer.trackNextHop(id, parseAddress(`fe80::${id}`)!, LINK);
  for (const nextHop of [1, 2, 0, 1, 0]) {
    for (let batch = 0; batch < BATCHES; batch++) {
      syncer.submit('ipv4-unicast', records(batch, nextHop), ROUTES_PER_BATCH);
      // Not all at once: the routes of an object that all go at once go with the object.
      if (nextHop === 0 && batch % 3 === 0) continue;
      do {
        syncer.step();
        yield;
      } while (syncer.pending > 0);
    }
  }
}

function records(batch: number, nextHop: number): Uint32Array {
  const words = ROUTE_RECORD_WORDS['ipv4-unicast'];
  const out = new Uint32Array(ROUTES_PER_BATCH * words);
  for (let i = 0, at = 0; i < ROUTES_PER_BATCH; i++, at += words) {
    const number = batch * ROUTES_PER_BATCH + i;
    out[at] = number + 1;
    out[at + 1] = nextHop;
    out[at + 2] = 24;
    out[at + 3] = (100 << 24) | (number << 8);
  }
  return out;
}

const nobody: SyncerEvents = {
  kernelChanged: () => undefined,
  nextHopsChanged: () => undefined,
  routesPresent: () => undefined,
  statusChanged: () => undefined,
  log: () => undefined,
  fatal: () => undefined,
};
