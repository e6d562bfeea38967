/**
 * Secrets of a configuration are nowhere but in the kernel's keys: not in errors of damaged files, not in the log of a
 * speaker at any level, not in what it shows, not in the report of a reload.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc, { runs } from '../fixtures/properties.js';
import t from 'tap';
import { diffSettings } from '../../src/config/diff.js';
import { loadConfig, parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';
import { Speaker, systemClock } from '../../src/index.js';
import type { Log } from '../../src/index.js';
import { temporaryDirectory } from '../control/fake-queries.js';

/** All begin with this, so that a part of one is found, too. */
const MARK = 'Zq9x';

const TEXT = `asn: 64512
groups:
  rack: { asn: 64513, password: ${MARK}-group-1 }
peers:
  - address: 192.0.2.1
    group: rack
  - address: 192.0.2.2
    asn: 64513
    password: "${MARK}-peer-2"
    description: second
listenRanges:
  - prefix: 198.51.100.0/24
    asn: internal
    password: '${MARK}-range 3'
control:
  http: 127.0.0.1:7179
`;

t.test('damaged files: no error shows a part of a secret', async (t) => {
  const secrets = [...TEXT.matchAll(new RegExp(`${MARK}[-\\w ]*`, 'g'))].map(({ index, 0: text }) => [
    index,
    index + text.length,
  ]);
  const outside = (at: number): boolean => secrets.every(([from, to]) => at < from! || at >= to!);
  const places = Array.from(TEXT, (_, at) => at).filter(outside);
  const damage = fc.record({
    at: fc.constantFrom(...places),
    how: fc.constantFrom('delete', 'insert', 'replace', 'cut'),
    what: fc.constantFrom(
      ' ',
      '\n',
      ':',
      '-',
      '"',
      "'",
      '{',
      '}',
      '[',
      ']',
      '#',
      '&',
      '*',
      '!',
      '|',
      '\t',
      'x',
      '1',
      ',',
    ),
  });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (damages) => {
      let text = TEXT;
      for (const { at, how, what } of damages) {
        if (how === 'cut') text = text.slice(0, at) + text.slice(at + 1 + (what.charCodeAt(0) % 3));
        else text = text.slice(0, at) + (how === 'delete' ? '' : what) + text.slice(how === 'insert' ? at : at + 1);
      }
      try {
        await parseConfig(text, 'tortie.yaml');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        refused++;
        // A secret that the damage has made a key is named as one: the path is not judged.
        const said = error.problems.map(({ message }) => message).join('\n');
        if (said.includes(MARK)) throw new Error(`shown in: ${said}`, { cause: error });
      }
    }),
    { numRuns: runs(4000) },
  );
  t.ok(refused > 1000, `${refused} damaged files were refused`);
});

t.test('a speaker says and shows none', async (t) => {
  const directory = temporaryDirectory();
  const lines: string[] = [];
  const keep = (fields: object, message: string): void =>
    void lines.push(`${message} ${inspect(fields, { depth: 10, showHidden: true })}`);
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep };
  const file = join(directory.path, 'tortie.json');
  writeFileSync(join(directory.path, 'key'), `${MARK}-from-file\n`);
  writeFileSync(join(directory.path, 'token'), `${MARK}-token-of-the-api\n`);
  // No two runs of this test share addresses.
  const net = `127.${128 + (process.pid & 63)}.${(process.pid >> 6) & 255}`;
  const config = (suffix: string): object => ({
    asn: 64512,
    routerId: '10.0.0.1',
    listen: [`${net}.1`],
    port: 20_000 + (process.pid % 10_000),
    fib: { enabled: false },
    peers: [
      { address: `${net}.2`, asn: 64513, password: `${MARK}-inline${suffix}` },
      { address: `${net}.3`, asn: 64512, passwordFile: 'key' },
      // Refused by the kernel: its error must not show it either.
      { address: `${net}.4`, asn: 64513, interface: 'no-such-if0', password: `${MARK}-bad${suffix}` },
    ],
    listenRanges: [{ prefix: '198.51.100.0/24', asn: 64513, password: `${MARK}-range${suffix}` }],
    control: { http: '127.0.0.1:7179', tokenFile: 'token' },
  });
  const settings = async (suffix: string) => {
    writeFileSync(file, JSON.stringify(config(suffix)));
    return loadConfig(file);
  };
  const before = await settings('');
  t.match(before.control.token, MARK, 'the test would find them');
  const speaker = new Speaker(before, { clock: systemClock, log });
  t.teardown(async () => {
    await speaker.stop();
    directory.remove();
  });
  await speaker.start();
  const after = await settings('-2');
  const report = await speaker.apply(after);
  t.match(report.join('\n'), /changed password/, 'a changed password is told');
  const difference = diffSettings(before, after);
  const told = [
    report,
    difference.global,
    difference.peers.changed.map(({ keys, effect }) => ({ keys, effect })),
    speaker.summary(),
    [...speaker.peers()],
    [`${net}.2`, `${net}.3`, `${net}.4`].map((address) => speaker.peer(address)),
  ];
  t.notMatch(JSON.stringify(told), MARK);
  t.notMatch(inspect(told, { depth: 20, showHidden: true }), MARK);
  t.ok(lines.length > 0, 'something is in the log');
  t.notMatch(lines.join('\n'), MARK);
});
