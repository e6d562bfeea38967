// HOT: no allocation per message received; guarded by bench S1 and S4.
/**
 * One TCP connection: octets in through the framer, octets out, and an end that is told exactly once.
 *
 * Receiving: every connection of the process reads into one shared buffer (Node's `onread`), which is parsed in place
 * before the call returns; only a cut message is copied, by the framer.
 * Sending: `write` hands the caller's memory to the kernel; only when the kernel does not take it all does Node keep a
 * reference (`true` returned). All octets leave through `#send`, so another way of sending has one place to go.
 * Ending: `closeWith` sends a last message, then FIN, and goes on reading (and discarding) for a moment: closing with
 * unread octets would send RST, and the peer might never see the NOTIFICATION.
 */
import * as net from 'node:net';
import { Framer, parseAddress } from 'bgp-parse';
import type { AddressBytes, BgpError } from 'bgp-parse';
import type { Cancel, Clock } from '../support/clock.js';
import type { Initiator } from './collision.js';
import { bareAddress } from './address.js';
import { sendNow } from './sockopt.js';

/** How long a connection that we end may take to deliver our last words, ms. */
const LINGER_MS = 1000;

/** The longest pause of reading; then it is asked again how long. */
const PAUSE_MS = 1000;

/** What a connection tells; calls are synchronous and never come from inside a method of the connection. */
export interface ConnectionHandler {
  connected(): void;
  /** Octets have come in and will be cut into messages: the moment to read the clock once. */
  receiving(): void;
  /** One message, see Framer. False = the connection has been closed. */
  message(type: number, bytes: Uint8Array, start: number, end: number): boolean;
  headerError(error: BgpError): void;
  /** Asked after each reading, and after each pause of a second at most: how long to read no further, ms. */
  pauseMs(): number;
  /** The connection was lost or could not be made. Not called after `closeWith` or `destroy`. */
  failed(text: string): void;
  /** The kernel has taken everything, after `write` had returned true. */
  drained(): void;
}

/** The accepted handle that Node keeps inside a socket; see `adopt`. */
interface SocketWithHandle {
  _handle: { readonly fd: number; readonly writeQueueSize?: number } | null;
}

export class Connection {
  readonly initiator: Initiator;
  readonly framer = new Framer();
  readonly #socket: net.Socket;
  readonly #clock: Clock;
  #handler: ConnectionHandler | undefined;
  #blocked = false;
  #cancelLinger: Cancel | undefined;
  #cancelPause: Cancel | undefined;
  #closed: (() => void)[] = [];

  private constructor(socket: net.Socket, initiator: Initiator, handler: ConnectionHandler, clock: Clock) {
    this.#socket = socket;
    this.initiator = initiator;
    this.#handler = handler;
    this.#clock = clock;
    socket.setNoDelay(true);
    socket.on('connect', () => this.#handler?.connected());
    socket.on('end', () => this.#fail('connection closed by the peer'));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(failureText(error)));
    socket.on('drain', () => this.#drained());
    socket.on('close', () => {
      this.#cancelLinger?.();
      this.#cancelPause?.();
      this.#fail('connection closed');
      for (const closed of this.#closed.splice(0)) closed();
    });
  }

  /** Starts a connection on a prepared and bound socket, which it owns from now on. `receiveBuffer` is the shared one. */
  static dial(
    target: { readonly host: string; readonly port: number; readonly fd: number },
    handler: ConnectionHandler,
    receiveBuffer: Uint8Array,
    clock: Clock,
  ): Connection {
    const receive = (length: number): boolean => connection.#receive(receiveBuffer, length);
    const socket = new net.Socket({
      ...socketOptions(receiveBuffer, receive),
      fd: target.fd,
      readable: true,
      writable: true,
    });
    const connection: Connection = new Connection(socket, 'local', handler, clock);
    socket.connect({ host: target.host, port: target.port });
    return connection;
  }

  /**
   * Takes over an accepted socket. Node's server gives sockets without `onread`, so the handle moves into a socket of
   * our own making; the empty shell is destroyed.
   */
  static adopt(
    accepted: net.Socket,
    handler: ConnectionHandler,
    receiveBuffer: Uint8Array,
    clock: Clock,
  ): Connection | undefined {
    const shell = accepted as unknown as SocketWithHandle;
    const handle = shell._handle;
    if (!handle) return undefined;
    shell._handle = null;
    accepted.destroy();
    const receive = (length: number): boolean => connection.#receive(receiveBuffer, length);
    const socket = new net.Socket({ ...socketOptions(receiveBuffer, receive), handle } as net.SocketConstructorOpts);
    const connection: Connection = new Connection(socket, 'peer', handler, clock);
    socket.resume();
    return connection;
  }

  /** Hands the connection to another handler. */
  set handler(handler: ConnectionHandler) {
    this.#handler = handler;
  }

  /** Descriptor of the connected socket, for socket options only; undefined when closed. */
  get fd(): number | undefined {
    return (this.#socket as unknown as SocketWithHandle)._handle?.fd;
  }

  get localAddress(): AddressBytes | undefined {
    return addressOf(this.#socket.localAddress);
  }

  get peerAddress(): AddressBytes | undefined {
    return addressOf(this.#socket.remoteAddress);
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  get peerPort(): number {
    return this.#socket.remotePort ?? 0;
  }

  /** Octets written that the kernel has not taken. */
  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  /** Shrinks whenever the kernel takes anything of the backlog, even a part of one write. */
  get unsentBytes(): number {
    const pending = this.#socket.writableLength;
    // Asked of every session at every tick: mostly there is nothing.
    if (pending === 0) return 0;
    return pending + ((this.#socket as unknown as SocketWithHandle)._handle?.writeQueueSize ?? 0);
  }

  /** Sends bytes[start, end). True = the memory is still referenced and must not be changed. */
  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#handler) return false;
    return this.#send(bytes, start, end);
  }

  /** Sends a last message, then ends the connection. Nothing is told to the handler any more. */
  closeWith(lastMessage: Uint8Array): void {
    if (!this.#handler) return;
    this.#handler = undefined;
    if (this.#socket.connecting || this.#socket.destroyed) {
      this.#socket.destroy();
      return;
    }
    this.#socket.end(lastMessage);
    if (this.#cancelPause) this.#readOn();
    this.#cancelLinger = this.#clock.after(LINGER_MS, () => this.#socket.destroy());
  }

  /** Ends the connection at once; what the kernel has not taken is lost. Nothing is told to the handler any more. */
  destroy(): void {
    if (!this.#handler) return;
    this.#handler = undefined;
    this.#socket.destroy();
  }

  /** Resolves when the descriptor is gone. */
  closed(): Promise<void> {
    if (this.#socket.closed) return Promise.resolve();
    return new Promise((resolve) => this.#closed.push(resolve));
  }

  /**
   * Straight to the kernel: a write through the stream costs half as much again as the system call itself, which is most
   * of a reflector's time with hundreds of small messages. What the kernel does not take, and every error, goes the
   * stream's way.
   */
  #send(bytes: Uint8Array, start: number, end: number): boolean {
    const socket = this.#socket;
    const fd = this.fd;
    if (fd !== undefined && socket.writableLength === 0 && !socket.connecting) {
      const sent = sendNow(fd, bytes.subarray(start, end));
      if (sent > 0) start += sent;
      if (start === end) return false;
    }
    socket.write(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start));
    if (socket.writableLength === 0) return false;
    this.#blocked = true;
    return true;
  }

  #receive(buffer: Uint8Array, length: number): boolean {
    const handler = this.#handler;
    // Closing: read and forget, so that the peer can read our last words.
    if (!handler) return true;
    handler.receiving();
    const error = this.framer.push(buffer, 0, length, handler);
    if (error && this.#handler === handler) handler.headerError(error);
    if (this.#isPaused()) return false;
    if (length < buffer.length) return true;
    // There is more. Node would read on, 32 buffers at a time; timers and other sockets come first.
    this.#clock.soon(this.#readOn);
    return false;
  }

  /** True when the peer has said more than it may in a second: reading goes on by itself. */
  #isPaused(): boolean {
    const pauseMs = this.#handler?.pauseMs() ?? 0;
    if (pauseMs > 0) this.#cancelPause = this.#clock.after(Math.min(pauseMs, PAUSE_MS), this.#readOn);
    return pauseMs > 0;
  }

  readonly #readOn = (): void => {
    const wasPaused = this.#cancelPause !== undefined;
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    if (wasPaused && this.#isPaused()) return;
    this.#socket.resume();
  };

  #drained(): void {
    if (!this.#blocked || this.#socket.writableLength > 0) return;
    this.#blocked = false;
    this.#handler?.drained();
  }

  #fail(text: string): void {
    const handler = this.#handler;
    if (!handler) return;
    this.#handler = undefined;
    this.#socket.destroy();
    handler.failed(text);
  }
}

/** Descriptor of an accepted socket, for socket options only; undefined when it is gone. */
export function acceptedFd(socket: net.Socket): number | undefined {
  return (socket as unknown as SocketWithHandle)._handle?.fd;
}

function socketOptions(buffer: Uint8Array, receive: (length: number) => boolean): net.SocketConstructorOpts {
  return {
    onread: { buffer, callback: receive },
    // 'drain' must come whenever a backlog is gone, however small it was.
    writableHighWaterMark: 1,
  } as net.SocketConstructorOpts;
}

function addressOf(text: string | undefined): AddressBytes | undefined {
  return text === undefined ? undefined : parseAddress(bareAddress(text));
}

function failureText(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'connection reset by the peer';
    case 'ETIMEDOUT':
      return 'connection timed out';
    case 'EHOSTUNREACH':
      return 'no route to host';
    case 'ENETUNREACH':
      return 'network unreachable';
    default:
      return error.message;
  }
}
