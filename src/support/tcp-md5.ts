/**
 * What the kernel has dropped for its TCP MD5 signature (RFC 2385), in the whole network namespace: it tells no program
 * whose segment it was. A peer with another password is silent for us, and only these counters say that it is there.
 */
import { readFileSync } from 'node:fs';

export interface TcpMd5Counters {
  /** Signed, but not with the password (or the listener's key for the address). */
  readonly wrong: number;
  /** Unsigned, where there is a password. */
  readonly unsigned: number;
  /** Signed, where there is no password. */
  readonly unexpected: number;
}

/** undefined = this kernel does not tell. */
export function readTcpMd5Counters(): TcpMd5Counters | undefined {
  try {
    return parseTcpMd5Counters(readFileSync('/proc/net/netstat', 'utf8'));
  } catch {
    return undefined;
  }
}

/** Of the text of `/proc/net/netstat`: a line of names above a line of values, each beginning with the group. */
export function parseTcpMd5Counters(text: string): TcpMd5Counters | undefined {
  const [names, values] = text
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.trim().split(/\s+/));
  const value = (name: string): number => Number(values?.[names?.indexOf(name) ?? -1]);
  const counters = {
    wrong: value('TCPMD5Failure'),
    unsigned: value('TCPMD5NotFound'),
    unexpected: value('TCPMD5Unexpected'),
  };
  return Object.values(counters).every(Number.isSafeInteger) ? counters : undefined;
}

export function md5Difference(now: TcpMd5Counters, before: TcpMd5Counters): TcpMd5Counters {
  return {
    wrong: now.wrong - before.wrong,
    unsigned: now.unsigned - before.unsigned,
    unexpected: now.unexpected - before.unexpected,
  };
}
