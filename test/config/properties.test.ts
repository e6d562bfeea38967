/** Whatever stands in the file: settings or problems with places inside the text, never a crash, never a secret. */
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';
import { PEER_KEYS, ROOT_KEYS } from '../../src/config/schema.js';
import type { Settings } from '../../src/config/settings.js';

/** Settings, or problems whose places were checked; anything else is thrown on. */
async function judge(text: string): Promise<Settings | ConfigError> {
  try {
    return await parseConfig(text, 'x.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = text.replace(/^\ufeff/, '').split('\n');
    if (error.problems.length === 0) throw new Error('refused without a reason', { cause: error });
    for (const { line, column, message } of error.problems) {
      const inside = line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1;
      if (!inside || message === '')
        throw new Error(`place ${line}:${column} of ${lines.length} lines: ${message}`, { cause: error });
    }
    return error;
  }
}

const scalar = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom('accept', 'internal', '10.0.0.1', '10.0.0.0/8', 'fd00::1', 'best', 64512, 90, 179),
);
const key = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Object.keys(ROOT_KEYS), ...Object.keys(PEER_KEYS)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty') },
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('tree')), { maxLength: 6 }).map((pairs) => Object.fromEntries(pairs) as unknown),
  ),
}));

t.test('any text', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 200, unit: 'binary' }), async (text) => void (await judge(text))),
    { numRuns: runs(1500) },
  );
  const fragments = fc.constantFrom(
    'asn: 1',
    'peers:',
    '  - ',
    ' ',
    '\n',
    '\t',
    ': ',
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    "'",
    '&a ',
    '*a',
    '!x ',
    '|',
    '>',
    '#',
    '---',
    '...',
    '%YAML 1.2',
    '? ',
    '<<: ',
    '1',
    'a',
    '\\',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fragments, { maxLength: 40 }), async (parts) => void (await judge(parts.join('')))),
    { numRuns: runs(1500) },
  );
  t.pass('settings or places');
});

t.test('any values under the known keys', async (t) => {
  await fc.assert(
    fc.asyncProperty(tree, async (value) => {
      // As a program would write it, and broken over lines.
      await judge(JSON.stringify(value));
      await judge(JSON.stringify(value, null, 2));
    }),
    { numRuns: runs(1500) },
  );
  t.pass('settings or places');
});

const address = fc.integer({ min: 1, max: 250 }).map((last) => `10.0.0.${last}`);
const goodPeer = fc.record(
  {
    address,
    asn: fc.constantFrom<unknown>(64512, 65001, 'internal', 'external'),
    holdTime: fc.constantFrom(0, 3, 90, 65535),
    passive: fc.boolean(),
    port: fc.integer({ min: 1, max: 65535 }),
    families: fc.constantFrom(['ipv4-unicast'], ['ipv6-unicast', 'ipv4-unicast']),
    gracefulRestart: fc.oneof(fc.boolean(), fc.record({ restartTime: fc.integer({ min: 1, max: 4095 }) })),
    import: fc.constantFrom('accept', 'reject'),
    description: fc.stringMatching(/^[ -~]{1,20}$/),
  },
  { requiredKeys: ['address', 'asn'] },
);

t.test('what is good is taken, from JSON as from YAML', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(goodPeer, { selector: (peer) => peer.address, maxLength: 5 }), async (peers) => {
      const text = JSON.stringify({ asn: 64512, peers });
      const quick = await judge(text);
      // A comment keeps the quick JSON reader out.
      const thorough = await judge(`${text} # as YAML`);
      if (quick instanceof ConfigError) throw quick;
      t.same(quick, thorough);
      t.same(
        quick.peers.map((peer) => peer.address),
        peers.map((peer) => peer.address),
      );
    }),
    { numRuns: runs(200) },
  );
});

t.test('a bad value is reported at its own place', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(goodPeer, { minLength: 1, maxLength: 5 }), fc.nat(), async (peers, seed) => {
      const index = seed % peers.length;
      const lines = ['asn: 64512', 'peers:'];
      for (const [at, peer] of peers.entries())
        lines.push(`  - ${JSON.stringify({ ...peer, address: `10.0.1.${at}` })}`);
      lines[2 + index] = lines[2 + index]!.replace('"asn":', '"passive":7,"asn":').replace(
        /,"passive":(true|false)/,
        '',
      );
      const result = await judge(lines.join('\n'));
      if (!(result instanceof ConfigError)) throw new Error('was taken');
      const problem = result.problems.find(({ path }) => path === `peers[${index}].passive`);
      t.equal(problem?.line, 3 + index);
      t.equal(lines[2 + index]!.slice(problem!.column - 1)[0], '7');
    }),
    { numRuns: runs(200) },
  );
});

t.test('repeated keys of JSON are not overlooked', async (t) => {
  const result = await judge('{"asn": 1, "port": 179,\n "asn": 2}');
  t.match(result, { problems: [{ line: 2, column: 2, message: /twice/ }] });
  t.match(
    await judge(
      '{"asn": 64512, "log": {"level": "info"}, "peers": [{"address": "10.0.0.1", "asn": 1, "description": "a: \\"b\\": c"}]}',
    ),
    { asn: 64512 },
  );
});

t.test('no way to a secret', async (t) => {
  // Long enough not to stand in a message by chance.
  const secret = fc.stringMatching(/^[!-~]{8,20}$/);
  const around = fc.constantFrom(
    (value: string) => `password: ${value}`,
    (value: string) => `password: "${value}"`,
    (value: string) => `password: "${value}" ${value}`,
    (value: string) => `password: [${value}]`,
    (value: string) => `password: *${value}`,
    (value: string) => `password: !${value} x`,
    (value: string) => `password: |\n  ${value}`,
    (value: string) => `password: ${value}${value}${value}${value}${value}${value}${value}${value}${value}${value}`,
    (value: string) => `password: {a: ${value}}`,
  );
  await fc.assert(
    fc.asyncProperty(secret, around, async (value, wrap) => {
      // Keys are shown, they are not secrets; what makes one out of the value is left out.
      fc.pre(!/[:{},?&[\]]/.test(value));
      const result = await judge(`asn: 64512\npeers:\n- address: 10.0.0.1\n  ${wrap(value)}\n`);
      if (result instanceof ConfigError && result.message.includes(value)) throw new Error(`shown: ${result.message}`);
    }),
    { numRuns: runs(2000) },
  );
  t.pass('never shown');
});
