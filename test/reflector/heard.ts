/**
 * What a peer has heard, read from UPDATE bytes by plain code of the tests: the table as it stands, the attributes octet
 * for octet, and how often each prefix was announced and withdrawn. Knows both families and nothing of bgp-parse.
 */
import { Framer, MessageType, formatAddress } from 'bgp-parse';

/** One path attribute as it stood on the wire. */
export interface WireAttribute {
  readonly flags: number;
  readonly code: number;
  readonly value: string;
}

export interface HeardRoute {
  /** In the order of the message; MP_REACH_NLRI is here as its next hop only (code 14). */
  readonly attributes: readonly WireAttribute[];
  /** Text of the next hop. */
  readonly nextHop: string;
}

export class Heard {
  readonly routes = new Map<string, HeardRoute>();
  /** How often the prefix was announced. */
  readonly announced = new Map<string, number>();
  readonly withdrawn = new Map<string, number>();
  /** In order: `update`, `eor 1`, `refresh 1/0` (family by AFI, subtype), `keepalive`, `notification`. */
  readonly events: string[] = [];
  updates = 0;
  octets = 0;
  /** Called with each route that is announced. */
  onRoute: ((prefix: string, route: HeardRoute) => void) | undefined;
  readonly #framer = new Framer(65535);

  /** Octets of the connection, in order. */
  push(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.octets += end - start;
    const error = this.#framer.push(bytes, start, end, {
      message: (type, data, from, to) => {
        this.message(type, data.subarray(from, to));
        return true;
      },
    });
    if (error) throw error;
  }

  /** One message without its header. */
  message(type: number, body: Uint8Array): void {
    if (type === MessageType.update) this.#update(body);
    else if (type === MessageType.routeRefresh) this.events.push(`refresh ${body[1]}/${body[2]}`);
    else if (type === MessageType.keepalive) this.events.push('keepalive');
    else if (type === MessageType.notification) this.events.push(`notification ${body[0]}/${body[1]}`);
    else if (type === MessageType.open) this.events.push('open');
    else throw new Error(`message of type ${type}`);
  }

  count(event: string): number {
    return this.events.filter((candidate) => candidate === event).length;
  }

  /** Value of an attribute as hex; undefined = the route does not have it, or there is no route. */
  attribute(prefix: string, code: number): string | undefined {
    return this.routes.get(prefix)?.attributes.find((attribute) => attribute.code === code)?.value;
  }

  #update(body: Uint8Array): void {
    this.updates++;
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const withdrawnEnd = 2 + view.getUint16(0);
    const attributesStart = withdrawnEnd + 2;
    const attributesEnd = attributesStart + view.getUint16(withdrawnEnd);
    if (attributesEnd > body.length) throw new Error('attributes reach beyond the message');
    const attributes: WireAttribute[] = [];
    let nextHop = '';
    let reached: string[] = [];
    const gone = prefixes(body, 2, withdrawnEnd, 4);
    let mpEnd: string | undefined;
    for (let at = attributesStart; at < attributesEnd;) {
      const flags = body[at]!;
      const code = body[at + 1]!;
      const long = (flags & 0x10) !== 0;
      const start = at + (long ? 4 : 3);
      const end = start + (long ? view.getUint16(at + 2) : body[at + 2]!);
      if (end > attributesEnd) throw new Error(`attribute ${code} reaches beyond the others`);
      at = end;
      let value = body.subarray(start, end);
      if (code === 3) nextHop = formatAddress(Uint8Array.from(value));
      if (code === 15) {
        const octets = value[1] === 1 ? 4 : 16;
        if (value.length === 3) mpEnd = `eor ${value[1]}`;
        gone.push(...prefixes(value, 3, value.length, octets));
        continue;
      }
      if (code === 14) {
        const length = value[3]!;
        nextHop = formatAddress(Uint8Array.from(value.subarray(4, 4 + length)));
        reached = prefixes(value, 5 + length, value.length, value[1] === 1 ? 4 : 16);
        value = value.subarray(4, 4 + length);
      }
      attributes.push({ flags, code, value: Buffer.from(value).toString('hex') });
    }
    reached.push(...prefixes(body, attributesEnd, body.length, 4));
    if (gone.length + reached.length === 0) {
      this.events.push(mpEnd ?? 'eor 1');
      return;
    }
    this.events.push('update');
    for (const prefix of gone) {
      this.routes.delete(prefix);
      this.withdrawn.set(prefix, (this.withdrawn.get(prefix) ?? 0) + 1);
    }
    const route = { attributes, nextHop };
    for (const prefix of reached) {
      this.routes.set(prefix, route);
      this.announced.set(prefix, (this.announced.get(prefix) ?? 0) + 1);
      this.onRoute?.(prefix, route);
    }
  }
}

function prefixes(bytes: Uint8Array, start: number, end: number, octets: number): string[] {
  const out: string[] = [];
  for (let at = start; at < end;) {
    const length = bytes[at]!;
    const used = (length + 7) >> 3;
    if (length > octets * 8 || at + 1 + used > end)
      throw new Error(`prefix of length ${length} at ${at} is cut off: ${Buffer.from(bytes).toString('hex')}`);
    const address = new Uint8Array(octets);
    address.set(bytes.subarray(at + 1, at + 1 + used));
    out.push(`${formatAddress(address)}/${length}`);
    at += 1 + used;
  }
  return out;
}
