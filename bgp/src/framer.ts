// HOT: no allocation per message; guarded by bench S1 and S4.
/**
 * Cuts a TCP byte stream into BGP messages.
 *
 * Messages that lie whole in the pushed bytes are handed on in place; only a message cut by the end of a push is copied
 * into the carry buffer, and joined there with what comes next. The header is judged as soon as its 19 octets are there,
 * so a wrong length never makes us wait for octets that will not come.
 *
 * Invariant: carry[0, carried) starts at a message boundary and holds less than one whole message.
 * RFC 4271 §4.1 and §6.1, RFC 8654 §4.
 */
import { BgpError } from './errors.js';
import { HEADER_LENGTH, HeaderSubcode, MAX_MESSAGE_LENGTH, MessageType, NotificationCode } from './constants.js';

export interface MessageSink {
  /**
   * One whole message: its body is bytes[start, end), without the 19-octet header, in place and valid only during the
   * call. False = stop, the session has gone: what is left of the push is dropped. Must not call push again.
   */
  message(type: number, bytes: Uint8Array, start: number, end: number): boolean;
}

export class Framer {
  /** Largest message the peer may send; raised to 65535 when both sides announced extended messages (RFC 8654). */
  maxMessageLength: number;
  private carry = new Uint8Array(MAX_MESSAGE_LENGTH);
  private carried = 0;

  constructor(maxMessageLength: number = MAX_MESSAGE_LENGTH) {
    this.maxMessageLength = maxMessageLength;
  }

  /** Forgets a partial message: for a new connection. */
  reset(): void {
    this.carried = 0;
  }

  /**
   * Splits bytes[start, end) into messages; a partial one is kept (copied) for the next push.
   * Returns the error of the first bad header, with what the NOTIFICATION needs; the framer is then reset.
   */
  push(bytes: Uint8Array, start: number, end: number, sink: MessageSink): BgpError | undefined {
    let at = start;
    if (this.carried > 0) {
      at = this.fill(bytes, at, end, HEADER_LENGTH);
      if (this.carried < HEADER_LENGTH) return undefined;
      const length = messageLength(this.carry, 0, this.maxMessageLength);
      if (length < 0) return this.fail(this.carry, 0);
      at = this.fill(bytes, at, end, length);
      if (this.carried < length) return undefined;
      // Before the call: the sink may reset the framer or raise the limit.
      this.carried = 0;
      if (!sink.message(this.carry[18]!, this.carry, HEADER_LENGTH, length)) return undefined;
    }
    while (end - at >= HEADER_LENGTH) {
      const length = messageLength(bytes, at, this.maxMessageLength);
      if (length < 0) return this.fail(bytes, at);
      if (length > end - at) break;
      if (!sink.message(bytes[at + 18]!, bytes, at + HEADER_LENGTH, at + length)) return undefined;
      at += length;
    }
    if (at < end) this.fill(bytes, at, end, end - at);
    return undefined;
  }

  /** Moves octets into the carry until it holds `wanted` of them or there are no more; returns the new offset. */
  private fill(bytes: Uint8Array, at: number, end: number, wanted: number): number {
    const count = Math.min(wanted - this.carried, end - at);
    if (count <= 0) return at;
    if (this.carry.length < wanted) {
      const grown = new Uint8Array(Math.max(wanted, this.maxMessageLength));
      grown.set(this.carry.subarray(0, this.carried));
      this.carry = grown;
    }
    this.carry.set(bytes.subarray(at, at + count), this.carried);
    this.carried += count;
    return at + count;
  }

  private fail(bytes: Uint8Array, at: number): BgpError {
    this.carried = 0;
    return headerError(bytes, at, this.maxMessageLength);
  }
}

/** Length of the message at `at` (its 19 header octets are there), or -1 when the header is wrong. */
function messageLength(bytes: Uint8Array, at: number, max: number): number {
  for (let i = at; i < at + 16; i++) if (bytes[i] !== 0xff) return -1;
  const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
  return lengthAllowed(bytes[at + 18]!, length, max) ? length : -1;
}

/** RFC 4271 §6.1: the smallest length of each type; a KEEPALIVE is the header alone. False also for unknown types. */
function lengthAllowed(type: number, length: number, max: number): boolean {
  switch (type) {
    case MessageType.update:
      return length >= 23 && length <= max;
    case MessageType.keepalive:
      return length === HEADER_LENGTH;
    // RFC 8654 §4: OPEN and KEEPALIVE stay within 4,096 octets.
    case MessageType.open:
      return length >= 29 && length <= MAX_MESSAGE_LENGTH;
    case MessageType.notification:
      return length >= 21 && length <= max;
    // RFC 7313 §5: a wrong ROUTE-REFRESH length has an error code of its own, found when it is decoded.
    case MessageType.routeRefresh:
      return length >= HEADER_LENGTH && length <= max;
    default:
      return false;
  }
}

/** Says what messageLength refused. */
function headerError(bytes: Uint8Array, at: number, max: number): BgpError {
  const code = NotificationCode.messageHeader;
  for (let i = at; i < at + 16; i++) {
    if (bytes[i] !== 0xff) {
      return new BgpError('header: marker is not all ones', code, HeaderSubcode.connectionNotSynchronized);
    }
  }
  const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
  const type = bytes[at + 18]!;
  const known = type >= MessageType.open && type <= MessageType.routeRefresh;
  if (known || length < HEADER_LENGTH || length > max) {
    const data = bytes.slice(at + 16, at + 18);
    return new BgpError(`header: length ${length} of message type ${type}`, code, HeaderSubcode.badMessageLength, data);
  }
  const data = bytes.slice(at + 18, at + 19);
  return new BgpError(`header: unknown message type ${type}`, code, HeaderSubcode.badMessageType, data);
}
