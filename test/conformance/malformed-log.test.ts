/** What the log says of malformed UPDATE messages: RFC 7606 §6, RFC 6793 §6. */
import t from 'tap';
import { silentLog } from '../../src/index.js';
import { attribute, message, nlri, update } from '../malformed/fixtures/compose.js';
import { Rig, baseAttributes } from '../malformed/fixtures/rig.js';

const INTERNAL = { external: false, fourOctetAs: true };

interface Line {
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

async function listening(kind = INTERNAL): Promise<{ rig: Rig; lines: Line[] }> {
  const lines: Line[] = [];
  const log = {
    ...silentLog,
    warn: (fields: object, text: string): void => void lines.push({ fields: { ...fields }, text }),
  };
  const rig = await Rig.open(kind, {}, { log });
  lines.length = 0;
  return { rig, lines };
}

t.test('a malformed UPDATE is in the log, with its prefixes and all its octets (RFC 7606 §6)', async (t) => {
  const { rig, lines } = await listening();
  const bytes = update(
    [...baseAttributes(INTERNAL), attribute(0x80, 4, [1])],
    nlri('203.0.113.0/24'),
    nlri('198.51.100.0/24'),
  );
  rig.end.send(bytes);
  rig.settle();
  t.equal(lines.length, 1);
  t.match(lines[0], {
    text: /192\.0\.2\.1: malformed UPDATE: malformed MULTI_EXIT_DISC/,
    fields: {
      peer: '192.0.2.1',
      prefixes: ['203.0.113.0/24'],
      withdrawn: ['198.51.100.0/24'],
      update: Buffer.from(bytes.subarray(19)).toString('hex'),
    },
  });
  rig.end.send(message(2, [0, 0, 0, 9]));
  rig.settle();
  t.match(
    lines.map(({ text }) => text),
    [/MULTI_EXIT_DISC/, /too large; the session ends/],
  );
  await rig.close();
});

t.test('a peer that sends nothing else cannot fill the log', async (t) => {
  const { rig, lines } = await listening();
  const many = Array.from({ length: 200 }, (_, i) => nlri(`203.0.113.${i}/32`)).flat();
  const bytes = update([...baseAttributes(INTERNAL), attribute(0x80, 4, [1])], many);
  for (let i = 0; i < 500; i++) rig.end.send(bytes);
  rig.settle();
  t.equal(lines.length, 10);
  t.equal((lines[0]!.fields.prefixes as string[]).length, 51, 'and the rest as a number');
  t.match((lines[0]!.fields.prefixes as string[]).at(-1), 'and 150 more');
  t.equal(rig.malformed, 500, 'all are counted');
  rig.pass(61);
  rig.end.send(bytes);
  t.match(lines.at(-2), { fields: { unsaid: 490 } });
  await rig.close();
});

t.test('AS4_PATH and AS4_AGGREGATOR that are discarded are in the log (RFC 6793 §6)', async (t) => {
  const path = [2, 1, 0, 1, 0, 0];
  for (const fourOctetAs of [true, false]) {
    const kind = { external: false, fourOctetAs };
    const { rig, lines } = await listening(kind);
    // Between four-octet speakers whatever they hold; from others when they are malformed.
    const bad = fourOctetAs ? [path, [...path, ...path.slice(0, 2)]] : [path.slice(0, 5), [0, 1]];
    for (const [index, code] of [17, 18].entries()) {
      rig.end.send(update([...baseAttributes(kind), attribute(0xc0, code, bad[index]!)], nlri('203.0.113.0/24')));
      rig.settle();
      t.equal(lines.length, index + 1, `attribute ${code}, ${fourOctetAs ? 'four' : 'two'} octets`);
      t.match(lines[index]!.text, /an attribute was discarded/);
      t.ok(rig.listenersHold('203.0.113.0/24'), 'and the route counts');
    }
    await rig.close();
  }
});
