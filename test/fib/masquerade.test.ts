/** Masquerading against the real kernel and with real packets; and who keeps undoing it, against a table of our own. */
import { spawnSync } from 'node:child_process';
import type { NftHeard, NftTable } from 'netlink';
import t, { type Test } from 'tap';
import { Masquerade, type NftPort, masqueradeTable, poolIntervals } from '../../src/fib/masquerade.js';
import { Harness, until } from './fixtures/harness.js';
import { enterOwnNamespace, needsNamespaces } from './fixtures/own-namespace.js';

const options = needsNamespaces();
const nftIsHere = process.env.TORTIE_NO_SKIP === '1' || !spawnSync('nft', ['--version']).error;
const needsNft = options.skip || nftIsHere ? options : { skip: 'needs nft (package nftables)' };
if (!options.skip) enterOwnNamespace();

function nft(...argv: string[]): string {
  const { status, stdout, stderr } = spawnSync('nft', argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`nft ${argv.join(' ')}: ${stderr}`);
  return stdout;
}

const POOLS = ['172.16.0.0/12', 'fd00:17::/32'];

async function started(t: Test, pools: readonly string[], keep = false): Promise<Harness> {
  const harness = new Harness({ duties: { masqueradePools: pools, blackholes: [] } });
  t.teardown(() => harness.fib.stop(keep));
  await harness.fib.start();
  return harness;
}

const rules = () => nft('list', 'table', 'inet', 'tortie');
const isThere = () => nft('list', 'tables').includes('table inet tortie');
const readable = [
  /set pools4 \{\s+type ipv4_addr\s+flags interval\s+elements = \{ 172\.16\.0\.0\/12 \}/,
  /set pools6 \{\s+type ipv6_addr\s+flags interval\s+elements = \{ fd00:17::\/32 \}/,
  /type nat hook postrouting priority srcnat; policy accept;/,
  /ip saddr @pools4 ip daddr != @pools4 counter packets \d+ bytes \d+ masquerade comment "IPv4, from a pool/,
  /ip6 saddr @pools6 ip6 daddr != @pools6 counter packets \d+ bytes \d+ masquerade comment "IPv6, from a pool/,
];

t.test('the rules as nft lists them; gone after the stop; other tables are not touched', needsNft, async (t) => {
  nft('add', 'table', 'ip', 'somebody');
  nft('add', 'chain', 'ip', 'somebody', 'theirs');
  const before = nft('list', 'table', 'ip', 'somebody');
  const h = new Harness({ duties: { masqueradePools: POOLS, blackholes: [] } });
  await h.fib.start();
  await until('the table', isThere);
  const text = rules();
  for (const pattern of readable) t.match(text, pattern);
  t.equal(nft('list', 'table', 'ip', 'somebody'), before);
  await h.fib.stop(false);
  t.notOk(isThere());
  t.equal(nft('list', 'table', 'ip', 'somebody'), before);
  nft('delete', 'table', 'ip', 'somebody');
});

t.test('whatever is done to the table by hand is undone, counted and told once', needsNft, async (t) => {
  const h = await started(t, POOLS);
  await until('the table', isThere);
  const good = rules();
  const harm: [string, string[]][] = [
    ['flush ruleset', ['flush', 'ruleset']],
    ['a rule more', ['insert', 'rule', 'inet', 'tortie', 'postrouting', 'accept']],
    ['a pool less', ['delete', 'element', 'inet', 'tortie', 'pools4', '{ 172.16.0.0/12 }']],
    ['a pool more', ['add', 'element', 'inet', 'tortie', 'pools4', '{ 10.0.0.0/8 }']],
    ['a set more', ['add', 'set', 'inet', 'tortie', 'mine', '{ type ipv4_addr; }']],
    ['rules flushed', ['flush', 'table', 'inet', 'tortie']],
    ['another policy', ['chain', 'inet', 'tortie', 'postrouting', '{ policy drop; }']],
  ];
  for (const [index, [what, argv]] of harm.entries()) {
    nft(...argv);
    const doneMs = performance.now();
    await until(`repaired: ${what}`, () => h.fib.host().masquerade.repaired === index + 1);
    t.comment(`${what}: repaired within ${(performance.now() - doneMs).toFixed(0)} ms`);
    t.equal(rules(), good, what);
  }
  const told = h.logs.filter(({ text }) => text.includes('put the rules back'));
  t.equal(told.length, harm.length);
  t.match(told[0], { level: 'warn', text: 'masquerading: put the rules back that nft had removed' });
  t.match(told[1], { text: 'masquerading: put the rules back that nft had changed' });
  // What is not ours and what changes nothing is no reason to write.
  nft('add', 'table', 'inet', 'other');
  nft('add', 'table', 'inet', 'tortie');
  nft('delete', 'table', 'inet', 'other');
  h.fib.setDuties({ masqueradePools: ['10.0.0.0/8'], blackholes: [] });
  await until('new pools', () => isThere() && rules().includes('10.0.0.0/8') && !rules().includes('pools6'));
  h.fib.setDuties({ masqueradePools: [], blackholes: [] });
  await until('no pools', () => !isThere());
  t.equal(h.fib.host().masquerade.repaired, harm.length, 'our own changes are no repairs');
});

t.test('a restart adopts the rules as they are, counters and all', needsNft, async (t) => {
  const first = new Harness({ duties: { masqueradePools: POOLS, blackholes: [] } });
  await first.fib.start();
  await until('the table', isThere);
  await first.fib.stop(true);
  t.ok(isThere(), 'kept');
  const handle = () => /handle (\d+)/.exec(nft('-a', 'list', 'table', 'inet', 'tortie'))![1];
  const before = handle();
  const second = await started(t, POOLS);
  const adopted = () => second.logs.some(({ text }) => text.includes('adopted the rules'));
  await until('adopted', adopted);
  t.equal(handle(), before, 'the same table');
  await second.fib.stop(true);
  const third = await started(t, []);
  await until('a run without masquerading removes them', () => !isThere());
  await until('told', () => third.logs.some(({ text }) => text.includes('removed the rules of a previous run')));
});

t.test('two owners who disagree do not spin', (t) => {
  const kernel = new FakeTable();
  let nowMs = 1000;
  const logs: string[] = [];
  const ours = new Masquerade(
    () => kernel,
    { log: (_level, _fields, text) => void logs.push(text) },
    () => nowMs,
  );
  ours.setPools(['10.0.0.0/8']);
  ours.step();
  t.equal(kernel.replaced, 1);
  // Another owner answers each of our writes at once, for ten minutes.
  for (; nowMs < 601_000; nowMs += 10) {
    if (kernel.content !== 'theirs') kernel.change('theirs');
    ours.step();
  }
  t.ok(kernel.replaced < 60, `${kernel.replaced} writes in ten minutes`);
  t.equal(ours.repaired, kernel.replaced - 1);
  // It ends; long after that the answer comes at once again.
  nowMs += 3_600_000;
  kernel.change('theirs');
  const before = kernel.replaced;
  ours.step();
  t.equal(kernel.replaced, before + 1);
  kernel.change(undefined);
  nowMs += 3_600_000;
  ours.step();
  kernel.change(undefined);
  nowMs += 60;
  ours.step();
  t.equal(kernel.replaced, before + 3, 'and soon after, too');
  t.end();
});

t.test('a kernel that refuses is told of once and asked again', (t) => {
  const kernel = new FakeTable();
  let nowMs = 0;
  const logs: string[] = [];
  const ours = new Masquerade(
    () => kernel,
    { log: (_level, _fields, text) => void logs.push(text) },
    () => nowMs,
  );
  kernel.refusal = new Error('replacing the nftables table: EPERM');
  ours.setPools(['10.0.0.0/8']);
  for (let i = 0; i < 200; i++, nowMs += 100) ours.step();
  t.match(logs, [/EPERM; masquerading needs CAP_NET_ADMIN/]);
  t.equal(logs.length, 1);
  t.match(ours.error, /EPERM/);
  kernel.refusal = undefined;
  nowMs += 60_000;
  ours.step();
  t.equal(ours.error, undefined);
  t.equal(kernel.replaced, 1);
  t.end();
});

t.test('pools become intervals', (t) => {
  const text = (pools: readonly string[], family: 4 | 6) =>
    poolIntervals(pools, family).map(({ from, end }) => `${String(from)}-${end ? String(end) : ''}`);
  t.same(text(['10.1.0.0/16', '10.0.0.0/16', '10.0.7.0/24', 'fd00::/8'], 4), ['10,0,0,0-10,2,0,0']);
  t.same(text(['0.0.0.0/0'], 4), ['0,0,0,0-']);
  t.same(text(['255.0.0.0/8', '10.0.0.0/32'], 4), ['10,0,0,0-10,0,0,1', '255,0,0,0-']);
  t.equal(masqueradeTable(['10.0.0.0/8']).sets.length, 1);
  t.same(text(['ff00::/8'], 6), ['255,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0-']);
  t.end();
});

class FakeTable implements NftPort {
  readonly monitorFd = -1;
  content: string | undefined;
  replaced = 0;
  refusal: Error | undefined;
  #heard = false;

  change(content: string | undefined): void {
    this.content = content;
    this.#heard = true;
  }
  replace(table: NftTable): void {
    if (this.refusal) throw this.refusal;
    this.replaced++;
    this.content = JSON.stringify(table.chains.length);
  }
  remove(): void {
    this.content = undefined;
  }
  read(): string | undefined {
    return this.content;
  }
  hear(): NftHeard {
    const heard = this.#heard;
    this.#heard = false;
    return heard ? { result: 'changed', by: 'somebody' } : { result: 'nothing' };
  }
  close(): void {}
}
