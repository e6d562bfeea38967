/** NOTIFICATION, KEEPALIVE and ROUTE-REFRESH: vectors both ways, shutdown texts, malformed ones. */
import assert from 'node:assert/strict';
import t from 'tap';
import fc, { runs } from '../fixtures/properties.js';
import {
  BgpError,
  decodeNotification,
  decodeRouteRefresh,
  describeNotification,
  encodeNotification,
  encodeRouteRefresh,
  keepaliveMessage,
  notificationText,
  shutdownData,
  shutdownText,
} from 'bgp-parse';
import { concat, hex, message, toHex } from './hex.js';

const MARKER = 'ff'.repeat(16);

/** Without what no terminal may obey: controls, characters of format, ends of lines. */
const printable = (text: string): string =>
  Array.from(text, (one) => (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(one) ? '\ufffd' : one)).join('');

t.test('KEEPALIVE (RFC 4271 §4.4)', (t) => {
  t.equal(toHex(keepaliveMessage), MARKER + '001304');
  t.end();
});

t.test('every code with subcodes known and unknown, with and without data, both ways', (t) => {
  let wrong = 0;
  for (let code = 0; code < 256; code++) {
    for (const subcode of [...Array(12).keys(), 128, 255]) {
      for (const data of [new Uint8Array(0), Uint8Array.of(code, subcode, 1)]) {
        const bytes = encodeNotification({ code, subcode, data });
        if (toHex(bytes) !== toHex(message(3, concat(Uint8Array.of(code, subcode), data)))) wrong++;
        // Among other octets: none of them may get into the data (CVE-2017-15865).
        const padded = concat(hex('aabb'), bytes, hex('ccdd'));
        const decoded = decodeNotification(padded, 2 + 19, 2 + bytes.length);
        if (decoded.code !== code || decoded.subcode !== subcode || toHex(decoded.data) !== toHex(data)) wrong++;
        if (decoded.data.buffer === padded.buffer) wrong++;
        if (typeof describeNotification(decoded) !== 'string') wrong++;
      }
    }
  }
  t.equal(wrong, 0);
  t.throws(() => decodeNotification(hex('06'), 0, 1), { name: 'BgpError', code: 1, subcode: 2 });
  t.equal(encodeNotification({ code: 3, subcode: 5, data: new Uint8Array(9000) }).length, 4096);
  t.end();
});

t.test('a BgpError is a NOTIFICATION', (t) => {
  const error = new BgpError('header: length 20', 1, 2, hex('0014'));
  t.equal(toHex(encodeNotification(error)), MARKER + '0017' + '03' + '0102' + '0014');
  t.end();
});

t.test('names', (t) => {
  t.equal(notificationText(6, 2), 'Cease/Administrative Shutdown');
  t.equal(notificationText(4, 0), 'Hold Timer Expired');
  t.equal(notificationText(6, 42), 'Cease/42');
  t.equal(notificationText(99, 1), '99/1');
  t.equal(
    describeNotification({ code: 6, subcode: 2, data: shutdownData('maintenance') }),
    'Cease/Administrative Shutdown: maintenance',
  );
  t.equal(
    describeNotification({ code: 6, subcode: 9, data: hex('0603') }),
    'Cease/Hard Reset (Cease/Peer De-configured)',
  );
  t.equal(describeNotification({ code: 6, subcode: 9, data: hex('0609060906090609') }), 'Cease/Hard Reset');
  t.equal(describeNotification({ code: 6, subcode: 4, data: hex('ff61') }), 'Cease/Administrative Reset');
  t.end();
});

t.test('shutdown text (RFC 9003)', (t) => {
  t.equal(toHex(shutdownData('a')), '0161');
  t.equal(toHex(shutdownData('')), '00');
  t.equal(shutdownText(hex('')), undefined);
  t.equal(shutdownText(hex('00')), undefined);
  t.equal(shutdownText(hex('0361 62')), undefined, 'length lies');
  t.equal(shutdownText(hex('0161 62')), 'a', 'octets behind the text');
  for (const bad of [
    '01ff',
    '02c0af',
    '03e08080',
    '04f0808080',
    '03eda080',
    '04f4908080',
    '02c3',
    '01c3',
    '0180',
    '02e282',
  ]) {
    t.equal(shutdownText(hex(bad)), undefined, `not UTF-8: ${bad}`);
  }
  t.equal(shutdownText(shutdownData('a\u001b[31m\n')), 'a\ufffd[31m\ufffd', 'nothing a terminal obeys');
  t.equal(shutdownText(shutdownData('é'.repeat(200))), 'é'.repeat(127), 'cut between characters');
  t.equal(shutdownText(shutdownData('x' + '😀'.repeat(100))), 'x' + '😀'.repeat(63));
  // What no terminal may obey comes about often here, unlike among all characters.
  const unseen = fc.constantFrom(
    '\u0085',
    '\u00ad',
    '\u061c',
    '\u200e',
    '\u2028',
    '\u2029',
    '\u202e',
    '\ufeff',
    '\u{e0041}',
  );
  const unit = fc.oneof({ weight: 5, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }) }, unseen);
  const text = fc.array(unit, { maxLength: 60 }).map((units) => units.join(''));
  fc.assert(
    fc.property(text, (value) => {
      const octets = shutdownData(value);
      t.equal(toHex(octets.subarray(1)), toHex(Buffer.from(value)));
      t.equal(shutdownText(octets), value === '' ? undefined : printable(value));
    }),
  );
  t.end();
});

t.test('shutdown text of any octets is what a decoder of UTF-8 says', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 8 }), (octets) => {
      let expected: string | undefined;
      try {
        expected = printable(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets));
      } catch {
        expected = undefined;
      }
      assert.equal(shutdownText(concat(Uint8Array.of(octets.length), octets)), expected);
    }),
    { numRuns: runs(2000) },
  );
  t.end();
});

t.test('ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3.2)', (t) => {
  t.equal(toHex(encodeRouteRefresh({ family: 'ipv4-unicast' })), MARKER + '001705' + '00010001');
  t.equal(toHex(encodeRouteRefresh({ family: 'ipv6-unicast', subtype: 2 })), MARKER + '001705' + '00020201');
  t.same(decodeRouteRefresh(hex('00020101'), 0, 4), { afi: 2, safi: 1, family: 'ipv6-unicast', subtype: 1 });
  t.same(decodeRouteRefresh(hex('00010080'), 0, 4), { afi: 1, safi: 128, family: undefined, subtype: 0 });
  t.same(decodeRouteRefresh(hex('00010001 01020304'), 0, 8).subtype, 0, 'ORF entries of a request are not read');
  t.same(decodeRouteRefresh(hex('0001010101'), 0, 5, false).subtype, 0, 'RFC 2918 §3: reserved');
  // RFC 7313 §5: the data is the complete message.
  for (const body of ['', '000100', '0001010100', '0001020100']) {
    const bytes = hex(body);
    try {
      decodeRouteRefresh(bytes, 0, bytes.length);
      t.fail(`was taken: ${body}`);
    } catch (error) {
      const { code, subcode, data } = error as BgpError;
      t.same([code, subcode, toHex(data)], [7, 1, toHex(message(5, bytes))]);
    }
  }
  t.end();
});
