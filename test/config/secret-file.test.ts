/** Secrets in files of their own: what is read, what is refused, and that nothing of them is ever in a message. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { diffSettings, untilRestart } from '../../src/config/diff.js';
import { loadConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';
import type { Settings } from '../../src/config/settings.js';
import { temporaryDirectory } from '../control/fake-queries.js';

const SECRET = 's3cr3t-pass phrase';

interface Files {
  write(name: string, content: string | Uint8Array): string;
  load(config: object): Promise<Settings>;
  problems(config: object): Promise<string>;
}

function files(t: { teardown(run: () => void): void }): Files {
  const directory = temporaryDirectory();
  t.teardown(directory.remove);
  const write = (name: string, content: string | Uint8Array): string => {
    const path = join(directory.path, name);
    writeFileSync(path, content);
    return path;
  };
  const load = (config: object): Promise<Settings> =>
    loadConfig(write('tortie.json', JSON.stringify({ asn: 64512, ...config })));
  return {
    write,
    load,
    async problems(config) {
      try {
        await load(config);
        return '';
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return error.message;
      }
    },
  };
}

const peer = (more: object): object => ({ peers: [{ address: '192.0.2.1', asn: 1, ...more }] });

t.test('passwordFile', async (t) => {
  const { write, load } = files(t);
  const absolute = write('key', `${SECRET}\n`);
  for (const name of [absolute, 'key', './key']) {
    const settings = await load(peer({ passwordFile: name }));
    t.equal(settings.peers[0]!.password, SECRET, `${name === absolute ? 'absolute' : name}: without its newline`);
    t.notMatch(Object.keys(settings.peers[0]!), ['passwordFile']);
  }
  write('key', `${SECRET}-2\r\n`);
  const before = await load(peer({ password: SECRET }));
  const after = await load(peer({ passwordFile: 'key' }));
  t.equal(after.peers[0]!.password, `${SECRET}-2`);
  t.match(diffSettings(before, after).peers.changed, [{ keys: ['password'], effect: 'session' }]);
  t.notMatch(JSON.stringify(diffSettings(before, after).peers.changed[0]!.keys), /s3cr3t/);
  write('key', SECRET);
  t.ok(diffSettings(before, await load(peer({ passwordFile: 'key' }))).isEmpty, 'the same password, another way');
});

t.test('of groups and ranges; the own one replaces that of the group, in whichever form', async (t) => {
  const { write, load } = files(t);
  write('group-key', 'of-the-group');
  write('own-key', 'its-own');
  const settings = await load({
    groups: { a: { asn: 1, passwordFile: 'group-key' }, b: { asn: 1, password: 'of-b' } },
    peers: [
      { address: '192.0.2.1', group: 'a' },
      { address: '192.0.2.2', group: 'a', password: 'inline' },
      { address: '192.0.2.3', group: 'b', passwordFile: 'own-key' },
    ],
    listenRanges: [
      { prefix: '198.51.100.0/24', group: 'a' },
      { prefix: '2001:db8::/64', asn: 1, passwordFile: 'own-key' },
    ],
  });
  t.same(
    [...settings.peers, ...settings.listenRanges.map((range) => range.peer)].map(({ password }) => password),
    ['of-the-group', 'inline', 'its-own', 'of-the-group', 'its-own'],
  );
});

t.test('what is wrong with a file is said at the key, and nothing of what stands in it', async (t) => {
  const { write, problems } = files(t);
  const wrong = async (name: string, message: RegExp, key: 'password' | 'token' = 'password'): Promise<void> => {
    const config =
      key === 'password' ? peer({ passwordFile: name }) : { control: { http: '127.0.0.1:7179', tokenFile: name } };
    const text = await problems(config);
    t.match(text, message);
    t.match(text, key === 'password' ? /peers\[0\]\.passwordFile: the file / : /control\.tokenFile: the file /);
    t.notMatch(text, /s3cr3t|�/);
  };
  await wrong('missing', /"missing" does not exist/);
  mkdirSync(write('x', '').replace(/x$/, 'directory'));
  await wrong('directory', /is not a plain file/);
  write('empty', '\n');
  await wrong('empty', /is empty/);
  write('two', 's3cr3t\ns3cr3t-2\n');
  await wrong('two', /a second line/);
  write('nul', 's3cr3t\0');
  await wrong('nul', /control characters/);
  write('long', `s3cr3t${'x'.repeat(80)}`);
  await wrong('long', /more than 80 octets/);
  write('umlauts', 'ä'.repeat(41));
  await wrong('umlauts', /more than 80 octets/);
  write('latin1', Uint8Array.of(0x73, 0xe4, 0x73));
  await wrong('latin1', /is not text/);
  write('short', 's3cr3t-1234');
  await wrong('short', /less than 16 characters/, 'token');
  write('spaces', `${SECRET} and more of it`);
  await wrong('spaces', /spaces, other than ASCII/, 'token');
  execFileSync('mkfifo', [write('y', '').replace(/y$/, 'pipe')]);
  await wrong('pipe', /is not a plain file/);
  if (process.getuid!() !== 0) {
    chmodSync(write('closed', SECRET), 0);
    await wrong('closed', /may not be read by this user/);
  }

  t.match(
    await problems(peer({ password: SECRET, passwordFile: 'two' })),
    /passwordFile: cannot be used with password/,
  );
  t.match(await problems({ groups: { g: { passwordFile: 'missing' } } }), /groups\.g\.passwordFile: .*does not exist/);
  t.match(await problems(peer({ password: 'ä'.repeat(41) })), /password: must be at most 80 octets long/);
  t.match(
    await problems(peer({ tcpAo: { key: SECRET } })),
    /tcpAo: is not possible: TCP-AO \(RFC 5925\) needs Linux 6\.7/,
  );
  t.notMatch(await problems(peer({ tcpAo: { key: SECRET } })), /s3cr3t/);
  t.match(await problems({ groups: { g: { tcpAo: true } } }), /groups\.g\.tcpAo: is not possible/);
  t.match(await problems({ control: { tokenFile: 'two' } }), /control\.tokenFile: needs control\.http/);
});

t.test('the control token is taken live; where it listens and who may use the socket wait', async (t) => {
  const { write, load } = files(t);
  write('token', 's3cr3t-token-number-1\n');
  const control = (more: object): object => ({ control: { http: '127.0.0.1:7179', tokenFile: 'token', ...more } });
  const before = await load(control({}));
  t.equal(before.control.token, 's3cr3t-token-number-1');
  t.equal((await load(control({ mode: '0600' }))).control.mode, 0o600);
  write('token', 's3cr3t-token-number-2\n');
  const after = await load(control({ group: 'tortie' }));
  t.same(diffSettings(before, after).global, [
    { key: 'control.group', effect: 'restart' },
    { key: 'control.tokenFile', effect: 'live' },
  ]);
  const kept = untilRestart(before, after).control;
  t.match(kept, { token: 's3cr3t-token-number-2', group: undefined });
  const { tokenFile: _, ...without } = (control({}) as { control: Record<string, unknown> }).control;
  t.equal(untilRestart(after, await load({ control: without })).control.token, undefined, 'taken away, it is void');
});
