/**
 * The form of what we send, octet by octet: order and number of attributes, flags, lengths, reserved octets, and one kind
 * of prefixes in each message. RFC 4271 §4.3, §5, Appendix F.3; RFC 4760 §3; RFC 7606 §5.1.
 */
import t from 'tap';
import { attribute, mpReach, mpUnreach, nlri, octets, u32, update } from '../malformed/fixtures/compose.js';
import { Rig, baseAttributes, pathOf } from '../malformed/fixtures/rig.js';

/** Optional and Transitive bits of what we may send. */
const FLAGS: Readonly<Record<number, number>> = {
  1: 0x40, 2: 0x40, 3: 0x40, 4: 0x80, 5: 0x40, 6: 0x40, 7: 0xc0, 8: 0xc0, 9: 0x80, 10: 0x80, 14: 0x80, 15: 0x80,
  16: 0xc0, 17: 0xc0, 18: 0xc0, 25: 0xc0, 32: 0xc0, 35: 0xc0,
}; // prettier-ignore

t.test('attributes ascend, MP_REACH_NLRI and MP_UNREACH_NLRI come first and alone', async (t) => {
  const kind = { external: false, fourOctetAs: true };
  const rig = await Rig.open(kind, {}, { networks: ['203.0.113.0/24', '2001:db8:99::/48'] });
  rig.heard = [];
  const more = [
    attribute(0xc0, 200, new Array<number>(300).fill(7)),
    attribute(0xc0, 32, new Array<number>(12).fill(1)),
    attribute(0xc0, 8, u32(65001 * 65536 + 1)),
    attribute(0xc0, 7, [...u32(4200000001), 10, 0, 0, 9]),
    attribute(0x40, 6, []),
    attribute(0x80, 4, u32(7)),
    attribute(0xe0, 16, new Array<number>(8).fill(2)),
  ];
  const base = baseAttributes(kind, [2]);
  const path = attribute(0x40, 2, pathOf([65009, 4200000001], true));
  const attributes = [...more, path, ...base.reverse()];
  const prefixes = Array.from({ length: 1500 }, (_, i) => nlri(`100.64.${i >> 8}.${i & 255}/32`)).flat();
  rig.end.send(update(attributes, prefixes.slice(0, 3500)));
  const six = nlri('2001:db8:1::/48');
  rig.end.send(update([...attributes, attribute(0x80, 14, mpReach(2, 1, octets('2001:db8::9'), six))]));
  rig.settle();
  rig.end.send(update([], [], prefixes.slice(0, 500)));
  rig.end.send(update([attribute(0x80, 15, mpUnreach(2, 1, six))]));
  rig.settle();
  // All of it again, to peers that ask.
  rig.refreshListeners();

  const seen = new Set<number>();
  for (const body of rig.heard) {
    const withdrawn = (body[0]! << 8) | body[1]!;
    const length = (body[2 + withdrawn]! << 8) | body[3 + withdrawn]!;
    const end = 4 + withdrawn + length;
    const codes: number[] = [];
    for (let at = 4 + withdrawn; at < end;) {
      const [flags, code] = [body[at]!, body[at + 1]!];
      const extended = (flags & 0x10) !== 0;
      const size = extended ? (body[at + 2]! << 8) | body[at + 3]! : body[at + 2]!;
      const value = at + (extended ? 4 : 3);
      if ((flags & 0x0f) !== 0) t.fail(`attribute ${code}: unused bits in ${flags.toString(16)}`);
      if ((flags & 0xc0) !== (FLAGS[code] ?? 0xc0)) t.fail(`attribute ${code}: flags ${flags.toString(16)}`);
      if ((flags & 0x20) !== 0 && (flags & 0xc0) !== 0xc0) t.fail(`attribute ${code}: Partial`);
      if (code === 200 && (flags & 0x20) === 0) t.fail('an unknown attribute without Partial');
      if (extended && size < 256 && code !== 14 && code !== 15) t.fail(`attribute ${code}: extended length of ${size}`);
      if (code === 14 && body[value + 4 + body[value + 3]!] !== 0) t.fail('reserved octet of MP_REACH_NLRI');
      codes.push(code);
      seen.add(code);
      at = value + size;
    }
    const isMp = (code: number): boolean => code === 14 || code === 15;
    const kinds = [withdrawn > 0, end < body.length, codes.includes(14), codes.includes(15)].filter(Boolean).length;
    if (kinds > 1) t.fail(`${kinds} kinds of prefixes in one message`);
    if (codes.some((code, i) => isMp(code) && i > 0)) t.fail(`MP attribute behind others: ${codes.join()}`);
    const others = codes.filter((code) => !isMp(code));
    if (others.some((code, i) => i > 0 && code <= others[i - 1]!)) t.fail(`order: ${codes.join()}`);
    if (codes.includes(14) && codes.includes(3)) t.fail('NEXT_HOP beside MP_REACH_NLRI');
  }
  t.ok(rig.heard.length > 10, `${rig.heard.length} messages`);
  for (const code of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 200])
    t.ok(seen.has(code), `${code} was sent`);
  await rig.close();
});
