/**
 * What stands before a session on the socket, against the real kernel: GTSM (RFC 5082) and TCP MD5 keys (RFC 2385), of
 * peers and of listen ranges, in both families. What comes before the guards are set must not slip through.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { execPath } from 'node:process';
import t from 'tap';
import { keepaliveMessage, parseAddress } from 'bgp-parse';
import { clearTcpMd5, closeSocket, setTcpMd5 } from 'netlink';
import { prepareListener } from '../../src/session/sockopt.js';
import { rawOpen } from '../fixtures/raw-peer.js';
import { openHost, until } from '../fixtures/session-rig.js';
import type { Host, SessionOptions } from '../fixtures/session-rig.js';

const root = process.getuid?.() === 0;
const skip = root || process.env['TORTIE_NO_SKIP'] === '1' ? false : 'not root';

const FAMILIES = [
  { family: 4, here: '127.0.74.41', there: '127.0.74.42' },
  { family: 6, here: '::1', there: '::1' },
] as const;

/** Opens a connection with the system's TTL, and has said OPEN and KEEPALIVE before anybody has looked at it. */
function sayAtOnce(host: Host, from: string): void {
  const words = Buffer.concat([rawOpen(), keepaliveMessage]).toString('hex');
  const script = `
    const socket = require('node:net').connect({ host: '${host.address}', port: ${host.port}, localAddress: '${from}' });
    socket.on('connect', () => socket.end(Buffer.from('${words}', 'hex'), () => process.exit(0)));
    socket.on('error', () => process.exit(1));`;
  // This process sees nothing of it until it is over.
  const { status } = spawnSync(execPath, ['-e', script], { env: {}, timeout: 30_000 });
  if (status !== 0) throw new Error('the connection could not be opened');
}

/** A passive session, configured or of a listen range. */
async function guarded(here: string, there: string, options: SessionOptions, dynamic: boolean) {
  const made: ReturnType<Host['session']>[] = [];
  const host: Host = await openHost(here, {
    onUnknown: () => {
      if (!dynamic) return undefined;
      const one = host.session(there, {
        ...options,
        passive: true,
        dynamic,
        ended: () => void ended.push(one.session.key),
      });
      made.push(one);
      return one.session;
    },
  });
  const ended: string[] = [];
  if (dynamic && options.ttlSecurityHops !== undefined) host.server.raiseRangeTtl(parseAddress(there)!);
  if (!dynamic) {
    made.push(host.session(there, { ...options, passive: true }));
    made[0]!.session.start();
  }
  return { host, made, ended };
}

for (const { family, here, there } of FAMILIES) {
  for (const dynamic of [false, true]) {
    const whose = `IPv${family}, ${dynamic ? 'listen range' : 'peer'}`;

    t.test(`GTSM, ${whose}: words that came before the least TTL was set are not heard`, { skip }, async (t) => {
      const { host, made, ended } = await guarded(here, there, { ttlSecurityHops: 1 }, dynamic);
      t.teardown(() => host.close());
      sayAtOnce(host, there);
      await until(() => host.server.refused.guard === 1, 'refused');
      t.same(made[0]!.listener.events, [], 'never Established');
      t.match(made[0]!.session.lastError, /^connection refused: ttlSecurity: it came with TTL 64, the least is 255$/);
      t.equal(made[0]!.session.counters.messagesIn, 0, 'nothing was heard');
      t.equal(made[0]!.session.counters.messagesOut, 0, 'and nothing said');
      if (!dynamic) return;
      t.same(ended, [made[0]!.session.key], 'the session that was made for it has gone');
      t.equal(host.server.session(made[0]!.session.key), undefined);
    });

    t.test(`GTSM, ${whose}: with TTL 255 there is a session`, { skip }, async (t) => {
      const { host, made } = await guarded(here, there, { ttlSecurityHops: 1 }, dynamic);
      const other = await openHost(there, { listen: false });
      t.teardown(() => Promise.all([host.close(), other.close()]));
      const dialler = other.session(here, { ttlSecurityHops: 1, port: host.port, routerId: 2 });
      dialler.session.start();
      await until(() => made[0]?.session.established === true && dialler.session.established, 'Established');
      t.equal(host.server.refused.guard, 0);
    });

    t.test(`GTSM, ${whose}: without it, any TTL`, async (t) => {
      const { host, made } = await guarded(here, there, {}, dynamic);
      t.teardown(() => host.close());
      sayAtOnce(host, there);
      await until(() => made[0]?.listener.events.includes('established') === true, 'Established');
    });
  }

  t.test(`IPv${family}: a listener that is bound takes keys, and nobody gets in yet`, { skip }, (t) => {
    const fd = prepareListener(parseAddress(here)!, 0, undefined);
    const target = { address: parseAddress(there)! };
    setTcpMd5(fd, family, target, 'before it listens');
    clearTcpMd5(fd, family, target);
    closeSocket(fd);
    t.end();
  });

  t.test(`IPv${family}: the keys are there when the listener opens`, { skip }, async (t) => {
    const host = await openHost(here, { listen: false });
    t.teardown(() => host.close());
    host.session(there, { password: 'miaow', passive: true }).session.start();
    await host.server.relisten([here], 0);
    const { port } = host.server.listening[0]!;
    t.notOk(await answered(here, port, there), 'unsigned: no answer');
  });
}

/** Whether the kernel answers an unsigned SYN. */
async function answered(host: string, port: number, localAddress: string): Promise<boolean> {
  const socket = connect({ host, port, localAddress });
  socket.on('error', () => undefined);
  // A SYN that is dropped leaves no trace: only time tells.
  const answer = await Promise.race([
    new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true))),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300)),
  ]);
  socket.destroy();
  return answer;
}

t.test('dynamic peers are signed with the key of their range, and need none of their own', { skip }, async (t) => {
  const password = 'of-the-range';
  const range = parseAddress('127.0.77.0')!;
  const ended: string[] = [];
  const host: Host = await openHost('127.0.74.44', {
    onUnknown: (address) =>
      host.session(address.join('.'), {
        password,
        dynamic: true,
        passive: true,
        ended: (one) => void ended.push(one.key),
      }).session,
  });
  t.teardown(() => host.close());
  host.server.setRangePassword(range, 24, password);
  const other = await openHost('127.0.77.1', { listen: false });
  t.teardown(() => other.close());
  const signed = other.session(host.address, { password, port: host.port, routerId: 2 });
  signed.session.start();
  await until(() => signed.session.established, 'Established');
  t.notOk(await answered(host.address, host.port, '127.0.77.2'), 'another address of the range, unsigned');

  // The key of the peer would outlive it at the listener, and say the old password after a change.
  await signed.session.dispose();
  await until(() => ended.length === 1, 'gone');
  host.server.setRangePassword(range, 24, 'another');
  const again = other.session(host.address, {
    password: 'another',
    port: host.port,
    routerId: 2,
    localAddress: '127.0.77.1',
  });
  again.session.start();
  const reached = (): boolean => host.sessions.length === 2;
  await until(reached, 'with the new password its connection comes through');
});

t.test('one link-local address on two links: the key goes with the last of the peers', { skip }, async (t) => {
  const host = await openHost('::1');
  t.teardown(() => host.close());
  const keys = (): string =>
    execFileSync('ss', ['-tlnoieH', 'sport', `= :${host.port}`], { encoding: 'utf8' }).replace(
      /^[^]*md5keys:/,
      'md5keys:',
    );
  const [one, two] = ['link-a', 'link-b'].map((name) =>
    host.session('fe80::7', { interface: name, password: 'miaow', passive: true }),
  ) as [ReturnType<Host['session']>, ReturnType<Host['session']>];
  one.session.start();
  two.session.start();
  t.match(keys(), /^md5keys:fe80::7/);
  await one.session.dispose();
  t.match(keys(), /^md5keys:fe80::7/, 'the other is still guarded');
  await two.session.dispose();
  t.notMatch(keys(), 'md5keys');
});

t.test('a connection that was opened before its peer had a password is not taken', { skip }, async (t) => {
  const host = await openHost('127.0.74.46');
  t.teardown(() => host.close());
  const there = '127.0.74.47';
  const { session, listener } = host.session(there, { password: 'miaow', passive: true });
  const words = Buffer.concat([rawOpen(), keepaliveMessage]).toString('hex');
  const script = `
    const socket = require('node:net').connect({ host: '${host.address}', port: ${host.port}, localAddress: '${there}' });
    let heard = '';
    socket.on('data', (data) => { if (heard === '') socket.write(Buffer.from('${words}', 'hex')); heard += data[18]; });
    socket.on('error', () => undefined);
    setTimeout(() => { console.log(heard); process.exit(); }, 800);`;
  const stranger = spawn(execPath, ['-e', script], { env: {}, stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => void stranger.kill());
  let said = '';
  stranger.stdout.on('data', (data) => (said += String(data)));
  // This process does not look while the kernel accepts.
  const sockets = (): string =>
    execFileSync('ss', ['-tnH', 'state', 'established', 'src', there], { encoding: 'utf8' });
  for (let tries = 0; tries < 200 && sockets() === ''; tries++);
  session.start();
  await new Promise((resolve) => stranger.once('exit', resolve));
  t.equal(said.trim(), '', 'it hears nothing, for what we say is signed');
  t.same(listener.events, []);
});

const other = networkInterfaceBesidesLo();
for (const { family, here, there } of FAMILIES) {
  const reason = other === undefined ? 'no interface beside lo' : skip;
  t.test(
    `interface, IPv${family}: a connection that comes in by another one is not taken`,
    { skip: reason },
    async (t) => {
      const wrong = await guarded(here, there, { interface: other! }, false);
      t.teardown(() => wrong.host.close());
      sayAtOnce(wrong.host, there);
      await until(() => wrong.host.server.refused.guard === 1, 'refused');
      t.same(wrong.made[0]!.listener.events, [], 'never Established');
      t.match(wrong.made[0]!.session.lastError, new RegExp(`interface: it did not come in by ${other}`));

      const right = await guarded(here, there, { interface: 'lo' }, false);
      t.teardown(() => right.host.close());
      sayAtOnce(right.host, there);
      await until(() => right.made[0]!.listener.events.length === 2, 'Established, and over');
      t.same(right.made[0]!.listener.events, ['established', 'down']);
    },
  );
}

function networkInterfaceBesidesLo(): string | undefined {
  return readdirSync('/sys/class/net').find((name) => name !== 'lo' && existsSync(`/sys/class/net/${name}/ifindex`));
}
