/** How MEDs are compared, changed live: every order of arrival, one prefix for each, in one session. */
import t from 'tap';
import { Rig, until } from '../reflector/fixtures/rig.js';

const HOP = '192.0.2.1';

/** By number: the first two are of one AS. In order of their identifiers the third comparison knows what the first did not. */
const PATHS = [
  { asn: 65001, med: 9 },
  { asn: 65002, med: 5 },
  { asn: 65001, med: 1 },
] as const;

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

t.test('deterministicMed and alwaysCompareMed', async (t) => {
  const rig = new Rig(t);
  const addresses = PATHS.map((_, index) => rig.address(index + 2));
  const peers = addresses.map((address, index) => ({
    ...{ address, asn: PATHS[index]!.asn, passive: true, import: 'accept', export: 'reject' },
  }));
  const node = await rig.reflector({ address: rig.address(1), config: { peers } });
  const scripted = [];
  for (const [index, { asn }] of PATHS.entries())
    scripted.push(await rig.peer(node, { address: addresses[index]!, asn }));
  const orders = permutations([0, 1, 2]);
  for (const [number, order] of orders.entries()) {
    for (const [count, index] of order.entries()) {
      const { asn, med } = PATHS[index]!;
      const prefix = `10.${number}.0.0/16`;
      scripted[index]!.announce([prefix], { nextHop: HOP, asPath: [asn], med });
      await until(() => [...node.speaker.routes({ match: prefix })!].length === count + 1, 'taken');
    }
  }
  const best = () =>
    [...node.speaker.routes({ best: true })!].map(({ peer, reason }) => `${addresses.indexOf(peer!)} ${reason}`);
  const becomes = async (decision: object, expected: string) => {
    const report = await node.reconfigure({ decision });
    t.match(report.join(), /MEDs: compared/);
    await until(
      () => best().every((one) => one === expected) && best().length === orders.length,
      () => `${JSON.stringify(decision)}: ${best().join()}`,
    );
    t.pass(`${JSON.stringify(decision)}: ${expected}, whatever came first`);
  };
  await until(() => best().every((one) => one === '1 router-id'), 'all at once: the first path is beaten by the third');
  await becomes({ deterministicMed: false }, '2 med');
  await becomes({ alwaysCompareMed: true }, '2 med');
  await becomes({ deterministicMed: true }, '1 router-id');
  await becomes({ deterministicMed: false, alwaysCompareMed: true }, '2 med');
  for (const peer of scripted) t.notOk(peer.closed);
});
