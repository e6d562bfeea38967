/**
 * A fan-out that is cut into slices: with a clock on which turns run out of time, and refreshes, late joiners, frozen
 * and leaving members between the slices, everybody has in the end what the same history gives without any slicing.
 */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { Client, busyClock, reflectingPipeline } from './fixtures/pipeline-rig.js';
import { announce, withdraw } from './fixtures/say.js';

const HOP = '192.0.2.1';
const CLIENTS = 70;
const PREFIXES = 40;

const prefix = (n: number): string => `10.${n}.0.0/16`;

type Step =
  | {
      readonly kind: 'announce';
      readonly who: number;
      readonly from: number;
      readonly count: number;
      readonly pref: number;
    }
  | { readonly kind: 'withdraw'; readonly who: number; readonly from: number; readonly count: number }
  | { readonly kind: 'refresh' | 'freeze' | 'thaw' | 'leave'; readonly who: number }
  | { readonly kind: 'turn' };

const who = fc.nat(CLIENTS - 1);
const range = { from: fc.nat(PREFIXES - 1), count: fc.integer({ min: 1, max: 8 }) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('announce' as const),
      who,
      ...range,
      pref: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), who, ...range }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('refresh' as const, 'freeze' as const, 'thaw' as const), who }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who }) },
  { weight: 8, arbitrary: fc.constant({ kind: 'turn' as const }) },
);

/** Runs a history; each client's table at the end, as text. */
function play(steps: readonly Step[], stepMs: number): { tables: string[]; slices: number; ownHeard: number } {
  const pipeline = reflectingPipeline(stepMs > 0 ? busyClock(stepMs) : undefined);
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(pipeline, index + 1));
  const gone = new Set<Client>();
  let slices = 0;
  const settle = (): void => {
    for (let i = 0; i < 10_000; i++) {
      pipeline.turn();
      if (!pipeline.rib.hasWork && !pipeline.exporter.isDelivering && !pipeline.exporter.hasWork) return;
    }
    throw new Error('it does not come to rest');
  };
  settle();
  for (const each of steps) {
    if (each.kind === 'turn') {
      pipeline.turn();
      if (pipeline.exporter.isDelivering) slices++;
      continue;
    }
    const client = clients[each.who]!;
    if (gone.has(client)) continue;
    switch (each.kind) {
      case 'announce':
      case 'withdraw': {
        const list = Array.from({ length: each.count }, (_, i) => prefix((each.from + i) % PREFIXES));
        if (each.kind === 'withdraw') client.says(withdraw(list));
        // The preference says who is best, whatever else: each client has levels of its own.
        else client.says(announce(list, { nextHop: HOP, localPref: each.pref * 100 + each.who }));
        break;
      }
      case 'refresh':
        pipeline.exporter.refresh(client.members[0]!, {});
        break;
      case 'freeze':
        client.frozen = true;
        client.backlogBytes = 1 << 30;
        break;
      case 'thaw':
        client.thaw();
        break;
      case 'leave':
        gone.add(client);
        for (const member of client.members) pipeline.exporter.leave(member);
        pipeline.rib.down(client.rib);
        break;
    }
  }
  for (const client of clients) client.thaw();
  settle();
  let ownHeard = 0;
  const tables = clients.map((client, index) => {
    if (gone.has(client)) return 'gone';
    const rows = [...client.heard.routes.keys()].sort().map((each) => {
      const preference = client.heard.attribute(each, 5)!;
      if (parseInt(preference, 16) % 100 === index) ownHeard++;
      return `${each} ${preference}`;
    });
    return rows.join('\n');
  });
  return { tables, slices, ownHeard };
}

t.test('sliced and whole give the same tables', (t) => {
  let slices = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 120 }), (steps) => {
      const whole = play(steps, 0);
      const sliced = play(steps, 3);
      slices += sliced.slices;
      return sliced.ownHeard === 0 && sliced.tables.every((table, index) => table === whole.tables[index]);
    }),
    { numRuns: runs(60) },
  );
  t.ok(slices > 100, `turns that ended in the middle of a fan-out: ${slices}`);
  t.end();
});

t.test('a slice is what fits: the rest of the members hear later, nobody twice', (t) => {
  const pipeline = reflectingPipeline(busyClock(3));
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(pipeline, index + 1));
  for (let i = 0; i < 500; i++) pipeline.turn();
  const [speaker, ...others] = clients as [Client, ...Client[]];
  const before = others.map(({ heard }) => heard.updates);
  speaker.says(announce([prefix(1)], { nextHop: HOP }));
  pipeline.turn();
  const heardAtOnce = others.filter(({ heard }) => heard.routes.has(prefix(1))).length;
  t.ok(heardAtOnce > 0 && heardAtOnce < others.length, `${heardAtOnce} of ${others.length} after the first turn`);
  t.equal(pipeline.exporter.isDelivering, true);
  for (let i = 0; i < 50; i++) pipeline.turn();
  t.equal(pipeline.exporter.isDelivering, false);
  t.same(
    others.map(({ heard }, index) => heard.updates - before[index]!),
    others.map(() => 1),
  );
  t.end();
});

t.test('who asks for a refresh between two slices still hears of what has gone', (t) => {
  const pipeline = reflectingPipeline(busyClock(3));
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(pipeline, index + 1));
  const [speaker, ...others] = clients as [Client, ...Client[]];
  const turns = (count: number): void => {
    for (let i = 0; i < count; i++) pipeline.turn();
  };
  turns(500);
  speaker.says(announce([prefix(1), prefix(2)], { nextHop: HOP }));
  turns(50);
  speaker.says(withdraw([prefix(1)]));
  turns(1);
  t.equal(pipeline.exporter.isDelivering, true);
  for (const client of others) pipeline.exporter.refresh(client.members[0]!, {});
  turns(500);
  t.same(
    others.map(({ heard }) => [...heard.routes.keys()].join()),
    others.map(() => prefix(2)),
  );
  t.end();
});
