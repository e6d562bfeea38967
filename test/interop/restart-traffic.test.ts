/**
 * Graceful restart (RFC 4724) under traffic, 1,000 packets a second through the kernel of our node: our own restart with
 * BIRD or FRR as the helper loses nothing, and neither does the death of theirs and its return while we are the helper. Nor
 * does our own with several next hops, whichever way the kernel has them.
 */
import t, { type Test } from 'tap';
import type { RouteDto, SummaryDto } from '../../src/control/dto.js';
import { Bird } from './fixtures/bird.js';
import { Capture } from './fixtures/capture.js';
import type { Driver } from './fixtures/driver.js';
import { Fork, GATEWAYS, SERVICE_PREFIXES, SIDES } from './fixtures/fork.js';
import { Frr } from './fixtures/frr.js';
import { waitFor } from './fixtures/process.js';
import { skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

const PREFIX = SERVICE_PREFIXES.ipv4;
const LEFT = { [GATEWAYS.left.ipv4]: 1 };
const PER_SECOND = 1000;
/** How often theirs comes back, until it keeps the order of RFC 4724. */
const MOST_RETURNS = 5;
const UPDATE = '2';
/** Octets: the End-of-RIB of IPv4, and the longest that is one (IPv6); any longer UPDATE has routes. */
const END_OF_RIB = { ipv4: 23, longest: 30 };

/**
 * Whether the peer that restarted after `since` (seconds) sent its routes before its End-of-RIB, as RFC 4724 §4.1 has it.
 * FRR 8.4 sometimes sends them 40 ms after it; its old routes must go at once then (§4.2), so what is lost is not ours.
 */
async function routesCameFirst(capture: Capture, since: number): Promise<boolean> {
  const filter = `bgp && ip.src == ${GATEWAYS.left.ipv4} && frame.time_epoch >= ${since}`;
  // The capture may be behind what has happened.
  const { routes, end } = await waitFor('routes and End-of-RIB in the capture', async () => {
    const updates = (await capture.fields(filter, ['bgp.type', 'bgp.length'])).flatMap(([types = '', lengths = '']) => {
      const octets = lengths.split(',').map(Number);
      return types.split(',').flatMap((type, at) => (type === UPDATE ? [octets[at]!] : []));
    });
    const routes = updates.findIndex((octets) => octets > END_OF_RIB.longest);
    const end = updates.indexOf(END_OF_RIB.ipv4);
    return routes >= 0 && end >= 0 && { routes, end };
  });
  return routes < end;
}

async function restarts(t: Test, left: Driver, right: Driver): Promise<void> {
  const ours = new Tortie();
  const made = await Fork.create({ ours, left, right, type: 'eBGP', gracefulRestart: true });
  t.teardown(async () => {
    if (!t.passing()) for (const driver of [ours, left]) t.comment(driver.log().slice(-4000));
    await made.stop();
  });
  await left.announce({ prefix: PREFIX });
  const capture = await Capture.start(made.ends.left, made.directory, 'left');
  t.teardown(() => capture.stop());
  await made.start();
  await made.untilVia(PREFIX, LEFT);
  const untilState = (up: boolean): Promise<unknown> =>
    waitFor(up ? 'Established' : 'the end of the session', async () => {
      const state = await ours.sessionState(GATEWAYS.left.ipv4);
      return (state === 'Established') === up;
    });
  const untilFresh = (): Promise<unknown> =>
    waitFor('the route, fresh and installed', async () => {
      const rows = (await ours.query(`/v1/routes?match=${encodeURIComponent(PREFIX)}`)) as RouteDto[];
      return rows[0]?.stale === false && rows[0].installed;
    });

  const own = await made.lossDuring(PER_SECOND, async () => {
    await ours.kill();
    await waitFor(`${left.name} to notice`, async () => (await left.sessionState()) !== 'Established');
    await made.startAgain(ours);
    await untilState(true);
    await untilFresh();
  });
  t.ok(own.sent > 500, `${own.sent} packets`);
  t.equal(own.arrived, own.sent, `our restart, ${left.name} helps: nothing is lost`);

  for (let returns = 1; ; returns++) {
    const dead = await made.lossDuring(PER_SECOND, async () => {
      await left.kill();
      await untilState(false);
      await waitFor('the route to be stale', async () => {
        const rows = (await ours.query(`/v1/routes?match=${encodeURIComponent(PREFIX)}`)) as RouteDto[];
        return rows[0]?.stale === true;
      });
    });
    t.equal(dead.arrived, dead.sent, `${left.name} dies, we help: nothing of ${dead.sent} is lost`);

    // It says that it has kept its forwarding state; otherwise its old routes would go at once (RFC 4724 §4.2).
    const since = Date.now() / 1000;
    const back = await made.lossDuring(PER_SECOND, async () => {
      await made.startAgain(left);
      await untilState(true);
      await untilFresh();
    });
    if (returns < MOST_RETURNS && !(await routesCameFirst(capture, since))) {
      t.comment(`${left.name} sent its End-of-RIB before its routes: ${back.sent - back.arrived} packets lost`);
      continue;
    }
    t.equal(back.arrived, back.sent, `${left.name} is back: nothing of ${back.sent} is lost`);
    break;
  }
  await made.untilVia(PREFIX, LEFT);
}

for (const nexthopObjects of ['auto', 'never'] as const) {
  const how = nexthopObjects === 'auto' ? 'a nexthop group' : 'a multipath route';
  t.test(`kill -9 and start with equal paths by ${how}`, async (t) => {
    const ours = new Tortie({ multipath: { ebgp: 2 }, fib: { enabled: true, nexthopObjects } });
    if (skipWithout(t, 'restart with equal paths', ours)) return;
    const [left, right] = [new Tortie(), new Tortie()];
    const made = await Fork.create({ ours, left, right, type: 'eBGP', gracefulRestart: true });
    t.teardown(async () => {
      if (!t.passing()) t.comment(ours.log().slice(-4000));
      await made.stop();
    });
    const versions = ['ipv4', 'ipv6'] as const;
    for (const driver of [left, right])
      for (const version of versions) await driver.announce({ prefix: SERVICE_PREFIXES[version] });
    await made.start();
    const both = (version: (typeof versions)[number]) => ({
      [GATEWAYS.left[version]]: 1,
      [GATEWAYS.right[version]]: 1,
    });
    const untilBoth = async () => {
      for (const version of versions) await made.untilVia(SERVICE_PREFIXES[version], both(version));
    };
    await untilBoth();
    // By where they lead: while one peer is back and the other is not, the set is another, and so may the ids be.
    const objects = async () => ledBy(await made.here.ip('nexthop', 'show', 'protocol', '186'));
    const before = await objects();
    t.equal(before.includes('group'), nexthopObjects === 'auto');
    const loss = await made.lossDuring(
      PER_SECOND,
      async () => {
        await ours.kill();
        for (const each of [left, right])
          await waitFor('the helpers to notice', async () => (await each.sessionState()) !== 'Established');
        await made.startAgain(ours);
        for (const side of SIDES) {
          await waitFor(`the ${side}`, async () => (await ours.sessionState(GATEWAYS[side].ipv4)) === 'Established');
        }
        await waitFor('fresh and installed', async () => {
          const rows = (await ours.query('/v1/routes')) as RouteDto[];
          return rows.length === 4 && rows.every((row) => !row.stale && row.installed);
        });
        await untilBoth();
        await waitFor('no difference', async () => ((await ours.query('/v1/fib/diff')) as object[]).length === 0);
      },
      { versions, flows: 16 },
    );
    t.ok(loss.sent > 1000, `${loss.sent} packets of 32 flows`);
    t.equal(loss.arrived, loss.sent, 'nothing is lost');
    t.ok(Math.min(loss.left, loss.right) > loss.sent / 20, `${loss.left} left, ${loss.right} right`);
    t.equal(await objects(), before, 'the same objects');
    t.equal(((await ours.query('/v1/summary')) as SummaryDto).fib.repaired, 0, 'nothing had to be repaired');
  });
}

t.test('BIRD', async (t) => {
  const left = new Bird({ recovers: true });
  if (skipWithout(t, 'graceful restart with BIRD', left)) return;
  await restarts(t, left, new Tortie());
});

t.test('FRR', async (t) => {
  const left = new Frr({ recovers: true });
  if (skipWithout(t, 'graceful restart with FRR', left)) return;
  await restarts(t, left, new Tortie());
});

/** The lines of `ip nexthop`, with gateways for the ids of single objects, and sorted. */
function ledBy(text: string): string {
  const lines = text.split('\n').filter((line) => line !== '');
  const via = new Map<string, string>();
  for (const line of lines) {
    const [, id, gateway] = /^id (\d+) via (\S+)/.exec(line) ?? [];
    if (id !== undefined && gateway !== undefined) via.set(id, gateway);
  }
  return lines
    .map((line) => line.replace(/^id \d+ /, '').replace(/\d{6,}/g, (id) => via.get(id) ?? id))
    .sort()
    .join('\n');
}
