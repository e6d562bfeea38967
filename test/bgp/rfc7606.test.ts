/**
 * RFC 7606 as a table: every attribute code × flags × length × lying length, alone behind a valid block and inside a
 * whole UPDATE. The rules stand below as data, one line an attribute, from the RFC of each.
 */
import t from 'tap';
import { AttributeScan, Disposition, decodeUpdate, scanAttributes } from 'bgp-parse';
import { concat, hex } from './hex.js';

const { none, attributeDiscard: discard, treatAsWithdraw: withdraw, sessionReset: reset } = Disposition;

interface Rule {
  readonly name: string;
  /** Optional and Transitive bits. */
  readonly flags: number;
  /** Lengths that are well-formed when the value is all ones ("01 01 …"), internal peer, four-octet AS numbers. */
  readonly valid: (length: number) => boolean;
  /** What a malformed one leads to. */
  readonly malformed: Disposition;
  /** From an external peer: discarded, whatever it holds. */
  readonly internalOnly?: boolean;
  /** Discarded from any of these peers, whatever it holds. */
  readonly unwanted?: boolean;
}

const multiple = (size: number) => (length: number) => length > 0 && length % size === 0;
const exactly = (size: number) => (length: number) => length === size;

const RULES: Record<number, Rule> = {
  1: { name: 'ORIGIN, §7.1', flags: 0x40, valid: exactly(1), malformed: withdraw },
  // 01 01 xx xx xx xx: an AS_SET of one, again and again.
  2: { name: 'AS_PATH, §7.2', flags: 0x40, valid: (length) => length % 6 === 0, malformed: withdraw },
  3: { name: 'NEXT_HOP, §7.3', flags: 0x40, valid: exactly(4), malformed: withdraw },
  4: { name: 'MULTI_EXIT_DISC, §7.4', flags: 0x80, valid: exactly(4), malformed: withdraw },
  5: { name: 'LOCAL_PREF, §7.5', flags: 0x40, valid: exactly(4), malformed: withdraw, internalOnly: true },
  6: { name: 'ATOMIC_AGGREGATE, §7.6', flags: 0x40, valid: exactly(0), malformed: discard },
  7: { name: 'AGGREGATOR, §7.7', flags: 0xc0, valid: exactly(8), malformed: discard },
  8: { name: 'COMMUNITIES, §7.8', flags: 0xc0, valid: multiple(4), malformed: withdraw },
  9: { name: 'ORIGINATOR_ID, §7.9', flags: 0x80, valid: exactly(4), malformed: withdraw, internalOnly: true },
  10: { name: 'CLUSTER_LIST, §7.10', flags: 0x80, valid: multiple(4), malformed: withdraw, internalOnly: true },
  16: { name: 'EXTENDED COMMUNITIES, §7.14', flags: 0xc0, valid: multiple(8), malformed: withdraw },
  17: { name: 'AS4_PATH, RFC 6793 §4.1', flags: 0xc0, valid: () => false, malformed: discard, unwanted: true },
  18: { name: 'AS4_AGGREGATOR, RFC 6793 §4.1', flags: 0xc0, valid: () => false, malformed: discard, unwanted: true },
  25: { name: 'IPv6 EXTENDED COMMUNITIES, §7.15', flags: 0xc0, valid: multiple(20), malformed: withdraw },
  32: { name: 'LARGE_COMMUNITY, RFC 8092 §6', flags: 0xc0, valid: multiple(12), malformed: withdraw },
  35: { name: 'ONLY_TO_CUSTOMER, RFC 9234 §5', flags: 0xc0, valid: exactly(4), malformed: withdraw },
};

const BASE: readonly [number, string][] = [
  [1, '40010100'],
  [2, '400200'],
  [3, '400304c0a80001'],
  [5, '40050400000064'],
];
const LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 19, 20, 24, 32, 60, 255, 256, 257, 1020, 3999, 4000];

function attribute(flags: number, code: number, length: number, there = length): Uint8Array {
  const extended = length > 255 || (flags & 0x10) !== 0;
  const head = extended ? [flags | 0x10, code, length >> 8, length & 255] : [flags & ~0x10, code, length];
  const value = new Uint8Array(there).fill(1);
  return concat(Uint8Array.from(head), value);
}

/** A valid block without the attribute in question, and it behind. */
function block(code: number, external: boolean, tested: Uint8Array): Uint8Array {
  return concat(...BASE.filter(([c]) => c !== code && !(external && c === 5)).map(([, text]) => hex(text)), tested);
}

function expected(code: number, flags: number, length: number, external: boolean): Disposition {
  const rule = RULES[code];
  // None of the well-known ones has an unknown code (test/malformed/fixtures/rules.ts has the reason).
  if (!rule) return flags & 0x80 ? none : withdraw;
  if (rule.unwanted || (external && rule.internalOnly)) return discard;
  // §3 c, §3 h.
  if ((flags & 0xc0) !== rule.flags) return withdraw;
  return rule.valid(length) ? none : rule.malformed;
}

// A few seconds alone, more on a busy machine.
t.setTimeout(300_000);

for (const external of [false, true]) {
  const context = { external, fourOctetAs: true, mpNextHop: false };
  t.test(`every code × flags × length, ${external ? 'external' : 'internal'}`, (t) => {
    const scan = new AttributeScan();
    let checked = 0;
    for (let code = 0; code < 256; code++) {
      // MP attributes are located, not scanned: see update-layout.test.ts.
      if (code === 14 || code === 15) continue;
      for (let flags = 0; flags < 256; flags += 0x10) {
        for (const length of LENGTHS) {
          const bytes = block(code, external, attribute(flags, code, length));
          const verdict = scanAttributes(bytes, 0, bytes.length, context, scan);
          const wanted = expected(code, flags, length, external);
          checked++;
          if (verdict !== wanted) {
            t.equal(verdict, wanted, `${RULES[code]?.name ?? code} flags ${flags.toString(16)} length ${length}`);
          }
          if (verdict !== none && scan.errorAttribute !== code) t.fail(`another culprit is named for ${code}`);
        }
      }
    }
    t.ok(checked > 90000);
    t.end();
  });

  t.test(`every code × flags with a length that lies, ${external ? 'external' : 'internal'}`, (t) => {
    const scan = new AttributeScan();
    for (let code = 0; code < 256; code++) {
      if (code === 14 || code === 15) continue;
      for (let flags = 0; flags < 256; flags += 0x10) {
        for (const [length, there] of [
          [1, 0],
          [4, 3],
          [255, 4],
          [65535, 100],
        ] as const) {
          const bytes = block(code, external, attribute(flags, code, length, there));
          // §4: treatAsWithdraw, whatever the attribute would be.
          const verdict = scanAttributes(bytes, 0, bytes.length, context, scan);
          if (verdict !== withdraw) t.equal(verdict, withdraw, `${code} flags ${flags.toString(16)} length ${length}`);
        }
      }
    }
    t.end();
  });
}

t.test('in a whole UPDATE the prefixes are always found, and no attribute resets the session', (t) => {
  for (let code = 0; code < 256; code++) {
    if (code === 14 || code === 15) continue;
    for (let flags = 0; flags < 256; flags += 0x10) {
      for (const length of [0, 1, 7, 255, 3000]) {
        for (const there of new Set([length, length >> 1])) {
          const attributes = block(code, false, attribute(flags, code, length, there));
          const lengths = Uint8Array.of(attributes.length >> 8, attributes.length & 255);
          const body = concat(hex('0004 18c63364'), lengths, attributes, hex('18cb0071'));
          const update = decodeUpdate(body, 0, body.length, { external: false, fourOctetAs: true });
          const lies = there !== length;
          const wanted = lies ? withdraw : expected(code, flags, length, false);
          if (update.disposition !== wanted) t.equal(update.disposition, wanted, `${code} ${flags} ${length} ${there}`);
          if (update.nlri.length !== 1 || update.withdrawn.length !== 1)
            t.fail(`prefixes lost: ${code} ${flags} ${length}`);
          if ((update.attributes !== undefined) !== wanted < withdraw) t.fail(`attributes: ${code} ${flags} ${length}`);
        }
      }
    }
  }
  t.end();
});

t.test('without any prefix a fault resets the session (§5.2), a discard does not', (t) => {
  const context = { external: false, fourOctetAs: true };
  const decode = (attributes: string) => {
    const bytes = hex(attributes);
    return decodeUpdate(concat(Uint8Array.of(0, 0, 0, bytes.length), bytes), 0, 4 + bytes.length, context);
  };
  t.equal(decode('40010109').disposition, reset);
  t.equal(decode('800f03000201 40010109').disposition, reset);
  t.equal(decode('40060100').disposition, discard, 'ATOMIC_AGGREGATE of 1: discarded, and nothing is lost');
  t.equal(decode('40010100').disposition, none, 'no prefix needs what is missing');
  t.equal(decode('800f03000201').disposition, none);
  t.end();
});
