/** Which prefixes cover the end of a tunnel: as a scan over all ends finds it. */
import { parseAddress, prefixContains } from 'bgp-parse';
import fc from '../fixtures/properties.js';
import t from 'tap';
import { TunnelEnds } from '../../src/fib/tunnel-ends.js';

/** Addresses close to each other, so that prefixes hit. */
const last = fc.constantFrom(0, 1, 2, 3, 127, 128, 254, 255);
const address4 = fc.tuple(fc.constantFrom(9, 10, 128), last, last, last).map((octets) => Uint8Array.from(octets));
const address6 = fc
  .tuple(fc.constantFrom('fd00::', '2001:db8::', 'fd00:0:0:8000::'), last, last)
  .map(([head, a, b]) => parseAddress(`${head}${a.toString(16)}:${b.toString(16)}`)!);

t.test('covered', (t) => {
  for (const [words, address] of [
    [1, address4],
    [4, address6],
  ] as const) {
    const end = fc.record({ address, underlayLength: fc.constantFrom(0, 8, 24, words * 32) });
    const prefix = fc.record({ bytes: address, length: fc.nat(words * 32) });
    fc.assert(
      fc.property(fc.array(end, { maxLength: 12 }), fc.array(fc.nat(11)), prefix, (ends, gone, { bytes, length }) => {
        const tested = new TunnelEnds();
        ends.forEach((each, id) => tested.set(id, { ...each, interfaceIndex: 7 }));
        tested.takeChanged();
        for (const id of gone) tested.set(id, undefined);
        tested.takeChanged();
        const masked = bytes.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))));
        const view = new DataView(masked.buffer);
        // Behind something else, as in the columns.
        const column = new Uint32Array(words * 2);
        for (let i = 0; i < words; i++) column[words + i] = view.getUint32(i * 4);
        const expected = ends.some(
          (each, id) =>
            !gone.includes(id) &&
            length > each.underlayLength &&
            prefixContains({ bytes: masked, length }, each.address),
        );
        const found = tested.covered(column, words, length, words);
        if ((found !== undefined) !== expected) throw new Error(`${masked.join('.')}/${length}: ${expected}`);
        if (found && length <= found.underlayLength) throw new Error('not specific enough');
      }),
    );
  }
  t.end();
});

t.test('changes are told once, with what has gone', (t) => {
  const ends = new TunnelEnds();
  const end = (text: string, interfaceIndex = 7) => ({
    address: parseAddress(text)!,
    interfaceIndex,
    underlayLength: 0,
  });
  ends.set(1, end('10.9.0.1'));
  ends.set(2, undefined);
  t.equal(ends.takeChanged().length, 1);
  ends.set(1, end('10.9.0.1'));
  t.same(ends.takeChanged(), [], 'nothing new');
  t.ok(ends.isTunnel(7));
  ends.set(1, end('10.9.0.1', 8));
  t.same(
    ends
      .takeChanged()
      .map(({ interfaceIndex }) => interfaceIndex)
      .sort(),
    [7, 8],
  );
  t.notOk(ends.isTunnel(7));
  ends.set(1, undefined);
  t.equal(ends.takeChanged().length, 1);
  t.equal(ends.size, 0);
  t.end();
});
