/** `bgpctl policy test`: each step in words and as JSON, routes of the running daemon, exit codes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { PolicyTestDto } from '../../src/cli/commands/policy.js';
import { temporaryDirectory } from '../control/fake-queries.js';
import { startHarness } from '../control/harness.js';
import { cli } from './run-cli.js';

const FILE = `
asn: 64512
networks: [{ prefix: 10.9.0.0/24 }]
groups: { upstreams: { asn: 64500 } }
peers: [{ address: 192.0.2.1, group: upstreams, import: in }]
policies:
  in:
    default: accept
    statements:
      - { name: bogons, match: { prefix: 10.0.0.0/8 le 32 }, then: reject }
      - match: { group: upstreams, asPath: '^64500' }
        set: { localPref: += 50, prepend: { as: last }, community: { add: '64512:9' } }
  out:
    statements:
      - { match: { type: local }, call: tag, then: accept }
  tag:
    statements: [{ set: { med: 5, nextHop: self } }]
`;

t.test('policy test', async (t) => {
  const directory = temporaryDirectory();
  t.teardown(() => directory.remove());
  const file = join(directory.path, 'tortie.yaml');
  writeFileSync(file, FILE);
  const test = (...args: string[]): ReturnType<typeof cli> => cli('policy', 'test', file, ...args);

  t.test('each step, in words', async (t) => {
    const accepted = await test(
      '--policy',
      'in',
      '--peer',
      '192.0.2.1',
      '--route',
      '192.0.2.0/24 asPath=64500,64501 communities=64512:1',
    );
    t.same(accepted, {
      code: 0,
      err: '',
      out: [
        '192.0.2.0/24: accepted by policy in default',
        '  policy in statement 1 (bogons): does not match: prefix 10.0.0.0/8 le 32',
        '  policy in statement 2: set localPref += 50, prepend the last AS once, add community 64512:9; next',
        '  policy in default: accept',
        '  asPath: 64500 64501 -> 64500 64500 64501',
        '  localPref: none -> 150',
        '  communities: 64512:1 -> 64512:1 64512:9',
        '',
      ].join('\n'),
    });
    const other = await test('--policy', 'in', '--route', '192.0.2.0/24 asPath=64500');
    t.match(other.out, 'statement 2: does not match: group upstreams', 'the group comes from the peer');
    const exported = await test('--policy', 'out', '--export', '--peer', '192.0.2.1', '--route', '10.9.0.0/24');
    t.match(
      exported.out,
      /statement 1: call tag; next\n.*policy tag statement 1: set med 5, nextHop self; next\n.*policy out statement 1: accept/,
    );
    t.match(exported.out, /med: none -> 5\n/);
  });

  t.test('JSON, and what is expected', async (t) => {
    const route = JSON.stringify({ prefix: '10.1.0.0/16', asPath: [64500, [1, 2]], peer: '192.0.2.1' });
    const rejected = await cli(
      '--json',
      'policy',
      'test',
      file,
      '--policy',
      'in',
      '--route',
      route,
      '--expect',
      'reject',
    );
    t.equal(rejected.code, 0, rejected.err);
    const [result] = JSON.parse(rejected.out) as PolicyTestDto[];
    t.match(result, {
      prefix: '10.1.0.0/16',
      accepted: false,
      reason: 'rejected by policy in statement 1 (bogons)',
      steps: [{ policy: 'in', statement: 1, name: 'bogons', matched: true, then: 'reject' }],
      changes: {},
    });
    t.equal((await test('--policy', 'in', '--route', route, '--expect', 'accept')).code, 1);
  });

  t.test('routes that the daemon has received', async (t) => {
    const harness = await startHarness();
    t.teardown(() => harness.close());
    const at = ['--socket', harness.socket, '--json', 'policy', 'test', file, '--policy', 'in', '--from-peer'];
    const outcome = await cli(...at, '192.168.245.172');
    t.equal(outcome.code, 0, outcome.err);
    const results = JSON.parse(outcome.out) as PolicyTestDto[];
    t.ok(results.length > 0);
    t.same(harness.queries.filters.at(-1)?.peer, { address: '192.168.245.172', direction: 'received' });
    for (const result of results) t.ok(result.steps.length > 0, result.reason);
  });

  t.test('everything that show routes prints', async (t) => {
    const route = {
      prefix: '10.2.0.0/16',
      asPath: [{ confedSequence: [65001] }, 64500, [1, 2]],
      med: null,
      peer: null,
    };
    const { code, err } = await test('--policy', 'out', '--export', '--route', JSON.stringify(route));
    t.equal(code, 0, err);
  });

  t.test('what cannot be', async (t) => {
    for (const [args, message] of [
      [['--policy', 'none', '--route', '10.0.0.0/8'], /no policy "none"/],
      [['--policy', 'in'], /one of --route ROUTE and --from-peer/],
      [['--policy', 'in', '--route', '10.0.0.1/8'], /not a prefix/],
      [['--policy', 'in', '--route', '{'], /not JSON/],
      [['--policy', 'in', '--route', '10.0.0.0/8 colour=red'], /unknown key "colour"/],
      [['--policy', 'in', '--route', '10.0.0.0/8 communities=red'], /not a community/],
      [['--policy', 'in', '--route', '10.0.0.0/8 asPath=1,x'], /asPath must be a number, not "x"/],
      [['--policy', 'in', '--route', '10.0.0.0/8 origin=bgp'], /origin "bgp" must be igp, egp/],
      [['--policy', 'in', '--route', '10.0.0.0/8 nextHop=here'], /nextHop "here" is not an address/],
      [['--policy', 'in', '--route', '{}'], /nothing is not a prefix/],
      [['--policy', 'in', '--route', '{"prefix":"10.0.0.0/8","communities":5}'], /communities 5 must be a list/],
      [
        ['--policy', 'in', '--route', `{"prefix":"10.0.0.0/8","asPath":[${'1,'.repeat(17_000)}1]}`],
        /longer than an attr/,
      ],
    ] as const) {
      const { code, err } = await test(...args);
      t.equal(code, 2, err);
      t.match(err, message);
    }
    writeFileSync(`${file}.bad`, 'asn: 0\n');
    const bad = await cli('policy', 'test', `${file}.bad`, '--policy', 'in', '--route', '10.0.0.0/8');
    t.equal(bad.code, 1);
    t.match(bad.err, /asn: must be/);
  });
});
