/**
 * The bench itself still works: every scenario, tiny, against Tortie alone. No time is asserted, only that every prefix
 * arrived with the right attributes everywhere, which is what a run reports as ok. With root in namespaces, as the bench
 * does; without on loopback, and then without the kernel scenario.
 */
import t from 'tap';
import { LoopbackPlace, NamespacePlace, whyNot } from './place.js';
import { runOnce } from './run.js';
import { scenario } from './scenarios.js';
import { findSpeaker, tortie } from './speakers/all.js';

const SCALE = 0.002;
const options = { niceness: 0, settleMs: 100, timeoutMs: 20_000, quietMs: 0 };

const namespaces = new NamespacePlace();
const reason = await whyNot(namespaces);
const place = reason === undefined ? namespaces : new LoopbackPlace();
const installed = (await findSpeaker(tortie))!;

for (const name of ['S1', 'S2', 'S3', 'S4', 'S6', 'S7', 'S8', 'S8L']) {
  const what = scenario(name, SCALE);
  const skip = what.kernel && reason !== undefined && process.env['TORTIE_NO_SKIP'] !== '1' ? { skip: reason } : {};
  t.test(`${name}: ${what.title}`, skip, async (t) => {
    const results = await runOnce(place, what, installed, options);
    for (const { phase, ok, error, prefixes, updatesReceived } of results) {
      t.ok(ok, `${phase}: every prefix arrived${error ? `: ${error}` : ''}`);
      if (phase === 'start' || what.kernel) continue;
      t.ok(prefixes > 0 && updatesReceived! > 0, `${phase}: ${prefixes} prefixes, ${updatesReceived} UPDATEs`);
    }
    const reported = what.phases.filter((phase) => !what.unreported.includes(phase));
    t.same(
      results.map(({ phase }) => phase),
      ['start', ...reported],
      'all phases took place',
    );
  });
}
