/**
 * A netlink socket: one request with its answer, dumps, batches, and a stream of notifications.
 *
 * Calls are synchronous (the kernel answers requests before `send` returns), meant for a worker thread. A receive
 * overrun (ENOBUFS) is a result, not an error: the kernel has dropped messages, and the caller reads the state again.
 * One thread uses a socket.
 */
import * as C from './constants.js';
import * as libc from './libc.js';
import { MessageReader, MessageWriter } from './message.js';

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_ATTACH_FILTER = 26;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/** The kernel fills dump datagrams up to 32 KiB when the reader offers that much. */
const READ_BUFFER_LENGTH = 64 * 1024;
const SEND_BUFFER_LENGTH = 1024 * 1024;
/** The kernel answers within the send; waiting longer than this means a broken kernel. */
const ANSWER_TIMEOUT_SECONDS = 10;
const DUMP_ATTEMPTS = 4;

/** The kernel refused a request. `message` includes the kernel's own words (extended ACK) when it gave some. */
export class NetlinkError extends Error {
  readonly code: string;
  readonly errno: number;

  constructor(what: string, errno: number, kernelText = '') {
    super(`${what}: ${libc.errnoName(errno)}${kernelText && ` (${kernelText})`}`);
    this.name = 'NetlinkError';
    this.code = libc.errnoName(errno);
    this.errno = errno;
  }
}

export interface NetlinkSocketOptions {
  /** NETLINK_*; default NETLINK_ROUTE. */
  readonly protocol?: number;
  /** Multicast groups (RTNLGRP_*) to listen to. */
  readonly groups?: readonly number[];
  /** Receive buffer in octets; forced beyond the system's limit where allowed. Default 4 MiB. */
  readonly receiveBuffer?: number;
  /** Drop, in the kernel, the notifications of changes that this port id asked for (our own echo). */
  readonly ignorePortId?: number;
}

/** What a read of notifications found. */
export type ReceiveResult = 'empty' | 'messages' | 'overrun';

/** File descriptor of `toNowhere`. */
const NOWHERE = -1;

export class NetlinkSocket {
  readonly fd: number;
  /** Address of this socket; notifications of changes it asked for carry it. */
  readonly portId: number;
  readonly #buffer = new Uint8Array(READ_BUFFER_LENGTH);
  readonly #reader = new MessageReader(this.#buffer, 0);
  readonly #writer = new MessageWriter();
  #sequence = 0;

  /** Throws `SystemError` when the kernel has no such socket or group. */
  static open(options: NetlinkSocketOptions = {}): NetlinkSocket {
    const fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW, options.protocol ?? C.NETLINK_ROUTE);
    try {
      return new NetlinkSocket(fd, options);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /**
   * A socket without a kernel: it takes every request as carried out and hears nothing. For trying out code that writes
   * to the kernel, at its full speed and without a trace.
   */
  static toNowhere(): NetlinkSocket {
    return new NetlinkSocket(NOWHERE, {});
  }

  private constructor(fd: number, options: NetlinkSocketOptions) {
    this.fd = fd;
    if (fd === NOWHERE) {
      this.portId = 0;
      return;
    }
    const receiveBuffer = options.receiveBuffer ?? 4 * 1024 * 1024;
    forceBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receiveBuffer);
    forceBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER_LENGTH);
    libc.setIntegerOption(fd, C.SOL_NETLINK, C.NETLINK_CAP_ACK, 1);
    libc.setIntegerOption(fd, C.SOL_NETLINK, C.NETLINK_EXT_ACK, 1);
    const timeout = new BigInt64Array([BigInt(ANSWER_TIMEOUT_SECONDS), 0n]);
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(timeout.buffer));
    if (options.ignorePortId !== undefined) ignorePort(fd, options.ignorePortId);
    const address = new Uint8Array(12);
    new DataView(address.buffer).setUint16(0, libc.AF_NETLINK, libc.littleEndian);
    libc.bind(fd, address);
    const name = libc.getsockname(fd);
    this.portId = new DataView(name.buffer, name.byteOffset).getUint32(4, libc.littleEndian);
    for (const group of options.groups ?? []) {
      libc.setIntegerOption(fd, C.SOL_NETLINK, C.NETLINK_ADD_MEMBERSHIP, group);
    }
  }

  close(): void {
    if (this.fd !== NOWHERE) libc.close(this.fd);
  }

  /** Listens to another multicast group; throws `SystemError` when the kernel has no such group. */
  join(group: number): void {
    libc.setIntegerOption(this.fd, C.SOL_NETLINK, C.NETLINK_ADD_MEMBERSHIP, group);
  }

  /** Sequence numbers of the messages of a batch count up from here; call it once per message. */
  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    return this.#sequence;
  }

  /**
   * Sends one message and waits for the kernel's verdict; throws `NetlinkError` (`what` names the request in it).
   * `write` appends a single message with the sequence number given.
   */
  request(what: string, write: (writer: MessageWriter, sequence: number) => void): void {
    this.#writer.clear();
    const sequence = this.nextSequence();
    write(this.#writer, sequence);
    this.#writer.addFlags(C.NLM_F_ACK);
    let failure: NetlinkError | undefined;
    const result = this.#exchange(this.#writer.bytes, sequence, (_, errno, text) => {
      failure = new NetlinkError(what, errno, text);
    });
    if (failure) throw failure;
    if (result === 'overrun') throw new NetlinkError(what, libc.Errno.ENOBUFS);
  }

  /**
   * Sends all messages of `writer` at once and collects the refusals. The last message must be the one of
   * `lastSequence`; only it asks for an ACK (refusals are told without asking). `onError` gets the sequence number of
   * each refused message. Result 'overrun': refusals were lost, so what became of the batch is not known.
   */
  batch(
    writer: MessageWriter,
    lastSequence: number,
    onError: (sequence: number, errno: number, kernelText: string) => void,
  ): 'done' | 'overrun' {
    writer.addFlags(C.NLM_F_ACK);
    return this.#exchange(writer.bytes, lastSequence, onError);
  }

  /**
   * Sends a transaction, all or nothing (nfnetlink): the message of `lastSequence` asks for the ACK itself. The kernel
   * may refuse it as a whole, by refusing its first message. Throws `NetlinkError` with the first refusal.
   */
  transaction(what: string, bytes: Uint8Array, firstSequence: number, lastSequence: number): void {
    let failure: NetlinkError | undefined;
    const onError = (_: number, errno: number, text: string): void => {
      failure ??= new NetlinkError(what, errno, text);
    };
    const result = this.#exchange(bytes, lastSequence, onError, firstSequence);
    if (failure) throw failure;
    if (result === 'overrun') throw new NetlinkError(what, libc.Errno.ENOBUFS);
  }

  /**
   * Reads a whole table: `write` appends the dump request, `onMessage` sees the reader on each answer. A dump that the
   * kernel marks as interrupted by changes is begun anew, announced by `onRestart`; false = still so after some tries.
   */
  dump(
    what: string,
    write: (writer: MessageWriter, sequence: number) => void,
    onMessage: (reader: MessageReader) => void,
    onRestart: () => void = () => undefined,
  ): boolean {
    if (this.fd === NOWHERE) return true;
    for (let attempt = 1; ; attempt++) {
      this.#writer.clear();
      const sequence = this.nextSequence();
      write(this.#writer, sequence);
      this.#send(this.#writer.bytes);
      if (this.#readDump(what, sequence, onMessage)) return true;
      if (attempt === DUMP_ATTEMPTS) return false;
      onRestart();
    }
  }

  /**
   * Begins to read a whole table in pieces: each call of what it returns reads one, of up to 32 KiB. Nothing else may be
   * asked on this socket until it has told that it is done.
   */
  dumpInParts(
    what: string,
    write: (writer: MessageWriter, sequence: number) => void,
  ): (onMessage: (reader: MessageReader) => void) => { readonly done: boolean; readonly interrupted: boolean } {
    this.#writer.clear();
    const sequence = this.nextSequence();
    write(this.#writer, sequence);
    this.#send(this.#writer.bytes);
    return (onMessage) => this.#readPart(what, sequence, onMessage);
  }

  /**
   * Asks for one thing: `write` appends a request that the kernel answers with one message, which `onMessage` sees the
   * reader on. Returns the errno of a refusal, 0 = answered.
   */
  ask(write: (writer: MessageWriter, sequence: number) => void, onMessage: (reader: MessageReader) => void): number {
    this.#writer.clear();
    const sequence = this.nextSequence();
    write(this.#writer, sequence);
    this.#send(this.#writer.bytes);
    const reader = this.#reader;
    for (;;) {
      const length = libc.recv(this.fd, this.#buffer);
      if (length < 0) throw new libc.SystemError('recv', -length);
      reader.reset(length);
      while (reader.nextMessage()) {
        if (reader.sequence !== sequence) continue;
        if (reader.type === C.NLMSG_ERROR) return -reader.i32(reader.start);
        onMessage(reader);
        return 0;
      }
    }
  }

  /**
   * Reads what notifications are waiting, at most `maxDatagrams`, without ever waiting itself. On 'overrun' the kernel
   * has dropped some: read the state anew. What is read after an overrun is newer than the loss.
   */
  receive(onMessage: (reader: MessageReader) => void, maxDatagrams = 256): ReceiveResult {
    let result: ReceiveResult = 'empty';
    if (this.fd === NOWHERE) return result;
    for (let i = 0; i < maxDatagrams; i++) {
      const length = libc.recv(this.fd, this.#buffer, libc.MSG_DONTWAIT | libc.MSG_TRUNC);
      if (length === -libc.Errno.EAGAIN) return result;
      if (length === -libc.Errno.ENOBUFS) return 'overrun';
      if (length < 0) throw new libc.SystemError('recv', -length);
      if (length > this.#buffer.length) return 'overrun';
      result = 'messages';
      this.#reader.reset(length);
      while (this.#reader.nextMessage()) onMessage(this.#reader);
    }
    return result;
  }

  /** Throws away what is waiting (before a fresh dump). */
  discard(): void {
    while (this.fd !== NOWHERE) {
      const length = libc.recv(this.fd, this.#buffer, libc.MSG_DONTWAIT);
      if (length === -libc.Errno.EAGAIN) return;
    }
  }

  #send(bytes: Uint8Array): void {
    const sent = libc.send(this.fd, bytes, bytes.length);
    if (sent < 0) throw new libc.SystemError('send', -sent);
  }

  #exchange(
    bytes: Uint8Array,
    lastSequence: number,
    onError: (sequence: number, errno: number, kernelText: string) => void,
    endsAtRefusalOf?: number,
  ): 'done' | 'overrun' {
    if (this.fd === NOWHERE) return 'done';
    this.#send(bytes);
    const reader = this.#reader;
    for (;;) {
      const length = libc.recv(this.fd, this.#buffer);
      if (length === -libc.Errno.ENOBUFS) {
        this.discard();
        return 'overrun';
      }
      if (length < 0) throw new libc.SystemError('recv', -length);
      reader.reset(length);
      while (reader.nextMessage()) {
        if (reader.type !== C.NLMSG_ERROR) continue;
        const errno = -reader.i32(reader.start);
        if (errno !== 0) onError(reader.sequence, errno, kernelText(reader));
        if (errno !== 0 && reader.sequence === endsAtRefusalOf) return 'done';
        if (reader.sequence === lastSequence) return 'done';
      }
    }
  }

  /** False when the kernel says that the table changed under the dump. */
  #readDump(what: string, sequence: number, onMessage: (reader: MessageReader) => void): boolean {
    let consistent = true;
    for (;;) {
      const part = this.#readPart(what, sequence, onMessage);
      if (part.interrupted) consistent = false;
      if (part.done) return consistent;
    }
  }

  /** One datagram of a dump: the kernel fills the next when this one has been read. */
  #readPart(
    what: string,
    sequence: number,
    onMessage: (reader: MessageReader) => void,
  ): { done: boolean; interrupted: boolean } {
    const reader = this.#reader;
    const length = libc.recv(this.fd, this.#buffer, libc.MSG_TRUNC);
    if (length < 0) throw new libc.SystemError('recv', -length);
    let interrupted = false;
    reader.reset(length);
    while (reader.nextMessage()) {
      if (reader.sequence !== sequence) continue;
      if (reader.flags & C.NLM_F_DUMP_INTR) interrupted = true;
      if (reader.type === C.NLMSG_DONE) {
        const errno = reader.end - reader.start >= 4 ? -reader.i32(reader.start) : 0;
        if (errno > 0) throw new NetlinkError(what, errno);
        return { done: true, interrupted };
      }
      if (reader.type === C.NLMSG_ERROR) throw new NetlinkError(what, -reader.i32(reader.start), kernelText(reader));
      onMessage(reader);
    }
    return { done: false, interrupted };
  }
}

function forceBuffer(fd: number, force: number, plain: number, octets: number): void {
  try {
    libc.setIntegerOption(fd, SOL_SOCKET, force, octets);
  } catch {
    // Without CAP_NET_ADMIN the system's limit (net.core.*mem_max) holds.
    libc.setIntegerOption(fd, SOL_SOCKET, plain, octets);
  }
}

/** The extended ACK's text behind a (capped) NLMSG_ERROR, or nothing. */
function kernelText(reader: MessageReader): string {
  if (!(reader.flags & C.NLM_F_ACK_TLVS) || !(reader.flags & C.NLM_F_CAPPED)) return '';
  // errno, then the header of the refused message, then attributes.
  reader.within(reader.start + 4 + 16, reader.end);
  while (reader.nextAttribute()) if (reader.attributeType === C.NLMSGERR_ATTR_MSG) return reader.valueText();
  return '';
}

/** A classic BPF program: notifications whose nlmsg_pid is `portId` are not delivered. */
function ignorePort(fd: number, portId: number): void {
  // BPF loads in network order; the field is in the machine's.
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, portId, libc.littleEndian);
  const program = [
    [0x20, 0, 0, 12], // A = word at octet 12, nlmsg_pid
    [0x15, 0, 1, swapped.getUint32(0)], // equal? next : skip one
    [0x06, 0, 0, 0], // drop
    [0x06, 0, 0, 0xffffffff], // accept
  ] as const;
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, jumpTrue, jumpFalse, k], index) => {
    view.setUint16(index * 8, code, libc.littleEndian);
    view.setUint8(index * 8 + 2, jumpTrue);
    view.setUint8(index * 8 + 3, jumpFalse);
    view.setUint32(index * 8 + 4, k, libc.littleEndian);
  });
  libc.setPointerOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, program.length, bytes);
}
