/** The judge of every run is itself judged: it takes what is right, and sees what is lost, mixed up, old or left over. */
import t from 'tap';
import { announcements, attributeSets, withdrawals } from './load/encode.js';
import { Prefixes } from './load/prefixes.js';
import { Receiver } from './load/receiver.js';

const HEADER_LENGTH = 19;
const COUNT = 3000;
const prefixes = new Prefixes('table', COUNT);
const sets = attributeSets(prefixes, 0, COUNT, false, 1);

const sender = (number: number) => ({ number, asn: 100_000 + number, nextHop: 0x0a610101, internal: false });
const told = (generation: number) => messages(announcements(prefixes, sets, sender(0), generation, 1));

function messages(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at + 16)) {
    found.push(bytes.subarray(at, at + bytes.readUInt16BE(at + 16)));
  }
  return found;
}

function feed(receiver: Receiver, list: readonly Buffer[]): void {
  for (const message of list) receiver.update(message, HEADER_LENGTH, message.length, 0);
}

t.test('every prefix finds its way back to its index', (t) => {
  for (const [kind, count] of [
    ['table', 200_000],
    ['blocks', 2000],
  ] as const) {
    const all = new Prefixes(kind, count);
    t.equal(all.indexes.length, count);
    const lost = all.indexes.filter((index) => all.indexOf(all.address(index) | 0, all.length(index)) !== index);
    t.equal(lost.length, 0, `${kind}: all of ${count}`);
    t.equal(all.indexOf(0x0a000000, 24), -1, '10.0.0.0/24 is none of them');
  }
  t.end();
});

t.test('announce, announce anew, withdraw', (t) => {
  const receiver = new Receiver(prefixes, 1, 0, 0);
  receiver.expect(1);
  feed(receiver, told(1));
  t.match(receiver, { held: COUNT, atTarget: COUNT, announced: COUNT, wrong: 0 });
  receiver.expect(2);
  t.equal(receiver.atTarget, 0, 'what is there is old now');
  feed(receiver, told(1));
  t.equal(receiver.atTarget, 0, 'the same again is not new');
  feed(receiver, told(2));
  t.match(receiver, { held: COUNT, atTarget: COUNT, wrong: 0 });
  feed(receiver, messages(withdrawals(prefixes, sets)));
  t.match(receiver, { held: 0, atTarget: 0, wrong: 0 });
  t.end();
});

t.test('a lost message is seen', (t) => {
  const receiver = new Receiver(prefixes, 1, 0, 0);
  receiver.expect(1);
  feed(receiver, told(1).slice(1));
  t.ok(receiver.atTarget < COUNT);
  feed(receiver, messages(withdrawals(prefixes, sets)).slice(1));
  t.ok(receiver.held > 0, 'a lost withdrawal, too');
  t.end();
});

t.test('a prefix with the attributes of another is seen', (t) => {
  const receiver = new Receiver(prefixes, 1, 0, 0);
  receiver.expect(1);
  const [one, other] = told(1).map((message) => Buffer.from(message));
  const nlri = (message: Buffer): number => HEADER_LENGTH + 4 + message.readUInt16BE(HEADER_LENGTH + 2);
  feed(receiver, [Buffer.concat([one!.subarray(0, nlri(one!)), other!.subarray(nlri(other!))])]);
  t.equal(receiver.wrong, 1);
  t.match(receiver.wrongText, 'attributes of another');
  t.end();
});

t.test('of several senders the shortest path counts', (t) => {
  const receiver = new Receiver(prefixes, 2, 0, 0);
  receiver.expect(1);
  const [first, second] = [0, 1].map((number) => messages(announcements(prefixes, sets, sender(number), 1, 2)));
  feed(receiver, first!);
  t.equal(receiver.held, COUNT);
  t.ok(receiver.atTarget > 0 && receiver.atTarget < COUNT, `${receiver.atTarget} come from the winner`);
  feed(receiver, second!);
  t.equal(receiver.wrong, 0);
  t.ok(receiver.atTarget < COUNT, 'the last word of the second sender is wrong where the first must win');
  t.end();
});

t.test('own routes that come back are counted apart', (t) => {
  const blocks = new Prefixes('blocks', 20);
  const own = attributeSets(blocks, 0, 10, true, 0);
  const receiver = new Receiver(blocks, 1, 0, 10);
  receiver.expect(1);
  feed(receiver, messages(announcements(blocks, own, { ...sender(0), internal: true }, 1, 1)));
  t.match(receiver, { ownRoutes: 10, held: 0, wrong: 0 });
  t.end();
});
