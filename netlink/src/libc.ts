/**
 * The handful of libc calls that Node has no binding for: sockets of any family, their options, and poll.
 *
 * Calls are synchronous and made through koffi (about 0.3 µs each), usable from several worker threads at once.
 * Buffers are passed by address: what is handed in is read or written in place. Every call that fails gives a
 * `SystemError` with the errno's name, except the ones documented to return it.
 */
import os from 'node:os';
import koffi from 'koffi';

/** A libc call failed. `code` is the errno by name (`ENETUNREACH`), `errno` the positive number. */
export class SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, detail = '') {
    super(`${syscall}${detail && ` ${detail}`}: ${errnoName(errno)} (${errnoText(errno)})`);
    this.name = 'SystemError';
    this.code = errnoName(errno);
    this.errno = errno;
    this.syscall = syscall;
  }
}

export const Errno = {
  EPERM: os.constants.errno.EPERM,
  ENOENT: os.constants.errno.ENOENT,
  ESRCH: os.constants.errno.ESRCH,
  EINTR: os.constants.errno.EINTR,
  EAGAIN: os.constants.errno.EAGAIN,
  ENOMEM: os.constants.errno.ENOMEM,
  EEXIST: os.constants.errno.EEXIST,
  EINVAL: os.constants.errno.EINVAL,
  ECONNREFUSED: os.constants.errno.ECONNREFUSED,
  ENETDOWN: os.constants.errno.ENETDOWN,
  ENETUNREACH: os.constants.errno.ENETUNREACH,
  EHOSTUNREACH: os.constants.errno.EHOSTUNREACH,
  ENOBUFS: os.constants.errno.ENOBUFS,
  ENODEV: os.constants.errno.ENODEV,
  EOPNOTSUPP: os.constants.errno.EOPNOTSUPP,
} as const;

const names: ReadonlyMap<number, string> = new Map(
  Object.entries(os.constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, value]) => [value, name]),
);

const texts: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted: needs CAP_NET_ADMIN, for raw sockets CAP_NET_RAW',
  EACCES: 'permission denied: needs CAP_NET_ADMIN or CAP_NET_RAW',
  ENETUNREACH: 'network is unreachable',
  EHOSTUNREACH: 'no route to host',
  EEXIST: 'exists already',
  ESRCH: 'no such route',
  ENODEV: 'no such device',
  ENETDOWN: 'network is down',
  EINVAL: 'invalid argument',
  ENOBUFS: 'no buffer space available',
  ENOMEM: 'out of memory',
  ENOSPC: 'no space left',
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'address not available on this node',
};

/** Name of a positive errno: `ENOBUFS`; `errno 999` when it has none. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

function errnoText(errno: number): string {
  return texts[errnoName(errno)] ?? `errno ${errno}`;
}

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 1;
export const POLLOUT = 4;

// The process's own symbols: works with glibc and musl alike, and needs no path.
const library = koffi.load(null);
const msghdr = koffi.struct({
  name: 'void *',
  nameLength: 'uint32_t',
  iov: 'void *',
  iovLength: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
const cSocket = library.func('socket', 'int', ['int', 'int', 'int']);
const cBind = library.func('bind', 'int', ['int', 'void *', 'uint32_t']);
const cConnect = library.func('connect', 'int', ['int', 'void *', 'uint32_t']);
const cListen = library.func('listen', 'int', ['int', 'int']);
const cClose = library.func('close', 'int', ['int']);
const cSend = library.func('send', 'long', ['int', 'void *', 'size_t', 'int']);
const cSendto = library.func('sendto', 'long', ['int', 'void *', 'size_t', 'int', 'void *', 'uint32_t']);
const cRecv = library.func('recv', 'long', ['int', 'void *', 'size_t', 'int']);
const cRecvmsg = library.func('recvmsg', 'long', ['int', koffi.inout(koffi.pointer(msghdr)), 'int']);
const cRecvmsgRaw = library.func('recvmsg', 'long', ['int', 'void *', 'int']);
const cSetsockopt = library.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32_t']);
const cGetsockopt = library.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);
const cGetsockname = library.func('getsockname', 'int', ['int', 'void *', 'void *']);
const cPoll = library.func('poll', 'int', ['void *', 'ulong', 'int']);
const cEventfd = library.func('eventfd', 'int', ['uint', 'int']);
const cRead = library.func('read', 'long', ['int', 'void *', 'size_t']);
const cWrite = library.func('write', 'long', ['int', 'void *', 'size_t']);
const cSchedSetscheduler = library.func('sched_setscheduler', 'int', ['int', 'int', 'void *']);
const cSchedSetaffinity = library.func('sched_setaffinity', 'int', ['int', 'size_t', 'void *']);
const cSchedGetaffinity = library.func('sched_getaffinity', 'int', ['int', 'size_t', 'void *']);
const cGettid = library.func('gettid', 'int', []);
const cSetpriority = library.func('setpriority', 'int', ['int', 'uint32_t', 'int']);
const cIfNameToIndex = library.func('if_nametoindex', 'uint32_t', ['str']);

/** A new socket, close-on-exec. */
export function socket(family: number, type: number, protocol: number): number {
  const fd = cSocket(family, type | SOCK_CLOEXEC, protocol) as number;
  if (fd < 0) throw new SystemError('socket', koffi.errno());
  return fd;
}

/** `address` is a raw sockaddr. */
export function bind(fd: number, address: Uint8Array): void {
  if ((cBind(fd, address, address.length) as number) < 0) throw new SystemError('bind', koffi.errno());
}

/** `address` is a raw sockaddr. */
export function connect(fd: number, address: Uint8Array): void {
  if ((cConnect(fd, address, address.length) as number) < 0) throw new SystemError('connect', koffi.errno());
}

export function listen(fd: number, backlog: number): void {
  if ((cListen(fd, backlog) as number) < 0) throw new SystemError('listen', koffi.errno());
}

/** Closes a descriptor of ours; never one that a `net.Socket` has taken over. */
export function close(fd: number): void {
  if ((cClose(fd) as number) < 0) throw new SystemError('close', koffi.errno());
}

/** Octets sent, or the negative errno. */
export function send(fd: number, bytes: Uint8Array, length: number, flags = 0): number {
  for (;;) {
    const sent = Number(cSend(fd, bytes, length, flags));
    if (sent >= 0) return sent;
    const errno = koffi.errno();
    if (errno !== Errno.EINTR) return -errno;
  }
}

/** Octets sent, or the negative errno. `address` is a raw sockaddr. */
export function sendto(fd: number, bytes: Uint8Array, address: Uint8Array, flags = 0): number {
  const sent = Number(cSendto(fd, bytes, bytes.length, flags, address, address.length));
  return sent >= 0 ? sent : -koffi.errno();
}

/** Octets received into `bytes`, or the negative errno (`-EAGAIN`: nothing there). */
export function recv(fd: number, bytes: Uint8Array, flags = 0): number {
  for (;;) {
    const received = Number(cRecv(fd, bytes, bytes.length, flags));
    if (received >= 0) return received;
    const errno = koffi.errno();
    if (errno !== Errno.EINTR) return -errno;
  }
}

export interface ReceivedMessage {
  /** Octets received into the buffer. */
  readonly length: number;
  /** Raw sockaddr of the sender. */
  readonly name: Uint8Array;
  /** Raw ancillary data (cmsghdr list). */
  readonly control: Uint8Array;
}

/** One datagram with its sender and ancillary data, or the negative errno. */
export function recvmsg(fd: number, bytes: Uint8Array, flags = 0): ReceivedMessage | number {
  const name = new Uint8Array(128);
  const control = new Uint8Array(256);
  const iov = new BigUint64Array([koffi.address(bytes), BigInt(bytes.length)]);
  const header = { name, nameLength: name.length, iov, iovLength: 1, control, controlLength: control.length, flags: 0 };
  const received = Number(cRecvmsg(fd, header, flags));
  if (received < 0) return -koffi.errno();
  return {
    length: received,
    name: name.subarray(0, Number(header.nameLength)),
    control: control.subarray(0, Number(header.controlLength)),
  };
}

/** `recvmsg` with a struct msghdr that the caller has laid out (64-bit): octets, or the negative errno. Allocates nothing. */
export function recvmsgRaw(fd: number, header: Uint8Array, flags: number): number {
  const received = Number(cRecvmsgRaw(fd, header, flags));
  return received >= 0 ? received : -koffi.errno();
}

/** The address of a buffer; it must be kept as long as the kernel may use it. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** Sets an option given as raw octets. */
export function setsockopt(fd: number, level: number, option: number, value: Uint8Array): void {
  if ((cSetsockopt(fd, level, option, value, value.length) as number) < 0) {
    throw new SystemError('setsockopt', koffi.errno(), `(${level}, ${option})`);
  }
}

/** Sets an option whose value is a count and a pointer (struct sock_fprog). */
export function setPointerOption(fd: number, level: number, option: number, count: number, items: Uint8Array): void {
  const value = new Uint8Array(16);
  const view = new DataView(value.buffer);
  view.setUint16(0, count, littleEndian);
  view.setBigUint64(8, koffi.address(items), littleEndian);
  setsockopt(fd, level, option, value);
}

export function setIntegerOption(fd: number, level: number, option: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, littleEndian);
  setsockopt(fd, level, option, bytes);
}

export function getIntegerOption(fd: number, level: number, option: number): number {
  const value = new Int32Array(1);
  if ((cGetsockopt(fd, level, option, value, new Uint32Array([4])) as number) < 0) {
    throw new SystemError('getsockopt', koffi.errno(), `(${level}, ${option})`);
  }
  return value[0]!;
}

/** Reads an option of up to `most` octets. */
export function getsockopt(fd: number, level: number, option: number, most: number): Uint8Array {
  const value = new Uint8Array(most);
  const length = new Uint32Array([most]);
  if ((cGetsockopt(fd, level, option, value, length) as number) < 0) {
    throw new SystemError('getsockopt', koffi.errno(), `(${level}, ${option})`);
  }
  return value.subarray(0, length[0]);
}

/** The socket's own raw sockaddr. */
export function getsockname(fd: number): Uint8Array {
  const name = new Uint8Array(128);
  const length = new Uint32Array([name.length]);
  if ((cGetsockname(fd, name, length) as number) < 0) throw new SystemError('getsockname', koffi.errno());
  return name.subarray(0, length[0]);
}

/** Waits until one of `fds` is readable (or has an error); returns those. `timeoutMs` -1 waits for ever, 0 not at all. */
export function pollReadable(fds: readonly number[], timeoutMs: number): number[] {
  const bytes = new Uint8Array(fds.length * 8);
  const view = new DataView(bytes.buffer);
  fds.forEach((fd, index) => {
    view.setInt32(index * 8, fd, littleEndian);
    view.setInt16(index * 8 + 4, POLLIN, littleEndian);
  });
  const ready = cPoll(bytes, fds.length, timeoutMs) as number;
  if (ready < 0) {
    const errno = koffi.errno();
    if (errno === Errno.EINTR) return [];
    throw new SystemError('poll', errno);
  }
  return fds.filter((_, index) => view.getInt16(index * 8 + 6, littleEndian) !== 0);
}

/** Whether a short write to `fd` (4,096 octets, PIPE_BUF) is taken at once, or fails at once. */
export function pollWritable(fd: number): boolean {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, fd, littleEndian);
  view.setInt16(4, POLLOUT, littleEndian);
  // What cannot be asked is not waited for either.
  return (cPoll(bytes, 1, 0) as number) !== 0;
}

/** `poll` on an array of struct pollfd that the caller has laid out: how many are ready, or the negative errno. */
export function pollRaw(descriptors: Uint8Array, count: number, timeoutMs: number): number {
  const ready = cPoll(descriptors, count, timeoutMs) as number;
  return ready >= 0 ? ready : -koffi.errno();
}

/** Scheduling policy of the calling thread: 0, or the negative errno. */
export function schedule(policy: number, priority: number): number {
  const result = cSchedSetscheduler(0, policy, new Int32Array([priority])) as number;
  return result < 0 ? -koffi.errno() : 0;
}

/** Processors the thread may run on, as a bit mask; 0 = the calling thread. 0, or the negative errno. */
export function setAffinity(threadId: number, mask: Uint8Array): number {
  return (cSchedSetaffinity(threadId, mask.length, mask) as number) < 0 ? -koffi.errno() : 0;
}

export function getAffinity(threadId: number, mask: Uint8Array): number {
  return (cSchedGetaffinity(threadId, mask.length, mask) as number) < 0 ? -koffi.errno() : 0;
}

/** The kernel's number of the calling thread. */
export function threadId(): number {
  return cGettid() as number;
}

/** Nice value of the calling thread (Linux keeps it per thread): 0, or the negative errno. */
export function nice(value: number): number {
  return (cSetpriority(0, 0, value) as number) < 0 ? -koffi.errno() : 0;
}

/** A non-blocking counter for waking a thread. */
export function eventfd(): number {
  const fd = cEventfd(0, SOCK_NONBLOCK | SOCK_CLOEXEC) as number;
  if (fd < 0) throw new SystemError('eventfd', koffi.errno());
  return fd;
}

/** Octets read, or the negative errno. */
export function read(fd: number, bytes: Uint8Array): number {
  const length = Number(cRead(fd, bytes, bytes.length));
  return length >= 0 ? length : -koffi.errno();
}

/** Octets written, or the negative errno. */
export function write(fd: number, bytes: Uint8Array): number {
  const length = Number(cWrite(fd, bytes, bytes.length));
  return length >= 0 ? length : -koffi.errno();
}

/** Index of an interface of this namespace; undefined when there is none of that name. */
export function interfaceIndex(name: string): number | undefined {
  return (cIfNameToIndex(name) as number) || undefined;
}

/** Kernel structures are in the byte order of the machine. */
export const littleEndian = os.endianness() === 'LE';
