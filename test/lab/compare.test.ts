/** `bgpctl lab compare` measures every set-up, whatever the figures, and leaves nothing behind. */
import t from 'tap';
import { spawnSync } from 'node:child_process';
import { parseLabArguments } from '../../src/lab/options.js';
import { BGPCTL, cannotRunLab } from './lab-fixture.js';

t.test('its arguments', async (t) => {
  t.same(parseLabArguments(['compare']), { kind: 'compare', seconds: 2, keep: false });
  t.same(parseLabArguments(['compare', '0.5', '--keep']), { kind: 'compare', seconds: 0.5, keep: true });
  t.throws(() => parseLabArguments(['compare', 'long']), /not 'long'/);
  t.throws(() => parseLabArguments(['compare', '2', 'gateway']), /nothing but SECONDS/);
  t.throws(() => parseLabArguments(['compare', '--ipv6']), /nothing but SECONDS/);
});

t.test('three set-ups, in two ways', { skip: cannotRunLab() }, async (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BGPCTL, 'lab', 'compare', '0.1'], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  t.equal(status, 0, stdout + stderr);
  for (const name of ['plain routing', 'VXLAN', 'bridged segment']) {
    t.match(stdout, new RegExp(`^${name} +[\\d.]+ Gbit/s, \\d+ % +[\\d.]+ Gbit/s, \\d+ %$`, 'm'));
  }
});
