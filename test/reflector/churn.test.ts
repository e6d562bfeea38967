/**
 * Random churn over real sessions. Every announcement carries its speaker and a sequence number as a community, so a
 * peer sees whose word it hears; what everyone must hold in the end follows from LOCAL_PREF alone, which is different
 * for every speaker.
 */
import t from 'tap';
import { Rig, until } from './fixtures/rig.js';
import type { Reflector, ScriptedPeer } from './fixtures/rig.js';
import { announce, endOfRib, withdraw } from './fixtures/say.js';

t.setTimeout(300_000);

const CLIENTS = 8;
const NON_CLIENTS = 3;
const PREFIXES = 120;
const ROUNDS = 60;
const MARKER = '10.255.0.0/16';

/** xorshift32: the same history every time; the seed is in the test's name. */
function randomOf(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const prefixOf = (index: number): string => (index % 4 === 0 ? `2001:db8:${index + 1}::/48` : `10.20.${index}.0/24`);

class Talker {
  readonly index: number;
  readonly client: boolean;
  readonly peer: ScriptedPeer;
  /** What it says now: prefix to sequence number. */
  readonly says = new Map<string, number>();
  ownHeard = 0;
  #sequence = 0;

  constructor(index: number, client: boolean, peer: ScriptedPeer) {
    this.index = index;
    this.client = client;
    this.peer = peer;
    peer.heard.onRoute = (_prefix, { attributes }) => {
      const speaker = attributes.find(({ code }) => code === 8)?.value;
      if (speaker !== undefined && parseInt(speaker.slice(0, 4), 16) === index) this.ownHeard++;
    };
  }

  get localPref(): number {
    return 100 + this.index;
  }

  /** Several messages in one write: announcements of one prefix follow each other, or are taken back at once. */
  ramble(random: (below: number) => number): void {
    const messages: Uint8Array[] = [];
    for (let i = random(12); i >= 0; i--) {
      const prefix = prefixOf(random(PREFIXES));
      if (random(3) === 0) {
        messages.push(withdraw([prefix]));
        this.says.delete(prefix);
      } else messages.push(this.#announcement(prefix));
    }
    this.peer.say(...messages);
  }

  sayAll(): void {
    this.peer.say(...[...this.says.keys()].map((prefix) => this.#announcement(prefix)), endOfRib(1), endOfRib(2));
  }

  #announcement(prefix: string): Uint8Array {
    const sequence = ++this.#sequence & 0xffff;
    this.says.set(prefix, sequence);
    const nextHop = prefix.includes(':') ? '2001:db8::99' : '192.0.2.99';
    return announce([prefix], {
      nextHop,
      localPref: this.localPref,
      communities: [((this.index << 16) | sequence) >>> 0],
    });
  }
}

/** Prefix to "speaker:sequence", as this one must hold it. */
function expectedAt(talker: Talker, all: readonly Talker[]): Map<string, string> {
  const out = new Map<string, string>();
  for (let i = 0; i < PREFIXES; i++) {
    const prefix = prefixOf(i);
    const speakers = all.filter(({ says }) => says.has(prefix));
    const best = speakers.sort((a, b) => b.localPref - a.localPref)[0];
    if (!best || best === talker || (!best.client && !talker.client)) continue;
    out.set(prefix, `${best.index}:${best.says.get(prefix)}`);
  }
  return out;
}

function heldBy({ peer }: Talker): Map<string, string> {
  const out = new Map<string, string>();
  for (const [prefix, { attributes }] of peer.heard.routes) {
    const speaker = attributes.find(({ code }) => code === 8)?.value;
    if (speaker) out.set(prefix, `${parseInt(speaker.slice(0, 4), 16)}:${parseInt(speaker.slice(4), 16)}`);
  }
  return out;
}

function difference(got: Map<string, string>, expected: Map<string, string>): string {
  const prefixes = new Set([...got.keys(), ...expected.keys()]);
  const wrong = [...prefixes].filter((prefix) => got.get(prefix) !== expected.get(prefix));
  return wrong.map((prefix) => `${prefix} is ${got.get(prefix)}, not ${expected.get(prefix)}`).join('; ');
}

const sorted = (map: Map<string, string>): string => [...map].sort().join('\n');

async function build(rig: Rig): Promise<{ reflector: Reflector; talkers: Talker[]; late: Talker }> {
  const numbers = Array.from({ length: CLIENTS + NON_CLIENTS }, (_, index) => index + 1);
  const isClient = (number: number): boolean => number <= CLIENTS;
  const reflector = await rig.reflector({
    address: rig.address(1),
    config: {
      peers: numbers.map((number) => ({
        address: rig.address(10 + number),
        asn: 64512,
        passive: true,
        routeReflectorClient: isClient(number),
        gracefulRestart: { restartTime: 1 },
      })),
    },
  });
  const talkers: Talker[] = [];
  const options = (number: number) => ({
    address: rig.address(10 + number),
    routerId: `10.0.1.${number}`,
    endOfRib: false,
  });
  for (const number of numbers.slice(1)) {
    const talker = new Talker(number, isClient(number), await rig.peer(reflector, options(number)));
    talkers.push(talker);
  }
  return { reflector, talkers, late: new Talker(1, true, await rig.dial(reflector, options(1))) };
}

for (const seed of [1, 20, 4711]) {
  t.test(`seed ${seed}`, async (t) => {
    const rig = new Rig(t);
    const random = randomOf(seed * 2654435761);
    const { reflector, talkers, late } = await build(rig);
    const all = [...talkers, late];
    for (const talker of talkers) talker.sayAll();
    for (let round = 0; round < ROUNDS; round++) {
      for (const talker of talkers) if (random(2) === 0) talker.ramble(random);
      if (round === ROUNDS / 3) late.sayAll();
      if (round > ROUNDS / 3 && random(2) === 0) late.ramble(random);
      if (random(4) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const talker of all) {
      const expected = sorted(expectedAt(talker, all));
      await until(
        () => sorted(heldBy(talker)) === expected,
        () => `the table of ${talker.index}: ${difference(heldBy(talker), expectedAt(talker, all))}`,
      );
    }
    // Nothing comes after that but what is said now.
    await reflector.reconfigure({ networks: [{ prefix: MARKER }] });
    for (const talker of all) {
      await talker.peer.until((heard) => heard.routes.has(MARKER), 'the marker');
      t.equal(sorted(heldBy(talker)), sorted(expectedAt(talker, all)), `table of ${talker.index}`);
      t.equal(talker.ownHeard, 0, `${talker.index} has never heard its own word`);
      t.equal(reflector.peer(talker.peer.address).malformedUpdates, 0);
      t.equal(talker.peer.heard.count('eor 1'), 1, 'one End-of-RIB of each family');
      t.equal(talker.peer.heard.count('eor 2'), 1);
    }
  });
}

t.test('a late joiner while the others churn', async (t) => {
  const rig = new Rig(t);
  const random = randomOf(99);
  const { reflector, talkers, late } = await build(rig);
  await late.peer.close();
  const quiet = Array.from({ length: 3000 }, (_, index) => `10.${40 + (index >> 8)}.${index & 255}.0/24`);
  for (const talker of talkers) talker.sayAll();
  const still = talkers[0]!;
  still.peer.announce(quiet, { nextHop: '192.0.2.99', communities: [(still.index << 16) >>> 0] });
  await until(() => reflector.best().length === quiet.length, 'the quiet part');
  let churning = true;
  t.teardown(() => void (churning = false));
  const churn = (async () => {
    while (churning) {
      for (const talker of talkers) talker.ramble(random);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();

  for (let round = 0; round < 5; round++) {
    // The first of the configured ones comes and goes.
    const joiner = new Talker(
      1,
      true,
      await rig.dial(reflector, { address: rig.address(11), routerId: '10.0.1.1', endOfRib: round % 2 === 0 }),
    );
    let atEnd: number | undefined;
    await joiner.peer.until((heard) => {
      if (heard.count('eor 1') > 0) atEnd ??= quiet.filter((prefix) => heard.routes.has(prefix)).length;
      return atEnd !== undefined && heard.count('eor 2') > 0;
    }, 'End-of-RIB');
    t.equal(atEnd, quiet.length, 'the quiet part is complete at End-of-RIB');
    if (round === 4) {
      churning = false;
      await churn;
      const expected = new Map(expectedAt(joiner, talkers));
      for (const prefix of quiet) expected.set(prefix, `${still.index}:0`);
      await until(() => sorted(heldBy(joiner)) === sorted(expected), 'exactly the table');
      t.pass('exactly the table');
      t.equal(joiner.peer.heard.count('eor 1'), 1);
    }
    await joiner.peer.close();
    await until(() => reflector.peer(rig.address(11)).state !== 'Established', 'its end');
  }
});
