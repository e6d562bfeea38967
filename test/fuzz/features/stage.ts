/** A speaker in memory with the spectators of the `features` target, and what each of them has been told. */
import assert from 'node:assert/strict';
import { Speaker, parseConfig, silentLog } from '../../../src/index.js';
import { FakeClock } from '../../fixtures/fake-clock.js';
import type { MemoryEnd, MemoryNetwork } from '../../fixtures/memory-network.js';
import { KEEPALIVE, message, open, usualCapabilities } from '../../malformed/fixtures/compose.js';
import { readUpdate } from '../../malformed/fixtures/reference.js';
import type { Kept, ReferenceSession } from '../../malformed/fixtures/reference.js';
import { LOCAL_ASN, readable } from '../../malformed/fixtures/rig.js';
import { Verdict } from '../../malformed/fixtures/rules.js';
import { FAR_ROLE, FUNCTIONS, SPECTATORS } from './cast.js';
import type { Role, Spectator } from './cast.js';

export const asn16 = (asn: number): number => (asn > 0xffff ? 23456 : asn);

export class Watcher {
  readonly who: Spectator;
  readonly end: MemoryEnd;
  /** By prefix, with path identifier where it reads them. */
  readonly table = new Map<string, Kept>();
  stalled = false;
  readonly #session: ReferenceSession;
  readonly #texts = new WeakMap<Kept, string>();

  constructor(who: Spectator, end: MemoryEnd) {
    this.who = who;
    this.end = end;
    const external = who.asn !== LOCAL_ASN;
    this.#session = {
      external,
      fourOctetAs: true,
      peerAsn: external ? LOCAL_ASN : undefined,
      afis: [1, 2],
      addPath: who.addPath ? [1, 2] : [],
    };
  }

  read(): void {
    for (const heard of this.end.take()) {
      if (heard[18] === 3) assert.fail(`NOTIFICATION ${heard[19]}/${heard[20]} to the spectator ${this.who.address}`);
      if (heard[18] !== 2) continue;
      assert.ok(heard.length <= 4096, `${heard.length} octets to the spectator ${this.who.address}`);
      const { verdict, changes } = readUpdate(heard.subarray(19), this.#session);
      assert.equal(verdict, Verdict.none, `told to ${this.who.address}: ${Buffer.from(heard).toString('hex')}`);
      for (const [prefix, kept] of changes) {
        if (kept) this.table.set(prefix, kept);
        else this.table.delete(prefix);
      }
    }
  }

  /** Every path as a line, without what is another's choice (path identifiers). */
  lines(): string[] {
    const out: string[] = [];
    for (const [key, kept] of this.table) out.push(`${key.split('/', 3).join('/')} ${this.#textOf(kept)}`);
    return out.sort();
  }

  #textOf(kept: Kept): string {
    let text = this.#texts.get(kept);
    if (text === undefined) this.#texts.set(kept, (text = readable(kept).join()));
    return text;
  }
}

export class Stage {
  readonly clock = new FakeClock({ alone: true });
  readonly network: MemoryNetwork;
  watchers: readonly Watcher[] = [];
  speaker!: Speaker;

  constructor(network: MemoryNetwork) {
    this.network = network;
  }

  async start(document: object, spectatorRole: Role): Promise<void> {
    const settings = await parseConfig(JSON.stringify(document), 'fuzz', Object.keys(FUNCTIONS));
    this.speaker = new Speaker(settings, { clock: this.clock, log: silentLog, policies: FUNCTIONS });
    await this.speaker.start();
    this.clock.runAllSoon();
    this.watchers = SPECTATORS.map((who) => {
      const end = this.network.dialled(who.address)!;
      const capabilities = usualCapabilities(who.asn);
      if (who.addPath) capabilities.push([69, 8, 0, 1, 1, 1, 0, 2, 1, 1]);
      if (who.role) capabilities.push([9, 1, FAR_ROLE[spectatorRole]]);
      // Hold time 0: time may pass without a word of theirs.
      end.send(open({ asn: who.asn, identifier: who.identifier, holdTime: 0, capabilities }), KEEPALIVE);
      return new Watcher(who, end);
    });
    this.settle();
  }

  settle(): void {
    this.clock.runAllSoon();
    for (const watcher of this.watchers) watcher.read();
  }

  /** Everybody reads what is left, and asks for everything again (RFC 2918). */
  refresh(): void {
    for (const { end } of this.watchers) end.send(message(5, [0, 1, 0, 1]), message(5, [0, 2, 0, 1]));
    this.settle();
  }

  async stop(): Promise<void> {
    const over = this.speaker.stop();
    this.clock.advance(5000);
    await over;
    assert.equal(this.clock.pending, 0, 'timers left');
  }
}
