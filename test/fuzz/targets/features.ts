/**
 * A whole speaker with its features on (features/cast.ts): ADD-PATH both ways, graceful and long-lived restarts, roles,
 * limits, extended messages, declared policies and ones that throw, dynamic peers, peers that stop reading, and reloads
 * in between. After every step each session and each peer's count of paths is what RFC and configuration say. Now and
 * then everything comes to rest, and a fresh speaker that is given the same configuration and is told the same tells
 * every spectator the same; ONLY_TO_CUSTOMER and failed policies are looked at in themselves.
 */
import assert from 'node:assert/strict';
import { parseConfig } from '../../../src/index.js';
import { MemoryNetwork } from '../../fixtures/memory-network.js';
import type { MemoryEnd } from '../../fixtures/memory-network.js';
import { ENHANCED_REFRESH, KEEPALIVE, attribute, message, open, u32, updateBody, usualCapabilities } from '../../malformed/fixtures/compose.js'; // prettier-ignore
import type { Kept } from '../../malformed/fixtures/reference.js';
import { LOCAL_ASN, segmentsOf } from '../../malformed/fixtures/rig.js';
import { Verdict } from '../../malformed/fixtures/rules.js';
import { ACTORS, BABBLES, FAR_ROLE, FUNCTIONS, RESTART_SECONDS, STALE_SECONDS, THROWS, THROWS_OUT, document, fix, roll } from '../features/cast.js'; // prettier-ignore
import type { Fixed, Live } from '../features/cast.js';
import { Player } from '../features/player.js';
import { Stage, asn16 } from '../features/stage.js';
import type { Watcher } from '../features/stage.js';
import { randomUpdate } from '../grammar.js';
import { Random } from '../random.js';
import { FuzzFailure } from '../target.js';
import type { Target } from '../target.js';

const STEPS = 400;
const RECKONING = 80;
const LIMITED_PREFIXES = 12;
const LONGEST_EXTENDED = 65535 - 19;
const END_OF_RIB = [updateBody([]), updateBody([attribute(0x80, 15, [0, 2, 1])])];

class Scene {
  readonly random: Random;
  readonly network = MemoryNetwork.install();
  readonly stage = new Stage(this.network);
  readonly players = ACTORS.map((who) => new Player(who));
  readonly fixed: Fixed;
  live: Live;
  messages = 0;
  script = '';

  constructor(seed: number) {
    this.random = new Random(seed);
    this.fixed = fix(this.random);
    this.live = roll(this.random);
  }

  async start(): Promise<void> {
    await this.stage.start(document(this.fixed, this.live), this.fixed.spectatorRole);
  }

  get #nowMs(): number {
    return this.stage.clock.nowMs();
  }

  async step(): Promise<void> {
    const { random } = this;
    const roll = random.below(1000);
    if (roll < 12) return this.#reload();
    if (roll < 60) return this.#stallOrResume();
    if (roll < 80) return this.#pass(random.pick([100, 2000, 20_000, 45_000]));
    if (roll < 100) return this.#refreshOne();
    const player = random.pick(this.players);
    if (!player.end) return this.#bringUp(player);
    if (roll < 130) return this.#end(player);
    if (roll < 150) return this.#sayRefresh(player);
    for (let i = 1 + random.below(5); i > 0 && player.end; i--) this.#say(player);
    this.stage.clock.runAllSoon();
  }

  check(): void {
    const { stage } = this;
    stage.settle();
    for (const { who, end } of stage.watchers) assert.equal(end.closed, false, `${who.address}: lost its session`);
    for (const { who, end, said } of this.players) {
      const peer = stage.speaker.peer(who.address);
      assert.equal(peer?.state === 'Established', end !== undefined, `${who.part} ${who.address}: ${peer?.state}, ${peer?.lastError}`); // prettier-ignore
      if (who.part === 'dynamic')
        assert.equal(peer !== undefined, end !== undefined, `${who.address} was not forgotten`);
      assert.equal(peer?.received ?? 0, said.size, `${who.part} ${who.address}: paths held`);
    }
  }

  /** Everything comes to rest and is compared with a speaker that has not seen how it came about. */
  async reckon(): Promise<void> {
    this.script = 'reckoning';
    const { stage } = this;
    for (const watcher of stage.watchers) this.#resume(watcher);
    for (const player of this.players) if (player.end) this.#sayEndOfRib(player);
    if (this.players.some((player) => !player.isSettled)) this.#pass((RESTART_SECONDS + STALE_SECONDS + 1) * 1000);
    for (const player of this.players) if (!player.isSettled) this.#sayEndOfRib(player);
    this.check();
    for (const watcher of stage.watchers) this.#checkWatcher(watcher);
    this.#checkJudged();
    const before = stage.watchers.map((watcher) => watcher.lines());
    stage.refresh();
    stage.watchers.forEach((watcher, i) => same(watcher.lines(), before[i]!, `${watcher.who.address}, refreshed`));

    const back = this.network.aside();
    const fresh = new Stage(this.network);
    await fresh.start(document(this.fixed, this.live), this.fixed.spectatorRole);
    for (const player of this.random.shuffle([...this.players])) {
      const { who, said } = player;
      if (said.size === 0) continue;
      const end = who.part === 'dynamic' ? this.network.arrive(who.address)! : this.network.dialled(who.address)!;
      this.#greet(player, end, []);
      for (const body of player.bodies()) end.send(message(2, body));
      fresh.settle();
      assert.equal(
        fresh.speaker.peer(who.address)?.received,
        said.size,
        `${who.part}: paths held by the fresh speaker`,
      );
    }
    fresh.settle();
    fresh.watchers.forEach((watcher, i) => same(before[i]!, watcher.lines(), `${watcher.who.address}, told afresh`));
    await fresh.stop();
    back();
  }

  /** Everybody but the spectators leaves, and nothing is left. */
  async finish(): Promise<void> {
    this.script = 'finish';
    const { stage } = this;
    for (const player of this.players) if (player.end) this.#drop(player);
    this.#pass((RESTART_SECONDS + STALE_SECONDS + 1) * 1000);
    for (const watcher of stage.watchers) this.#resume(watcher);
    this.live = { ...this.live, keys: { ...this.live.keys, networks: [] } };
    await this.#apply();
    // Attribute sets die two turns after their last use, and what policy made of them after that.
    for (let turns = 0; turns < 8; turns++) stage.refresh();
    this.check();
    for (const { who, table } of stage.watchers) assert.equal(table.size, 0, `${who.address} still holds prefixes`);
    const summary = stage.speaker.summary();
    assert.equal(summary.attributeSets, 0, 'attribute sets left');
    for (const { family, prefixes, paths } of summary.families) assert.equal(prefixes + paths, 0, `${family}: left`);
    await stage.stop();
  }

  /** In ticks, so that what falls due in between falls due for the players as well. */
  #pass(ms: number): void {
    this.script = `pass ${ms}`;
    for (let left = ms; left > 0; left -= 250) {
      this.stage.clock.advance(Math.min(250, left));
      this.stage.clock.runAllSoon();
      for (const player of this.players) player.pass(this.#nowMs);
    }
  }

  async #reload(): Promise<void> {
    const plain = this.players[0]!;
    const had = this.live.hasPlain;
    this.live = roll(this.random);
    if (had && !this.live.hasPlain && plain.end) plain.gone(this.#nowMs);
    await this.#apply();
  }

  async #apply(): Promise<void> {
    this.script = `reload ${JSON.stringify(this.live)}`;
    const settings = await parseConfig(JSON.stringify(document(this.fixed, this.live)), 'fuzz', Object.keys(FUNCTIONS));
    const over = this.stage.speaker.apply(settings);
    this.stage.clock.runAllSoon();
    await over;
    this.stage.clock.runAllSoon();
  }

  #stallOrResume(): void {
    const watcher = this.random.pick(this.stage.watchers.filter(({ who }) => who.slow));
    if (watcher.stalled) return this.#resume(watcher);
    this.script = `stall ${watcher.who.address}`;
    watcher.stalled = true;
    watcher.end.stall();
  }

  #resume(watcher: Watcher): void {
    watcher.stalled = false;
    watcher.end.resume();
    this.stage.settle();
  }

  /** One spectator asks for everything again (RFC 2918): nothing is different then. */
  #refreshOne(): void {
    const watcher = this.random.pick(this.stage.watchers.filter(({ stalled }) => !stalled));
    if (!watcher) return;
    this.script = `refresh of ${watcher.who.address}`;
    this.stage.settle();
    const before = watcher.lines();
    watcher.end.send(message(5, [0, 1, 0, 1]), message(5, [0, 2, 0, 1]));
    const wasTold = watcher.table.size;
    watcher.table.clear();
    this.stage.settle();
    assert.equal(watcher.table.size, wasTold, `${watcher.who.address}: said again`);
    same(watcher.lines(), before, `${watcher.who.address}, refreshed`);
  }

  #bringUp(player: Player): void {
    const { who } = player;
    const { speaker } = this.stage;
    this.script = `bring up ${who.part} ${who.address}`;
    if (who.part === 'dynamic') {
      const end = this.network.arrive(who.address);
      assert.ok(end, `${who.address} was refused`);
      this.#greet(player, end, []);
      if (!end.closed) player.back(end, [], this.#nowMs);
      return;
    }
    for (let tries = 0; tries < 16 && speaker.peer(who.address)?.state !== 'OpenSent'; tries++) this.#pass(1000);
    if (speaker.peer(who.address)?.state !== 'OpenSent') return;
    const preserved = this.random.pick([[], [1], [2], [1, 2], [1, 2]]);
    const end = this.network.dialled(who.address)!;
    this.#greet(player, end, preserved);
    if (end.closed) return;
    player.back(end, preserved, this.#nowMs);
  }

  #greet(player: Player, end: MemoryEnd, preserved: readonly number[]): void {
    const { who } = player;
    const capabilities = usualCapabilities(who.asn);
    if (who.addPath) capabilities.push([69, 8, 0, 1, 1, 2, 0, 2, 1, 2]);
    if (who.part === 'leaky') capabilities.push([9, 1, FAR_ROLE[this.fixed.leakyRole]]);
    if (who.part === 'large') capabilities.push([6, 0]);
    if (who.enhanced) capabilities.push([...ENHANCED_REFRESH]);
    if (player.isGraceful) {
      const forwards = (afi: number): number => (preserved.includes(afi) ? 0x80 : 0);
      capabilities.push([64, 10, 0, RESTART_SECONDS, 0, 1, 1, forwards(1), 0, 2, 1, forwards(2)]);
      const stale = [0, 0, STALE_SECONDS];
      capabilities.push([71, 14, 0, 1, 1, forwards(1), ...stale, 0, 2, 1, forwards(2), ...stale]);
    }
    end.send(open({ asn: asn16(who.asn), identifier: who.identifier, holdTime: 0, capabilities }), KEEPALIVE);
    this.messages += 2;
    this.stage.clock.runAllSoon();
  }

  #end(player: Player): void {
    const { random } = this;
    this.script = `end of ${player.who.part}`;
    // Stale paths of a session that ends anew: what then holds is in test/speaker.
    if (player.isGraceful && !player.isSettled) this.#sayEndOfRib(player);
    if (player.isGraceful || random.chance(50)) return this.#drop(player);
    player.end!.send(message(3, [6, random.below(10)]));
    this.messages++;
    player.gone(this.#nowMs);
    this.stage.clock.runAllSoon();
  }

  #drop(player: Player): void {
    player.end!.drop();
    player.gone(this.#nowMs);
    this.stage.clock.runAllSoon();
  }

  #sayRefresh(player: Player): void {
    const afi = 1 + this.random.below(2);
    const subtype = this.random.below(3);
    this.script = `${player.who.part} says ROUTE-REFRESH ${subtype}`;
    player.end!.send(message(5, [0, afi, subtype, 1]));
    player.refresh(afi, subtype);
  }

  #sayEndOfRib(player: Player): void {
    for (const body of END_OF_RIB) {
      player.end!.send(message(2, body));
      player.apply(body);
    }
  }

  #say(player: Player): void {
    const { who, end } = player;
    if (who.part === 'limited') return this.#sayLimited(player);
    const maxLength = who.part === 'large' ? LONGEST_EXTENDED : undefined;
    const body = randomUpdate(this.random, player.session, {
      damage: who.damage,
      block: this.random.chance(70) ? 64 : Number(who.address.split('.')[3]),
      otc: who.part === 'leaky' ? 50 : 3,
      communities: [THROWS, BABBLES, THROWS_OUT, 0xffff0007],
      ...(maxLength === undefined ? {} : { maxLength }),
    });
    if (body.length < 4) return;
    this.#send(player, body);
    const verdict = player.apply(body);
    assert.equal(end!.closed, verdict === Verdict.reset, `${who.part}: verdict ${verdict}: ${this.stage.speaker.peer(who.address)?.lastError}`); // prettier-ignore
    if (verdict === Verdict.reset) player.gone(this.#nowMs, true);
  }

  /** A prefix at a time, so that it is known which one is too many. */
  #sayLimited(player: Player): void {
    const { random } = this;
    const { max, action } = this.fixed.limit;
    const afi = 1 + random.below(2);
    const octets = afi === 1 ? [24, 100, 23, random.below(LIMITED_PREFIXES)] : [48, 0x20, 1, 0xd, 0xb8, 23, random.below(LIMITED_PREFIXES)]; // prettier-ignore
    const prefix = `${afi}/${octets[0]}/${Buffer.from(octets.slice(1)).toString('hex')}`;
    const isNew = !player.counts(prefix);
    const held = player.counted(afi);
    if (random.chance(40)) {
      const body = afi === 1 ? updateBody([], [], octets) : updateBody([attribute(0x80, 15, [0, 2, 1, ...octets])]);
      this.#send(player, body);
      player.apply(body);
      return;
    }
    const hop = afi === 1 ? [192, 0, 2, 9] : [0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 9];
    const rest = [attribute(0x40, 1, [0]), attribute(0x40, 2, [2, 1, ...u32(player.who.asn)])];
    const body =
      afi === 1
        ? updateBody([...rest, attribute(0x40, 3, hop)], octets)
        : updateBody([attribute(0x80, 14, [0, 2, 1, 16, ...hop, 0, ...octets]), ...rest]);
    this.#send(player, body);
    const isSurplus = isNew && held >= max;
    assert.equal(player.end!.closed, isSurplus && action === 'reset', `limit ${max} ${action} with ${held} held`);
    if (player.end!.closed) player.gone(this.#nowMs);
    else if (!isSurplus) player.apply(body);
  }

  #send(player: Player, body: Uint8Array): void {
    this.script = `${player.who.part} ${player.who.address} says ${Buffer.from(body).toString('hex')}`;
    this.messages++;
    player.end!.take();
    player.end!.send(message(2, body));
  }

  /** What holds for each route a spectator was told, whatever else has happened. */
  #checkWatcher({ who, table }: Watcher): void {
    const { leakyRole, spectatorRole } = this.fixed;
    for (const [prefix, kept] of table) {
      const otc = kept.get(35)?.value;
      const asn = otc === undefined ? undefined : Buffer.from(otc).readUInt32BE();
      // RFC 9234 §5: towards a provider nothing that has it, towards customer and peer everything, and to a peer ours.
      if (who.role && spectatorRole === 'customer') assert.equal(asn, undefined, `${prefix} to a provider`);
      if (who.role && spectatorRole !== 'customer') assert.notEqual(asn, undefined, `${prefix} without OTC`);
      if (who.role && spectatorRole === 'peer') assert.equal(asn, LOCAL_ASN, `${prefix}: OTC to a peer`);
      if (who.asn !== LOCAL_ASN) {
        if (this.live.outward[0] === 'guardOut' && !who.role)
          assert.ok(!has(kept, THROWS_OUT), `${prefix} went out although the policy failed`);
        continue;
      }
      if (kept.has(9) || segmentsOf(kept)[0] !== 65024) continue;
      // What came from the leaky one: leaks are kept in, what is missing is put there.
      if (leakyRole === 'provider') assert.equal(asn, undefined, `${prefix}: leaked by a customer`);
      if (leakyRole === 'peer') assert.equal(asn, 65024, `${prefix}: OTC from a peer`);
      if (leakyRole === 'customer') assert.notEqual(asn, undefined, `${prefix}: OTC from a provider`);
    }
  }

  /** Where a policy fails, the route is not taken. */
  #checkJudged(): void {
    if (this.live.judged[0] !== 'guard') return;
    const { address } = ACTORS.find(({ part }) => part === 'judged')!;
    for (const route of this.stage.speaker.routes({ peer: { address, direction: 'received' } }) ?? []) {
      if (!route.communities?.some((text) => text === '65000:1' || text === '65000:2')) continue;
      assert.equal(route.best || route.installed, false, `${route.prefix} is used although the policy failed`);
      const row = JSON.stringify(route);
      assert.match(route.reason, /policy|guard|loop|reject|next-hop/, row);
    }
  }
}

function has(kept: Kept, community: number): boolean {
  const value = Buffer.from(kept.get(8)?.value ?? []);
  for (let at = 0; at < value.length; at += 4) if (value.readUInt32BE(at) === community) return true;
  return false;
}

function same(got: readonly string[], wanted: readonly string[], what: string): void {
  if (got.length === wanted.length && got.every((line, i) => line === wanted[i])) return;
  const [left, right] = [new Set(got), new Set(wanted)];
  const more = got.filter((line) => !right.has(line));
  const less = wanted.filter((line) => !left.has(line));
  assert.fail(
    `${what}: ${got.length} paths, not ${wanted.length}\nhas\n${more.join('\n')}\nand not\n${less.join('\n')}`,
  );
}

export const features: Target = {
  name: 'features',
  async episode(seed) {
    const scene = new Scene(seed);
    const { random } = Math;
    // The sessions' jitter: an episode follows from its seed.
    Math.random = () => scene.random.below(2 ** 20) / 2 ** 20;
    let steps = 0;
    try {
      await scene.start();
      for (; steps < STEPS; steps++) {
        await scene.step();
        scene.check();
        if (steps % RECKONING === RECKONING - 1) await scene.reckon();
      }
      await scene.finish();
    } catch (error) {
      throw new FuzzFailure(`features: step ${steps}`, scene.script, error);
    } finally {
      Math.random = random;
    }
    return scene.messages;
  },
};
