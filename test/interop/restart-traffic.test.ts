/**
 * Graceful restart (RFC 4724) under traffic, 1,000 packets a second through the kernel of our node: our own restart with
 * BIRD or FRR as the helper loses nothing, and neither does the death of theirs while we are the helper.
 */
import t, { type Test } from 'tap';
import type { RouteDto } from '../../src/control/dto.js';
import { Bird } from './fixtures/bird.js';
import type { Driver } from './fixtures/driver.js';
import { Fork, GATEWAYS, SERVICE_PREFIXES } from './fixtures/fork.js';
import { Frr } from './fixtures/frr.js';
import { waitFor } from './fixtures/process.js';
import { skipWithout } from './fixtures/suite.js';
import { Tortie } from './fixtures/tortie.js';

const PREFIX = SERVICE_PREFIXES.ipv4;
const LEFT = { [GATEWAYS.left.ipv4]: 1 };
const PER_SECOND = 1000;

async function restarts(t: Test, left: Driver, right: Driver): Promise<void> {
  const ours = new Tortie();
  const made = await Fork.create({ ours, left, right, type: 'eBGP', gracefulRestart: true });
  t.teardown(async () => {
    if (!t.passing()) for (const driver of [ours, left]) t.comment(driver.log().slice(-4000));
    await made.stop();
  });
  await left.announce({ prefix: PREFIX });
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

  const dead = await made.lossDuring(PER_SECOND, async () => {
    await left.kill();
    await untilState(false);
    await waitFor('the route to be stale', async () => {
      const rows = (await ours.query(`/v1/routes?match=${encodeURIComponent(PREFIX)}`)) as RouteDto[];
      return rows[0]?.stale === true;
    });
  });
  t.equal(dead.arrived, dead.sent, `${left.name} dies, we help: nothing of ${dead.sent} is lost`);

  // Whether it says that it has kept its forwarding state is its own affair; if not, its old routes go at once.
  const back = await made.lossDuring(PER_SECOND, async () => {
    await made.startAgain(left);
    await untilState(true);
    await untilFresh();
  });
  t.ok(back.arrived > 0, `${left.name} is back: ${back.sent - back.arrived} of ${back.sent} packets lost`);
  await made.untilVia(PREFIX, LEFT);
}

t.test('BIRD', async (t) => {
  const left = new Bird();
  if (skipWithout(t, 'graceful restart with BIRD', left)) return;
  await restarts(t, left, new Tortie());
});

t.test('FRR', async (t) => {
  const left = new Frr();
  if (skipWithout(t, 'graceful restart with FRR', left)) return;
  await restarts(t, left, new Tortie());
});
