/** The framer: every cut of a stream gives the same messages; every bad header gives its NOTIFICATION. */
import t from 'tap';
import { type BgpError, Framer } from 'bgp-parse';
import { concat, hex, message, toHex } from './hex.js';

class Collector {
  readonly seen: string[] = [];
  stopAfter = Infinity;

  message(type: number, bytes: Uint8Array, start: number, end: number): boolean {
    this.seen.push(`${type}:${toHex(bytes.subarray(start, end))}`);
    return this.seen.length < this.stopAfter;
  }
}

const messages = [
  message(1, hex('04fc00005ac0a8f5a800')),
  message(4, new Uint8Array(0)),
  message(2, hex('00000000')),
  message(3, hex('0602')),
  message(5, hex('00010001')),
  message(2, hex('0004 18c63364 0000')),
];
const expected = messages.map((bytes) => `${bytes[18]}:${toHex(bytes.subarray(19))}`);
const stream = concat(...messages);

t.test('every cut at two places gives the same messages', (t) => {
  let wrong = 0;
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second++) {
      const sink = new Collector();
      const framer = new Framer();
      // Other octets around the range: start and end must be obeyed.
      const padded = concat(hex('0000'), stream, hex('0000'));
      for (const [from, to] of [
        [0, first],
        [first, second],
        [second, stream.length],
      ] as const) {
        if (framer.push(padded, from + 2, to + 2, sink)) wrong++;
      }
      if (sink.seen.join() !== expected.join()) wrong++;
    }
  }
  t.equal(wrong, 0);
  t.end();
});

t.test('octet by octet, and the carry is not seen twice', (t) => {
  const sink = new Collector();
  const framer = new Framer();
  for (let i = 0; i < stream.length; i++) t.equal(framer.push(stream, i, i + 1, sink), undefined);
  t.same(sink.seen, expected);
  t.end();
});

t.test('whole messages are handed on in place', (t) => {
  new Framer().push(stream, 0, stream.length, {
    message(_type, bytes) {
      t.equal(bytes, stream);
      return true;
    },
  });
  t.end();
});

t.test('false stops at once', (t) => {
  const sink = new Collector();
  sink.stopAfter = 2;
  new Framer().push(stream, 0, stream.length, sink);
  t.same(sink.seen, expected.slice(0, 2));
  t.end();
});

t.test('reset forgets a partial message', (t) => {
  const sink = new Collector();
  const framer = new Framer();
  framer.push(stream, 0, 25, sink);
  framer.reset();
  framer.push(stream, 0, stream.length, sink);
  t.same(sink.seen, expected);
  t.end();
});

t.test('the limit may rise while messages arrive (RFC 8654)', (t) => {
  const big = message(2, new Uint8Array(65535 - 19));
  const framer = new Framer();
  t.equal(framer.push(big, 0, 100, new Collector())?.subcode, 2);
  framer.maxMessageLength = 65535;
  const sink = new Collector();
  t.equal(framer.push(big, 0, 5000, sink), undefined);
  t.equal(framer.push(big, 5000, big.length, sink), undefined);
  t.equal(sink.seen.length, 1);
  t.equal(sink.seen[0]!.length, 2 + 2 * (65535 - 19));
  t.end();
});

function header(length: number, type: number, marker = 0xff): Uint8Array {
  const out = new Uint8Array(Math.max(length, 19) + 40);
  out.fill(0xff, 0, 16);
  out[7] = marker;
  out[16] = length >> 8;
  out[17] = length & 255;
  out[18] = type;
  return out;
}

// RFC 4271 §6.1, RFC 8654 §4: [what, header, limit, subcode, data]
const bad: [string, Uint8Array, number, number, string][] = [
  ['marker', header(19, 4, 0xfe), 4096, 1, ''],
  ['length 0', header(0, 4), 4096, 2, '0000'],
  ['length 18', header(18, 2), 4096, 2, '0012'],
  ['OPEN 28', header(28, 1), 4096, 2, '001c'],
  ['UPDATE 22', header(22, 2), 4096, 2, '0016'],
  ['NOTIFICATION 20', header(20, 3), 4096, 2, '0014'],
  ['KEEPALIVE 20', header(20, 4), 4096, 2, '0014'],
  ['UPDATE 4097', header(4097, 2), 4096, 2, '1001'],
  ['OPEN 4097 with extended messages', header(4097, 1), 65535, 2, '1001'],
  ['KEEPALIVE 4097 with extended messages', header(4097, 4), 65535, 2, '1001'],
  ['type 0', header(19, 0), 4096, 3, '00'],
  ['type 6', header(19, 6), 4096, 3, '06'],
  ['type 255', header(23, 255), 4096, 3, 'ff'],
  ['type 6 with a wrong length', header(18, 6), 4096, 2, '0012'],
];
for (const [name, bytes, limit, subcode, data] of bad) {
  t.test(`bad header: ${name}`, (t) => {
    const check = (error: BgpError | undefined) => {
      t.equal(error?.code, 1);
      t.equal(error?.subcode, subcode);
      t.equal(toHex(error!.data), data);
    };
    const sink = new Collector();
    check(new Framer(limit).push(bytes, 0, bytes.length, sink));
    // Found as soon as the header is whole, also when it comes in pieces.
    const framer = new Framer(limit);
    t.equal(framer.push(bytes, 0, 10, sink), undefined);
    check(framer.push(bytes, 10, 19, sink));
    t.same(sink.seen, []);
    // Usable again afterwards.
    t.equal(framer.push(stream, 0, stream.length, sink), undefined);
    t.same(sink.seen, expected);
    t.end();
  });
}
