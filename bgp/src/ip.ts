/**
 * IP addresses and prefixes as octets and as text.
 *
 * On the wire and in the tables an address is 4 or 16 octets; text appears only at the edges (configuration, logs,
 * control). IPv6 text follows RFC 5952. Parsers are strict: no leading zeros, no host bits lost silently.
 */

/** 4 octets (IPv4) or 16 octets (IPv6), network order. */
export type AddressBytes = Uint8Array;

export interface Prefix {
  /** 4 or 16 octets; bits past `length` are zero. */
  readonly bytes: AddressBytes;
  /** Prefix length in bits: 0..32 or 0..128. */
  readonly length: number;
}

/** Parses an IPv4 or IPv6 address; undefined when the text is not one. IPv4-mapped text stays 16 octets. */
export function parseAddress(text: string): AddressBytes | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Parses `address/length`; undefined when malformed. Host bits are cleared unless `strict`, which refuses them. */
export function parsePrefix(text: string, strict = false): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const bytes = parseAddress(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (!bytes || !/^(0|[1-9]\d{0,2})$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > bytes.length * 8) return undefined;
  const masked = maskAddress(bytes, length);
  if (strict && !equalBytes(masked, bytes)) return undefined;
  return { bytes: masked, length };
}

/** A copy of `bytes` with every bit past `length` cleared. */
export function maskAddress(bytes: AddressBytes, length: number): AddressBytes {
  const out = new Uint8Array(bytes.length);
  const whole = length >> 3;
  out.set(bytes.subarray(0, whole));
  if (length & 7) out[whole] = bytes[whole]! & (0xff00 >> (length & 7));
  return out;
}

/** Whether `prefix` covers `bytes` (an address or the first octets of a longer prefix of the same family). */
export function prefixContains(prefix: Prefix, bytes: AddressBytes): boolean {
  if (prefix.bytes.length !== bytes.length) return false;
  return equalBytes(maskAddress(bytes, prefix.length), prefix.bytes);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function formatAddress(bytes: AddressBytes): string {
  if (bytes.length === 4) return bytes.join('.');
  // RFC 4291 §2.5.5.2: IPv4-mapped addresses are written with the dotted quad.
  if (bytes.subarray(0, 10).every((octet) => octet === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
    return `::ffff:${bytes.subarray(12).join('.')}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  // RFC 5952 §4.2.3: the longest run of at least two zero groups is shortened, the first of equals.
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > bestLength) [bestStart, bestLength] = [i, run];
    i += run;
  }
  const text = (list: number[]) => list.map((group) => group.toString(16)).join(':');
  if (bestStart < 0) return text(groups);
  return `${text(groups.slice(0, bestStart))}::${text(groups.slice(bestStart + bestLength))}`;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.bytes)}/${prefix.length}`;
}

/** IPv4 dotted quad of an unsigned 32-bit number (router ids, cluster ids). */
export function formatIpv4Number(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Unsigned 32-bit number of a dotted quad; undefined when malformed. */
export function parseIpv4Number(text: string): number | undefined {
  const bytes = parseIpv4(text);
  return bytes && ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}

function parseIpv4(text: string): AddressBytes | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1]!;
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    out[i] = Number(part);
  }
  return out;
}

function parseIpv6(text: string): AddressBytes | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (!head || !tail) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  const out = new Uint8Array(16);
  out.set(head);
  out.set(tail, 16 - tail.length);
  return out;
}

/** Octets of colon-separated groups; the last may be a dotted quad when it ends the address. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return [];
  const out: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (endsAddress && index === parts.length - 1 && part.includes('.')) {
      const quad = parseIpv4(part);
      if (!quad) return undefined;
      out.push(...quad);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      const value = parseInt(part, 16);
      out.push(value >> 8, value & 255);
    }
  }
  return out;
}
