/**
 * One BGP session of the load generator: dials, says OPEN, keeps the session up, sends what it is given and hands every
 * UPDATE to its receiver. As small as it can be: what the generator spends is missing to the speaker under test.
 *
 * All sockets read into one buffer; the beginning of a message that is cut off is kept and put in front of what comes
 * next, so that messages are always parsed in one piece, in place.
 */
import { connect, type Socket } from 'node:net';
import { monotonicMs } from '../clock.js';
import type { Receiver } from './receiver.js';

const HEADER_LENGTH = 19;
const MAX_MESSAGE_LENGTH = 4096;
const READ_LENGTH = 256 * 1024;
const Type = { open: 1, update: 2, notification: 3, keepalive: 4 } as const;
const HOLD_TIME_SECONDS = 90;
const KEEPALIVE_MS = 20_000;
const REDIAL_MS = 10;

/** Read buffer of all peers, with room in front for the carried-over part of a message. */
export class ReadBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(MAX_MESSAGE_LENGTH + READ_LENGTH);
  readonly target = this.bytes.subarray(MAX_MESSAGE_LENGTH);
}

export interface PeerOptions {
  /** Where it dials from. */
  readonly address: string;
  /** BGP identifier. */
  readonly identifier: number;
  readonly asn: number;
  readonly speaker: { readonly address: string; readonly port: number };
  readonly receiver: Receiver | undefined;
}

export class Peer {
  readonly options: PeerOptions;
  readonly receiver: Receiver | undefined;
  established = false;
  /** Called after each read that held UPDATEs. */
  onUpdates: (peer: Peer, nowMs: number) => void = () => undefined;
  onFailure: (text: string) => void = () => undefined;
  readonly #read: ReadBuffer;
  readonly #carry = Buffer.allocUnsafeSlow(MAX_MESSAGE_LENGTH);
  #carried = 0;
  #socket: Socket | undefined;
  #keepalives: NodeJS.Timeout | undefined;
  /** While it is not Established: what ends the attempt. */
  #attempted: (refusal: string | undefined) => void = () => undefined;

  constructor(options: PeerOptions, read: ReadBuffer) {
    this.options = options;
    this.receiver = options.receiver;
    this.#read = read;
  }

  /** Resolves once Established. Dials again while nobody listens or the speaker is not ready for this peer. */
  async start(deadlineMs: number): Promise<void> {
    for (;;) {
      const refusal = await this.#dial();
      if (refusal === undefined) return;
      if (monotonicMs() > deadlineMs) throw new Error(`${this.options.address}: no session: ${refusal}`);
      await new Promise((resolve) => setTimeout(resolve, REDIAL_MS));
    }
  }

  send(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  /** Resolves when the kernel has taken everything. */
  sendAll(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => this.#socket!.write(bytes, () => resolve()));
  }

  sendRouteRefresh(): void {
    this.send(message(5, [0, 1, 0, 1]));
  }

  /** Cease (RFC 4486), and the connection is closed. */
  cease(): void {
    clearInterval(this.#keepalives);
    this.onFailure = () => undefined;
    this.#socket?.end(message(Type.notification, [6, 2]));
  }

  /** As when it dies: the connection is closed without a word. */
  close(): void {
    clearInterval(this.#keepalives);
    this.onFailure = () => undefined;
    this.#socket?.destroy();
  }

  /** Resolves with undefined once Established, otherwise with what went wrong. */
  #dial(): Promise<string | undefined> {
    const { address, speaker } = this.options;
    return new Promise((resolve) => {
      this.#attempted = resolve;
      this.#carried = 0;
      const socket = connect({
        host: speaker.address,
        port: speaker.port,
        localAddress: address,
        noDelay: true,
        onread: {
          buffer: this.#read.target,
          callback: (count) => {
            this.#received(count);
            return true;
          },
        },
      });
      this.#socket = socket;
      socket.once('connect', () => socket.write(this.#open()));
      socket.on('error', (error) => this.#lost(error.message));
      socket.once('close', () => this.#lost('the speaker closed the connection'));
    });
  }

  #lost(text: string): void {
    if (this.established) return this.onFailure(`${this.options.address}: ${text}`);
    clearInterval(this.#keepalives);
    this.#attempted(text);
  }

  /** RFC 4271 §4.2, with multiprotocol IPv4, route refresh and four-octet AS numbers. */
  #open(): Buffer {
    const { asn, identifier } = this.options;
    const capabilities = [1, 4, 0, 1, 0, 1, 2, 0, 65, 4, ...octets(asn)];
    const shortAsn = asn > 0xffff ? 23456 : asn;
    return message(Type.open, [
      ...[4, shortAsn >> 8, shortAsn & 255, 0, HOLD_TIME_SECONDS, ...octets(identifier)],
      ...[capabilities.length + 2, 2, capabilities.length, ...capabilities],
    ]);
  }

  #received(count: number): void {
    const nowMs = monotonicMs();
    const { bytes } = this.#read;
    let at = MAX_MESSAGE_LENGTH;
    const end = at + count;
    if (this.#carried > 0) {
      at -= this.#carried;
      this.#carry.copy(bytes, at, 0, this.#carried);
      this.#carried = 0;
    }
    let updates = 0;
    while (end - at >= HEADER_LENGTH) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      if (length < HEADER_LENGTH || length > MAX_MESSAGE_LENGTH) {
        return this.#lost(`a message of ${length} octets`);
      }
      if (end - at < length) break;
      const type = bytes[at + 18]!;
      if (type === Type.update) {
        updates++;
        this.receiver?.update(bytes, at + HEADER_LENGTH, at + length, nowMs);
      } else {
        this.#message(type, bytes, at + HEADER_LENGTH);
      }
      at += length;
    }
    this.#carried = end - at;
    if (this.#carried > 0) bytes.copy(this.#carry, 0, at, end);
    if (updates > 0) this.onUpdates(this, nowMs);
  }

  #message(type: number, bytes: Buffer, body: number): void {
    if (type === Type.open) {
      const keepalive = message(Type.keepalive, []);
      this.send(keepalive);
      this.#keepalives = setInterval(() => this.send(keepalive), KEEPALIVE_MS);
    } else if (type === Type.keepalive && !this.established) {
      this.established = true;
      this.#attempted(undefined);
    } else if (type === Type.notification) {
      this.#lost(`the speaker sent NOTIFICATION ${bytes[body]}/${bytes[body + 1]}`);
    }
  }
}

function message(type: number, body: readonly number[]): Buffer {
  const length = HEADER_LENGTH + body.length;
  return Buffer.from([...Array<number>(16).fill(0xff), length >> 8, length & 255, type, ...body]);
}

function octets(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
