/** Whose packet it is, also between sessions with one peer from several addresses of ours. RFC 5880 §6.3, RFC 5883 §3. */
import t from 'tap';
import { createBfdControl } from 'bgp-parse';
import { Demultiplexer } from '../../src/bfd/demultiplexer.js';
import type { Addressed } from '../../src/bfd/demultiplexer.js';

const PEER = Uint8Array.of(192, 0, 2, 1);
const origin = { source: PEER, sourceLength: 4, interfaceIndex: 0 };
const session = (localDiscriminator: number, endpoint: number, more: Partial<Addressed> = {}): Addressed => ({
  localDiscriminator,
  endpoint,
  address: PEER,
  multihop: false,
  interfaceIndex: 0,
  ...more,
});

t.test('a peer that does not know us yet is told apart by where its packet came to', (t) => {
  const demultiplexer = new Demultiplexer<Addressed>();
  const [first, second, far] = [session(11, 1), session(12, 2), session(13, 3, { multihop: true })];
  for (const one of [first, second, far]) demultiplexer.add(one);
  const find = (yourDiscriminator: number, id: number, multihop = false): Addressed | undefined =>
    demultiplexer.find({ ...createBfdControl(), yourDiscriminator }, origin, { id, multihop });
  t.equal(find(0, 1), first);
  t.equal(find(0, 2), second);
  t.equal(find(0, 3, true), far);
  t.equal(find(0, 3), undefined, 'not to the port of the other kind');
  t.equal(find(0, 4), undefined, 'to an address that nobody has');
  t.equal(find(12, 2), second);
  t.equal(find(12, 1), undefined, 'known, but to another address');
  demultiplexer.remove(first);
  t.equal(find(0, 1), undefined, 'the other one does not get what was for it');
  t.end();
});

t.test('a session whose way is not open yet takes what comes from its peer', (t) => {
  const demultiplexer = new Demultiplexer<Addressed>();
  const waiting = session(11, 0);
  demultiplexer.add(waiting);
  t.equal(demultiplexer.findSource(origin, { id: 5, multihop: false }), waiting);
  t.equal(
    demultiplexer.findSource({ ...origin, source: Uint8Array.of(192, 0, 2, 2) }, { id: 5, multihop: false }),
    undefined,
  );
  t.end();
});
