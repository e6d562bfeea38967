/**
 * The drivers and the judge of the interop suite, proven without Tortie: BIRD stands in for it, and a message that is
 * malformed on purpose must be found.
 */
import t from 'tap';
import { Bird } from './fixtures/bird.js';
import { Capture } from './fixtures/capture.js';
import type { Driver } from './fixtures/driver.js';
import { Exabgp } from './fixtures/exabgp.js';
import { Frr } from './fixtures/frr.js';
import { Gobgp } from './fixtures/gobgp.js';
import { everyScenario } from './fixtures/matrix.js';
import { Namespaces } from './fixtures/namespace.js';
import { Openbgpd } from './fixtures/openbgpd.js';
import { Pair } from './fixtures/pair.js';
import { runSuite, skipWithout } from './fixtures/suite.js';

t.setTimeout(300_000);

const drivers: (() => Driver)[] = [
  () => new Frr(),
  () => new Gobgp(),
  () => new Openbgpd(),
  () => new Exabgp(),
  () => new Bird(),
];

const chosen = [
  'eBGP, both families over IPv4, we dial',
  'iBGP, both families over IPv6, peer dials',
  'kill -9 of the peer, and return',
];

if (!skipWithout(t, 'drivers against BIRD', ...drivers.map((create) => create()))) {
  t.jobs = 2;
  for (const theirs of drivers) {
    void t.test(`${theirs().name} against BIRD`, async (sub) => {
      const scenarios = everyScenario().filter(({ name }) => chosen.includes(name));
      sub.equal(scenarios.length, chosen.length);
      await runSuite(sub, { ours: () => new Bird(), theirs, scenarios, lanes: 4 });
    });
  }

  void t.test('the judge finds a malformed message and its NOTIFICATION', async (sub) => {
    const namespaces = new Namespaces();
    sub.teardown(() => {
      namespaces.close();
    });
    const lane = await namespaces.createLane();
    const capture = await Capture.start(lane.ours, lane.directory, 'judge');
    // OpenBGPD answers a MED of three octets with a NOTIFICATION.
    const sender = new Exabgp();
    const pair = await Pair.create(lane, sender, new Openbgpd(), {
      ...{ index: 1, type: 'eBGP', transport: 'ipv4', families: ['ipv4-unicast'], dialer: 'ours' },
    });
    sub.teardown(() => pair.stop());
    await pair.start();
    await pair.established();
    await sender.command(
      `announce route 10.99.0.0/24 next-hop ${pair.ourOptions.localAddress} attribute [0x04 0x80 0x000000]`,
    );
    await pair.notEstablished(pair.theirs);
    await capture.stop();
    const verdict = await capture.judge();
    sub.match(verdict.malformed, [{ source: pair.ourOptions.localAddress }]);
    sub.match(verdict.notifications, [{ source: pair.theirOptions.localAddress, code: /^3\/5$/ }]);
  });
}
